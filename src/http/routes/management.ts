import { listModelStatus } from '#gateway/management/fleet.ts'
import type { Exchange, Handler } from '../exchange.ts'
import { json, privateJson } from '../reply.ts'
import type { Services } from '../services.ts'
import { callerOf } from '../tenant.ts'

/** `GET /management/models/list`: every model and how its targets are. */
export function managementModels({ fleet }: Services): Handler {
  return c => whole(c.env, listModelStatus(fleet()))
}

/** `GET /management/servers/status`: every server. */
export function managementServers({ orchestration }: Services): Handler {
  return c => whole(c.env, orchestration.list())
}

/** `GET /management/config`: what holds, and where it was written. */
export function managementConfig({ settings }: Services): Handler {
  return c => whole(c.env, settings.show(callerOf(c).tenant))
}

/** `POST /management/config/reload`: reads the files again; one that is wrong changes nothing. */
export function reloadConfig({ settings, journal }: Services): Handler {
  return async c => {
    const { id: by, tenant } = callerOf(c)
    const taken = await settings.reload()
    // Files are read again for other reasons, too: what was taken over does not tell who has asked.
    journal.note({ type: 'administered', action: 'reload-requested', subject: 'configuration', tenant, by })
    return json(c.env, { reloaded: true, ...taken })
  }
}

/** A list that always comes as one page. */
function whole(exchange: Exchange, data: unknown): Response | Promise<Response> {
  return privateJson(exchange, { data, next: null })
}
