//! The search bar: coloured while typed, completed from the live index, mistakes marked at their place.

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { topValues, queryOf } from '../api/search';
import { isAbort } from '../api/client';
import { type Language, fault, quoted, spot, tokenize } from '../lib/query';
import { fields, found, problem, readFields, refresh } from '../state/results';
import { go, screen } from '../state/screen';
import { history, remember } from '../state/settings';
import { compact } from '../lib/format';
import { Icon } from './icons';

/** Suggestions shown at once. */
const MAX_SHOWN = 9;
/** How long typing must rest before values are asked for, in milliseconds. */
const REST = 120;
/** How long suggestions outlive the focus, so that a click on one still finds it, in milliseconds. */
const LEAVING = 120;
/** Values asked for. */
const MAX_VALUES = 50;

interface Suggestion {
  text: string;
  /** What takes the place of what is typed. */
  insert: string;
  about: string;
  kind: 'field' | 'operator' | 'value' | 'keyword' | 'history';
}

export function SearchBar(): JSX.Element {
  const { query, language } = screen.value;
  const [text, setText] = useState(query);
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const [cursor, setCursor] = useState(0);
  const [values, setValues] = useState<{ field: string; list: Suggestion[] }>({ field: '', list: [] });
  const input = useRef<HTMLInputElement>(null);
  const paint = useRef<HTMLDivElement>(null);
  const leaving = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);

  useEffect(() => setText(query), [query]);

  const here = spot(text, cursor, language);
  useEffect(() => {
    if (!open || here.wants !== 'value' || !here.field || values.field === here.field) return;
    const field = here.field;
    const abort = new AbortController();
    const timer = setTimeout(() => void valuesOf(field, abort.signal).then((list) => setValues({ field, list }), (error: unknown) => {
      // No suggestions is all that goes wrong here; the search itself reports what is broken.
      if (!isAbort(error)) setValues({ field, list: [] });
    }), REST);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [open, here.wants, here.field]);

  const list = open ? suggestions(text, cursor, language, values) : [];
  const local = fault(text, language);
  const remote = problem.value && problem.value.status === 400 && text === query ? problem.value.message : undefined;
  const place = local ?? (remote ? remotePlace(remote, text) : undefined);

  const submit = () => {
    setOpen(false);
    setChosen(-1);
    remember(text);
    if (text === screen.value.query) refresh();
    else go({ query: text, view: screen.value.view === 'patterns' ? 'patterns' : 'logs' });
  };
  const accept = (s: Suggestion) => {
    const whole = s.kind === 'history';
    const next = whole ? s.insert : text.slice(0, here.start) + s.insert + text.slice(here.end);
    const at = whole ? next.length : here.start + s.insert.length;
    setText(next);
    setChosen(-1);
    setCursor(at);
    requestAnimationFrame(() => {
      input.current?.focus();
      input.current?.setSelectionRange(at, at);
    });
    if (s.kind === 'value') setOpen(false);
  };
  const onKeyDown = (e: KeyboardEvent) => {
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      e.preventDefault();
      if (!open) return setOpen(true);
      const by = e.key === 'ArrowDown' ? 1 : -1;
      if (list.length > 0) setChosen((chosen + by + (chosen < 0 && by < 0 ? 1 : 0) + list.length) % list.length);
    } else if (e.key === 'Enter') {
      e.preventDefault();
      const s = list[chosen];
      if (s) accept(s);
      else submit();
    } else if (e.key === 'Tab' && !e.shiftKey && open && list.length > 0 && (chosen >= 0 || here.typed !== '')) {
      const s = list[Math.max(0, chosen)];
      if (s) {
        e.preventDefault();
        accept(s);
      }
    } else if (e.key === 'Escape') {
      if (open && list.length > 0) setOpen(false);
      else input.current?.blur();
      e.stopPropagation();
    }
  };
  const note = () => {
    setCursor(input.current?.selectionStart ?? text.length);
    if (paint.current && input.current) paint.current.scrollLeft = input.current.scrollLeft;
  };

  return (
    <form class="searchbar" role="search" onSubmit={(e) => { e.preventDefault(); submit(); }}>
      <div class="query" data-wrong={place !== undefined || remote !== undefined}>
        <Icon name="search" />
        <div class="typing">
          <div class="paint" ref={paint} aria-hidden="true">
            {tokenize(text, language).map((t) => (
              <span key={t.start} class={`${t.kind}${place && t.start < place.end && t.end > place.start ? ' wrong' : ''}`}>{t.text}</span>
            ))}
            {place && place.start >= text.length && <span class="wrong">&nbsp;&nbsp;</span>}
          </div>
          <input
            ref={input} id="query" type="text" value={text} autocomplete="off" autocapitalize="off" spellcheck={false}
            placeholder={language === 'kql' ? 'Search: timeout   service.name: api and log.level: error' : 'Search: timeout   service.name:api AND log.level:error'}
            aria-label="Search" role="combobox" aria-expanded={list.length > 0} aria-controls="suggestions" aria-autocomplete="list"
            aria-activedescendant={chosen >= 0 ? `suggestion-${chosen}` : undefined} aria-invalid={place !== undefined || remote !== undefined}
            aria-describedby={place || remote ? 'query-problem' : undefined}
            onInput={(e) => { setText(e.currentTarget.value); setOpen(true); setChosen(-1); note(); }}
            onFocus={() => { clearTimeout(leaving.current); setOpen(true); void readFields().catch(() => undefined); note(); }}
            onBlur={() => { leaving.current = setTimeout(() => setOpen(false), LEAVING); }}
            onKeyDown={onKeyDown} onKeyUp={note} onClick={note} onScroll={note} onSelect={note}
          />
        </div>
        {text !== '' && <button type="button" class="plain" aria-label="Clear the search" title="Clear" onClick={() => { setText(''); go({ query: '' }); input.current?.focus(); }}><Icon name="close" /></button>}
        <button type="button" class="language" title="KQL is Kibana's language; Lucene has regular expressions, fuzzy and proximity search. Click for the other one."
          aria-label={`Query language: ${language === 'kql' ? 'KQL' : 'Lucene'}. Change`} onClick={() => go({ language: language === 'kql' ? 'lucene' : 'kql' })}>
          {language === 'kql' ? 'KQL' : 'Lucene'}
        </button>
        {list.length > 0 && (
          <ul class="suggestions" id="suggestions" role="listbox" aria-label="Suggestions">
            {list.map((s, i) => (
              <li key={`${s.kind} ${s.text}`} id={`suggestion-${i}`} role="option" aria-selected={i === chosen}
                onPointerDown={(e) => { e.preventDefault(); accept(s); }}>
                <span class={`kind ${s.kind}`}>{s.kind}</span><span class="what">{s.text}</span><span class="about">{s.about}</span>
              </li>
            ))}
          </ul>
        )}
      </div>
      {(remote || (place && !open)) && <p class="wrong" id="query-problem" role="alert">{remote ? remote.split('\n')[0] : local?.problem}</p>}
    </form>
  );
}

/** Where the indexer found the mistake: Kibana's way is a line of dashes up to a caret, Lucene's a column. */
function remotePlace(message: string, text: string): { start: number; end: number } | undefined {
  const caret = /^(-*)\^/m.exec(message);
  const column = /(?:column|position|offset)\s+(\d+)/i.exec(message);
  const counted = /^line 1:(\d+)/.exec(message);
  const start = caret ? (caret[1] ?? '').length : counted ? Number(counted[1]) - 1 : column ? Number(column[1]) : undefined;
  return start === undefined ? undefined : { start: Math.min(start, text.length), end: Math.min(start, text.length) + 1 };
}

function suggestions(text: string, cursor: number, language: Language, values: { field: string; list: Suggestion[] }): Suggestion[] {
  if (text.trim() === '') {
    return history.value.slice(0, MAX_SHOWN).map((q) => ({ text: q, insert: q, about: '', kind: 'history' }));
  }
  const here = spot(text, cursor, language);
  const typed = here.typed.toLowerCase();
  const gap = here.start > 0 && here.typed === '' && !/[\s(:]$/.test(text.slice(0, here.start)) ? ' ' : '';
  const fits = (s: Suggestion) => s.text.toLowerCase().includes(typed) && s.text.toLowerCase() !== typed;
  const byStart = (a: Suggestion, b: Suggestion) =>
    Number(b.text.toLowerCase().startsWith(typed)) - Number(a.text.toLowerCase().startsWith(typed));
  const words = language === 'kql' ? ['and', 'or', 'not'] : ['AND', 'OR', 'NOT'];
  const make = (kind: Suggestion['kind'], list: [string, string][], after = ' '): Suggestion[] =>
    list.map(([t, about]) => ({ text: t, insert: gap + t + after, about, kind }));
  switch (here.wants) {
    case 'field': {
      if (typed === '') return [];
      const colon = language === 'kql' ? ': ' : ':';
      return make('field', [...fields.value.values()].map((f) => [f.name, f.type]), colon).filter(fits).sort(byStart).slice(0, MAX_SHOWN);
    }
    case 'operator':
      return language === 'kql' ? make('operator', [[':', 'is'], [': *', 'exists'], ['>=', 'at least'], ['<=', 'at most'], ['>', 'more than'], ['<', 'less than']]) : [];
    case 'value':
      return values.field === here.field ? values.list.filter(fits).sort(byStart).slice(0, MAX_SHOWN) : [];
    case 'keyword':
      return make('keyword', words.map((w) => [w, ''])).filter((s) => fits(s) && (typed === '' ? text.endsWith(' ') : s.text.toLowerCase().startsWith(typed)));
  }
}

async function valuesOf(field: string, abort: AbortSignal): Promise<Suggestion[]> {
  const exact = fields.value.get(field)?.exact;
  if (!exact) return [];
  const top = await topValues(screen.value.index, queryOf({ query: '', language: 'kql', filters: [] }, found.value?.span, fields.value), exact, MAX_VALUES, abort);
  return top.values.map((v) => ({ text: v.value, insert: `${quoted(v.value)} `, about: compact(v.count), kind: 'value' }));
}
