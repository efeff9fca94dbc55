import type { OpenAPIHono } from '@hono/zod-openapi'

/** Collects what goes into an OpenAPI document. */
export type Registry = OpenAPIHono['openAPIRegistry']
