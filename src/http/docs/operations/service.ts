import { z } from '@hono/zod-openapi'
import { gatewayCard } from '#wire/service.ts'
import type { Answer, Operation } from '../operation.ts'
import { curlGet } from '../samples.ts'

const document = z.looseObject({}).describe('A JSON document.')
const card = {
  gateway: 'citadel-gateway',
  version: '0.1.0',
  docs: '/docs',
  api: '/v1',
  openapi: '/openapi.json',
  health: '/health',
}
const page = z.string().describe('A page for a browser.')

function one(description: string, type: string, schema: z.ZodType, value: unknown): Answer {
  return { description, content: [{ type, schema, examples: { example: { summary: 'An extract', value } } }] }
}

/** The operations that describe the gateway itself. */
export const serviceOperations = {
  getRoot: {
    tag: 'Service',
    summary: 'See what this address is',
    description: 'Tells that a gateway answers here and where everything is. A browser gets the documentation instead.',
    answers: {
      200: {
        description: 'The addresses, or the first page of the documentation when `accept` names `text/html`.',
        content: [
          {
            type: 'application/json',
            schema: gatewayCard,
            examples: { card: { summary: 'What a program gets', value: card } },
          },
          { type: 'text/html', schema: page, examples: { page: { summary: 'An extract', value: '<!doctype html>' } } },
        ],
      },
    },
    passes: [],
    samples: [curlGet('/')],
  },
  getOpenapi: {
    tag: 'Service',
    summary: 'Read this reference as a document',
    description: 'The OpenAPI 3.1 document of the gateway, for tools and generators of clients.',
    answers: { 200: one('The document.', 'application/json', document, { openapi: '3.1.0' }) },
    passes: [],
    samples: [curlGet('/openapi.json')],
  },
  getDocs: {
    tag: 'Service',
    summary: 'Open the documentation',
    description: 'Guides and this reference as pages for a browser, from this address alone.',
    answers: { 200: one('The first page.', 'text/html', page, '<!doctype html>') },
    passes: [],
    samples: [curlGet('/docs')],
  },
  getConfigSchema: {
    tag: 'Service',
    summary: 'Read the schema of the configuration',
    description: 'The JSON Schema of the configuration file, for editors that complete and check it.',
    answers: { 200: one('The schema.', 'application/json', document, { type: 'object' }) },
    passes: [],
    samples: [curlGet('/schema.json')],
  },
} as const satisfies Record<string, Operation>
