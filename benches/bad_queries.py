#!/usr/bin/env python3
"""How much a thousand concurrent bad queries slow ingestion down.

usage: benches/bad_queries.py [WEIR [SECONDS [QUERIES]]]      (target/release/weir, 20 seconds, 1000 queries)

Starts `weir indexer` in a folder of its own, fills it, measures how many documents a second one client gets written
alone, then the same while QUERIES connections each ask one bad query after the other: patterns that begin with a
wildcard, long regular expressions, terms of terms of terms. Prints both figures and their ratio. Ends with status 1
when ingestion falls below half.
"""

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

BAD = [
    {"query": {"wildcard": {"message": "*a*b*c*"}}, "sort": [{"took": "desc"}]},
    {"query": {"regexp": {"path.keyword": "(.*(a|b|c|d).*){1,20}x"}}},
    {"query": {"query_string": {"query": "*e* AND *a* AND NOT *zz*"}}, "track_total_hits": True},
    {"size": 0, "aggs": {"a": {"terms": {"field": "path.keyword", "size": 10000}, "aggs": {
        "b": {"terms": {"field": "took", "size": 1000}, "aggs": {"c": {"date_histogram": {
            "field": "@timestamp", "fixed_interval": "1s"}}}}}}}},
    {"size": 10000, "query": {"fuzzy": {"message": {"value": "reguest", "fuzziness": 2}}}},
]
BATCH = 1000


def batch(start):
    lines = []
    for n in range(start, start + BATCH):
        lines.append('{"create":{"_index":"logs-weir"}}')
        lines.append(json.dumps({
            "@timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1767225600 + n // 100)) + ".000Z",
            "message": f"request {n} to shop answered {200 + n % 7} after {n % 1009} ms by worker {n % 31}",
            "path": f"/shop/{n % 5003}/item/{n % 97}", "took": n % 1009,
            "log": {"level": "error" if n % 10 == 0 else "warn"}, "service": {"name": f"service-{n % 13}"},
        }))
    return ("\n".join(lines) + "\n").encode()


async def call(reader, writer, method, path, body):
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: weir\r\nContent-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(next(line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")))
    return int(head.split()[1]), await reader.readexactly(length)


async def ingest(port, bodies, seconds):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    written, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        status, answer = await call(reader, writer, "POST", "/_bulk?filter_path=errors", next(bodies))
        assert (status, answer) == (200, b'{"errors":false}'), (status, answer[:300])
        written += BATCH
    writer.close()
    return written / (time.monotonic() - began)


async def ask(port, query, counts):
    body = json.dumps(query).encode()
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            status, _ = await call(reader, writer, "POST", "/logs-weir/_search", body)
            counts[status] = counts.get(status, 0) + 1
            if status == 429:
                await asyncio.sleep(1)
        finally:
            writer.close()


async def measure(port, seconds, queries):
    prepared = [batch(n * BATCH) for n in range(200)]
    bodies = itertools.cycle(prepared)
    await ingest(port, bodies, seconds / 2)  # something to search, and warm
    alone = await ingest(port, bodies, seconds)
    counts = {}
    asking = [asyncio.create_task(ask(port, BAD[n % len(BAD)], counts)) for n in range(queries)]
    await asyncio.sleep(2)
    beside = await ingest(port, bodies, seconds)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    return alone, beside, counts


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    weir = sys.argv[1] if len(sys.argv) > 1 else os.path.join(root, "target/release/weir")
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 20
    queries = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ, "WEIR_INDEXER_LISTEN": f"127.0.0.1:{port}", "WEIR_INDEXER_DATA_DIR": folder,
            # All clients have one address here; as many connections of one are not allowed otherwise.
            "WEIR_INDEXER_CONNECTIONS_MAX": str(queries + 100), "WEIR_INDEXER_CONNECTIONS_PER_PEER_MAX": str(queries + 100),
        }
        server = subprocess.Popen([weir, "indexer"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).read()
                    break
                except OSError:
                    time.sleep(0.1)
            alone, beside, counts = asyncio.run(measure(port, seconds, queries))
        finally:
            server.terminate()
            server.wait(30)
    print(f"alone {alone:.0f} documents/s, beside {queries} bad queries {beside:.0f} documents/s: {beside / alone:.0%}")
    print("answers to the queries by status:", dict(sorted(counts.items())))
    sys.exit(0 if beside >= alone / 2 else 1)


main()
