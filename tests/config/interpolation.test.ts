// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to variables are what is tested
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { interpolate } from '#config/interpolate.ts'
import { complaints, loadText, loadTexts } from '#tests/support/config-texts.ts'

const env = { NAME: 'value', EMPTY: '', TRICKY: '${NAME} $NAME: [' }

test.each([
  ['plain', 'plain'],
  ['${NAME}', 'value'],
  ['a-${NAME}-${NAME}', 'a-value-value'],
  ['${NAME:-other}', 'value'],
  ['${ABSENT:-other}', 'other'],
  ['${EMPTY:-http://host:80/a}', 'http://host:80/a'],
  ['${EMPTY}', ''],
  ['$${NAME}', '${NAME}'],
  ['$$$${NAME}', '$${NAME}'],
  ['pa$word $5', 'pa$word $5'],
  ['$$NAME', '$NAME'],
  ['${ABSENT:-a$$b}', 'a$b'],
  ['${ABSENT:-$$NAME}', '$NAME'],
  ['${ABSENT:-a$b $5}', 'a$b $5'],
  ['pa$NAME', 'pa$NAME'],
  ['^[a-z]+$', '^[a-z]+$'],
  ['${TRICKY}', '${NAME} $NAME: ['],
])('replaces %j by %j', (text, value) => {
  expect(interpolate(text, env)).toMatchObject({ value, errors: [] })
})

test.each([
  ['${ABSENT}', 'the variable ABSENT is not set; write ${ABSENT:-} if it may be absent'],
  ['${EMPTY:?must name the site}', 'EMPTY: must name the site'],
  ['${ABSENT:?}', 'the variable ABSENT is not set'],
  ['$NAME', 'a variable is written with braces: ${VAR}; write "$$" for a dollar sign'],
  ['Bearer $NAME', 'a variable is written with braces: ${VAR}; write "$$" for a dollar sign'],
  ['redis://:$NAME@cache:6379', 'a variable is written with braces: ${VAR}; write "$$" for a dollar sign'],
  ['${NAME', 'a reference has no closing "}"; write "$$" for a dollar sign'],
  ['${ABSENT:-$NAME}', 'a variable is written with braces: ${VAR}; write "$$" for a dollar sign'],
  ['${1NAME}', 'cannot read a reference; write ${VAR}, ${VAR:-default} or ${VAR:?message}'],
  ['${NAME:-${OTHER}}', 'cannot read a reference; write ${VAR}, ${VAR:-default} or ${VAR:?message}'],
  ['${toString}', 'the variable toString is not set; write ${toString:-} if it may be absent'],
])('complains about %j', (text, message) => {
  expect(interpolate(text, env).errors).toEqual([message])
})

test('leaves text without a dollar sign as it is', () => {
  fc.assert(
    fc.property(
      fc.string().filter(text => !text.includes('$')),
      text => interpolate(text, env).value === text,
    ),
  )
})

test('gives back any text in which dollar signs are doubled', () => {
  fc.assert(fc.property(fc.string(), text => interpolate(text.replaceAll('$', '$$$$'), env).value === text))
})

test('reads what a variable holds as a value and never as YAML', async () => {
  const { config } = await loadText('service: { name: "${NAME}" }', { env: { NAME: 'a, port: 1 }\n# x' } })

  expect(config.service.name).toBe('a, port: 1 }\n# x')
  expect(config.service.port).toBe(8000)
})

test('takes a key as not written when its variable gives nothing', async () => {
  const text =
    'service: { port: "${PORT:-}" }\nauth: { admin_keys: ["${A:-}", "${B:-}"] }\nservers: [{ id: a, kind: openai, api_key: "${C:-}" }]'

  const { config } = await loadText(text, { env: { B: 'bee' } })

  expect(config.service.port).toBe(8000)
  expect(config.auth.admin_keys).toEqual(['bee'])
  expect(config.servers[0]?.api_keys).toEqual([])
})

test('keeps what an earlier file said when a variable gives nothing', async () => {
  const { config } = await loadTexts({
    'a.yaml': 'service: { name: base }',
    'b.yaml': 'service: { name: "${NAME:-}" }',
  })

  expect(config.service.name).toBe('base')
})

test('says that a required value came from a variable that gave nothing', async () => {
  const said = await complaints(loadText('auth:\n  keys:\n    - { name: web, key: "${WEB_KEY:-}" }'))

  expect(said).toEqual(['gateway.yaml:3:25  auth.keys.0.key: needs key or key_file; "${WEB_KEY:-}" gave nothing'])
})
