import { expect, test } from 'bun:test'
import { createRoutes } from '#http/routes.ts'
import type { Services } from '#http/services.ts'
import { complaints, loadText } from '#tests/support/config-texts.ts'

const routes = createRoutes({ extraPaths: { health: '/health', metrics: '/metrics' } } as unknown as Services)
/** Every path that is served, as somebody might ask for it. */
const served = new Set(
  routes.flatMap(({ path }) => {
    const whole = path.replace(/:\w+(\{[^}]*\})?/g, 'some')
    return [whole, whole.replace(/^\/v1/, ''), `${whole}/`]
  }),
)
const isOf = (page: string) => (path: string) => new RegExp(`^(/v1)?/${page}/?$`).test(path)

async function taken(key: string): Promise<string[]> {
  const paths: string[] = []
  for (const path of served)
    if ((await complaints(loadText(`monitoring: { ${key}: ${path} }`))).length === 0) paths.push(path)
  return paths
}

test.each([
  ['health_check_endpoint', 'health'],
  ['metrics_endpoint', 'metrics'],
])('%s takes the place of no other page', async (key, page) => {
  expect((await taken(key)).filter(path => !isOf(page)(path))).toEqual([])
  expect((await taken(key)).toSorted()).toEqual([...served].filter(isOf(page)).toSorted())
})

test.each(['/healthz', '/prometheus', '/up/', '/model', '/internal/metrics'])('%s is free', async path => {
  expect(await complaints(loadText(`monitoring: { metrics_endpoint: ${path} }`))).toEqual([])
})
