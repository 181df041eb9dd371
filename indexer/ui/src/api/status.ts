//! How weir is doing: disk, retention, rates, nodes, services; from the indexer's own account and from what it holds.

import { DEAD_INDEX, LEDGER_INDEX } from '../state/screen';
import { call } from './client';


/** The indexer's own account. */
export interface Own {
  version: string;
  /** Days after which lines go; `null`: only when room is needed. */
  retention_days: number | null;
  troubles: Record<string, string>;
  /** `null` where a cluster keeps the lines: its disks are its own affair. */
  disk: { used: number; budget: number | null; free: number | null; total: number | null };
  indices: { name: string; documents: number; bytes: number }[];
  /** Of this process, and so of the other roles only where they run in it. */
  metrics: Record<string, number>;
}

/** What a node or a service has sent. */
export interface Sender {
  name: string;
  /** The stack of a service. */
  stack: string;
  /** Lines kept in the last week. */
  week: number;
  hour: number;
  /** Lines dropped on the way in the last hour. */
  dropped: number;
  /** When the newest line was logged. */
  last: number;
}

/** Lines kept and dropped in each minute of the last hour, oldest first. */
export interface Minute {
  at: number;
  kept: number;
  dropped: number;
}

export interface Status {
  own: Own;
  nodes: Sender[];
  services: Sender[];
  minutes: Minute[];
  /** Documents put aside in the last day. */
  dead: number;
}

interface Bucket {
  key: string;
  doc_count: number;
  last: { value: number };
  hour: { doc_count: number };
  stack?: { buckets: { key: string }[] };
}

interface TimeBucket {
  key: number;
  doc_count: number;
  sum?: { value: number };
}

interface Answer {
  hits: { total?: { value: number } };
  aggregations?: Record<string, { buckets: unknown[] } | undefined>;
}

const MAX_NODES = 200;
const MAX_SERVICES = 500;
const MINUTE = 60_000;
const SUM = { sum: { sum: { field: 'weir.dropped.events' } } };

const search = (index: string, body: unknown, abort: AbortSignal) => call<Answer>('POST', `/${index}/_search?ignore_unavailable=true`, body, abort);
const since = (gte: string) => ({ range: { '@timestamp': { gte } } });

export async function status(index: string, abort: AbortSignal): Promise<Status> {
  const by = (field: string, size: number, more = {}) => ({
    terms: { field, size },
    aggs: { last: { max: { field: '@timestamp' } }, hour: { filter: since('now-1h') }, ...more },
  });
  const minutes = (aggs = {}) => ({ date_histogram: { field: '@timestamp', fixed_interval: '1m' }, aggs });
  const [own, week, hour, ledger, dead] = await Promise.all([
    call<Own>('GET', '/api/status', undefined, abort),
    search(index, {
      size: 0, track_total_hits: false, query: since('now-7d'),
      aggs: { nodes: by('host.name', MAX_NODES), services: by('service.name', MAX_SERVICES, { stack: { terms: { field: 'orchestrator.namespace', size: 1 } } }) },
    }, abort),
    search(index, { size: 0, track_total_hits: false, query: since('now-1h'), aggs: { minutes: minutes() } }, abort),
    search(LEDGER_INDEX, {
      size: 0, track_total_hits: false, query: since('now-1h'),
      aggs: { minutes: minutes(SUM), services: { terms: { field: 'service.name', size: MAX_SERVICES }, aggs: SUM } },
    }, abort),
    search(DEAD_INDEX, { size: 0, track_total_hits: true, query: since('now-24h') }, abort),
  ]);
  const dropped = new Map(((ledger.aggregations?.['services']?.buckets ?? []) as (TimeBucket & { key: unknown })[]).map((b) => [`${b.key}`, b.sum?.value ?? 0]));
  const senders = (name: string) => ((week.aggregations?.[name]?.buckets ?? []) as Bucket[]).map((b): Sender => ({
    name: b.key, stack: b.stack?.buckets[0]?.key ?? '', week: b.doc_count, hour: b.hour.doc_count, dropped: dropped.get(b.key) ?? 0, last: b.last.value,
  }));
  return { own, nodes: senders('nodes'), services: senders('services'), minutes: lastHour(hour, ledger), dead: dead.hits.total?.value ?? 0 };
}

function lastHour(kept: Answer, dropped: Answer): Minute[] {
  const at = (answer: Answer, value: (b: TimeBucket) => number) =>
    new Map(((answer.aggregations?.['minutes']?.buckets ?? []) as TimeBucket[]).map((b) => [b.key, value(b)]));
  const keptAt = at(kept, (b) => b.doc_count);
  const droppedAt = at(dropped, (b) => b.sum?.value ?? 0);
  const end = Math.floor(Date.now() / MINUTE) * MINUTE;
  return Array.from({ length: 60 }, (_, i) => end - (59 - i) * MINUTE).map((t) => ({ at: t, kept: keptAt.get(t) ?? 0, dropped: droppedAt.get(t) ?? 0 }));
}
