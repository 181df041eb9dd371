//! A browser, and what a person does with weir's page in it.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
/** How long anything may take on a busy machine, in milliseconds. No test asserts a time. */
export const PATIENCE = 30_000;

export async function open() {
  // Playwright gives each launch a fresh profile folder and removes it.
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
}

/** A new window on weir, as of somebody who was never here. Whatever goes wrong in it fails the test (`calm`). */
export async function visit(browser, weir, hash = '', options = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 820 }, timezoneId: 'Europe/Berlin', ...options });
  await context.grantPermissions(['clipboard-read', 'clipboard-write']).catch(() => undefined);
  const page = await context.newPage();
  await built(page, weir.url);
  page.setDefaultTimeout(PATIENCE);
  page.wrong = [];
  page.on('pageerror', (error) => page.wrong.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => { page.wrong.push(`dialog: ${dialog.message()}`); void dialog.dismiss(); });
  page.on('console', (message) => {
    // A request that failed is the page's to show, and the test's to look for.
    if (message.type() === 'error' && !/Failed to load resource|ERR_|EventSource/.test(message.text())) page.wrong.push(`console: ${message.text()}`);
  });
  await page.goto(`${weir.url}/${hash}`);
  return page;
}

/** Where WEIR_UI_DIST names a folder that `npm run build` made, the page comes from there: no cargo build between two tries. */
export async function built(page, url) {
  const folder = process.env.WEIR_UI_DIST;
  if (!folder) return;
  await page.route((address) => address.origin === url && (address.pathname === '/' || address.pathname.startsWith('/_ui/')), (route) =>
    route.fulfill({ path: join(folder, new URL(route.request().url()).pathname === '/' ? 'index.html' : new URL(route.request().url()).pathname) }));
}

/** Asserts that nothing went wrong in a window, and closes it. */
export async function calm(page) {
  const { wrong } = page;
  await page.context().close();
  assert.deepEqual(wrong, []);
}

/** Waits until exactly so many lines were found. */
export async function found(page, count) {
  await page.locator('.found b', { hasText: new RegExp(`^${count.toLocaleString('en')}$`) }).waitFor();
}

/** The messages in view, from the top. */
export async function messages(page) {
  return page.locator('.line .message').allInnerTexts();
}

/** Types a query and searches. */
export async function search(page, query) {
  await page.locator('#query').fill(query);
  await page.locator('#query').press('Enter');
}

/** The row that has a text. */
export function row(page, text) {
  return page.locator('.line', { hasText: text }).first();
}

/** Opens a row; answers what is shown below it. */
export async function openRow(page, text) {
  const line = row(page, text);
  await line.locator('.opener button').click();
  await line.locator('.detail').waitFor();
  return line.locator('.detail');
}

/** Saves a picture where WEIR_UI_SHOTS names a folder. */
export async function picture(page, name) {
  const folder = process.env.WEIR_UI_SHOTS;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: `${folder}/${name}.png` });
}
