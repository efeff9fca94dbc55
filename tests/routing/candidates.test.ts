import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { resolveModels, type Wanted } from '#routing/candidates.ts'
import { anyone, model } from '#tests/support/calls.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'

const chat = model('chat', [targetOf('llm/mixtral'), targetOf('cloud/big')], { aliases: ['gpt-4o'] })
const small = model('small', [targetOf('llm/phi')])
const vectors = model('vectors', [targetOf('llm/embed')], { class: 'embedding' })
const demo = model('demo', [targetOf('demo/demo')], { eligible: false })
const fleet = [demo, chat, small, vectors]

function resolve(wanted: Partial<Wanted>, snapshot: Snapshot = snapshotOf(fleet)) {
  try {
    const found = resolveModels({ model: null, caller: anyone, endpoint: 'chat', ...wanted }, snapshot)
    return { names: found.models.map(each => each.name), target: found.target?.id ?? null }
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown
    throw thrown
  }
}

function only(...models: readonly string[]) {
  return { ...anyone, models: new Set(models) }
}

describe('a model that is named', () => {
  test.each([
    ['a public name', 'chat', { names: ['chat'], target: null }],
    ['an alias', 'gpt-4o', { names: ['chat'], target: null }],
    ['server/model', 'cloud/big', { names: ['chat'], target: 'cloud/big' }],
    ['the demo', 'demo', { names: ['demo'], target: null }],
  ])('is found by %s', (_, name, expected) => {
    expect(resolve({ model: name })).toEqual(expected)
  })

  test('as server/model is found in whichever model the key may use', () => {
    const twin = model('twin', [targetOf('llm/mixtral')])
    const ask = (...names: readonly string[]) =>
      resolve({ model: 'llm/mixtral', caller: only(...names) }, snapshotOf([twin, ...fleet]))

    expect(ask('small', 'twin')).toEqual({ names: ['twin'], target: 'llm/mixtral' })
    expect(ask('small')).toMatchObject({ code: 'model_not_allowed' })
  })

  test('that does not exist is refused with the closest names', () => {
    const error = resolve({ model: 'smal' })

    expect(error).toMatchObject({ code: 'model_not_found', param: 'model' })
    expect(error).toHaveProperty('message', 'The model "smal" does not exist: did you mean "small"?')
  })

  test('that is near nothing is refused with the way to all names', () => {
    expect(resolve({ model: 'zzzzzzzz' })).toHaveProperty(
      'message',
      'The model "zzzzzzzz" does not exist: GET /v1/models lists the models.',
    )
  })

  test('is never suggested to a key that may not use it', () => {
    const error = resolve({ model: 'smal', caller: only('chat') })

    expect(error).toMatchObject({ code: 'model_not_found' })
    expect(String(error)).not.toContain('"small"')
  })

  test('that is very long is cut in the message', () => {
    expect(String(resolve({ model: 'x'.repeat(5000) })).length).toBeLessThan(300)
  })

  test('is refused to a key that may not use it', () => {
    expect(resolve({ model: 'chat', caller: only('small') })).toMatchObject({ code: 'model_not_allowed', status: 403 })
    expect(resolve({ model: 'cloud/big', caller: only('small') })).toMatchObject({ code: 'model_not_allowed' })
  })

  test.each([
    ['the public name', 'chat'],
    ['an alias', 'gpt-4o'],
  ])('is given to a key whose list holds %s', (_, allowed) => {
    expect(resolve({ model: 'chat', caller: only(allowed) })).toMatchObject({ names: ['chat'] })
    expect(resolve({ model: 'gpt-4o', caller: only(allowed) })).toMatchObject({ names: ['chat'] })
  })

  test('as server/model is found in another model that the key may use', () => {
    const other = model('other', [targetOf('cloud/big')])

    const found = resolve({ model: 'cloud/big', caller: only('other') }, snapshotOf([chat, other]))

    expect(found).toEqual({ names: ['other'], target: 'cloud/big' })
  })
})

describe('no model, or auto', () => {
  test.each([null, '', 'auto'])('(%p) gets the default model', name => {
    expect(resolve({ model: name }, snapshotOf(fleet, { defaultModel: 'small' }))).toMatchObject({ names: ['small'] })
  })

  test('gets all eligible models with intelligent routing', () => {
    expect(resolve({}, snapshotOf(fleet, { intelligentRouting: true, defaultModel: 'small' }))).toMatchObject({
      names: ['chat', 'small'],
    })
  })

  test('gets only what the key may use', () => {
    const snapshot = snapshotOf(fleet, { intelligentRouting: true })

    expect(resolve({ caller: only('small', 'demo') }, snapshot)).toMatchObject({ names: ['small'] })
    expect(resolve({ caller: only('demo') }, snapshot)).toMatchObject({ code: 'model_not_allowed' })
  })

  test('gets an embedding model for embeddings, and only then', () => {
    const routed = snapshotOf(fleet, { intelligentRouting: true })
    const fixed = snapshotOf(fleet, { defaultModel: 'chat' })

    expect(resolve({ endpoint: 'embeddings' }, routed)).toMatchObject({ names: ['vectors'] })
    expect(resolve({ endpoint: 'embeddings' }, snapshotOf(fleet))).toMatchObject({ names: ['vectors'] })
    expect(resolve({ endpoint: 'embeddings' }, snapshotOf([vectors, chat]))).toMatchObject({ names: ['vectors'] })
    expect(resolve({ endpoint: 'completions' }, snapshotOf([vectors, chat]))).toMatchObject({ names: ['chat'] })
    expect(resolve({ endpoint: 'embeddings' }, fixed)).toMatchObject({ names: ['vectors'] })
    expect(resolve({ endpoint: 'embeddings' }, snapshotOf([chat], { defaultModel: 'chat' }))).toMatchObject({
      names: ['chat'],
    })
  })

  test('gets the first eligible model when nothing says which', () => {
    expect(resolve({})).toMatchObject({ names: ['chat'] })
  })

  test('never gets the demo', () => {
    const error = resolve({}, snapshotOf([demo]))

    expect(error).toMatchObject({ code: 'invalid_request', status: 400, param: 'model' })
    expect(String(error)).toContain('model is required')
    expect(String(error)).toContain('gateway.default_model')
  })

  test('is told when the default model does not exist', () => {
    expect(resolve({}, snapshotOf(fleet, { defaultModel: 'gone' }))).toMatchObject({ code: 'model_not_found' })
  })

  test('named auto is a model where one is called so', () => {
    const snapshot = snapshotOf([chat, model('auto', [targetOf('x/y')])], { defaultModel: 'chat' })

    expect(resolve({ model: 'auto' }, snapshot)).toMatchObject({ names: ['auto'] })
  })
})

describe('with model routing turned off', () => {
  const snapshot = snapshotOf(fleet, { modelRoutingEnabled: false, intelligentRouting: true, defaultModel: 'small' })

  test.each([null, 'chat', 'unknown', 'llm/mixtral'])('%p gets the default model', name => {
    expect(resolve({ model: name }, snapshot)).toEqual({ names: ['small'], target: null })
  })

  test('an embedding model that is named is kept', () => {
    const other = model('other', [targetOf('llm/other')], { class: 'embedding' })
    const both = snapshotOf([...fleet, other], snapshot.settings)

    for (const name of ['vectors', 'other'])
      expect(resolve({ model: name, endpoint: 'embeddings' }, both)).toMatchObject({ names: [name] })
    expect(resolve({ model: 'vectors' }, both)).toMatchObject({ names: ['small'] })
  })
})
