//! What is wrong with weir or around it, collected from what the indexer knows.

import { count, span } from '../lib/format';
import { DEFAULT_INDEX, link } from '../state/screen';
import { call, failure, Failure } from './client';

/** Something that somebody should look at, and what to do about it. */
export interface Trouble {
  what: string;
  advice: string;
  /** Where in this page to look. */
  href?: string;
}

/** Where the aggregator puts what an index refused. */
export const DEAD_INDEX = 'logs-weir-dead';
/** Where the aggregator counts what pipelines dropped. */
export const LEDGER_INDEX = 'logs-weir-ledger';

/** A node that has sent nothing for so long is told, in milliseconds. Well kept nodes may say little: most lines are dropped. */
const SILENT_AFTER = 3_600_000;
/** Nodes are known for so long, as date math. */
const KNOWN_FOR = 'now-3d';
const MAX_NODES = 500;

interface Answer {
  hits: { total?: { value: number } };
  aggregations?: { nodes?: { buckets: { key: string; last: { value: number } }[] } };
}

const search = (index: string, body: unknown, abort: AbortSignal) =>
  call<Answer>('POST', `/${index}/_search?ignore_unavailable=true`, body, abort);
const lastDay = { range: { '@timestamp': { gte: 'now-24h' } } };

/** Everything that is wrong right now. */
export async function troubles(abort: AbortSignal): Promise<Trouble[]> {
  const [own, nodes, dead, gaps] = await Promise.all([
    health(abort),
    search(DEFAULT_INDEX, { size: 0, query: { range: { '@timestamp': { gte: KNOWN_FOR } } }, aggs: { nodes: { terms: { field: 'host.name', size: MAX_NODES }, aggs: { last: { max: { field: '@timestamp' } } } } } }, abort),
    search(DEAD_INDEX, { size: 0, track_total_hits: true, query: lastDay }, abort),
    search(DEFAULT_INDEX, { size: 0, track_total_hits: true, query: { bool: { filter: [lastDay, { term: { 'event.dataset': 'weir.gap' } }] } } }, abort),
  ]);
  const now = Date.now();
  const silent = (nodes.aggregations?.nodes?.buckets ?? []).filter((n) => now - n.last.value > SILENT_AFTER).map((n): Trouble => ({
    what: `${n.key} has sent nothing for ${span(now - n.last.value)}`,
    advice: 'Is the machine up, and its shipper running? A quiet machine whose every line is dropped on the way looks the same.',
    href: link({ view: 'logs', query: '', filters: [{ field: 'host.name', values: [n.key], not: false }], from: 'now-3d', to: 'now' }),
  }));
  const found: Trouble[] = [];
  const letters = dead.hits.total?.value ?? 0;
  if (letters > 0) {
    found.push({
      what: `${count(letters)} ${letters === 1 ? 'line was' : 'lines were'} refused in the last 24 hours and put aside`,
      advice: 'Each says why. Most often a pipeline makes a field of a type that its index does not take.',
      href: link({ view: 'logs', index: DEAD_INDEX, query: '', filters: [], from: 'now-24h', to: 'now' }),
    });
  }
  const lost = gaps.hits.total?.value ?? 0;
  if (lost > 0) {
    found.push({
      what: `Lines were lost ${lost === 1 ? 'once' : `${count(lost)} times`} in the last 24 hours, before they could be read`,
      advice: 'Docker rotated a log away faster than it was sent. Give its container a larger max-size or more max-file.',
      href: link({ view: 'logs', index: DEFAULT_INDEX, query: '', filters: [{ field: 'event.dataset', values: ['weir.gap'], not: false }], from: 'now-24h', to: 'now' }),
    });
  }
  return [...own, ...found, ...silent];
}

/** The troubles that the indexer itself tells of, with its own words of advice. */
async function health(abort: AbortSignal): Promise<Trouble[]> {
  const response = await fetch('/health', { headers: { Accept: 'application/json' }, signal: abort });
  if (!response.ok && response.status !== 503) throw await failure(response);
  const body = (await response.json()) as { troubles?: Record<string, string> };
  if (body.troubles === undefined && !response.ok) throw new Failure('weir is not well, and does not say why', response.status);
  return Object.entries(body.troubles ?? {}).map(([part, what]) => ({ what: `${part}: ${what}`, advice: '' }));
}
