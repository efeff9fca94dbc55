export { type Client, createClient } from './client.ts'
export {
  type AttemptSummary,
  CitadelError,
  type ClientCode,
  GATEWAY_CODES,
  type GatewayCode,
  type ProblemDetail,
} from './errors.ts'
export { type Migration, type MigrationEvent, type MigrationOptions, migrate, migrationFromEnv } from './migrate.ts'
export { asOpenAI, type ModelPage, type OpenAIOptions, type OpenAIShape, type OpenAIStream } from './openai.ts'
export type { CallOptions, ClientOptions } from './send.ts'
export type { AnswerStream } from './stream.ts'
export type {
  AnswerInfo,
  ChatChunk,
  ChatCompletion,
  ChatMessage,
  ChatRequest,
  Completion,
  CompletionRequest,
  EmbeddingList,
  EmbeddingRequest,
  Model,
  RequestReport,
  ToolCall,
  Usage,
} from './types.ts'
