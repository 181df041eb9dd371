//! Messages that are alike, as one row each: what is common, what is new, what grows.

import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Failure, isAbort } from '../api/client';
import { type Pattern, type Patterns as Answer, patterns } from '../api/live';
import { queryOf } from '../api/search';
import { plain } from '../lib/ansi';
import { asText, valueOf } from '../lib/fields';
import { count, percent, span as spanText } from '../lib/format';
import { LEVELS, levelOf } from '../lib/levels';
import { quoted } from '../lib/query';
import { resolve, shortTime } from '../lib/time';
import { asked, fields, readFields } from '../state/results';
import { go, screen } from '../state/screen';
import { utc } from '../state/settings';

/** Patterns asked for: beyond these each is rarer than anybody scrolls for. */
const SIZE = 100;

export function Patterns(): JSX.Element {
  const { index, query, language, filters, from, to } = screen.value;
  const [answer, setAnswer] = useState<Answer>();
  const [problem, setProblem] = useState('');
  const question = JSON.stringify([index, query, language, filters, from, to]);

  useEffect(() => {
    const abort = new AbortController();
    setProblem('');
    const ask = async () => {
      await readFields(abort.signal);
      setAnswer(await patterns(index, queryOf(screen.value, undefined, fields.value), resolve(from, to, Date.now()), SIZE, abort.signal));
    };
    ask().catch((error: unknown) => {
      if (!isAbort(error)) setProblem(error instanceof Failure ? error.message : String(error));
    });
    return () => abort.abort();
  }, [question, asked.value]);

  // What is new is what one looks for: it comes first.
  const list = [...(answer?.patterns ?? [])].sort((a, b) => Number(b.new === true) - Number(a.new === true));
  const fresh = list.filter((p) => p.new === true).length;
  return (
    <main class="main alone patterns">
      <div class="toolbar">
        <h2 class="found">{answer ? <><b>{count(list.length)}</b> patterns in {count(answer.total)} lines</> : 'Looking for what is alike…'}
          {fresh > 0 && <span class="badge" data-level="critical">{count(fresh)} new since yesterday</span>}
        </h2>
        {answer && typeof answer.new_since !== 'number' && list.length > 0 && <span class="dim">nothing is a day old yet: what is new cannot be told</span>}
        {answer?.sampled !== undefined && answer.sampled < answer.total && <span class="dim">from the newest {count(answer.sampled)} lines</span>}
      </div>
      {problem && <p class="wrong" role="alert">{problem}</p>}
      {answer && list.length === 0 && <p class="nothing dim">No lines here.</p>}
      {list.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Patterns">
          <table class="patterns">
            <thead><tr><th scope="col" class="number">lines</th><th scope="col">share</th><th scope="col">trend</th><th scope="col">pattern</th><th scope="col">first seen</th></tr></thead>
            <tbody>{list.map((p) => <Row key={p.template} pattern={p} all={answer?.sampled ?? answer?.total ?? 0} />)}</tbody>
          </table>
        </div>
      )}
    </main>
  );
}

function Row({ pattern, all }: { pattern: Pattern; all: number }): JSX.Element {
  const level = LEVELS.find((l) => Object.keys(pattern.levels ?? {}).some((name) => levelOf(name) === l)) ?? levelOf(asText(valueOf(pattern.sample?._source, 'log.level')));
  const isNew = pattern.new === true;
  const services = Object.keys(pattern.services ?? {});
  return (
    <tr data-level={level} data-new={isNew}>
      <td class="number">{count(pattern.count)}</td>
      <td><meter min={0} max={all} value={pattern.count} aria-hidden="true" /> <span class="dim">{percent(pattern.count, all)}</span></td>
      <td><Trend values={pattern.trend ?? []} /></td>
      <td class="template">
        <button type="button" title="Show these lines" onClick={() => go({ view: 'logs', query: asQuery(pattern.template), language: 'kql' })}>
          {pieces(pattern.template)}
        </button>
        {services.length > 0 && <span class="dim"> {services.slice(0, 3).join(', ')}</span>}
      </td>
      <td class="when">
        {isNew && <span class="badge" data-level="critical">new</span>}
        {pattern.new === false ? <span class="dim">before yesterday</span> : pattern.first_seen !== undefined && <span title={shortTime(pattern.first_seen, utc.value)}> {spanText(Date.now() - pattern.first_seen)} ago</span>}
      </td>
    </tr>
  );
}

const HOLE = /<\*>|<[A-Z_]+>/g;

/** The words of a template, and its holes set apart. */
function pieces(raw: string): JSX.Element[] {
  const template = plain(raw).text;
  const out: JSX.Element[] = [];
  let at = 0;
  for (const hole of template.matchAll(HOLE)) {
    out.push(<span key={at}>{template.slice(at, hole.index)}</span>, <i key={`h${hole.index}`} aria-label="varies">∗</i>);
    at = hole.index + hole[0].length;
  }
  out.push(<span key="end">{template.slice(at)}</span>);
  return out;
}

/** A search that finds the lines of a template: its longest stretches of words, as phrases. */
function asQuery(template: string): string {
  const phrases = plain(template).text
    .split(HOLE)
    .map((text) => text.replace(/[^\p{L}\p{N}]+/gu, ' ').trim())
    .filter((text) => text.length > 1)
    .sort((a, b) => b.length - a.length)
    .slice(0, 4);
  return phrases.map((text) => `message: ${text.includes(' ') ? `"${text}"` : quoted(text)}`).join(' and ');
}

const TREND_WIDTH = 80;
const TREND_HEIGHT = 20;

function Trend({ values }: { values: number[] }): JSX.Element | null {
  if (values.length < 2) return null;
  const most = Math.max(1, ...values);
  const step = TREND_WIDTH / values.length;
  return (
    <svg class="trend" width={TREND_WIDTH} height={TREND_HEIGHT} aria-hidden="true">
      {values.map((v, i) => {
        const height = v === 0 ? 0 : Math.max(1.5, (v / most) * TREND_HEIGHT);
        return <rect key={i} x={i * step} y={TREND_HEIGHT - height} width={Math.max(1, step - 1)} height={height} />;
      })}
    </svg>
  );
}
