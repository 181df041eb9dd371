//! The search requests of the page and the parts of the answers that it reads.

import { asText, type Source, valueOf } from '../lib/fields';
import { barWidth, fixedInterval, type Span } from '../lib/time';
import type { Filter, Screen } from '../state/screen';
import { call } from './client';

/** One line as the indexer answers it. */
export interface Hit {
  _index: string;
  _id: string;
  _source: Source;
  sort?: unknown[];
}

interface Bucket {
  key: string | number;
  doc_count: number;
  [agg: string]: unknown;
}

interface Buckets {
  buckets: Bucket[];
}

interface Answer {
  took: number;
  timed_out?: boolean;
  hits: { total?: { value: number; relation: string }; hits: Hit[] };
  aggregations?: Record<string, unknown>;
}

/** What a field is, by the indexer's own account. */
export interface FieldInfo {
  name: string;
  type: string;
  /** The name under which whole values are compared and counted; absent where that cannot be done. */
  exact?: string;
}

export type Fields = Map<string, FieldInfo>;

/** A value and in how many lines it is. */
export interface ValueCount {
  value: string;
  count: number;
}

type Clause = Record<string, unknown>;

/** The condition that a filter is, in Elasticsearch's terms. */
export function filterClause(filter: Filter, fields: Fields): Clause {
  const info = fields.get(filter.field);
  if (filter.values.length === 0) return { exists: { field: filter.field } };
  const one = (value: string): Clause =>
    info?.exact || !info ? { term: { [info?.exact ?? filter.field]: value } } : { match_phrase: { [filter.field]: value } };
  if (filter.values.length === 1) return one(filter.values[0] ?? '');
  return { bool: { should: filter.values.map(one), minimum_should_match: 1 } };
}

/** The query of a screen: its text, its filters and its time range. */
export function queryOf(screen: Pick<Screen, 'query' | 'language' | 'filters'>, span: Span | undefined, fields: Fields): Clause {
  const filter: Clause[] = [];
  if (span) filter.push({ range: { '@timestamp': { gte: span.from, lte: span.to, format: 'epoch_millis' } } });
  if (screen.query.trim()) {
    filter.push(screen.language === 'kql' ? { kql: { query: screen.query } } : { query_string: { query: screen.query, analyze_wildcard: true } });
  }
  const wanted = screen.filters.filter((f) => !f.not);
  const unwanted = screen.filters.filter((f) => f.not);
  filter.push(...wanted.map((f) => filterClause(f, fields)));
  return { bool: { filter, must_not: unwanted.map((f) => filterClause(f, fields)) } };
}

function path(index: string, endpoint: string): string {
  return `/${encodeURIComponent(index)}/${endpoint}?ignore_unavailable=true`;
}

/** A page of lines, from `after` on. */
export async function lines(index: string, query: Clause, sort: 'asc' | 'desc', size: number, after: unknown[] | undefined, abort?: AbortSignal) {
  const answer = await call<Answer>('POST', path(index, '_search'), {
    query, size, track_total_hits: false,
    sort: [{ '@timestamp': { order: sort } }, { _doc: { order: sort } }],
    ...(after ? { search_after: after } : {}),
  }, abort);
  return { hits: answer.hits.hits, took: answer.took, timedOut: answer.timed_out === true };
}

/** One bar of the chart: where it starts, and how many lines of each level it stands for. */
export interface Bar {
  at: number;
  all: number;
  levels: Record<string, number>;
}

/** A service, the stack it belongs to, and how it is doing. */
export interface ServiceCount {
  stack: string;
  service: string;
  all: number;
  levels: Record<string, number>;
}

export interface Overview {
  total: number;
  atLeast: boolean;
  took: number;
  width: number;
  bars: Bar[];
  services: ServiceCount[];
  nodes: ValueCount[];
}

/** How many services, stacks and nodes are asked for: more than anybody reads; the busiest come first. */
const MAX_SERVICES = 100;
const MAX_STACKS = 30;
const MAX_NODES = 50;

const LEVELS = { terms: { field: 'log.level', size: 20 } };

function levelCounts(bucket: Bucket): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const b of (bucket['levels'] as Buckets | undefined)?.buckets ?? []) counts[`${b.key}`] = b.doc_count;
  return counts;
}

/** Counts over time, by level, by service and by node. */
export async function overview(index: string, query: Clause, span: Span, bars: number, zone: () => string, abort?: AbortSignal): Promise<Overview> {
  const width = barWidth(span, bars);
  const histogram: Clause = { field: '@timestamp', fixed_interval: fixedInterval(width), min_doc_count: 1 };
  if (width >= 7_200_000) histogram['time_zone'] = zone(); // Bars of hours and days begin where people's days begin.
  const answer = await call<Answer>('POST', path(index, '_search'), {
    query, size: 0, track_total_hits: true,
    aggs: {
      time: { date_histogram: histogram, aggs: { levels: LEVELS } },
      stacks: {
        terms: { field: 'orchestrator.namespace', size: MAX_STACKS, missing: '' },
        aggs: { services: { terms: { field: 'service.name', size: MAX_SERVICES }, aggs: { levels: LEVELS } } },
      },
      nodes: { terms: { field: 'host.name', size: MAX_NODES } },
    },
  }, abort);
  const aggs = (answer.aggregations ?? {}) as Record<string, Buckets | undefined>;
  return {
    total: answer.hits.total?.value ?? 0,
    atLeast: answer.hits.total?.relation === 'gte',
    took: answer.took,
    width,
    bars: (aggs['time']?.buckets ?? []).map((b) => ({ at: Number(b.key), all: b.doc_count, levels: levelCounts(b) })),
    services: (aggs['stacks']?.buckets ?? []).flatMap((stack) =>
      ((stack['services'] as Buckets | undefined)?.buckets ?? []).map((b) => ({ stack: `${stack.key}`, service: `${b.key}`, all: b.doc_count, levels: levelCounts(b) }))),
    nodes: (aggs['nodes']?.buckets ?? []).map((b) => ({ value: `${b.key}`, count: b.doc_count })),
  };
}

/** The commonest values of a field among the lines found, and how many of those have the field at all. */
export async function topValues(index: string, query: Clause, exact: string, size: number, abort?: AbortSignal) {
  const answer = await call<Answer>('POST', path(index, '_search'), {
    query, size: 0, track_total_hits: true,
    aggs: { values: { terms: { field: exact, size } }, having: { filter: { exists: { field: exact } } } },
  }, abort);
  const values = answer.aggregations?.['values'] as (Buckets & { sum_other_doc_count?: number }) | undefined;
  return {
    values: (values?.buckets ?? []).map((b): ValueCount => ({ value: `${(b['key_as_string'] as string | undefined) ?? b.key}`, count: b.doc_count })),
    having: (answer.aggregations?.['having'] as { doc_count?: number } | undefined)?.doc_count ?? 0,
    all: answer.hits.total?.value ?? 0,
  };
}

interface Caps {
  fields: Record<string, Record<string, { aggregatable?: boolean; searchable?: boolean; metadata_field?: boolean }>>;
}

/** Every field of an index. `X.keyword` is not listed by itself: it is the exact form of `X`. */
export async function fieldsOf(index: string, abort?: AbortSignal): Promise<Fields> {
  const caps = await call<Caps>('GET', `${path(index, '_field_caps')}&fields=*`, undefined, abort);
  const out: Fields = new Map();
  for (const [name, types] of Object.entries(caps.fields)) {
    const [type, about] = Object.entries(types)[0] ?? ['', {}];
    if (about.metadata_field || name.startsWith('_') || type === 'object' || type === 'nested' || name.endsWith('.keyword')) continue;
    const exact = about.aggregatable ? name : `${name}.keyword` in caps.fields ? `${name}.keyword` : undefined;
    out.set(name, exact === undefined ? { name, type } : { name, type, exact });
  }
  return out;
}

/** One document by its id. */
export async function document(index: string, id: string, abort?: AbortSignal): Promise<Hit | undefined> {
  const answer = await call<Answer>('POST', path(index, '_search'), { query: { ids: { values: [id] } }, size: 1 }, abort);
  return answer.hits.hits[0];
}

interface IndexRow {
  index: string;
  health?: string;
  'docs.count'?: string;
  'store.size'?: string;
}

/** The indices there are, with documents and bytes. */
export async function indices(abort?: AbortSignal) {
  const rows = await call<IndexRow[]>('GET', '/_cat/indices?format=json&bytes=b', undefined, abort);
  return rows
    .map((row) => ({ name: row.index, docs: Number(row['docs.count'] ?? 0), bytes: Number(row['store.size'] ?? 0), health: row.health ?? '' }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

/** What pipelines dropped on purpose in a stretch of time, by level, and where lines were lost. */
export interface Absent {
  dropped: { at: number; levels: Record<string, number> }[];
  lost: { at: number; bytes: number }[];
}

/** What is not there: dropped by pipelines (the drop ledger) or lost before it could be read (gap records). */
export async function absent(index: string, ledger: string, filters: Filter[], span: Span, width: number, zone: () => string, abort?: AbortSignal): Promise<Absent> {
  const histogram: Clause = { field: '@timestamp', fixed_interval: fixedInterval(width), min_doc_count: 1 };
  if (width >= 7_200_000) histogram['time_zone'] = zone();
  const sum = { sum: { sum: { field: 'weir.dropped.events' } } };
  const all = { query: '', language: 'kql' as const, filters };
  const [counted, gaps] = await Promise.all([
    call<Answer>('POST', path(ledger, '_search'), {
      query: queryOf(all, span, new Map()), size: 0, track_total_hits: false,
      aggs: { time: { date_histogram: histogram, aggs: { ...sum, levels: { ...LEVELS, aggs: sum } } } },
    }, abort),
    call<Answer>('POST', path(index, '_search'), {
      query: queryOf({ ...all, filters: [...filters, { field: 'event.dataset', values: ['weir.gap'], not: false }] }, span, new Map()), size: MAX_GAPS, track_total_hits: false,
    }, abort),
  ]);
  const value = (b: Bucket) => (b['sum'] as { value?: number } | undefined)?.value ?? 0;
  return {
    dropped: ((counted.aggregations?.['time'] as Buckets | undefined)?.buckets ?? []).map((b) => {
      const levels: Record<string, number> = {};
      for (const l of (b['levels'] as Buckets | undefined)?.buckets ?? []) levels[`${l.key}`] = value(l);
      const known = Object.values(levels).reduce((a, n) => a + n, 0);
      return { at: Number(b.key), levels: { ...levels, unknown: Math.max(0, value(b) - known) } };
    }),
    lost: gaps.hits.hits.map((hit) => ({ at: Date.parse(asText(valueOf(hit._source, '@timestamp'))), bytes: Number(valueOf(hit._source, 'weir.gap.bytes') ?? 0) })),
  };
}

/** Losses marked in the chart: more would be one red wall. */
const MAX_GAPS = 200;
