import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import type { JsonObject, JsonValue } from '#lib/json.ts'
import { toGeminiContents } from '#providers/gemini/contents.ts'

const baseUrl = 'https://g.test/v1beta'
const convert = (messages: readonly JsonValue[], marksCalls = false) =>
  JSON.parse(JSON.stringify(toGeminiContents(messages, { marksCalls, baseUrl })))
const userParts = (content: JsonValue) => convert([{ role: 'user', content }]).contents[0].parts
const calling = (id: string, name: string, more: JsonObject = {}) => ({
  id,
  type: 'function',
  function: { name, arguments: '{"a":1}' },
  ...more,
})
const signed = (thought_signature: string) => ({ extra_content: { google: { thought_signature } } })

function refusal(messages: readonly JsonValue[]) {
  try {
    convert(messages)
  } catch (thrown) {
    if (thrown instanceof GatewayError) return [thrown.code, thrown.param]
  }
  return null
}

test('instructions stand apart, wherever they were', () => {
  const { contents, systemInstruction } = convert([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Hi' },
    { role: 'developer', content: [{ type: 'text', text: 'And kind.' }] },
    { role: 'assistant', content: 'Hello' },
  ])

  expect(systemInstruction).toEqual({ parts: [{ text: 'Be brief.' }, { text: 'And kind.' }] })
  expect(contents).toEqual([
    { role: 'user', parts: [{ text: 'Hi' }] },
    { role: 'model', parts: [{ text: 'Hello' }] },
  ])
})

test('an address is read in no long time whatever it is', () => {
  const before = process.cpuUsage()
  const url = `https://x.test/a.png${'?'.repeat(100_000)}\n`

  expect(userParts([{ type: 'image_url', image_url: { url } }])).toEqual([
    { fileData: { fileUri: url, mimeType: 'image/png' } },
  ])
  expect(process.cpuUsage(before).user).toBeLessThan(500_000)
})

test('instructions alone are what the user says, since there must be a content', () => {
  expect(convert([{ role: 'system', content: 'Write a poem.' }])).toEqual({
    contents: [{ role: 'user', parts: [{ text: 'Write a poem.' }] }],
  })
})

test('what the model drew goes back to it', () => {
  const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }

  const { contents } = convert([
    { role: 'user', content: 'Draw.' },
    { role: 'assistant', content: 'Here:', images: [{ ...image, ...signed('s') }, image] },
    { role: 'user', content: 'Bluer.' },
  ])

  const inlineData = { mimeType: 'image/png', data: 'AAAA' }
  expect(contents[1].parts).toEqual([{ text: 'Here:' }, { inlineData, thoughtSignature: 's' }, { inlineData }])
})

test('a message of the assistant that says nothing is left out', () => {
  const { contents } = convert([
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: '' },
    { role: 'assistant', content: null },
  ])

  expect(contents).toHaveLength(1)
})

test('texts that are empty are left out, which Gemini refuses', () => {
  const empty = { type: 'text', text: '' }
  const sent = convert([
    { role: 'system', content: '' },
    { role: 'user', content: [empty, { type: 'text', text: 'Hi' }] },
    { role: 'assistant', content: [empty] },
    { role: 'user', content: '' },
  ])

  expect(sent).toEqual({ contents: [{ role: 'user', parts: [{ text: 'Hi' }] }] })
})

test.each<[string, JsonValue, JsonObject]>([
  ['a text', { type: 'text', text: 'Hi' }, { text: 'Hi' }],
  [
    'an image inline',
    { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA', detail: 'low' } },
    { inlineData: { mimeType: 'image/png', data: 'AAAA' } },
  ],
  [
    'an image inline with parameters',
    { type: 'image_url', image_url: 'data:image/webp;charset=x;base64,AAAA' },
    { inlineData: { mimeType: 'image/webp', data: 'AAAA' } },
  ],
  [
    'an image of a type that is misspelt',
    { type: 'image_url', image_url: { url: 'data:image/jpg;base64,AAAA' } },
    { inlineData: { mimeType: 'image/jpeg', data: 'AAAA' } },
  ],
  [
    'an image at an address',
    { type: 'image_url', image_url: { url: 'https://x.test/a.JPG?size=2' } },
    { fileData: { fileUri: 'https://x.test/a.JPG?size=2', mimeType: 'image/jpeg' } },
  ],
  [
    'an address that does not say what is there',
    { type: 'image_url', image_url: { url: 'https://x.test/image' } },
    { fileData: { fileUri: 'https://x.test/image' } },
  ],
  [
    'a recording',
    { type: 'input_audio', input_audio: { data: 'AAAA', format: 'mp3' } },
    { inlineData: { mimeType: 'audio/mp3', data: 'AAAA' } },
  ],
  [
    'a recording of another kind',
    { type: 'input_audio', input_audio: { data: 'AAAA', format: 'opus' } },
    { inlineData: { mimeType: 'audio/opus', data: 'AAAA' } },
  ],
  [
    'a file inline',
    { type: 'file', file: { file_data: 'data:application/pdf;base64,AAAA', filename: 'a.pdf' } },
    { inlineData: { mimeType: 'application/pdf', data: 'AAAA' } },
  ],
  [
    'a file of an unknown type by its name',
    { type: 'file', file: { file_data: 'data:application/octet-stream;base64,AAAA', filename: 'notes.MD' } },
    { inlineData: { mimeType: 'text/markdown', data: 'AAAA' } },
  ],
  [
    'a file of an unknown type by its beginning',
    { type: 'file', file: { file_data: 'data:application/octet-stream;base64,JVBERi0xLjc=', filename: 'report' } },
    { inlineData: { mimeType: 'application/pdf', data: 'JVBERi0xLjc=' } },
  ],
  [
    'a file of a type that nothing tells as it was sent',
    { type: 'file', file: { file_data: 'data:application/octet-stream;base64,AAAA' } },
    { inlineData: { mimeType: 'application/octet-stream', data: 'AAAA' } },
  ],
  [
    'a file inline as base64 alone',
    { type: 'file', file: { file_data: 'AAAA', filename: 'a.pdf' } },
    { inlineData: { mimeType: 'application/pdf', data: 'AAAA' } },
  ],
  [
    'a named file at an address',
    { type: 'file', file: { file_data: 'https://x.test/latest?id=1', filename: 'a.pdf' } },
    { fileData: { fileUri: 'https://x.test/latest?id=1', mimeType: 'application/pdf' } },
  ],
  [
    'a file that the server keeps',
    { type: 'file', file: { file_id: 'files/abc-1' } },
    { fileData: { fileUri: `${baseUrl}/files/abc-1` } },
  ],
  [
    'a file at an address',
    { type: 'file', file: { file_id: 'https://x.test/a.pdf' } },
    { fileData: { fileUri: 'https://x.test/a.pdf', mimeType: 'application/pdf' } },
  ],
])('%s becomes a part', (_, part, expected) => {
  expect(userParts([part])).toEqual([expected])
})

test.each<[string, JsonValue, string, string]>([
  ['another kind of part', { type: 'video_url', video_url: {} }, 'unsupported_parameter', 'messages.0.content.0'],
  ['a part that is none', 5, 'invalid_request', 'messages.0.content.0'],
  [
    'an image without base64',
    { type: 'image_url', image_url: { url: 'data:image/png,x' } },
    'invalid_request',
    'messages.0.content.0',
  ],
  ['an image of nowhere', { type: 'image_url', image_url: {} }, 'invalid_request', 'messages.0.content.0'],
  [
    'a recording without data',
    { type: 'input_audio', input_audio: { format: 'wav' } },
    'invalid_request',
    'messages.0.content.0',
  ],
  ['a file without anything', { type: 'file', file: {} }, 'invalid_request', 'messages.0.content.0'],
  ["a file of OpenAI's", { type: 'file', file: { file_id: 'file-abc' } }, 'invalid_request', 'messages.0.content.0'],
  [
    'base64 of something unknown',
    { type: 'file', file: { file_data: 'AAAA' } },
    'invalid_request',
    'messages.0.content.0',
  ],
])('%s is refused with its place', (_, part, code, param) => {
  expect(refusal([{ role: 'user', content: [part] }])).toEqual([code, param])
})

describe('tool calls', () => {
  test('and their answers stand in one content each, in the order of the calls', () => {
    const { contents } = convert([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Let me see.', tool_calls: [calling('c1', 'first'), calling('c2', 'second')] },
      { role: 'tool', tool_call_id: 'c2', content: '{"b":2}' },
      {
        role: 'tool',
        tool_call_id: 'c1',
        content: [
          { type: 'text', text: 'plain' },
          { type: 'text', text: 'text' },
        ],
      },
      { role: 'user', content: 'Thanks' },
    ])

    expect(contents.slice(1)).toEqual([
      {
        role: 'model',
        parts: [
          { text: 'Let me see.' },
          { functionCall: { name: 'first', args: { a: 1 } } },
          { functionCall: { name: 'second', args: { a: 1 } } },
        ],
      },
      {
        role: 'user',
        parts: [
          { functionResponse: { name: 'first', response: { output: 'plain\ntext' } } },
          { functionResponse: { name: 'second', response: { b: 2 } } },
        ],
      },
      { role: 'user', parts: [{ text: 'Thanks' }] },
    ])
  })

  test('of several rounds keep their answers apart', () => {
    const round = (id: string) => [
      { role: 'assistant', content: null, tool_calls: [calling(id, 'f')] },
      { role: 'tool', tool_call_id: id, content: id },
    ]

    const { contents } = convert([...round('c1'), ...round('c2')])

    expect(
      contents.map((content: { role: string; parts: JsonObject[] }) => [content.role, content.parts.length]),
    ).toEqual([
      ['model', 1],
      ['user', 1],
      ['model', 1],
      ['user', 1],
    ])
  })

  test('are answered in no long time however many they are', () => {
    const ids = Array.from({ length: 9000 }, (_, at) => `call_${at}`)
    const calls = { role: 'assistant', content: null, tool_calls: ids.map(id => calling(id, id)) }
    const answers = ids.toReversed().map(id => ({ role: 'tool', tool_call_id: id, content: 'x' }))
    const before = process.cpuUsage()

    const { contents } = convert([{ role: 'user', content: 'Hi' }, calls, ...answers])

    expect(process.cpuUsage(before).user / 1000).toBeLessThan(800)
    expect(contents[2].parts.map(({ functionResponse }: JsonObject) => (functionResponse as JsonObject).name)).toEqual(
      ids,
    )
  })

  test('in messages one behind the other are one turn, which has to come behind the user', () => {
    const { contents } = convert([
      { role: 'user', content: 'Where is it warm?' },
      { role: 'assistant', content: 'I look.' },
      { role: 'system', content: 'Be quick.' },
      { role: 'assistant', tool_calls: [calling('a', 'rome')] },
      { role: 'assistant', tool_calls: [calling('b', 'oslo')] },
      { role: 'tool', tool_call_id: 'a', content: '20' },
      { role: 'tool', tool_call_id: 'b', content: '-3' },
    ])

    expect(
      contents.map(({ role, parts }: JsonObject) => [role, (parts as JsonObject[]).map(part => Object.keys(part)[0])]),
    ).toEqual([
      ['user', ['text']],
      ['model', ['text', 'functionCall', 'functionCall']],
      ['user', ['functionResponse', 'functionResponse']],
    ])
  })

  test.each(['', 'not JSON', '[1]', '"text"'])('arguments that are no object stay objects: %j', given => {
    const call = { id: 'c', type: 'function', function: { name: 'f', arguments: given } }

    const { contents } = convert([{ role: 'assistant', content: null, tool_calls: [call] }])

    expect(contents[0].parts[0].functionCall.args).toEqual(given === '' ? {} : { arguments: given })
  })

  test('keep the ids that the server gave them, and none that the gateway made', () => {
    const made = 'call_0123456789abcdef01234567'
    const { contents } = convert(
      [
        { role: 'assistant', content: null, tool_calls: [calling('own', 'f'), calling(made, 'f')] },
        { role: 'tool', tool_call_id: made, content: '2' },
        { role: 'tool', tool_call_id: 'own', content: '1' },
      ],
      true,
    )

    const [asked, answered] = contents.map((content: { parts: JsonObject[] }) => content.parts)
    expect(asked.map((part: { functionCall: JsonObject }) => part.functionCall.id)).toEqual(['own', undefined])
    expect(answered).toEqual([
      { functionResponse: { id: 'own', name: 'f', response: { output: '1' } } },
      { functionResponse: { name: 'f', response: { output: '2' } } },
    ])
  })

  test('keep their signatures, and texts theirs', () => {
    const { contents } = convert([
      { role: 'assistant', content: 'So', ...signed('t'), tool_calls: [calling('c', 'f', signed('s'))] },
      { role: 'user', content: 'And?' },
      { role: 'assistant', content: '', ...signed('alone') },
    ])

    expect(contents[0].parts).toEqual([
      { text: 'So', thoughtSignature: 't' },
      { functionCall: { name: 'f', args: { a: 1 } }, thoughtSignature: 's' },
    ])
    expect(contents[2].parts).toEqual([{ text: '', thoughtSignature: 'alone' }])
  })

  test('of other models get the stand-in where a signature must be, the first of a turn alone', () => {
    const turn = { role: 'assistant', content: null, tool_calls: [calling('c1', 'f'), calling('c2', 'f')] }
    const own = { role: 'assistant', content: null, tool_calls: [calling('c3', 'f', signed('s')), calling('c4', 'f')] }
    const signatures = (marksCalls: boolean) =>
      [turn, own].map(message =>
        convert([message], marksCalls).contents[0].parts.map((part: JsonObject) => part.thoughtSignature),
      )

    expect(signatures(true)).toEqual([
      ['skip_thought_signature_validator', undefined],
      ['s', undefined],
    ])
    expect(signatures(false)[0]).toEqual([undefined, undefined])
  })

  test.each<[string, readonly JsonValue[], string, string]>([
    [
      'an answer to no call',
      [{ role: 'tool', tool_call_id: 'x', content: '' }],
      'invalid_request',
      'messages.0.tool_call_id',
    ],
    ['the older form', [{ role: 'function', name: 'f', content: '' }], 'unsupported_parameter', 'messages.0'],
    [
      'the older form of a call',
      [{ role: 'assistant', content: null, function_call: { name: 'f', arguments: '' } }],
      'unsupported_parameter',
      'messages.0',
    ],
    [
      'custom tools',
      [{ role: 'assistant', content: null, tool_calls: [{ id: 'c', type: 'custom', custom: {} }] }],
      'unsupported_parameter',
      'messages.0.tool_calls.0',
    ],
    [
      'an image as an answer',
      [{ role: 'tool', name: 'f', tool_call_id: 'c', content: [{ type: 'image_url' }] }],
      'unsupported_parameter',
      'messages.0.content.0',
    ],
  ])('%s are refused with their place', (_, messages, code, param) => {
    expect(refusal(messages)).toEqual([code, param])
  })
})
