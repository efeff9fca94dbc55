import { expect, test } from 'bun:test'
import { readFile } from 'node:fs/promises'

const ROOT = new URL('../../', import.meta.url)
const STARTERS = [
  'package.json',
  'scripts/bench/subjects.ts',
  'config/deploy/systemd/citadel.service',
  'config/deploy/docker/Dockerfile',
]

test.each([
  ['gives memory back as late', /MIMALLOC_PURGE_DELAY\W+(\d+)/, '1000'],
  ['forgets names as soon', /BUN_CONFIG_DNS_TIME_TO_LIVE_SECONDS\W+(\d+)/, '5'],
])('every way to start the gateway, and the benchmark, %s', async (_, setting, value) => {
  const texts = await Promise.all(STARTERS.map(file => readFile(new URL(file, ROOT), 'utf8')))

  expect(texts.map(text => setting.exec(text)?.[1])).toEqual(STARTERS.map(() => value))
})
