import type { DeclaredModel } from '#core/declared.ts'
import { toGatewayError } from '#core/errors.ts'
import type { ListedModel, Server } from '#core/servers.ts'
import { closest } from '#lib/closest.ts'
import { dialectOf, type Examiner, notAnAnswer, type Reply } from '#src/compose/doctor.ts'
import { counted } from '../output.ts'
import { compareClocks } from './clock.ts'
import { faultOf } from './faults.ts'
import { about, type Finding } from './finding.ts'
import { checkModel } from './models.ts'

/** The differences between clocks from which there is a warning and a failure, in milliseconds: signatures are valid
 * for five minutes. */
const SKEW_MS = { warning: 30_000, failed: 300_000 }
const MODELS_SHOWN = 5

/** What the checks of servers are given. */
export interface ServersAsked {
  readonly servers: readonly Server[]
  readonly models: readonly DeclaredModel[]
  readonly examiner: Examiner
  readonly timeoutMs: number
  /** Whether models are called, which may cost money. */
  readonly calls: boolean
}

/** Checks all servers at the same time; the checks of one server run one after the other. */
export async function checkServers(asked: ServersAsked): Promise<readonly Finding[]> {
  if (asked.servers.length === 0) {
    return [
      about('servers').warning(
        'none is configured',
        'Add servers or models to the configuration; without any, a start looks for local ones.',
      ),
    ]
  }
  return (await Promise.all(asked.servers.map(server => checkServer(server, asked)))).flat()
}

async function checkServer(server: Server, asked: ServersAsked): Promise<readonly Finding[]> {
  const { ok, failed, warning } = about('server', server.id)
  const wanted = wantedModels(server, asked.models)
  let reply: Reply
  let listed: readonly ListedModel[] | null
  try {
    reply = await asked.examiner.ask(questionFor(server), Math.min(asked.timeoutMs, server.timeouts.first_byte))
    listed = await whole(server, readList(server, reply), asked.examiner)
  } catch (thrown) {
    const { detail, remedy } = faultOf(toGatewayError(thrown))
    return [failed(`${server.baseUrl}: ${detail}`, remedy)]
  }
  const found = [
    listed === null
      ? warning(
          `${server.baseUrl}: it answers, but lists no models (HTTP ${reply.status})`,
          'Name its models in `models`; lists are not needed for those. If it should have a list, correct kind or base_url.',
        )
      : ok(`${server.baseUrl}: it answers in ${Math.ceil(reply.ms)} ms and lists ${counted(listed.length, 'model')}`),
    ...compareClocks({ subject: server.id, date: reply.header('date'), ...SKEW_MS }),
    ...(listed === null ? [] : wanted.flatMap(name => missing(server, name, listed))),
  ]
  if (!asked.calls || dialectOf(server) === null) return found
  const known = new Map((listed ?? []).flatMap(model => namesOf(model).map(name => [name, model])))
  const called = wanted.length > 0 ? wanted : (listed ?? []).slice(0, 1).map(({ id }) => id)
  for (const name of called.filter(name => listed === null || known.has(name) || wanted.length === 0)) {
    const declared = asked.models.find(({ targets }) =>
      targets.some(each => each.server === server.id && each.model === name),
    )
    found.push(
      ...(await checkModel({ ...asked, server, name, listed: known.get(name) ?? null, declared: declared ?? null })),
    )
  }
  return found
}

/** The names that the configuration uses for the models of a server. */
function wantedModels(server: Server, models: readonly DeclaredModel[]): readonly string[] {
  const targets = models.flatMap(model => model.targets).filter(target => target.server === server.id)
  return [...new Set(targets.map(({ model }) => model))]
}

function questionFor(server: Server) {
  const plain = { method: 'GET' as const, url: server.baseUrl, headers: server.headers, body: null }
  return dialectOf(server)?.catalog.list(server, server.secrets[0] ?? null) ?? plain
}

/** The models that a server lists; `null` when it has no list.
 *
 * @throws GatewayError when its answer is an error or no list. */
function readList(server: Server, reply: Reply): readonly ListedModel[] | null {
  const dialect = dialectOf(server)
  if (dialect === null) {
    if (reply.status < 400) return []
    throw notAnAnswer(`HTTP ${reply.status}`)
  }
  if (/^\s*</.test(reply.body)) throw notAnAnswer(`HTTP ${reply.status}, a web page`)
  if (reply.status === 404 || reply.status === 405) return null
  if (reply.status !== 200) throw dialect.decodeError(reply, reply.body)
  try {
    return dialect.catalog.decodeList(reply.body)
  } catch {
    throw notAnAnswer('HTTP 200, but no list of models')
  }
}

/** Reads the rest of a list that has several pages, or whose details are at other addresses. */
function whole(server: Server, first: readonly ListedModel[] | null, examiner: Examiner) {
  const catalog = dialectOf(server)?.catalog
  return first === null || (catalog?.next ?? catalog?.details) === undefined ? first : examiner.list(server)
}

/** The names of a listed model: `:latest` may be left out. */
function namesOf({ id }: ListedModel): readonly string[] {
  return id.endsWith(':latest') ? [id, id.slice(0, -':latest'.length)] : [id]
}

function missing(server: Server, name: string, listed: readonly ListedModel[]): readonly Finding[] {
  if (listed.some(model => namesOf(model).includes(name))) return []
  const ids = listed.map(({ id }) => id)
  const near = closest(name, ids, 1)
  const has = ids.slice(0, MODELS_SHOWN).join(', ') + (ids.length > MODELS_SHOWN ? ', …' : '')
  return [
    about('model', `${server.id}/${name}`).failed(
      `the server does not have it; it has ${has || 'none'}`,
      near.length > 0
        ? `Write ${near[0]} at its target, or load ${name} into the server.`
        : `Load ${name} into the server, or take the target away.${ids.length > 0 ? '' : ' If it has models, correct kind.'}`,
    ),
  ]
}
