//! A weir of a test's own: started on a free port with an empty folder, filled through `_bulk`, killed at the end.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Documents in one `_bulk` request. */
const CHUNK = 5000;
/** How long a start may take on a busy machine, in milliseconds. */
const START_WITHIN = 60_000;

/** A port that was free a moment ago. */
export async function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export class Weir {
  /** Starts one; `settings` are those of the section [indexer]. */
  static async start(settings = {}) {
    const weir = new Weir();
    await weir.begin(settings);
    return weir;
  }

  /** Starts it, on a folder that is there or on a temporary one. */
  async begin(settings, folder) {
    this.folder = folder ?? await mkdtemp(join(tmpdir(), 'weir-ui-'));
    this.port = await freePort();
    this.url = `http://127.0.0.1:${this.port}`;
    this.settings = settings;
    if (settings.username) this.authorization = `Basic ${Buffer.from(`${settings.username}:${settings.password}`).toString('base64')}`;
    await this.up();
  }

  /** Starts the program, also after `kill`, on the same port and folder. */
  async up() {
    const set = Object.entries(this.settings).flatMap(([key, value]) => ['--set', `indexer.${key}=${value}`]);
    const args = ['indexer', '--listen', `127.0.0.1:${this.port}`, '--data-dir', this.folder, '--log', 'warn', ...set];
    this.child = spawn(process.env.WEIR_BIN, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.output = '';
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (bytes) => { this.output = (this.output + bytes).slice(-20_000); });
    const until = Date.now() + START_WITHIN;
    for (;;) {
      const answered = await this.get('/').then((r) => r.ok, () => false);
      if (answered) return;
      if (this.child.exitCode !== null || Date.now() > until) throw new Error(`weir did not start (exit code ${this.child.exitCode}):\n${this.output}`);
      await new Promise((r) => setTimeout(r, 50));
    }
  }

  /** Kills it at once, as a crash would. */
  async kill() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((r) => this.child.once('exit', r));
    this.child.kill('SIGKILL');
    await ended;
  }

  async stop() {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  get(path, headers = {}) {
    return fetch(this.url + path, { headers: { ...(this.authorization ? { Authorization: this.authorization } : {}), ...headers } });
  }

  /** Writes lines (see `lines.mjs`), visible at once. */
  async write(lines) {
    for (let i = 0; i < lines.length; i += CHUNK) {
      const body = lines.slice(i, i + CHUNK).map(({ id, end, index, ...doc }) => {
        const action = { _index: index ?? 'logs-weir', ...(id ? { _id: id, _end: end } : {}) };
        return `${JSON.stringify({ create: action })}\n${JSON.stringify(doc)}\n`;
      }).join('');
      const last = i + CHUNK >= lines.length;
      const response = await fetch(`${this.url}/_bulk${last ? '?refresh=true' : ''}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-ndjson', ...(this.authorization ? { Authorization: this.authorization } : {}) },
        body,
      });
      const answer = await response.json();
      if (!response.ok || answer.errors) throw new Error(`_bulk: ${response.status} ${JSON.stringify(answer).slice(0, 2000)}`);
    }
  }
}
