import { modelList } from '#wire/models.ts'
import { readArguments } from './arguments.ts'
import { failCommand } from './failure.ts'
import { CommandFailed, EXIT, print, say } from './output.ts'
import { findRemote, REMOTE_OPTIONS } from './remote.ts'

/** Lists the models that a running gateway offers to the key. */
export async function models(args: readonly string[]): Promise<number> {
  try {
    const { values } = readArguments({ args: [...args], options: REMOTE_OPTIONS })
    const remote = await findRemote(values)
    const list = modelList.safeParse(await (await remote.ask('/v1/models')).json())
    if (!list.success) throw new CommandFailed(`what answers at ${remote.url} is no gateway`, EXIT.failure)
    const { data } = list.data
    if (values.json) print(JSON.stringify(data, null, 2))
    else if (data.length === 0) say('citadel: no model is offered. See what is wrong with: citadel doctor')
    else {
      print(
        table([
          ['MODEL', 'CLASS', 'CONTEXT', 'FROM'],
          ...data.map(model => [model.id, model.class ?? '-', `${model.context_length ?? '-'}`, model.owned_by]),
        ]),
      )
    }
    return EXIT.ok
  } catch (thrown) {
    return failCommand(thrown)
  }
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
