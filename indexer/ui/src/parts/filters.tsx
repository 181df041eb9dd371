//! The conditions beside the query text, each as a chip that can be turned round or taken away.

import type { JSX } from 'preact';
import { go, screen } from '../state/screen';
import { Icon } from './icons';

export function Filters(): JSX.Element | null {
  const { filters } = screen.value;
  if (filters.length === 0) return null;
  const change = (i: number, not: boolean | undefined) =>
    go({ filters: not === undefined ? filters.filter((_, k) => k !== i) : filters.map((f, k) => (k === i ? { ...f, not } : f)) });
  return (
    <ul class="filters" aria-label="Filters">
      {filters.map((f, i) => {
        const what = f.values.length === 0 ? `${f.not ? 'no ' : 'has '}${f.field}` : `${f.field} ${f.not ? '≠' : '='} ${f.values.join(' or ')}`;
        return (
          <li key={what} class={f.not ? 'not' : ''}>
            <button type="button" class="what" title="Click to turn this condition round" onClick={() => change(i, !f.not)}>{what}</button>
            <button type="button" aria-label={`Remove the filter ${what}`} onClick={() => change(i, undefined)}><Icon name="close" /></button>
          </li>
        );
      })}
      {filters.length > 1 && <li class="all"><button type="button" onClick={() => go({ filters: [] })}>Clear all</button></li>}
    </ul>
  );
}
