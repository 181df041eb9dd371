//! Lines over time, stacked by level. Drag to zoom, click a bar to look into it, click a level to see only that.

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Absent, Bar } from '../api/search';
import { compact, count, plural } from '../lib/format';
import { type Level, LEVELS, levelOf } from '../lib/levels';
import { lineTime, shortTime, type Span } from '../lib/time';
import { counts, found, missing } from '../state/results';
import { addFilter, go, isFiltered, screen, toggleFilter } from '../state/screen';
import { theme, utc } from '../state/settings';

/** How much time a count in the drop ledger stands for, in milliseconds. */
const LEDGER_MINUTE = 60_000;
const HEIGHT = 116;
const HEIGHT_PHONE = 84;
/** The least width of a drag that means "zoom here", in pixels. */
const DRAG = 6;

type Counts = Record<Level, number>;

interface Column extends Counts {
  at: number;
  /** Lines that pipelines dropped on purpose. */
  dropped: number;
  /** Times that lines were lost before they could be read. */
  lost: number;
}

function empty(): Counts {
  return Object.fromEntries(LEVELS.map((l) => [l, 0])) as Counts;
}

/** Counts under the names that levels have here; what no level was found for is `unknown`. */
export function byLevel(all: number, levels: Record<string, number>): Counts {
  const out = empty();
  let known = 0;
  for (const [name, n] of Object.entries(levels)) {
    out[levelOf(name)] += n;
    known += n;
  }
  out.unknown += Math.max(0, all - known);
  return out;
}

/** Every bar of the range, also those in which nothing happened. */
function columns(bars: Bar[], width: number, span: Span, absent: Absent | undefined): Column[] {
  const byTime = new Map(bars.map((b) => [b.at, b]));
  const dropped = new Map(absent?.dropped.map((d) => [d.at, Object.values(d.levels).reduce((a, n) => a + n, 0)]));
  // The ledger counts by the minute: narrower bars share what a minute had.
  const shares = Math.max(1, LEDGER_MINUTE / width);
  const droppedIn = (at: number) => (shares > 1 ? Math.round((dropped.get(Math.floor(at / LEDGER_MINUTE) * LEDGER_MINUTE) ?? 0) / shares) : (dropped.get(at) ?? 0));
  const beside = (at: number) => ({ at, dropped: droppedIn(at), lost: absent?.lost.filter((l) => l.at >= at && l.at < at + width).length ?? 0 });
  const anchor = bars[0]?.at ?? absent?.dropped[0]?.at ?? Math.floor(span.from / width) * width;
  const out: Column[] = [];
  let at = anchor - Math.ceil((anchor - span.from) / width) * width;
  for (; at <= span.to; at += width) {
    const bar = byTime.get(at);
    out.push({ ...beside(at), ...(bar ? byLevel(bar.all, bar.levels) : empty()) });
    byTime.delete(at);
  }
  // Bars of days may be an hour shorter or longer when clocks change: those left over keep their own place.
  for (const bar of byTime.values()) out.push({ ...beside(bar.at), ...byLevel(bar.all, bar.levels) });
  return out.sort((a, b) => a.at - b.at);
}

/** Draws charts. It comes after the page: lines need not wait until it is read, compiled and has set itself up. */
let library: Promise<typeof uPlot> | undefined;

function load(): Promise<typeof uPlot> {
  library ??= import('uplot').then((module) => module.default).catch((error: unknown) => {
    library = undefined;
    throw error;
  });
  return library;
}

export function Chart(): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const data = counts.value;
  const span = found.value?.span;
  const absent = missing.value;
  const dropped = absent?.dropped.reduce((sum, d) => sum + Object.values(d.levels).reduce((a, n) => a + n, 0), 0) ?? 0;
  const lost = absent?.lost.length ?? 0;
  const [tip, setTip] = useState<{ left: number; column: Column } | undefined>();
  const shown = useRef<Column[]>([]);
  const width = useRef(0);
  const sums = empty();
  for (const bar of data?.bars ?? []) {
    const levels = byLevel(bar.all, bar.levels);
    for (const level of LEVELS) sums[level] += levels[level];
  }

  useEffect(() => {
    const element = box.current;
    if (!element || !data || !span) return;
    const cols = columns(data.bars, data.width, span, absent);
    shown.current = cols;
    width.current = data.width;
    let over = false;
    const watch = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: chartHeight() }));
    load().then((library) => {
      if (over) return;
      plot.current = draw(library, element, cols, data.width, span, {
        onPoint: (index, left) => setTip(index === undefined || !cols[index] ? undefined : { left, column: cols[index] }),
        onZoom: (from, to) => go({ from: new Date(from).toISOString(), to: new Date(to).toISOString() }),
      });
      watch.observe(element);
    }, () => {
      // Weir does not answer just now: the counts are in the legend, and the next search tries again.
    });
    return () => {
      over = true;
      watch.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [data, absent, span?.from, span?.to, theme.value, utc.value]);

  const present = LEVELS.filter((l) => sums[l] > 0 || isFiltered('log.level', l));
  const summary = data ? `${plural(data.total, 'line')}: ${present.map((l) => `${l} ${count(sums[l])}`).join(', ')}` : 'Loading';
  return (
    <section class="chart" aria-label="Lines over time">
      <div class="plot" ref={box} role="img" aria-label={`Chart. ${summary}`} />
      {tip && data && (
        <div class="tip" style={{ left: `${Math.round(tip.left)}px` }} data-side={tip.left > (box.current?.clientWidth ?? 0) / 2 ? 'left' : 'right'}>
          <b>{shortTime(tip.column.at, utc.value)}</b>
          {LEVELS.filter((l) => tip.column[l] > 0).map((l) => <span key={l}><i data-level={l} />{l} <b>{count(tip.column[l])}</b></span>)}
          {LEVELS.every((l) => tip.column[l] === 0) && <span>nothing kept</span>}
          {tip.column.dropped > 0 && <span><i class="ghost" />dropped on the way <b>{count(tip.column.dropped)}</b></span>}
          {tip.column.lost > 0 && <span><i class="lost" />lines were lost <b>{count(tip.column.lost)}×</b></span>}
        </div>
      )}
      <div class="legend" role="group" aria-label="Levels: choose which to show">
        {present.map((level) => (
          <button type="button" key={level} data-level={level} aria-pressed={pressed(level)} onClick={() => choose(level)} title={`Only ${level}`}>
            <i data-level={level} />{level} <b>{compact(sums[level])}</b>
          </button>
        ))}
        {dropped > 0 && <span class="also" title="Lines that pipelines dropped on purpose, drawn behind the others on a scale of their own"><i class="ghost" />dropped {compact(dropped)}</span>}
        {lost > 0 && <span class="also" title="Lines that Docker rotated away before they could be read"><i class="lost" />lost {count(lost)}×</span>}
      </div>
    </section>
  );
}

function pressed(level: Level): boolean {
  if (level !== 'unknown') return isFiltered('log.level', level);
  return screen.value.filters.some((f) => f.field === 'log.level' && f.not && f.values.length === 0);
}

function choose(level: Level): void {
  if (level !== 'unknown') return toggleFilter('log.level', level);
  const { filters } = screen.value;
  if (pressed('unknown')) go({ filters: filters.filter((f) => !(f.field === 'log.level' && f.not && f.values.length === 0)) });
  else addFilter({ field: 'log.level', values: [], not: true });
}

function chartHeight(): number {
  return innerWidth <= 640 ? HEIGHT_PHONE : HEIGHT;
}

interface Events {
  onPoint: (index: number | undefined, left: number) => void;
  onZoom: (from: number, to: number) => void;
}

function draw(library: typeof uPlot, element: HTMLElement, cols: Column[], width: number, span: Span, events: Events): uPlot {
  const styles = getComputedStyle(document.documentElement);
  const colour = (name: string) => styles.getPropertyValue(`--${name}`).trim();
  const axis = { stroke: colour('dim'), grid: { stroke: colour('grid'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
  const stacked = LEVELS.map(() => new Float64Array(cols.length));
  cols.forEach((col, i) => {
    let sum = 0;
    LEVELS.forEach((level, k) => {
      sum += col[level];
      const series = stacked[k];
      if (series) series[i] = sum;
    });
  });
  const times = Float64Array.from(cols, (c) => (c.at + width / 2) / 1000);
  const bars = library.paths.bars?.({ size: [0.86, 48], gap: 0 });
  // Drawn from the highest sum to the lowest: each level covers the part of the one below that is not its own.
  const order = LEVELS.map((_, k) => k).reverse();
  const options: uPlot.Options = {
    width: element.clientWidth,
    height: chartHeight(),
    padding: [8, 18, 0, 0],
    legend: { show: false },
    tzDate: (seconds) => (utc.value ? library.tzDate(new Date(seconds * 1000), 'Etc/UTC') : new Date(seconds * 1000)),
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: DRAG } },
    scales: {
      x: { time: true, range: [span.from / 1000, Math.max(span.to, (cols.at(-1)?.at ?? 0) + width) / 1000] },
      y: { range: (_u, _min, max) => [0, Math.max(1, max * 1.06)] },
      // Far more is dropped than is kept: on one scale the kept lines would vanish.
      dropped: { range: (_u, _min, max) => [0, Math.max(1, max * 1.06)] },
    },
    axes: [
      { ...axis, size: 24, grid: { show: false }, space: 70, values: (_u, list) => list.map((v) => axisTime(v * 1000, span)) },
      { ...axis, size: 44, splits: (_u, _i, _min, max) => ticks(max), values: (_u, list) => list.map((v) => compact(v)) },
    ],
    series: [{}, { scale: 'dropped', fill: colour('ghost'), width: 0, points: { show: false }, ...(bars ? { paths: bars } : {}) }, ...order.map((k) => ({ fill: colour(`level-${LEVELS[k]}`), width: 0, points: { show: false }, ...(bars ? { paths: bars } : {}) }))],
    hooks: {
      setCursor: [(u) => {
        const left = u.cursor.left ?? -1;
        events.onPoint(left < 0 ? undefined : (u.cursor.idx ?? undefined), left + (u.bbox.left / devicePixelRatio));
      }],
      setSelect: [(u) => {
        if (u.select.width < DRAG) return;
        events.onZoom(Math.round(u.posToVal(u.select.left, 'x') * 1000), Math.round(u.posToVal(u.select.left + u.select.width, 'x') * 1000));
      }],
      draw: [(u) => {
        const ratio = devicePixelRatio;
        u.ctx.fillStyle = colour('wrong');
        for (const col of cols) {
          if (col.lost === 0) continue;
          const x = u.valToPos((col.at + width / 2) / 1000, 'x', true);
          u.ctx.fillRect(x - ratio, u.bbox.top, 2 * ratio, u.bbox.height);
        }
      }],
      ready: [(u) => {
        let downAt = 0;
        u.over.addEventListener('pointerdown', (e) => { downAt = e.clientX; });
        u.over.addEventListener('click', (e) => {
          const col = u.cursor.idx == null ? undefined : cols[u.cursor.idx];
          if (Math.abs(e.clientX - downAt) < DRAG && col && LEVELS.some((l) => col[l] > 0) && width > 1000) events.onZoom(col.at, col.at + width);
        });
      }],
    },
  };
  return new library(options, [times, cols.map((c) => c.dropped), ...order.map((k) => stacked[k] ?? [])] as uPlot.AlignedData, element);
}

/** A time on the axis, as exact as the range needs. */
function axisTime(at: number, span: Span): string {
  const length = span.to - span.from;
  const text = lineTime(at, utc.value);
  if (length > 4 * 86_400_000) return text.slice(0, 6);
  if (length > 20 * 3_600_000) return text.slice(0, 12);
  if (length > 5 * 60_000) return text.slice(7, 12);
  return length > 10_000 ? text.slice(7, 15) : text.slice(7);
}

/** Two or three round numbers up to `max`. */
function ticks(max: number): number[] {
  const rough = max / 2;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, rough)));
  const step = Math.max(1, [5, 2, 1].map((m) => m * power).find((s) => s <= rough) ?? power);
  const out = [];
  for (let v = 0; v <= max; v += step) out.push(v);
  return out;
}
