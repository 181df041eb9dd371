//! What is wrong with weir or around it, collected from what the indexer knows.

import { count, span } from '../lib/format';
import { DEAD_INDEX, DEFAULT_INDEX, link } from '../state/screen';
import { asText, valueOf } from '../lib/fields';
import { call, failure, Failure } from './client';
import { type Mistake, pipelineFiles } from './pipelines';
import type { Hit } from './search';

/** Something that somebody should look at, and what to do about it. */
export interface Trouble {
  what: string;
  advice: string;
  /** Where in this page to look. */
  href?: string;
}

/** A node that has sent nothing for so long is told, in milliseconds. Well kept nodes may say little: most lines are dropped. */
const SILENT_AFTER = 3_600_000;
/** Nodes are known for so long, as date math. */
const KNOWN_FOR = 'now-3d';
const MAX_NODES = 500;

/** Warnings of the node watch that are looked at: several days of a large cluster's. */
const MAX_WARNINGS = 200;

interface Answer {
  hits: { total?: { value: number }; hits: Hit[] };
  aggregations?: { nodes?: { buckets: { key: string; last: { value: number } }[] }; tags?: { buckets: { key: string; doc_count: number }[] } };
}

const search = (index: string, body: unknown, abort: AbortSignal) =>
  call<Answer>('POST', `/${index}/_search?ignore_unavailable=true`, body, abort);
const lastHour = { range: { '@timestamp': { gte: 'now-1h' } } };
const lastDay = { range: { '@timestamp': { gte: 'now-24h' } } };

/** Everything that is wrong right now. */
export async function troubles(abort: AbortSignal): Promise<Trouble[]> {
  const [own, nodes, dead, gaps, watch, tags, pipelines] = await Promise.all([
    health(abort),
    search(DEFAULT_INDEX, { size: 0, query: { range: { '@timestamp': { gte: KNOWN_FOR } } }, aggs: { nodes: { terms: { field: 'host.name', size: MAX_NODES }, aggs: { last: { max: { field: '@timestamp' } } } } } }, abort),
    search(DEAD_INDEX, { size: 0, track_total_hits: true, query: lastDay }, abort),
    search(DEFAULT_INDEX, { size: 0, track_total_hits: true, query: { bool: { filter: [lastDay, { term: { 'event.dataset': 'weir.gap' } }] } } }, abort),
    search(DEFAULT_INDEX, { size: MAX_WARNINGS, track_total_hits: false, sort: [{ '@timestamp': 'desc' }], query: { bool: { filter: [lastDay, { term: { 'event.dataset': 'weir.node' } }] } } }, abort),
    search(DEFAULT_INDEX, { size: 0, query: lastHour, aggs: { tags: { terms: { field: 'tags.keyword', include: '_.*' } } } }, abort),
    // Where the indexer runs without pipelines, or who looks may not see them, there is nothing to tell of them.
    pipelineFiles(abort).catch((error: unknown) => { if (error instanceof Failure) return { mistakes: [] }; throw error; }),
  ]);
  const now = Date.now();
  const silent = (nodes.aggregations?.nodes?.buckets ?? []).filter((n) => now - n.last.value > SILENT_AFTER).map((n): Trouble => ({
    what: `${n.key} has sent nothing for ${span(now - n.last.value)}`,
    advice: 'Is the machine up, and its shipper running? A quiet machine whose every line is dropped on the way looks the same.',
    href: link({ view: 'logs', query: '', filters: [{ field: 'host.name', values: [n.key], not: false }], from: 'now-3d', to: 'now' }),
  }));
  const found: Trouble[] = [...watched(watch.hits.hits), ...tagged(tags), ...mistaken(pipelines)];
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

/** What shippers warn of on their nodes: disks that fill up, containers without `max-size`. The newest word on each counts. */
function watched(hits: Hit[]): Trouble[] {
  const newest = new Map<string, Hit>();
  for (const hit of hits) {
    const key = `${asText(valueOf(hit._source, 'host.name'))} ${asText(valueOf(hit._source, 'container.name'))}`;
    if (!newest.has(key)) newest.set(key, hit);
  }
  return [...newest.values()].map((hit) => {
    const host = asText(valueOf(hit._source, 'host.name'));
    const [what = '', ...advice] = asText(valueOf(hit._source, 'message')).replace(/^WARN weir: /, '').split('; ');
    return {
      what: `${host}: ${what}`,
      advice: sentence(valueOf(hit._source, 'container.name') === undefined ? `${advice.join('; ')}. Free space there, or find what grows; containers without max-size are the usual cause` : advice.join('; ')),
      href: link({ view: 'logs', query: 'event.dataset: weir.node', language: 'kql', filters: [{ field: 'host.name', values: [host], not: false }], from: 'now-24h', to: 'now' }),
    };
  });
}

function sentence(text: string): string {
  return text === '' ? '' : `${text[0]?.toUpperCase()}${text.slice(1)}.`;
}

/** Lines that a filter could not work on carry its tag. */
function tagged(answer: Answer): Trouble[] {
  return (answer.aggregations?.tags?.buckets ?? []).map((tag) => ({
    what: `A pipeline failed on ${count(tag.doc_count)} ${tag.doc_count === 1 ? 'line' : 'lines'} in the last hour (${tag.key})`,
    advice: 'They are kept as they came. Take some into the Pipelines page and see which filter fails on them.',
    href: link({ view: 'logs', query: '', filters: [{ field: 'tags', values: [tag.key], not: false }], from: 'now-1h', to: 'now' }),
  }));
}

/** Pipeline files with mistakes are not used: the ones before them stay. */
function mistaken({ mistakes }: { mistakes: Mistake[] }): Trouble[] {
  const files = Map.groupBy(mistakes, (m) => m.file);
  return [...files].map(([file, wrong]) => ({
    what: `The pipeline file ${file.slice(file.lastIndexOf('/') + 1)} has ${count(wrong.length)} ${wrong.length === 1 ? 'mistake' : 'mistakes'}: line ${wrong[0]?.line}: ${wrong[0]?.message}`,
    advice: 'The pipelines from before it changed go on. Mend it: the Pipelines page shows the place.',
    href: link({ view: 'pipelines' }),
  }));
}

/** The troubles that the indexer itself tells of, with its own words of advice. */
async function health(abort: AbortSignal): Promise<Trouble[]> {
  const response = await fetch('/health', { headers: { Accept: 'application/json' }, signal: abort });
  if (!response.ok && response.status !== 503) throw await failure(response);
  const body = (await response.json()) as { troubles?: Record<string, string> };
  if (body.troubles === undefined && !response.ok) throw new Failure('weir is not well, and does not say why', response.status);
  return Object.entries(body.troubles ?? {}).map(([part, what]) => ({ what: `${part}: ${what}`, advice: '' }));
}
