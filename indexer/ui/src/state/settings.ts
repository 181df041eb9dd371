//! What a person has chosen for this browser: theme, time zone, column widths, queries typed before.

import { effect, signal } from '@preact/signals';

export type Theme = 'auto' | 'dark' | 'light';

/** How many queries are remembered: more than one looks through. */
const MAX_HISTORY = 30;
const PREFIX = 'weir.';

function read<T>(key: string, usual: T, valid: (value: unknown) => value is T): T {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(PREFIX + key) ?? 'null');
    return valid(value) ? value : usual;
  } catch {
    return usual; // Storage is refused (private browsing) or holds something else: as if nothing had been chosen.
  }
}

function write(key: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Storage is full or refused: the choice lasts as long as the page.
  }
}

const isTheme = (v: unknown): v is Theme => v === 'auto' || v === 'dark' || v === 'light';
const isFlag = (v: unknown): v is boolean => typeof v === 'boolean';
const isTexts = (v: unknown): v is string[] => Array.isArray(v) && v.every((x) => typeof x === 'string');
const isWidths = (v: unknown): v is Record<string, number> =>
  v !== null && typeof v === 'object' && Object.values(v).every((x) => typeof x === 'number');

export const theme = signal(read('theme', 'auto', isTheme));
export const utc = signal(read('utc', false, isFlag));
export const sidebar = signal(innerWidth > 900 && read('sidebar', true, isFlag));
export const widths = signal(read('widths', {}, isWidths));
export const history = signal(read('history', [], isTexts));

effect(() => {
  if (theme.value === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
  write('theme', theme.value);
});
effect(() => write('utc', utc.value));
effect(() => { if (innerWidth > 900) write('sidebar', sidebar.value); });
effect(() => write('widths', widths.value));
effect(() => write('history', history.value));

/** Notes a query as the newest one. */
export function remember(query: string): void {
  const text = query.trim();
  if (text) history.value = [text, ...history.value.filter((q) => q !== text)].slice(0, MAX_HISTORY);
}

/** Whether the page is dark at this moment. */
export function isDark(): boolean {
  return theme.value === 'dark' || (theme.value === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches);
}
