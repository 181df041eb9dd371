"""The official Python client against weir: bulk helpers, search, count, scan, aggregations, errors.

usage: with_elasticsearch.py URL   (prints the client's version; any wrong answer is an AssertionError)
"""

import sys
from datetime import datetime, timedelta, timezone

import elasticsearch
from elasticsearch import Elasticsearch, helpers

INDEX = "logs-weir"
COUNT = 3000
START = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
SERVICES = ["web", "worker", "gateway"]
RUN = "client%d" % elasticsearch.VERSION[0] if hasattr(elasticsearch, "VERSION") else "client%d" % elasticsearch.__version__[0]


def documents():
    for n in range(COUNT):
        yield {
            "_op_type": "create",
            "_index": INDEX,
            "_id": f"{RUN}-{n}",
            "@timestamp": (START + timedelta(seconds=n)).isoformat().replace("+00:00", "Z"),
            "message": f"{RUN} order {n} {'payment failed' if n % 10 == 0 else 'was shipped'}",
            "log": {"level": "error" if n % 10 == 0 else "warn", "offset": n},
            "service": {"name": SERVICES[n % 3]},
            "container": {"name": f"{RUN}.1"},
        }


def mine(*filters):
    return {"bool": {"filter": [{"term": {"container.name": f"{RUN}.1"}}, *filters]}}


def objects(es):
    """The same asked through the client's DSL, which reads every document by a point in time."""
    from elasticsearch.dsl import A, Q, Search

    search = Search(using=es, index=INDEX).filter("term", **{"container.name": f"{RUN}.1"})
    failed = search.query(Q("match_phrase", message="payment failed")).sort("@timestamp").extra(track_total_hits=True)
    failed.aggs.bucket("services", A("terms", field="service.name")).metric("last", "max", field="log.offset")
    answer = failed.execute()
    assert answer.success() and answer.hits.total.value == COUNT // 10, answer.to_dict()
    assert answer[0].message == f"{RUN} order 0 payment failed" and answer[0].log.offset == 0, answer[0].to_dict()
    assert sum(bucket.doc_count for bucket in answer.aggregations.services.buckets) == COUNT // 10
    offsets = sorted(hit.log.offset for hit in search.sort("@timestamp").iterate(keep_alive="1m"))
    assert offsets == list(range(COUNT)), (len(offsets), offsets[:20])


def main():
    es = Elasticsearch(sys.argv[1], request_timeout=60)
    info = es.info()
    assert info["version"]["number"] and info["tagline"], info

    done, errors = helpers.bulk(es, documents(), chunk_size=500, refresh=True)
    assert (done, errors) == (COUNT, []), (done, errors)
    # The same again: every document is there already, and each says so by itself.
    done, errors = helpers.bulk(es, documents(), chunk_size=500, raise_on_error=False, stats_only=True)
    assert (done, errors) == (0, COUNT), (done, errors)

    assert es.count(index=INDEX, query=mine())["count"] == COUNT
    assert es.count(index=INDEX, query=mine({"term": {"log.level": "error"}}))["count"] == COUNT // 10

    found = es.search(
        index=INDEX,
        query={"bool": {"must": [{"match_phrase": {"message": "payment failed"}}], "filter": mine()["bool"]["filter"]}},
        sort=[{"@timestamp": "desc"}],
        size=5,
        source=["message", "@timestamp"],
    )
    assert found["hits"]["total"]["value"] == COUNT // 10, found["hits"]["total"]
    messages = [hit["_source"]["message"] for hit in found["hits"]["hits"]]
    assert messages == [f"{RUN} order {n} payment failed" for n in range(COUNT - 10, COUNT - 60, -10)], messages

    text = es.search(index=INDEX, query={"query_string": {"query": f'service.name:web AND container.name:"{RUN}.1" AND failed'}}, size=0)
    assert text["hits"]["total"]["value"] == COUNT // 30, text

    answer = es.search(
        index=INDEX,
        query=mine(),
        size=0,
        aggs={
            "minutes": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1m"}},
            "services": {
                "terms": {"field": "service.name", "size": 10},
                "aggs": {"offsets": {"stats": {"field": "log.offset"}}},
            },
        },
    )
    minutes = answer["aggregations"]["minutes"]["buckets"]
    assert [bucket["doc_count"] for bucket in minutes] == [60] * (COUNT // 60), minutes
    assert minutes[0]["key"] == int(START.timestamp() * 1000), minutes[0]
    services = {b["key"]: (b["doc_count"], b["offsets"]["max"]) for b in answer["aggregations"]["services"]["buckets"]}
    assert services == {s: (COUNT // 3, float(COUNT - 3 + n)) for n, s in enumerate(SERVICES)}, services

    # Pages by from and size, without a hole or an overlap.
    numbers = []
    for page in range(0, COUNT, 1000):
        hits = es.search(index=INDEX, query=mine(), sort=[{"@timestamp": "asc"}], from_=page, size=1000)["hits"]["hits"]
        numbers += [hit["_source"]["log"]["offset"] for hit in hits]
    assert numbers == list(range(COUNT)), numbers[:20]

    scanned = sorted(hit["_source"]["log"]["offset"] for hit in helpers.scan(es, index=INDEX, query={"query": mine()}, size=700))
    assert scanned == list(range(COUNT)), (len(scanned), scanned[:20])

    objects(es)

    try:
        es.search(index=INDEX, query={"more_like_this": {"like": "x"}})
        raise SystemExit("a query that is not supported was answered")
    except elasticsearch.BadRequestError as error:
        assert "more_like_this" in str(error), error

    assert es.cluster.health()["status"] in ("green", "yellow")
    assert any(row["index"] == INDEX for row in es.cat.indices(format="json"))
    print("elasticsearch", elasticsearch.__versionstr__)


main()
