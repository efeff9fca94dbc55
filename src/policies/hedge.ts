import type { Call } from '#core/call.ts'
import type { HedgingSettings, Model, Target } from '#core/servers.ts'
import type { States, TargetState } from '#core/states.ts'
import { createRecent, type Recent } from '#lib/recent.ts'

/** Answers of a target that its usual time is taken of, and how many of them are enough. */
const SAMPLES = 200
const SAMPLES_MIN = 20
/** Calls of a model of which no more than the allowed share get a second attempt. */
const SHARE_CALLS = 1000

/** Decides which calls get a second attempt beside a slow first one, and when. */
export interface Hedges {
  /** Counts a call whose first attempt goes to this target.
   *
   * @returns After how many milliseconds it may have a second one; `null` when it has none. */
  delay(call: Call, model: Model, target: Target): number | null
  /** Whether the share of a model leaves room for one more second attempt. */
  hasRoom(model: Model): boolean
  /** Counts a second attempt. */
  count(model: Model): void
  /** A target took this long to its first content, or to a whole plain answer; or longer, when it was not waited for. */
  observe(target: Target, stream: boolean, ms: number): void
}

/** Creates the memory of hedging: how long each target usually takes, and how many calls were sent twice lately. */
export function createHedges(states: Pick<States, 'target'>): Hedges {
  const shares = new Map<string, Share>()
  // The first piece of a stream and a whole answer are not to be compared.
  const streamed = new WeakMap<TargetState, Recent>()
  const plain = new WeakMap<TargetState, Recent>()

  function shareOf({ name }: Model): Share {
    const share = shares.get(name) ?? new Share()
    shares.set(name, share)
    return share
  }

  return {
    delay(call, model, target) {
      const { hedging = null } = model
      if (hedging === null) return null
      shareOf(model).next()
      // What a server stores it must not store twice.
      if (call.body.store === true) return null
      return delayOf(hedging, (call.stream ? streamed : plain).get(states.target(target)))
    },
    hasRoom: model => shareOf(model).hasRoom(model.hedging?.maxPercent ?? 0),
    count: model => shareOf(model).add(),
    observe(target, stream, ms) {
      const times = stream ? streamed : plain
      const state = states.target(target)
      const recent = times.get(state) ?? createRecent(SAMPLES)
      times.set(state, recent)
      recent.add(ms)
    },
  }
}

function delayOf({ after }: HedgingSettings, usual: Recent | undefined): number | null {
  if ('ms' in after) return after.ms
  return usual === undefined || usual.count < SAMPLES_MIN ? null : usual.quantile(after.percentile / 100)
}

/** How many of the last calls were sent twice; a second attempt counts for the call that came last before it. */
class Share {
  private readonly seconds = new Uint16Array(SHARE_CALLS)
  private calls = 0
  private sum = 0

  next(): void {
    const at = this.calls++ % SHARE_CALLS
    this.sum -= this.seconds[at] ?? 0
    this.seconds[at] = 0
  }

  hasRoom(percent: number): boolean {
    return (this.sum + 1) * 100 <= percent * Math.min(this.calls, SHARE_CALLS)
  }

  add(): void {
    const at = (this.calls - 1) % SHARE_CALLS
    this.seconds[at] = (this.seconds[at] ?? 0) + 1
    this.sum++
  }
}
