//! What is wrong is told, each with what to do and a way to the lines; and how weir is doing.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { calm, found, messages, open, visit } from './support/browser.mjs';
import { line, shop } from './support/lines.mjs';
import { Weir } from './support/weir.mjs';

let weir;
let browser;
before(async () => {
  weir = await Weir.start();
  const watch = (container, message) => line({ ago: 300, node: 'node-3', service: container ?? 'weir', level: 'warn', message, event: { dataset: 'weir.node' }, container: container ? { name: container } : undefined });
  await weir.write([
    ...shop(),
    line({ ago: 30 * 3600, node: 'node-9', level: 'error', message: 'the last word of node-9' }),
    watch(undefined, 'WARN weir: the disk of /var/lib/docker has 1.2 GB of 80.0 GB free and is full in about 3 h at the present rate; container logs grow by 9.1 GB a day'),
    watch('shop_cache', 'WARN weir: Docker never rotates the log of container shop_cache: it has no max-size, takes 14.0 GB and grows by 2.0 GB a day; set log-opts max-size and max-file, and create the container anew'),
    line({ ago: 60, level: 'warn', message: '{"half', tags: ['_jsonparsefailure'] }),
    line({ ago: 90, message: 'lines were lost here', event: { dataset: 'weir.gap' }, weir: { gap: { bytes: 4096 } } }),
    { index: 'logs-weir-dead', '@timestamp': new Date().toISOString(), message: 'refused', error: { reason: 'mapper_parsing_exception' } },
    { index: 'logs-weir-ledger', '@timestamp': new Date(Math.floor(Date.now() / 60_000) * 60_000 - 120_000).toISOString(), service: { name: 'edge_nginx' }, log: { level: 'info' }, weir: { dropped: { events: 4321, bytes: 99 } } },
  ]);
  browser = await open();
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

test('every problem is told with what to do, and leads to its lines', async () => {
  const page = await visit(browser, weir);
  await page.getByRole('button', { name: /6 problems/ }).click();
  const list = page.getByRole('dialog', { name: 'Problems' }).locator('li');
  const told = await list.allInnerTexts();
  for (const [what, advice] of [
    [/node-9 has sent nothing for 30 h/, /Is the machine up, and its shipper running/],
    [/node-3: the disk of \/var\/lib\/docker has 1\.2 GB of 80\.0 GB free and is full in about 3 h/, /Free space there/],
    [/node-3: Docker never rotates the log of container shop_cache/, /Set log-opts max-size and max-file/],
    [/A pipeline failed on 1 line in the last hour \(_jsonparsefailure\)/, /which filter fails/],
    [/Lines were lost once/, /larger max-size/],
    [/1 line was refused/, /Each says why/],
  ]) {
    const one = told.find((text) => what.test(text));
    assert.ok(one && advice.test(one), `${what} is not told with ${advice}:\n${told.join('\n')}`);
  }
  await list.getByRole('link', { name: /A pipeline failed/ }).click();
  await found(page, 1);
  assert.match((await messages(page))[0], /\{"half/);
  await calm(page);
});

test('behind the chart stands what was dropped, and where lines were lost', async () => {
  const page = await visit(browser, weir);
  await page.locator('.legend').getByText('dropped 4,321').waitFor();
  await page.locator('.legend').getByText('lost 1×').waitFor();
  const plot = await page.locator('.u-over').boundingBox();
  const texts = [];
  for (let x = plot.width * 0.7; x < plot.width; x += 8) {
    await page.mouse.move(plot.x + x, plot.y + 20);
    texts.push(await page.locator('.tip').innerText().catch(() => ''));
  }
  assert.ok(texts.some((t) => /dropped on the way/.test(t)), 'no bar tells of dropped lines');
  assert.ok(texts.some((t) => /lines were lost/.test(t)), 'no bar tells of lost lines');
  await calm(page);
});

test('the status page tells of disk, rates, nodes, services and retention', async () => {
  const page = await visit(browser, weir, '#/status');
  await page.locator('.tile').first().waitFor();
  const tiles = await page.locator('.tiles').innerText();
  assert.match(tiles, /Well\s+no trouble in the indexer/);
  assert.match(tiles, /\d+ %|0 % of the budget of [\d.]+ [MGT]B/);
  assert.match(tiles, /\d+ days\s+kept for/);
  assert.match(tiles, /1\s+dead letters in 24 hours/);
  const nodes = page.locator('table', { hasText: 'node-9' });
  assert.match(await nodes.locator('tr', { hasText: 'node-9' }).innerText(), /30 h ago\s+silent/);
  const nginx = page.locator('tr', { hasText: 'edge_nginx' });
  assert.match(await nginx.innerText(), /edge_nginx\s+edge\s+.*ago\s+20\s+4,321\s+20\s+[\d.]+ k?B/);
  await page.getByRole('img', { name: /4,321 dropped/ }).waitFor();
  await nginx.getByRole('link').click();
  await found(page, 20);
  await calm(page);
});
