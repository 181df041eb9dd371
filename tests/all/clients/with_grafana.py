"""The requests of Grafana's Elasticsearch data source, as they were recorded, and what it reads of the answers.

usage: with_grafana.py URL REQUESTS.json   (any wrong answer is an AssertionError)
"""

import json
import sys
import urllib.request

FROM = 1714557600000


def call(method, url, body=None, kind="application/json"):
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["X-Elastic-Product"] == "Elasticsearch", url
        return json.load(answer)


def main():
    url, requests = sys.argv[1], json.load(open(sys.argv[2]))
    lines = []
    for n in range(120):
        lines.append({"create": {"_index": "logs-weir"}})
        lines.append({
            "@timestamp": FROM + n * 30_000, "message": f"shop answered {n}", "level": "error" if n % 3 == 0 else "info",
            "service": {"name": ["api", "web"][n // 2 % 2]}, "host": {"name": "node"}, "tags": ["deploy"], "took": n,
        })
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    assert not call("POST", url + "/_bulk?refresh=true", body)["errors"]
    for one in requests:
        if "body" not in one:
            answer = call(one["method"], url + one["path"])
            assert answer, one["use"]
            continue
        text = json.dumps(one["header"]) + "\n" + json.dumps(one["body"]) + "\n"
        response = call(one["method"], url + one["path"], text.encode(), one["content_type"])["responses"][0]
        assert "error" not in response and response["status"] == 200, (one["use"], response)
        for name in one["body"].get("aggs", {}):
            assert response["aggregations"][name]["buckets"], (one["use"], response)
        if one["body"].get("size", 10) > 0 and "search_after" not in one["body"]:
            assert response["hits"]["hits"], (one["use"], one["body"]["query"])
            hit = response["hits"]["hits"][0]
            assert hit["_source"]["message"] and hit["_index"] == "logs-weir", (one["use"], hit)
            assert "sort" not in one["body"] or len(hit["sort"]) == len(one["body"]["sort"]), (one["use"], hit)
    print("grafana", len(requests), "requests")


main()
