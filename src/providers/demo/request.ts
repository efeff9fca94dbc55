import type { Delivered } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Target } from '#core/servers.ts'
import { openaiCompatible } from '../openai_compatible/index.ts'
import { toRequest } from '../openai_compatible/request.ts'
import { type Service, USUAL } from '../openai_compatible/services.ts'
import { type Parameters, parametersWith } from '../parameters.ts'
import type { Outgoing } from '../provider.ts'
import { refusedParameters, refuseUnsupported, SEVERAL_CHOICES, type Unsupported } from '../unsupported.ts'

/** What needs more than the one answer that there is. */
const UNSUPPORTED: readonly Unsupported[] = [
  SEVERAL_CHOICES,
  {
    param: 'prompt',
    refused: value => Array.isArray(value) && value.length > 1 && typeof value[0] !== 'number',
    what: 'several prompts in one request',
    instead: 'send them one by one',
    partly: true,
  },
]

const SERVICE: Service = { ...USUAL, name: 'citadel-demo', dropped: ['stop', 'logprobs', 'top_logprobs'] }

const { chat, completions } = openaiCompatible.parameters
const dropped = Object.fromEntries(SERVICE.dropped.map(name => [name, { treatment: 'dropped' } as const]))

/** What becomes of each parameter at the demonstration model. */
export const parameters: Parameters = parametersWith({
  chat: { ...chat, ...refusedParameters([SEVERAL_CHOICES]), ...dropped },
  completions: { ...completions, ...refusedParameters(UNSUPPORTED) },
})

/** Builds the request of a call.
 *
 * @throws GatewayError `unsupported_parameter` for what would have more than one answer. */
export function toDemoRequest(call: Call, target: Target, secret: string | null, delivered?: Delivered): Outgoing {
  refuseUnsupported(call, UNSUPPORTED)
  return toRequest(call, target, secret, delivered, SERVICE)
}
