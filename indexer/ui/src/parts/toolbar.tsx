//! Above the lines: how many were found, how they are shown, and what can be done with all of them.

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { count, plural } from '../lib/format';
import { counts, found, problem, searching } from '../state/results';
import { DEFAULT_COLUMNS, go, screen } from '../state/screen';
import { exportLines } from './export';
import { Icon } from './icons';
import { copy } from './notice';
import { Popover } from './popover';
import { SavedSearches } from './saved';

export function Toolbar(): JSX.Element {
  const { sort, wrap, columns } = screen.value;
  const total = counts.value;
  const list = found.value;
  return (
    <div class="toolbar">
      <h2 class="found" aria-live="polite">
        {total ? <><b>{count(total.total)}{total.atLeast ? '+' : ''}</b> {total.total === 1 ? 'line' : 'lines'}</> : problem.value ? 'No answer' : 'Searching…'}
        {list && total && <span class="dim took"> in {Math.max(list.took, total.took)} ms{list.timedOut && ', stopped early'}</span>}
        {searching.value && <span class="busy" aria-label="searching" role="img" />}
      </h2>
      <div class="group">
        <button type="button" class="button" onClick={() => go({ sort: sort === 'desc' ? 'asc' : 'desc' })} title="Turn the order round"><Icon name="sort" /><span class="wide-only">{sort === 'desc' ? 'Newest first' : 'Oldest first'}</span></button>
        <button type="button" class="button wide-only" aria-pressed={wrap} onClick={() => go({ wrap: !wrap }, true)} title="Show lines whole (w)"><Icon name="wrap" />Wrap</button>
        {columns.join() !== DEFAULT_COLUMNS.join() && <button type="button" class="button wide-only" onClick={() => go({ columns: DEFAULT_COLUMNS }, true)}><Icon name="column" />Usual columns</button>}
        <button type="button" class="button" onClick={() => copy(shareable(), 'Link')} title="Copy a link to this screen, its times made absolute" aria-label="Copy link"><Icon name="link" /><span class="wide-only">Link</span></button>
        <SavedSearches />
        <Export />
      </div>
    </div>
  );
}

/** This screen's address, with the times as they are now, so that whoever follows it sees the same lines. */
function shareable(): string {
  const span = found.value?.span;
  const before = location.href.split('#')[0] ?? '';
  const hash = location.hash || '#/logs';
  if (!span) return before + hash;
  const [path, search = ''] = hash.split('?');
  const params = new URLSearchParams(search);
  params.set('from', new Date(span.from).toISOString());
  params.set('to', new Date(span.to).toISOString());
  params.delete('refresh');
  return `${before}${path}?${params}`;
}

function Export(): JSX.Element {
  const [open, setOpen] = useState(false);
  const [progress, setProgress] = useState('');
  const [abort, setAbort] = useState<AbortController | undefined>();
  const begin = async (kind: 'ndjson' | 'csv') => {
    const stop = new AbortController();
    setAbort(stop);
    const problem = await exportLines(kind, (n) => setProgress(plural(n, 'line')), stop.signal);
    setAbort(undefined);
    setProgress(problem ?? '');
    if (!problem) setOpen(false);
  };
  return (
    <div class="holder">
      <button type="button" class="button" aria-expanded={open} aria-haspopup="dialog" aria-label="Export" onClick={() => setOpen(!open)} title="Save these lines as a file"><Icon name="export" /><span class="wide-only">Export</span></button>
      {open && (
        <Popover label="Export" onClose={() => { abort?.abort(); setOpen(false); }}>
          <div class="menu">
            <button type="button" disabled={!!abort} onClick={() => void begin('ndjson')}>NDJSON <span class="dim">every field</span></button>
            <button type="button" disabled={!!abort} onClick={() => void begin('csv')}>CSV <span class="dim">the columns shown</span></button>
            {progress && <p role="status">{progress}</p>}
            {abort && <button type="button" onClick={() => abort.abort()}>Stop</button>}
          </div>
        </Popover>
      )}
    </div>
  );
}
