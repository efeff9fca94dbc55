// The least that a proxy on this runtime can do, to measure against: `bun bare.ts PORT UPSTREAM_PORT`.

const upstream = `http://127.0.0.1:${process.argv[3]}`
const own = `http://127.0.0.1:${process.argv[2]}`

Bun.serve({
  port: Number(process.argv[2]),
  hostname: '127.0.0.1',
  idleTimeout: 120,
  development: false,
  async fetch(request) {
    const { headers } = request
    const answer = await fetch(upstream + request.url.slice(own.length), {
      method: request.method,
      headers: {
        'content-type': headers.get('content-type') ?? 'application/json',
        authorization: headers.get('authorization') ?? '',
        'accept-encoding': 'identity',
      },
      body: request.method === 'POST' ? await request.arrayBuffer() : undefined,
      signal: request.signal,
      redirect: 'manual',
    })
    const type = answer.headers.get('content-type') ?? 'application/octet-stream'
    return new Response(answer.body, { status: answer.status, headers: { 'content-type': type } })
  },
})

// A profile is written only when the process ends by itself.
process.on('SIGTERM', () => process.exit(0))

export {}
