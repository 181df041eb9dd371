//! ANSI colours in a line, and characters that would play tricks on the reader.

/** How a stretch of text looks; colours 0 to 15 come from the theme, others are given in full. */
export interface Look {
  fg?: string;
  bg?: string;
  bold?: boolean;
  dim?: boolean;
  italic?: boolean;
  underline?: boolean;
}

/** A stretch of the plain text, from `start` up to `end`, that looks like `look`. */
export interface Stretch {
  start: number;
  end: number;
  look: Look;
}

/** Text without escape sequences, and the stretches of it that are not plain. */
export interface Plain {
  text: string;
  looks: Stretch[];
}

// CSI sequences, OSC sequences (links, titles) with their end, and other two-character escapes.
const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])/g;
// Controls that show nothing, and the characters that reorder what is shown (Trojan Source).
// eslint-disable-next-line no-control-regex
const HIDDEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** Takes the escape sequences out of a line and makes hidden characters visible. */
export function plain(line: string): Plain {
  if (!line.includes('\x1b')) return { text: visible(line), looks: [] };
  let text = '';
  let look: Look = {};
  let at = 0;
  const looks: Stretch[] = [];
  const take = (piece: string) => {
    if (piece === '') return;
    const start = text.length;
    text += visible(piece);
    if (Object.keys(look).length > 0) looks.push({ start, end: text.length, look });
  };
  for (const match of line.matchAll(ESCAPE)) {
    take(line.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] === 'm') look = changed(look, match[1] ?? '');
  }
  take(line.slice(at));
  return { text, looks };
}

/** Hidden characters as pictures (␀, ␛) or code points, so that text reads as what it is. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (c) => {
    const code = c.charCodeAt(0);
    if (c === '\r') return '';
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return '␡';
    return `‹U+${code.toString(16).toUpperCase().padStart(4, '0')}›`;
  });
}

function changed(before: Look, codes: string): Look {
  const look = { ...before };
  const list = codes === '' ? [0] : codes.split(/[;:]/).map(Number);
  for (let i = 0; i < list.length; i += 1) {
    const code = list[i] ?? 0;
    if (code === 0) for (const key of Object.keys(look)) delete look[key as keyof Look];
    else if (code === 1) look.bold = true;
    else if (code === 2) look.dim = true;
    else if (code === 3) look.italic = true;
    else if (code === 4) look.underline = true;
    else if (code === 22) { delete look.bold; delete look.dim; }
    else if (code === 23) delete look.italic;
    else if (code === 24) delete look.underline;
    else if (code >= 30 && code <= 37) look.fg = `${code - 30}`;
    else if (code >= 90 && code <= 97) look.fg = `${code - 82}`;
    else if (code >= 40 && code <= 47) look.bg = `${code - 40}`;
    else if (code >= 100 && code <= 107) look.bg = `${code - 92}`;
    else if (code === 39) delete look.fg;
    else if (code === 49) delete look.bg;
    else if (code === 38 || code === 48) {
      const [colour, used] = wide(list, i + 1);
      if (colour !== undefined) look[code === 38 ? 'fg' : 'bg'] = colour;
      i += used;
    }
  }
  return look;
}

/** Reads `5;n` or `2;r;g;b`: the colour, and how many numbers it took. */
function wide(list: number[], at: number): [string | undefined, number] {
  const byte = (n: number | undefined) => Math.max(0, Math.min(255, Math.trunc(n ?? 0) || 0));
  if (list[at] === 5) {
    const n = byte(list[at + 1]);
    if (n < 16) return [`${n}`, 2];
    if (n >= 232) return [rgb(8 + (n - 232) * 10, 8 + (n - 232) * 10, 8 + (n - 232) * 10), 2];
    const step = (k: number) => (k === 0 ? 0 : 55 + 40 * k);
    return [rgb(step(Math.trunc((n - 16) / 36)), step(Math.trunc((n - 16) / 6) % 6), step((n - 16) % 6)), 2];
  }
  if (list[at] === 2) return [rgb(byte(list[at + 1]), byte(list[at + 2]), byte(list[at + 3])), 4];
  return [undefined, 0];
}

function rgb(r: number, g: number, b: number): string {
  return `rgb(${r} ${g} ${b})`;
}
