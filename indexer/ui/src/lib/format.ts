//! Numbers, sizes and durations as people read them.

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** `12,345` */
export function count(n: number): string {
  return whole.format(n);
}

/** `12.3K`, for places too narrow for the whole number. */
export function compact(n: number): string {
  return n < 10_000 ? whole.format(n) : short.format(n);
}

/** `1 line`, `2 lines` */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** `1.2 MB`, in powers of ten. */
export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? n : n.toFixed(n < 10 ? 1 : 0)} ${units[unit]}`;
}

/** A share as a whole percentage; what is not nothing is never shown as 0 %. */
export function percent(part: number, all: number): string {
  if (all <= 0 || part <= 0) return '0 %';
  const share = (100 * part) / all;
  return share < 1 ? '<1 %' : `${Math.round(share)} %`;
}

/** `3 s`, `5 min`, `2 h`, `4 d`: the largest unit that fits. */
export function span(millis: number): string {
  const seconds = Math.max(0, millis) / 1000;
  if (seconds < 1) return `${Math.round(millis)} ms`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
