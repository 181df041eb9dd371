//! What stands at the top when something is wrong: weir does not answer, or the search cannot be answered.

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { reachable } from '../api/client';
import { problem, refresh, retryAt } from '../state/results';
import { screen } from '../state/screen';
import { Icon } from './icons';

export function Problems(): JSX.Element | null {
  const [, tick] = useState(0);
  const at = retryAt.value;
  useEffect(() => {
    if (at === undefined) return;
    const timer = setInterval(() => tick((n) => n + 1), 250);
    return () => clearInterval(timer);
  }, [at]);
  const wrong = problem.value;
  // What is wrong with the text stands below the text.
  if (!wrong || (wrong.status === 400 && screen.value.query.trim() !== '')) return null;
  const seconds = at === undefined ? 0 : Math.max(0, Math.ceil((at - Date.now()) / 1000));
  const away = wrong.status === 0 || !reachable.value;
  return (
    <div class="problem" role="alert" data-kind={away ? 'away' : 'refused'}>
      <Icon name="warn" />
      <span>
        {away ? <><b>weir does not answer.</b> What you see is what it answered last.</> : <><b>{title(wrong.status)}</b> {wrong.message.split('\n')[0]}</>}
        {at !== undefined && <span class="dim"> Trying again {seconds > 0 ? `in ${seconds} s` : 'now'}.</span>}
      </span>
      <button type="button" class="button" onClick={refresh}>Try now</button>
    </div>
  );
}

function title(status: number): string {
  if (status === 400) return 'This search cannot be answered:';
  if (status === 401 || status === 403) return 'Not allowed:';
  if (status === 404) return 'Not found:';
  if (status === 429 || status === 503) return 'weir is busy:';
  return 'Something went wrong:';
}
