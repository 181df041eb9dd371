//! Lines: opened, filtered by, copied, linked to; columns; colours; stack traces.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { calm, found, messages, open, openRow, row, visit } from './support/browser.mjs';
import { line, shop } from './support/lines.mjs';
import { Weir } from './support/weir.mjs';

let weir;
let browser;
before(async () => {
  weir = await Weir.start();
  await weir.write([...shop(), line({ ago: 2000, level: 'warn', message: `a line that is longer ${'than the window is wide '.repeat(20)}` })]);
  browser = await open();
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

test('an opened line shows every field, and filters for and out by each', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  const detail = await openRow(page, 'worker 12 exited');
  assert.match(await detail.innerText(), /container\.image\.name\s+registry\/shop_worker:1\.4/);
  await detail.getByRole('button', { name: 'No lines with this value: service.name' }).click();
  await found(page, 57);
  const other = await openRow(page, 'giving up');
  await other.getByRole('button', { name: 'Only lines with this value: log.level' }).click();
  await found(page, 1);
  await page.getByRole('button', { name: 'Clear all' }).click();
  await found(page, 60);
  const third = await openRow(page, 'after 14 tries');
  await third.getByRole('button', { name: 'Only lines that have this field: http.response.status_code' }).click();
  await found(page, 35);
  await calm(page);
});

test('a filter is turned round by a click', async () => {
  const page = await visit(browser, weir);
  await page.locator('.service', { hasText: 'db' }).click();
  await found(page, 20);
  await page.getByRole('button', { name: 'service.name = shop_db', exact: true }).click();
  await found(page, 40);
  await calm(page);
});

test('ANSI colours are colours, and do not show as codes', async () => {
  const page = await visit(browser, weir);
  const line = row(page, 'no connection within');
  await line.waitFor();
  assert.equal((await line.locator('.message').innerText()).trim(), 'ERROR [pool-3] no connection within 30s');
  const colour = (text) => line.locator('.message span', { hasText: text }).last().evaluate((e) => getComputedStyle(e).color);
  assert.notEqual(await colour('ERROR'), await colour('pool-3'));
  await calm(page);
});

test('a stack trace is folded to what matters and opens', async () => {
  const page = await visit(browser, weir);
  const line = row(page, 'Traceback');
  await line.waitFor();
  assert.match(await line.locator('.message').innerText(), /ConnectionError: payment gateway refused/);
  assert.doesNotMatch(await line.innerText(), /jobs\.py/);
  await line.getByRole('button', { name: /\+9 lines/ }).click();
  assert.match(await line.innerText(), /jobs\.py", line 31/);
  const detail = await openRow(page, 'Traceback');
  await detail.getByRole('button', { name: /more frames/ }).click();
  assert.match(await detail.locator('pre').first().innerText(), /http\.py", line 410/);
  await calm(page);
});

test('JSON in a message is shown readably', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  assert.match(await row(page, 'payment_failed').locator('.message').innerText(), /^payment_failed\s+order=4711\s+customer=/);
  const detail = await openRow(page, 'payment_failed');
  assert.match(await detail.locator('pre').first().innerText(), /"customer": \{\n\s+"country": "DE"/);
  await calm(page);
});

test('text, JSON and a link are copied', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  const detail = await openRow(page, 'giving up');
  const copied = async (button) => {
    await detail.getByRole('button', { name: button }).click();
    await page.locator('.notice[data-shown=true]').waitFor();
    return page.evaluate(() => navigator.clipboard.readText());
  };
  assert.equal(await copied('Copy text'), 'giving up: no database');
  assert.equal(JSON.parse(await copied('Copy JSON')).service.name, 'shop_api');
  const link = await copied('Copy link');
  const colleague = await visit(browser, weir, new URL(link).hash);
  await colleague.locator('.line[data-anchor=true] .detail', { hasText: 'giving up: no database' }).waitFor();
  await calm(colleague);
  await calm(page);
});

test('lines around one come from the same container, in file order', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  const detail = await openRow(page, 'after 7 tries');
  await detail.getByRole('link', { name: 'Lines around it' }).click();
  await page.locator('.line[data-anchor=true]').waitFor();
  const tries = (await messages(page)).map((text) => /after (\d+) tries/.exec(text)?.[1]).filter(Boolean).map(Number);
  assert.deepEqual(tries, Array.from({ length: 15 }, (_, i) => i));
  assert.equal((await messages(page)).filter((m) => /checkpoint|GET/.test(m)).length, 0);
  await page.getByRole('link', { name: 'To the search' }).click();
  await found(page, 60);
  await calm(page);
});

test('columns are added, moved, resized and removed', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  const names = () => page.locator('.head [data-column] .name').allInnerTexts();
  await page.getByRole('button', { name: 'Show host.name as a column' }).click();
  assert.deepEqual(await names(), ['level', 'service', 'host.name', 'message']);
  await page.getByRole('button', { name: 'Move host.name left' }).click();
  assert.deepEqual(await names(), ['level', 'host.name', 'service', 'message']);
  const head = page.locator('.head [data-column="host.name"]');
  const width = async () => (await head.boundingBox()).width;
  const before = await width();
  await page.getByRole('separator', { name: 'Width of column host.name' }).press('ArrowRight');
  assert.ok((await width()) > before);
  await page.getByRole('button', { name: 'Remove column host.name' }).click();
  assert.deepEqual(await names(), ['level', 'service', 'message']);
  await calm(page);
});

test('top values of a field are counted and filter', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  await page.locator('.field .open', { hasText: 'http.response.status_code' }).click();
  await page.locator('.top li', { hasText: '200' }).getByText('57 %').waitFor();
  await page.getByRole('button', { name: 'No http.response.status_code 200' }).click();
  await found(page, 40);
  await calm(page);
});

test('the oldest come first on demand', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  await page.locator('.head button', { hasText: 'time' }).click();
  await page.locator('.line').first().getByText('checkpoint took 1000 ms').waitFor();
  await calm(page);
});

test('long lines wrap on demand', async () => {
  const page = await visit(browser, weir, '#/logs?from=now-1h&q=longer', { viewport: { width: 1000, height: 700 } });
  const line = row(page, 'a line that is longer').locator('.row');
  await line.waitFor();
  const height = async () => (await line.boundingBox()).height;
  const before = await height();
  await page.locator('.found').click();
  await page.keyboard.press('w');
  await page.locator('.lines.wrapped').waitFor();
  assert.ok((await height()) > before);
  await calm(page);
});

test('the result is saved as NDJSON and as CSV', async () => {
  const page = await visit(browser, weir, '#/logs?q=refused');
  await found(page, 16);
  const save = async (name) => {
    await page.getByRole('button', { name: 'Export' }).click();
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name }).click()]);
    return readFile(await download.path(), 'utf8');
  };
  const ndjson = (await save(/NDJSON/)).trim().split('\n').map((l) => JSON.parse(l));
  assert.equal(ndjson.length, 16);
  assert.ok(ndjson.every((doc) => /refused/.test(doc.message) && doc._id));
  const csv = await save(/CSV/);
  assert.match(csv, /^@timestamp,log\.level,service\.name,message\r\n/);
  assert.match(csv, /"Traceback \(most recent call last\):\n {2}File ""\/app\/worker\.py""/);
  await calm(page);
});
