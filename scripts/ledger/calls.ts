/** How a call ended for its client. */
export type Ending = 'whole' | 'left' | 'refused' | 'broken'

/** Of a hundred clients so many leave, each at another moment. */
const LEAVING = 40
/** The longest that a client which leaves at some time stays, in milliseconds: about as long as an answer takes. */
const LEAVE_MS_MAX = 40

/** Sends one call; some clients leave at once, some later, some behind a piece of the answer. */
export async function sendCall(
  url: string,
  call: { readonly user: string; readonly key: string },
  random: () => number,
) {
  const stream = random() < 0.6
  const leaver = new AbortController()
  const leaves = random() * 100 < LEAVING
  const afterPieces = leaves && stream && random() < 0.5 ? Math.ceil(random() * 10) : Number.POSITIVE_INFINITY
  const late =
    leaves && afterPieces === Number.POSITIVE_INFINITY
      ? setTimeout(() => leaver.abort(), random() * LEAVE_MS_MAX)
      : undefined
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${call.key}` },
      body: JSON.stringify({
        model: 'chat',
        user: call.user,
        stream,
        max_tokens: 50,
        messages: [{ role: 'user', content: `This is call ${call.user}.` }],
      }),
      signal: leaver.signal,
      // A connection that dies must not make the client send the call again by itself.
      keepalive: false,
    })
    return await readAnswer(response, leaver, afterPieces)
  } catch {
    return leaver.signal.aborted ? 'left' : 'broken'
  } finally {
    clearTimeout(late)
  }
}

async function readAnswer(response: Response, leaver: AbortController, afterPieces: number): Promise<Ending> {
  const decoder = new TextDecoder()
  let text = ''
  let pieces = 0
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true })
    if (++pieces >= afterPieces) leaver.abort()
  }
  if (response.status !== 200) return 'refused'
  if (response.headers.get('content-type')?.startsWith('text/event-stream') !== true) return 'whole'
  return text.includes('data: [DONE]') ? 'whole' : 'broken'
}
