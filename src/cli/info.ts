import { VERSION } from '#src/version.ts'
import { EXIT } from './output.ts'

/** Prints the version of the gateway and of the runtime. */
export async function version(): Promise<number> {
  console.log(`citadel-gateway ${VERSION} (Bun ${Bun.version})`)
  return EXIT.ok
}
