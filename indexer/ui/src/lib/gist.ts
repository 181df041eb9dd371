//! What a row shows first of a message: of JSON its text with the other members behind it; of others all, its own time dimmed.

/** Longer messages are not looked into: a row shows only their beginning. */
const MAX_LENGTH = 20_000;
/** Members shown behind the text, and characters of each. */
const MAX_PAIRS = 12;
const MAX_VALUE = 120;

/** Where loggers put their text, the likeliest first. */
const TEXT_KEYS = ['msg', 'message', 'event', 'error', 'err', 'log'];
/** What the columns beside already say. */
const SAID_KEYS = new Set(['time', 'ts', 'timestamp', '@timestamp', 'level', 'lvl', 'severity']);

export interface Gist {
  text: string;
  pairs: [string, string][];
}

/** The text of a JSON object and its other members; `undefined` for anything else. */
export function jsonGist(message: string): Gist | undefined {
  if (message[0] !== '{' || message.length > MAX_LENGTH) return undefined;
  let object: Record<string, unknown>;
  try {
    object = JSON.parse(message) as Record<string, unknown>;
  } catch {
    return undefined; // Looks like JSON and is none: an ordinary line.
  }
  const key = TEXT_KEYS.find((k) => typeof object[k] === 'string' && object[k] !== '');
  if (key === undefined) return undefined;
  const pairs = Object.entries(object)
    .filter(([name]) => name !== key && !SAID_KEYS.has(name))
    .slice(0, MAX_PAIRS)
    .map(([name, value]): [string, string] => [name, (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, MAX_VALUE)]);
  return { text: object[key] as string, pairs };
}

const STAMP = /^(?:[A-Z], )?[[(]?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z| ?[+-]\d\d:?\d\d| UTC)?(?: #\d+)?[\])]?/;

/** How many characters of a message are its own time, which the row has beside it already. */
export function stampLength(message: string): number {
  return STAMP.exec(message)?.[0].length ?? 0;
}
