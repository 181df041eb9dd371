//! Requests to the indexer: JSON in, JSON out, and what went wrong in words a person can use.

import { signal } from '@preact/signals';

/** Whether the indexer answered the last request at all. */
export const reachable = signal(true);

/** What shows the indexer that a request that changes something, or asks by POST, is this page's own; empty without a session. */
export const csrf = signal('');

/** Whether the indexer no longer knows us: the session is over. */
export const locked = signal(false);

/** A request that was not answered as hoped. */
export class Failure extends Error {
  constructor(
    message: string,
    /** The HTTP status; 0 if there was no answer. */
    readonly status: number,
    /** Elasticsearch's `type`. */
    readonly kind = '',
  ) {
    super(message);
  }
}

interface ErrorBody {
  error?: string | { type?: string; reason?: string; root_cause?: { type?: string; reason?: string }[] };
}

/** Sends a request and reads the JSON of the answer. */
export async function call<T>(method: string, path: string, body?: unknown, abort?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: {
        Accept: 'application/json',
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(method === 'GET' || csrf.value === '' ? {} : { 'X-Weir-CSRF': csrf.value }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: abort ?? null,
      credentials: 'same-origin',
    });
  } catch (cause) {
    if (abort?.aborted) throw cause;
    reachable.value = false;
    throw new Failure('weir does not answer', 0);
  }
  reachable.value = true;
  if (response.ok) return (await response.json()) as T;
  if (response.status === 401 && !path.startsWith('/api/session')) locked.value = true;
  throw await failure(response);
}

/** Reads the error that an answer carries. */
export async function failure(response: Response): Promise<Failure> {
  let parsed: ErrorBody = {};
  const text = await response.text();
  try {
    parsed = JSON.parse(text) as ErrorBody;
  } catch {
    // Not ours (a proxy's page, say): the status alone has to tell.
  }
  const { error } = parsed;
  if (typeof error === 'string') return new Failure(error, response.status);
  const cause = error?.root_cause?.[0] ?? error;
  const words = response.status === 401 ? 'Please log in' : `weir answered ${response.status} ${response.statusText}`;
  return new Failure(cause?.reason ?? words, response.status, cause?.type ?? '');
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}
