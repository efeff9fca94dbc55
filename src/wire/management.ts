import { z } from 'zod'
import { modelStatus } from './models.ts'
import { serverView } from './orchestration.ts'

const page = <T extends z.ZodType>(entry: T) =>
  z.object({
    data: z.array(entry),
    next: z.string().nullable().describe('The value of `after` for the next page; null on the last page.'),
  })

/** Every model, for who manages the gateway. */
export const managedModels = page(modelStatus)

/** Every server, for who manages the gateway. */
export const managedServers = page(serverView)

/** The configuration as it holds now. */
export const configValues = page(
  z.object({
    key: z.string().describe('The path of the key, such as `service.port`.'),
    value: z.unknown().describe('The value in force: durations in milliseconds, sizes in bytes; secrets are left out.'),
    origin: z
      .string()
      .describe('Where the value comes from: `file:line:column`, the name of a variable or of a flag, or `default`.'),
  }),
)

/** What a reload came to. */
export const reloaded = z.object({
  reloaded: z.literal(true),
  warnings: z.array(z.string()).describe('Warnings about the configuration, such as keys that have no effect.'),
  restart: z.array(z.string()).describe('Changed keys that take effect only after a restart.'),
})
