import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import { fakeClock } from '#tests/support/clock.ts'

const left = new GatewayError('client_closed_request', 'gone')

describe('a scope', () => {
  test('ends at its deadline with the code of its clock', () => {
    const clock = fakeClock()
    const scope = createScope(clock, { within: 100, code: 'upstream_timeout' })

    clock.advance(99)
    expect(scope.ended).toBeNull()
    clock.advance(1)

    expect(scope.ended?.code).toBe('upstream_timeout')
    expect(scope.signal.aborted).toBe(true)
  })

  test('takes its children with it, but not its parent', () => {
    const clock = fakeClock()
    const parent = createScope(clock)
    const [child, sibling] = [parent.child(), parent.child()]

    child.cancel(left)
    expect([parent.ended, sibling.ended]).toEqual([null, null])
    parent.cancel(left)

    expect(sibling.ended).toBe(left)
  })

  test('keeps its first cause', () => {
    const clock = fakeClock()
    const scope = createScope(clock, { within: 10 })

    scope.cancel(left)
    clock.advance(10)

    expect(scope.ended).toBe(left)
    expect(scope.signal.reason).toBe(left)
  })

  test('inherits the nearer deadline', () => {
    const clock = fakeClock()
    const parent = createScope(clock, { within: 50 })

    expect(parent.child({ within: 500 }).endsAt).toBe(50)
    expect(parent.child({ within: 5 }).endsAt).toBe(5)
  })

  test('calls listeners once, at once when it has ended already, and never those that left', () => {
    const calls: string[] = []
    const scope = createScope(fakeClock())
    scope.onEnd(() => calls.push('first'))
    scope.onEnd(() => calls.push('left'))()

    scope.cancel(left)
    scope.cancel(left)
    scope.onEnd(() => calls.push('late'))

    expect(calls).toEqual(['first', 'late'])
  })

  test('that outlives its parent keeps its own deadline only', () => {
    const clock = fakeClock()
    const parent = createScope(clock)
    const child = parent.child({ within: 1000 })

    child.outlive()
    parent.cancel(left)
    parent.close()
    const orphaned = child.ended
    clock.advance(1000)

    expect(orphaned).toBeNull()
    expect(child.ended?.code).toBe('deadline_exceeded')
  })

  test('leaves no timer and no listener behind when it is closed', () => {
    const clock = fakeClock()
    const parent = createScope(clock)
    const child = parent.child({ within: 1000 })

    child.close()
    parent.cancel(left)

    expect(clock.pending).toBe(0)
    expect(child.ended).toBeNull()
  })
})
