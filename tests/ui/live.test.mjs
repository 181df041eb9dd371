//! Live tail and patterns.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { calm, found, messages, open, row, visit } from './support/browser.mjs';
import { line, shop } from './support/lines.mjs';
import { Weir } from './support/weir.mjs';

let weir;
let browser;
before(async () => {
  weir = await Weir.start();
  await weir.write(shop());
  browser = await open();
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

test('new lines show as they come, and only those that fit the search', async () => {
  const page = await visit(browser, weir, '#/logs?live=1&q=wanted');
  await page.locator('.pulse[data-status=open]').waitFor();
  await weir.write([line({ level: 'error', message: 'wanted one' }), line({ level: 'error', message: 'another' }), line({ level: 'error', message: 'wanted two' })]);
  await row(page, 'wanted two').waitFor();
  assert.deepEqual((await messages(page)).map((m) => m.trim()), ['wanted one', 'wanted two']);
  await calm(page);
});

test('a paused tail keeps what comes, and goes on', async () => {
  const page = await visit(browser, weir, '#/logs?live=1');
  await page.locator('.pulse[data-status=open]').waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await weir.write([line({ level: 'error', message: 'said while paused' })]);
  await page.getByText('1 waiting').waitFor();
  assert.equal(await row(page, 'said while paused').count(), 0);
  await page.getByRole('button', { name: 'Go on' }).click();
  await row(page, 'said while paused').waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.locator('.chart').waitFor();
  await calm(page);
});

test('what is new since yesterday comes first and says so', async () => {
  const page = await visit(browser, weir, '#/patterns?from=now-1h');
  await page.getByText('nothing is a day old yet').waitFor();
  await weir.write(Array.from({ length: 30 }, (_, i) => line({ ago: 3 * 86_400 - i, level: 'error', message: `connection refused: 10.0.0.9:5432 after ${i} tries` })));
  await page.reload();
  await page.getByText(/\d+ new since yesterday/).waitFor();
  const rows = page.locator('table.patterns tbody tr');
  assert.match(await rows.first().innerText(), /new/);
  // The commonest pattern was there three days ago, and so comes after all that are new.
  const known = rows.filter({ hasText: 'connection refused' });
  assert.match(await known.innerText(), /before yesterday/);
  assert.equal(await known.getAttribute('data-new'), 'false');
  await calm(page);
});

test('messages that are alike are one pattern, which leads to its lines', async () => {
  const page = await visit(browser, weir, '#/patterns?from=now-1h');
  const pattern = page.locator('table.patterns tbody tr', { hasText: 'connection refused' });
  await pattern.waitFor();
  assert.match(await pattern.locator('.number').innerText(), /^15$/);
  await pattern.getByRole('button').click();
  await found(page, 15);
  await calm(page);
});
