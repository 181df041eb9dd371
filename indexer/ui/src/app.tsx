//! The page: its head, and below it the view that the address names.

import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { logOut, mustLogIn, session } from './api/session';
import { Filters } from './parts/filters';
import { Help, helpOpen } from './parts/help';
import { Icon } from './parts/icons';
import { Notice } from './parts/notice';
import { Problems } from './parts/problems';
import { SearchBar } from './parts/searchbar';
import { TimePicker } from './parts/timepicker';
import { Troubles } from './parts/troubles';
import { refresh } from './state/results';
import { go, link, screen, type View } from './state/screen';
import { isDark, sidebar, theme } from './state/settings';
import { Line } from './views/line';
import { Login } from './views/login';
import { Logs } from './views/logs';
import { Patterns } from './views/patterns';
import { Pipelines } from './views/pipelines';
import { Status } from './views/status';

const TABS: [View, string][] = [['logs', 'Lines'], ['patterns', 'Patterns'], ['pipelines', 'Pipelines'], ['status', 'Status']];

export function App(): JSX.Element {
  const { view, live } = screen.value;
  useEffect(() => {
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
  useEffect(() => {
    const { query } = screen.value;
    document.title = query ? `${query} · weir` : 'weir';
  }, [screen.value.query]);
  if (mustLogIn.value) return <><Login /><Notice /></>;
  const searches = view === 'logs' || view === 'patterns';
  return (
    <>
      <header class="top">
        <div class="first">
          <a class="logo" href="#/logs" aria-label="weir: to the start"><img src="/_ui/icon.svg" alt="" width="22" height="22" />weir</a>
          <nav aria-label="Views">
            {TABS.map(([to, name]) => (
              <a key={to} href={link({ view: to, doc: '', live: false })} aria-current={view === to ? 'page' : undefined} onClick={(e) => { if (!e.ctrlKey && !e.metaKey) { e.preventDefault(); go({ view: to, doc: '', live: false }); } }}>{name}</a>
            ))}
          </nav>
          <div class="tools">
            <Troubles />
            {session.value?.required && session.value.user !== null && (
              <button type="button" class="plain user" onClick={() => void logOut()} title={`${session.value.user} is logged in. Log out`}><span class="wide-only">{session.value.user}</span><Icon name="leave" /><span class="hidden">Log out</span></button>
            )}
            <button type="button" class="plain" onClick={changeTheme} title={`Theme: ${theme.value}`} aria-label={`Theme: ${theme.value}. Change`}><Icon name={isDark() ? 'moon' : 'sun'} /></button>
            <button type="button" class="plain" onClick={() => { helpOpen.value = true; }} title="Help (?)" aria-label="Help"><Icon name="help" /></button>
          </div>
        </div>
        {searches && (
          <div class="second">
            <button type="button" class="button side" aria-pressed={sidebar.value} aria-label="Services and fields" title="Services and fields (f)" hidden={view !== 'logs'} onClick={() => { sidebar.value = !sidebar.value; }}><Icon name="menu" /></button>
            <SearchBar />
            <TimePicker />
            {view === 'logs' && <button type="button" class="button live" aria-pressed={live} onClick={() => go({ live: !live })} title="New lines as they come (l)"><Icon name={live ? 'pause' : 'live'} />Live</button>}
          </div>
        )}
        {searches && <Filters />}
        {searches && <Problems />}
      </header>
      {view === 'logs' && <Logs />}
      {view === 'patterns' && <Patterns />}
      {view === 'line' && <Line key={screen.value.doc} />}
      {view === 'pipelines' && <Pipelines />}
      {view === 'status' && <Status />}
      <Help />
      <Notice />
    </>
  );
}

function changeTheme(): void {
  theme.value = theme.value === 'auto' ? (isDark() ? 'light' : 'dark') : theme.value === 'dark' ? 'light' : 'dark';
}

function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (target.closest('input, textarea, select, dialog, [data-popover]')) return;
  const { view, live, wrap } = screen.value;
  switch (event.key) {
    case '/':
      document.getElementById('query')?.focus();
      break;
    case 't':
      document.getElementById('time-range')?.click();
      break;
    case 'r':
      refresh();
      break;
    case 'l':
      if (view === 'logs') go({ live: !live });
      break;
    case 'w':
      go({ wrap: !wrap }, true);
      break;
    case 'f':
      sidebar.value = !sidebar.value;
      break;
    case 'd':
      changeTheme();
      break;
    case '?':
      helpOpen.value = true;
      break;
    default:
      return;
  }
  event.preventDefault();
}
