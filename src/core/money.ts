/** Money is counted in billionths of a US dollar, as integers: sums of them are exact up to nine million dollars. */
const NANO_PER_USD = 1e9

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
