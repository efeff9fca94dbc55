import { EXIT, fail } from './output.ts'

/** Prints the JSON Schema of the configuration, for editors. */
export async function config(args: readonly string[]): Promise<number> {
  if (args[0] !== 'schema' || args.length > 1) return fail('usage: citadel config schema', EXIT.usage)
  const { configJsonSchema } = await import('#config/json-schema.ts')
  console.log(JSON.stringify(configJsonSchema(), null, 2))
  return EXIT.ok
}
