//! Everything about one line: its message in full, its fields with what can be done with each, its JSON.

import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Hit } from '../api/search';
import { asText, flatten, valueOf } from '../lib/fields';
import { count } from '../lib/format';
import type { Marks } from '../lib/query';
import { fold } from '../lib/stack';
import { addFilter, link, screen, toggleColumn } from '../state/screen';
import { Icon, type IconName } from './icons';
import { Json, parseJson } from './json';
import { copy } from './notice';
import { Text } from './text';

/** Characters of a message or value shown before the reader asks for the rest. */
const LONG = 20_000;
/** Longer values are not offered as a filter: exact values are kept up to this length by the indexer. */
const MAX_FILTER_VALUE = 1024;

/** The address of the page about one line. */
export function lineLink(hit: Hit): string {
  return link({ view: 'line', doc: `${hit._index}/${hit._id}`, live: false });
}

export function Detail({ hit, marks }: { hit: Hit; marks: Marks }): JSX.Element {
  const [tab, setTab] = useState<'fields' | 'json'>('fields');
  const message = asText(valueOf(hit._source, 'message'));
  const pretty = parseJson(message);
  const all = [...flatten(hit._source)].filter(([name]) => name !== 'message').sort(([a], [b]) => a.localeCompare(b));
  const here = location.href.split('#')[0] ?? '';
  return (
    <div class="detail">
      <div class="bar">
        <div class="tabs" role="group" aria-label="Show as">
          <button type="button" aria-pressed={tab === 'fields'} onClick={() => setTab('fields')}>Fields</button>
          <button type="button" aria-pressed={tab === 'json'} onClick={() => setTab('json')}>JSON</button>
        </div>
        <a class="button" href={lineLink(hit)}><Icon name="around" />Lines around it</a>
        <Do icon="copy" name="Copy text" onClick={() => copy(message, 'Text')} />
        <Do icon="copy" name="Copy JSON" onClick={() => copy(JSON.stringify(hit._source, null, 2), 'JSON')} />
        <Do icon="link" name="Copy link" onClick={() => copy(here + lineLink(hit), 'Link')} />
      </div>
      {tab === 'json' ? <Json value={hit._source} /> : (
        <>
          {message !== '' && (pretty !== undefined ? <Json value={pretty} /> : <Message text={message} mark={marks.get('message') ?? marks.get('')} />)}
          <table class="fields">
            <caption class="hidden">Fields of this line</caption>
            <tbody>
              {all.map(([name, value]) => <FieldRow key={name} name={name} value={value} marks={marks} />)}
              <tr><td /><th scope="row">_id</th><td class="value">{hit._id}</td></tr>
              <tr><td /><th scope="row">_index</th><td class="value">{hit._index}</td></tr>
            </tbody>
          </table>
        </>
      )}
    </div>
  );
}

function Do({ icon, name, onClick }: { icon: IconName; name: string; onClick: () => void }): JSX.Element {
  return <button type="button" class="button" onClick={onClick}><Icon name={icon} />{name}</button>;
}

function FieldRow({ name, value, marks }: { name: string; value: unknown; marks: Marks }): JSX.Element {
  const values = (Array.isArray(value) ? value : [value]).filter((v) => typeof v === 'string' || typeof v === 'number' || typeof v === 'boolean').map(String);
  const filterable = values.length > 0 && values.every((v) => v.length <= MAX_FILTER_VALUE);
  const isColumn = screen.value.columns.includes(name);
  const sign = (icon: IconName, title: string, onClick: () => void, pressed?: boolean) => (
    <button type="button" class="sign" title={title} aria-label={`${title}: ${name}`} aria-pressed={pressed} onClick={onClick}><Icon name={icon} /></button>
  );
  return (
    <tr>
      <td class="signs">
        {filterable && sign('plus', 'Only lines with this value', () => addFilter({ field: name, values, not: false }))}
        {filterable && sign('minus', 'No lines with this value', () => addFilter({ field: name, values, not: true }))}
        {sign('exists', 'Only lines that have this field', () => addFilter({ field: name, values: [], not: false }))}
        {sign('column', isColumn ? 'Remove this column' : 'Show as a column', () => toggleColumn(name), isColumn)}
      </td>
      <th scope="row">{name}</th>
      <td class="value"><Long text={asText(value)} mark={marks.get(name)} /></td>
    </tr>
  );
}

function Long({ text, mark }: { text: string; mark?: RegExp | undefined }): JSX.Element {
  const [all, setAll] = useState(false);
  if (text.length <= LONG || all) return <Text text={text} mark={mark} />;
  return (
    <>
      <Text text={text} mark={mark} limit={LONG} />
      <button type="button" class="fold" onClick={() => setAll(true)}>show all {count(text.length)} characters</button>
    </>
  );
}

/** A message in full, its stack frames folded. */
function Message({ text, mark }: { text: string; mark: RegExp | undefined }): JSX.Element {
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  if (text.length > LONG) return <pre class="full"><Long text={text} mark={mark} /></pre>;
  return (
    <pre class="full">
      {fold(text).map((run, i) => {
        const body = run.lines.join('\n');
        if (!run.folded || open.has(i)) return <span key={i} class={run.folded ? 'frames' : ''}><Text text={body} mark={mark} />{'\n'}</span>;
        return (
          <span key={i}>
            <button type="button" class="fold" onClick={() => setOpen(new Set([...open, i]))}>… {run.lines.length} more frames</button>
            {'\n'}
          </span>
        );
      })}
    </pre>
  );
}
