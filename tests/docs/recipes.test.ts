import { describe, expect, test } from 'bun:test'
import { parse } from 'yaml'
import type { ModelServer, TestGateway, Tree } from '#tests/support/gateway.ts'
import { startGateway, startModelServer } from '#tests/support/gateway.ts'
import { chatCompletion } from '#tests/support/openai-upstream.ts'
import { json, type Script } from '#tests/support/upstream.ts'

const GUIDE = await Bun.file(new URL('../../src/http/docs/guides/recipes.md', import.meta.url)).text()
const answers: Script = json(200, chatCompletion('m'))
const failing: Script = json(500, { error: { message: 'out of memory', type: 'server_error' } })

describe('the recipe', () => {
  test('"Your own server first" sends what the server has no place for to the cloud', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>()
    const held: Script = async () => {
      await released
      return json(200, chatCompletion('m'))
    }
    await using kitchen = await cook('Your own server first, the cloud when it is full or down', [held, answers])
    const [gpu, openai] = kitchen.servers

    const running = Array.from({ length: 16 }, () => kitchen.ask())
    await gpu?.called(16)
    const next = await kitchen.ask()
    release()

    expect(next.headers.get('x-citadel-server')).toBe('openai')
    expect(await Promise.all(running.map(async call => (await call).headers.get('x-citadel-server')))).toEqual(
      running.map(() => 'gpu'),
    )
    expect(openai?.calls).toHaveLength(1)
  })

  test('"What must not leave the house" keeps a key to its models when they fail', async () => {
    await using kitchen = await cook('What must not leave the house', [failing, answers])
    const asLegal = (body: object) => kitchen.ask(body, 'gw-legal-example')

    const open = await kitchen.ask({ model: 'private' }, 'gw-web-example')
    const kept = [
      await asLegal({ model: 'private' }),
      await asLegal({ model: 'private', fallbacks: ['public'] }),
      await asLegal({ model: 'openai/gpt-5-mini' }),
    ]

    expect([open.status, open.headers.get('x-citadel-server')]).toEqual([200, 'openai'])
    expect(kept.map(({ status }) => status)).toEqual([503, 503, 403])
    expect(kitchen.servers[1]?.calls).toHaveLength(1)
  })

  test('"A new model for a tenth of the calls" divides them so', async () => {
    await using kitchen = await cook('A new model for a tenth of the calls', [answers, answers])

    for (let call = 0; call < 20; call++) await kitchen.ask()

    expect(kitchen.servers.map(({ calls }) => calls.length)).toEqual([18, 2])
  })

  test('"Several keys, and several providers" goes from key to key, and on to the other provider', async () => {
    const refusing: Script = ({ headers }) =>
      headers.authorization === 'Bearer sk-example-1'
        ? json(401, { error: { message: 'bad key', type: 'invalid_request_error' } })
        : json(429, { error: { message: 'slow down', type: 'rate_limit_error' } })
    await using kitchen = await cook('Several keys, and several providers, for one model', [refusing, answers])

    const answer = await kitchen.ask()

    expect([answer.status, answer.headers.get('x-citadel-server')]).toEqual([200, 'second'])
    expect(kitchen.servers.flatMap(({ calls }) => calls.map(({ headers }) => headers.authorization))).toEqual([
      'Bearer sk-example-1',
      'Bearer sk-example-2',
      'Bearer sk-example-3',
    ])
  })

  test('"Questions that many ask" asks a server once for both keys', async () => {
    await using kitchen = await cook('Questions that many ask', [answers])

    for (const key of ['gw-web-example', 'gw-app-example']) expect((await kitchen.ask({}, key)).status).toBe(200)

    expect(kitchen.servers[0]?.calls).toHaveLength(1)
  })
})

interface Kitchen extends AsyncDisposable {
  /** The scripted servers, in the order of the recipe. */
  readonly servers: readonly ModelServer[]
  readonly ask: (body?: object, key?: string) => Promise<Response>
}

/** Starts a gateway with the recipe below a heading, as it is written, but for the addresses of its servers. */
async function cook(heading: string, scripts: readonly Script[]): Promise<Kitchen> {
  const [, code = ''] = GUIDE.split(`\n## ${heading}\n`)[1]?.split(/```(?:yaml config)?\n/) ?? []
  const recipe: Tree & { servers: readonly object[] } = parse(code.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1'))
  const servers = await Promise.all(scripts.map(script => startModelServer(script)))
  const gateway: TestGateway = await startGateway({
    ...recipe,
    servers: recipe.servers.map((server, index) => ({ ...server, base_url: `${servers[index]?.url}/v1` })),
  })
  return {
    servers,
    ask: (body = {}, key = 'none') => gateway.chat(body, { headers: { authorization: `Bearer ${key}` } }),
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      for (const server of servers) await server[Symbol.asyncDispose]()
    },
  }
}
