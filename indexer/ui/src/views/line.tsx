//! One line, with those around it from the same container in the order of its log: what a permalink opens.

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Failure, isAbort } from '../api/client';
import { context } from '../api/live';
import { document, type Hit } from '../api/search';
import { asText, valueOf } from '../lib/fields';
import { Icon } from '../parts/icons';
import { keyOf, Lines } from '../parts/lines';
import { marks, readFields } from '../state/results';
import { go, link, screen } from '../state/screen';

/** Lines loaded before and after, at first and with each press of "more". */
const STEP = 50;
/** Lines the indexer gives at most on each side. */
const MAX_SIDE = 500;

export function Line(): JSX.Element {
  const { doc, columns, wrap } = screen.value;
  const slash = doc.indexOf('/');
  const index = doc.slice(0, slash);
  const id = doc.slice(slash + 1);
  const [size, setSize] = useState({ before: STEP, after: STEP });
  const [hits, setHits] = useState<Hit[]>();
  const [problem, setProblem] = useState('');

  useEffect(() => {
    const abort = new AbortController();
    setProblem('');
    void readFields(abort.signal).catch(() => undefined);
    load(index, id, size.before, size.after, abort.signal).then(
      (list) => {
        setHits(list);
        if (list.length === 0) setProblem('This line is not here any more: it was deleted when it was old enough, or to make room.');
      },
      (error: unknown) => {
        if (!isAbort(error)) setProblem(error instanceof Failure ? error.message : String(error));
      },
    );
    return () => abort.abort();
  }, [doc, size]);

  const hit = hits?.find((h) => h._id === id);
  const about = (field: string) => asText(valueOf(hit?._source, field));
  return (
    <main class="main alone">
      <div class="toolbar">
        <h2 class="found">
          Lines around one <span class="dim took">{[about('service.name'), about('container.name'), about('host.name')].filter(Boolean).join(' · ')}</span>
        </h2>
        <div class="group">
          <a class="button" href={link({ view: 'logs', doc: '' })} onClick={(e) => { e.preventDefault(); go({ view: 'logs', doc: '' }); }}><Icon name="left" />To the search</a>
          <button type="button" class="button" disabled={size.before >= MAX_SIDE} onClick={() => setSize({ ...size, before: Math.min(MAX_SIDE, size.before * 4) })}>More before</button>
          <button type="button" class="button" disabled={size.after >= MAX_SIDE} onClick={() => setSize({ ...size, after: Math.min(MAX_SIDE, size.after * 4) })}>More after</button>
          <button type="button" class="button wide-only" aria-pressed={wrap} onClick={() => go({ wrap: !wrap }, true)}><Icon name="wrap" />Wrap</button>
        </div>
      </div>
      {problem && <p class="wrong" role="alert">{problem}</p>}
      {hits && hit && (
        <Lines label="Lines around one" hits={hits} version={0} generation={`${doc} ${hits.length}`} columns={columns} wrap={wrap} marks={marks.value} anchor={keyOf(hit)} />
      )}
    </main>
  );
}

async function load(index: string, id: string, before: number, after: number, abort: AbortSignal): Promise<Hit[]> {
  try {
    return await context(index, id, before, after, abort);
  } catch (error) {
    // A document that no shipper sent has no place in a log: it stands alone.
    if (!(error instanceof Failure) || error.status !== 404) throw error;
    const alone = await document(index, id, abort);
    return alone ? [alone] : [];
  }
}
