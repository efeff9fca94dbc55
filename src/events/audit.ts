import { LRUCache } from 'lru-cache'
import { DEFAULT_TENANT } from '#core/caller.ts'
import type { Clock } from '#core/clock.ts'
import type { Fact } from '#core/journal.ts'
import type { RequestRecord } from '#core/record.ts'
import { sha256 } from '#lib/hash.ts'
import { redactPatterns } from '#lib/redact.ts'
import { type AuditEntry, type Chain, sealOf } from './chain.ts'
import { type AuditNote, isAuthenticated, noteOfFact, noteOfRefusal } from './entries.ts'

/** How many requests one row seals, and the longest that a request waits for its seal, in milliseconds. */
const BATCH_MAX = 200
const SEAL_MS = 1000
/** A successful authentication is recorded at most so often for each key, in milliseconds. */
const SAMPLE_MS = 60_000
const KEYS_MAX = 10_000

export interface AuditDeps {
  readonly clock: Clock
  readonly chain: Chain
  readonly newId: (time: number) => string
  readonly enabled: () => boolean
  /** Replaces the secrets of the configuration, and the keys that were made, in a text. */
  readonly redact: (text: string) => string
}

/** The audit log: who did what, and which requests were refused or failed. */
export interface Audit {
  readonly subscriber: (fact: Fact) => void
  /** Seals the rows of requests in batches, so that a changed or removed row is found. */
  readonly sealing: {
    /** The id of the batch that the next request belongs to; `null` while the audit log is off. */
    batch(): string | null
    /** Adds a request to the batch.
     *
     * @param text The JSON of its row. */
    add(id: string, text: string): void
    /** Seals the requests added so far, without waiting for the batch to be full. */
    seal(): void
  }
  /** Makes the entry of a checkpoint, without adding it to the chain. */
  checkpoint(action: string, detail: object): AuditEntry
}

/** Creates the audit log. It is fed by the journal only: nothing calls it to record an action. */
export function createAudit(deps: AuditDeps): Audit {
  const { clock, chain } = deps
  const seen = new LRUCache<string, number>({ max: KEYS_MAX })
  const seals = createSeals(deps)

  function entryOf({ detail = {}, ...note }: AuditNote): AuditEntry {
    return { ...NOBODY, tenant: DEFAULT_TENANT, at: Math.round(clock.time()), ...note, detail: JSON.stringify(detail) }
  }

  function add(note: AuditNote): void {
    const entry = entryOf(note)
    const subject = entry.subject === null ? null : deps.redact(entry.subject)
    chain.add({ ...entry, subject, detail: deps.redact(redactPatterns(entry.detail)) })
  }

  function addRequest(record: RequestRecord): void {
    const { tenant, caller: actor, address, id: request_id, code } = record
    const subject = `${record.method} ${record.route}`
    const who = { tenant: tenant ?? DEFAULT_TENANT, actor, address, request_id, subject, code }
    if (isAuthenticated(record) && isFirst(`${tenant} ${actor}`)) {
      add({ ...who, code: null, kind: 'authentication', action: 'request', outcome: 'ok' })
    }
    if (record.payload !== null) {
      add({ ...who, kind: 'payload', action: 'call', outcome: record.outcome, detail: { ...record.payload } })
    }
    const refusal = noteOfRefusal(record)
    if (refusal !== null) add({ ...who, ...refusal })
  }

  /** Whether this is the key's first success within a minute. */
  function isFirst(key: string): boolean {
    const now = clock.now()
    const last = seen.get(key)
    if (last !== undefined && now - last < SAMPLE_MS) return false
    seen.set(key, now)
    return true
  }

  function subscriber(fact: Fact): void {
    if (!deps.enabled()) return
    if (fact.type === 'request-settled') addRequest(fact.record)
    else {
      const note = noteOfFact(fact)
      if (note !== null) add(note)
    }
  }

  const checkpoint = (action: string, detail: object) => entryOf({ kind: 'checkpoint', action, outcome: 'ok', detail })

  return { subscriber, sealing: seals, checkpoint }
}

const NOBODY = { actor: null, address: null, request_id: null, subject: null, code: null }

/** Seals requests in batches, each by one row of the chain. */
function createSeals({ clock, chain, newId, enabled }: AuditDeps) {
  let batch: string | null = null
  let rows: { readonly id: string; readonly hash: string }[] = []
  let disarm: (() => void) | null = null

  function seal(): void {
    disarm?.()
    disarm = null
    if (batch === null || rows.length === 0) return
    const sealed = { rows: rows.length, hash: sealOf(rows) }
    const at = Math.round(clock.time())
    const entry = { ...NOBODY, tenant: DEFAULT_TENANT, at, kind: 'batch', action: 'sealed', outcome: 'ok' } as const
    chain.add({ ...entry, detail: JSON.stringify(sealed) }, batch)
    batch = null
    rows = []
  }

  return {
    seal,
    batch(): string | null {
      if (!enabled()) return null
      batch ??= newId(clock.time())
      return batch
    },
    add(id: string, text: string): void {
      rows.push({ id, hash: sha256(text) })
      if (rows.length >= BATCH_MAX) seal()
      else disarm ??= clock.after(SEAL_MS, seal)
    },
  }
}
