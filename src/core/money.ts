import type { Price } from './servers.ts'
import type { Usage } from './usage.ts'

/** Money is counted in billionths of a US dollar, as integers: sums of them are exact up to nine million dollars. */
const NANO_PER_USD = 1e9
/** Prices are counted in billionths of a thousandth of a US dollar a token: USD per million tokens have six places. */
const PICO_PER_PRICE = 1e6

/** How much may be spent in each day or month of the calendar, UTC. */
export interface Budget {
  readonly nano: number
  readonly per: 'day' | 'month'
}

/** US dollars as the gateway counts them. */
export function toNano(usd: number): number {
  return Math.round(usd * NANO_PER_USD)
}

/** An amount as people read it: `0.0000125`. */
export function formatUsd(nano: number): string {
  const digits = String(Math.abs(nano)).padStart(10, '0')
  const text = `${digits.slice(0, -9)}.${digits.slice(-9)}`.replace(/\.?0+$/, '')
  return nano < 0 ? `-${text}` : text
}

/** What an answer costs.
 *
 * @returns Billionths of a US dollar; `null` when the price of something that was used is not known. */
export function costOf(price: Price | null, usage: Usage): number | null {
  if (price === null) return null
  const { input, cacheRead, cacheWrite, output } = usage
  const pico =
    picoOf(input, price.input) +
    picoOf(cacheRead, price.cache_read) +
    picoOf(cacheWrite, price.cache_write) +
    picoOf(output, price.output)
  return Number.isNaN(pico) ? null : Math.round(pico / 1000) + toNano(price.request)
}

function picoOf(tokens: number, price: number | null | undefined): number {
  if (tokens === 0) return 0
  return price == null ? Number.NaN : tokens * Math.round(price * PICO_PER_PRICE)
}

/** The day or month that a moment lies in, as `2027-01-31` or `2027-01`. */
export function periodOf(time: number, per: Budget['per']): string {
  return new Date(time).toISOString().slice(0, per === 'day' ? 10 : 7)
}

/** When the next day or month begins, in epoch milliseconds. */
export function periodEnd(time: number, per: Budget['per']): number {
  const date = new Date(time)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
  return per === 'day' ? Date.UTC(year, month, date.getUTCDate() + 1) : Date.UTC(year, month + 1, 1)
}
