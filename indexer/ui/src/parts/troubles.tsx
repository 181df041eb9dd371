//! In the head: how many things are wrong, and at a click what they are and what to do.

import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { isAbort } from '../api/client';
import { type Trouble, troubles } from '../api/troubles';
import { count, plural } from '../lib/format';
import { Icon } from './icons';
import { Popover } from './popover';

/** How often weir is asked, in milliseconds: often enough to be told, seldom enough to cost nothing. */
const EVERY = 60_000;

const list = signal<Trouble[]>([]);

export function Troubles(): JSX.Element | null {
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const abort = new AbortController();
    const ask = () => {
      if (document.visibilityState !== 'visible') return;
      troubles(abort.signal).then((found) => { list.value = found; }, (error: unknown) => {
        // That weir does not answer is said elsewhere. What was known before stays until it is known better.
        if (!isAbort(error)) console.warn('problems are not known:', error);
      });
    };
    ask();
    const timer = setInterval(ask, EVERY);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, []);
  if (list.value.length === 0) return null;
  return (
    <div class="holder">
      <button type="button" class="button troubles" aria-expanded={open} aria-haspopup="dialog" aria-label={plural(list.value.length, 'problem')} onClick={() => setOpen(!open)}><Icon name="warn" />{count(list.value.length)}<span>{list.value.length === 1 ? 'problem' : 'problems'}</span></button>
      {open && (
        <Popover label="Problems" onClose={() => setOpen(false)}>
          <ul class="troublelist">
            {list.value.map((t) => (
              <li key={t.what}>
                {t.href ? <a href={t.href} onClick={() => setOpen(false)}>{t.what}</a> : <b>{t.what}</b>}
                {t.advice && <p class="dim">{t.advice}</p>}
              </li>
            ))}
          </ul>
        </Popover>
      )}
    </div>
  );
}
