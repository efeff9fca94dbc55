import type { Operation } from './operation.ts'
import { cacheOperations } from './operations/cache.ts'
import { chatOperations } from './operations/chat.ts'
import { healthOperations } from './operations/health.ts'
import { inferenceOperations } from './operations/inference.ts'
import { keyOperations } from './operations/keys.ts'
import { modelOperations } from './operations/models.ts'
import { orchestrationOperations } from './operations/orchestration.ts'
import { reportOperations } from './operations/reports.ts'
import { requestOperations } from './operations/requests.ts'
import { routingOperations } from './operations/routing.ts'
import { serviceOperations } from './operations/service.ts'
import { settingsOperations } from './operations/settings.ts'
import { webhookOperations } from './operations/webhooks.ts'

/** What the reference says of every operation, by its id. */
export const operations: ReadonlyMap<string, Operation> = new Map<string, Operation>(
  Object.entries({
    ...chatOperations,
    ...inferenceOperations,
    ...modelOperations,
    ...requestOperations,
    ...healthOperations,
    ...settingsOperations,
    ...reportOperations,
    ...keyOperations,
    ...cacheOperations,
    ...orchestrationOperations,
    ...webhookOperations,
    ...routingOperations,
    ...serviceOperations,
  }),
)
