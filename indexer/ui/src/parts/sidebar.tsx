//! At the side: the services by stack, worst first, the nodes, and the fields with their commonest values.

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Failure, isAbort } from '../api/client';
import { type FieldInfo, indices, type ServiceCount, queryOf, topValues } from '../api/search';
import { flatten } from '../lib/fields';
import { compact, count, percent } from '../lib/format';
import { counts, fields, found } from '../state/results';
import { addFilter, DEFAULT_INDEX, go, isFiltered, screen, toggleColumn, toggleFilter } from '../state/screen';
import { byLevel } from './chart';
import { Icon } from './icons';

/** Values shown of one field. */
const TOP = 8;
/** Lines looked at to tell which fields occur: those loaded first. */
const LOOKED_AT = 200;

export function Sidebar(): JSX.Element {
  return (
    <div class="sides">
      <Indices />
      <Services />
      <Nodes />
      <FieldList />
    </div>
  );
}

/** Which index is searched: shown as soon as there is more than the usual one. */
function Indices(): JSX.Element | null {
  const [names, setNames] = useState<string[]>([]);
  const { index } = screen.value;
  useEffect(() => {
    const abort = new AbortController();
    indices(abort.signal).then((list) => setNames(list.map((i) => i.name).filter((name) => !name.startsWith('.'))), (error: unknown) => {
      // Then there is nothing to choose from; the search itself tells what is wrong.
      if (!isAbort(error)) setNames([]);
    });
    return () => abort.abort();
  }, []);
  const all = [...new Set([DEFAULT_INDEX, ...names, index])];
  if (all.length === 1) return null;
  return (
    <section>
      <h2><label for="index">Index</label></h2>
      <select id="index" value={index} onChange={(e) => go({ index: e.currentTarget.value, filters: [] })}>
        {all.map((name) => <option key={name} value={name}>{name}</option>)}
      </select>
    </section>
  );
}

interface Health extends ServiceCount {
  bad: number;
  warn: number;
}

function Services(): JSX.Element | null {
  const list: Health[] = (counts.value?.services ?? []).map((s) => {
    const levels = byLevel(s.all, s.levels);
    return { ...s, bad: levels.critical + levels.error, warn: levels.warn };
  });
  if (list.length === 0) return null;
  const stacks = Map.groupBy(list, (s) => s.stack);
  const worst = (of: Health[]) => of.reduce((sum, s) => sum + s.bad, 0);
  const sorted = [...stacks].sort(([, a], [, b]) => worst(b) - worst(a));
  return (
    <section class="services">
      <h2>Services</h2>
      {sorted.map(([stack, services]) => (
        <div key={stack}>
          {(stacks.size > 1 || stack !== '') && (
            <h3>{stack === '' ? 'no stack' : <button type="button" aria-pressed={isFiltered('orchestrator.namespace', stack)} onClick={() => toggleFilter('orchestrator.namespace', stack)}>{stack}</button>}</h3>
          )}
          <ul>
            {services.sort((a, b) => b.bad - a.bad || b.warn - a.warn || b.all - a.all).map((s) => (
              <li key={s.service}>
                <button type="button" class="service" aria-pressed={isFiltered('service.name', s.service)} onClick={() => toggleFilter('service.name', s.service)}
                  title={`${s.service}: ${count(s.bad)} errors, ${count(s.warn)} warnings, ${count(s.all)} lines`}>
                  <span class="what">{short(s.service, s.stack)}</span>
                  {s.bad > 0 && <span class="badge" data-level="error" aria-label={`${s.bad} errors`}>{compact(s.bad)}</span>}
                  {s.warn > 0 && <span class="badge" data-level="warn" aria-label={`${s.warn} warnings`}>{compact(s.warn)}</span>}
                  <span class="all" aria-label={`${s.all} lines`}>{compact(s.all)}</span>
                </button>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </section>
  );
}

/** Swarm names a stack's services `stack_service`; below the stack's name the first half says nothing. */
function short(service: string, stack: string): string {
  return stack !== '' && service.startsWith(`${stack}_`) ? service.slice(stack.length + 1) : service;
}

function Nodes(): JSX.Element | null {
  const list = counts.value?.nodes ?? [];
  if (list.length === 0) return null;
  return (
    <section class="services">
      <h2>Nodes</h2>
      <ul>
        {list.map((n) => (
          <li key={n.value}>
            <button type="button" class="service" aria-pressed={isFiltered('host.name', n.value)} onClick={() => toggleFilter('host.name', n.value)}>
              <span class="what">{n.value}</span><span class="all">{compact(n.count)}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function FieldList(): JSX.Element {
  const [typed, setTyped] = useState('');
  const [open, setOpen] = useState('');
  const present = new Set<string>();
  for (const hit of found.value?.hits.slice(0, LOOKED_AT) ?? []) for (const name of flatten(hit._source).keys()) present.add(name);
  const all = [...fields.value.values()].filter((f) => f.name.toLowerCase().includes(typed.toLowerCase())).sort((a, b) => a.name.localeCompare(b.name));
  const here = all.filter((f) => present.has(f.name));
  const others = all.filter((f) => !present.has(f.name));
  const item = (f: FieldInfo) => <Field key={f.name} field={f} open={open === f.name} onToggle={() => setOpen(open === f.name ? '' : f.name)} />;
  return (
    <section class="fieldlist">
      <h2>Fields</h2>
      <input type="search" placeholder="Find a field" aria-label="Find a field" value={typed} onInput={(e) => setTyped(e.currentTarget.value)} />
      <ul>{here.map(item)}</ul>
      {others.length > 0 && (
        <details open={typed !== ''}>
          <summary>{others.length} not in these lines</summary>
          <ul>{others.map(item)}</ul>
        </details>
      )}
    </section>
  );
}

const TYPE_SIGNS: Record<string, string> = { keyword: 'k', text: 't', long: '#', double: '#', integer: '#', float: '#', boolean: 'b', date: '◷', ip: 'ip' };

function Field({ field, open, onToggle }: { field: FieldInfo; open: boolean; onToggle: () => void }): JSX.Element {
  const isColumn = screen.value.columns.includes(field.name);
  return (
    <li>
      <div class="field">
        <button type="button" class="open" aria-expanded={open} onClick={onToggle} title={`${field.name} (${field.type})`}>
          <span class="type" data-type={field.type} aria-label={field.type}>{TYPE_SIGNS[field.type] ?? '?'}</span><span class="what">{field.name}</span>
        </button>
        <button type="button" class="sign" aria-pressed={isColumn} aria-label={`Show ${field.name} as a column`} title={isColumn ? 'Remove this column' : 'Show as a column'} onClick={() => toggleColumn(field.name)}><Icon name={isColumn ? 'minus' : 'plus'} /></button>
      </div>
      {open && <TopValues field={field} />}
    </li>
  );
}

function TopValues({ field }: { field: FieldInfo }): JSX.Element {
  const [state, setState] = useState<Awaited<ReturnType<typeof topValues>> | string>('…');
  const span = found.value?.span;
  const { index, query, language, filters } = screen.value;
  const question = JSON.stringify([index, query, language, filters, span]);
  useEffect(() => {
    if (!field.exact) return setState('Too long to count: this is text to search in.');
    const abort = new AbortController();
    topValues(index, queryOf(screen.value, span, fields.value), field.exact, TOP, abort.signal).then(setState, (error: unknown) => {
      if (!isAbort(error)) setState(error instanceof Failure ? error.message : String(error));
    });
    return () => abort.abort();
  }, [question, field.exact]);
  if (typeof state === 'string') return <p class="top dim">{state}</p>;
  return (
    <div class="top">
      <p class="dim">in {percent(state.having, state.all)} of {compact(state.all)} lines</p>
      <ul>
        {state.values.map((v) => (
          <li key={v.value}>
            <meter min={0} max={state.having} value={v.count} aria-hidden="true" />
            <span class="what" title={v.value}>{v.value === '' ? '(empty)' : v.value}</span>
            <span class="share" title={`${count(v.count)} lines`}>{percent(v.count, state.having)}</span>
            <button type="button" class="sign" aria-label={`Only ${field.name} ${v.value}`} title="Only these" onClick={() => addFilter({ field: field.name, values: [v.value], not: false })}><Icon name="plus" /></button>
            <button type="button" class="sign" aria-label={`No ${field.name} ${v.value}`} title="None of these" onClick={() => addFilter({ field: field.name, values: [v.value], not: true })}><Icon name="minus" /></button>
          </li>
        ))}
      </ul>
      {state.values.length === 0 && <p class="dim">No values here.</p>}
    </div>
  );
}
