//! weir's own endpoints beside the Elasticsearch ones: live tail, lines around one, patterns.

import type { Span } from '../lib/time';
import { call } from './client';
import type { Hit } from './search';

interface ContextAnswer {
  before: Hit[];
  hit: Hit;
  after: Hit[];
}

/** The lines around one, of the same container in the order of its log, the oldest first. */
export async function context(index: string, id: string, before: number, after: number, abort?: AbortSignal): Promise<Hit[]> {
  const answer = await call<ContextAnswer>('GET', `/api/context/${encodeURIComponent(id)}?index=${encodeURIComponent(index)}&within=container.id&before=${before}&after=${after}`, undefined, abort);
  return [...answer.before, answer.hit, ...answer.after];
}

/** Messages that are alike: what they have in common, how many there are, since when, and one of them. */
export interface Pattern {
  template: string;
  count: number;
  first_seen?: number;
  last_seen?: number;
  /** Whether no line from before the last day is like it; absent where that cannot be told. */
  new?: boolean | null;
  trend?: number[];
  levels?: Record<string, number>;
  services?: Record<string, number>;
  sample?: Hit;
}

export interface Patterns {
  total: number;
  /** What no line before this time is like is new; absent where no line is that old. */
  new_since?: number | null;
  sampled?: number;
  patterns: Pattern[];
}

/** `query` is without the time, which stands beside it: what is older is compared with. */
export function patterns(index: string, query: unknown, time: Span, size: number, abort?: AbortSignal): Promise<Patterns> {
  return call('POST', '/api/patterns', { index, query, from: time.from, to: time.to, size }, abort);
}

/** A search that somebody saved for all. */
export interface Saved {
  name: string;
  screen: string;
}

export async function savedSearches(abort?: AbortSignal): Promise<Saved[]> {
  return (await call<{ searches: Saved[] }>('GET', '/api/searches', undefined, abort)).searches;
}

export function saveSearch(name: string, screen: string): Promise<unknown> {
  return call('PUT', `/api/searches/${encodeURIComponent(name)}`, { screen });
}

export function forgetSearch(name: string): Promise<unknown> {
  return call('DELETE', `/api/searches/${encodeURIComponent(name)}`);
}
