import { cpus, release, totalmem } from 'node:os'
import { table } from './report.ts'

/** Describes what the figures were measured on, and with. */
export async function describeMachine(): Promise<string> {
  const processors = cpus()
  const gateway: { version: string } = await Bun.file(new URL('../../package.json', import.meta.url)).json()
  return table(
    ['', ''],
    [
      ['processor', `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown'}`],
      ['memory', `${Math.round(totalmem() / 1e9)} GB`],
      ['kernel', `${process.platform} ${release()}`],
      ['Bun', Bun.version],
      ['nginx', nginxVersion()],
      ['gateway', gateway.version],
      ['measured', new Date().toISOString()],
    ],
  )
}

function nginxVersion(): string {
  try {
    const path = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`
    const { stderr } = Bun.spawnSync(['nginx', '-v'], { env: { PATH: path } })
    return stderr.toString().trim().split('/').pop() ?? 'unknown'
  } catch {
    return 'not installed'
  }
}
