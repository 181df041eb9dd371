//! Trying pipelines: the files in use, and what each filter of any text does to lines.

import { valueOf } from '../lib/fields';
import { LEDGER_INDEX } from '../state/screen';
import { call } from './client';
import type { Hit } from './search';

export interface PipelineFile {
  name: string;
  text: string;
}

/** Something wrong in a pipeline text, and where. */
export interface Mistake {
  severity: 'error' | 'warning';
  file: string;
  line: number;
  column: number;
  width: number;
  message: string;
  hint: string;
}

interface Change {
  field: string;
  /** The value as JSON; absent where the field came into being. */
  before: string | null;
  /** The value as JSON; absent where the field went. */
  after: string | null;
}

/** A condition that was looked at. */
export interface BranchStep {
  condition: string;
  taken: boolean;
  depth: number;
}

/** A filter that ran. */
export interface FilterStep {
  filter: string;
  file?: string;
  line?: number;
  changes: Change[];
  dropped: boolean;
  made: number;
  microseconds: number;
  depth: number;
}

export type Step = BranchStep | FilterStep;

/** One line's way: its steps, and what became of it (nothing when it was dropped). */
export interface Way {
  steps: Step[];
  events: Record<string, unknown>[];
}

export interface Trial {
  mistakes: Mistake[];
  /** Absent when the texts cannot be used. */
  lines?: Way[];
}

/** The files that run now, and what is wrong with them. */
export function pipelineFiles(abort?: AbortSignal): Promise<{ files: PipelineFile[]; mistakes: Mistake[] }> {
  return call('GET', '/api/pipelines', undefined, abort);
}

export function tryPipelines(files: PipelineFile[], events: Record<string, unknown>[], abort?: AbortSignal): Promise<Trial> {
  return call('POST', '/api/pipelines/explain', { files, events }, abort);
}

/** What of a stored line the pipelines were given: its text and where it came from, not what they made of it. */
const GIVEN = ['@timestamp', 'message', 'stream', 'host', 'container', 'service', 'orchestrator', 'labels'];

/** Entries of the drop ledger that dropped lines are taken from; each has a few of them. */
const LEDGER_ENTRIES = 5;

async function newest(index: string, query: unknown, size: number, abort?: AbortSignal): Promise<Hit[]> {
  const answer = await call<{ hits: { hits: Hit[] } }>('POST', `/${encodeURIComponent(index)}/_search?ignore_unavailable=true`, {
    query, size, track_total_hits: false, sort: [{ '@timestamp': { order: 'desc', unmapped_type: 'date' } }],
  }, abort);
  return answer.hits.hits;
}

/** The newest lines of an index as they came to the pipelines, and some of those that were dropped. */
export async function recentEvents(index: string, query: unknown, size: number, abort?: AbortSignal): Promise<Record<string, unknown>[]> {
  const [kept, dropped] = await Promise.all([newest(index, query, size, abort), newest(LEDGER_INDEX, { match_all: {} }, LEDGER_ENTRIES, abort)]);
  const given = (hit: Hit) => Object.entries(hit._source).filter(([key]) => GIVEN.includes(key));
  const samples = dropped.flatMap((hit) => {
    const texts = valueOf(hit._source, 'weir.dropped.samples');
    return (Array.isArray(texts) ? texts : []).map((message: unknown) => ({ message, service: hit._source['service'] }));
  });
  return [...kept.map((hit) => Object.fromEntries(given(hit))), ...samples];
}
