//! How weir itself is doing: what comes in and what is dropped, who sends, what it takes on disk, and for how long.

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Failure, isAbort } from '../api/client';
import { type Minute, type Sender, status, type Status as State } from '../api/status';
import { bytes, count, percent, span } from '../lib/format';
import { shortTime } from '../lib/time';
import { DEFAULT_INDEX, go, link } from '../state/screen';
import { utc } from '../state/settings';

/** How often the page asks again, in milliseconds. */
const EVERY = 5000;
/** A node that sent nothing for so long is called silent, in milliseconds. */
const SILENT_AFTER = 15 * 60_000;
/** Whole minutes that the rates shown are the mean of: the ledger is written once a minute. */
const RATE_OVER = 5;
const CHART_WIDTH = 600;
const CHART_HEIGHT = 72;

export function Status(): JSX.Element {
  const [state, setState] = useState<State>();
  const [problem, setProblem] = useState('');
  useEffect(() => {
    const abort = new AbortController();
    const run = () => {
      if (document.visibilityState !== 'visible') return;
      status(DEFAULT_INDEX, abort.signal).then((found) => {
        setState(found);
        setProblem('');
      }, (error: unknown) => {
        if (!isAbort(error)) setProblem(error instanceof Failure ? error.message : String(error));
      });
    };
    run();
    const timer = setInterval(run, EVERY);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, []);

  return (
    <main class="main alone page">
      <h1>Status</h1>
      {problem && <p class="wrong" role="alert">{problem}</p>}
      {!state && !problem && <p class="dim">Asking…</p>}
      {state && <Told {...state} />}
    </main>
  );
}

function Told({ own, nodes, services, minutes, dead }: State): JSX.Element {
  const { disk, indices, metrics, troubles } = own;
  const full = minutes.slice(-RATE_OVER - 1, -1);
  const rate = (of: 'kept' | 'dropped') => full.reduce((sum, m) => sum + m[of], 0) / full.length / 60;
  const [kept, dropped] = [rate('kept'), rate('dropped')];
  const documents = indices.reduce((sum, i) => sum + i.documents, 0);
  const wrong = Object.keys(troubles).length;
  const lag = metrics['weir_shipper_lag_bytes'];
  return (
    <>
      <div class="tiles">
        <Tile name={wrong > 0 ? Object.entries(troubles).map(([part, what]) => `${part}: ${what}`).join(' · ') : 'no trouble in the indexer'} value={wrong > 0 ? `${wrong} wrong` : 'Well'} tone={wrong > 0 ? 'red' : 'green'} />
        <Tile name="kept" value={perSecond(kept)} />
        <Tile name={`dropped on the way (${percent(dropped, kept + dropped)})`} value={perSecond(dropped)} />
        <Tile name="lines kept" value={count(documents)} />
        {disk.budget === null || disk.free === null || disk.total === null ? (
          <Tile name="on the disks of the cluster, which decides how long" value={bytes(disk.used)} />
        ) : (
          <>
            <div class="tile">
              <b>{bytes(disk.used)}</b>
              <meter min={0} max={disk.budget} value={disk.used} aria-label="Part of the budget that is used" />
              <span>{percent(disk.used, disk.budget)} of the budget of {bytes(disk.budget)}</span>
            </div>
            <Tile name={`free of ${bytes(disk.total)} on the disk`} value={bytes(disk.free)} tone={disk.free < disk.total / 20 ? 'red' : undefined} />
            <Tile name="kept for" value={own.retention_days === null ? 'as long as fits' : `${own.retention_days} days`} />
          </>
        )}
        <Tile name="dead letters in 24 hours" value={count(dead)} tone={dead > 0 ? 'yellow' : undefined} />
        <Tile name="version" value={own.version} />
      </div>
      <h2>The last hour</h2>
      <Rates minutes={minutes} />
      <h2>Nodes and their shippers</h2>
      {lag !== undefined && (
        <p class="dim">
          The shipper of this process follows {count(metrics['weir_shipper_logs'] ?? 0)} logs and is {lag > 0 ? <b>{bytes(lag)} behind</b> : 'up to date'}
          {(metrics['weir_shipper_connected'] ?? 1) === 0 && <>, and <b class="wrong">not connected</b></>}.
        </p>
      )}
      <Senders list={nodes} kind="node" />
      <h2>Services</h2>
      <Senders list={services} kind="service" size={indices.find((i) => i.name === DEFAULT_INDEX)} />
      <h2>Indices</h2>
      <div class="wide" tabIndex={0} role="region" aria-label="Indices">
        <table class="plain">
          <thead><tr><th scope="col">index</th><th scope="col" class="number">documents</th><th scope="col" class="number">on disk</th><th scope="col" class="number">a document</th></tr></thead>
          <tbody>
            {[...indices].sort((a, b) => b.bytes - a.bytes).map((i) => (
              <tr key={i.name}><th scope="row">{i.name}</th><td class="number">{count(i.documents)}</td><td class="number">{bytes(i.bytes)}</td><td class="number">{i.documents > 0 ? bytes(Math.round(i.bytes / i.documents)) : '–'}</td></tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function perSecond(rate: number): string {
  return `${rate < 10 ? rate.toFixed(1) : count(Math.round(rate))}/s`;
}

function Tile({ name, value, tone }: { name: string; value: string; tone?: string | undefined }): JSX.Element {
  return <div class="tile" data-tone={tone}><b>{value}</b><span>{name}</span></div>;
}

/** Lines kept, and above them those dropped, minute by minute. */
function Rates({ minutes }: { minutes: Minute[] }): JSX.Element {
  const most = Math.max(1, ...minutes.map((m) => m.kept + m.dropped));
  const step = CHART_WIDTH / minutes.length;
  const high = (n: number) => (n / most) * (CHART_HEIGHT - 2);
  const sum = (of: 'kept' | 'dropped') => minutes.reduce((all, m) => all + m[of], 0);
  return (
    <figure class="rates">
      <svg viewBox={`0 0 ${CHART_WIDTH} ${CHART_HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`In the last hour ${count(sum('kept'))} lines were kept and ${count(sum('dropped'))} dropped`}>
        {minutes.map((m, i) => (
          <g key={m.at}>
            <title>{`${shortTime(m.at, utc.value)}: ${count(m.kept)} kept, ${count(m.dropped)} dropped`}</title>
            <rect class="blank" x={i * step} y={0} width={step} height={CHART_HEIGHT} />
            <rect class="dropped" x={i * step} y={CHART_HEIGHT - high(m.kept + m.dropped)} width={step - 1.5} height={high(m.dropped)} />
            <rect class="kept" x={i * step} y={CHART_HEIGHT - high(m.kept)} width={step - 1.5} height={high(m.kept)} />
          </g>
        ))}
      </svg>
      <figcaption><span><i class="kept" />{count(sum('kept'))} kept</span> <span><i class="ghost" />{count(sum('dropped'))} dropped</span> <span class="dim">the busiest minute had {count(most)} lines</span></figcaption>
    </figure>
  );
}

interface SendersProps {
  list: Sender[];
  kind: 'node' | 'service';
  /** What their index takes in all: their shares of it are estimated by lines. */
  size?: { documents: number; bytes: number } | undefined;
}

function Senders({ list, kind, size }: SendersProps): JSX.Element {
  if (list.length === 0) return <p class="dim">None in the last seven days.</p>;
  const now = Date.now();
  const isNode = kind === 'node';
  const field = isNode ? 'host.name' : 'service.name';
  return (
    <div class="wide" tabIndex={0} role="region" aria-label={isNode ? 'Nodes' : 'Services'}>
      <table class="plain">
        <thead>
          <tr>
            <th scope="col">{kind}</th>{!isNode && <th scope="col">stack</th>}<th scope="col">last line</th>
            <th scope="col" class="number">kept, last hour</th>{!isNode && <th scope="col" class="number">dropped, last hour</th>}<th scope="col" class="number">kept, 7 days</th>{size && <th scope="col" class="number">on disk, about</th>}
          </tr>
        </thead>
        <tbody>
          {list.map((s) => {
            const age = now - s.last;
            const screen = { view: 'logs' as const, query: '', from: 'now-24h', to: 'now', filters: [{ field, values: [s.name], not: false }] };
            return (
              <tr key={s.name}>
                <th scope="row"><a href={link(screen)} onClick={(e) => { if (!e.ctrlKey && !e.metaKey) { e.preventDefault(); go(screen); } }}>{s.name}</a></th>
                {!isNode && <td>{s.stack}</td>}
                <td>{age < 1000 ? 'now' : `${span(age)} ago`} {isNode && age > SILENT_AFTER && <span class="badge" data-level="warn">silent</span>}</td>
                <td class="number">{count(s.hour)}</td>
                {!isNode && <td class="number">{count(s.dropped)}</td>}
                <td class="number">{count(s.week)}</td>
                {size && <td class="number">{size.documents > 0 ? bytes(Math.round((size.bytes * s.week) / size.documents)) : '–'}</td>}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
