import { z } from '@hono/zod-openapi'
import { alertGroup, statusReport, webhookReceipt } from '#wire/webhooks.ts'
import { jsonAnswer, type Operation } from '../operation.ts'
import { shell } from '../samples.ts'

const BASE = 'http://localhost:8000/webhooks'

const alerts = {
  version: '4',
  groupKey: '{}:{alertname="HighLoad"}',
  truncatedAlerts: 0,
  status: 'firing',
  receiver: 'citadel',
  groupLabels: { alertname: 'HighLoad' },
  commonLabels: { alertname: 'HighLoad', server: 'demo' },
  commonAnnotations: {},
  externalURL: 'http://alertmanager:9093',
  alerts: [
    {
      status: 'firing',
      labels: { alertname: 'HighLoad', server: 'demo', severity: 'warning' },
      annotations: { summary: 'The GPU is hot' },
      startsAt: '2026-11-21T09:00:00.000Z',
      endsAt: '0001-01-01T00:00:00Z',
      generatorURL: 'http://prometheus:9090/graph',
      fingerprint: 'c4a3f8b1d2e59607',
    },
  ],
}

const headers = z.object({
  'webhook-id': z
    .string()
    .optional()
    .describe('The id of the message; a message with an id that has come before is ignored.'),
  'webhook-timestamp': z
    .string()
    .optional()
    .describe('When the message was sent, in Unix seconds; at most five minutes from now.'),
  'webhook-signature': z
    .string()
    .optional()
    .describe('`v1,` and the signature of the message, as the specification Standard Webhooks defines it.'),
})

const taken = {
  200: jsonAnswer('The message was accepted.', webhookReceipt, {
    taken: { summary: 'One server was changed', value: { received: true, applied: 1 } },
  }),
}

const signed = {
  tag: 'Webhooks',
  headers,
  answers: taken,
  passes: ['body'],
  errors: ['invalid_signature', 'rate_limit_exceeded', 'dependency_unavailable', 'overloaded'],
} as const

/** A program that signs a message and sends it. */
function signing(type: string, body: string): Operation['samples'][number] {
  const source = [
    `BODY='${body}'`,
    `ID=msg-$(date +%s%N)`,
    'NOW=$(date +%s)',
    `SIGNATURE=$(printf '%s.%s.%s' "$ID" "$NOW" "$BODY" |`,
    '  openssl dgst -sha256 -hmac "$CITADEL_WEBHOOK_SECRET" -binary | base64)',
    `curl ${BASE}/${type} -d "$BODY" \\`,
    '  -H "webhook-id: $ID" -H "webhook-timestamp: $NOW" -H "webhook-signature: v1,$SIGNATURE"',
  ]
  return shell(...source)
}

/** The operations below `/webhooks`. */
export const webhookOperations = {
  takeAlerts: {
    ...signed,
    summary: 'Receive alerts of Alertmanager',
    description:
      'An alert with a label `server` marks that server as degraded, or drains it where a label `action` is `drain`; when it is resolved, that is undone. Alertmanager cannot sign: it sends the secret as a bearer token, or as the password of basic authentication.',
    body: { schema: alertGroup, examples: { firing: { summary: 'An alert that fires', value: alerts } } },
    samples: [
      shell(
        `curl ${BASE}/alertmanager -H "authorization: Bearer $CITADEL_WEBHOOK_SECRET" \\\n  -d '{ "version": "4", "status": "resolved", "alerts": [] }'`,
      ),
    ],
  },
  takeServerStatus: {
    ...signed,
    summary: 'Receive the status of a server',
    description:
      'Receives the status of a server from a monitor: `degraded` only marks the server, `unhealthy` drains it, and `healthy` undoes both. With `load_metrics` it counts as a heartbeat of a registered server.',
    body: {
      schema: statusReport,
      examples: { degraded: { summary: 'A server that is slow', value: { server_id: 'demo', status: 'degraded' } } },
    },
    samples: [signing('server_status', '{"server_id":"demo","status":"healthy"}')],
  },
  takeWebhook: {
    ...signed,
    params: z.object({ type: z.string().describe('The kind of message: a name in `webhooks.secrets`.') }),
    summary: 'Receive any other message',
    description: 'The message is checked, logged and counted; it changes nothing.',
    body: {
      schema: z.unknown(),
      examples: { deployed: { summary: 'Anything', value: { deployed: '1.2.3' } } },
    },
    samples: [signing('deploy', '{"deployed":"1.2.3"}')],
  },
} as const satisfies Record<string, Operation>
