import type { Config } from '#config/schema.ts'
import type { Gateway, Overrides } from './compose/gateway.ts'
import { compose } from './compose.ts'

export { configFrom } from '#config/load.ts'
export type { Gateway, Overrides } from './compose/gateway.ts'

/** Creates a gateway: one Web-standard `fetch`, usable with or without a socket.
 *
 * @param overrides What varies in tests or in another host: clock, random numbers, transport, environment, log sink.
 * @example
 * const gateway = createGateway(configFrom({ gateway: { demo: true } }))
 * const response = await gateway.fetch(new Request('http://localhost/v1/models'))
 * await gateway.close() */
export function createGateway(config: Config, overrides: Overrides = {}): Gateway {
  return compose(config, overrides)
}
