//! Who looks at the page: logging in and out, where the indexer asks for credentials.

import { computed, signal } from '@preact/signals';
import { call, csrf, Failure, locked } from './client';

export interface Session {
  /** Whether credentials are needed at all. */
  required: boolean;
  /** `null`: nobody is logged in. */
  user: string | null;
  role: string | null;
  csrf: string | null;
}

/** What is known of the session; `undefined` until the indexer has been asked. */
export const session = signal<Session | undefined>(undefined);

/** Whether somebody has to log in before anything else. */
export const mustLogIn = computed(() => locked.value || (session.value?.required === true && session.value.user === null));

function note(now: Session): void {
  csrf.value = now.csrf ?? '';
  locked.value = false;
  session.value = now;
}

/** Asks who we are. */
export async function readSession(): Promise<void> {
  note(await call<Session>('GET', '/api/session'));
}

/** Logs in; answers what is wrong, if anything is. */
export async function logIn(user: string, password: string): Promise<string | undefined> {
  try {
    note(await call<Session>('POST', '/api/session', { user, password }));
    return undefined;
  } catch (error) {
    if (!(error instanceof Failure)) return String(error);
    if (error.status === 401) return 'This user and password do not go together.';
    if (error.status === 429) return 'Too many wrong passwords from here. Please wait a minute.';
    return error.message;
  }
}

export async function logOut(): Promise<void> {
  note(await call<Session>('DELETE', '/api/session'));
}
