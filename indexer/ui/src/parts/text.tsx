//! Text of a log line: colours, highlighted words. Always text, whatever it contains.

import type { JSX } from 'preact';
import { type Look, plain } from '../lib/ansi';

interface Props {
  text: string;
  /** What to highlight. */
  mark?: RegExp | undefined;
  /** Characters shown at most. */
  limit?: number;
}

/** Stretches highlighted in one text at most: a word found ten thousand times need not slow the page. */
const MAX_MARKS = 500;

export function Text({ text, mark, limit }: Props): JSX.Element {
  const cut = limit !== undefined && text.length > limit;
  const { text: shown, looks } = plain(cut ? text.slice(0, limit) : text);
  const found = mark ? ranges(shown, mark) : [];
  if (looks.length === 0 && found.length === 0) return <>{shown}{cut && '…'}</>;
  const edges = new Set([0, shown.length]);
  for (const { start, end } of [...looks, ...found]) edges.add(start).add(end);
  const places = [...edges].sort((a, b) => a - b);
  const out: JSX.Element[] = [];
  let l = 0;
  let f = 0;
  for (let i = 0; i + 1 < places.length; i += 1) {
    const start = places[i] ?? 0;
    const piece = shown.slice(start, places[i + 1]);
    while (l < looks.length && (looks[l]?.end ?? 0) <= start) l += 1;
    while (f < found.length && (found[f]?.end ?? 0) <= start) f += 1;
    const look = looks[l];
    const hit = found[f];
    const inner = look && look.start <= start ? <Coloured look={look.look}>{piece}</Coloured> : piece;
    out.push(hit && hit.start <= start ? <mark key={start}>{inner}</mark> : <span key={start}>{inner}</span>);
  }
  return <>{out}{cut && '…'}</>;
}

function ranges(text: string, mark: RegExp): { start: number; end: number }[] {
  const out: { start: number; end: number }[] = [];
  for (const match of text.matchAll(mark)) {
    if (match[0] === '') continue;
    out.push({ start: match.index, end: match.index + match[0].length });
    if (out.length >= MAX_MARKS) break;
  }
  return out;
}

function Coloured({ look, children }: { look: Look; children: string }): JSX.Element {
  const colour = (value: string | undefined, prefix: string) => (value !== undefined && /^\d+$/.test(value) ? `${prefix}${value}` : '');
  const names = [
    colour(look.fg, 'fg'), colour(look.bg, 'bg'),
    look.bold && 'bold', look.dim && 'dim', look.italic && 'italic', look.underline && 'underline',
  ].filter(Boolean);
  const style: Record<string, string> = {};
  if (look.fg?.startsWith('rgb')) style['color'] = look.fg;
  if (look.bg?.startsWith('rgb')) style['backgroundColor'] = look.bg;
  return <span class={names.join(' ')} style={style}>{children}</span>;
}
