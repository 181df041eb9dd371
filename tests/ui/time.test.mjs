//! Time: ranges, the chart, and what can be done on it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { calm, found, open, visit } from './support/browser.mjs';
import { line, shop } from './support/lines.mjs';
import { Weir } from './support/weir.mjs';

let weir;
let browser;
before(async () => {
  weir = await Weir.start();
  await weir.write([...shop(), line({ ago: 3 * 3600, message: 'three hours ago', level: 'error' })]);
  browser = await open();
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

test('quick ranges widen and narrow what is shown', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  await page.keyboard.press('t');
  await page.getByRole('button', { name: 'Last 6 hours' }).click();
  await found(page, 61);
  assert.match(page.url(), /from=now-6h/);
  await calm(page);
});

test('absolute times are taken in local time or UTC', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  await page.locator('#time-range').click();
  await page.getByLabel('UTC').check();
  const form = page.locator('.choices form').first();
  const iso = (ago) => new Date(Date.now() - ago * 1000).toISOString().slice(0, 19);
  await form.getByLabel('From').fill(iso(4 * 3600));
  await form.getByLabel('To').fill(iso(2 * 3600));
  await form.getByRole('button').click();
  await found(page, 1);
  // The time zone of this browser is not UTC: what the row shows tells which one is used.
  const hour = iso(3 * 3600).slice(11, 13);
  assert.equal((await page.locator('.line .time').first().innerText()).slice(7, 9), hour);
  await calm(page);
});

test('earlier, later, and twice as long', async () => {
  const page = await visit(browser, weir, '#/logs?from=now-1h');
  await found(page, 60);
  await page.getByRole('button', { name: 'Zoom out' }).click();
  await page.waitForURL(/from=\d{4}-/);
  const spanOf = () => {
    const at = (key) => Date.parse(new URLSearchParams(new URL(page.url()).hash.split('?')[1]).get(key));
    return { from: at('from'), to: at('to') };
  };
  const wide = spanOf();
  assert.equal(wide.to - wide.from, 7_200_000);
  await page.getByRole('button', { name: 'Earlier' }).click();
  await page.waitForFunction((before) => !decodeURIComponent(location.href).includes(before), new Date(wide.from).toISOString());
  assert.equal(spanOf().from, wide.from - 3_600_000);
  await page.getByRole('button', { name: 'Later' }).click();
  await page.waitForFunction((before) => !decodeURIComponent(location.href).includes(before), new Date(wide.from - 3_600_000).toISOString());
  assert.deepEqual(spanOf(), wide);
  await calm(page);
});

test('a wrong time is said, not guessed', async () => {
  const page = await visit(browser, weir);
  await page.locator('#time-range').click();
  const form = page.locator('.choices form').nth(1);
  await form.getByLabel('From').fill('yesterdayish');
  await form.getByRole('button').click();
  await page.getByText('Not a time').waitFor();
  await calm(page);
});

test('dragging on the chart zooms, and back undoes it', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  // The chart is drawn anew once it is known what is not there.
  await page.waitForLoadState('networkidle');
  const box = await page.locator('.u-over').boundingBox();
  await page.mouse.move(box.x + box.width * 0.8, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.9, box.y + 25, { steps: 5 });
  await page.mouse.move(box.x + box.width - 2, box.y + 25, { steps: 5 });
  await page.mouse.up();
  await page.waitForURL(/from=\d{4}-/);
  // The last fifth of fifteen minutes holds the trouble, and none of what came before.
  await found(page, 20);
  await page.goBack();
  await found(page, 60);
  await calm(page);
});

test('a click on a level shows only that level', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  await page.locator('.legend button', { hasText: 'warn' }).click();
  await found(page, 20);
  await page.locator('.legend button', { hasText: 'warn' }).click();
  await found(page, 60);
  await page.locator('.legend button', { hasText: 'unknown' }).click();
  await found(page, 21);
  await calm(page);
});

test('the refresh interval brings in new lines by itself', async () => {
  const page = await visit(browser, weir, '#/logs?q=latecomer&refresh=5');
  await page.getByText('No lines here').waitFor();
  await weir.write([line({ message: 'a latecomer', level: 'error' })]);
  await found(page, 1);
  await calm(page);
});
