//! The door: user and password, where the indexer asks for them.

import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { logIn } from '../api/session';

export function Login(): JSX.Element {
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector('input')?.focus(), []);
  const submit = async (e: Event) => {
    e.preventDefault();
    // Read from the form itself: password managers fill it in without telling.
    const data = new FormData(form.current ?? undefined);
    setBusy(true);
    const wrong = await logIn(`${data.get('user') ?? ''}`, `${data.get('password') ?? ''}`);
    setBusy(false);
    setProblem(wrong ?? '');
  };
  return (
    <main class="login">
      <form ref={form} onSubmit={(e) => void submit(e)} aria-label="Log in">
        <h1><img src="/_ui/icon.svg" alt="" width="28" height="28" />weir</h1>
        <label>User <input name="user" autocomplete="username" autocapitalize="off" spellcheck={false} required /></label>
        <label>Password <input name="password" type="password" autocomplete="current-password" required /></label>
        {problem && <p class="wrong" role="alert">{problem}</p>}
        <button type="submit" class="button primary" disabled={busy}>Log in</button>
      </form>
    </main>
  );
}
