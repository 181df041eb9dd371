//! The page's figures on many documents. See benches/page.
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { open } from './support/browser.mjs';
import { line } from './support/lines.mjs';
import { Weir } from './support/weir.mjs';

const { values: args } = parseArgs({ options: { documents: { type: 'string', default: '10000000' }, data: { type: 'string' } } });
const DOCUMENTS = Number(args.documents);
/** The documents are spread over so many seconds. */
const SPREAD = 24 * 3600;
const ROUNDS = 5;
const LINES = 100_000;
/** How long is scrolled, in milliseconds. */
const SCROLL = 10_000;

const SERVICES = ['shop_web', 'shop_api', 'shop_worker', 'shop_db', 'edge_nginx', 'mail_relay', 'auth_oidc', 'bill_invoice'];
const MESSAGES = [
  (i) => `connection refused: 10.0.${i % 250}.7:5432 after ${i % 9} tries`,
  (i) => `slow request: GET /orders/${i} took ${1000 + (i % 4000)} ms`,
  (i) => `upstream timed out while reading response header from upstream, client: 10.1.${i % 250}.${i % 199}`,
  (i) => `could not obtain a connection from the pool within 5.000 seconds (waited ${i % 5000} ms)`,
  (i) => `{"msg":"payment provider is slow","trace_id":"${(i * 2654435761 % 4294967296).toString(16)}","attempt":${i % 5}}`,
];

/** Document number `i` of all, the oldest first; ends now. */
function document(i, now) {
  const service = SERVICES[i % SERVICES.length];
  const level = i % 11 === 0 ? 'error' : i % 997 === 0 ? 'critical' : 'warn';
  const rare = i % 100_003 === 0 ? ' flux capacitor misaligned' : '';
  return { ...line({ source: 0x100 + (i % SERVICES.length), at: Math.floor(i / SERVICES.length), service, stack: service.split('_')[0], node: `node-${1 + (i % 3)}`, level, message: MESSAGES[i % MESSAGES.length](i) + rare }), '@timestamp': new Date(now - (DOCUMENTS - i) * ((SPREAD * 1000) / DOCUMENTS)).toISOString() };
}

async function fill(weir) {
  const now = Date.now();
  const began = now;
  const CHUNK = 20_000;
  for (let i = 0; i < DOCUMENTS; i += CHUNK) {
    await weir.write(Array.from({ length: Math.min(CHUNK, DOCUMENTS - i) }, (_, k) => document(i + k, now)));
    if (i % 500_000 === 0) console.error(`  ${i.toLocaleString('en')} documents, ${Math.round((Date.now() - began) / 1000)} s`);
  }
}

/** What the window is told before the page begins: notes when lines are painted, and how long frames take. */
function watch() {
  window.weirBench = { painted: 0, generation: '' };
  const note = () => {
    const first = document.querySelector('.line .row')?.textContent ?? '';
    if (first !== '' && first !== window.weirBench.generation) {
      window.weirBench.generation = first;
      // Two frames later it is on the screen.
      requestAnimationFrame(() => requestAnimationFrame(() => { window.weirBench.painted = performance.now(); }));
    }
  };
  new MutationObserver(note).observe(document, { childList: true, subtree: true, characterData: true });
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const row = (what, list, unit = 'ms') => console.log(`${what.padEnd(64)} ${Math.round(median(list)).toString().padStart(6)} ${unit}   (worst of ${list.length}: ${Math.round(Math.max(...list))})`);

async function fresh(browser, url, hash) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  await page.addInitScript(watch);
  await page.goto(`${url}/${hash}`);
  await page.waitForFunction(() => window.weirBench.painted > 0);
  return page;
}

async function opening(browser, url, hash) {
  const times = [];
  for (let i = 0; i < ROUNDS; i += 1) {
    const page = await fresh(browser, url, hash);
    times.push(await page.evaluate(() => window.weirBench.painted));
    await page.context().close();
  }
  return times;
}

/** From Enter to lines on the screen, and from the answer's last byte to lines on the screen. */
async function typing(browser, url, hash, queries) {
  const [whole, after] = [[], []];
  for (const query of queries) {
    const page = await fresh(browser, url, hash);
    await page.waitForLoadState('networkidle');
    await page.locator('#query').fill(query);
    await page.evaluate(() => { performance.clearResourceTimings(); window.weirBench.painted = 0; window.weirBench.generation = ''; });
    const began = await page.evaluate(() => {
      const input = document.querySelector('#query');
      const at = performance.now();
      input.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
      return at;
    });
    // The lines of the search before are still there: those that hold the word count.
    const word = query.split(' ')[0];
    await page.waitForFunction((w) => document.querySelector('.line mark')?.textContent.toLowerCase() === w && window.weirBench.painted > 0, word);
    const { painted, answered } = await page.evaluate((since) => ({
      painted: window.weirBench.painted,
      answered: Math.min(...performance.getEntriesByType('resource').filter((e) => e.name.includes('_search') && e.startTime >= since).map((e) => e.responseEnd)),
    }), began);
    whole.push(painted - began);
    after.push(painted - answered);
    await page.context().close();
  }
  return { whole, after };
}

/** Loads lines to the last, then scrolls by the wheel's steps; answers the lengths of frames and of the page's own work. */
async function scrolling(browser, url, hash) {
  const page = await fresh(browser, url, hash);
  await page.evaluate(async (lines) => {
    const box = document.querySelector('.lines .scroll');
    const shown = () => Number(/([\d,]+) lines/.exec(box.querySelector('.foot')?.textContent ?? '')?.[1].replaceAll(',', '') ?? 0);
    while (shown() < lines) {
      box.scrollTop = box.scrollHeight;
      await new Promise((r) => setTimeout(r, 50));
    }
  }, LINES);
  const found = await page.evaluate(async (length) => {
    const box = document.querySelector('.lines .scroll');
    const frames = [];
    const work = [];
    const long = [];
    new PerformanceObserver((list) => long.push(...list.getEntries().map((e) => e.duration))).observe({ type: 'long-animation-frame' });
    box.scrollTop = 0;
    await new Promise((r) => setTimeout(r, 1000));
    const began = performance.now();
    let last = began;
    let direction = 1;
    while (performance.now() - began < length) {
      await new Promise((r) => requestAnimationFrame(r));
      const now = performance.now();
      frames.push(now - last);
      last = now;
      // 120 pixels a step as a wheel gives, and a flick across thousands of lines now and then.
      if (box.scrollTop + box.clientHeight >= box.scrollHeight - 2) direction = -1;
      if (box.scrollTop <= 0) direction = 1;
      box.scrollTop += direction * (frames.length % 40 === 0 ? 60_000 : 120);
      box.dispatchEvent(new Event('scroll'));
      work.push(performance.now() - now);
    }
    return { frames: frames.slice(1), work, long };
  }, SCROLL);
  await page.context().close();
  return found;
}

const weir = new Weir();
const kept = args.data !== undefined && existsSync(args.data);
if (args.data) await mkdir(args.data, { recursive: true });
await weir.begin({}, args.data);
const browser = await open();
try {
  if (!kept) {
    console.error(`loading ${DOCUMENTS.toLocaleString('en')} documents`);
    await fill(weir);
  }
  const { count } = await (await weir.get('/logs-weir/_count')).json();
  console.log(`${count.toLocaleString('en')} documents over ${SPREAD / 3600} h; load average ${loadavg()[0].toFixed(1)}`);
  const from = `#/logs?from=now-${args.data && kept ? '30d' : '25h'}`;
  row('opening to first lines, all documents in range', await opening(browser, weir.url, from));
  // What is kept is of another day.
  if (!kept) row('opening to first lines, last hour', await opening(browser, weir.url, '#/logs?from=now-1h'));
  const { whole, after } = await typing(browser, weir.url, from, ['refused', 'flux capacitor', 'upstream and log.level: error', 'pool', 'refused and service.name: shop_api']);
  row('Enter to its lines, all documents in range', whole);
  row('  of that after the answer', after);
  const { frames, work, long } = await scrolling(browser, weir.url, from);
  const sorted = [...frames].sort((a, b) => a - b);
  const share = (q) => sorted[Math.floor(sorted.length * q)]?.toFixed(0);
  console.log(`scrolling ${LINES.toLocaleString('en')} lines: ${(1000 / (frames.reduce((a, b) => a + b, 0) / frames.length)).toFixed(0)} frames/s, frame p50 ${share(0.5)} ms, p99 ${share(0.99)} ms, longest ${sorted.at(-1)?.toFixed(0)} ms`);
  console.log(`  the page's own work in a frame: longest ${Math.max(...work).toFixed(0)} ms; frames over 50 ms as the browser counts them: ${long.length}`);
  console.log(`load average ${loadavg()[0].toFixed(1)}`);
} finally {
  await browser.close();
  if (args.data) await weir.kill();
  else await weir.stop();
}
