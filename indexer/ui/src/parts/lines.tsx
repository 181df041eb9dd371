//! The table of lines: only the rows in view exist, so that 100,000 lines scroll like a hundred.

import { signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Hit } from '../api/search';
import { Heights } from '../lib/heights';
import type { Marks } from '../lib/query';
import { widths } from '../state/settings';
import { Header } from './header';
import { Row } from './row';

/** Rows drawn beyond the edge of the view, so that a quick turn of the wheel shows no gap. */
const OVERSCAN = 12;
/** How near the end (in rows) the reader may come before more lines are asked for. */
const NEAR_END = 100;
/** Heights expected of a row in pixels before it is measured. */
const ROW = 24;
const ROW_WRAPPED = 24;
const ROW_PHONE = 62;
/** The part of the view that a page key scrolls by: a few lines stay, to go on reading from. */
const PAGE = 0.9;
/** How near to the bottom (in pixels) still counts as there, for following new lines. */
const AT_BOTTOM = 40;

const phoneQuery = matchMedia('(max-width: 640px)');
/** Whether the window is as narrow as a phone. */
export const phone = signal(phoneQuery.matches);
phoneQuery.addEventListener('change', () => { phone.value = phoneQuery.matches; });

export interface LinesProps {
  /** Says what these lines are, for screen readers. */
  label: string;
  hits: Hit[];
  /** Grows when `hits`, changed in place, has more lines or others. */
  version: number;
  /** Changes when other lines take the place of these. */
  generation: number | string;
  columns: string[];
  wrap: boolean;
  marks: Marks;
  /** The line (see `keyOf`) that this is about: shown in the middle, and marked. */
  anchor?: string;
  /** Keeps to the newest line at the bottom, until the reader scrolls up. */
  follow?: boolean;
  /** Lines that were dropped from the head of `hits` so far: keeps the place of the reader. */
  dropped?: number;
  onFollow?: (following: boolean) => void;
  onNearEnd?: () => void;
  /** Whether columns can be changed. */
  editable?: boolean;
  /** How many lines there are in all, if more than `hits`. */
  total?: number;
  footer?: ComponentChildren;
}

/** What tells one line from all others. */
export function keyOf(hit: Hit): string {
  return `${hit._index}/${hit._id}`;
}

/** Columns narrower or wider than this help nobody, in pixels. */
export const MIN_WIDTH = 48;
const USUAL_WIDTHS: Record<string, number> = { '@timestamp': 166, 'log.level': 74, 'service.name': 120, 'container.name': 170, 'host.name': 110, stream: 66 };

export function widthOf(column: string): number {
  return widths.value[column] ?? USUAL_WIDTHS[column] ?? 150;
}

export function Lines(props: LinesProps): JSX.Element {
  const { hits, version, generation, columns, wrap, anchor, follow } = props;
  const narrow = phone.value;
  const box = useRef<HTMLDivElement>(null);
  const head = useRef<HTMLDivElement>(null);
  const grid = useRef<HTMLDivElement>(null);
  const windowRef = useRef<HTMLDivElement>(null);
  const heights = useMemo(() => new Heights(ROW), []);
  const [expanded, setExpanded] = useState<ReadonlySet<string>>(() => new Set(anchor ? [anchor] : []));
  const [unfolded, setUnfolded] = useState<ReadonlySet<string>>(() => new Set());
  const [cursor, showCursor] = useState(-1);
  // Keys may come faster than the page is drawn: the row they are meant for is kept apart from the one shown.
  const at = useRef(-1);
  const setCursor = (index: number) => {
    at.current = index;
    showCursor(index);
  };
  const [view, setView] = useState({ top: 0, height: 800 });
  const [, redraw] = useState(0);
  const shape = `${generation} ${wrap} ${narrow} ${columns.join()}`;
  const seen = useRef({ shape: '', first: '', dropped: 0, placed: '' });
  const following = useRef(true);
  const drawn = useRef({ first: 0, last: 0 });

  // Heights follow the lines: begun anew when the lines or their layout are others, else only grown.
  if (seen.current.shape !== shape) {
    heights.reset(hits.length, narrow ? ROW_PHONE : wrap ? ROW_WRAPPED : ROW);
    seen.current.shape = shape;
  } else if ((props.dropped ?? 0) !== seen.current.dropped) {
    heights.reset(hits.length, narrow ? ROW_PHONE : ROW);
  } else if (heights.count !== hits.length) {
    heights.resize(hits.length);
  }
  seen.current.dropped = props.dropped ?? 0;

  // After a leap no row that is drawn can stay: those in view come in one frame, those beyond its edge in the next.
  const [firstInView, lastInView] = [heights.at(view.top), heights.at(view.top + view.height) + 1];
  const leapt = hits.length > 0 && (firstInView >= drawn.current.last || lastInView <= drawn.current.first);
  const overscan = leapt ? 0 : OVERSCAN;
  const first = Math.max(0, firstInView - overscan);
  const last = Math.min(hits.length, lastInView + overscan);
  const total = heights.total;

  useLayoutEffect(() => {
    drawn.current = { first, last };
    if (!leapt) return;
    const frame = requestAnimationFrame(() => redraw((n) => n + 1));
    return () => cancelAnimationFrame(frame);
  });

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setView({ top: element.scrollTop, height: element.clientHeight }));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  // Other lines: from the top again.
  useLayoutEffect(() => {
    if (box.current && !follow && !anchor) box.current.scrollTop = 0;
    setCursor(-1);
    setUnfolded(new Set());
    following.current = true;
  }, [generation]);

  // Rows that can have any height are measured once they are there; what is in view stays where it is.
  useLayoutEffect(() => {
    const element = box.current;
    const rows = windowRef.current?.children;
    if (!element || !rows) return;
    let changed = false;
    let above = 0;
    const top = heights.at(element.scrollTop);
    for (let i = 0; i < rows.length; i += 1) {
      const row = rows[i] as HTMLElement;
      const change = heights.set(first + i, row.getBoundingClientRect().height);
      if (change === 0) continue;
      changed = true;
      if (first + i < top) above += change;
    }
    if (above !== 0 && !follow) element.scrollTop += above;
    if (follow && following.current) element.scrollTop = element.scrollHeight;
    const place = `${anchor} ${generation}`;
    if (anchor && seen.current.placed !== place) {
      const index = hits.findIndex((hit) => keyOf(hit) === anchor);
      // Once more when the line is drawn, and so the heights above it are known.
      if (index < 0 || (index >= first && index < last && !changed)) seen.current.placed = place;
      if (index >= 0) {
        element.scrollTop = Math.max(0, heights.top(index) - element.clientHeight / 4);
        setView({ top: element.scrollTop, height: element.clientHeight });
        setCursor(index);
      }
    }
    if (changed) redraw((n) => n + 1);
  });

  useEffect(() => {
    if (last >= hits.length - NEAR_END) props.onNearEnd?.();
  }, [last, hits.length, version]);

  const onScroll = () => {
    const element = box.current;
    if (!element) return;
    setView({ top: element.scrollTop, height: element.clientHeight });
    if (head.current) head.current.scrollLeft = element.scrollLeft;
    if (follow) {
      const atBottom = element.scrollHeight - element.scrollTop - element.clientHeight < AT_BOTTOM;
      if (atBottom !== following.current) {
        following.current = atBottom;
        props.onFollow?.(atBottom);
      }
    }
  };

  const toggle = (hit: Hit) => {
    const key = keyOf(hit);
    setExpanded((before) => toggled(before, key));
  };
  const unfold = (hit: Hit) => {
    const key = keyOf(hit);
    setUnfolded((before) => toggled(before, key));
  };
  const callbacks = useRef({ toggle, unfold, pick: setCursor });

  const moveTo = (index: number) => {
    const element = box.current;
    if (!element || hits.length === 0) return;
    const to = Math.max(0, Math.min(hits.length - 1, index));
    setCursor(to);
    const top = heights.top(to);
    const bottom = top + Math.min(heights.height(to), element.clientHeight / 2);
    if (top < element.scrollTop) element.scrollTop = top;
    else if (bottom > element.scrollTop + element.clientHeight) element.scrollTop = bottom - element.clientHeight;
  };

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open], [data-popover]')) return;
      if (target.closest('input, textarea, select, [contenteditable]')) return;
      const onTable = target === document.body || target === grid.current || target.closest('.lines') !== null;
      const control = target.closest('button, a') !== null;
      if (event.key === 'j' || (event.key === 'ArrowDown' && onTable)) moveTo(at.current + 1);
      else if (event.key === 'k' || (event.key === 'ArrowUp' && onTable)) moveTo(at.current - 1);
      else if (event.key === 'Home' && onTable) moveTo(0);
      else if (event.key === 'End' && onTable) moveTo(hits.length - 1);
      else if (event.key === 'PageDown' && onTable) box.current?.scrollBy(0, box.current.clientHeight * PAGE);
      else if (event.key === 'PageUp' && onTable) box.current?.scrollBy(0, -box.current.clientHeight * PAGE);
      else if ((event.key === 'Enter' || event.key === 'o') && !control && hits[at.current]) toggle(hits[at.current] as Hit);
      else return;
      event.preventDefault();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  });

  const rows: JSX.Element[] = [];
  for (let i = first; i < last; i += 1) {
    const hit = hits[i];
    if (!hit) continue;
    const key = keyOf(hit);
    rows.push(
      <Row
        key={key}
        hit={hit}
        index={i}
        columns={columns}
        wrap={wrap}
        narrow={narrow}
        marks={props.marks}
        expanded={expanded.has(key)}
        unfolded={unfolded.has(key)}
        current={i === cursor}
        reachable={i === cursor || (i === first && (cursor < first || cursor >= last))}
        anchor={key === anchor}
        on={callbacks.current}
      />,
    );
  }

  const template = ['20px', `${widthOf('@timestamp')}px`, ...columns.map((c) => (c === 'message' ? 'minmax(320px, 1fr)' : `${widthOf(c)}px`))].join(' ');
  const least = 20 + [ '@timestamp', ...columns].reduce((sum, c) => sum + (c === 'message' ? 320 : widthOf(c)), 0);
  const style = { '--columns': columns.includes('message') ? template : `${template} 1fr`, '--least': `${least}px` };

  return (
    <div
      ref={grid} tabIndex={0} aria-activedescendant={cursor >= first && cursor < last ? `row-${cursor}` : undefined}
      class={`lines${wrap ? ' wrapped' : ''}${narrow ? ' narrow' : ''}`} role="grid" aria-label={props.label} aria-rowcount={(props.total ?? hits.length) + 1} aria-colcount={columns.length + 2} style={style}
    >
      {!narrow && <Header columns={columns} editable={props.editable ?? false} box={head} />}
      <div class="scroll" ref={box} onScroll={onScroll} role="rowgroup">
        <div class="space" style={{ height: `${total}px` }} role="presentation">
          <div class="window" ref={windowRef} style={{ transform: `translateY(${heights.top(first)}px)` }} role="presentation">{rows}</div>
        </div>
        {props.footer}
      </div>
    </div>
  );
}

function toggled(before: ReadonlySet<string>, key: string): ReadonlySet<string> {
  const after = new Set(before);
  if (!after.delete(key)) after.add(key);
  return after;
}
