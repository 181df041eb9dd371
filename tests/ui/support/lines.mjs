//! Log lines as weir's aggregator writes them: of a small shop, whose database has just gone away.

const PYTHON = `Traceback (most recent call last):
  File "/app/worker.py", line 88, in run
    self.handle(job)
  File "/app/jobs.py", line 31, in handle
    charge(job.order)
  File "/app/pay.py", line 12, in charge
    response = client.post(url)
  File "/usr/lib/python3.12/http.py", line 410, in post
    return self.send(request)
ConnectionError: payment gateway refused the connection`;

/** One line. `ago` is in seconds; `at` counts the lines of a source and gives the identity. */
export function line({ ago = 0, at, source = 1, service = 'shop_api', stack = 'shop', node = 'node-1', level, message, ...more }) {
  const id = source.toString(16).padStart(16, '0');
  return {
    ...(at === undefined ? {} : { id: `${id}-${at * 100}`, end: at * 100 + 99 }),
    '@timestamp': new Date(Date.now() - ago * 1000).toISOString(),
    message,
    stream: level === 'error' ? 'stderr' : 'stdout',
    log: { offset: (at ?? 0) * 100, ...(level ? { level } : {}), file: { path: '/var/lib/docker/containers/4f5c/4f5c-json.log' } },
    host: { name: node },
    container: { id: `4f5c${service}`, name: `${service}.1.abc`, image: { name: `registry/${service}:1.4` } },
    service: { name: service },
    ...(stack ? { orchestrator: { namespace: stack } } : {}),
    ...more,
  };
}

/** A shop in trouble: 60 lines over the last ten minutes, the worst of them in the last two. */
export function shop() {
  const out = [];
  for (let i = 0; i < 20; i += 1) {
    out.push(line({ ago: 600 - i * 20, at: i, source: 0x10, service: 'shop_db', node: 'node-2', level: 'warn', message: `checkpoint took ${1000 + i} ms` }));
    out.push(line({ ago: 599 - i * 20, at: i, source: 0x20, service: 'edge_nginx', stack: 'edge', message: `GET /orders/${i} 200`, http: { response: { status_code: 200 } } }));
  }
  for (let i = 0; i < 15; i += 1) {
    out.push(line({ ago: 110 - i * 5, at: i, source: 0x30, service: 'shop_api', level: 'error', message: `connection refused: 10.0.0.7:5432 after ${i} tries`, http: { response: { status_code: 502 } } }));
  }
  out.push(line({ ago: 20, at: 15, source: 0x30, service: 'shop_api', level: 'error', message: '\u001b[31mERROR\u001b[0m [\u001b[36mpool-3\u001b[0m] no connection within \u001b[1m30s\u001b[0m' }));
  out.push(line({ ago: 18, at: 0, source: 0x40, service: 'shop_worker', level: 'error', message: PYTHON }));
  out.push(line({ ago: 16, at: 1, source: 0x40, service: 'shop_worker', level: 'error', message: '{"event":"payment_failed","order":4711,"customer":{"country":"DE"}}' }));
  out.push(line({ ago: 14, at: 16, source: 0x30, service: 'shop_api', level: 'critical', message: 'giving up: no database' }));
  out.push(line({ ago: 12, at: 2, source: 0x40, service: 'shop_worker', message: 'worker 12 exited' }));
  return out;
}
