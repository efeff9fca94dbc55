// A small application that is moving from a provider to the gateway.
//
//   node ask.mjs "What is a gateway?"
//
// CITADEL_URL, CITADEL_KEY          the gateway
// OPENAI_BASE_URL, OPENAI_API_KEY   the provider that it called before
// GATEWAY_ENABLED=false             back to the provider at once
// GATEWAY_PERCENT=10                a tenth of the questions through the gateway
// GATEWAY_COMPARE_PERCENT=100       every question to both, and a line about how they differ
// GATEWAY_FALLBACK=false            an outage of the gateway is an error
import { CitadelError, createClient, migrate, migrationFromEnv } from 'citadel-gateway/client'

const gateway = createClient({
  baseUrl: process.env.CITADEL_URL ?? 'http://localhost:8000',
  apiKey: process.env.CITADEL_KEY,
})

const ask = migrate(
  { gateway: question => gateway.chat(bodyOf(question)), direct: question => askProvider(bodyOf(question)) },
  {
    settings: () => migrationFromEnv(process.env),
    // One person's questions all go the same way.
    key: () => process.env.USER ?? '',
    report: event => console.error(event.kind === 'fallback' ? `fallback: ${event.error.code}` : compared(event)),
  },
)

try {
  const answer = await ask(process.argv[2] ?? 'Hello!')
  console.log(answer.choices[0]?.message.content)
} catch (error) {
  if (!(error instanceof CitadelError)) throw error
  console.error(`${error.code}: ${error.message} (request ${error.requestID ?? 'was not sent'})`)
  process.exitCode = 1
}

function bodyOf(question) {
  return { model: process.env.MODEL ?? 'citadel-demo', messages: [{ role: 'user', content: question }] }
}

/** What the application did before there was a gateway. */
async function askProvider(body) {
  const response = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${process.env.OPENAI_API_KEY}` },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`the provider answered ${response.status}`)
  return response.json()
}

function compared({ answered, other }) {
  const text = settled => settled.answer?.choices[0]?.message.content
  const same = text(answered) === text(other) ? 'same' : 'different'
  return `compared: ${same}, ${answered.way} ${answered.ms} ms, ${other.way} ${other.ms} ms`
}
