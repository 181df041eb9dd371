//! Trying pipelines: on recent lines and pasted ones, edited, with each filter's effect, and without touching what runs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { calm, open, visit } from './support/browser.mjs';
import { line } from './support/lines.mjs';
import { Weir } from './support/weir.mjs';

let weir;
let browser;
before(async () => {
  weir = await Weir.start();
  await weir.write([
    line({ ago: 20, level: 'error', message: 'ERROR: cannot charge card 4711' }),
    line({ ago: 10, level: 'warn', message: 'WARN: slow answer' }),
  ]);
  browser = await open();
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

const outcomes = (page) => page.locator('.outcomes button').allInnerTexts();
/** Replaces the lines to try, and waits for what becomes of them. */
async function paste(page, lines, first) {
  await page.getByLabel('Lines to try').fill(lines.join('\n'));
  await page.locator('.outcomes button', { hasText: first }).waitFor();
}

test('recent lines are taken, and each filter\'s effect is shown', async () => {
  const page = await visit(browser, weir, '#/pipelines');
  await page.locator('.outcomes button', { hasText: 'cannot charge' }).click();
  assert.deepEqual((await outcomes(page)).map((t) => t.split('\n')[0]), ['warn', 'error']);
  const steps = page.locator('.steps');
  await steps.locator('.filter', { hasText: 'level@00-level.conf' }).getByText('[log]').waitFor();
  assert.match(await steps.locator('.end').innerText(), /kept as[^]*"service"[^]*shop_api/);
  await calm(page);
});

test('pasted lines show which are dropped, and by which filter', async () => {
  const page = await visit(browser, weir, '#/pipelines');
  await paste(page, ['INFO: all is well', 'ERROR: broken'], 'all is well');
  await page.locator('.outcomes').getByText('dropped').waitFor();
  await page.locator('.outcomes button', { hasText: 'all is well' }).click();
  await page.locator('.steps .filter', { hasText: 'drop@99-policy.conf' }).locator('.gone', { hasText: 'dropped' }).waitFor();
  await page.locator('.steps .end').getByText('it is counted').waitFor();
  await calm(page);
});

test('an edited pipeline shows its effect at once, and what runs stays as it is', async () => {
  const before = await (await weir.get('/api/pipelines')).text();
  const page = await visit(browser, weir, '#/pipelines');
  await paste(page, ['user=ada did something'], 'user=ada');
  await page.getByRole('button', { name: 'New file' }).click();
  await page.getByLabel('Text of the pipeline file').fill('filter {\n  grok { match => { "message" => "user=%{WORD:[user][name]}" } }\n}\n');
  await page.locator('.steps .filter', { hasText: 'grok@50-new.conf:2' }).getByText('[user]').waitFor();
  await page.locator('.steps .come', { hasText: '"ada"' }).first().waitFor();
  assert.equal(await (await weir.get('/api/pipelines')).text(), before);
  await page.getByRole('button', { name: 'Undo all' }).click();
  await page.locator('.filetabs button', { hasText: '50-new' }).waitFor({ state: 'detached' });
  await calm(page);
});

test('a mistake is marked at its line, with a hint', async () => {
  const page = await visit(browser, weir, '#/pipelines');
  await page.locator('.filetabs button', { hasText: '00-level.conf' }).waitFor();
  await page.getByRole('button', { name: 'New file' }).click();
  await page.getByLabel('Text of the pipeline file').fill('filter {\n\n  mutat { remove_field => "a" }\n}\n');
  const told = page.locator('.mistakes li');
  await told.waitFor();
  assert.match(await told.innerText(), /50-new\.conf:3 .*mutat.* did you mean `mutate`\?/);
  assert.equal(await page.locator('.gutter [data-wrong=error]').innerText(), '3');
  await calm(page);
});

test('lines and texts are shown, never run; and read no secrets', async () => {
  const page = await visit(browser, weir, '#/pipelines');
  await paste(page, ['<img src=x onerror=alert(1)><script>alert(2)</script>'], '<img src=x');
  assert.equal(await page.locator('main img, main script').count(), 0);
  await page.getByRole('button', { name: 'New file' }).click();
  await page.getByLabel('Text of the pipeline file').fill('filter { mutate { add_field => { "leak" => "${PATH}" } } translate { source => "message" target => "b" dictionary_path => "/etc/passwd" } }');
  await page.locator('.mistakes').getByText('is not read for a trial').waitFor();
  assert.doesNotMatch(await page.locator('main').innerText(), /root:x|\/usr\/bin/);
  await calm(page);
});
