//! The head of the table: column names, to be moved, resized and removed.

import type { JSX, RefObject } from 'preact';
import { go, screen, toggleColumn } from '../state/screen';
import { widths } from '../state/settings';
import { Icon } from './icons';
import { MIN_WIDTH, widthOf } from './lines';

/** How far an arrow key moves a column's edge, in pixels. */
const STEP = 16;
const MAX_WIDTH = 1200;

interface Props {
  columns: string[];
  editable: boolean;
  box: RefObject<HTMLDivElement | null>;
}

const NAMES: Record<string, string> = { 'log.level': 'level', 'service.name': 'service' };

export function Header({ columns, editable, box }: Props): JSX.Element {
  const { sort } = screen.value;
  return (
    <div class="head" ref={box} role="rowgroup">
      <div class="row" role="row" aria-rowindex={1}>
        <span role="columnheader" aria-label="open" />
        <span role="columnheader" aria-sort={sort === 'desc' ? 'descending' : 'ascending'}>
          {editable ? (
            <button type="button" class="name" onClick={() => go({ sort: sort === 'desc' ? 'asc' : 'desc' })} title={sort === 'desc' ? 'Newest first. Click for oldest first' : 'Oldest first. Click for newest first'}>
              time {sort === 'desc' ? '↓' : '↑'}
            </button>
          ) : 'time'}
          <Grip column="@timestamp" />
        </span>
        {columns.map((column, i) => (
          <span role="columnheader" key={column} draggable={editable} data-column={column}
            onDragStart={(e) => e.dataTransfer?.setData('text/weir-column', column)}
            onDragOver={(e) => { if (e.dataTransfer?.types.includes('text/weir-column')) e.preventDefault(); }}
            onDrop={(e) => { e.preventDefault(); move(e.dataTransfer?.getData('text/weir-column') ?? '', i); }}
          >
            <span class="name" title={column}>{NAMES[column] ?? column}</span>
            {editable && (
              <span class="tools">
                {i > 0 && <button type="button" aria-label={`Move ${column} left`} title="Move left" onClick={() => move(column, i - 1)}><Icon name="left" /></button>}
                {i < columns.length - 1 && <button type="button" aria-label={`Move ${column} right`} title="Move right" onClick={() => move(column, i + 1)}><Icon name="right" /></button>}
                {columns.length > 1 && <button type="button" aria-label={`Remove column ${column}`} title="Remove column" onClick={() => toggleColumn(column)}><Icon name="close" /></button>}
              </span>
            )}
            {column !== 'message' && <Grip column={column} />}
          </span>
        ))}
      </div>
    </div>
  );
}

function move(column: string, to: number): void {
  const { columns } = screen.value;
  if (!columns.includes(column)) return;
  const next = columns.filter((c) => c !== column);
  next.splice(to, 0, column);
  go({ columns: next }, true);
}

function setWidth(column: string, width: number): void {
  widths.value = { ...widths.value, [column]: Math.max(MIN_WIDTH, Math.min(MAX_WIDTH, Math.round(width))) };
}

/** The edge of a column, to be dragged or moved by arrow keys. */
function Grip({ column }: { column: string }): JSX.Element {
  const width = widthOf(column);
  const onPointerDown = (down: PointerEvent) => {
    const grip = down.currentTarget as HTMLElement;
    down.preventDefault();
    grip.setPointerCapture(down.pointerId);
    const onMove = (e: PointerEvent) => setWidth(column, width + e.clientX - down.clientX);
    const onUp = () => {
      grip.removeEventListener('pointermove', onMove);
      grip.removeEventListener('pointerup', onUp);
      grip.removeEventListener('pointercancel', onUp);
    };
    grip.addEventListener('pointermove', onMove);
    grip.addEventListener('pointerup', onUp);
    grip.addEventListener('pointercancel', onUp);
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const by = e.key === 'ArrowLeft' ? -STEP : e.key === 'ArrowRight' ? STEP : 0;
    if (by === 0) return;
    e.preventDefault();
    e.stopPropagation();
    setWidth(column, width + by);
  };
  return (
    <span class="grip" role="separator" tabIndex={0} aria-orientation="vertical" aria-label={`Width of column ${column}`}
      aria-valuenow={width} aria-valuemin={MIN_WIDTH} aria-valuemax={MAX_WIDTH} onPointerDown={onPointerDown} onKeyDown={onKeyDown}
    />
  );
}
