#!/usr/bin/env python3
"""A Docker json-file log of a given size, the same for the same seed: 90 % debug and info, stack traces, three formats.

usage: corpus.py BYTES [SEED] > container-json.log

Counts of what is in it go to standard error as one JSON object.
"""

import json
import random
import sys
from datetime import datetime, timedelta, timezone

LEVELS = ["DEBUG"] * 35 + ["INFO"] * 55 + ["WARN"] * 7 + ["ERROR"] * 3
PATHS = ["/orders", "/orders/%d", "/cart/%d/items", "/products?page=%d", "/users/%d", "/login", "/search?q=%d"]
FRAMES = ["Order.total", "Cart.add", "Payment.capture", "Pool.acquire", "Handler.dispatch", "Worker.run", "Retry.call"]
START = datetime(2026, 3, 1, tzinfo=timezone.utc)
# A line every three milliseconds of the make-believe clock.
STEP_MICROS = 3_000


def messages(dice):
    """Endless (level, message) pairs; a message of an error may have several lines."""
    bits, pick = dice.getrandbits, dice.choice
    while True:
        level = LEVELS[int(dice.random() * 100)]
        if level == "ERROR":
            text = f"request {bits(64):016x} failed: connection to 10.0.{bits(8)}.{bits(8)} reset by peer after {bits(12)} ms"
            if dice.random() < 0.3:
                text += "".join(f"\n\tat shop.{pick(FRAMES)}(Shop.java:{bits(9)})" for _ in range(3 + bits(3)))
        elif level == "WARN":
            text = f"slow statement {bits(12)} ms: SELECT * FROM orders WHERE user_id = {bits(20)} LIMIT 50"
        elif level == "INFO":
            path = pick(PATHS)
            path = path % bits(20) if "%" in path else path
            text = f"request completed method=GET path={path} status=200 duration_ms={bits(9)} request_id={bits(64):016x} user_id={bits(20)}"
        else:
            text = f"cache {'hit' if bits(2) else 'miss'} key=session:{bits(64):016x} ttl={bits(12)}s shard={bits(4)}"
        yield level, text


def main():
    size_wanted = int(sys.argv[1])
    dice = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    out, dump = sys.stdout.buffer, json.dumps
    size = lines = number = 0
    counts = {}
    block = []
    for level, text in messages(dice):
        at = START + timedelta(microseconds=number * STEP_MICROS)
        stamp = at.strftime("%Y-%m-%dT%H:%M:%S.%f")
        kind = number % 10
        if kind < 3:
            line = dump({"timestamp": stamp + "Z", "level": level, "logger": "shop", "message": text})
        elif kind < 5:
            line = f"{stamp} [{level}] [shop] {text}"
        else:
            line = f"{stamp[:10]} {stamp[11:-3]} {level:5s} [worker-{number % 8}] shop - {text}"
        stream = "stderr" if level == "ERROR" else "stdout"
        for n, part in enumerate(line.split("\n")):
            part = dump(part)[1:-1]
            block.append(f'{{"log":"{part}\\n","stream":"{stream}","time":"{stamp}{n:03d}Z"}}\n')
            size += len(block[-1])
            lines += 1
        counts[level] = counts.get(level, 0) + 1
        number += 1
        if len(block) > 4096:
            out.write("".join(block).encode())
            block.clear()
        if size >= size_wanted:
            break
    out.write("".join(block).encode())
    out.flush()
    print(dump({"bytes": size, "lines": lines, "messages": number, "levels": counts}), file=sys.stderr)


if __name__ == "__main__":
    main()
