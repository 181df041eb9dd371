//! What was found: the lines, the counts over time, and the fields there are.

import { computed, effect, signal } from '@preact/signals';
import { Failure, isAbort } from '../api/client';
import { absent, type Absent, type Fields, type Hit, type Overview, fieldsOf, lines, overview, queryOf } from '../api/search';
import { mustLogIn } from '../api/session';
import { type Marks, marks as marksOf } from '../lib/query';
import { barWidth, type Span, resolve } from '../lib/time';
import { DEFAULT_INDEX, LEDGER_INDEX, screen } from './screen';
import { utc } from './settings';

/** Lines asked for first: more than a screen shows, few enough to be there at once. */
const FIRST_PAGE = 200;
/** Lines asked for when the reader comes near the end of those loaded. */
const NEXT_PAGE = 1000;
/** The same for whoever has come far: fewer, longer requests. */
const FAR_PAGE = 2500;
const FAR = 5000;
/** Lines kept at most: about 200 MB in the browser. Whoever reads on narrows the search. */
export const MAX_LINES = 100_000;
/** Bars in the chart, for as wide as the window is: one for so many pixels. */
const PIXELS_PER_BAR = 11;
/** How long to wait before asking again when weir does not answer, in milliseconds: first, and at most. */
const RETRY_FIRST = 1000;
const RETRY_MOST = 10_000;

export interface Found {
  /** Grows when other lines take the place of these. */
  generation: number;
  /** The range that was searched. */
  span: Span;
  /** Grows when lines are added: the list itself is changed in place. */
  version: number;
  hits: Hit[];
  /** Whether there is nothing beyond the last line. */
  complete: boolean;
  took: number;
  timedOut: boolean;
}

export const fields = signal<Fields>(new Map());
export const found = signal<Found | undefined>(undefined);
export const counts = signal<Overview | undefined>(undefined);
/** What is not there and why, as far as it can be told for this search. */
export const missing = signal<Absent | undefined>(undefined);
export const searching = signal(false);
export const loadingMore = signal(false);
export const problem = signal<Failure | undefined>(undefined);
/** When weir is asked again after it did not answer, in milliseconds since 1970. */
export const retryAt = signal<number | undefined>(undefined);

export const marks = computed<Marks>(() => marksOf(screen.value.query, screen.value.language));

/** The time zone in which days begin, as the indexer wants it. Only for those who need it: a browser's first date format takes
 * 100 ms of a slow processor. */
export const zone = (): string => (utc.peek() ? 'UTC' : Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC');

/** Grows whenever the same question is asked again. */
export const asked = signal(0);
let generation = 0;
let current: AbortController | undefined;
let retry: ReturnType<typeof setTimeout> | undefined;
let retryDelay = RETRY_FIRST;
let fieldsFor = '';
let fieldsRead = 0;
/** Fields that came into being since are seen after so many milliseconds. */
const FIELDS_FRESH = 30_000;

/** Searches again with the same question: new lines may have come. */
export function refresh(): void {
  asked.value += 1;
}

/** What of the screen decides what is found. */
const question = computed(() => {
  const { view, index, query, language, from, to, filters, sort } = screen.value;
  return JSON.stringify([view === 'logs', index, query, language, from, to, filters, sort]);
});

export async function readFields(abort?: AbortSignal): Promise<void> {
  const { index } = screen.value;
  if (fieldsFor === index && Date.now() - fieldsRead < FIELDS_FRESH) return;
  const read = await fieldsOf(index, abort);
  fieldsFor = index;
  fieldsRead = Date.now();
  fields.value = read;
}

async function search(): Promise<void> {
  current?.abort();
  clearTimeout(retry);
  retryAt.value = undefined;
  const abort = new AbortController();
  current = abort;
  const now = screen.peek();
  const span = resolve(now.from, now.to, Date.now());
  searching.value = true;
  try {
    // Which fields are exact decides how filters ask; without filters there is no need to wait.
    const reading = readFields(abort.signal);
    if (now.filters.length > 0) await reading;
    const query = queryOf(now, span, fields.peek());
    const bars = Math.max(20, Math.min(150, Math.floor(innerWidth / PIXELS_PER_BAR)));
    const seen = lines(now.index, query, now.sort, FIRST_PAGE, undefined, abort.signal).then((page) => {
      generation += 1;
      found.value = { generation, version: 0, span, hits: page.hits, complete: page.hits.length < FIRST_PAGE, took: page.took, timedOut: page.timedOut };
    });
    const counted = overview(now.index, query, span, bars, zone, abort.signal).then((all) => {
      counts.value = all;
    });
    await Promise.all([seen, counted, reading]);
    void look(span, barWidth(span, bars), abort.signal);
    problem.value = undefined;
    retryDelay = RETRY_FIRST;
  } catch (error) {
    if (isAbort(error)) return;
    fail(error);
  } finally {
    if (current === abort) searching.value = false;
  }
}

/** The ledger knows of dropped lines no more than these. */
const LEDGER_FIELDS = ['service.name', 'log.level'];

/** Looks up what is not there. Whether dropped lines would fit a text or another field, nobody can tell. */
async function look(span: Span, width: number, abort: AbortSignal): Promise<void> {
  const { index, query, filters } = screen.peek();
  if (index !== DEFAULT_INDEX || query.trim() !== '' || !filters.every((f) => LEDGER_FIELDS.includes(f.field))) {
    missing.value = undefined;
    return;
  }
  try {
    missing.value = await absent(index, LEDGER_INDEX, filters, span, width, zone, abort);
  } catch (error) {
    // The lines themselves are there; the chart only lacks its background.
    if (!isAbort(error)) missing.value = undefined;
  }
}

function fail(error: unknown): void {
  const failure = error instanceof Failure ? error : new Failure(String(error), -1);
  problem.value = failure;
  // No answer, too busy, or starting: that passes. Anything else is the question's fault.
  if (failure.status !== 0 && failure.status !== 429 && failure.status !== 502 && failure.status !== 503) return;
  retryAt.value = Date.now() + retryDelay;
  retry = setTimeout(refresh, retryDelay);
  retryDelay = Math.min(retryDelay * 2, RETRY_MOST);
}

/** Whether as many lines are loaded as were counted. */
function isAll(list: Found): boolean {
  const all = counts.peek();
  return all !== undefined && !all.atLeast && list.hits.length >= all.total;
}

/** Loads the lines beyond the last one, if there are any. */
export async function more(): Promise<void> {
  const list = found.peek();
  const last = list?.hits.at(-1)?.sort;
  if (!list || list.complete || loadingMore.peek() || searching.peek() || !last || list.hits.length >= MAX_LINES) return;
  loadingMore.value = true;
  const abort = current?.signal;
  try {
    const now = screen.peek();
    const size = Math.min(list.hits.length > FAR ? FAR_PAGE : NEXT_PAGE, MAX_LINES - list.hits.length);
    const page = await lines(now.index, queryOf(now, list.span, fields.peek()), now.sort, size, last, abort);
    if (found.peek()?.generation !== list.generation) return;
    for (const hit of page.hits) list.hits.push(hit);
    found.value = { ...list, version: list.version + 1, complete: page.hits.length < size || isAll(list) };
  } catch (error) {
    if (!isAbort(error)) fail(error);
  } finally {
    loadingMore.value = false;
  }
}

/** Starts searching whenever the question changes, and at the interval asked for. */
export function start(): void {
  effect(() => {
    const [active] = JSON.parse(question.value) as [boolean];
    asked.value;
    if (active && !mustLogIn.value) void search();
  });
  effect(() => {
    const seconds = screen.value.refresh;
    if (seconds === 0 || screen.value.live || screen.value.view !== 'logs') return;
    const timer = setInterval(() => {
      // Nobody looks, or the last search is still under way: no need to ask.
      if (document.visibilityState === 'visible' && !searching.peek()) refresh();
    }, seconds * 1000);
    return () => clearInterval(timer);
  });
}
