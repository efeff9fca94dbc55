import type { Call } from '#core/call.ts'
import type { HedgingSettings, Model, Target } from '#core/servers.ts'
import type { States, TargetState } from '#core/states.ts'
import { createRecent, type Recent } from '#lib/recent.ts'

/** How many answers of a target its usual time is computed from, and how many are enough to begin with. */
const SAMPLES = 200
const SAMPLES_MIN = 20
/** The number of recent calls of a model over which the share of hedged calls is counted. */
const SHARE_CALLS = 1000

/** Decides which calls get a second attempt beside a slow first one, and when. */
export interface Hedges {
  /** Counts a call whose first attempt goes to this target.
   *
   * @returns After how many milliseconds it may have a second attempt; `null` when it may not. */
  delay(call: Call, model: Model, target: Target): number | null
  /** Whether one more second attempt is within the allowed share of the model. */
  hasRoom(model: Model): boolean
  /** Counts a second attempt. */
  count(model: Model): void
  /** Records how long a target took to its first content, or to a whole plain answer. For an attempt that was given up,
   * this is the time until then. */
  observe(target: Target, stream: boolean, ms: number): void
}

/** Creates the memory of hedging: how long each target usually takes, and how many calls were sent twice lately. */
export function createHedges(states: Pick<States, 'target'>): Hedges {
  const shares = new Map<string, Share>()
  // The time to the first piece of a stream cannot be compared with the time of a whole answer.
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
      // The server stores this answer (`store: true`), and a second attempt would store it twice.
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

/** Counts how many of the last calls were sent twice. A second attempt is counted for the latest call before it. */
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
