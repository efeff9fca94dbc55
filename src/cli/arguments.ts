import { type ParseArgsConfig, parseArgs } from 'node:util'
import { didYouMean } from '#lib/closest.ts'

const UNKNOWN = /^Unknown option '--([^']+)'/

/** Reads the arguments of a command by the rules of `parseArgs`.
 *
 * @throws TypeError for a wrong command line; of an unknown option it says which one was most likely meant. */
export function readArguments<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config)
  } catch (thrown) {
    const [said, name] = UNKNOWN.exec(thrown instanceof Error ? thrown.message : '') ?? []
    if (said === undefined || name === undefined) throw thrown
    // Compared without the dashes, which would make all options look alike.
    const hint = didYouMean(name, namesOf(config))
    throw new TypeError(said + hint.replace('"', '"--'), { cause: thrown })
  }
}

function namesOf({ options = {}, allowNegative = false }: ParseArgsConfig): readonly string[] {
  const negative = Object.keys(options).filter(name => allowNegative && options[name]?.type === 'boolean')
  return [...Object.keys(options), ...negative.map(name => `no-${name}`)]
}
