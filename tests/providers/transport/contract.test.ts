import { createSocketTransport } from '#providers/transport/index.ts'
import { createFetchTransport } from '#providers/transport-fetch.ts'
import { transportContract } from '#tests/contract/transport.ts'

transportContract('over sockets', clock => {
  const transport = createSocketTransport({ clock })
  return { transport, close: transport.close }
})

transportContract('over fetch', clock => ({ transport: createFetchTransport({ clock }), close: () => {} }), {
  'a length beside chunks': 'the runtime believes the chunks',
  'lines that end with LF alone': 'the runtime bears them',
  'an answer that is cut off by a reset, with no length': 'the runtime takes any end for the end',
  'an address with credentials': 'the runtime makes a header of them',
})
