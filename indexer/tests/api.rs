//! The API around searches: updates, routing, aliases with filters, templates, limits by settings, explanations, what
//! is known of fields. Each test is a short story told over HTTP.

use serde_json::{Value, json};

use crate::support::Server;

fn put(server: &Server, path: &str, body: Value) -> Value {
    server.put(path, &body.to_string()).expect(200)
}

fn post(server: &Server, path: &str, body: Value) -> Value {
    server.post(path, &body.to_string()).expect(200)
}

fn write(server: &Server, index: &str, id: &str, document: Value) {
    let answer = server.put(&format!("/{index}/_doc/{id}?refresh=true"), &document.to_string());
    assert!(answer.status < 300, "{}", answer.text());
}

fn ids(server: &Server, index: &str, query: Value) -> String {
    let body = json!({"query": query, "sort": ["_id"], "size": 100});
    let answer = server.post(&format!("/{index}/_search"), &body.to_string());
    let answer = answer.expect(200);
    let hits = answer["hits"]["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["_id"].as_str().unwrap()).collect::<Vec<_>>().join("")
}

#[test]
fn updates_lay_a_part_over_the_document() {
    let server = Server::start();
    write(&server, "u", "1", json!({"a": {"b": 1}, "c": "x"}));
    let done = post(&server, "/u/_update/1?_source=true", json!({"doc": {"a": {"d": 2}}}));
    assert_eq!((&done["result"], &done["_version"]), (&json!("updated"), &json!(2)));
    assert_eq!(done["get"]["_source"], json!({"a": {"b": 1, "d": 2}, "c": "x"}));
    assert_eq!(post(&server, "/u/_update/1", json!({"doc": {"c": "x"}}))["result"], "noop");
    assert_eq!(server.get("/u/_doc/1").expect(200)["_source"], json!({"a": {"b": 1, "d": 2}, "c": "x"}));
    server.post("/u/_update/2", r#"{"doc":{"c":1}}"#).error(404, "document_missing_exception");
    let made = server.post("/u/_update/2", r#"{"doc":{"c":"y"},"doc_as_upsert":true}"#).expect(201);
    assert_eq!(made["result"], "created");
    server
        .post("/u/_update/1?if_seq_no=0&if_primary_term=1", r#"{"doc":{"c":"z"}}"#)
        .error(409, "version_conflict_engine_exception");
    server.post("/u/_update/1", r#"{"script":"ctx._source.c = 1"}"#).error(400, "illegal_argument_exception");
    // In a `_bulk`, an update sees what stands before it.
    let body = "{\"index\":{\"_id\":\"3\"}}\n{\"n\":1}\n{\"update\":{\"_id\":\"3\"}}\n{\"doc\":{\"m\":2},\"_source\":true}\n\
                {\"update\":{\"_id\":\"9\"}}\n{\"doc\":{}}\n{\"delete\":{\"_id\":\"1\"}}\n";
    let done = server.post("/u/_bulk?refresh=true", body).expect(200);
    assert_eq!(done["errors"], true);
    assert_eq!(done["items"][1]["update"]["get"]["_source"], json!({"n": 1, "m": 2}));
    assert_eq!(done["items"][2]["update"]["status"], 404);
    assert_eq!(done["items"][3]["delete"]["result"], "deleted");
    assert_eq!(ids(&server, "u", json!({"match_all": {}})), "23");
}

#[test]
fn routing_values_are_kept_and_lead_to_their_shard() {
    let folder = {
        let server = Server::start();
        put(&server, "/r", json!({"settings": {"number_of_shards": 5}}));
        server.put("/r/_doc/1?routing=5", r#"{"a":1}"#).expect(201);
        assert_eq!(server.get("/r/_doc/1?routing=5").expect(200)["_routing"], "5");
        server.get("/r/_doc/1").expect(404);
        server.post("/r/_bulk?refresh=true", "{\"index\":{\"_id\":\"2\",\"routing\":\"x\"}}\n{\"a\":2}\n").expect(200);
        assert_eq!(ids(&server, "r", json!({"exists": {"field": "_routing"}})), "12");
        assert_eq!(ids(&server, "r", json!({"term": {"_routing": "x"}})), "2");
        server.delete("/r/_doc/1").expect(404);
        server.stop().unwrap()
    };
    // Also after the journal was read again, and without shards to choose from.
    let server = Server::on(folder.path());
    assert_eq!(server.get("/r/_doc/2?routing=x").expect(200)["_routing"], "x");
    server.put("/one/_doc/1?routing=5", r#"{"a":1}"#).expect(201);
    server.get("/one/_doc/1").expect(200);
}

#[test]
fn a_version_alone_must_be_the_one_that_is_there() {
    let server = Server::start();
    write(&server, "v", "1", json!({"a": 1}));
    server.put("/v/_doc/1?version=3", r#"{"a":2}"#).error(409, "version_conflict_engine_exception");
    assert_eq!(server.put("/v/_doc/1?version=1", r#"{"a":2}"#).expect(200)["_version"], 2);
    server.client().send("DELETE", "/v/_doc/1?version=1", "", &[]).error(409, "version_conflict_engine_exception");
}

#[test]
fn aliases_may_have_filters() {
    let server = Server::start();
    for (id, level) in [("1", "error"), ("2", "info"), ("3", "error")] {
        write(&server, "logs", id, json!({"log": {"level": level}}));
    }
    put(&server, "/logs/_alias/errors", json!({"filter": {"term": {"log.level": "error"}}, "routing": "r"}));
    let all = json!({"match_all": {}});
    assert_eq!(ids(&server, "errors", all.clone()), "13");
    assert_eq!(ids(&server, "errors,logs", all.clone()), "123");
    assert_eq!(server.get("/errors/_count").expect(200)["count"], 2);
    let shown = server.get("/logs/_alias/errors").expect(200);
    assert_eq!(shown["logs"]["aliases"]["errors"]["search_routing"], "r");
    assert!(server.get("/_cat/aliases").text().starts_with("errors logs * r r"));
    post(&server, "/errors/_delete_by_query?refresh=true", json!({"query": {"match_all": {}}}));
    assert_eq!(ids(&server, "logs", all), "2");
    server.put("/logs/_alias/bad", r#"{"filter":{"nothing":{}}}"#).error(400, "parsing_exception");
}

#[test]
fn templates_of_the_older_kind_count_in_order() {
    let server = Server::start();
    put(
        &server,
        "/_template/low",
        json!({"index_patterns": ["t*"], "settings": {"number_of_replicas": 2, "a.b": 1},
        "mappings": {"properties": {"n": {"type": "keyword"}}}}),
    );
    put(
        &server,
        "/_template/high",
        json!({"index_patterns": "t-*", "order": 3, "settings": {"index": {"number_of_replicas": 0}},
        "aliases": {"all": {}}}),
    );
    write(&server, "t-1", "1", json!({"n": 5}));
    let index = server.get("/t-1").expect(200);
    assert_eq!(index["t-1"]["mappings"]["properties"]["n"]["type"], "keyword");
    assert_eq!(index["t-1"]["settings"]["index"]["number_of_replicas"], "0");
    assert_eq!(index["t-1"]["aliases"], json!({"all": {}}));
    let shown = server.get("/_template/low?flat_settings=true").expect(200);
    assert_eq!(shown["low"]["settings"], json!({"index.number_of_replicas": "2", "index.a.b": "1"}));
    assert!(server.get("/_cat/templates/high").text().starts_with("high [t-*] 3"));
    server.client().send("HEAD", "/_template/none", "", &[]).expect(404);
    server.delete("/_template/low").expect(200);
    server.delete("/_template/low").error(404, "index_template_missing_exception");
    server.put("/_template/x", "{}").error(400, "action_request_validation_exception");
}

#[test]
fn settings_of_an_index_limit_searches() {
    let server = Server::start();
    put(&server, "/l", json!({"settings": {"index.max_result_window": 5, "index": {"max_terms_count": 2}}}));
    write(&server, "l", "1", json!({"a": "b"}));
    let refused = |body: Value| {
        let answer = server.post("/l/_search", &body.to_string()).expect(400);
        answer["error"]["root_cause"][0]["reason"].as_str().unwrap().to_owned()
    };
    assert!(refused(json!({"size": 6})).contains("[5] but was [6]"));
    assert!(refused(json!({"size": 1, "query": {"terms": {"a": ["1", "2", "3"]}}})).contains("max_terms_count"));
    put(&server, "/l/_settings", json!({"index.max_result_window": null}));
    server.get("/l/_search?size=6").expect(200);
    server.put("/l/_settings", r#"{"max_result_window":"x"}"#).error(400, "illegal_argument_exception");
    // With `refresh_interval: -1` searches see what somebody made visible.
    put(&server, "/h", json!({"settings": {"refresh_interval": -1}}));
    server.put("/h/_doc/1", r#"{"a":1}"#).expect(201);
    assert_eq!(ids(&server, "h", json!({"match_all": {}})), "");
    server.post("/h/_refresh", "").expect(200);
    assert_eq!(ids(&server, "h", json!({"match_all": {}})), "1");
}

#[test]
fn what_is_not_supported_is_refused() {
    let server = Server::start();
    write(&server, "x", "1", json!({"a": 1}));
    for body in [
        json!({"knn": {}}),
        json!({"rescore": {}}),
        json!({"suggest": {}}),
        json!({"collapse": {}}),
        json!({"rank": {}}),
    ] {
        server.post("/x/_search", &body.to_string()).error(400, "illegal_argument_exception");
    }
    post(&server, "/x/_search", json!({"script_fields": {}, "runtime_mappings": {}}));
}

#[test]
fn boosting_lowers_scores() {
    let server = Server::start();
    write(&server, "b", "1", json!({"m": "fox dog"}));
    write(&server, "b", "2", json!({"m": "fox cat"}));
    let query = json!({"boosting": {"positive": {"term": {"m": "fox"}}, "negative": {"term": {"m": "dog"}}, "negative_boost": 0.5}});
    let answer = post(&server, "/b/_search", json!({"query": query, "explain": true}));
    let hits = answer["hits"]["hits"].as_array().unwrap();
    let scores: Vec<f64> = hits.iter().map(|hit| hit["_score"].as_f64().unwrap()).collect();
    assert_eq!((hits[0]["_id"].as_str(), hits[1]["_id"].as_str()), (Some("2"), Some("1")));
    assert!((scores[0] * 0.5 - scores[1]).abs() < 1e-6, "{scores:?}");
    let explained = hits[1]["_explanation"]["value"].as_f64().unwrap();
    assert!((explained - scores[1]).abs() < 1e-6, "{explained}");
}

#[test]
fn words_are_those_of_the_standard_analyzer() {
    let server = Server::start();
    write(&server, "w", "1", json!({"tags": ["_jsonparsefailure", "web"], "message": "from 10.0.0.1 user_id=5"}));
    write(&server, "w", "2", json!({"tags": ["web"], "message": "10 of 0 and 1"}));
    for query in [
        json!({"term": {"tags": "_jsonparsefailure"}}),
        json!({"terms": {"tags": ["_jsonparsefailure", "other"]}}),
        json!({"prefix": {"tags": "_json"}}),
        json!({"query_string": {"query": "tags:_jsonparsefailure"}}),
        json!({"kql": {"query": "tags:_jsonparsefailure"}}),
        json!({"match": {"message": "10.0.0.1"}}),
        json!({"term": {"message": "10.0.0.1"}}),
        json!({"term": {"message": "user_id"}}),
        json!({"query_string": {"query": "message:10.0.0.1"}}),
        json!({"kql": {"query": "message: 10.0.0.1"}}),
    ] {
        assert_eq!(ids(&server, "w", query.clone()), "1", "{query}");
    }
    assert_eq!(ids(&server, "w", json!({"term": {"message": "user"}})), "");
}

#[test]
fn fields_that_are_only_kept_and_other_names() {
    let server = Server::start();
    put(
        &server,
        "/k",
        json!({"settings": {"analysis": {"normalizer": {"low": {"type": "custom", "filter": ["lowercase"]}}}},
        "mappings": {"properties": {
            "place": {"type": "geo_point"}, "login": {"type": "keyword", "normalizer": "low"},
            "who": {"type": "alias", "path": "login"}, "kind": {"type": "text", "fielddata": true}}}}),
    );
    write(&server, "k", "1", json!({"place": {"lat": 1.0, "lon": 2.0}, "login": "Ann", "kind": "Push Event"}));
    write(&server, "k", "2", json!({"login": "bob"}));
    assert_eq!(ids(&server, "k", json!({"exists": {"field": "place"}})), "1");
    let refused = server.post("/k/_search", &json!({"query": {"term": {"place": "x"}}}).to_string()).expect(400);
    assert_eq!(refused["error"]["root_cause"][0]["type"], "query_shard_exception");
    assert_eq!(ids(&server, "k", json!({"term": {"login": "ANN"}})), "1");
    assert_eq!(ids(&server, "k", json!({"term": {"who": "ann"}})), "1");
    let answer = post(
        &server,
        "/k/_search",
        json!({"size": 0, "aggs": {"a": {"terms": {"field": "login"}}, "k": {"terms": {"field": "kind"}}}}),
    );
    assert_eq!(answer["aggregations"]["a"]["buckets"][0]["key"], "ann");
    assert_eq!(answer["aggregations"]["k"]["buckets"][1]["key"], "push");
    let caps = server.get("/k/_field_caps?fields=place,login").expect(200);
    assert_eq!(caps["fields"]["login"]["keyword"]["searchable"], true);
    let folder = server.stop().unwrap();
    assert_eq!(ids(&Server::on(folder.path()), "k", json!({"term": {"login": "ANN"}})), "1");
}

#[test]
fn what_is_known_of_fields() {
    let server = Server::start();
    put(
        &server,
        "/f1",
        json!({"mappings": {"properties": {"n": {"type": "double", "doc_values": false}, "m": {"type": "text"}}}}),
    );
    put(&server, "/f2", json!({"mappings": {"properties": {"n": {"type": "double"}}}}));
    write(&server, "f2", "1", json!({"n": 1}));
    let caps = server.get("/f*/_field_caps?fields=n,m&include_unmapped=true").expect(200);
    assert_eq!(caps["fields"]["n"]["double"]["non_aggregatable_indices"], json!(["f1"]));
    assert_eq!(caps["fields"]["m"]["unmapped"]["indices"], json!(["f2"]));
    let caps = post(&server, "/f*/_field_caps?fields=n", json!({"index_filter": {"range": {"n": {"gte": 1}}}}));
    assert_eq!(caps["indices"], json!(["f2"]));
    server.post("/f*/_field_caps?fields=n", r#"{"index_filter":{}}"#).error(400, "illegal_argument_exception");
}

#[test]
fn explanations_words_and_figures() {
    let server = Server::start();
    write(&server, "e", "1", json!({"m": "a fox"}));
    let answer = post(&server, "/e/_explain/1?_source=true", json!({"query": {"match": {"m": "fox"}}}));
    assert_eq!(answer["matched"], true);
    assert!(answer["explanation"]["value"].as_f64().unwrap() > 0.0);
    assert_eq!(answer["get"]["_source"]["m"], "a fox");
    assert_eq!(post(&server, "/e/_explain/1?q=m:cat", Value::Null)["matched"], false);
    let words = post(
        &server,
        "/_analyze",
        json!({"text": "Foo BAR", "tokenizer": "standard", "filter": ["lowercase"], "explain": true}),
    );
    assert_eq!(words["detail"]["tokenizer"]["tokens"][1]["token"], "BAR");
    assert_eq!(words["detail"]["tokenfilters"][0]["tokens"][1]["token"], "bar");
    let stats = server.get("/e/_stats/docs,segments?include_segment_file_sizes=true").expect(200);
    assert_eq!(stats["_all"]["total"]["docs"]["count"], 1);
    assert!(stats["_all"]["total"].get("store").is_none());
    assert!(stats["_all"]["total"]["segments"]["file_sizes"]["store"]["size_in_bytes"].as_u64().unwrap() > 0);
    let reason = server.get("/_stats/fieldata").error(400, "illegal_argument_exception");
    assert!(reason.ends_with("did you mean [fielddata]?"), "{reason}");
    assert_eq!(server.get("/_data_stream").expect(200), json!({"data_streams": []}));
    server.put("/_data_stream/d", "").error(400, "illegal_argument_exception");
    server.get("/e,_nothing/_search").error(400, "invalid_index_name_exception");
}

#[test]
fn indices_are_made_by_writes_where_that_is_allowed() {
    let server = Server::start();
    put(&server, "/_cluster/settings", json!({"transient": {"action.auto_create_index": "-logs-x*,logs-*"}}));
    server.put("/logs-a/_doc/1", r#"{"a":1}"#).expect(201);
    server.put("/logs-x/_doc/1", r#"{"a":1}"#).error(404, "index_not_found_exception");
    server.put("/other/_doc/1", r#"{"a":1}"#).error(404, "index_not_found_exception");
    put(&server, "/other", json!({}));
    put(&server, "/_cluster/settings", json!({"transient": {"action.auto_create_index": null}}));
    server.put("/logs-x/_doc/1", r#"{"a":1}"#).expect(201);
}

/// Paths in backticks of the section `## Endpoints`.
fn documented() -> std::collections::BTreeSet<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/search-api.md")).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with("Endpoints")).unwrap();
    section.split('`').skip(1).step_by(2).filter(|word| word.starts_with('/')).map(str::to_owned).collect()
}

#[test]
fn the_document_lists_the_endpoints_that_there_are() {
    // Snapshots and their like have pages of their own.
    let elsewhere = |path: &&str| ["/_snapshot", "/_slm", "/api/", "/_ui/"].iter().any(|start| path.starts_with(start));
    let documented = documented();
    let known: std::collections::BTreeSet<String> =
        weir_indexer::http::ENDPOINTS.iter().copied().flatten().map(|endpoint| endpoint.path.to_owned()).collect();
    let missing: Vec<_> = known
        .iter()
        .map(String::as_str)
        .filter(|path| !elsewhere(path))
        .filter(|path| !documented.contains(*path))
        .collect();
    assert!(missing.is_empty(), "docs/search-api.md does not list {missing:?}");
    let gone: Vec<_> =
        documented.iter().filter(|path| path.as_str() != "/api/").filter(|path| !known.contains(*path)).collect();
    assert!(gone.is_empty(), "docs/search-api.md lists {gone:?}, which nothing answers");
    let server = Server::start();
    let served = server.get("/api/openapi.json").expect(200);
    assert_eq!(served["paths"].as_object().unwrap().len(), known.len());
}
