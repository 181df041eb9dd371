//! Searches as clients send them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use weir_indexer::tokenizer;

use crate::support::Server;

/// Documents with every kind of value, in two indices.
fn filled() -> Server {
    let server = Server::start();
    let mut body = String::new();
    for (n, (level, service, message, took)) in [
        ("error", "api", "connection reset by peer", 120),
        ("info", "api", "request done in 3 ms", 3),
        ("error", "web", "connection refused by upstream", 7),
        ("warn", "web", "Request slow: peer reset connection", 950),
        ("info", "db", "checkpoint complete", 40),
    ]
    .iter()
    .enumerate()
    {
        let index = if n < 3 { "logs-a" } else { "logs-b" };
        body.push_str(&json!({"index": {"_index": index, "_id": n.to_string()}}).to_string());
        body.push('\n');
        let document = json!({
            "@timestamp": format!("2026-11-20T10:0{n}:00.000Z"), "message": message,
            "log": {"level": level}, "service": {"name": service},
            "took": took, "ok": *level == "info", "tags": [service, "all"], "user": {"name": format!("User {n}")},
        });
        body.push_str(&document.to_string());
        body.push('\n');
    }
    let answer = server.post("/_bulk?refresh=true", &body);
    assert_eq!(answer.json()["errors"], json!(false), "{}", answer.text());
    server
}

fn search(server: &Server, body: Value) -> Value {
    let answer = server.post("/logs-*/_search", &body.to_string());
    assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    answer.json()
}

fn ids(answer: &Value) -> Vec<String> {
    let hits = answer["hits"]["hits"].as_array().unwrap();
    hits.iter().map(|h| h["_id"].as_str().unwrap().to_string()).collect()
}

fn found(server: &Server, query: Value) -> Vec<String> {
    ids(&search(server, json!({"query": query, "sort": [{"@timestamp": "asc"}]})))
}

#[test]
fn queries_find_what_they_ask_for() {
    let server = filled();
    for (query, want) in [
        (json!({"match_all": {}}), "01234"),
        (json!({"match": {"message": "connection REQUEST"}}), "0123"),
        (json!({"match": {"message": {"query": "reset peer", "operator": "and"}}}), "03"),
        (json!({"match_phrase": {"message": "connection reset"}}), "0"),
        (json!({"match_phrase": {"message": {"query": "reset peer", "slop": 1}}}), "0"),
        (json!({"match_phrase_prefix": {"message": "connection re"}}), "02"),
        // A phrase that is excluded, and whose first document is not the first of all.
        (json!({"kql": {"query": "not message: \"checkpoint complete\""}}), "0123"),
        (json!({"bool": {"must_not": {"match_phrase": {"message": "connection refused"}}}}), "0134"),
        (json!({"multi_match": {"query": "web", "fields": ["service.*", "message"]}}), "23"),
        (json!({"term": {"log.level": "error"}}), "02"),
        (json!({"term": {"log.level.keyword": "error"}}), "02"),
        (json!({"terms": {"log.level": ["error", "warn"]}}), "023"),
        (json!({"term": {"took": "950"}}), "3"),
        (json!({"term": {"ok": true}}), "14"),
        (json!({"term": {"tags.keyword": "db"}}), "4"),
        (json!({"term": {"user.name.keyword": "User 2"}}), "2"),
        (json!({"range": {"took": {"gt": 7, "lte": 120}}}), "04"),
        (json!({"range": {"@timestamp": {"gte": "2026-11-20T10:01:00Z", "lt": "2026-11-20T10:03:00Z"}}}), "12"),
        (json!({"range": {"@timestamp": {"from": 1_795_168_800_000_i64, "format": "epoch_millis"}}}), "01234"),
        (
            json!({"range": {"@timestamp": {"gte": "2026-11-20||/d", "lt": "2026-11-20||+1d/d", "time_zone": "+01:00"}}}),
            "01234",
        ),
        (json!({"exists": {"field": "user"}}), "01234"),
        (json!({"exists": {"field": "nothing"}}), ""),
        (json!({"prefix": {"service.name": "w"}}), "23"),
        (json!({"wildcard": {"service.name": "?p*"}}), "01"),
        (json!({"regexp": {"service.name": "(api|db)"}}), "014"),
        (json!({"fuzzy": {"service.name": "wep"}}), "23"),
        (json!({"ids": {"values": ["1", "4", "x"]}}), "14"),
        (json!({"query_string": {"query": "log.level:error AND NOT service.name:web"}}), "0"),
        (json!({"query_string": {"query": "connection -refused", "default_operator": "AND"}}), "03"),
        (json!({"query_string": {"query": "took:>100 OR message:\"checkpoint complete\""}}), "034"),
        (json!({"query_string": {"query": "_exists_:took AND @timestamp:[2026-11-20T10:04:00Z TO *]"}}), "4"),
        (json!({"simple_query_string": {"query": "reset + peer | checkpoint", "fields": ["message"]}}), "034"),
        (json!({"kql": {"query": "log.level:(error or warn) and not service.name:api"}}), "23"),
        (
            json!({"bool": {"filter": {"term": {"log.level": "info"}}, "must_not": [{"term": {"service.name": "db"}}]}}),
            "1",
        ),
        (
            json!({"bool": {"should": [{"term": {"ok": true}}, {"term": {"service.name": "db"}}], "minimum_should_match": 2}}),
            "4",
        ),
        (json!({"constant_score": {"filter": {"term": {"_index": "logs-b"}}}}), "34"),
        (json!({"dis_max": {"queries": [{"term": {"took": 3}}, {"term": {"took": 7}}]}}), "12"),
        (json!({"nested": {"path": "user", "query": {"match": {"user.name": "2"}}}}), "2"),
    ] {
        assert_eq!(found(&server, query.clone()).concat(), want, "{query}");
    }
}

#[test]
fn refusals_have_elasticsearchs_shape() {
    let server = filled();
    for (body, kind, reason) in [
        (json!({"query": {"nope": {}}}), "parsing_exception", "unknown query [nope]"),
        (json!({"nope": 1}), "parsing_exception", "Unknown key for a VALUE_NUMBER in [nope]."),
        (json!({"query": {"term": {"took": "x"}}}), "number_format_exception", "For input string: \"x\""),
        (
            json!({"query": {"query_string": {"query": "a OR"}}}),
            "query_shard_exception",
            "Failed to parse query [a OR]: Encountered \"<EOF>\" at line 1, column 5",
        ),
        (json!({"sort": ["unknown"]}), "query_shard_exception", "No mapping found for [unknown] in order to sort on"),
        (
            json!({"aggs": {"a": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1ms"}}}}),
            "too_many_buckets_exception",
            "Trying to create too many buckets.",
        ),
    ] {
        let answer = server.post("/logs-*/_search", &body.to_string());
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!(error["root_cause"][0]["type"], kind, "{body}: {error}");
        assert!(error["root_cause"][0]["reason"].as_str().unwrap().starts_with(reason), "{body}: {error}");
    }
    let answer = server.post("/missing/_search", "");
    assert_eq!((answer.status, &answer.json()["error"]["index"]), (404, &json!("missing")));
    assert_eq!(server.post("/missing/_search?ignore_unavailable=true", "").json()["hits"]["total"]["value"], 0);
}

#[test]
fn hits_are_sorted_paged_and_shaped() {
    let server = filled();
    let newest =
        search(&server, json!({"size": 2, "sort": {"@timestamp": {"order": "desc"}, "_doc": {"order": "desc"}}}));
    assert_eq!(ids(&newest), ["4", "3"]);
    let after = newest["hits"]["hits"][1]["sort"].clone();
    assert_eq!(after[0], json!(1_795_168_980_000_i64), "{after}");
    let next =
        search(&server, json!({"size": 2, "sort": [{"@timestamp": "desc"}, {"_doc": "desc"}], "search_after": after}));
    assert_eq!(ids(&next), ["2", "1"]);
    assert_eq!(next["hits"]["hits"][0]["_score"], Value::Null);
    let by_service =
        search(&server, json!({"sort": ["service.name", {"took": "desc"}], "_source": ["service", "took"]}));
    assert_eq!(ids(&by_service), ["0", "1", "4", "3", "2"]);
    assert_eq!(by_service["hits"]["hits"][0]["_source"], json!({"service": {"name": "api"}, "took": 120}));
    let counted = search(&server, json!({"size": 0, "track_total_hits": 3}));
    assert_eq!(counted["hits"]["total"], json!({"value": 3, "relation": "gte"}));
    assert!(search(&server, json!({"size": 0, "track_total_hits": false}))["hits"].get("total").is_none());
    let shown = search(
        &server,
        json!({
            "query": {"match": {"message": {"query": "upstream", "_name": "up"}}}, "fields": ["took", {"field": "@timestamp", "format": "epoch_second"}],
            "docvalue_fields": ["service.name"], "_source": false, "version": true, "highlight": {"fields": {"message": {}}}
        }),
    );
    let hit = &shown["hits"]["hits"][0];
    assert_eq!(hit["fields"], json!({"took": [7], "@timestamp": ["1795168920"], "service.name": ["web"]}));
    assert_eq!(hit["highlight"]["message"][0], "connection refused by <em>upstream</em>");
    assert_eq!((&hit["matched_queries"], &hit["_version"]), (&json!(["up"]), &json!(1)));
    assert!(hit.get("_source").is_none());
    let old = server.get("/logs-*/_search?q=log.level:error&rest_total_hits_as_int=true&size=1&sort=took:desc&filter_path=hits.total,hits.hits._id");
    assert_eq!(old.json(), json!({"hits": {"total": 2, "hits": [{"_id": "0"}]}}));
}

#[test]
fn aggregations_count() {
    let server = filled();
    let answer = search(
        &server,
        json!({"size": 0, "aggs": {
        "levels": {"terms": {"field": "log.level"}, "aggs": {"took": {"stats": {"field": "took"}}, "top": {"top_hits": {"size": 1, "sort": [{"took": "desc"}], "_source": false}}}},
        "time": {"date_histogram": {"field": "@timestamp", "fixed_interval": "2m"}, "aggs": {"sum": {"sum": {"field": "took"}}, "all": {"cumulative_sum": {"buckets_path": "sum"}}}},
        "best": {"max_bucket": {"buckets_path": "time>sum"}},
        "slow": {"filter": {"range": {"took": {"gte": 100}}}, "aggs": {"services": {"cardinality": {"field": "service.name"}}}},
        "ranges": {"range": {"field": "took", "ranges": [{"to": 10}, {"from": 10, "to": 100}, {"from": 100}]}},
        "pairs": {"composite": {"size": 2, "sources": [{"s": {"terms": {"field": "service.name"}}}, {"l": {"terms": {"field": "log.level", "order": "desc"}}}]}},
        "p": {"percentiles": {"field": "took", "percents": ["50"]}},
        "everything": {"global": {}},
        "none": {"missing": {"field": "nothing"}},
    }, "query": {"range": {"took": {"gt": 3}}}}),
    );
    let aggs = &answer["aggregations"];
    let levels = aggs["levels"]["buckets"].as_array().unwrap();
    assert_eq!(levels[0]["key"], "error");
    assert_eq!(levels[0]["took"], json!({"count": 2, "min": 7.0, "max": 120.0, "avg": 63.5, "sum": 127.0}));
    assert_eq!(levels[0]["top"]["hits"]["hits"][0]["_id"], "0");
    assert_eq!(aggs["levels"]["sum_other_doc_count"], 0);
    let time: Vec<(Value, Value, Value)> = aggs["time"]["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| (b["key_as_string"].clone(), b["doc_count"].clone(), b["all"]["value"].clone()))
        .collect();
    assert_eq!(
        time,
        [
            (json!("2026-11-20T10:00:00.000Z"), json!(1), json!(120.0)),
            (json!("2026-11-20T10:02:00.000Z"), json!(2), json!(1077.0)),
            (json!("2026-11-20T10:04:00.000Z"), json!(1), json!(1117.0)),
        ]
    );
    assert_eq!(aggs["best"], json!({"value": 957.0, "keys": ["2026-11-20T10:02:00.000Z"]}));
    assert_eq!(aggs["slow"], json!({"doc_count": 2, "services": {"value": 2}}));
    assert_eq!(aggs["ranges"]["buckets"][1], json!({"key": "10.0-100.0", "from": 10.0, "to": 100.0, "doc_count": 1}));
    assert_eq!(aggs["pairs"]["buckets"][1], json!({"key": {"s": "db", "l": "info"}, "doc_count": 1}));
    assert_eq!(aggs["pairs"]["after_key"], json!({"s": "db", "l": "info"}));
    assert_eq!(aggs["p"]["values"], json!({"50.0": 80.0}));
    assert_eq!(aggs["everything"]["doc_count"], 5);
    assert_eq!(aggs["none"]["doc_count"], 4);
    let typed = server.post(
        "/logs-*/_search?typed_keys=true",
        &json!({"size": 0, "aggs": {"l": {"terms": {"field": "log.level"}}}}).to_string(),
    );
    assert!(typed.json()["aggregations"].get("sterms#l").is_some());
}

#[test]
fn scrolls_and_points_in_time_do_not_move() {
    let server = filled();
    let mut page = server.post("/logs-*/_search?scroll=1m&size=2", &json!({"sort": "_doc"}).to_string()).json();
    server.post("/logs-a/_doc?refresh=true", &json!({"message": "late"}).to_string());
    let mut seen = ids(&page);
    while !ids(&page).is_empty() {
        let next = json!({"scroll_id": page["_scroll_id"], "scroll": "1m"});
        page = server.post("/_search/scroll", &next.to_string()).json();
        assert_eq!(page["hits"]["total"]["value"], 5);
        seen.extend(ids(&page));
    }
    seen.sort();
    assert_eq!(seen, ["0", "1", "2", "3", "4"]);
    let id = page["_scroll_id"].clone();
    let clear = |id: &Value| {
        server.client().send("DELETE", "/_search/scroll", &json!({"scroll_id": [id]}).to_string(), &[]).status
    };
    assert_eq!((clear(&id), clear(&id)), (200, 404));
    assert_eq!(server.post("/_search/scroll", &json!({"scroll_id": id}).to_string()).status, 404);

    let pit = server.post("/logs-*/_pit?keep_alive=1m", "").json()["id"].clone();
    let mut after = Value::Null;
    let mut seen = Vec::new();
    loop {
        let mut body = json!({"size": 4, "pit": {"id": pit, "keep_alive": "1m"}, "sort": ["_shard_doc"]});
        if !after.is_null() {
            body["search_after"] = after;
        }
        let page = server.post("/_search", &body.to_string()).json();
        let Some(last) = page["hits"]["hits"].as_array().unwrap().last() else { break };
        after = last["sort"].clone();
        seen.extend(ids(&page));
    }
    assert_eq!(seen.len(), 6);
}

#[test]
fn the_other_endpoints() {
    let server = filled();
    let counted = server.post("/logs-*/_count", &json!({"query": {"term": {"log.level": "error"}}}).to_string());
    assert_eq!(counted.json()["count"], 2);
    let body =
        "{\"index\":\"logs-a\"}\n{\"size\":0}\n{\"index\":\"nope\"}\n{\"size\":0}\n{}\n{\"query\":{\"nope\":{}}}\n";
    let many = server.post("/_msearch", body).json();
    let status: Vec<&Value> = many["responses"].as_array().unwrap().iter().map(|r| &r["status"]).collect();
    assert_eq!(status, [200, 404, 400]);
    let caps = server.get("/logs-*/_field_caps?fields=took,user*").json();
    assert_eq!(caps["indices"], json!(["logs-a", "logs-b"]));
    assert_eq!(caps["fields"]["took"]["long"]["aggregatable"], true);
    assert_eq!(caps["fields"]["user.name"]["text"]["aggregatable"], false);
    assert_eq!(caps["fields"]["user.name.keyword"]["keyword"]["searchable"], true);
    let valid =
        |q: Value| server.post("/logs-*/_validate/query", &json!({"query": q}).to_string()).json()["valid"].clone();
    assert_eq!((valid(json!({"match_all": {}})), valid(json!({"nope": {}}))), (json!(true), json!(false)));
    let tokens = server.post("/_analyze", &json!({"text": "The QUICK-fox 42"}).to_string()).json();
    assert_eq!(
        tokens["tokens"][1],
        json!({"token": "quick", "start_offset": 4, "end_offset": 9, "type": "<ALPHANUM>", "position": 1})
    );
    let later = server.post("/logs-*/_async_search?keep_on_completion=true", &json!({"size": 0}).to_string()).json();
    let again = server.get(&format!("/_async_search/{}", later["id"].as_str().unwrap())).json();
    assert_eq!(again["response"]["hits"]["total"]["value"], 5);
    let around = server.get("/api/context/1?index=logs-a&before=5&after=5").json();
    assert_eq!(
        (&around["before"][0]["_id"], &around["hit"]["_id"], &around["after"][0]["_id"]),
        (&json!("0"), &json!("1"), &json!("2"))
    );
    let patterns = server.post("/api/patterns", &json!({"index": "logs-*", "q": "log.level:error"}).to_string()).json();
    assert_eq!((&patterns["total"], &patterns["sampled"]), (&json!(2), &json!(2)));
    let values = server.get("/api/fields/service.name/values?index=logs-*").json();
    assert_eq!(values["values"][2], json!({"value": "db", "count": 1}));
    let gone = server
        .post("/logs-*/_delete_by_query?refresh=true", &json!({"query": {"term": {"_id": "3"}}}).to_string())
        .json();
    assert_eq!(gone["deleted"], 1, "{gone}");
    assert_eq!(found(&server, json!({"match_all": {}})).concat(), "0124");
}

#[test]
fn unique_words_are_found_as_any_other() {
    let server = Server::start();
    let mut body = String::new();
    for (n, message) in [
        "request 793daf5a-b35c-4601 took 995226 us",
        "request 793daf5a-b35c-4602 took 995227 us",
        "order 995226 failed",
        "blob 0a0b0c stored as \"793daf5b\"",
        "nothing of the kind",
    ]
    .iter()
    .enumerate()
    {
        let document = json!({"@timestamp": format!("2026-11-20T10:0{n}:00.000Z"), "message": message});
        body.push_str(&format!("{}\n{document}\n", json!({"index": {"_index": "logs-u", "_id": n.to_string()}})));
    }
    // Words that share a stand-in with those above must not be found for them.
    let stand_in = |word: &str| {
        let mut made = String::new();
        tokenizer::stand_in(word, &mut made);
        made
    };
    let others: Vec<String> = ["995226", "793daf5a", "b35c", "4602"]
        .iter()
        .map(|word| (1_000_000u32..).map(|n| n.to_string()).find(|n| stand_in(n) == stand_in(word)).unwrap())
        .collect();
    for other in &others {
        let document = json!({"@timestamp": "2026-11-19T00:00:00Z", "message": format!("other {other} of {other}")});
        body.push_str(&format!("{}\n{document}\n", json!({"index": {"_index": "logs-u"}})));
    }
    assert_eq!(server.post("/_bulk?refresh=true", &body).json()["errors"], json!(false));
    for (query, want) in [
        (json!({"match": {"message": "995226"}}), "02"),
        (json!({"term": {"message": "793daf5a"}}), "01"),
        (json!({"term": {"message": {"value": "793DAF5A", "case_insensitive": true}}}), "01"),
        (json!({"terms": {"message": ["995227", "0a0b0c", "kind"]}}), "134"),
        (json!({"match": {"message": {"query": "793daf5a 995226", "operator": "and"}}}), "0"),
        (json!({"match": {"message": {"query": "793daf5a 0a0b0c order", "minimum_should_match": 1}}}), "0123"),
        (json!({"match_phrase": {"message": "793daf5a-b35c-4602"}}), "1"),
        (json!({"match_phrase": {"message": "793daf5a 4602"}}), ""),
        (json!({"match_phrase": {"message": {"query": "793daf5a 4602", "slop": 1}}}), "1"),
        (json!({"match_phrase": {"message": "order 995226 failed"}}), "2"),
        (json!({"match_phrase_prefix": {"message": "request 793d"}}), "01"),
        (json!({"match_phrase_prefix": {"message": "793daf5a b3"}}), "01"),
        (json!({"match_phrase_prefix": {"message": "793daf5a b35c 46"}}), "01"),
        (json!({"match_phrase_prefix": {"message": "took 99522"}}), "01"),
        (json!({"match_bool_prefix": {"message": "order 0a0"}}), "23"),
        (json!({"prefix": {"message": "793daf5"}}), "013"),
        (json!({"wildcard": {"message": "*9522?"}}), "012"),
        (json!({"wildcard": {"message": "*2 kind"}}), ""),
        (json!({"regexp": {"message": "793daf5[ab]"}}), "013"),
        (json!({"fuzzy": {"message": {"value": "793daf5c", "fuzziness": 1}}}), "013"),
        (json!({"range": {"message": {"gte": "793daf5b", "lt": "793daf5c"}}}), "3"),
        (json!({"query_string": {"query": "message:995226 AND NOT message:b35c"}}), "2"),
        (json!({"query_string": {"query": "793daf5a*", "fields": ["message"]}}), "01"),
        (
            json!({"bool": {"must_not": {"match": {"message": "995226"}}, "filter": {"exists": {"field": "message"}},
            "must": {"range": {"@timestamp": {"gte": "2026-11-20"}}}}}),
            "134",
        ),
        (json!({"match": {"message": "other"}}), "4"),
        (json!({"match": {"message": others[0]}}), "1"),
    ] {
        let answer = server.post(
            "/logs-u/_search",
            &json!({"query": query, "sort": [{"@timestamp": "asc"}], "track_total_hits": true}).to_string(),
        );
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let answer = answer.json();
        let hits = answer["hits"]["hits"].as_array().unwrap();
        let found: String = hits.iter().filter_map(|h| h["_id"].as_str()).filter(|id| id.len() == 1).collect();
        let total = answer["hits"]["total"]["value"].as_u64().unwrap();
        let (want_found, want_total) = if query.to_string().contains("other") || query.to_string().contains(&others[0])
        {
            ("", want.parse().unwrap())
        } else {
            (want, want.len() as u64)
        };
        assert_eq!((found.as_str(), total), (want_found, want_total), "{query}");
    }
}

#[test]
fn histograms_count_right_whatever_is_known_of_segments_and_blocks() {
    const HOUR: i64 = 3_600_000;
    // Three segments of two blocks of documents each; a line every 17 seconds.
    const SEGMENT: i64 = 300;
    const LINES: i64 = 3 * SEGMENT;
    let server = Server::start();
    let begin = "2026-11-20T05:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let time = |n: i64| begin + n * 17_000 + n * 7 % 1000;
    let mut body = String::new();
    for n in 0..LINES {
        body.push_str(&json!({"index": {"_index": "logs-h", "_id": n.to_string()}}).to_string());
        let kind = ["a", "b", "c"][n as usize % 3];
        body.push_str(&format!("\n{}\n", json!({"@timestamp": time(n), "n": n, "kind": kind, "message": "a line"})));
        if n % SEGMENT == SEGMENT - 1 {
            assert_eq!(server.post("/_bulk?refresh=true", &body).json()["errors"], json!(false));
            body.clear();
        }
    }
    // Step, and by how much the grid is shifted.
    let steps = [
        (json!({"fixed_interval": "1m"}), 60_000, 0),
        (json!({"fixed_interval": "7m", "offset": "+90s"}), 420_000, 90_000),
        (json!({"fixed_interval": "90s"}), 90_000, 0),
        (json!({"fixed_interval": "1500ms"}), 1_500, 0),
        (json!({"fixed_interval": "1h", "time_zone": "+05:30"}), HOUR, HOUR / 2),
        (json!({"calendar_interval": "hour", "time_zone": "Europe/Berlin"}), HOUR, 0),
        // Of the blocks of a segment one is in a single step, one is not; then all are.
        (json!({"fixed_interval": "3h"}), 3 * HOUR, 0),
        (json!({"fixed_interval": "12h", "offset": "-1h"}), 12 * HOUR, -HOUR),
    ];
    type Takes = fn(i64, i64) -> bool;
    let queries: [(Value, Takes); 6] = [
        (json!({"match_all": {}}), |_, _| true),
        (json!({"range": {"@timestamp": {"gte": "2026-11-20T05:00:00Z", "lt": "2026-11-21T00:00:00Z"}}}), |_, _| true),
        // Takes some segments whole, and of one a part.
        (json!({"range": {"@timestamp": {"gte": "2026-11-20T05:30:10Z"}}}), |_, since| since >= 1_810_000),
        (json!({"match": {"message": "line"}}), |_, _| true),
        (json!({"range": {"n": {"gte": 10, "lt": 805}}}), |n, _| (10..805).contains(&n)),
        (json!({"bool": {"must_not": {"range": {"n": {"gte": 100, "lt": 500}}}}}), |n, _| !(100..500).contains(&n)),
    ];
    let compare = |deleted: &[i64]| {
        for ((step, every, shift), (query, takes)) in steps.iter().flat_map(|s| queries.iter().map(move |q| (s, q))) {
            let mut wanted: BTreeMap<i64, [u64; 4]> = BTreeMap::new();
            for n in (0..LINES).filter(|n| !deleted.contains(n) && takes(*n, time(*n) - begin)) {
                let key = (time(n) - shift).div_euclid(*every) * every + shift;
                let counts = wanted.entry(key).or_default();
                counts[0] += 1;
                counts[1 + n as usize % 3] += 1;
            }
            let total: u64 = wanted.values().map(|counts| counts[0]).sum();
            let mut histogram = step.clone();
            histogram["field"] = json!("@timestamp");
            histogram["min_doc_count"] = json!(1);
            let plain = json!({"h": {"date_histogram": histogram}});
            let mut nested = plain.clone();
            nested["h"]["aggs"] = json!({"k": {"terms": {"field": "kind.keyword"}}});
            // Each twice: the second time more is known.
            for (aggs, is_nested) in [(&plain, false), (&plain, false), (&nested, true), (&nested, true)] {
                let request = json!({"size": 0, "track_total_hits": true, "query": query, "aggs": aggs});
                let answer = search(&server, request);
                let of = |bucket: &Value| {
                    let mut counts = [bucket["doc_count"].as_u64().unwrap(), 0, 0, 0];
                    for kind in bucket["k"]["buckets"].as_array().into_iter().flatten() {
                        let place = "abc".find(kind["key"].as_str().unwrap()).unwrap();
                        counts[1 + place] = kind["doc_count"].as_u64().unwrap();
                    }
                    (bucket["key"].as_i64().unwrap(), counts)
                };
                let buckets = answer["aggregations"]["h"]["buckets"].as_array().unwrap();
                let found: BTreeMap<i64, [u64; 4]> = buckets.iter().map(of).collect();
                let wanted =
                    wanted.iter().map(|(key, counts)| (*key, if is_nested { *counts } else { [counts[0], 0, 0, 0] }));
                assert_eq!(found, wanted.collect(), "{step} {query}");
                assert_eq!(answer["hits"]["total"]["value"], json!(total), "{step} {query}");
            }
        }
    };
    compare(&[]);
    // What is deleted is in no table.
    let deleted = [3, 4, 400, 899];
    for id in deleted {
        server.client().send("DELETE", &format!("/logs-h/_doc/{id}"), "", &[]).expect(200);
    }
    server.post("/logs-h/_refresh", "").expect(200);
    compare(&deleted);
}

#[test]
fn aggregations_of_whole_segments_are_kept_and_stay_true() {
    let server = Server::start();
    let write = |numbers: std::ops::Range<u64>| {
        let mut body = String::new();
        for n in numbers {
            body.push_str(&json!({"index": {"_index": "logs-k", "_id": n.to_string()}}).to_string());
            let at = format!("2026-11-20T05:{:02}:{:02}Z", n / 60 % 60, n % 60);
            let mut document = json!({"@timestamp": at, "n": n, "kind": format!("k{}", n % 7), "message": "a line"});
            if n % 5 > 0 {
                document["stack"] = json!(format!("s{}", n * n % 11));
            }
            body.push_str(&format!("\n{document}\n"));
        }
        assert_eq!(server.post("/_bulk?refresh=true", &body).json()["errors"], json!(false));
    };
    let kinds = json!({"terms": {"field": "kind.keyword", "size": 20}, "aggs": {"n": {"stats": {"field": "n"}}}});
    let aggs = json!({
        "time": {"date_histogram": {"field": "@timestamp", "fixed_interval": "90s"}, "aggs": {"kinds": kinds}},
        "stacks": {
            "terms": {"field": "stack.keyword", "missing": "none", "size": 20},
            "aggs": {"tens": {"histogram": {"field": "n", "interval": 100}, "aggs": {"kinds": kinds}}},
        },
        "most": {"max": {"field": "n"}},
    });
    // Every document too, but nothing tells so before each was looked at.
    let each = json!({"bool": {"should": [{"range": {"n": {"lt": 450}}}, {"range": {"n": {"gte": 450}}}]}});
    let ask = |query: &Value, aggs: &Value| {
        let mut answer = search(&server, json!({"size": 0, "track_total_hits": true, "query": query, "aggs": aggs}));
        answer.as_object_mut().unwrap().remove("took");
        answer
    };
    let compare = |total: u64| {
        let looked = ask(&each, &aggs);
        assert_eq!(looked["hits"]["total"]["value"], json!(total));
        for time in ["first", "second", "third"] {
            assert_eq!(ask(&json!({"match_all": {}}), &aggs), looked, "the {time} time, of {total}");
        }
        // Another step is another question.
        let mut other = aggs.clone();
        other["time"]["date_histogram"]["fixed_interval"] = json!("60s");
        assert_eq!(ask(&json!({"match_all": {}}), &other), ask(&each, &other));
    };
    write(0..300);
    compare(300);
    write(300..600);
    write(600..900);
    compare(900);
    for id in ["3", "4", "400", "899"] {
        server.client().send("DELETE", &format!("/logs-k/_doc/{id}"), "", &[]).expect(200);
    }
    server.post("/logs-k/_refresh", "").expect(200);
    compare(896);
}
