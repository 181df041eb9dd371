"""elasticdump against weir: an index copied out into files and in again, with its settings and mapping.

usage: with_elasticdump.py URL PROGRAM FOLDER   (FOLDER takes the files; any wrong answer is an AssertionError)
"""

import json
import pathlib
import subprocess
import sys
import urllib.request

COUNT = 350


def call(method, url, body=None):
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    return json.load(urllib.request.urlopen(request, timeout=30))


def documents(url, index):
    answer = call("GET", f"{url}/{index}/_search?size=1000&sort=n")
    return {hit["_id"]: hit["_source"] for hit in answer["hits"]["hits"]}


def main():
    url, program, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    mapping = {"properties": {"n": {"type": "integer"}, "code": {"type": "keyword"}, "place": {"type": "geo_point"}}}
    settings = {"number_of_shards": 1, "refresh_interval": "5s"}
    call("PUT", f"{url}/source", json.dumps({"settings": settings, "mappings": mapping}).encode())
    lines = []
    for n in range(COUNT):
        lines.append({"index": {"_index": "source", "_id": f"id-{n}"}})
        lines.append({"n": n, "code": f"c{n % 7}", "message": f"line {n} with \"quotes\" and ü", "place": {"lat": 1, "lon": n % 90}})
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    assert not call("POST", url + "/_bulk?refresh=true", body)["errors"]
    want = documents(url, "source")
    assert len(want) == COUNT

    def dump(source, target, *options):
        command = [program, f"--input={source}", f"--output={target}", "--quiet", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    for kind in ("settings", "mapping", "data"):
        file = folder / f"{kind}.json"
        dump(f"{url}/source", file, f"--type={kind}")
        dump(file, f"{url}/copy", f"--type={kind}")
    call("POST", f"{url}/copy/_refresh")
    assert documents(url, "copy") == want
    copied = call("GET", f"{url}/copy")["copy"]
    assert copied["mappings"]["properties"]["place"] == {"type": "geo_point"}, copied["mappings"]
    assert copied["settings"]["index"]["refresh_interval"] == "5s", copied["settings"]

    # By a point in time instead of a scroll, straight into another index.
    dump(f"{url}/source", f"{url}/again", "--type=data", "--searchAfter", "--pit=true", "--limit=100")
    call("POST", f"{url}/again/_refresh")
    assert documents(url, "again") == want
    print("elasticdump")


main()
