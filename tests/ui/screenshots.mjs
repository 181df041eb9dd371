//! Makes the pictures of the docs: starts the demo, and looks at it as a person would. See docs/screenshots/make.
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { built, open } from './support/browser.mjs';
import { freePort } from './support/weir.mjs';

/** How long the demo logs before pictures are taken, in milliseconds: its ledger is written once a minute. */
const WARM_UP = 75_000;
/** A picture that is larger is too large for a page that people load, in bytes. */
const MOST_BYTES = 200_000;
const DESK = { viewport: { width: 1280, height: 780 } };
/** For screens that are full of text. */
const SMALL = { viewport: { width: 1100, height: 600 } };
const PHONE = { viewport: { width: 360, height: 720 }, isMobile: true, hasTouch: true, deviceScaleFactor: 1.5 };

/** Name, address, how the window is, and what is done before the picture. */
const PICTURES = [
  ['lines', '#/logs?from=now-5m', { ...SMALL, colorScheme: 'dark' }, async (page) => {
    await page.locator('.legend').getByText('dropped').waitFor();
  }],
  ['line', '#/logs?from=now-5m&q=log.level%3A+error+and+Traceback', { ...DESK, colorScheme: 'light' }, async (page) => {
    await page.locator('.line .opener button').first().click();
    await page.locator('.detail').waitFor();
  }],
  ['patterns', '#/patterns?from=now-5m', { ...DESK, colorScheme: 'dark' }, async (page) => {
    await page.locator('table.patterns tbody tr').first().waitFor();
  }],
  ['pipelines', '#/pipelines?from=now-5m&q=service.name%3A+shop_nginx', { ...SMALL, colorScheme: 'light' }, async (page) => {
    await page.locator('.filetabs button', { hasText: 'nginx' }).click();
    await page.locator('.outcomes button').first().click();
    await page.locator('.steps .filter').first().waitFor();
  }],
  ['status', '#/status', { ...DESK, colorScheme: 'dark' }, async (page) => {
    await page.locator('.tile').first().waitFor();
  }],
  ['phone', '#/logs?from=now-5m', { ...PHONE, colorScheme: 'dark' }, async (page) => {
    await page.locator('.legend').getByText('dropped').waitFor();
  }],
];

const [folder, ...names] = process.argv.slice(2);
const [search, beats] = [await freePort(), await freePort()];
const set = { 'indexer.listen': `127.0.0.1:${search}`, 'aggregator.listen': `127.0.0.1:${beats}`, 'shipper.aggregators': `127.0.0.1:${beats}`, 'aggregator.output': `http://127.0.0.1:${search}` };
const demo = spawn(process.env.WEIR_BIN, ['--demo', '--log', 'warn', ...Object.entries(set).flatMap(([key, value]) => ['--set', `${key}=${value}`])], { stdio: ['ignore', 'ignore', 'inherit'] });
const browser = await open();
let tooLarge = false;
try {
  console.log(`the demo logs for ${WARM_UP / 1000} s first`);
  await new Promise((r) => setTimeout(r, WARM_UP));
  for (const [name, hash, options, prepare] of PICTURES) {
    if (names.length > 0 && !names.includes(name)) continue;
    const context = await browser.newContext(options);
    const page = await context.newPage();
    await built(page, `http://127.0.0.1:${search}`);
    page.setDefaultTimeout(60_000);
    await page.goto(`http://127.0.0.1:${search}/${hash}`);
    await prepare(page);
    const path = join(folder, `${name}.png`);
    await page.screenshot({ path, animations: 'disabled' });
    const bytes = statSync(path).size;
    tooLarge ||= bytes > MOST_BYTES;
    console.log(`${path}: ${Math.round(bytes / 1000)} kB`);
    await context.close();
  }
} finally {
  await browser.close();
  demo.kill('SIGTERM');
}
if (tooLarge) {
  console.error(`a picture has more than ${MOST_BYTES} bytes`);
  process.exitCode = 1;
}
