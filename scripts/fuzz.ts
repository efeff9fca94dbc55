// Does the transport read every answer as it is to be read? `bun scripts/fuzz.ts --runs 1000000 --seed 1`: random answers,
// valid and not, at random splits, to the parser and to a second one that is slow and obvious. Ends with 1 at the first
// difference, crash or hang, and says which seed makes it again.
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Told } from './fuzz/worker.ts'

/** A thousand answers take some 30 ms; what takes this long does not end. */
const HUNG_MS = 60_000

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } },
})
const [runs, seed] = [Number(values.runs), Number(values.seed)]
const begun = performance.now()
const worker = new Worker(join(import.meta.dir, 'fuzz/worker.ts'))
let done = 0
let watchdog = setTimeout(hang, HUNG_MS)

worker.onmessage = ({ data }: MessageEvent<Told>) => {
  clearTimeout(watchdog)
  if (data.failure !== null) end(`seed ${data.seed}: ${data.failure}`, 1)
  else if (data.done === runs) end(`${runs} answers in ${seconds()} s: ${JSON.stringify(data.counts)}`, 0)
  else {
    if (Math.floor(data.done / 100_000) > Math.floor(done / 100_000))
      process.stderr.write(`${data.done} · ${seconds()} s\n`)
    done = data.done
    watchdog = setTimeout(hang, HUNG_MS)
  }
}
worker.onerror = ({ message }) => end(`the parser crashed after seed ${seed + done}: ${message}`, 1)
worker.postMessage({ runs, seed })

function hang(): void {
  end(`no end after ${HUNG_MS / 1000} s, between the seeds ${seed + done} and ${seed + done + 1000}`, 1)
}

function end(text: string, code: number): void {
  process.stdout.write(`${text}\n`)
  process.exit(code)
}

function seconds(): number {
  return Math.round((performance.now() - begun) / 1000)
}
