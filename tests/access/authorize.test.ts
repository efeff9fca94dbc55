import { describe, expect, test } from 'bun:test'
import { authorize, type Need } from '#access/authorize.ts'
import { ANONYMOUS, type AuthMode, CALLS_ONLY, UNRECOGNISED } from '#access/keys.ts'
import type { Caller, Role } from '#core/caller.ts'

const needs: readonly Need[] = ['anyone', 'caller', 'observer', 'viewer', 'operator', 'admin']

function answers(caller: Caller, mode: AuthMode): string {
  return needs.map(need => authorize(caller, need, mode)?.code ?? 'ok').join(' ')
}

function withRole(role: Role): Caller {
  return { ...ANONYMOUS, id: 'web', role }
}

const missing = 'missing_api_key'
const denied = 'permission_denied'

describe('who may use which route', () => {
  test.each<[string, Caller, AuthMode, string]>([
    ['anybody where no key is needed', ANONYMOUS, 'none', `ok ok ok ${missing} ${missing} ${missing}`],
    ['anybody where a key is optional', ANONYMOUS, 'optional', `ok ok ${missing} ${missing} ${missing} ${missing}`],
    ['anybody where a key is required', ANONYMOUS, 'required', `ok ${Array(5).fill(missing).join(' ')}`],
    ['a caller where no key is needed', CALLS_ONLY, 'none', `ok ok ok ${denied} ${denied} ${denied}`],
    ['a caller', withRole('caller'), 'required', `ok ok ${Array(4).fill(denied).join(' ')}`],
    ['a viewer', withRole('viewer'), 'required', `ok ok ok ok ${denied} ${denied}`],
    ['an operator', withRole('operator'), 'required', `ok ok ok ok ok ${denied}`],
    ['an admin', withRole('admin'), 'required', 'ok ok ok ok ok ok'],
    ['an admin where no key is needed', withRole('admin'), 'none', 'ok ok ok ok ok ok'],
  ])('%s', (_, caller, mode, expected) => {
    expect(answers(caller, mode)).toBe(expected)
  })

  test('a key that is not known is called so where one is needed after all', () => {
    expect(authorize(UNRECOGNISED, 'operator', 'none')).toMatchObject({ code: 'invalid_api_key' })
  })
})
