import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Priority } from '#core/priority.ts'
import { chooseEvicted, createLine, type Line, type Waiting } from '#gateway/queue/line.ts'

function waiter(caller: string, priority: Priority = 'normal', name = caller) {
  return { caller, priority, name }
}

/** Lets in whose turn it is. */
function serveNext<W extends Waiting>(line: Line<W>, fits: (waiter: W) => boolean = () => true): W | null {
  const next = line.next(fits)
  if (next !== null) line.serve(next)
  return next
}

/** Lets everybody in, one after the other. */
function served<W extends Waiting>(waiters: readonly W[], fits: (waiter: W) => boolean = () => true): W[] {
  const line = createLine<W>()
  for (const each of waiters) line.add(each)
  const order: W[] = []
  for (let next = serveNext(line, fits); next !== null; next = serveNext(line, fits)) order.push(next)
  return order
}

const many = (count: number, caller: string, priority?: Priority) =>
  Array.from({ length: count }, (_, index) => waiter(caller, priority, `${caller}${index}`))

describe('the line', () => {
  test('serves callers round robin, and the calls of one caller first come, first served', () => {
    const order = served([...many(3, 'a'), ...many(2, 'b'), ...many(1, 'c')])

    expect(order.map(({ name }) => name)).toEqual(['a0', 'b0', 'c0', 'a1', 'b1', 'a2'])
  })

  test('serves the higher priority first', () => {
    const order = served([waiter('a', 'low'), waiter('a'), waiter('b', 'critical'), waiter('b', 'high')])

    expect(order.map(({ priority }) => priority)).toEqual(['critical', 'high', 'normal', 'low'])
  })

  test('skips a call that does not fit, which keeps its turn', () => {
    const line = createLine<ReturnType<typeof waiter>>()
    for (const each of [...many(1, 'a'), ...many(2, 'b')]) line.add(each)

    const first = serveNext(line, ({ caller }) => caller !== 'a')
    const second = serveNext(line)

    expect([first?.name, second?.name]).toEqual(['b0', 'a0'])
  })

  test('says of whom it removes whether it was there still', () => {
    const line = createLine<ReturnType<typeof waiter>>()
    const [left, other] = [waiter('a'), waiter('b')]
    for (const each of [left, other]) line.add(each)
    line.serve(other)

    expect([line.remove(left), line.remove(left), line.remove(other)]).toEqual([true, false, false])
  })

  test('puts a caller that left and came back behind the others', () => {
    const line = createLine<ReturnType<typeof waiter>>()
    const [left, other, back] = [waiter('a'), waiter('b'), waiter('a')]
    for (const each of [left, other]) line.add(each)

    line.remove(left)
    line.add(back)

    expect([serveNext(line), serveNext(line), serveNext(line)]).toEqual([other, back, null])
  })

  test('one place in eight goes to the priority of the call that has waited longest', () => {
    const line = createLine<ReturnType<typeof waiter>>()
    line.add(waiter('patient', 'low'))
    for (const each of many(20, 'pushing', 'critical')) line.add(each)

    const order = Array.from({ length: 8 }, () => serveNext(line)?.caller)

    expect(order).toEqual([...Array.from({ length: 7 }, () => 'pushing'), 'patient'])
  })

  test('the eighth place goes to the longest-waiting call that fits', () => {
    const order = served([waiter('patient', 'low'), ...many(9, 'pushing')], ({ caller }) => caller === 'pushing')

    expect(order).toHaveLength(9)
  })

  test('callers of one priority are served equally often while all of them wait', () => {
    const counts = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 2, maxLength: 6 })
    fc.assert(
      fc.property(counts, lengths => {
        const callers = lengths.map((_, index) => `caller-${index}`)
        const order = served(lengths.flatMap((length, index) => many(length, `caller-${index}`)))
        const seen = new Map(callers.map(caller => [caller, 0]))
        for (const { caller } of order.slice(0, Math.min(...lengths) * lengths.length)) {
          seen.set(caller, (seen.get(caller) ?? 0) + 1)
          expect(Math.max(...seen.values()) - Math.min(...seen.values())).toBeLessThanOrEqual(1)
        }
        expect(order.length).toBe(lengths.reduce((sum, length) => sum + length, 0))
      }),
    )
  })
})

describe('which call is evicted from a full line', () => {
  test('the newest call of the caller with the most waiting calls', () => {
    expect(chooseEvicted([...many(1, 'b'), ...many(3, 'a')], waiter('b'))?.name).toBe('a2')
    expect(chooseEvicted(many(2, 'a'), waiter('b'))?.name).toBe('a1')
  })

  test('none, for a caller that would then have as many waiting calls', () => {
    expect(chooseEvicted([...many(2, 'a'), ...many(1, 'b')], waiter('b'))).toBeNull()
  })

  test('one of a lower priority for one of a higher, never the reverse', () => {
    const waiting = [...many(2, 'a', 'high'), ...many(1, 'b', 'low')]

    expect(chooseEvicted(waiting, waiter('a', 'normal'))?.priority).toBe('low')
    expect(chooseEvicted(waiting, waiter('a', 'critical'))?.priority).toBe('low')
    expect(chooseEvicted(many(9, 'a', 'high'), waiter('b', 'normal'))).toBeNull()
  })
})
