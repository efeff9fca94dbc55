import { expect, test } from 'bun:test'
import { complaints, loadText, loadTexts } from '#tests/support/config-texts.ts'

const text = `
service: { secret_file: /run/secret }
servers: [{ id: a, kind: openai, api_key_file: openai.key }]
auth: { keys: [{ name: web, key_file: /run/web }] }
redis: { url_file: /run/redis }
database: { url_file: /run/database }
webhooks: { deliver: [{ url: "https://a", secret_file: /run/hook }] }
`
const others = {
  '/run/secret': 'one\n',
  '/etc/citadel/openai.key': 'two',
  '/run/web': '  three\n',
  '/run/redis': 'redis://:four@host',
  '/run/database': 'postgres://u:five@host/db',
  '/run/hook': 'six',
}

test('reads secrets from files beside the configuration, without the line end', async () => {
  const { config, files } = await loadTexts({ '/etc/citadel/gateway.yaml': text }, { others })

  expect(config.service.secret).toBe('one')
  expect(config.servers[0]?.api_keys).toEqual(['two'])
  expect(config.auth.keys[0]?.key).toBe('three')
  expect(config.redis.url).toEqual(['redis://:four@host'])
  expect(config.database.url).toBe('postgres://u:five@host/db')
  expect(config.webhooks.deliver[0]?.secret).toBe('six')
  expect(files).toEqual(['/etc/citadel/gateway.yaml', ...Object.keys(others)])
})

test('tells of secret files that are missing, empty, or given twice', async () => {
  const broken = `
servers:
  - { id: a, kind: openai, api_key_file: /no }
  - { id: b, kind: openai, api_key_file: /empty }
  - { id: c, kind: openai, api_key_file: /full, api_key: x }
`
  const said = await complaints(loadText(broken, { others: { '/empty': ' \n', '/full': 'x' } }))

  expect(said).toEqual([
    'gateway.yaml:3:42  servers.0.api_key_file: /no does not exist',
    'gateway.yaml:4:42  servers.1.api_key_file: /empty is empty',
    'gateway.yaml:5:28  servers.2.api_key_file: give api_key or api_key_file, not both',
  ])
})

test('tells of values that are not in UTF-8, whose letters are lost, and leaves comments alone', async () => {
  const lost = Buffer.from('grün', 'latin1').toString('utf8')
  const text = `# ${lost}
redis: { url_file: /run/redis }
database: { url: "postgres://user:${lost}@host/db" } # ${lost}
`
  const said = await complaints(loadText(text, { others: { '/run/redis': `redis://:${lost}@host` } }))

  expect(said).toEqual([
    'gateway.yaml:2:20  redis.url_file: /run/redis is not in UTF-8',
    'gateway.yaml:3:18  database.url: is not in UTF-8',
  ])
})

test('never shows what a secret file holds', async () => {
  const said = await complaints(loadText('redis: { url_file: /run/redis }', { others: { '/run/redis': 'canary' } }))

  expect(said).toEqual(['gateway.yaml:1:20  redis.url: expected an address such as redis://127.0.0.1:6379'])
})
