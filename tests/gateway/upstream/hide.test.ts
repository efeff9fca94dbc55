import { expect, test } from 'bun:test'
import { hideSecrets } from '#gateway/upstream/hide.ts'
import { toUpstreamError } from '#providers/upstream-error.ts'
import { server } from '#tests/support/calls.ts'

const KEY = 'ab12cd34ef56ab12cd34ef56'

test.each([0, 1980, 1985, 1990, 1994])(
  'a key that a server quotes behind %d characters is not told, not even begun',
  at => {
    const message = `${'x'.repeat(at)} ${KEY} is no key`
    const error = toUpstreamError(400, { message, code: null, type: null, param: null })

    const told = hideSecrets(error, server('a', { secrets: [KEY] })).message

    expect(told).not.toContain(KEY.slice(0, 6))
    expect(told).toStartWith('x'.repeat(at))
  },
)
