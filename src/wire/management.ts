import { z } from 'zod'
import { modelStatus } from './models.ts'
import { serverView } from './orchestration.ts'

const page = <T extends z.ZodType>(entry: T) => z.object({ data: z.array(entry), next: z.string().nullable() })

/** Every model, for who manages the gateway. */
export const managedModels = page(modelStatus)

/** Every server, for who manages the gateway. */
export const managedServers = page(serverView)

/** The configuration as it holds now. */
export const configValues = page(
  z.object({
    key: z.string().describe('Its path, with dots.'),
    value: z.unknown().describe('What holds: durations in milliseconds, sizes in bytes; never a secret.'),
    origin: z.string().describe('Where it was written: `file:line:column`, a variable or a flag; else `default`.'),
  }),
)

/** What a reload came to. */
export const reloaded = z.object({
  reloaded: z.literal(true),
  warnings: z.array(z.string()).describe('What the configuration says in vain.'),
  restart: z.array(z.string()).describe('Keys that have changed and are taken over only by a restart.'),
})
