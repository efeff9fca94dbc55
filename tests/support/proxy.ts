import { readFile } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { createServer as createSecureServer } from 'node:tls'

/** A proxy that answers each request as told; where it agrees, it connects the two ends. */
export async function startProxy(answer = 'HTTP/1.1 200 Connection established\r\n\r\n') {
  const asked: string[] = []
  const open = new Set<Socket>()
  const server = createServer(near => {
    open.add(near)
    near.on('error', () => {})
    near.on('close', () => {
      open.delete(near)
    })
    near.once('data', data => {
      asked.push(data.toString())
      const port = Number(/^CONNECT [^ ]+:(\d+) /.exec(data.toString())?.[1])
      if (!answer.startsWith('HTTP/1.1 200')) return void near.end(answer)
      const far = connect(port, '127.0.0.1', () => {
        near.write(answer)
        near.pipe(far)
        far.pipe(near)
      })
      far.on('error', () => near.destroy())
    })
  })
  const port = await listen(server)
  return {
    asked,
    url: `http://user:pass%20word@127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      server.close()
    },
  }
}

/** A server that answers over TLS, and knows who asks. */
export async function startSecure(
  files: { readonly cert: string; readonly key: string },
  ca: string | null,
  body = 'ok',
) {
  const answer = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  const names: string[] = []
  const server = createSecureServer(
    {
      key: await readFile(files.key),
      cert: await readFile(files.cert),
      ...(ca !== null && { ca: await readFile(ca), requestCert: true, rejectUnauthorized: true }),
    },
    socket => {
      socket.on('error', () => {})
      socket.on('data', () => {
        names.push(String(socket.getPeerCertificate().subject?.CN ?? ''))
        socket.write(answer)
      })
    },
  )
  server.on('tlsClientError', () => {})
  const port = await listen(server)
  return { names, port, [Symbol.asyncDispose]: async () => void server.close() }
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
