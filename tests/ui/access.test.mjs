//! For everybody: by keyboard alone, with a screen reader, on a phone, in the dark.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { calm, found, open, openRow, picture, row, search, visit } from './support/browser.mjs';
import { shop } from './support/lines.mjs';
import { Weir } from './support/weir.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };

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

/** What axe-core calls serious or critical. */
async function serious(page) {
  const { readFile } = await import('node:fs/promises');
  // Run by the debugger, past the policy that forbids the page itself any foreign script.
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: await readFile(axe, 'utf8') });
  const { result } = await session.send('Runtime.evaluate', {
    expression: `axe.run(document, { resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').map((v) => v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? '')).join(' | '))))`,
    awaitPromise: true,
  });
  return JSON.parse(result.value);
}

for (const colorScheme of ['dark', 'light']) {
  test(`axe-core finds nothing serious (${colorScheme})`, async () => {
    const page = await visit(browser, weir, '', { colorScheme });
    await found(page, 60);
    await openRow(page, 'Traceback');
    await page.locator('.field .open', { hasText: 'host.name' }).click();
    await page.locator('.top li').first().waitFor();
    await picture(page, `lines-${colorScheme}`);
    assert.deepEqual(await serious(page), [], 'lines');
    await search(page, 'refused and (');
    await page.locator('#query-problem').waitFor();
    assert.deepEqual(await serious(page), [], 'a mistake');
    await search(page, '');
    await page.locator('#time-range').click();
    assert.deepEqual(await serious(page), [], 'time range');
    await page.keyboard.press('Escape');
    await page.locator('.found').click();
    await page.keyboard.press('?');
    await page.locator('.help').waitFor();
    assert.deepEqual(await serious(page), [], 'help');
    await page.keyboard.press('Escape');
    await page.getByRole('link', { name: 'Status' }).click();
    await page.locator('.tile').first().waitFor();
    await picture(page, `status-${colorScheme}`);
    assert.deepEqual(await serious(page), [], 'status');
    await page.getByRole('link', { name: 'Pipelines' }).click();
    await page.locator('.steps .end').waitFor();
    await picture(page, `pipelines-${colorScheme}`);
    assert.deepEqual(await serious(page), [], 'pipelines');
    await page.getByRole('link', { name: 'Patterns' }).click();
    await page.locator('table.patterns tbody tr').first().waitFor();
    await picture(page, `patterns-${colorScheme}`);
    assert.deepEqual(await serious(page), [], 'patterns');
    await calm(page);
  });
}

test('everything is reached by keyboard', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  await page.keyboard.press('/');
  await page.keyboard.type('refused');
  await page.keyboard.press('Enter');
  await found(page, 16);
  await page.keyboard.press('Escape');
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.locator('#row-1 + .opened .detail').waitFor();
  await page.keyboard.press('k');
  await page.locator('#row-0[aria-selected=true]').waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Help' }).waitFor();
  await page.keyboard.press('Escape');
  // It closes a moment after the key, and takes the keys until then.
  await page.getByRole('dialog', { name: 'Help' }).waitFor({ state: 'detached' });
  await page.keyboard.press('t');
  await page.getByRole('dialog', { name: 'Time range' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog', { name: 'Time range' }).waitFor({ state: 'detached' });
  await calm(page);
});

test('a phone shows the same, without scrolling sideways', async () => {
  const page = await visit(browser, weir, '', PHONE);
  await found(page, 60);
  await picture(page, 'phone');
  const sideways = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.equal(await sideways(), 0);
  await row(page, 'giving up').locator('.message').tap();
  await row(page, 'giving up').locator('.detail').waitFor();
  assert.equal(await sideways(), 0);
  await page.getByRole('button', { name: 'Services and fields' }).tap();
  await page.locator('.service', { hasText: 'db' }).tap();
  await found(page, 20);
  await page.getByRole('button', { name: 'Services and fields' }).tap();
  await page.locator('#time-range').tap();
  await page.getByRole('button', { name: 'Last 5 minutes' }).tap();
  await page.waitForURL(/now-5m/);
  assert.deepEqual(await serious(page), []);
  for (const view of ['patterns', 'pipelines', 'status']) {
    await page.goto(`${weir.url}/#/${view}`);
    await page.locator('table, .steps').first().waitFor();
    assert.equal(await sideways(), 0, view);
  }
  await calm(page);
});

test('dark and light are chosen and remembered', async () => {
  const page = await visit(browser, weir, '', { colorScheme: 'light' });
  await found(page, 60);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole('button', { name: /Theme/ }).click();
  const dark = await ground();
  assert.notEqual(light, dark);
  await page.reload();
  await found(page, 60);
  assert.equal(await ground(), dark);
  await calm(page);
});
