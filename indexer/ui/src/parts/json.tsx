//! JSON, indented and coloured.

import type { JSX } from 'preact';
import { visible } from '../lib/ansi';

/** Values drawn at most: the rest of a huge document is in "Copy JSON". */
const MAX_VALUES = 2000;
/** How deep values are opened. */
const MAX_DEPTH = 24;

/** The object or array that a text is; `undefined` for anything else. */
export function parseJson(text: string): unknown {
  const start = text.trimStart()[0];
  if (start !== '{' && start !== '[') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Looks like JSON and is none: an ordinary line.
  }
}

export function Json({ value }: { value: unknown }): JSX.Element {
  const left = { values: MAX_VALUES };
  return <pre class="json">{draw(value, 0, left)}</pre>;
}

function draw(value: unknown, depth: number, left: { values: number }): JSX.Element {
  left.values -= 1;
  if (left.values < 0 || depth > MAX_DEPTH) return <span class="more">…</span>;
  if (value === null || typeof value !== 'object') {
    const kind = value === null ? 'null' : typeof value;
    return <span class={kind}>{typeof value === 'string' ? visible(JSON.stringify(value)) : String(value)}</span>;
  }
  const entries: [string | undefined, unknown][] = Array.isArray(value) ? value.map((v) => [undefined, v]) : Object.entries(value);
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  if (entries.length === 0) return <>{open}{close}</>;
  const pad = '  '.repeat(depth + 1);
  return (
    <>
      {open}{'\n'}
      {entries.slice(0, MAX_VALUES).map(([key, inner], i) => (
        <span key={key ?? i}>
          {pad}{key !== undefined && <><span class="key">{visible(JSON.stringify(key))}</span>: </>}
          {draw(inner, depth + 1, left)}{i < entries.length - 1 ? ',' : ''}{'\n'}
        </span>
      ))}
      {'  '.repeat(depth)}{close}
    </>
  );
}
