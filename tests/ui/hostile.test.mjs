//! Log lines come from anybody. Whatever they hold is shown, and never run.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { calm, found, messages, open, openRow, search, visit } from './support/browser.mjs';
import { line } from './support/lines.mjs';
import { Weir } from './support/weir.mjs';

const HTML = [
  '<script>window.hacked = 1; alert(1)</script>',
  '<img src=x onerror="window.hacked = 2; alert(2)">',
  '"><svg onload=alert(3)><a href="javascript:alert(4)">click me</a>',
  '{{constructor.constructor("alert(5)")()}} ${alert(6)}',
  '<iframe srcdoc="<script>parent.hacked = 7</script>"></iframe></div></main></body>',
  '<style>body { display: none }</style><meta http-equiv="refresh" content="0;url=https://example.com">',
];

let weir;
let browser;
before(async () => {
  weir = await Weir.start();
  const lines = HTML.map((message, i) => line({ ago: 60 - i, at: i, service: `<b onclick=alert(8)>svc${i}</b>`, stack: '<i>stack</i>', node: '<u>node</u>', level: 'error', message }));
  lines.push(line({ ago: 30, at: 90, message: 'admin\u202Egnp.exe \u0000nul \u001b]0;title\u0007bell \u001b[2Jclear', level: 'error' }));
  lines.push(line({ ago: 29, at: 91, message: `${'x'.repeat(300_000)} end`, level: 'error' }));
  lines.push(line({ ago: 28, at: 92, message: '=HYPERLINK("http://example.com")', level: 'error', '<script>alert(9)</script>': 'field name', __proto__x: { constructor: '1' } }));
  lines.push(line({ ago: 27, at: 93, message: '', level: '<b>level</b>' }));
  await weir.write(lines);
  browser = await open();
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

/** Elements that only a line's text could have made. */
const foreign = (page) => page.locator('#app :is(script, iframe, style, meta, b[onclick], img[onerror], a[href^="javascript"], u, svg[onload])').count();

test('HTML and scripts in lines, services, nodes and field names are shown as text', async () => {
  const page = await visit(browser, weir);
  await found(page, 10);
  const shown = await messages(page);
  for (const text of HTML) assert.ok(shown.some((m) => m.includes(text)), `not shown: ${text}\n${shown.join('\n')}`);
  assert.equal(await foreign(page), 0);
  await page.locator('.services').first().getByText('<b onclick=alert(8)>svc0</b>').waitFor();
  for (const text of ['<script>', '<img src=x', 'HYPERLINK']) {
    const detail = await openRow(page, text);
    await detail.getByRole('button', { name: 'JSON', exact: true }).click();
    await detail.getByRole('button', { name: 'Fields', exact: true }).click();
  }
  assert.equal(await foreign(page), 0);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  await calm(page);
});

test('a hostile value is filtered by and searched for like any other', async () => {
  const page = await visit(browser, weir);
  await found(page, 10);
  await page.locator('.service', { hasText: 'svc1' }).click();
  await found(page, 1);
  await search(page, '"onerror"');
  await found(page, 1);
  assert.equal(await foreign(page), 0);
  await calm(page);
});

test('characters that hide or reorder text are made visible', async () => {
  const page = await visit(browser, weir);
  await found(page, 10);
  const shown = (await messages(page)).find((m) => m.includes('admin'));
  assert.match(shown, /admin‹U\+202E›gnp\.exe ␀nul bell clear/);
  await calm(page);
});

test('a line of 300,000 characters does not stop the page', async () => {
  const page = await visit(browser, weir);
  await found(page, 10);
  const detail = await openRow(page, 'xxxxxxxxxx');
  await detail.getByRole('button', { name: /show all 300,004 characters/ }).click();
  assert.equal((await detail.locator('pre').first().innerText()).trim().length, 300_004);
  await calm(page);
});

test('a hostile link changes nothing but the screen', async () => {
  const f = encodeURIComponent(JSON.stringify(['+', '<img src=x onerror=alert(1)>', '<script>alert(2)</script>']));
  const page = await visit(browser, weir, `#/logs?q=${encodeURIComponent('<script>alert(3)</script>')}&f=${f}&f=%5Bnonsense&cols=<b>,message&from=%3Cscript%3E&sort=up&refresh=-1`);
  await page.getByText('<img src=x onerror=alert(1)> = <script>alert(2)</script>').waitFor();
  assert.equal(await foreign(page), 0);
  await calm(page);
});
