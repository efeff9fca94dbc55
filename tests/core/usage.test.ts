import { describe, expect, test } from 'bun:test'
import { promptLength } from '#core/usage.ts'

const said = 'data: twenty-five letters'

describe('the length of a prompt', () => {
  test.each<[string, object]>([
    ['a message', { messages: [{ role: 'user', content: said }] }],
    ['a part of a message', { messages: [{ role: 'user', content: [{ type: 'text', text: said }] }] }],
    ['a call of a tool', { messages: [{ role: 'assistant', tool_calls: [{ function: { arguments: said } }] }] }],
    ['a prompt', { prompt: said }],
    ['one of several inputs', { input: [said] }],
  ])('counts %s that begins like an address of data', (_, body) => {
    expect(promptLength({ ...body })).toBe(said.length)
  })

  test.each<[string, object]>([
    ['a picture', { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }],
    ['a picture without an object around it', { type: 'image_url', image_url: 'data:image/png;base64,AAAA' }],
    ['a recording', { type: 'input_audio', input_audio: { data: 'A'.repeat(4000), format: 'wav' } }],
    ['a file', { type: 'file', file: { file_data: 'data:application/pdf;base64,AAAA' } }],
  ])('does not count %s', (_, part) => {
    expect(promptLength({ messages: [{ role: 'user', content: [part, { type: 'text', text: 'abc' }] }] })).toBe(3)
  })

  test.each<[string, object]>([
    ['messages beside a prompt', { prompt: said, messages: [] }],
    ['messages beside inputs', { input: [said], messages: [{ role: 'user', content: '' }] }],
    ['a prompt beside inputs', { input: [said], prompt: '' }],
    ['what follows a prompt', { prompt: '', suffix: said }],
    ['a parameter of a tool that is called type', { tools: [{ parameters: { type: { description: said } } }] }],
    ['a recording that is a prompt', { messages: [{ role: 'user', content: [{ input_audio: { data: said } }] }] }],
    [
      'a recording with a prompt',
      { messages: [{ role: 'user', content: [{ input_audio: { data: '', format: said.padEnd(40) } }] }] },
    ],
    ['a role that is a prompt', { messages: [{ role: 'user'.padEnd(40) + said, content: '' }] }],
  ])('is not made nothing by %s', (_, body) => {
    expect(promptLength({ ...body })).toBeGreaterThanOrEqual(said.length)
  })
})
