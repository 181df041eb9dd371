"""opensearch-py against weir: bulk, search, scroll, point in time, templates, aliases, errors.

usage: with_opensearch.py URL   (prints the client's version; any wrong answer is an AssertionError)
"""

import sys

import opensearchpy
from opensearchpy import OpenSearch, helpers

INDEX = "opensearch-logs"
COUNT = 250


def main():
    client = OpenSearch(sys.argv[1], timeout=60)
    assert client.ping() and client.info()["version"]["number"]
    client.indices.put_index_template(
        name="opensearch",
        body={"index_patterns": [INDEX + "*"], "template": {"mappings": {"properties": {"n": {"type": "integer"}}}}},
    )
    documents = ({"_index": INDEX, "_id": str(n), "n": n, "message": f"line {n}", "even": n % 2 == 0} for n in range(COUNT))
    assert helpers.bulk(client, documents, refresh=True) == (COUNT, [])
    assert client.indices.get_mapping(index=INDEX)[INDEX]["mappings"]["properties"]["n"] == {"type": "integer"}

    found = client.search(index=INDEX, body={"query": {"term": {"even": True}}, "size": 3, "sort": [{"n": "desc"}]})
    assert found["hits"]["total"] == {"value": COUNT // 2, "relation": "eq"}, found["hits"]["total"]
    assert [hit["_source"]["n"] for hit in found["hits"]["hits"]] == [248, 246, 244]
    assert client.count(index=INDEX, body={"query": {"match": {"message": "17"}}})["count"] == 1

    scanned = sorted(hit["_source"]["n"] for hit in helpers.scan(client, index=INDEX, size=70))
    assert scanned == list(range(COUNT)), scanned[:5]

    pit = client.create_pit(index=INDEX, params={"keep_alive": "1m"})["pit_id"]
    seen, after = [], None
    while True:
        body = {"size": 100, "sort": [{"n": "asc"}], "pit": {"id": pit, "keep_alive": "1m"}}
        if after is not None:
            body["search_after"] = after
        hits = client.search(body=body)["hits"]["hits"]
        if not hits:
            break
        seen += [hit["_source"]["n"] for hit in hits]
        after = hits[-1]["sort"]
    assert seen == list(range(COUNT)), seen[:5]
    assert client.delete_pit(body={"pit_id": [pit]})["pits"][0]["successful"]

    client.indices.put_alias(index=INDEX, name="odd", body={"filter": {"term": {"even": False}}})
    assert client.count(index="odd")["count"] == COUNT // 2
    client.update(index=INDEX, id="1", body={"doc": {"even": True}}, refresh=True)
    assert client.count(index="odd")["count"] == COUNT // 2 - 1
    assert client.field_caps(index=INDEX, fields="*")["fields"]["n"]["integer"]["aggregatable"]
    assert any(row["index"] == INDEX for row in client.cat.indices(format="json"))
    answers = client.msearch(body=[{"index": INDEX}, {"size": 0}, {"index": "none"}, {"size": 0}])["responses"]
    assert answers[0]["hits"]["total"]["value"] == COUNT and answers[1]["status"] == 404
    try:
        client.search(index=INDEX, body={"query": {"nothing": {}}})
        raise SystemExit("a query that does not exist was answered")
    except opensearchpy.RequestError as error:
        assert error.status_code == 400 and error.error == "parsing_exception", error
    client.indices.delete(index=INDEX)
    print("opensearch-py", opensearchpy.__versionstr__)


main()
