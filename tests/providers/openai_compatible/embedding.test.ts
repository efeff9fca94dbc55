import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { GatewayError } from '#core/errors.ts'
import { fromBase64Vector, toBase64Vector } from '#providers/openai_compatible/embedding.ts'
import { openaiCompatible } from '#providers/openai_compatible/index.ts'
import { callOf } from '#tests/providers/replay.ts'
import { call } from '#tests/support/calls.ts'
import { recordedCase } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'

const one = [0.5, -0.25, 1]
const oneAsText = 'AAAAPwAAgL4AAIA/'
const item = (index: number, embedding: unknown) => ({ object: 'embedding', index, embedding })

function decode(data: unknown, body: object) {
  const text = JSON.stringify({ object: 'list', data, model: 'm', usage: { prompt_tokens: 5, total_tokens: 5 } })
  const answer = openaiCompatible.decode(
    call({ endpoint: 'embeddings', stream: false, body: { input: 'a', ...body } }),
    text,
  )
  return answer instanceof GatewayError
    ? answer
    : { ...answer, same: answer.text === text, data: JSON.parse(answer.text).data }
}

test('a vector is base64 of little-endian float32', () => {
  expect(toBase64Vector(one)).toBe(oneAsText)
  expect(fromBase64Vector(oneAsText)).toEqual(one)
})

test('a vector survives the way there and back, as float32', () => {
  const vector = fc.array(fc.float({ noNaN: true }), { minLength: 1 })
  fc.assert(
    fc.property(vector, values => {
      expect(fromBase64Vector(toBase64Vector(values))).toEqual(values)
    }),
  )
})

test.each(['', 'AAAA', 'AAAAPwA='])('the text %j is not read as a vector', text => {
  expect(fromBase64Vector(text)).toBeNull()
})

describe('the caller gets the encoding it asked for', () => {
  test.each([
    ['float', one, 'float', one, true],
    ['base64', oneAsText, 'base64', oneAsText, true],
    ['float for base64', one, 'base64', oneAsText, false],
    ['base64 for float', oneAsText, 'float', one, false],
    ['base64 for nothing said', oneAsText, undefined, one, false],
    ['float for nothing said', one, undefined, one, true],
  ])('from a server that gives %s', (_, given, encoding_format, expected, same) => {
    expect(decode([item(0, given)], { encoding_format })).toMatchObject({ same, data: [item(0, expected)] })
  })

  test('in the order of the inputs, whatever order the server gave', () => {
    const answer = decode([item(1, one), item(0, [1, 2])], { input: ['a', 'b'], encoding_format: 'base64' })

    expect(answer).toMatchObject({ data: [{ index: 0 }, { index: 1, embedding: oneAsText }] })
  })

  test('in the order that the server gave, where its indexes are no order', () => {
    const answer = decode([item(0, one), item(0, [1, 2])], { input: ['a', 'b'] })

    expect(answer).toMatchObject({ data: [item(0, one), item(1, [1, 2])] })
  })

  test('with indexes where the server gave none', () => {
    const answer = decode([{ embedding: one }, { embedding: one }], { input: ['a', 'b'] })

    expect(answer).toMatchObject({ data: [item(0, one), item(1, one)] })
  })
})

test('the tokens of the prompt are counted in the answer', () => {
  expect(decode([item(0, one)], {})).toMatchObject({ usage: { input: 5, output: 0 } })
})

test.each<[string, unknown, unknown]>([
  ['no data', undefined, 'a'],
  ['an empty list', [], 'a'],
  ['fewer vectors than texts', [item(0, one)], ['a', 'b']],
  ['more vectors than texts', [item(0, one), item(1, one)], 'a'],
  ['an empty vector', [item(0, [])], 'a'],
  ['no vector', [{ index: 0 }], 'a'],
  ['a vector that is no text of floats', [item(0, 'AAA')], 'a'],
  ['null', [null], 'a'],
])('an answer with %s cannot be read', (_, data, input) => {
  expect(decode(data, { input })).toMatchObject({ code: 'upstream_invalid_response' })
})

test.each([
  ['a list of tokens', [1, 2, 3], 1],
  ['lists of tokens', [[1, 2], [3]], 2],
  ['texts', ['a', 'b', 'c'], 3],
])('%s is answered by %#', (_, input, count) => {
  const data = Array.from({ length: count }, (_, index) => item(index, one))

  expect(decode(data, { input })).toMatchObject({ same: true })
})

describe.skipIf(sharedDir() === null)('recorded vectors', () => {
  test.each(['openai/embeddings-base64-dimensions', 'openai/embeddings-batch-base64'])(
    '%s become floats again',
    name => {
      const recorded = recordedCase(name)
      const asked = callOf(recorded)

      const answer = openaiCompatible.decode(
        { ...asked, body: { ...asked.body, encoding_format: 'float' } },
        recorded.text,
      )

      const { data } = JSON.parse(answer instanceof GatewayError ? '' : answer.text)
      for (const { embedding } of data) expect(Math.hypot(...embedding)).toBeCloseTo(1, 3)
      const again = data.map(({ embedding }: { embedding: number[] }) => toBase64Vector(embedding))
      expect(again).toEqual(JSON.parse(recorded.text).data.map(({ embedding }: { embedding: string }) => embedding))
    },
  )
})
