import { isInstallationAdmin } from '#core/caller.ts'
import { GatewayError } from '#core/errors.ts'
import { AUDIT_KINDS } from '#core/ledger.ts'
import { type Naming, USAGE_GROUPS, type UsageGroup } from '#core/reports.ts'
import { isDay } from '#lib/calendar.ts'
import { writeCsv } from '#lib/csv.ts'
import { usageLine } from '#wire/usage-report.ts'
import type { GatewayContext, Handler } from '../exchange.ts'
import { limitParam, onlyParams, queryParam } from '../query.ts'
import { privateJson, text } from '../reply.ts'
import type { Services } from '../services.ts'
import { callerOf, tenantOf } from '../tenant.ts'

const USAGE_PAGE = { usual: 1000, most: 10_000 }
const AUDIT_PAGE = { usual: 100, most: 1000 }
const DAY_MS = 86_400_000

/** `GET /management/usage`: sums of requests by day, key, tenant, model, server, user and session; as JSON or CSV. */
export function managementUsage({ reports, clock }: Services): Handler {
  return async c => {
    onlyParams(c, 'tenant', 'by', 'from', 'to', 'key', 'model', 'server', 'format', 'limit', 'after')
    const by = groupsOf(c)
    const [from, to] = inOrder(day(c, 'from'), day(c, 'to'))
    const today = new Date(clock.time()).toISOString().slice(0, 10)
    const last = to ?? today
    // Of the last day's own month: this month begins behind a day of an earlier one.
    const first = from ?? `${last.slice(0, 7)}-01`
    const page = await reports.usage({
      tenant: tenantsOf(c),
      by,
      from: first,
      to: last,
      key: filter(c, 'key'),
      model: filter(c, 'model'),
      server: filter(c, 'server'),
      after: queryParam(c, 'after') || null,
      limit: limitParam(c, USAGE_PAGE),
    })
    const { note, ...rest } = inTime(page, first, today)
    if (!wantsCsv(c)) return privateJson(c.env, { ...rest, note })
    c.env.headers['cache-control'] = 'no-store'
    const columns = Object.keys(usageLine.shape).filter(name => !isGroup(name) || by.some(group => group === name))
    if (note !== undefined) c.env.headers['x-citadel-note'] = note
    if (page.next !== null) c.env.headers['x-citadel-next'] = page.next
    return text(c.env, writeCsv(columns, page.data), 'text/csv; charset=utf-8')
  }
}

/** `GET /management/users` and `/management/sessions`: the users or sessions that requests named, the last seen
 * first. */
export function managementNamed({ reports }: Services, of: Naming): Handler {
  return async c => {
    onlyParams(c, 'tenant', 'key', 'limit', 'after')
    const page = await reports.named({
      of,
      tenant: tenantsOf(c),
      key: filter(c, 'key'),
      after: queryParam(c, 'after') || null,
      limit: limitParam(c, USAGE_PAGE),
    })
    return privateJson(c.env, page)
  }
}

/** `GET /management/audit`: the rows of the audit log, the latest first. */
export function managementAudit({ reports, clock }: Services): Handler {
  return async c => {
    onlyParams(c, 'tenant', 'kind', 'actor', 'from', 'to', 'limit', 'after')
    const kind = queryParam(c, 'kind')
    const known = AUDIT_KINDS.find(each => each === kind)
    if (kind !== null && known === undefined) throw invalid('kind', `kind must be one of ${AUDIT_KINDS.join(', ')}.`)
    const [from, to] = inOrder(moment(c, 'from'), moment(c, 'to'))
    if (from !== null && from === to) throw invalid('to', 'to must be later than from: it is no part of the range.')
    const page = await reports.audit({
      tenant: tenantsOf(c),
      kind: known ?? null,
      actor: filter(c, 'actor'),
      from: from ?? 0,
      to: to ?? clock.time() + DAY_MS,
      after: queryParam(c, 'after') || null,
      limit: limitParam(c, AUDIT_PAGE),
    })
    return privateJson(c.env, inTime(page, from, clock.time()))
  }
}

/** Reads what rows are filtered by. An empty one comes from an empty shell variable, and no row would match it. */
function filter(c: GatewayContext, name: string): string | null {
  const value = queryParam(c, name)
  if (value !== '') return value
  throw invalid(name, `${name} must not be empty; leave it out for all.`)
}

/** Says of a report that it begins later than now. It is no error: where the sun rises earlier, tomorrow has begun. */
function inTime<P extends object, T extends string | number>(page: P, from: T | null, now: T): P {
  return from !== null && from > now ? { ...page, note: 'from is in the future; days are those of UTC.' } : page
}

/** The tenant to report on; `null` = all, for administrators of the whole installation. */
function tenantsOf(c: GatewayContext): string | null {
  if (queryParam(c, 'tenant') !== '*') return tenantOf(c)
  if (isInstallationAdmin(callerOf(c))) return null
  throw new GatewayError('permission_denied', 'This key may look only at its own tenant.', { param: 'tenant' })
}

function isGroup(name: string): name is UsageGroup {
  return USAGE_GROUPS.some(group => group === name)
}

function groupsOf(c: GatewayContext): readonly UsageGroup[] {
  const written = queryParam(c, 'by')
  if (written === null) return ['day']
  const names = [...new Set(written.split(',').map(name => name.trim()))]
  const groups = names.filter(isGroup)
  if (groups.length === names.length) return groups
  throw invalid('by', `by must be a list of ${USAGE_GROUPS.join(', ')}.`)
}

function day(c: GatewayContext, name: string): string | null {
  const written = queryParam(c, name)
  if (written === null || (/^\d{4}-\d\d-\d\d$/.test(written) && isDay(written))) return written
  throw invalid(name, `${name} must be a day such as 2027-01-31.`)
}

function moment(c: GatewayContext, name: string): number | null {
  // The sign of a time zone that was not escaped arrives as a blank.
  const written = queryParam(c, name)?.replace(/ (?=\d\d:\d\d$)/, '+') ?? null
  if (written === null) return null
  const time = /^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d))?$/.test(written) ? Date.parse(written) : Number.NaN
  if (!Number.isNaN(time) && isDay(written.slice(0, 10))) return time
  throw invalid(name, `${name} must be a day such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z.`)
}

/** Refuses a range that ends before it begins: it would seem that nothing had happened in it. */
function inOrder<T extends string | number>(from: T | null, to: T | null): readonly [T | null, T | null] {
  if (from === null || to === null || from <= to) return [from, to]
  throw invalid('from', 'from must not be later than to.')
}

function wantsCsv(c: GatewayContext): boolean {
  const format = queryParam(c, 'format')
  if (format === null) return /\btext\/csv\b/i.test(c.env.request.headers.get('accept') ?? '')
  if (format === 'csv' || format === 'json') return format === 'csv'
  throw invalid('format', 'format must be json or csv.')
}

function invalid(param: string, message: string): GatewayError {
  return new GatewayError('invalid_request', message, { param })
}
