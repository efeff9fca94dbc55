import { toNano } from './money.ts'
import type { Price, Rates, Target, Tier } from './servers.ts'
import { USUAL } from './service-tier.ts'
import { type Beside, inputTokens, NO_PARTS, type Served, type Usage, type UsageParts, withParts } from './usage.ts'

/** Prices are counted in billionths of a thousandth of a US dollar a token: USD per million tokens have six places. */
const PICO_PER_PRICE = 1e6

/** Every class of tokens that may have a price, with the wider one whose price it has while none of its own is known: what
 * is used is never free only because nobody wrote its price down. */
const WIDER: Readonly<Record<keyof Rates, keyof Rates | null>> = {
  input: null,
  audio_input: 'input',
  cache_read: 'input',
  audio_cache_read: 'cache_read',
  cache_write: 'input',
  cache_write_1h: 'cache_write',
  output: null,
  audio_output: 'output',
  reasoning: 'output',
}

/** A price as somebody wrote it down; what is absent or null is not known. */
export interface WrittenPrice extends Rates {
  readonly request?: number | null
  readonly search?: number | null
  readonly tiers?: readonly Tier[] | undefined
  readonly service_tiers?: WrittenFactors | null | undefined
  readonly inference_geo?: WrittenFactors | null | undefined
}

type WrittenFactors = Readonly<Record<string, number | undefined>>

/** Makes a price of what is written: a tier keeps the prices that it does not name from the one below it. */
export function toPrice(price: WrittenPrice): Price {
  const { tiers = [], search, request, service_tiers, inference_geo, ...written } = price
  const base = known(written)
  let rates: Rates = base
  const laid = tiers
    .toSorted((one, other) => one.above - other.above)
    .map(({ above, ...own }) => {
      rates = { ...rates, ...known(own) }
      return { ...rates, above }
    })
  return {
    input: null,
    output: null,
    ...base,
    request: request ?? 0,
    ...(search != null && { search }),
    ...(laid.length > 0 && { tiers: laid }),
    ...((service_tiers != null || inference_geo != null) && {
      factors: {
        ...(service_tiers != null && { serviceTier: given(service_tiers) }),
        ...(inference_geo != null && { inferenceGeo: given(inference_geo) }),
      },
    }),
  }
}

function given(written: WrittenFactors): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(written).flatMap(([name, times]) => (times == null ? [] : [[name, times]])))
}

function known(rates: Rates): Rates {
  return Object.fromEntries(Object.entries(rates).filter(([, amount]) => amount !== null))
}

/** The prices of tokens in a call whose prompt has so many. */
export function ratesAt(price: Price, prompt: number): Rates {
  return price.tiers?.findLast(({ above }) => prompt > above) ?? price
}

/** How many times the usual price of tokens a call has that is served so; what has no factor has the usual price. */
export function timesOf({ factors }: Price, { serviceTier, inferenceGeo }: Served): number {
  if (factors === undefined) return 1
  return factorOf(factors.serviceTier, serviceTier) * factorOf(factors.inferenceGeo, inferenceGeo)
}

/** The same at most for a call that asks for this, since it may be served as usual instead, and be told so or not. */
function mostTimesOf({ factors }: Price, { serviceTier, inferenceGeo }: Served): number {
  if (factors === undefined) return 1
  const [tiers, places] = [factors.serviceTier, factors.inferenceGeo]
  const tier = Math.max(1, factorOf(tiers, serviceTier), factorOf(tiers, USUAL))
  return tier * Math.max(1, factorOf(places, inferenceGeo))
}

function factorOf(factors: Readonly<Record<string, number>> | undefined, name: string | undefined): number {
  if (factors === undefined || name === undefined) return 1
  if (Object.hasOwn(factors, name)) return factors[name] ?? 1
  // Who asks OpenAI for the one gets what its answers, and its prices, call the other.
  return name === 'fast' ? factorOf(factors, 'priority') : 1
}

/** What an answer costs.
 *
 * @returns Billionths of a US dollar; `null` when the price of tokens that were used is not known. */
export function costOf(price: Price | null, usage: Usage): number | null {
  return price === null ? null : sumOf(price, usage, timesOf(price, usage))
}

/** What an answer costs at a target, where what its server asked other models for has their prices; that of the target where
 * they have none. */
export function costAt({ price, priceBeside }: Pick<Target, 'price' | 'priceBeside'>, usage: Usage): number | null {
  const { besides, inferenceGeo } = usage
  if (besides === undefined || price === null) return costOf(price, usage)
  let cost = costOf(price, besides.reduce(without, usage))
  for (const { model, usage: taken } of besides) {
    // It ran at the same place, and belongs to the same request.
    const at = { ...(priceBeside?.(model) ?? price), request: 0 }
    const own = costOf(at, inferenceGeo === undefined ? taken : { ...taken, inferenceGeo })
    cost = cost === null || own === null ? null : cost + own
  }
  return cost
}

function without(all: Usage, { usage }: Beside): Usage {
  const hour = usage.parts?.cacheWriteHour ?? 0
  return {
    ...all,
    input: Math.max(0, all.input - usage.input),
    cacheRead: Math.max(0, all.cacheRead - usage.cacheRead),
    cacheWrite: Math.max(0, all.cacheWrite - usage.cacheWrite),
    output: Math.max(0, all.output - usage.output),
    ...(all.parts !== undefined && {
      parts: { ...all.parts, cacheWriteHour: Math.max(0, all.parts.cacheWriteHour - hour) },
    }),
  }
}

/** @param times How many times the price of the tokens holds; a request and a search have one price. */
function sumOf(price: Price, usage: Usage, times: number): number | null {
  const { input, cacheRead, cacheWrite, output, parts } = usage
  const rates = price.tiers === undefined ? price : ratesAt(price, inputTokens(usage))
  const pico =
    parts === undefined && rates.reasoning == null
      ? picoOf(rates, 'input', input) +
        picoOf(rates, 'cache_read', cacheRead) +
        picoOf(rates, 'cache_write', cacheWrite) +
        picoOf(rates, 'output', output)
      : picoOfParts(rates, usage)
  const cost = Math.round((pico * times) / 1000) + toNano(price.request) + searchCost(price, parts)
  return Number.isNaN(cost) ? null : cost
}

/** The same where a part may have a price of its own; each is taken out of its whole, which estimates may have made
 * smaller. */
function picoOfParts(rates: Rates, { input, cacheRead, cacheWrite, output, reasoning, parts = NO_PARTS }: Usage) {
  const heard = Math.min(parts.audioInput, input)
  const heardBefore = Math.min(parts.audioCacheRead, cacheRead)
  const kept = Math.min(parts.cacheWriteHour, cacheWrite)
  const thought = Math.min(reasoning, output)
  const spoken = Math.min(parts.audioOutput, output - thought)
  return (
    picoOf(rates, 'input', input - heard) +
    picoOf(rates, 'audio_input', heard) +
    picoOf(rates, 'cache_read', cacheRead - heardBefore) +
    picoOf(rates, 'audio_cache_read', heardBefore) +
    picoOf(rates, 'cache_write', cacheWrite - kept) +
    picoOf(rates, 'cache_write_1h', kept) +
    picoOf(rates, 'output', output - thought - spoken) +
    picoOf(rates, 'reasoning', thought) +
    picoOf(rates, 'audio_output', spoken)
  )
}

/** A search without a price costs nothing: a call would else be free of the price of its tokens by asking for one. */
function searchCost({ search }: Price, parts: UsageParts | undefined): number {
  return parts === undefined || search == null ? 0 : parts.searches * toNano(search)
}

/** How much a call may use, as far as that is known before it goes out. */
export interface Bound {
  readonly input: number
  readonly output: number
  readonly searches: number
  /** Whether what it writes to a cache may be kept for an hour, and whether its answer is spoken. */
  readonly keeps: boolean
  readonly speaks: boolean
  /** What it asks for; it may be served at the usual tier instead. */
  readonly asked: Served
  /** The models that its server may ask besides, so many times each; absent where there are none. */
  readonly besides?: readonly BoundBeside[]
}

/** How much another model may say at a time. */
export interface BoundBeside {
  readonly model: string
  readonly output: number
  readonly uses: number
}

/** The most that a call may cost: every token in the dearest class that it may come to belong to.
 *
 * @returns Billionths of a US dollar; `null` when a price is not known. */
export function mostOf(price: Price | null, bound: Bound): number | null {
  if (price === null) return null
  const { input, output, searches, keeps, speaks, asked } = bound
  const rates = ratesAt(price, input)
  const most = {
    input: dearest(rates, keeps ? ['input', 'cache_write', 'cache_write_1h'] : ['input', 'cache_write']),
    output: dearest(rates, speaks ? ['output', 'reasoning', 'audio_output'] : ['output', 'reasoning']),
    request: price.request,
    search: price.search ?? 0,
  }
  const none = { cacheRead: 0, cacheWrite: 0, reasoning: 0, estimated: true }
  return sumOf(most, withParts({ ...none, input, output }, { searches }), mostTimesOf(price, asked))
}

/** The same at a target, with what its server may ask other models for, which read the prompt and what was answered to
 * it. */
export function mostAt({ price, priceBeside }: Pick<Target, 'price' | 'priceBeside'>, bound: Bound): number | null {
  const { besides = [], asked, input, output } = bound
  let most = mostOf(price, bound)
  for (const { model, uses, output: said } of besides) {
    if (most === null || price === null) return null
    const at = { ...(priceBeside?.(model) ?? price), request: 0 }
    const { inferenceGeo } = asked
    const place = inferenceGeo === undefined ? {} : { inferenceGeo }
    const own = mostOf(at, { ...bound, input: input + output, output: said, searches: 0, speaks: false, asked: place })
    // More than a ledger can count is more than any budget.
    most = own === null ? null : Math.min(Number.MAX_SAFE_INTEGER, most + uses * own)
  }
  return most
}

function dearest(rates: Rates, names: readonly (keyof Rates)[]): number | null {
  const amounts = names.flatMap(name => rateOf(rates, name) ?? [])
  return amounts.length === 0 ? null : Math.max(...amounts)
}

function picoOf(rates: Rates, name: keyof Rates, tokens: number): number {
  if (tokens === 0) return 0
  const price = rateOf(rates, name)
  return price === null ? Number.NaN : tokens * Math.round(price * PICO_PER_PRICE)
}

function rateOf(rates: Rates, name: keyof Rates): number | null {
  const own = rates[name]
  if (own != null) return own
  const wider = WIDER[name]
  return wider === null ? null : rateOf(rates, wider)
}
