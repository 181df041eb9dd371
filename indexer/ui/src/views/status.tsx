//! How weir itself is doing: its indices, the nodes it hears from, and what it counts.

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { call, Failure, isAbort } from '../api/client';
import { indices } from '../api/search';
import { bytes, count, span } from '../lib/format';

/** How often the page asks again, in milliseconds. */
const EVERY = 5000;
/** A node that sent nothing for so long is called silent, in milliseconds. */
export const SILENT_AFTER = 15 * 60_000;
/** How far back nodes and services are looked for. */
const LOOK_BACK = 'now-7d';
const MAX_NODES = 200;
const MAX_SERVICES = 200;

interface Root {
  version?: { number?: string };
  weir?: { version?: string };
}

interface Seen {
  key: string;
  doc_count: number;
  last: { value: number };
  recent?: { doc_count: number };
}

interface Counted {
  aggregations?: { nodes: { buckets: Seen[] }; services: { buckets: Seen[] } };
}

interface State {
  root: Root;
  health: { status?: string };
  list: Awaited<ReturnType<typeof indices>>;
  nodes: Seen[];
  services: Seen[];
}

/** Nodes heard from in the last week, and when each was heard last. */
export async function seen(abort?: AbortSignal): Promise<{ nodes: Seen[]; services: Seen[] }> {
  const by = (field: string, size: number) => ({
    terms: { field, size },
    aggs: { last: { max: { field: '@timestamp' } }, recent: { filter: { range: { '@timestamp': { gte: 'now-1h' } } } } },
  });
  const answer = await call<Counted>('POST', '/logs-weir/_search?ignore_unavailable=true', {
    size: 0, track_total_hits: false, query: { range: { '@timestamp': { gte: LOOK_BACK } } },
    aggs: { nodes: by('host.name', MAX_NODES), services: by('service.name', MAX_SERVICES) },
  }, abort);
  return { nodes: answer.aggregations?.nodes.buckets ?? [], services: answer.aggregations?.services.buckets ?? [] };
}

export function Status(): JSX.Element {
  const [state, setState] = useState<State>();
  const [problem, setProblem] = useState('');
  useEffect(() => {
    const abort = new AbortController();
    const ask = async () => {
      const [root, health, list, { nodes, services }] = await Promise.all([
        call<Root>('GET', '/', undefined, abort.signal),
        call<{ status?: string }>('GET', '/_cluster/health', undefined, abort.signal),
        indices(abort.signal),
        seen(abort.signal),
      ]);
      setState({ root, health, list, nodes, services });
      setProblem('');
    };
    const run = () => void ask().catch((error: unknown) => {
      if (!isAbort(error)) setProblem(error instanceof Failure ? error.message : String(error));
    });
    run();
    const timer = setInterval(run, EVERY);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, []);

  const now = Date.now();
  return (
    <main class="main alone page">
      <h1>Status</h1>
      {problem && <p class="wrong" role="alert">{problem}</p>}
      {!state && !problem && <p class="dim">Asking…</p>}
      {state && (
        <>
          <div class="tiles">
            <Tile name="health" value={state.health.status ?? '–'} tone={state.health.status} />
            <Tile name="documents" value={count(state.list.reduce((sum, i) => sum + i.docs, 0))} />
            <Tile name="on disk" value={bytes(state.list.reduce((sum, i) => sum + i.bytes, 0))} />
            <Tile name="nodes heard from" value={count(state.nodes.length)} />
            <Tile name="weir" value={state.root.weir?.version ?? state.root.version?.number ?? '–'} />
          </div>
          <h2>Nodes</h2>
          <Seens list={state.nodes} now={now} name="node" silent />
          <h2>Services</h2>
          <Seens list={state.services} now={now} name="service" />
          <h2>Indices</h2>
          <table class="plain">
            <thead><tr><th scope="col">index</th><th scope="col" class="number">documents</th><th scope="col" class="number">bytes</th><th scope="col" class="number">bytes per document</th></tr></thead>
            <tbody>
              {state.list.map((i) => (
                <tr key={i.name}><th scope="row">{i.name}</th><td class="number">{count(i.docs)}</td><td class="number">{bytes(i.bytes)}</td><td class="number">{i.docs > 0 ? bytes(Math.round(i.bytes / i.docs)) : '–'}</td></tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </main>
  );
}

function Tile({ name, value, tone }: { name: string; value: string; tone?: string | undefined }): JSX.Element {
  return <div class="tile" data-tone={tone}><b>{value}</b><span>{name}</span></div>;
}

function Seens({ list, now, name, silent = false }: { list: Seen[]; now: number; name: string; silent?: boolean }): JSX.Element {
  if (list.length === 0) return <p class="dim">None in the last seven days.</p>;
  return (
    <table class="plain">
      <thead><tr><th scope="col">{name}</th><th scope="col">last line</th><th scope="col" class="number">last hour</th><th scope="col" class="number">last 7 days</th></tr></thead>
      <tbody>
        {list.map((s) => {
          const age = now - s.last.value;
          return (
            <tr key={s.key}>
              <th scope="row">{s.key}</th>
              <td>{age < 1000 ? 'now' : `${span(age)} ago`} {silent && age > SILENT_AFTER && <span class="badge" data-level="warn">silent</span>}</td>
              <td class="number">{count(s.recent?.doc_count ?? 0)}</td>
              <td class="number">{count(s.doc_count)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
