//! How the page is served: to whom, under which policy, and how heavy it is.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { open, PATIENCE } from './support/browser.mjs';
import { Weir } from './support/weir.mjs';

/** Bytes that a first visit may load, compressed. */
const FIRST_LOAD_MAX = 120_000;
const BROWSER = { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

let weir;
let browser;
before(async () => {
  weir = await Weir.start();
  browser = await open();
});
after(async () => {
  await browser?.close();
  await weir?.stop();
});

test('browsers get the page, API clients the hello', async () => {
  assert.match(await (await weir.get('/', BROWSER)).text(), /<title>weir<\/title>/);
  assert.equal((await (await weir.get('/')).json()).tagline, 'You Know, for Search');
});

test('the policy allows nothing inline and nothing from elsewhere', async () => {
  const policy = (await weir.get('/', BROWSER)).headers.get('content-security-policy');
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*|data:/);
});

test('the first visit loads little, and nothing from another host', async () => {
  const page = await browser.newPage();
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  let bytes = 0;
  const hosts = new Set();
  const assets = new Set();
  session.on('Network.responseReceived', ({ requestId, response }) => {
    hosts.add(new URL(response.url).host);
    if (!/_search|_field_caps|\/api\//.test(response.url)) assets.add(requestId);
  });
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => { if (assets.has(requestId)) bytes += encodedDataLength; });
  await page.goto(weir.url, { waitUntil: 'load' });
  await page.locator('#query').waitFor({ timeout: PATIENCE });
  console.log(`first load: ${bytes} bytes`);
  assert.ok(bytes > 10_000 && bytes <= FIRST_LOAD_MAX, `${bytes} bytes`);
  assert.deepEqual([...hosts], [new URL(weir.url).host]);
  await page.close();
});

test('files with a name of their own are kept for ever, the page is asked for each time', async () => {
  const html = await weir.get('/', BROWSER);
  assert.equal(html.headers.get('cache-control'), 'no-cache');
  const script = /src="(\/_ui\/[^"]+\.js)"/.exec(await html.text())[1];
  const answer = await weir.get(script, { 'Accept-Encoding': 'br' });
  assert.match(answer.headers.get('cache-control'), /immutable/);
  assert.equal(answer.headers.get('content-encoding'), 'br');
});

test('a page of another site cannot use the API through a reader\'s browser', async () => {
  const page = await browser.newPage();
  await page.route('http://evil.example/', (route) => route.fulfill({ contentType: 'text/html', body: '<h1>evil</h1>' }));
  await page.goto('http://evil.example/');
  await page.evaluate((url) => fetch(`${url}/_bulk`, { method: 'POST', mode: 'no-cors', body: '{"index":{"_index":"planted"}}\n{"message":"x"}\n' }).catch(() => undefined), weir.url);
  assert.equal((await weir.get('/planted')).status, 404);
  const refused = await fetch(`${weir.url}/_bulk`, { method: 'POST', headers: { Origin: 'http://evil.example' }, body: '' });
  assert.equal(refused.status, 403);
  await page.close();
});

test('with credentials set, nobody searches without them', async () => {
  const locked = await Weir.start({ username: 'ada', password: 'lovelace' });
  try {
    assert.equal((await fetch(`${locked.url}/_search`)).status, 401);
    assert.equal((await locked.get('/_search')).status, 200);
  } finally {
    await locked.stop();
  }
});
