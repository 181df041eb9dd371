//! Starts the page.

import { render } from 'preact';
import { readSession } from './api/session';
import { App } from './app';
import { start } from './state/results';
import './styles/index.css';

const root = document.getElementById('app');
if (root) {
  // Whether somebody has to log in first decides what is shown. Without an answer the page says that there is none.
  void readSession().catch(() => undefined).then(() => {
    start();
    render(<App />, root);
  });
}
