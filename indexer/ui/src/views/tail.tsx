//! Live tail: new lines as they come, newest at the bottom.

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Hit, queryOf } from '../api/search';
import { compact, count } from '../lib/format';
import { Icon } from '../parts/icons';
import { Lines } from '../parts/lines';
import { fields, marks, refresh } from '../state/results';
import { go, screen } from '../state/screen';

/** Lines kept on the page; the oldest go first. */
const MAX_KEPT = 5000;
/** Lines waiting while paused; beyond that the oldest waiting go, counted. */
const MAX_WAITING = 5000;
/** The page is drawn at most so often, in milliseconds, however fast lines come. */
const DRAW_EVERY = 100;
/** The rate shown is that of the last so many seconds. */
const RATE_OVER = 5;

interface State {
  hits: Hit[];
  version: number;
  dropped: number;
  waiting: Hit[];
  missed: number;
}

export function Tail(): JSX.Element {
  const { index, query, language, filters, columns, wrap } = screen.value;
  const [paused, setPaused] = useState(false);
  const [status, setStatus] = useState<'connecting' | 'open' | 'lost'>('connecting');
  const [refused, setRefused] = useState('');
  const [rate, setRate] = useState(0);
  const state = useRef<State>({ hits: [], version: 0, dropped: 0, waiting: [], missed: 0 });
  const pausedRef = useRef(false);
  const [, redraw] = useState(0);
  pausedRef.current = paused;
  const question = JSON.stringify([index, queryOf({ query, language, filters }, undefined, fields.value)]);

  useEffect(() => {
    state.current = { hits: [], version: 0, dropped: 0, waiting: [], missed: 0 };
    setRefused('');
    const s = state.current;
    const [, clause] = JSON.parse(question) as [string, unknown];
    const source = new EventSource(`/api/tail?index=${encodeURIComponent(index)}&query=${encodeURIComponent(JSON.stringify(clause))}`);
    const perSecond: number[] = [];
    let fresh = 0;
    const take = (event: MessageEvent<string>) => {
      let hit: Hit;
      try {
        hit = JSON.parse(event.data) as Hit;
      } catch {
        return setRefused('weir sent something that is not a line');
      }
      if (!hit._source) return;
      fresh += 1;
      s.waiting.push(hit);
      if (s.waiting.length > MAX_WAITING) {
        s.waiting.shift();
        s.missed += 1;
      }
    };
    source.onopen = () => {
      setStatus('open');
      setRefused('');
    };
    source.onmessage = take;
    source.addEventListener('missed', (e) => { s.missed += Number((e as MessageEvent<string>).data) || 0; });
    source.addEventListener('failure', (e) => {
      const { reason } = JSON.parse((e as MessageEvent<string>).data) as { reason?: string };
      setRefused(reason ?? 'weir does not tail this search');
    });
    source.onerror = () => {
      setStatus('lost');
      // A closed source means that weir said no, not that it is away: EventSource does not tell why.
      if (source.readyState === EventSource.CLOSED) setRefused('weir does not tail this search');
    };
    const drawing = setInterval(() => {
      if (pausedRef.current) return redraw((n) => n + 1);
      if (s.waiting.length === 0) return;
      for (const hit of s.waiting.splice(0)) s.hits.push(hit);
      const over = s.hits.length - MAX_KEPT;
      if (over > 0) {
        s.hits.splice(0, over);
        s.dropped += over;
      }
      s.version += 1;
      redraw((n) => n + 1);
    }, DRAW_EVERY);
    const rating = setInterval(() => {
      perSecond.push(fresh);
      fresh = 0;
      if (perSecond.length > RATE_OVER) perSecond.shift();
      setRate(perSecond.reduce((a, b) => a + b, 0) / perSecond.length);
    }, 1000);
    return () => {
      source.close();
      clearInterval(drawing);
      clearInterval(rating);
    };
  }, [question]);

  // Whoever goes back to the search wants to find what came in meanwhile.
  useEffect(() => refresh, []);

  const s = state.current;
  return (
    <>
      <div class="toolbar tail">
        <h2 class="found" aria-live="off">
          <span class="pulse" data-status={paused ? 'paused' : status} />
          {paused ? 'Paused' : status === 'open' ? 'Live' : status === 'lost' ? 'Connection lost, trying again' : 'Connecting'}
          <span class="dim took"> {rate < 10 ? rate.toFixed(1) : compact(Math.round(rate))} lines/s</span>
          {paused && s.waiting.length > 0 && <span class="dim took"> · {count(s.waiting.length)} waiting</span>}
          {s.missed > 0 && <span class="dim took"> · {count(s.missed)} not shown (too fast)</span>}
        </h2>
        <div class="group">
          <button type="button" class="button" onClick={() => { s.hits.length = 0; s.version += 1; s.dropped += 1; redraw((n) => n + 1); }}>Clear</button>
          <button type="button" class="button primary" aria-pressed={paused} onClick={() => setPaused(!paused)}><Icon name={paused ? 'live' : 'pause'} />{paused ? 'Go on' : 'Pause'}</button>
          <button type="button" class="button" onClick={() => go({ live: false })}><Icon name="close" />Stop</button>
        </div>
      </div>
      {refused && <p class="wrong" role="alert">{refused}</p>}
      {s.hits.length === 0 && !refused && <p class="nothing dim">New lines show here as they come.</p>}
      <Lines
        label="Live lines" hits={s.hits} version={s.version} generation={question} columns={columns} wrap={wrap} marks={marks.value}
        follow dropped={s.dropped} onFollow={(following) => { if (!following) setPaused(true); }}
      />
    </>
  );
}
