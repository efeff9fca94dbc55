import { createSocketTransport } from '#providers/transport/index.ts'
import { transportContract } from '#tests/contract/transport.ts'

transportContract('over sockets', clock => {
  const transport = createSocketTransport({ clock })
  return { transport, close: transport.close }
})
