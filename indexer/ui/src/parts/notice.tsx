//! Short notes at the foot of the page ("Copied"), also read out by screen readers.

import { signal } from '@preact/signals';
import type { JSX } from 'preact';

/** How long a note stays, in milliseconds. */
const SHOWN_FOR = 2500;

const note = signal('');
let timer: ReturnType<typeof setTimeout> | undefined;

/** Shows a note for a moment. */
export function say(text: string): void {
  note.value = text;
  clearTimeout(timer);
  timer = setTimeout(() => { note.value = ''; }, SHOWN_FOR);
}

/** Copies text and says so. */
export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
  } catch {
    // Without TLS, browsers give pages no clipboard; the old way still works.
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    say(done ? `${what} copied` : 'The browser does not let this page copy');
  }
}

export function Notice(): JSX.Element {
  return <div class="notice" role="status" aria-live="polite" data-shown={note.value !== ''}>{note.value}</div>;
}
