//! One line of the table, and below it, when opened, everything known about it.

import type { JSX } from 'preact';
import type { Hit } from '../api/search';
import { asText, valueOf } from '../lib/fields';
import { jsonGist, stampLength } from '../lib/gist';
import { levelOf } from '../lib/levels';
import type { Marks } from '../lib/query';
import { headline } from '../lib/stack';
import { lineTime } from '../lib/time';
import { utc } from '../state/settings';
import { Detail } from './detail';
import { memo } from './memo';
import { Text } from './text';

/** Characters of one cell: what fits a wide screen, and what a wrapped line may take before it must be opened. */
const CELL = 600;
const CELL_WRAPPED = 4000;

export interface RowProps {
  hit: Hit;
  index: number;
  columns: string[];
  wrap: boolean;
  narrow: boolean;
  marks: Marks;
  expanded: boolean;
  unfolded: boolean;
  current: boolean;
  /** Whether Tab stops here: at one row only. */
  reachable: boolean;
  anchor: boolean;
  on: { toggle: (hit: Hit) => void; unfold: (hit: Hit) => void; pick: (index: number) => void };
}

export function timeOf(hit: Hit): number {
  return Date.parse(asText(valueOf(hit._source, '@timestamp')));
}

export const Row = memo(function Row(props: RowProps): JSX.Element {
  const { hit, index, columns, narrow, expanded, on } = props;
  const level = levelOf(valueOf(hit._source, 'log.level'));
  const time = timeOf(hit);
  const open = (event: MouseEvent) => {
    on.pick(index);
    // Whoever selects text or uses a button does not mean to open the line.
    if ((event.target as HTMLElement).closest('button, a') || getSelection()?.isCollapsed === false) return;
    on.toggle(hit);
  };
  const cells = columns.map((column) => <Cell key={column} column={column} {...props} />);
  return (
    <div class="line" data-level={level} data-current={props.current || undefined} data-anchor={props.anchor || undefined}>
      <div class="row" role="row" id={`row-${index}`} aria-rowindex={index + 2} aria-selected={props.current} onClick={open}>
        <span role="gridcell" class="opener">
          <button type="button" aria-expanded={expanded} aria-label={expanded ? 'Close this line' : 'Open this line'} tabIndex={props.reachable ? 0 : -1} onClick={() => { on.pick(index); on.toggle(hit); }} />
        </span>
        <span role="gridcell" class="time">{lineTime(time, utc.value)}</span>
        {narrow ? [...cells].sort((a, b) => Number(a.props.column === 'message') - Number(b.props.column === 'message')) : cells}
      </div>
      {expanded && (
        <div role="row" class="opened"><div role="gridcell"><Detail hit={hit} marks={props.marks} /></div></div>
      )}
    </div>
  );
});

function Cell({ column, hit, wrap, narrow, marks, unfolded, on }: RowProps & { column: string }): JSX.Element {
  const value = asText(valueOf(hit._source, column));
  if (column === 'log.level') {
    const level = levelOf(value);
    return <span role="gridcell" class="level">{value && <span class="badge" data-level={level}>{level === 'unknown' ? value : level}</span>}</span>;
  }
  if (column !== 'message') {
    return <span role="gridcell" class="cell" title={value}><Text text={value} mark={marks.get(column) ?? marks.get('')} limit={CELL} /></span>;
  }
  const mark = marks.get('message') ?? marks.get('');
  const both = marks.get('message') && marks.get('') ? new RegExp(`${marks.get('message')?.source}|${marks.get('')?.source}`, 'giu') : mark;
  const limit = wrap || narrow ? CELL_WRAPPED : CELL;
  if (unfolded) {
    return (
      <span role="gridcell" class="message unfolded">
        <Text text={value} mark={both} limit={CELL_WRAPPED} />
        <button type="button" class="fold" onClick={() => on.unfold(hit)}>fold</button>
      </span>
    );
  }
  const json = jsonGist(value);
  if (json) {
    return (
      <span role="gridcell" class="message">
        <span class="first">
          <Text text={json.text} mark={both} limit={limit} />
          {json.pairs.map(([name, text]) => <span class="pair" key={name}> <i>{name}=</i><Text text={text} mark={both} /></span>)}
        </span>
      </span>
    );
  }
  const { first, gist, more } = headline(value);
  const stamp = stampLength(first);
  return (
    <span role="gridcell" class="message">
      <span class="first">
        {stamp > 0 && <span class="stamp"><Text text={first.slice(0, stamp)} mark={both} /></span>}
        <Text text={first.slice(stamp)} mark={both} limit={limit} />
      </span>
      {gist && <span class="gist"> ⏎ <Text text={gist} mark={both} limit={CELL} /></span>}
      {more > 0 && <button type="button" class="fold" onClick={() => on.unfold(hit)} title="Show them here">+{more} {more === 1 ? 'line' : 'lines'}</button>}
    </span>
  );
}
