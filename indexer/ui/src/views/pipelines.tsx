//! Trying pipelines: a text on the left, lines and what each filter does to them on the right. Nothing that runs changes.

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Failure, isAbort } from '../api/client';
import { type FilterStep, type Mistake, type PipelineFile, pipelineFiles, recentEvents, type Step, type Trial, tryPipelines, type Way } from '../api/pipelines';
import { queryOf } from '../api/search';
import { asText, valueOf } from '../lib/fields';
import { count, plural } from '../lib/format';
import { levelOf } from '../lib/levels';
import { resolve } from '../lib/time';
import { Icon } from '../parts/icons';
import { Json } from '../parts/json';
import { copy } from '../parts/notice';
import { Text } from '../parts/text';
import { fields } from '../state/results';
import { screen } from '../state/screen';

/** How long typing must rest before a trial, in milliseconds. */
const REST = 300;
/** Lines taken at once, and in a trial at most. */
const RECENT = 30;
const MAX_LINES = 100;

type Event = Record<string, unknown>;

/** What a person made of the pipelines, kept while they look at another view. */
let draft: { files: PipelineFile[]; events: Event[]; text: string } | undefined;

const words = (error: unknown) => (error instanceof Failure ? error.message : String(error));

export function Pipelines(): JSX.Element {
  const [running, setRunning] = useState<PipelineFile[]>([]);
  const [files, setFiles] = useState<PipelineFile[]>(draft?.files ?? []);
  const [open, setOpen] = useState('');
  const [text, setText] = useState(draft?.text ?? '');
  const [events, setEvents] = useState<Event[]>(draft?.events ?? []);
  const [trial, setTrial] = useState<Trial>();
  const [chosen, setChosen] = useState(0);
  const [problem, setProblem] = useState('');
  /** Whether a person is putting in lines, or has: then none are taken for them, least of all in the middle of a paste. */
  const touched = useRef(false);

  useEffect(() => {
    const abort = new AbortController();
    const begin = async () => {
      const fresh = draft === undefined;
      const now = await pipelineFiles(abort.signal);
      setRunning(now.files);
      if (fresh) setFiles(now.files);
      setOpen((name) => name || (now.files[0]?.name ?? ''));
      if (!fresh) return;
      const lines = await recent(abort.signal);
      if (!touched.current) show(lines);
    };
    begin().catch((error: unknown) => { if (!isAbort(error)) setProblem(words(error)); });
    return () => abort.abort();
  }, []);

  useEffect(() => {
    if (files.length === 0) return;
    draft = { files, events, text };
    const abort = new AbortController();
    const timer = setTimeout(() => void tryPipelines(files, events, abort.signal).then((found) => {
      setTrial(found);
      setProblem('');
    }, (error: unknown) => { if (!isAbort(error)) setProblem(words(error)); }), REST);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [files, events]);

  const show = (list: Event[]) => {
    setEvents(list);
    setText(list.map((e) => asText(e['message']).replaceAll('\n', '\\n')).join('\n'));
    setChosen(0);
  };
  const recent = async (abort?: AbortSignal) => {
    const { index, from, to } = screen.value;
    const query = (range: string) => queryOf(screen.value, resolve(range, to, Date.now()), fields.value);
    const found = await recentEvents(index, query(from), RECENT, abort);
    return found.length > 0 ? found : recentEvents(index, query('now-7d'), RECENT, abort);
  };
  // What is typed is a line each, `\n` in it a line break; a line that was taken keeps where it came from.
  const type = (typed: string) => {
    touched.current = true;
    const known = new Map(events.map((e) => [asText(e['message']), e]));
    setText(typed);
    setEvents(typed.split('\n').filter((line) => line.trim() !== '').slice(0, MAX_LINES).map((line) => {
      const message = line.replaceAll('\\n', '\n');
      return known.get(message) ?? { message };
    }));
  };

  const file = files.find((f) => f.name === open);
  const edited = (name: string) => files.find((f) => f.name === name)?.text !== running.find((f) => f.name === name)?.text;
  const change = (now: string) => setFiles(files.map((f) => (f.name === open ? { ...f, text: now } : f)));
  const add = () => {
    const name = `${50 + files.filter((f) => !running.some((r) => r.name === f.name)).length}-new.conf`;
    setFiles([...files, { name, text: 'filter {\n  \n}\n' }].sort((a, b) => a.name.localeCompare(b.name)));
    setOpen(name);
  };
  const errors = trial?.mistakes.filter((m) => m.severity === 'error') ?? [];
  const ways = trial?.lines ?? [];
  const way = ways[chosen];
  return (
    <main class="main alone benches">
      <section class="texts" aria-label="Pipeline files">
        <div class="toolbar">
          <h2 class="found">Pipelines <span class="dim took">a trial: what runs does not change</span></h2>
          <div class="group">
            <button type="button" class="button" onClick={add}><Icon name="plus" />New file</button>
            {file && <button type="button" class="button" onClick={() => copy(file.text, 'The file')}><Icon name="copy" />Copy</button>}
            {edited(open) && <button type="button" class="button" onClick={() => setFiles(running)}>Undo all</button>}
          </div>
        </div>
        <div class="filetabs" role="group" aria-label="File">
          {files.map((f) => {
            const wrong = trial?.mistakes.filter((m) => m.file === f.name).length ?? 0;
            return (
              <button type="button" key={f.name} aria-pressed={f.name === open} onClick={() => setOpen(f.name)} title={f.name}>
                {shortName(f.name)}{edited(f.name) && <i aria-label="changed">•</i>}{wrong > 0 && <span class="badge" data-level="error">{wrong}</span>}
              </button>
            );
          })}
        </div>
        {file && <Editor text={file.text} mistakes={trial?.mistakes.filter((m) => m.file === file.name) ?? []} onChange={change} />}
        {trial && trial.mistakes.length > 0 && (
          <ul class="mistakes" role="alert">
            {trial.mistakes.map((m) => (
              <li key={`${m.file} ${m.line} ${m.message}`} data-severity={m.severity}>
                <button type="button" onClick={() => setOpen(m.file)}>{shortName(m.file)}:{m.line}</button> {m.message}{m.hint && <span class="dim"> {m.hint}</span>}
              </li>
            ))}
          </ul>
        )}
      </section>
      <section class="trial" aria-label="Lines and what becomes of them">
        <div class="toolbar">
          <h2 class="found">{plural(events.length, 'line')}{ways.length > 0 && <span class="dim took"> {count(ways.filter((w) => w.events.length > 0).length)} kept, {count(ways.filter((w) => w.events.length === 0).length)} dropped</span>}</h2>
          <button type="button" class="button" onClick={() => void recent().then(show, (error: unknown) => setProblem(words(error)))}><Icon name="refresh" />Take recent lines</button>
        </div>
        <label class="hidden" for="lines-to-try">Lines to try, one each</label>
        <textarea id="lines-to-try" class="code" spellcheck={false} wrap="off" value={text} placeholder="Paste lines here, or take recent ones" onFocus={() => { touched.current = true; }} onInput={(e) => type(e.currentTarget.value)} />
        {problem && <p class="wrong" role="alert">{problem}</p>}
        {errors.length > 0 && <p class="nothing dim">Once the text has no mistakes, what it does shows here.</p>}
        {ways.length > 0 && (
          <div class="ways">
            <ol class="outcomes" aria-label="What becomes of each line">
              {ways.map((w, i) => <li key={i}><Outcome way={w} event={events[i]} pressed={i === chosen} onClick={() => setChosen(i)} /></li>)}
            </ol>
            {way && <Steps way={way} onPlace={setOpen} />}
          </div>
        )}
      </section>
    </main>
  );
}

/** The last part of a path. */
function shortName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

function Outcome({ way, event, pressed, onClick }: { way: Way; event: Event | undefined; pressed: boolean; onClick: () => void }): JSX.Element {
  const kept = way.events[0];
  const level = levelOf(valueOf(kept, 'log.level'));
  return (
    <button type="button" aria-pressed={pressed} data-dropped={kept === undefined} onClick={onClick}>
      {kept === undefined ? <span class="badge" data-level="trace">dropped</span> : <span class="badge" data-level={level}>{level === 'unknown' ? 'kept' : level}</span>}
      <span class="what"><Text text={asText(event?.['message']).split('\n')[0] ?? ''} limit={300} /></span>
    </button>
  );
}

const isFilter = (step: Step): step is FilterStep => 'filter' in step;

function Steps({ way, onPlace }: { way: Way; onPlace: (file: string) => void }): JSX.Element {
  const [all, setAll] = useState(false);
  // Filters that did nothing, and conditions that did not hold, are most of every way.
  const told = way.steps.filter((s) => all || (isFilter(s) ? s.changes.length > 0 || s.dropped || s.made > 0 : s.taken));
  return (
    <div class="steps">
      <div class="stepbar"><h3>What each filter did</h3><label><input type="checkbox" checked={all} onChange={(e) => setAll(e.currentTarget.checked)} /> also those that did nothing ({way.steps.length - told.length} hidden)</label></div>
      <ol>
        {told.map((step, i) => (
          <li key={i} style={{ '--depth': `${step.depth}` }}>
            {isFilter(step) ? <Filter step={step} onPlace={onPlace} /> : <span class="branch" data-taken={step.taken}>{step.taken ? 'yes' : 'no'} <code>{step.condition}</code></span>}
          </li>
        ))}
        <li class="end">
          {way.events.length === 0 ? <b>dropped: it is counted, and goes no further</b> : way.events.map((event, i) => <div key={i}><b>kept as</b><Json value={event} /></div>)}
        </li>
      </ol>
    </div>
  );
}

function Filter({ step, onPlace }: { step: FilterStep; onPlace: (file: string) => void }): JSX.Element {
  return (
    <div class="filter">
      <button type="button" class="name" onClick={() => step.file !== undefined && onPlace(step.file)}>{step.filter}</button>
      <span class="dim took"> {step.microseconds.toFixed(1)} µs</span>
      {step.changes.map((c) => (
        <div class="change" key={c.field}>
          {c.before !== null && <div class="gone"><i>−</i> <b>{c.field}</b> <Text text={c.before} limit={600} /></div>}
          {c.after !== null && <div class="come"><i>+</i> <b>{c.field}</b> <Text text={c.after} limit={600} /></div>}
        </div>
      ))}
      {step.made > 0 && <div class="come">made {step.made} more</div>}
      {step.dropped && <div class="gone">dropped</div>}
    </div>
  );
}

/** A text with line numbers, and its mistakes marked. */
function Editor({ text, mistakes, onChange }: { text: string; mistakes: Mistake[]; onChange: (text: string) => void }): JSX.Element {
  const gutter = useRef<HTMLDivElement>(null);
  const wrong = new Map(mistakes.map((m) => [m.line, m]));
  const onKeyDown = (e: KeyboardEvent & { currentTarget: HTMLTextAreaElement }) => {
    if (e.key !== 'Enter' || e.ctrlKey || e.metaKey || e.shiftKey) return;
    // A new line begins where the one before it began.
    const area = e.currentTarget;
    const before = text.slice(0, area.selectionStart);
    const indent = /^[ \t]*/.exec(before.slice(before.lastIndexOf('\n') + 1))?.[0] ?? '';
    if (indent === '') return;
    e.preventDefault();
    area.setRangeText(`\n${indent}`, area.selectionStart, area.selectionEnd, 'end');
    onChange(area.value);
  };
  return (
    <div class="editor">
      <div class="gutter" ref={gutter} aria-hidden="true">
        {text.split('\n').map((_, i) => <span key={i} data-wrong={wrong.get(i + 1)?.severity} title={wrong.get(i + 1)?.message}>{i + 1}</span>)}
      </div>
      <textarea class="code" aria-label="Text of the pipeline file" spellcheck={false} wrap="off" value={text} aria-invalid={wrong.size > 0}
        onInput={(e) => onChange(e.currentTarget.value)} onKeyDown={onKeyDown}
        onScroll={(e) => { if (gutter.current) gutter.current.scrollTop = e.currentTarget.scrollTop; }} />
    </div>
  );
}
