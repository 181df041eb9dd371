//! The main screen: chart, fields and lines, or the live tail.

import type { JSX } from 'preact';
import { Chart } from '../parts/chart';
import { helpOpen } from '../parts/help';
import { Lines } from '../parts/lines';
import { Sidebar } from '../parts/sidebar';
import { Toolbar } from '../parts/toolbar';
import { count } from '../lib/format';
import { rangeName } from '../lib/time';
import { counts, fields, found, loadingMore, marks, MAX_LINES, more, problem } from '../state/results';
import { go, screen } from '../state/screen';
import { sidebar, utc } from '../state/settings';
import { Tail } from './tail';

export function Logs(): JSX.Element {
  const { live } = screen.value;
  return (
    <div class="logs" data-sidebar={sidebar.value}>
      {sidebar.value && <aside class="sidebar" aria-label="Services and fields"><Sidebar /></aside>}
      <main class="main">
        {live ? <Tail /> : <Result />}
      </main>
    </div>
  );
}

function Result(): JSX.Element {
  const { columns, wrap } = screen.value;
  const list = found.value;
  return (
    <>
      <Chart />
      <Toolbar />
      {list && list.hits.length > 0 && (
        <Lines
          label="Lines found" hits={list.hits} version={list.version} generation={list.generation} columns={columns} wrap={wrap} marks={marks.value}
          editable onNearEnd={() => void more()} total={counts.value?.total ?? list.hits.length}
          footer={<Foot shown={list.hits.length} complete={list.complete} />}
        />
      )}
      {list && list.hits.length === 0 && !problem.value && <Nothing />}
      {!list && !problem.value && <Waiting />}
      {!list && problem.value?.status === 400 && <Refused />}
    </>
  );
}

function Foot({ shown, complete }: { shown: number; complete: boolean }): JSX.Element {
  if (loadingMore.value) return <p class="foot">Loading more…</p>;
  if (complete) return <p class="foot">That is all: {count(shown)} {shown === 1 ? 'line' : 'lines'}</p>;
  if (shown >= MAX_LINES) return <p class="foot">The first {count(shown)} lines are shown. Narrow the search or the time to see others.</p>;
  return <p class="foot">{count(shown)} lines loaded</p>;
}

function Waiting(): JSX.Element {
  return <div class="waiting" role="status" aria-label="Searching">{Array.from({ length: 14 }, (_, i) => <span key={i} />)}</div>;
}

/** The search cannot be answered, and there are no lines of an earlier one to show. */
function Refused(): JSX.Element {
  return (
    <div class="nothing">
      <h2>This search cannot be answered</h2>
      <p>The mistake is marked in the search bar.</p>
      <div class="group">
        <button type="button" class="button" onClick={() => go({ query: '' })}>Without the search text</button>
        <button type="button" class="button" onClick={() => { helpOpen.value = true; }}>How to search</button>
      </div>
    </div>
  );
}

/** Nothing found: what could be done about it, most likely first. */
function Nothing(): JSX.Element {
  const { query, filters, from, to, index } = screen.value;
  const empty = fields.value.size === 0;
  return (
    <div class="nothing">
      <h2>No lines here</h2>
      <p>{rangeName(from, to, utc.value)} in <code>{index}</code>{query && <> for <code>{query}</code></>}</p>
      <div class="group">
        {filters.length > 0 && <button type="button" class="button" onClick={() => go({ filters: [] })}>Without the filters</button>}
        {query && <button type="button" class="button" onClick={() => go({ query: '' })}>Without the search text</button>}
        <button type="button" class="button" onClick={() => go({ from: 'now-24h', to: 'now' })}>In the last 24 hours</button>
        <button type="button" class="button" onClick={() => go({ from: 'now-30d', to: 'now' })}>In the last 30 days</button>
      </div>
      {empty && <p class="dim">weir has no lines at all yet. Once a shipper sends some, they show here within a second. By default, lines of level info, debug and trace are dropped on the way: silence may be good news.</p>}
    </div>
  );
}
