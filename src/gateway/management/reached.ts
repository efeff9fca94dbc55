import { GatewayError } from '#core/errors.ts'

/** The error for who asks for something that only the database knows, while it is away. */
export function databaseAway(cause: unknown): GatewayError {
  return new GatewayError('dependency_unavailable', 'The database cannot be reached at the moment.', {
    retryAfterMs: 1000,
    cause,
  })
}

/** What the database answers.
 *
 * @throws GatewayError `dependency_unavailable` when it does not. */
export async function reached<T>(asking: Promise<T>): Promise<T> {
  try {
    return await asking
  } catch (thrown) {
    throw databaseAway(thrown)
  }
}
