import { VERSION } from '#src/version.ts'
import { EXIT, fail, print } from './output.ts'

/** Prints the version of the gateway and of the runtime. */
export async function version(args: readonly string[]): Promise<number> {
  const [option, ...more] = args
  if (more.length > 0 || (option !== undefined && option !== '--json')) {
    return fail('usage: citadel version [--json]', EXIT.usage)
  }
  const found = { version: VERSION, bun: Bun.version, platform: process.platform, arch: process.arch }
  print(option === '--json' ? JSON.stringify(found) : `citadel-gateway ${VERSION} (Bun ${Bun.version})`)
  return EXIT.ok
}
