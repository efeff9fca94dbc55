import { isObject, parseJson } from '#lib/json.ts'
import { createSseParser } from '#lib/sse.ts'
import { readArguments } from './arguments.ts'
import { failCommand } from './failure.ts'
import { CommandFailed, EXIT, fail, print, refusalOf } from './output.ts'
import { findRemote, REMOTE_OPTIONS } from './remote.ts'

const OPTIONS = {
  ...REMOTE_OPTIONS,
  model: { type: 'string', short: 'm' },
  system: { type: 'string', short: 's' },
} as const

/** Asks a model by a running gateway, and writes the answer as it comes; the prompt may come by standard input. */
export async function chat(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = readArguments({ args: [...args], allowPositionals: true, options: OPTIONS })
    const prompt = positionals.length > 0 ? positionals.join(' ') : await standardInput()
    if (prompt.trim() === '')
      return fail('there is no prompt: citadel chat "Hello!", or write it to standard input', EXIT.usage)
    const remote = await findRemote(values)
    const system = values.system === undefined ? [] : [{ role: 'system', content: values.system }]
    const body = JSON.stringify({
      ...(values.model !== undefined && { model: values.model }),
      messages: [...system, { role: 'user', content: prompt }],
      stream: true,
      stream_options: { include_usage: true },
    })
    const headers = { 'content-type': 'application/json' }
    const response = await remote.ask('/v1/chat/completions', { method: 'POST', headers, body })
    const { text, usage } = await show(response, values.json ? async () => {} : screen)
    if (!values.json) await screen('\n')
    else print(JSON.stringify({ text, usage, ...origin(response.headers) }))
    return EXIT.ok
  } catch (thrown) {
    return failCommand(thrown)
  }
}

/** Writes text to standard output, and waits for a slow reader. On a terminal control characters are removed, so that a
 * model cannot steer it. */
async function screen(text: string): Promise<void> {
  const out = Bun.stdout.writer()
  try {
    out.write(process.stdout.isTTY ? text.replace(/(?![\n\t])\p{Cc}/gu, '') : text)
    await out.flush()
  } catch (thrown) {
    const refusal = refusalOf(thrown)
    // To leave is to hang up: nobody pays for an answer that nobody reads.
    if (refusal === null) process.exit(EXIT.ok)
    throw new CommandFailed(refusal, EXIT.failure)
  }
}

function standardInput(): Promise<string> {
  return process.stdin.isTTY ? Promise.resolve('') : Bun.stdin.text()
}

/** Reads the events of an answer to their end.
 *
 * @throws CommandFailed when the answer breaks off. */
async function show(response: Response, put: (text: string) => Promise<void>) {
  const events = createSseParser()
  const decoder = new TextDecoder()
  let text = ''
  let usage: unknown = null
  for await (const bytes of response.body ?? []) {
    for (const { data } of events.push(decoder.decode(bytes, { stream: true }))) {
      if (data === '[DONE]') return { text, usage }
      const chunk = parseJson(data)
      if (!isObject(chunk)) continue
      if (isObject(chunk.error)) throw new CommandFailed(`the answer broke off: ${chunk.error.message}`, EXIT.failure)
      usage = chunk.usage ?? usage
      const content = contentOf(chunk.choices)
      text += content
      await put(content)
    }
  }
  throw new CommandFailed('the answer broke off: the connection to the gateway was lost', EXIT.failure)
}

function contentOf(choices: unknown): string {
  const first: unknown = Array.isArray(choices) ? choices[0] : null
  const delta = isObject(first) && isObject(first.delta) ? first.delta : {}
  return typeof delta.content === 'string' ? delta.content : ''
}

function origin(headers: Headers) {
  const of = (name: string) => headers.get(name)
  return { model: of('x-citadel-model'), server: of('x-citadel-server'), request_id: of('x-request-id') }
}
