/** Whether the calendar has a day, as `2027-01-31`: parsers take the 30th of February for the 2nd of March. */
export function isDay(text: string): boolean {
  const time = Date.parse(text)
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text)
}
