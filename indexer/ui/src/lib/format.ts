//! Numbers, sizes and durations as people read them.

// Not by Intl: its first number format takes 50 to 150 ms of a slow processor, before anything is shown.

/** `12,345` */
export function count(n: number): string {
  const [whole = '', rest] = String(Math.round(n * 1000) / 1000).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return rest === undefined ? grouped : `${grouped}.${rest}`;
}

/** `12.3K`, for places too narrow for the whole number. */
export function compact(n: number): string {
  if (n < 10_000) return count(n);
  const units = ['', 'K', 'M', 'B', 'T'];
  let unit = 0;
  while (Number(n.toFixed(1)) >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit += 1;
  }
  return `${Number(n.toFixed(1))}${units[unit]}`;
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
