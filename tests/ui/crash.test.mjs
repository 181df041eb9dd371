//! weir dies and comes back while somebody looks at the page.
import { after, before, test } from 'node:test';
import { calm, found, open, row, search, visit } from './support/browser.mjs';
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

test('a server that dies is said plainly, what was there stays, and all goes on by itself', async () => {
  const page = await visit(browser, weir);
  await found(page, 60);
  await weir.kill();
  await search(page, 'refused');
  await page.getByRole('alert').getByText('weir does not answer.').waitFor();
  await row(page, 'worker 12 exited').waitFor();
  await weir.up();
  await found(page, 16);
  await page.getByText('weir does not answer.').waitFor({ state: 'detached' });
  await calm(page);
});

test('a live tail finds its way back', async () => {
  const page = await visit(browser, weir, '#/logs?live=1');
  await page.getByText('Live', { exact: false }).first().waitFor();
  await page.locator('.pulse[data-status=open]').waitFor();
  await weir.kill();
  await page.getByText('Connection lost').waitFor();
  await weir.up();
  await page.locator('.pulse[data-status=open]').waitFor();
  await weir.write([line({ level: 'error', message: 'back again' })]);
  await row(page, 'back again').waitFor();
  await calm(page);
});
