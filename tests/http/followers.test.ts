import { describe, expect, test } from 'bun:test'
import type { ConfigInput } from '#config/schema.ts'
import { ADMIN_KEY, AS_ADMIN, type Edge, edgeOf, makeKey } from './edge.ts'

const REQUIRED: ConfigInput = { auth: { mode: 'required', admin_keys: [ADMIN_KEY] } }

/** Follows the events with a key, and tells whether that is over. */
async function follow(edge: Edge, key: string): Promise<() => boolean> {
  const { status, body } = await edge.ask('/orchestration/events', { headers: { authorization: `Bearer ${key}` } })
  if (status !== 200 || body === null) throw new Error(`the events were refused with ${status}`)
  let over = false
  const read = async () => {
    for await (const _ of body);
    over = true
  }
  void read()
  return () => over
}

describe('who follows the events', () => {
  test('goes on for as long as the key is good', async () => {
    const edge = await edgeOf(REQUIRED)
    const isOver = await follow(edge, (await makeKey(edge, { role: 'viewer' })).key)

    await edge.pass(60_000)

    expect(isOver()).toBe(false)
  })

  test.each([
    ['is revoked', 'DELETE', undefined],
    ['is no longer a viewer', 'PATCH', { role: 'caller' }],
    ['expires', 'PATCH', { expires_at: '2026-01-01T00:00:02Z' }],
  ] as const)('is disconnected once the key %s', async (_, method, body) => {
    const edge = await edgeOf(REQUIRED)
    const { id, key } = await makeKey(edge, { role: 'viewer' })
    const isOver = await follow(edge, key)

    await edge.ask(`/management/keys/${id}`, { method, headers: AS_ADMIN, body })
    await edge.pass(6_000)

    expect(isOver()).toBe(true)
  })

  test('is let go although wrong keys come from the same address', async () => {
    const edge = await edgeOf(REQUIRED)
    const { id, key } = await makeKey(edge, { role: 'viewer' })
    const isOver = await follow(edge, key)

    await edge.ask(`/management/keys/${id}`, { method: 'DELETE', headers: AS_ADMIN })
    for (let guess = 0; guess < 30; guess++) await edge.chat({ headers: { authorization: `Bearer wrong-${guess}` } })
    await edge.pass(6_000)

    expect(isOver()).toBe(true)
  })
})
