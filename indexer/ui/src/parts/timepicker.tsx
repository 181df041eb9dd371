//! Which stretch of time is shown: quick ranges, any relative or absolute one, the time zone, the refresh interval.

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { fromInput, inputTime, instant, QUICK_RANGES, rangeName, resolve } from '../lib/time';
import { found, refresh, searching } from '../state/results';
import { go, screen } from '../state/screen';
import { utc } from '../state/settings';
import { Icon } from './icons';
import { Popover } from './popover';

/** Seconds between refreshes that are offered. */
const REFRESH = [0, 5, 10, 30, 60, 300] as const;

export function TimePicker(): JSX.Element {
  const [open, setOpen] = useState(false);
  const { from, to, refresh: every, live } = screen.value;
  const shift = (by: number) => {
    const span = resolve(from, to, Date.now());
    const width = span.to - span.from;
    go({ from: new Date(span.from + by * width).toISOString(), to: new Date(span.to + by * width).toISOString() });
  };
  const widen = () => {
    const span = resolve(from, to, Date.now());
    const half = (span.to - span.from) / 2;
    go({ from: new Date(span.from - half).toISOString(), to: new Date(span.to + half).toISOString() });
  };
  return (
    <div class="timepicker">
      <div class="group">
        <button type="button" class="button wide-only" title="Earlier" aria-label="Earlier" onClick={() => shift(-0.5)}><Icon name="left" /></button>
        <button type="button" class="button range" aria-expanded={open} aria-haspopup="dialog" onClick={() => setOpen(!open)} title="Choose a time range (t)" id="time-range">
          <Icon name="clock" />{rangeName(from, to, utc.value)}<span class="dim">{utc.value ? 'UTC' : ''}</span>
        </button>
        <button type="button" class="button wide-only" title="Later" aria-label="Later" onClick={() => shift(0.5)}><Icon name="right" /></button>
        <button type="button" class="button wide-only" title="Twice as long" aria-label="Zoom out" onClick={widen}><Icon name="zoomout" /></button>
        {!live && (
          <button type="button" class="button primary" onClick={refresh} title="Search again (r)" aria-label="Refresh" data-busy={searching.value}>
            <Icon name="refresh" />{every > 0 && <span>{every < 60 ? `${every}s` : `${every / 60}m`}</span>}
          </button>
        )}
      </div>
      {open && <Popover label="Time range" onClose={() => setOpen(false)}><Choices onDone={() => setOpen(false)} /></Popover>}
    </div>
  );
}

function Choices({ onDone }: { onDone: () => void }): JSX.Element {
  const { from, to, refresh: every } = screen.value;
  const span = found.value?.span ?? resolve(from, to, Date.now());
  const [start, setStart] = useState(inputTime(span.from, utc.value));
  const [end, setEnd] = useState(inputTime(span.to, utc.value));
  const [typedFrom, setTypedFrom] = useState(from);
  const [typedTo, setTypedTo] = useState(to);
  const [wrong, setWrong] = useState('');
  const absolute = () => {
    const a = fromInput(start, utc.value);
    const b = fromInput(end, utc.value);
    if (a === undefined || b === undefined) setWrong('Please fill in both times');
    else if (a >= b) setWrong('The start must be before the end');
    else {
      go({ from: new Date(a).toISOString(), to: new Date(b).toISOString() });
      onDone();
    }
  };
  const relative = () => {
    const now = Date.now();
    const a = instant(typedFrom, now);
    const b = instant(typedTo, now);
    if (a === undefined || b === undefined) setWrong('Not a time. Examples: now-45m, now-1d/d, 2026-07-28T14:00');
    else if (a >= b) setWrong('The start must be before the end');
    else {
      go({ from: typedFrom.trim(), to: typedTo.trim() });
      onDone();
    }
  };
  return (
    <div class="choices">
      <section>
        <h3>Quick ranges</h3>
        <div class="quick">
          {QUICK_RANGES.map((range) => (
            <button type="button" key={range} aria-pressed={to === 'now' && from === `now-${range}`} onClick={() => { go({ from: `now-${range}`, to: 'now' }); onDone(); }}>
              {rangeName(`now-${range}`, 'now', false)}
            </button>
          ))}
          <button type="button" aria-pressed={from === 'now/d'} onClick={() => { go({ from: 'now/d', to: 'now' }); onDone(); }}>Today</button>
          <button type="button" aria-pressed={from === 'now/w'} onClick={() => { go({ from: 'now/w', to: 'now' }); onDone(); }}>This week</button>
        </div>
      </section>
      <section>
        <h3>From – to</h3>
        <form onSubmit={(e) => { e.preventDefault(); absolute(); }}>
          <label>From <input type="datetime-local" step="1" value={start} onInput={(e) => setStart(e.currentTarget.value)} /></label>
          <label>To <input type="datetime-local" step="1" value={end} onInput={(e) => setEnd(e.currentTarget.value)} /></label>
          <button type="submit" class="button">Show these times</button>
        </form>
        <h3>Typed</h3>
        <form onSubmit={(e) => { e.preventDefault(); relative(); }}>
          <label>From <input value={typedFrom} spellcheck={false} onInput={(e) => setTypedFrom(e.currentTarget.value)} /></label>
          <label>To <input value={typedTo} spellcheck={false} onInput={(e) => setTypedTo(e.currentTarget.value)} /></label>
          <button type="submit" class="button">Use</button>
        </form>
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
      </section>
      <section class="foot">
        <label>Refresh <select value={every} onChange={(e) => go({ refresh: Number(e.currentTarget.value) }, true)}>
          {REFRESH.map((s) => <option key={s} value={s}>{s === 0 ? 'by hand' : s < 60 ? `every ${s} s` : `every ${s / 60} min`}</option>)}
        </select></label>
        <label><input type="checkbox" checked={utc.value} onChange={(e) => { utc.value = e.currentTarget.checked; }} /> UTC</label>
      </section>
    </div>
  );
}
