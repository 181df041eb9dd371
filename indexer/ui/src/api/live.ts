//! weir's own endpoints beside the Elasticsearch ones: live tail, lines around one, patterns.

import { call } from './client';
import type { Hit } from './search';

interface ContextAnswer {
  before: Hit[];
  hit: Hit;
  after: Hit[];
}

/** The lines around one, in file order of its source, the oldest first. */
export async function context(index: string, id: string, before: number, after: number, abort?: AbortSignal): Promise<Hit[]> {
  const answer = await call<ContextAnswer>('GET', `/api/context/${encodeURIComponent(id)}?index=${encodeURIComponent(index)}&before=${before}&after=${after}`, undefined, abort);
  return [...answer.before, answer.hit, ...answer.after];
}

/** Messages that are alike: what they have in common, how many there are, since when, and one of them. */
export interface Pattern {
  template: string;
  count: number;
  first_seen?: number;
  last_seen?: number;
  new?: boolean;
  trend?: number[];
  levels?: Record<string, number>;
  services?: Record<string, number>;
  sample?: Hit;
}

export interface Patterns {
  total: number;
  sampled?: number;
  patterns: Pattern[];
}

export function patterns(index: string, query: unknown, size: number, abort?: AbortSignal): Promise<Patterns> {
  return call('POST', '/api/patterns', { index, query, size }, abort);
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
