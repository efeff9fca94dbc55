import { describe, expect, test } from 'bun:test'
import { createNames, type Lookup, systemLookup } from '#providers/transport/names.ts'
import { fakeClock } from '#tests/support/clock.ts'

/** A look-up that gives what `answers` has for the name, and counts. */
function counted(answers: Record<string, readonly string[]>) {
  const asked: string[] = []
  const lookup: Lookup = async name => {
    asked.push(name)
    const found = answers[name]
    if (found === undefined) throw new Error('ENOTFOUND')
    return found
  }
  return { asked, lookup }
}

describe('what a name resolved to', () => {
  test('is used for five seconds, and not longer', async () => {
    const clock = fakeClock()
    const answers = { 'llm.example': ['192.0.2.1'] }
    const names = createNames(clock, counted(answers).lookup)
    await names.find('llm.example')
    answers['llm.example'] = ['192.0.2.2']

    clock.advance(4999)
    expect(await names.find('llm.example')).toEqual(['192.0.2.1'])
    clock.advance(1)
    expect(await names.find('llm.example')).toEqual(['192.0.2.2'])
  })

  test('is the answer for all who ask at the same time', async () => {
    const { asked, lookup } = counted({ 'llm.example': ['192.0.2.1'] })
    const names = createNames(fakeClock(), lookup)

    const found = await Promise.all([1, 2, 3].map(() => names.find('llm.example')))

    expect(found).toEqual([['192.0.2.1'], ['192.0.2.1'], ['192.0.2.1']])
    expect(asked).toEqual(['llm.example'])
  })

  test('is looked up at once when it was forgotten', async () => {
    const answers = { 'llm.example': ['192.0.2.1'] }
    const names = createNames(fakeClock(), counted(answers).lookup)
    await names.find('llm.example')
    answers['llm.example'] = ['192.0.2.2']

    names.forget('llm.example')

    expect(await names.find('llm.example')).toEqual(['192.0.2.2'])
  })

  test('is looked up again after it could not be', async () => {
    const answers: Record<string, readonly string[]> = { 'empty.example': [] }
    const { asked, lookup } = counted(answers)
    const names = createNames(fakeClock(), lookup)
    await expect(names.find('llm.example')).rejects.toThrow('ENOTFOUND')
    await expect(names.find('empty.example')).rejects.toThrow('no address')
    answers['llm.example'] = ['192.0.2.1']

    expect(await names.find('llm.example')).toEqual(['192.0.2.1'])
    expect(asked).toEqual(['llm.example', 'empty.example', 'llm.example'])
  })

  test('is remembered for 256 names', async () => {
    const asked: string[] = []
    const names = createNames(fakeClock(), async name => {
      asked.push(name)
      return ['192.0.2.1']
    })
    for (let n = 0; n < 257; n++) await names.find(`pod-${n}`)
    asked.length = 0

    for (const name of ['pod-256', 'pod-1', 'pod-0', 'pod-1']) await names.find(name)

    expect(asked).toEqual(['pod-0', 'pod-1'])
  })
})

describe('the order of addresses', () => {
  test.each([
    [['192.0.2.1'], ['192.0.2.1']],
    [
      ['2001:db8::1', '2001:db8::2', '2001:db8::3', '192.0.2.1', '192.0.2.2'],
      ['2001:db8::1', '192.0.2.1', '2001:db8::2', '192.0.2.2', '2001:db8::3'],
    ],
    [
      ['192.0.2.1', '2001:db8::1', '2001:db8::2', '2001:db8::3'],
      ['192.0.2.1', '2001:db8::1', '2001:db8::2', '2001:db8::3'],
    ],
  ])('for %j is %j', async (found, order) => {
    const names = createNames(fakeClock(), async () => found)

    expect(await names.find('llm.example')).toEqual(order)
  })

  test('begins with the one that stood, until the name is looked up again', async () => {
    const clock = fakeClock()
    const names = createNames(clock, async () => ['192.0.2.1', '192.0.2.2', '192.0.2.3'])
    await names.find('llm.example')

    names.prefer('llm.example', '192.0.2.3')
    names.prefer('llm.example', '192.0.2.9')
    names.prefer('other.example', '192.0.2.3')

    expect(await names.find('llm.example')).toEqual(['192.0.2.3', '192.0.2.1', '192.0.2.2'])
    clock.advance(5000)
    expect(await names.find('llm.example')).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3'])
  })
})

test('localhost is this machine in both families, and nobody is asked', async () => {
  const { asked, lookup } = counted({})
  const names = createNames(fakeClock(), lookup)

  expect(await names.find('localhost')).toEqual(['127.0.0.1', '::1'])
  expect(await names.find('llm.localhost')).toEqual(['127.0.0.1', '::1'])
  expect(asked).toEqual([])
})

test('the system knows this machine, and nobody by a name that cannot be', async () => {
  expect(await systemLookup('localhost')).toContain('127.0.0.1')
  await expect(systemLookup('nobody.invalid')).rejects.toThrow('ENOTFOUND')
})
