import { expect, test } from 'bun:test'
import { readFile } from 'node:fs/promises'

const ROOT = new URL('../../', import.meta.url)
const SETTING = /MIMALLOC_PURGE_DELAY\W+(\d+)/

test('every way to start the gateway, and the benchmark, gives memory back as late', async () => {
  const files = [
    'package.json',
    'scripts/bench/subjects.ts',
    'config/deploy/systemd/citadel.service',
    'config/deploy/docker/Dockerfile',
  ]
  const texts = await Promise.all(files.map(file => readFile(new URL(file, ROOT), 'utf8')))

  expect(texts.map(text => SETTING.exec(text)?.[1])).toEqual(['1000', '1000', '1000', '1000'])
})
