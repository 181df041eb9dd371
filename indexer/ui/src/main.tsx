//! Starts the page.

import { render } from 'preact';
import { App } from './app';
import { start } from './state/results';
import './styles/index.css';

const root = document.getElementById('app');
if (root) {
  start();
  render(<App />, root);
}
