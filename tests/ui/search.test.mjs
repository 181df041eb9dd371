//! Searching: what is typed, how it is helped along, and how a mistake is shown.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { calm, found, messages, open, search, visit } from './support/browser.mjs';
import { shop } from './support/lines.mjs';
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

test('the page opens on the newest lines, the worst service first', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  assert.match((await messages(page))[0], /worker 12 exited/);
  const services = await page.locator('.services').first().locator('.service .what').allInnerTexts();
  assert.equal(services[0], 'api');
  assert.match(await page.locator('.service').first().innerText(), /api\s+17/);
  await calm(page);
});

test('a word finds the lines that have it, and is highlighted', async () => {
  const page = await visit(browser, weir);
  await search(page, 'refused');
  await found(page, 16);
  assert.equal(await page.locator('.line mark').first().innerText(), 'refused');
  await calm(page);
});

test('KQL asks for fields, alternatives and numbers', async () => {
  const page = await visit(browser, weir);
  await search(page, 'service.name: shop_api and log.level: (error or critical)');
  await found(page, 17);
  await search(page, 'http.response.status_code >= 500 and not message: "after 3 tries"');
  await found(page, 14);
  await calm(page);
});

test('Lucene is there by a switch', async () => {
  const page = await visit(browser, weir);
  await page.getByRole('button', { name: /Query language/ }).click();
  await search(page, 'service.name:shop_db OR message:/work.*/');
  await found(page, 22);
  await calm(page);
});

test('fields, operators and values are completed from the live index', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  const query = page.locator('#query');
  await query.click();
  await query.pressSequentially('servi');
  await page.getByRole('option', { name: /service\.name/ }).waitFor();
  await query.press('ArrowDown');
  await query.press('Enter');
  assert.equal(await query.inputValue(), 'service.name: ');
  await query.pressSequentially('work');
  await page.getByRole('option', { name: /shop_worker/ }).click();
  await query.press('Enter');
  await found(page, 3);
  await calm(page);
});

test('a mistake is marked at its place', async () => {
  const page = await visit(browser, weir);
  await search(page, 'refused and (tries');
  await page.locator('#query-problem').waitFor();
  assert.equal(await page.locator('.paint .wrong').first().innerText(), '(');
  await calm(page);
});

test('queries typed before are offered again', async () => {
  const page = await visit(browser, weir);
  await search(page, 'checkpoint');
  await found(page, 20);
  await page.getByRole('button', { name: 'Clear the search' }).click();
  await page.getByRole('option', { name: /checkpoint/ }).click();
  await page.locator('#query').press('Enter');
  await found(page, 20);
  await calm(page);
});

test('a link shows a colleague the same screen, and back and forward work', async () => {
  const page = await visit(browser, weir);
  await search(page, 'refused');
  await found(page, 16);
  await page.locator('.service', { hasText: 'api' }).click();
  await found(page, 15);
  const link = page.url();
  await page.goBack();
  await found(page, 16);
  await page.goForward();
  await found(page, 15);

  const colleague = await visit(browser, weir, new URL(link).hash);
  await found(colleague, 15);
  assert.equal(await colleague.locator('#query').inputValue(), 'refused');
  await colleague.getByText('service.name = shop_api').waitFor();
  await calm(colleague);
  await calm(page);
});

test('searches are saved for everybody', async () => {
  const page = await visit(browser, weir);
  await search(page, 'refused');
  await found(page, 16);
  await page.getByRole('button', { name: 'Saved searches' }).click();
  await page.getByLabel('Name for this search').fill('gateway trouble');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('link', { name: 'gateway trouble' }).waitFor();

  const colleague = await visit(browser, weir);
  await found(colleague, 60);
  await colleague.getByRole('button', { name: 'Saved searches' }).click();
  await colleague.getByRole('link', { name: 'gateway trouble' }).click();
  await found(colleague, 16);
  await colleague.getByRole('button', { name: 'Saved searches' }).click();
  await colleague.getByRole('button', { name: 'Delete gateway trouble' }).click();
  await colleague.getByText('None yet').waitFor();
  await calm(colleague);
  await calm(page);
});

test('a mistake that only the indexer sees is marked where it says', async () => {
  const page = await visit(browser, weir);
  await search(page, 'refused and and tries');
  await page.locator('#query-problem').waitFor();
  assert.equal(await page.locator('.paint .wrong').first().innerText(), 'and');
  await page.getByRole('heading', { name: 'This search cannot be answered' }).or(page.locator('.line').first()).first().waitFor();
  await calm(page);
});

test('nothing found says what could be done', async () => {
  const page = await visit(browser, weir);
  await search(page, 'nosuchword');
  await page.getByText('No lines here').waitFor();
  await page.getByRole('button', { name: 'Without the search text' }).click();
  await found(page, 60);
  await calm(page);
});
