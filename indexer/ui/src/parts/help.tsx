//! What the keys do, and how to search.

import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Icon } from './icons';

export const helpOpen = signal(false);

const KEYS: [string, string][] = [
  ['/', 'search'], ['t', 'choose a time'], ['j  k', 'next and previous line'], ['Enter', 'open or close the line'],
  ['r', 'search again'], ['l', 'live tail on and off'], ['w', 'wrap lines'], ['f', 'services and fields on and off'],
  ['d', 'dark, light or as the system'], ['?', 'this help'], ['Esc', 'close'],
];

const EXAMPLES: [string, string, string][] = [
  ['timeout', 'timeout', 'a word'],
  ['"connection refused"', '"connection refused"', 'words in this order'],
  ['service.name: api', 'service.name:api', 'a field with a value'],
  ['log.level: (error or critical)', 'log.level:(error OR critical)', 'one of several'],
  ['not container.name: web*', 'NOT container.name:web*', 'everything else'],
  ['status >= 500', 'status:>=500', 'numbers'],
  ['trace.id: *', '_exists_:trace.id', 'has the field'],
  ['', 'message:/time(d )?out/', 'a regular expression'],
];

export function Help(): JSX.Element | null {
  const box = useRef<HTMLDialogElement>(null);
  const open = helpOpen.value;
  useEffect(() => {
    if (open && !box.current?.open) box.current?.showModal();
  }, [open]);
  if (!open) return null;
  return (
    <dialog class="help" ref={box} aria-label="Help" onClose={() => { helpOpen.value = false; }} onClick={(e) => { if (e.target === box.current) box.current?.close(); }}>
      <header><h2>Help</h2><button type="button" class="plain" aria-label="Close" onClick={() => box.current?.close()}><Icon name="close" /></button></header>
      <div class="columns">
        <section>
          <h3>Keys</h3>
          <dl>{KEYS.map(([key, what]) => <div key={key}><dt>{key.split('  ').map((k) => <kbd key={k}>{k}</kbd>)}</dt><dd>{what}</dd></div>)}</dl>
          <p class="dim">On the chart: drag to zoom, click a bar to look into it, click a level to see only that.</p>
        </section>
        <section>
          <h3>Searching</h3>
          <table>
            <thead><tr><th scope="col">KQL</th><th scope="col">Lucene</th><th scope="col">finds</th></tr></thead>
            <tbody>{EXAMPLES.map(([kql, lucene, what]) => <tr key={lucene}><td><code>{kql}</code></td><td><code>{lucene}</code></td><td>{what}</td></tr>)}</tbody>
          </table>
        </section>
      </div>
    </dialog>
  );
}
