import { asPrevious, changeKey, type KeyOf, type KeyStore, type StoredKey } from '#core/keys.ts'

interface Entry {
  readonly key: StoredKey
  readonly hash: string
  readonly previous: string | null
}

/** Creates a store in the memory of this process, for a gateway without a place for state: keys are lost when it
 * ends. */
export function createMemoryKeys(): KeyStore {
  const entries = new Map<string, Entry>()
  let version = 0
  let inUse = false

  const all = () => [...entries.values()]
  const owned = ({ tenant, id }: KeyOf) => {
    const entry = entries.get(id)
    return entry?.key.tenant === tenant ? entry : undefined
  }

  return {
    state: async () => ({ version, inUse }),
    async find(by) {
      if (!('hash' in by)) return owned(by)?.key ?? null
      const entry = all().find(({ hash, previous }) => hash === by.hash || previous === by.hash)
      if (entry === undefined) return null
      return entry.hash === by.hash ? entry.key : asPrevious(entry.key)
    },
    async list({ tenant, after, limit }) {
      return all()
        .map(({ key }) => key)
        .filter(key => key.tenant === tenant && (after === null || key.id > after))
        .sort((a, b) => (a.id < b.id ? -1 : 1))
        .slice(0, limit)
    },
    async change(change) {
      if (change.kind === 'create') {
        if (all().some(({ hash, previous }) => hash === change.hash || previous === change.hash))
          throw new Error('this secret is in use')
        entries.set(change.key.id, { key: change.key, hash: change.hash, previous: null })
        inUse ||= change.key.origin === 'created'
        version++
        return { before: null, after: change.key }
      }
      const entry = owned(change)
      if (entry === undefined) return null
      const key = changeKey(entry.key, change)
      const rotated = change.kind === 'rotate' && key !== entry.key
      entries.set(change.id, rotated ? { key, hash: change.hash, previous: entry.hash } : { ...entry, key })
      version++
      return { before: entry.key, after: key }
    },
  }
}
