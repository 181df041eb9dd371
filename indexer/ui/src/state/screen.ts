//! What the page shows, all of it in the address, so that a link shows a colleague the same screen.

import { signal } from '@preact/signals';
import type { Language } from '../lib/query';

export type View = 'logs' | 'patterns' | 'line' | 'pipelines' | 'status';
const VIEWS: readonly View[] = ['logs', 'patterns', 'line', 'pipelines', 'status'];

/** A condition beside the query text: `field` is one of `values`, or (no values) exists. */
export interface Filter {
  field: string;
  values: string[];
  not: boolean;
}

export interface Screen {
  view: View;
  index: string;
  query: string;
  language: Language;
  from: string;
  to: string;
  filters: Filter[];
  columns: string[];
  sort: 'desc' | 'asc';
  wrap: boolean;
  live: boolean;
  /** Seconds between refreshes; 0 for none. */
  refresh: number;
  /** For the view `line`: which document. */
  doc: string;
}

export const DEFAULT_COLUMNS = ['log.level', 'service.name', 'message'];
export const DEFAULT_INDEX = 'logs-weir';
/** Where the aggregator puts what an index refused. */
export const DEAD_INDEX = 'logs-weir-dead';
/** Where the aggregator counts what pipelines dropped. */
export const LEDGER_INDEX = 'logs-weir-ledger';

const DEFAULTS: Screen = {
  view: 'logs', index: DEFAULT_INDEX, query: '', language: 'kql', from: 'now-15m', to: 'now', filters: [], columns: DEFAULT_COLUMNS,
  sort: 'desc', wrap: false, live: false, refresh: 0, doc: '',
};

/** Limits on what an address may hold: it comes from whoever made the link. */
const MAX_FILTERS = 50;
const MAX_COLUMNS = 30;
const MAX_TEXT = 10_000;

/** Reads the part of the address behind `#`. What cannot be read is as if it were not there. */
export function parse(hash: string): Screen {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  const params = new URLSearchParams(search);
  const view = VIEWS.find((v) => v === path) ?? 'logs';
  const text = (key: string, usual: string) => params.get(key)?.slice(0, MAX_TEXT) ?? usual;
  const columns = text('cols', '').split(',').filter(Boolean).slice(0, MAX_COLUMNS);
  return {
    view,
    index: text('index', DEFAULTS.index) || DEFAULTS.index,
    query: text('q', ''),
    language: params.get('lang') === 'lucene' ? 'lucene' : 'kql',
    from: text('from', DEFAULTS.from),
    to: text('to', DEFAULTS.to),
    filters: params.getAll('f').slice(0, MAX_FILTERS).map(readFilter).filter((f) => f !== undefined),
    columns: columns.length > 0 ? columns : DEFAULT_COLUMNS,
    sort: params.get('sort') === 'asc' ? 'asc' : 'desc',
    wrap: params.get('wrap') === '1',
    live: params.get('live') === '1',
    refresh: Math.min(3600, Math.max(0, Math.trunc(Number(params.get('refresh') ?? 0)) || 0)),
    doc: text('doc', ''),
  };
}

/** Writes the part of the address behind `#`; what is as usual is left out. */
export function format(screen: Screen): string {
  const params = new URLSearchParams();
  const set = (key: string, value: string, usual: string) => {
    if (value !== usual) params.set(key, value);
  };
  set('q', screen.query, '');
  set('lang', screen.language, 'kql');
  set('from', screen.from, DEFAULTS.from);
  set('to', screen.to, DEFAULTS.to);
  for (const filter of screen.filters) params.append('f', writeFilter(filter));
  set('cols', screen.columns.join(','), DEFAULT_COLUMNS.join(','));
  set('sort', screen.sort, 'desc');
  set('wrap', screen.wrap ? '1' : '', '');
  set('live', screen.live ? '1' : '', '');
  set('refresh', `${screen.refresh}`, '0');
  set('index', screen.index, DEFAULTS.index);
  set('doc', screen.doc, '');
  const search = `${params}`;
  return `#/${screen.view}${search ? `?${search}` : ''}`;
}

function writeFilter(filter: Filter): string {
  return JSON.stringify([filter.not ? '-' : '+', filter.field, ...filter.values]);
}

function readFilter(text: string): Filter | undefined {
  try {
    const list: unknown = JSON.parse(text);
    if (!Array.isArray(list) || list.length < 2 || !list.every((v) => typeof v === 'string')) return undefined;
    const [sign, field, ...values] = list as string[];
    return { field: field ?? '', values, not: sign === '-' };
  } catch {
    return undefined; // Not a filter: the address was cut or typed by hand.
  }
}

/** What is shown now. Change it with `go`. */
export const screen = signal<Screen>(parse(location.hash));

/** Shows something else and notes it in the address: as a new step for the back button, or (`replace`) in place. */
export function go(change: Partial<Screen>, replace = false): void {
  const next = { ...screen.value, ...change };
  const hash = format(next);
  if (hash !== location.hash) {
    if (replace) history.replaceState(null, '', hash);
    else history.pushState(null, '', hash);
  }
  screen.value = next;
}

/** The address of another screen, for links. */
export function link(change: Partial<Screen>): string {
  return format({ ...screen.value, ...change });
}

const same = (a: Filter, b: Filter) => a.field === b.field && a.not === b.not;

/** Adds a condition. Several values of one field are alternatives; the opposite condition on the value goes. */
export function addFilter(filter: Filter): void {
  const { filters } = screen.value;
  const others = filters
    .map((f) => (f.field === filter.field && f.not !== filter.not ? { ...f, values: f.values.filter((v) => !filter.values.includes(v)) } : f))
    .filter((f, i) => f.values.length > 0 || filters[i]?.values.length === 0);
  const there = others.find((f) => same(f, filter) && f.values.length > 0 && filter.values.length > 0);
  const merged = there
    ? others.map((f) => (f === there ? { ...f, values: [...new Set([...f.values, ...filter.values])] } : f))
    : [...others.filter((f) => !(same(f, filter) && f.values.length === filter.values.length)), filter];
  go({ filters: merged, view: screen.value.view === 'line' ? 'logs' : screen.value.view });
}

/** Whether a value is among those asked for. */
export function isFiltered(field: string, value: string): boolean {
  return screen.value.filters.some((f) => f.field === field && !f.not && f.values.includes(value));
}

/** Asks for a value, or no longer. */
export function toggleFilter(field: string, value: string): void {
  if (!isFiltered(field, value)) return addFilter({ field, values: [value], not: false });
  const filters = screen.value.filters
    .map((f) => (f.field === field && !f.not ? { ...f, values: f.values.filter((v) => v !== value) } : f))
    .filter((f) => f.field !== field || f.not || f.values.length > 0);
  go({ filters });
}

export function toggleColumn(name: string): void {
  const { columns } = screen.value;
  const next = columns.includes(name) ? columns.filter((c) => c !== name) : [...columns.filter((c) => c !== 'message'), name, ...columns.filter((c) => c === 'message')];
  go({ columns: next.length > 0 ? next : DEFAULT_COLUMNS }, true);
}

addEventListener('popstate', () => {
  screen.value = parse(location.hash);
});
addEventListener('hashchange', () => {
  screen.value = parse(location.hash);
});
