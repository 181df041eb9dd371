//! A result of 100,000 lines: every one can be reached, and the page holds only what is in view.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { calm, found, open, PATIENCE, visit } from './support/browser.mjs';
import { line } from './support/lines.mjs';
import { Weir } from './support/weir.mjs';

const COUNT = 100_000;
/** Rows that may exist at a time: those in view, and some on each side. */
const MOST_ROWS = 120;

let weir;
let browser;
before(async () => {
  weir = await Weir.start();
  await weir.write(Array.from({ length: COUNT }, (_, i) => line({ ago: 800 - i * 0.005, at: i, level: i % 7 === 0 ? 'error' : 'warn', message: `line number ${i} of many${i % 50 === 0 ? '\nand a second one' : ''}` })));
  browser = await open();
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

test('100,000 lines are scrolled from the first to the last', async () => {
  const page = await visit(browser, weir, '#/logs?from=now-1h');
  await found(page, COUNT);
  await page.locator('.line').first().getByText(`line number ${COUNT - 1}`).waitFor();
  const longest = await page.evaluate(async (patience) => {
    // Frames are measured while lines are loaded and scrolled, for the report.
    const box = document.querySelector('.lines .scroll');
    let longest = 0;
    let last = performance.now();
    let running = true;
    const frame = (now) => {
      longest = Math.max(longest, now - last);
      last = now;
      if (running) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    const until = Date.now() + 8 * patience;
    while (!box.textContent.includes('That is all') && Date.now() < until) {
      box.scrollTop = box.scrollHeight;
      await new Promise((r) => setTimeout(r, 20));
    }
    box.scrollTop = box.scrollHeight;
    running = false;
    return longest;
  }, PATIENCE);
  console.log(`longest frame while loading and scrolling: ${Math.round(longest)} ms`);
  await page.getByText('That is all: 100,000 lines').waitFor();
  await page.locator('.line').last().getByText('line number 0 of many').waitFor();
  assert.ok((await page.locator('.line').count()) <= MOST_ROWS);

  // Anywhere in between is there at once.
  await page.locator('.lines .scroll').evaluate((box) => { box.scrollTop = box.scrollHeight / 2; });
  await page.locator('.line', { hasText: /line number (49|50)\d{3}/ }).first().waitFor();
  assert.ok((await page.locator('.line').count()) <= MOST_ROWS);
  await calm(page);
});

test('rows of any height keep their places', async () => {
  const page = await visit(browser, weir, '#/logs?from=now-1h');
  await found(page, COUNT);
  for (const i of [2, 5, 9]) await page.locator(`#row-${i} .opener button`).click();
  await page.locator('.lines').focus();
  await page.keyboard.press('Home');
  for (let i = 0; i < 30; i += 1) await page.keyboard.press('j');
  await page.locator('#row-30[aria-selected=true]').waitFor();
  const inView = await page.locator('#row-30').evaluate((e) => {
    const box = document.querySelector('.lines .scroll').getBoundingClientRect();
    const own = e.getBoundingClientRect();
    return own.top >= box.top - 1 && own.bottom <= box.bottom + 1;
  });
  assert.ok(inView);
  await calm(page);
});
