//! Saved searches: kept by the indexer, the same for everybody who opens the page.

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Failure, isAbort } from '../api/client';
import { forgetSearch, type Saved, savedSearches, saveSearch } from '../api/live';
import { format, parse, screen } from '../state/screen';
import { Icon } from './icons';
import { say } from './notice';
import { Popover } from './popover';

const words = (error: unknown) => (error instanceof Failure ? error.message : String(error));

export function SavedSearches(): JSX.Element {
  const [open, setOpen] = useState(false);
  return (
    <div class="holder">
      <button type="button" class="button" aria-expanded={open} aria-haspopup="dialog" aria-label="Saved searches" title="Saved searches" onClick={() => setOpen(!open)}><Icon name="save" /><span class="wide-only">Saved</span></button>
      {open && <Popover label="Saved searches" onClose={() => setOpen(false)}><List onDone={() => setOpen(false)} /></Popover>}
    </div>
  );
}

function List({ onDone }: { onDone: () => void }): JSX.Element {
  const [list, setList] = useState<Saved[]>();
  const [name, setName] = useState('');
  const [problem, setProblem] = useState('');
  const load = (abort?: AbortSignal) =>
    savedSearches(abort).then(setList, (error: unknown) => { if (!isAbort(error)) setProblem(words(error)); });
  useEffect(() => {
    const abort = new AbortController();
    void load(abort.signal);
    return () => abort.abort();
  }, []);
  const change = (work: Promise<unknown>, done: string) =>
    work.then(() => { say(done); setName(''); return load(); }, (error: unknown) => setProblem(words(error)));
  // What is kept is a screen as this page writes it, whatever was sent to the indexer by others.
  const address = (saved: Saved) => format(parse(saved.screen));
  return (
    <div class="menu saved">
      <form onSubmit={(e) => { e.preventDefault(); void change(saveSearch(name.trim(), format({ ...screen.value, live: false, doc: '' })), 'Saved'); }}>
        <input value={name} maxLength={100} placeholder="Name for this search" aria-label="Name for this search" onInput={(e) => setName(e.currentTarget.value)} />
        <button type="submit" class="button" disabled={name.trim() === ''}>Save</button>
      </form>
      {problem && <p class="wrong" role="alert">{problem}</p>}
      {list?.length === 0 && <p class="dim">None yet. Columns, filters and the time range are saved with the search.</p>}
      <ul>
        {list?.map((saved) => (
          <li key={saved.name}>
            <a href={address(saved)} onClick={onDone}>{saved.name}</a>
            <button type="button" class="plain" aria-label={`Delete ${saved.name}`} title="Delete" onClick={() => void change(forgetSearch(saved.name), 'Deleted')}><Icon name="close" /></button>
          </li>
        ))}
      </ul>
    </div>
  );
}
