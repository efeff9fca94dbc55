const NULL_USAGE = ',"usage":null'

/** The text of events without the `"usage":null` that only callers who asked for a count expect. */
export function withoutNullUsage(events: string): string {
  // Inside a string every quote is escaped, so this can only be a member.
  if (!events.includes('"usage"')) return events
  return events.replaceAll(NULL_USAGE, '').replaceAll(', "usage": null', '')
}

/** The text of events that count nothing, each with `"usage":null`. */
export function withNullUsage(events: string): string {
  // A line break cannot stand inside JSON unescaped, so this can only be the end of an event.
  return withoutNullUsage(events).replaceAll('}\n\n', `${NULL_USAGE}}\n\n`)
}
