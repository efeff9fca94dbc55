import type { Origins } from '#config/origins.ts'
import type { Config } from '#config/schema.ts'
import { GatewayError } from '#core/errors.ts'
import { showConfig } from '#gateway/management/show-config.ts'
import type { Services } from '#http/services.ts'
import { createRedactor } from '#telemetry/quote.ts'
import { secretsOf } from './edge.ts'

/** Builds what operators can see and change of the configuration.
 *
 * @param reload Reads it again; `undefined` where it was not read from files. */
export function composeSettings(
  current: () => { readonly config: Config; readonly origins: Origins },
  reload: Services['settings']['reload'] = noReload,
): Services['settings'] {
  return {
    show(tenant) {
      const { config, origins } = current()
      const secrets = secretsOf(config)
      return showConfig({ config, tenant, origins, secrets, redact: createRedactor(secrets) })
    },
    reload,
  }
}

async function noReload(): Promise<never> {
  throw new GatewayError('conflict', 'This gateway was not started from files that could be read again.')
}
