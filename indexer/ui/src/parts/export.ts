//! Saves the lines found as a file: NDJSON with every field, or CSV with the columns shown.

import { isAbort } from '../api/client';
import { type Hit, lines, queryOf } from '../api/search';
import { asText, valueOf } from '../lib/fields';
import { fields, found } from '../state/results';
import { screen } from '../state/screen';

/** Lines in one request. */
const PAGE = 2000;
/** Lines in one file: what a browser can hold. For more there is `weir export`. */
const MAX_LINES = 500_000;

/** Fetches every line of the current result and hands the browser a file. Answers what went wrong, if anything did. */
export async function exportLines(kind: 'ndjson' | 'csv', progress: (lines: number) => void, abort: AbortSignal): Promise<string | undefined> {
  const now = screen.value;
  const span = found.value?.span;
  if (!span) return 'Nothing was searched yet';
  const columns = ['@timestamp', ...now.columns.filter((c) => c !== '@timestamp')];
  const parts: string[] = kind === 'csv' ? [csvLine(columns, false)] : [];
  const query = queryOf(now, span, fields.value);
  let after: unknown[] | undefined;
  let n = 0;
  try {
    for (;;) {
      const page = await lines(now.index, query, now.sort, PAGE, after, abort);
      parts.push(page.hits.map((hit) => (kind === 'csv' ? csvLine(columns.map((c) => asText(valueOf(hit._source, c)))) : ndjsonLine(hit))).join(''));
      n += page.hits.length;
      progress(n);
      after = page.hits.at(-1)?.sort;
      if (page.hits.length < PAGE || !after || n >= MAX_LINES) break;
    }
  } catch (error) {
    if (isAbort(error)) return 'Stopped';
    return error instanceof Error ? error.message : String(error);
  }
  const type = kind === 'csv' ? 'text/csv' : 'application/x-ndjson';
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const a = document.createElement('a');
  a.href = url;
  a.download = `weir-${new Date(span.to).toISOString().slice(0, 19).replaceAll(':', '-')}.${kind}`;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return n >= MAX_LINES ? `The file holds the first ${MAX_LINES} lines; narrow the search for the others` : undefined;
}

function ndjsonLine(hit: Hit): string {
  return `${JSON.stringify({ _index: hit._index, _id: hit._id, ...hit._source })}\n`;
}

/** A line as in RFC 4180. What a spreadsheet would take for a formula is made text by a leading apostrophe, unless it is our own. */
function csvLine(values: string[], foreign = true): string {
  const cell = (value: string) => {
    const safe = foreign && /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return `${values.map(cell).join(',')}\r\n`;
}
