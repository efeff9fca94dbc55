import { describe, expect, test } from 'bun:test'
import { CitadelError, type Migration, type MigrationEvent, migrate, migrationFromEnv } from '#src/client/index.ts'
import { until } from '#tests/support/until.ts'

const outage = new CitadelError('no_healthy_upstream', 'No.', { status: 503 })
const on: Migration = { enabled: true, percent: 100, comparePercent: 0, fallback: true }

const refused = new CitadelError('rate_limit_exceeded', 'x', { status: 429 })

/** A call that two ways answer with their names, or as told. */
function call(settings: Partial<Migration>, gateway: () => Promise<unknown> = async () => 'gateway') {
  const events: MigrationEvent<unknown>[] = []
  const asked: string[] = []
  const compared = Promise.withResolvers<void>()
  const ask = migrate<[user: string], unknown>(
    {
      gateway: user => {
        asked.push(`gateway ${user}`)
        return gateway()
      },
      direct: async user => {
        asked.push(`direct ${user}`)
        return 'direct'
      },
    },
    {
      settings: () => ({ ...on, ...settings }),
      key: user => user,
      report(event) {
        events.push(event)
        if (event.kind === 'compared') compared.resolve()
      },
    },
  )
  return { ask, events, asked, compared: compared.promise }
}

describe('the flags', () => {
  test('send everything to the gateway, with the provider behind it, when none is set', () => {
    expect(migrationFromEnv({})).toEqual(on)
    expect(migrationFromEnv({ GATEWAY_ENABLED: '', GATEWAY_PERCENT: '' })).toEqual(on)
  })

  test('are read in the usual spellings', () => {
    for (const value of ['false', '0', 'off', 'FALSE'])
      expect(migrationFromEnv({ GATEWAY_ENABLED: value }).enabled).toBe(false)
    for (const value of ['true', '1', 'on', 'True'])
      expect(migrationFromEnv({ GATEWAY_ENABLED: value }).enabled).toBe(true)
    expect(
      migrationFromEnv({ GATEWAY_PERCENT: '12.5', GATEWAY_COMPARE_PERCENT: '3', GATEWAY_FALLBACK: 'off' }),
    ).toEqual({
      enabled: true,
      percent: 12.5,
      comparePercent: 3,
      fallback: false,
    })
  })

  test.each([
    ['GATEWAY_ENABLED', 'yes please'],
    ['GATEWAY_FALLBACK', 'no'],
    ['GATEWAY_PERCENT', '101'],
    ['GATEWAY_PERCENT', '-1'],
    ['GATEWAY_COMPARE_PERCENT', 'half'],
  ])('that say nothing are an error: %s=%s', (name, value) => {
    expect(() => migrationFromEnv({ [name]: value })).toThrow(new RegExp(`^${name} takes .*"${value}"`))
  })

  test('of a gateway that is switched off need not be right', () => {
    const env = {
      GATEWAY_ENABLED: 'false',
      GATEWAY_PERCENT: '12,5',
      GATEWAY_COMPARE_PERCENT: 'x',
      GATEWAY_FALLBACK: '?',
    }

    expect(migrationFromEnv(env).enabled).toBe(false)
  })
})

describe('a call', () => {
  test('goes to the gateway, or back to the provider, as the flag says now', async () => {
    const settings = { ...on }
    const ask = migrate({ gateway: async () => 'gateway', direct: async () => 'direct' }, { settings: () => settings })

    const answers = [await ask()]
    Object.assign(settings, { enabled: false })
    answers.push(await ask())

    expect(answers).toEqual(['gateway', 'direct'])
  })

  test('goes the same way for the same user, and the share of users grows without turning anybody back', async () => {
    const users = Array.from({ length: 2000 }, (_, index) => `user-${index}`)
    const moved = async (percent: number) => {
      const { ask } = call({ percent })
      const ways = await Promise.all(users.map(user => ask(user)))
      return new Set(users.filter((_, index) => ways[index] === 'gateway'))
    }

    const [none, tenth, again, half, all] = [
      await moved(0),
      await moved(10),
      await moved(10),
      await moved(50),
      await moved(100),
    ]

    expect([none.size, all.size]).toEqual([0, 2000])
    expect(tenth.size).toBeWithin(140, 260)
    expect(half.size).toBeWithin(900, 1100)
    expect(again).toEqual(tenth)
    expect(tenth.isSubsetOf(half)).toBe(true)
  })

  test('falls back to the provider when the gateway is out, and tells', async () => {
    const { ask, events, asked } = call({}, () => Promise.reject(outage))

    expect(await ask('a')).toBe('direct')
    expect(events).toEqual([{ kind: 'fallback', error: outage }])
    expect(asked).toEqual(['gateway a', 'direct a'])
  })

  test.each([
    ['no answer', new CitadelError('connection_failed', 'x')],
    ['no answer in time', new CitadelError('client_timeout', 'x')],
    ['something else at the address', new CitadelError('unexpected_answer', 'x', { status: 200 })],
  ])('falls back for %s', async (_, error) => {
    expect(await call({}, () => Promise.reject(error)).ask('a')).toBe('direct')
  })

  test.each([
    ['a limit', new CitadelError('budget_exceeded', 'x', { status: 429 })],
    ['a mistake', new CitadelError('invalid_request', 'x', { status: 400 })],
    ['a caller who leaves', new CitadelError('aborted', 'x')],
    ['what the application itself threw', new TypeError('x')],
  ])('does not fall back for %s', async (_, error) => {
    const { ask, asked } = call({}, () => Promise.reject(error))

    expect(await ask('a').catch(thrown => thrown)).toBe(error)
    expect(asked).toEqual(['gateway a'])
  })

  test('does not fall back when it is told not to', async () => {
    const { ask } = call({ fallback: false }, () => Promise.reject(outage))

    expect(await ask('a').catch(thrown => thrown)).toBe(outage)
  })
})

describe('running beside each other', () => {
  test('asks both, answers by the one, and reports both', async () => {
    const { ask, events, compared } = call({ comparePercent: 100 })

    expect(await ask('a')).toBe('gateway')
    await compared

    expect(events).toMatchObject([
      { kind: 'compared', answered: { way: 'gateway', answer: 'gateway' }, other: { way: 'direct', answer: 'direct' } },
    ])
  })

  test('reports a gateway that fails while the provider answers', async () => {
    const { ask, events, compared } = call({ percent: 0, comparePercent: 100 }, () => Promise.reject(outage))

    expect(await ask('a')).toBe('direct')
    await compared

    expect(events).toMatchObject([
      { answered: { way: 'direct', answer: 'direct' }, other: { way: 'gateway', error: outage } },
    ])
  })

  test('does not ask the other side for what was refused: nobody would read a stream that it opened', async () => {
    const { ask, asked } = call({ comparePercent: 100 }, () => Promise.reject(refused))

    expect(await ask('a').catch(thrown => thrown)).toBe(refused)
    expect(asked).toEqual(['gateway a'])
  })

  test('does not ask the other side for streams, nor while it is off', async () => {
    const stream = (async function* () {})()
    const streamed = call({ comparePercent: 100 }, async () => stream)
    const off = call({ enabled: false, comparePercent: 100 })

    await streamed.ask('a')
    await off.ask('a')

    expect(streamed.asked).toEqual(['gateway a'])
    expect(off.asked).toEqual(['direct a'])
  })
})

describe('a report that throws', () => {
  const report = () => {
    throw new TypeError('no such counter')
  }

  test('takes no answer from the caller, and is told on the console', async () => {
    const told: unknown[] = []
    const asBefore = console.error
    console.error = (...said: unknown[]) => void told.push(said.at(-1))
    try {
      const backUp = migrate(
        { gateway: () => Promise.reject(outage), direct: async () => 'direct' },
        { settings: () => on, report },
      )
      const beside = migrate(
        { gateway: async () => {}, direct: async () => {} },
        { settings: () => ({ ...on, comparePercent: 100 }), report },
      )

      expect(await backUp()).toBe('direct')
      await beside()
      await until('both reports to be told of', 5000, () => told.length === 2)
    } finally {
      console.error = asBefore
    }

    expect(told).toEqual([new TypeError('no such counter'), new TypeError('no such counter')])
  })
})
