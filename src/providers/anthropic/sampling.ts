import type { JsonObject, JsonValue } from '#lib/json.ts'
import { stopsOf } from '../stops.ts'
import type { Traits } from './models.ts'

/** Fields of the request, and the parameters that could not go into it. */
export interface Fields {
  readonly fields: JsonObject
  readonly dropped: readonly string[]
}

/** The lowest `top_p` that a model takes while it thinks with a budget. */
const TOP_P_MIN = 0.95

/** Translates `temperature`, `top_p` and `top_k`. */
export function toSampling(body: JsonObject, traits: Traits, thinks: boolean): Fields {
  const fields: Record<string, JsonValue> = {}
  const dropped: string[] = []
  const put = (name: string, value: JsonValue, taken: boolean) => {
    if (typeof value !== 'number') return
    if (taken) fields[name] = value
    else dropped.push(name)
  }
  const { temperature, top_p, top_k } = body
  const warmth = typeof temperature === 'number' ? Math.min(temperature, 1) : undefined
  const takes = traits.sampling !== 'none'
  put('temperature', warmth, takes && (!thinks || warmth === 1))
  const isAlone = traits.sampling === 'both' || fields.temperature === undefined
  put('top_p', top_p, takes && isAlone && (!thinks || (typeof top_p === 'number' && top_p >= TOP_P_MIN)))
  put('top_k', top_k, takes && !thinks)
  return { fields, dropped }
}

/** Translates `stop`; the API refuses texts that hold nothing but white space. */
export function toStops({ stop }: JsonObject): Fields {
  const given = stopsOf(stop)
  const taken = given.filter(text => typeof text === 'string' && text.trim() !== '')
  return {
    fields: taken.length > 0 ? { stop_sequences: taken } : {},
    dropped: taken.length < given.length ? ['stop'] : [],
  }
}
