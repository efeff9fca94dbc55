import type { Delivered } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Target } from '#core/servers.ts'
import { toRequest } from '../openai_compatible/request.ts'
import { type Service, USUAL } from '../openai_compatible/services.ts'
import type { Outgoing } from '../provider.ts'
import { refuseUnsupported } from '../unsupported.ts'
import { DROPPED, UNSUPPORTED } from './parameters.ts'

const SERVICE: Service = { ...USUAL, name: 'DeepSeek', dropped: DROPPED }

/** Builds the request of a call.
 *
 * @throws GatewayError `unsupported_parameter` for what DeepSeek cannot do. */
export function toDeepseekRequest(call: Call, target: Target, secret: string | null, delivered?: Delivered): Outgoing {
  refuseUnsupported(call, UNSUPPORTED)
  return toRequest(withThinking(call), target, secret, delivered, SERVICE)
}

/** DeepSeek maps every effort to one that it has, but not thinking at all has a switch of its own. */
function withThinking(call: Call): Call {
  if (call.body.reasoning_effort !== 'none') return call
  const { reasoning_effort: _, ...rest } = call.body
  return { ...call, source: null, body: { thinking: { type: 'disabled' }, ...rest } }
}
