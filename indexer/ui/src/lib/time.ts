//! Times: ranges such as `now-15m`, absolute instants, and how they are shown (local time or UTC).

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;
const UNIT_NAMES: Record<string, string> = { s: 'second', m: 'minute', h: 'hour', d: 'day', w: 'week' };

/** Start and end in milliseconds since 1970. */
export interface Span {
  from: number;
  to: number;
}

/** The ranges offered at once. */
export const QUICK_RANGES = ['5m', '15m', '30m', '1h', '3h', '6h', '12h', '24h', '2d', '7d', '30d', '90d'] as const;

/** The widths a bar of the chart may have, in milliseconds. */
const BAR_WIDTHS = [
  100, 250, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000,
  10_800_000, 21_600_000, 43_200_000, 86_400_000, 172_800_000, 604_800_000, 2_592_000_000,
];

/** What a text such as `now-15m`, `now-1d/d`, `2026-07-28T14:00` or `1785200000000` means; `undefined` if it means nothing. */
export function instant(text: string, now: number): number | undefined {
  const relative = /^now(?:([+-])(\d{1,6})([smhdw]))?(?:\/([hdw]))?$/.exec(text.trim());
  if (relative) {
    const [, sign, amount, unit, round] = relative;
    let at = now;
    if (amount && unit) at += (sign === '-' ? -1 : 1) * Number(amount) * UNITS[unit as keyof typeof UNITS];
    return round ? startOf(at, round) : at;
  }
  if (/^\d{12,14}$/.test(text)) return Number(text);
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
}

function startOf(at: number, unit: string): number {
  const day = new Date(at);
  if (unit === 'h') {
    day.setMinutes(0, 0, 0);
    return day.getTime();
  }
  day.setHours(0, 0, 0, 0);
  if (unit === 'w') day.setDate(day.getDate() - ((day.getDay() + 6) % 7));
  return day.getTime();
}

/** Resolves both ends; a range that is empty or unreadable becomes the last 15 minutes before its end. */
export function resolve(from: string, to: string, now: number): Span {
  const end = instant(to, now) ?? now;
  const start = instant(from, now);
  return { from: start === undefined || start >= end ? end - 900_000 : start, to: end };
}

/** A name for a range: `Last 15 minutes`, or both instants. */
export function rangeName(from: string, to: string, utc: boolean): string {
  const last = /^now-(\d+)([smhdw])$/.exec(from);
  if (to === 'now' && last) {
    const [, n, unit] = last;
    const name = UNIT_NAMES[unit ?? ''] ?? '';
    return n === '1' ? `Last ${name}` : `Last ${n} ${name}s`;
  }
  if (to === 'now' && from === 'now/d') return 'Today';
  if (to === 'now' && from === 'now/w') return 'This week';
  const end = (text: string) => {
    const at = /^now/.test(text) ? undefined : instant(text, 0);
    return at === undefined ? text : shortTime(at, utc);
  };
  return `${end(from)} → ${end(to)}`;
}

/** The width of a bar so that about `bars` of them fill the range. */
export function barWidth(range: Span, bars: number): number {
  const wanted = (range.to - range.from) / bars;
  return BAR_WIDTHS.find((width) => width >= wanted) ?? 2_592_000_000;
}

/** A width as Elasticsearch's `fixed_interval`. */
export function fixedInterval(millis: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (millis % UNITS[unit] === 0) return `${millis / UNITS[unit]}${unit}`;
  }
  return `${millis}ms`;
}

interface Parts {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  milli: number;
}

function parts(at: number, utc: boolean): Parts {
  const d = new Date(at);
  return utc
    ? { year: d.getUTCFullYear(), month: d.getUTCMonth(), day: d.getUTCDate(), hour: d.getUTCHours(), minute: d.getUTCMinutes(), second: d.getUTCSeconds(), milli: d.getUTCMilliseconds() }
    : { year: d.getFullYear(), month: d.getMonth(), day: d.getDate(), hour: d.getHours(), minute: d.getMinutes(), second: d.getSeconds(), milli: d.getMilliseconds() };
}

const two = (n: number) => (n < 10 ? `0${n}` : `${n}`);
const three = (n: number) => `${n}`.padStart(3, '0');
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Jul 28 14:03:05.123`: the time of a line. */
export function lineTime(at: number, utc: boolean): string {
  if (Number.isNaN(at)) return '–';
  const p = parts(at, utc);
  return `${MONTHS[p.month]} ${two(p.day)} ${two(p.hour)}:${two(p.minute)}:${two(p.second)}.${three(p.milli)}`;
}

/** `14:03:05.123`: the time of a line where there is little room. */
export function clockTime(at: number, utc: boolean): string {
  return lineTime(at, utc).slice(7);
}

/** `Jul 28, 14:03` (with seconds where there are any): for ranges. */
export function shortTime(at: number, utc: boolean): string {
  const p = parts(at, utc);
  const seconds = p.second || p.milli ? `:${two(p.second)}` : '';
  const year = p.year === parts(Date.now(), utc).year ? '' : ` ${p.year}`;
  return `${MONTHS[p.month]} ${p.day}${year}, ${two(p.hour)}:${two(p.minute)}${seconds}`;
}

/** `2026-07-28T14:03:05`: for an input of type datetime-local. */
export function inputTime(at: number, utc: boolean): string {
  const p = parts(at, utc);
  return `${p.year}-${two(p.month + 1)}-${two(p.day)}T${two(p.hour)}:${two(p.minute)}:${two(p.second)}`;
}

/** What was typed into an input of type datetime-local. */
export function fromInput(text: string, utc: boolean): number | undefined {
  const at = Date.parse(utc ? `${text}Z` : text);
  return Number.isNaN(at) ? undefined : at;
}
