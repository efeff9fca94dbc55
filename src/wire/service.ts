import { z } from 'zod'

const path = () => z.string()

/** The answer of `GET /` for a program. */
export const gatewayCard = z
  .object({
    gateway: z.string().describe('The name of this gateway.'),
    version: z.string().describe('Its version.'),
    docs: path().describe('Where the documentation is.'),
    api: path().describe('What a base URL ends in.'),
    openapi: path().describe('Where the OpenAPI document is.'),
    health: path().describe('Where the health report is.'),
  })
  .meta({ id: 'Gateway', description: 'What answers at this address.' })
