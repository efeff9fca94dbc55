import type { Capabilities, KnownModel, ListedModel, Target } from '#core/servers.ts'

/** What a target can do: as the operator says, else its server, else what is known; but what its dialect has no words
 * for it cannot do, whoever says so. */
export function describeTarget(
  declared: Capabilities,
  entry: ListedModel | undefined,
  known: KnownModel | undefined,
): Pick<Target, 'abilities' | 'loaded'> {
  const said = entry?.abilities
  const sure = known?.abilities
  const either = (what: 'tools' | 'vision' | 'json_schema') =>
    sure?.[what] === false ? false : (said?.[what] ?? sure?.[what] ?? null)
  const abilities = {
    context_length: declared.context_length ?? entry?.contextLength ?? sure?.context_length ?? null,
    tools: declared.tools ?? either('tools'),
    vision: declared.vision ?? either('vision'),
    json_schema: either('json_schema'),
  }
  const isKnown = Object.values(abilities).some(value => value !== null)
  return { ...(isKnown && { abilities }), ...(entry?.loaded !== undefined && { loaded: entry.loaded }) }
}

/** Fills in what is not declared: the context that every target holds, and what at least one can do, since calls that
 * need it go there. */
export function withAbilities(declared: Capabilities, targets: readonly Target[]): Capabilities {
  const all = targets.map(target => target.abilities)
  const lengths = all.flatMap(abilities => abilities?.context_length ?? [])
  const some = (what: 'tools' | 'vision') => {
    if (all.some(abilities => abilities?.[what] === true)) return true
    return all.length > 0 && all.every(abilities => abilities?.[what] === false) ? false : null
  }
  return {
    ...declared,
    context_length: declared.context_length ?? (lengths.length === 0 ? null : Math.min(...lengths)),
    tools: declared.tools ?? some('tools'),
    vision: declared.vision ?? some('vision'),
  }
}

/** An embedding model is one that every one of its servers lists as such. */
export function classOf(entries: readonly (ListedModel | undefined)[]): 'embedding' | null {
  return entries.length > 0 && entries.every(entry => entry?.embedding === true) ? 'embedding' : null
}
