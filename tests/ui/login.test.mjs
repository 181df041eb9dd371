//! Logging in, where the indexer has credentials: a form, a session, and out again.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { calm, found, open, PATIENCE, row, visit } from './support/browser.mjs';
import { line, shop } from './support/lines.mjs';
import { Weir } from './support/weir.mjs';

let weir;
let browser;
before(async () => {
  weir = await Weir.start({ username: 'ada', password: 'lovelace' });
  await weir.write(shop());
  browser = await open();
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

/** Fills in the form. */
async function logIn(page, user, password) {
  await page.getByLabel('User').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}

test('nobody sees a line without logging in', async () => {
  const page = await visit(browser, weir);
  await page.getByRole('form', { name: 'Log in' }).waitFor();
  assert.equal(await page.locator('.line').count(), 0);
  const refused = await page.evaluate(() => fetch('/_search', { method: 'POST', body: '{}' }).then((r) => r.status));
  assert.equal(refused, 401);
  await calm(page);
});

test('a wrong password is said, the right one opens the screen of the link', async () => {
  const page = await visit(browser, weir, '#/logs?q=refused');
  await logIn(page, 'ada', 'byron');
  await page.getByRole('alert').getByText('do not go together').waitFor();
  await logIn(page, 'ada', 'lovelace');
  await found(page, 16);
  // The session outlives the window's content, and every kind of request has it.
  await page.reload();
  await found(page, 16);
  await page.goto(`${weir.url}/#/logs?live=1`);
  await page.locator('.pulse[data-status=open]').waitFor();
  await weir.write([line({ level: 'error', message: 'seen by ada' })]);
  await row(page, 'seen by ada').waitFor();
  await calm(page);
});

test('whoever logs out is out', async () => {
  const page = await visit(browser, weir);
  await logIn(page, 'ada', 'lovelace');
  await found(page, 61);
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('form', { name: 'Log in' }).waitFor();
  await page.reload();
  await page.getByRole('form', { name: 'Log in' }).waitFor({ timeout: PATIENCE });
  await calm(page);
});

test('a session that ends asks for the password again, and goes on where one was', async () => {
  const page = await visit(browser, weir, '#/logs?q=refused');
  await logIn(page, 'ada', 'lovelace');
  await found(page, 16);
  await page.context().clearCookies();
  await page.keyboard.press('Escape');
  await page.locator('.found').click();
  await page.keyboard.press('r');
  await page.getByRole('form', { name: 'Log in' }).waitFor();
  await logIn(page, 'ada', 'lovelace');
  await found(page, 16);
  await calm(page);
});

test('another page cannot act with a reader\'s session', async () => {
  const page = await visit(browser, weir);
  await logIn(page, 'ada', 'lovelace');
  await found(page, 61);
  const status = await page.evaluate(() => fetch('/logs-weir/_search', { method: 'POST', body: '{}' }).then((r) => r.status));
  assert.equal(status, 403, 'a POST without the token of the session was let in');
  await calm(page);
});
