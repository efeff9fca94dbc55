import { dashboardOf } from './dashboard/layout.ts'
import { ROWS } from './dashboard/panels.ts'

const FILE = new URL('../config/grafana/citadel.json', import.meta.url)

await Bun.write(FILE, `${JSON.stringify(dashboardOf(ROWS), null, 2)}\n`)
