import { LRUCache } from 'lru-cache'
import { fingerprint, type Question, whoIsAsked } from './fingerprint.ts'

/** All remembered texts together, and one of them, in characters. */
const CHARACTERS_MAX = 4 * 1024 * 1024
const TEXT_CHARACTERS_MAX = 256 * 1024

/** The fingerprints of questions; the last ones that were answered from the cache are known by their text. */
export interface Fingerprints {
  /** @returns What `fingerprint` returns. */
  of(question: Question): string | null
  /** Notes that a question is one of those that come again. */
  remember(question: Question, name: string): void
  /** Forgets all texts. */
  clear(): void
}

/** Creates the register of fingerprints. Whoever asks the same again pays for a comparison instead of for a fingerprint;
 * a text that is new pays for being looked for, and is kept only once it has come again. */
export function createFingerprints(): Fingerprints {
  const known = new LRUCache<string, { readonly asker: string; readonly name: string }>({
    maxSize: CHARACTERS_MAX,
    maxEntrySize: TEXT_CHARACTERS_MAX,
    sizeCalculation: (_, text) => Math.max(1, text.length),
  })

  return {
    of(question) {
      const found = isWhole(question) ? known.get(question.text) : undefined
      return found !== undefined && found.asker === whoIsAsked(question) ? found.name : fingerprint(question)
    },
    remember(question, name) {
      if (!isWhole(question) || known.get(question.text)?.name === name) return
      known.set(question.text, { asker: whoIsAsked(question), name })
    },
    clear: () => known.clear(),
  }
}

/** Whether the text says all that is asked: an embedding is asked for by one of several inputs. */
function isWhole({ endpoint }: Question): boolean {
  return endpoint !== 'embeddings'
}
