//! The text of the search bar as the page sees it: tokens for colour and completion, and the words to highlight.
//! What a query *means* is decided by the indexer alone.

export type Language = 'kql' | 'lucene';

export type TokenKind = 'field' | 'operator' | 'value' | 'quoted' | 'regex' | 'keyword' | 'bracket' | 'space';

/** A piece of the query text, from `start` up to `end`. */
export interface Token {
  kind: TokenKind;
  text: string;
  start: number;
  end: number;
}

/** Cuts a query into tokens that together are the whole text. Never fails: half-typed queries are the usual case. */
export function tokenize(text: string, language: Language): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const push = (kind: TokenKind, end: number) => {
    tokens.push({ kind, text: text.slice(at, end), start: at, end });
    at = end;
  };
  while (at < text.length) {
    const c = text[at] ?? '';
    const rest = text.slice(at);
    const space = /^\s+/.exec(rest);
    if (space) push('space', at + space[0].length);
    else if (c === '"') push('quoted', closing(text, at, '"'));
    else if (language === 'lucene' && c === '/' && closing(text, at, '/') < text.length + 1 && text.indexOf('/', at + 1) > 0) push('regex', closing(text, at, '/'));
    else if ('(){}[]'.includes(c)) push('bracket', at + 1);
    else {
      const operator = language === 'kql' ? /^(?::|<=|>=|<|>)/.exec(rest) : /^(?::(?:[<>]=?)?|&&|\|\||[!+-])/.exec(rest);
      if (operator) push('operator', at + operator[0].length);
      else {
        const stop = language === 'kql' ? /^(?:\\.|[^\s:<>(){}"\\])+/s : /^(?:\\.|[^\s:(){}[\]"\\])+/s;
        const word = stop.exec(rest)?.[0] ?? c;
        const isKeyword = language === 'kql' ? /^(?:and|or|not)$/i.test(word) : /^(?:AND|OR|NOT|TO)$/.test(word);
        const after = text.slice(at + word.length);
        const isField = language === 'kql' ? /^\s*(?::|[<>]=?)/.test(after) : after.startsWith(':');
        push(isKeyword ? 'keyword' : isField ? 'field' : 'value', at + word.length);
      }
    }
  }
  return tokens;
}

/** The place after the closing `mark`, or the end of the text. */
function closing(text: string, start: number, mark: string): number {
  for (let i = start + 1; i < text.length; i += 1) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === mark) return i + 1;
  }
  return text.length;
}

/** A mistake that can be told without asking the indexer, and where it is. */
export interface Fault {
  problem: string;
  start: number;
  end: number;
}

/** Quotes and brackets that do not close. */
export function fault(text: string, language: Language): Fault | undefined {
  const open: Token[] = [];
  const partner: Record<string, string> = { ')': '(', '}': '{', ']': '[' };
  for (const token of tokenize(text, language)) {
    if (token.kind === 'quoted' && !/^"(?:\\.|[^"\\])*"$/s.test(token.text)) {
      return { problem: 'This quote is never closed', start: token.start, end: token.end };
    }
    if (token.kind !== 'bracket') continue;
    if ('([{'.includes(token.text)) open.push(token);
    // Lucene's ranges may open with one kind of bracket and close with the other: [1 TO 5}
    else if (token.text === ')' ? open.at(-1)?.text === '(' : language === 'lucene' ? '[{'.includes(open.at(-1)?.text ?? ' ') : open.at(-1)?.text === partner[token.text]) open.pop();
    else return { problem: `Nothing is open that this ${token.text} could close`, start: token.start, end: token.end };
  }
  const left = open.at(-1);
  return left && { problem: `This ${left.text} is never closed`, start: left.start, end: left.end };
}

/** Where the cursor stands: what could be completed there. */
export interface Spot {
  /** What is to be completed. */
  wants: 'field' | 'operator' | 'value' | 'keyword';
  /** What is typed of it already; from `start` up to `end` is replaced. */
  typed: string;
  start: number;
  end: number;
  /** For a value: the field it belongs to. */
  field?: string;
}

/** What can be completed at `cursor`. */
export function spot(text: string, cursor: number, language: Language): Spot {
  const tokens = tokenize(text.slice(0, cursor), language).filter((t) => t.kind !== 'space');
  const last = tokens.at(-1);
  const touching = last !== undefined && last.end === cursor && (last.kind === 'value' || last.kind === 'quoted' || last.kind === 'keyword');
  const before = touching ? tokens.slice(0, -1) : tokens;
  const here = touching
    ? { typed: last.text.replace(/^"|"$/g, ''), start: last.start, end: cursor }
    : { typed: '', start: cursor, end: cursor };
  const previous = before.at(-1);
  // `field:` and `field:(a or b`, seen from behind.
  let i = before.length - 1;
  while (i >= 0 && before[i]?.kind !== 'operator' && before[i]?.text !== ')') i -= 1;
  const operator = before[i];
  const field = before[i - 1];
  const grouped = operator && before[i + 1]?.text === '(' && !before.slice(i + 1).some((t) => t.text === ')');
  if (operator?.kind === 'operator' && field?.kind === 'field' && (previous === operator || (grouped && (previous?.text === '(' || previous?.kind === 'keyword')))) {
    return { wants: 'value', field: field.text.replaceAll('\\', ''), ...here };
  }
  if (!touching && previous?.kind === 'field') return { wants: 'operator', ...here };
  const afterValue = previous && (previous.kind === 'value' || previous.kind === 'quoted' || previous.kind === 'regex' || previous.text === ')');
  if (afterValue && (!touching || last.kind !== 'quoted')) return { wants: 'keyword', ...here };
  return { wants: 'field', ...here };
}

/** A value as it must be written in a query. */
export function quoted(value: string): string {
  return /^[\p{L}\p{N}_.@/-]+$/u.test(value) && !/^(?:and|or|not|to)$/i.test(value) && !/^[-/]/.test(value)
    ? value
    : `"${value.replace(/[\\"]/g, '\\$&')}"`;
}

/** What to highlight: a pattern for each field that was named, and one (`''`) for the values without a field. */
export type Marks = Map<string, RegExp>;

/** The words that a query looks for. What it excludes is not among them. */
export function marks(text: string, language: Language): Marks {
  const words = new Map<string, string[]>();
  const tokens = tokenize(text, language).filter((t) => t.kind !== 'space');
  let field = '';
  let negated = false;
  let depth = 0;
  let fieldDepth = 0;
  let negatedDepth = -1;
  tokens.forEach((token, i) => {
    const previous = tokens[i - 1];
    if (token.kind === 'bracket') {
      if (token.text === '(') {
        depth += 1;
        if (previous?.kind === 'operator' && field !== '') fieldDepth = depth;
        if (negated && negatedDepth < 0) negatedDepth = depth;
      } else if (token.text === ')') {
        if (fieldDepth === depth) { field = ''; fieldDepth = 0; }
        if (negatedDepth === depth) { negatedDepth = -1; negated = false; }
        depth -= 1;
      }
      return;
    }
    if (token.kind === 'keyword') {
      if (token.text.toLowerCase() === 'not') negated = true;
      return;
    }
    if (token.kind === 'operator') {
      if (token.text === '-' || token.text === '!') negated = true;
      return;
    }
    if (token.kind === 'field') {
      field = token.text.replaceAll('\\', '').replace(/\.keyword$/, '');
      return;
    }
    const compares = previous?.kind === 'operator' && /[<>]/.test(previous.text);
    if (!negated && !compares && token.kind !== 'regex') {
      const pattern = wordPattern(token);
      if (pattern) words.set(field, [...(words.get(field) ?? []), pattern]);
    }
    if (negatedDepth < 0) negated = false;
    if (fieldDepth === 0) field = '';
  });
  const out: Marks = new Map();
  for (const [name, patterns] of words) {
    out.set(name, new RegExp(`(?<![\\p{L}\\p{N}])(?:${patterns.join('|')})(?![\\p{L}\\p{N}])`, 'giu'));
  }
  return out;
}

function wordPattern(token: Token): string | undefined {
  const text = token.kind === 'quoted' ? token.text.replace(/^"|"$/g, '') : token.text.replace(/[~^][\d.]*$/, '');
  const escape = (s: string) => s.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
  // Words as the indexer cuts them; what stands between them does not matter to it.
  const pieces = text.replaceAll('\\', '').match(/[\p{L}\p{N}]+|[*?]/gu) ?? [];
  if (!pieces.some((p) => /[\p{L}\p{N}]/u.test(p))) return undefined;
  let out = '';
  pieces.forEach((piece, i) => {
    const wild = token.kind !== 'quoted' && /^[*?]$/.test(piece);
    const joined = i > 0 && !wild && !/^[*?]$/.test(pieces[i - 1] ?? '');
    if (joined) out += '[^\\p{L}\\p{N}]{1,8}';
    out += piece === '*' ? '[\\p{L}\\p{N}]*' : piece === '?' ? '[\\p{L}\\p{N}]' : escape(piece);
  });
  return out;
}
