import { expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { SQL } from 'bun'
import { ownFolder } from '#tests/support/server-process.ts'
import { run, start } from './child.ts'

setDefaultTimeout(60_000)

test('the command tells a whole audit log from one that was changed', async () => {
  const folder = await ownFolder('citadel-verify-')
  const text = `service: { data_dir: ${folder.path} }\ngateway: { discover: false, demo: true }\n`
  const verify = async () => {
    await using child = await run(['audit', 'verify', '--config', 'g.yaml'], { files: { 'g.yaml': text } })
    const status = await child.exited
    return { status, out: child.out() }
  }
  {
    await using gateway = await start(text, {})
    for (let call = 0; call < 3; call++) {
      const body = JSON.stringify({ model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }] })
      const response = await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', body })
      expect(response.status).toBe(200)
    }
    gateway.kill('SIGINT')
    await gateway.exited
  }
  const whole = await verify()
  const sql = new SQL({ adapter: 'sqlite', filename: join(folder.path, 'citadel.db') })
  await sql`UPDATE requests SET output_tokens = output_tokens + 1`
  await sql.close()
  const changed = await verify()
  const newer = new SQL({ adapter: 'sqlite', filename: join(folder.path, 'citadel.db') })
  await newer`INSERT INTO migrations VALUES (999, 0)`
  await newer.close()
  const unknown = await verify()
  await folder.remove()

  expect([whole.status, changed.status, unknown.status]).toEqual([0, 1, 1])
  expect(whole.out).toContain('the audit log is whole')
  expect(whole.out).toContain(' 3 sealed requests, 0 not sealed')
  expect(changed.out).toContain('the audit log was changed')
  expect(unknown.out).toContain('a newer version of the gateway has written here')
  expect(unknown.out).not.toContain('the audit log was changed')
})

test('the command says how it is used', async () => {
  await using child = await run(['audit', 'forget'])

  expect(await child.exited).toBe(64)
  expect(child.err()).toContain('citadel audit verify')
})
