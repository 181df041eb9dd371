"""Tells schemathesis how lines of JSON are written: a list is one value a line, any other value is one line."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(_, value):
    values = value if isinstance(value, list) else [value]
    return "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in values).encode()
