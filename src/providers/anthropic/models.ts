/** What a model accepts. The API answers 400 to parameters that a generation of Claude does not know any more, or not
 * yet. */
export interface Traits {
  /** The longest answer in tokens; `null` where the model is not Claude, but something that speaks its dialect. */
  readonly outputMax: number | null
  /** - `none`: cannot
   * - `budget`: when asked to, up to a number of tokens
   * - `adaptive`: as much as it finds right, with an effort
   * - `always`: the same, and cannot be told not to */
  readonly thinking: 'none' | 'budget' | 'adaptive' | 'always'
  /** Whether it thinks when nothing is said about it. */
  readonly thinksUnasked: boolean
  /** What tells it not to, or as little as it can. */
  readonly thinkingOff: 'disabled' | 'between_tools'
  /** The efforts that it knows, from little to much. */
  readonly efforts: readonly string[]
  /** Whether it takes `temperature`, `top_p` and `top_k`: both of the first two, one of them, or none of the three. */
  readonly sampling: 'both' | 'one' | 'none'
  /** Whether it takes `output_config.format` and strict tools. */
  readonly structured: boolean
  /** Whether it goes on from a last message of the assistant. */
  readonly prefill: boolean
  /** Whether it can be made to call a tool. */
  readonly forcedTools: boolean
}

/** What servers that only speak the dialect are most likely to accept. */
const UNKNOWN: Traits = {
  outputMax: null,
  thinking: 'budget',
  thinksUnasked: false,
  thinkingOff: 'disabled',
  efforts: [],
  sampling: 'both',
  structured: false,
  prefill: true,
  forcedTools: true,
}

const OUTPUT_MAX: readonly (readonly [since: number, tokens: number])[] = [
  [406, 128_000],
  [405, 64_000],
  [401, 32_000],
  [307, 64_000],
  [305, 8192],
  [0, 4096],
]

/** Tells from a model's name what it accepts; a Claude that is newer than this table counts as the newest in it. */
export function traitsOf(model: string): Traits {
  if (!/claude/i.test(model)) return UNKNOWN
  const version = versionOf(model)
  // From 5.5 on, each line has a way of its own.
  const isSonnet = version >= 505 && /sonnet/i.test(model)
  const isHaiku = version >= 505 && /haiku/i.test(model)
  const alwaysThinks = (version >= 505 && !isSonnet && !isHaiku) || /fable|mythos/i.test(model)
  return {
    outputMax: outputMaxOf(model, version),
    thinking: version < 307 ? 'none' : version < 406 ? 'budget' : alwaysThinks ? 'always' : 'adaptive',
    thinksUnasked: version >= 500,
    thinkingOff: isSonnet ? 'between_tools' : 'disabled',
    efforts: version < 406 ? [] : ['low', 'medium', 'high', ...(version < 407 ? [] : ['xhigh']), 'max'],
    sampling: version >= 407 ? 'none' : version >= 401 ? 'one' : 'both',
    structured: version >= 401,
    prefill: version < 406,
    forcedTools: version <= 500 || isHaiku || (version < 505 && !alwaysThinks),
  }
}

/** `claude-opus-4-5-20251101` → 405, `claude-3-7-sonnet-latest` → 307; dates are no versions. */
function versionOf(model: string): number {
  const [, major, minor = '0'] = /claude-(?:[a-z]+-)?v?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)/i.exec(model) ?? []
  return major === undefined ? Number.POSITIVE_INFINITY : Number(major) * 100 + Number(minor)
}

function outputMaxOf(model: string, version: number): number {
  // Of the first fourth generation Opus writes half as much as Sonnet.
  if (version === 400) return /opus/i.test(model) ? 32_000 : 64_000
  return OUTPUT_MAX.find(([since]) => version >= since)?.[1] ?? 4096
}
