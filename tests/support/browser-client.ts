import OpenAI from 'openai'

/** What the page of the browser tests runs: the official client, as a page of somebody's application bundles it. */
const page = {
  client: (baseURL: string) => new OpenAI({ baseURL, apiKey: 'sk-page', dangerouslyAllowBrowser: true, maxRetries: 0 }),

  /** Streams an answer and gives its deltas. */
  async stream(baseURL: string): Promise<string[]> {
    const deltas: string[] = []
    for await (const chunk of await page.open(baseURL)) deltas.push(chunk.choices[0]?.delta.content ?? '')
    return deltas
  },

  /** Leaves a stream after its first content. */
  async leave(baseURL: string): Promise<string> {
    const stream = await page.open(baseURL)
    for await (const chunk of stream) {
      const content = chunk.choices[0]?.delta.content
      if (content) {
        stream.controller.abort()
        return content
      }
    }
    return ''
  },

  /** What a page can read of a failure. */
  async fail(baseURL: string): Promise<object> {
    const failure = await page.open(baseURL, 'unknown').catch(error => error)
    return {
      status: failure.status,
      code: failure.code,
      id: failure.requestID,
      retry: failure.headers?.get('retry-after'),
    }
  },

  open: (baseURL: string, model = 'chat') =>
    page.client(baseURL).chat.completions.create({ model, messages: [{ role: 'user', content: 'Hi' }], stream: true }),
}

Object.assign(globalThis, { page })
