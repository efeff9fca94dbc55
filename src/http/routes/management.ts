import { listModelStatus } from '#gateway/management/fleet.ts'
import type { Exchange, Handler } from '../exchange.ts'
import { onlyParams } from '../query.ts'
import { json, privateJson } from '../reply.ts'
import type { Services } from '../services.ts'
import { callerOf } from '../tenant.ts'

/** `GET /management/models/list`: every model with the state of its targets. */
export function managementModels({ fleet }: Services): Handler {
  return c => whole(c.env, listModelStatus(fleet()))
}

/** `GET /management/servers/status`: every server with its state. */
export function managementServers({ orchestration }: Services): Handler {
  return c => whole(c.env, orchestration.list())
}

/** `GET /management/config`: the configuration that holds, and where each value was written. */
export function managementConfig({ settings }: Services): Handler {
  return c => whole(c.env, settings.show(callerOf(c).tenant))
}

/** `POST /management/config/reload`: reads the files again; with an error in them nothing changes. */
export function reloadConfig({ settings, journal }: Services): Handler {
  return async c => {
    onlyParams(c)
    const { id: by, tenant } = callerOf(c)
    const taken = await settings.reload()
    // Noted here, because a change of the configuration alone does not tell who has asked: files are read again for
    // other reasons, too.
    journal.note({ type: 'administered', action: 'reload-requested', subject: 'configuration', tenant, by })
    return json(c.env, { reloaded: true, ...taken })
  }
}

/** Replies with a list that has one page only. */
function whole(exchange: Exchange, data: unknown): Response | Promise<Response> {
  return privateJson(exchange, { data, next: null })
}
