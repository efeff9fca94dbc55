import { expect, test } from 'bun:test'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startNginx } from '#tests/support/nginx.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { startPostgres } from '#tests/support/postgres.ts'
import { startRedis } from '#tests/support/redis.ts'
import { freePorts } from '#tests/support/server-process.ts'
import { startUpstream } from '#tests/support/upstream.ts'
import { makeMachine, triedBlocks } from './tried.ts'

const HOUR_MS = 120_000
const SUPERUSER_PASSWORD = 'of-the-superuser'

test(
  'a newcomer’s hour ends with two gateways behind one address',
  async () => {
    await using server = await startUpstream(openAiScript())
    await using redis = await startRedis()
    await using postgres = await startPostgres(SUPERUSER_PASSWORD)
    const database = new URL(await postgres.database())
    const [first = 0, second = 0, https = 0] = await freePorts(3)
    await using machine = await makeMachine({
      '127.0.0.1:8080': `127.0.0.1:${server.port}`,
      'redis://127.0.0.1:6379': redis.url,
      'redis-cli ': `redis-cli -p ${redis.port} `,
      '127.0.0.1:5432': `127.0.0.1:${database.port}`,
      '8001': `${first}`,
      '8002': `${second}`,
      'listen 443': `listen 127.0.0.1:${https}`,
      'https://localhost/': `https://localhost:${https}/`,
    })
    const [configuration = ''] = triedBlocks('newcomers-hour.md', 'yaml')
    const [site = ''] = triedBlocks('proxy.md', 'nginx')
    const blocks = triedBlocks('newcomers-hour.md', 'bash')
    const isCertificate = (block: string) => block.startsWith('openssl')
    const until = blocks.findIndex(isCertificate) + 1
    // The two places where the guide asks for a file, and for nginx, stop the shell until they are there.
    const files = join(machine.folder, 'etc')
    await writeFile(join(files, 'gateway.yaml'), machine.here(configuration))
    const proxied = 'touch certificate-made\nuntil [ -e nginx-runs ]; do sleep 0.05; done'
    const running = machine.run([...blocks.slice(0, until), proxied, ...blocks.slice(until)], {
      PGHOST: '127.0.0.1',
      PGPORT: database.port,
      PGUSER: database.username,
      PGPASSWORD: SUPERUSER_PASSWORD,
      PGDATABASE: 'postgres',
    })
    const made = join(machine.folder, 'certificate-made')
    const ended = running.then(() => true)
    while (!(await Bun.file(made).exists()) && !(await Promise.race([ended, Bun.sleep(50)])));
    const nginx = (await Bun.file(made).exists()) ? await startNginx(machine.here(site), https) : null
    await writeFile(join(machine.folder, 'nginx-runs'), '')

    const { status, output, errors } = await running
    await nginx?.[Symbol.asyncDispose]()

    expect({ status, errors }).toEqual({ status: 0, errors: '' })
    expect(output).toContain('Is anybody there?')
    expect(output).toMatch(/^0 failed/m)
    expect(output).toContain('PONG')
    expect(output).toMatch(/data: .*"content":"Hello"[\s\S]*data: \[DONE\]/)
    const statuses = (await readFile(join(machine.folder, 'statuses.txt'), 'utf8')).trim().split('\n')
    const answered = statuses.filter(each => each === '200').length
    // The streamed call before took one of the 20; while it lasts, more come at one in three seconds.
    expect(answered).toBeWithin(19, 24)
    expect(statuses.filter(each => each === '429')).toHaveLength(30 - answered)
    // Refused calls leave a row too; the others answered three tokens each.
    expect(output).toMatch(new RegExp(`"requests":31,.*"output_tokens":${3 * (answered + 1)},`))
    expect(await readFile(join(machine.folder, 'second.log'), 'utf8')).toContain('"route":"/v1/chat/completions"')
  },
  HOUR_MS,
)
