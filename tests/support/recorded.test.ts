import { afterEach, describe, expect, test } from 'bun:test'
import { playRecorded, recordedCase, recordedCases } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { startUpstream } from '#tests/support/upstream.ts'

const environment = { CI: process.env.CI, CITADEL_WIRE_DIR: process.env.CITADEL_WIRE_DIR }

afterEach(() => {
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
})

test('refuses to go on without data that were named', () => {
  process.env.CITADEL_WIRE_DIR = '/dev/null/none'

  expect(() => recordedCases('openai')).toThrow('/dev/null/none')
})

describe.skipIf(sharedDir() === null)('with the recorded data', () => {
  test('loads every case of a provider, sorted', () => {
    const cases = recordedCases('openai')

    expect(cases.length).toBeGreaterThan(30)
    expect(cases.map(recorded => recorded.name)).toEqual(cases.map(recorded => recorded.name).sort())
    expect(recordedCases('openai-compatible').map(recorded => recorded.name)).toContain(
      'openai-compatible/vllm/chat-stream',
    )
  })

  test('says so when a folder or a case does not exist', () => {
    expect(() => recordedCases('nobody')).toThrow('nobody')
    expect(() => recordedCase('openai/nothing')).toThrow('openai/nothing')
  })

  test.each(['openai/chat-stream-text', 'openai/chat-text', 'ollama/chat-stream-tools-parallel'])(
    'plays %s to a client byte for byte',
    async name => {
      const recorded = recordedCase(name)
      await using upstream = await startUpstream(playRecorded(recorded))

      const response = await fetch(upstream.url)

      expect(response.status).toBe(recorded.status)
      expect(response.headers.get('content-type')).toBe(recorded.headers['content-type'] ?? null)
      expect(await response.text()).toBe(recorded.text)
    },
  )
})
