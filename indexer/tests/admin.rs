//! Indices, mappings, aliases, templates, and what clients ask about the cluster.

use serde_json::json;

use crate::support::Server;

#[test]
fn hello_is_what_clients_look_for() {
    let server = Server::start();
    let answer = server.get("/");
    assert!(answer.head.contains("x-elastic-product: Elasticsearch"));
    let hello = answer.expect(200);
    assert_eq!(
        (hello["tagline"].as_str(), hello["version"]["build_flavor"].as_str()),
        (Some("You Know, for Search"), Some("default"))
    );
    assert!(hello["weir"].is_object());
    assert_eq!(server.client().send("HEAD", "/", "", &[]).status, 200);
    assert_eq!(server.get("/_license").expect(200)["license"]["status"], "active");
    assert_eq!(server.get("/_cluster/health?wait_for_status=yellow").expect(200)["status"], "green");
    assert_eq!(server.get("/_cluster/health/none?timeout=1ms").expect(408)["timed_out"], true);
    assert!(server.get("/_nodes/_all/http").expect(200)["nodes"].is_object());
    assert_eq!(server.get("/health").expect(200)["status"], "ok");
    assert!(server.get("/metrics").text().contains("weir_indexer_documents_total"));
}

#[test]
fn an_index_is_made_shown_and_deleted() {
    let server = Server::start();
    let body = r#"{"mappings":{"properties":{"code":{"type":"integer"},"at":{"type":"date"}}},"settings":{"number_of_shards":3},"aliases":{"al":{}}}"#;
    let made = server.put("/things", body).expect(200);
    assert_eq!(made, json!({"acknowledged": true, "shards_acknowledged": true, "index": "things"}));
    server.put("/things", "").error(400, "resource_already_exists_exception");
    assert_eq!(server.client().send("HEAD", "/things", "", &[]).status, 200);
    assert_eq!(server.client().send("HEAD", "/none", "", &[]).status, 404);
    let shown = server.get("/things").expect(200);
    assert_eq!(shown["things"]["mappings"]["properties"]["code"]["type"], "integer");
    assert_eq!(shown["things"]["settings"]["index"]["number_of_shards"], "3");
    assert_eq!(shown["things"]["aliases"], json!({"al": {}}));
    server
        .put("/things/_mapping", r#"{"properties":{"code":{"type":"keyword"}}}"#)
        .error(400, "illegal_argument_exception");
    server
        .put("/things/_mapping", r#"{"properties":{"place":{"type":"nothing"}}}"#)
        .error(400, "mapper_parsing_exception");
    server.put("/things/_mapping", r#"{"properties":{"name":{"type":"keyword"}}}"#).expect(200);
    server.post("/al/_doc?refresh=true", r#"{"code":5,"new":"text","deep":{"n":1.5}}"#).expect(201);
    let folder = server.stop().unwrap();
    let server = Server::on(folder.path());
    let properties = server.get("/al/_mapping").expect(200)["things"]["mappings"]["properties"].clone();
    assert_eq!(properties["name"]["type"], "keyword");
    assert_eq!(properties["new"]["fields"]["keyword"]["type"], "keyword");
    assert_eq!(properties["deep"]["properties"]["n"]["type"], "double");
    assert_eq!(server.count("al"), 1);
    let rows = server.get("/_cat/indices?format=json").expect(200);
    assert_eq!((rows[0]["index"].as_str(), rows[0]["docs.count"].as_str()), (Some("things"), Some("1")));
    let text = server.get("/_cat/indices/th*?v&h=index,docs.count").text();
    assert_eq!(text, "index  docs.count\nthings          1\n");
    assert_eq!(server.get("/_resolve/index/*").expect(200)["indices"][0]["aliases"], json!(["al"]));
    server.delete("/al").error(400, "illegal_argument_exception");
    server.delete("/things").expect(200);
    server.get("/things").error(404, "index_not_found_exception");
    assert!(!folder.path().join("indices/things").exists());
    assert_eq!(server.put("/things/_doc/1", "{}").expect(201)["_version"], 1);
    assert_eq!(server.count("things"), 1);
}

#[test]
fn aliases_and_templates() {
    let server = Server::start();
    for index in ["a", "b"] {
        server.put(&format!("/{index}"), "").expect(200);
    }
    server.post("/_aliases", r#"{"actions":[{"add":{"index":"a","alias":"x"}},{"add":{"indices":["b"],"alias":"x","is_write_index":true}}]}"#).expect(200);
    assert_eq!(server.put("/x/_doc/1", "{}").expect(201)["_index"], "b");
    assert_eq!(server.get("/_alias/x").expect(200).as_object().unwrap().len(), 2);
    assert_eq!(server.get("/_alias/none").expect(404)["status"], 404);
    server.delete("/a/_alias/x").expect(200);
    server.delete("/a/_alias/x").error(404, "aliases_not_found_exception");
    assert_eq!(server.get("/_cat/aliases?format=json").expect(200)[0]["is_write_index"], "true");
    server
        .put(
            "/_index_template/t",
            r#"{"index_patterns":["t-*"],"template":{"mappings":{"properties":{"k":{"type":"keyword"}}}}}"#,
        )
        .expect(200);
    server.put("/t-1/_doc/1", r#"{"k":"v"}"#).expect(201);
    assert_eq!(server.get("/t-1/_mapping").expect(200)["t-1"]["mappings"]["properties"]["k"]["type"], "keyword");
    assert_eq!(server.get("/_index_template/t").expect(200)["index_templates"][0]["name"], "t");
    assert_eq!(server.client().send("HEAD", "/_index_template/none", "", &[]).status, 404);
    server.delete("/_index_template/t").expect(200);
}

#[test]
fn a_second_weir_is_refused() {
    let server = Server::start();
    let config = weir_indexer::Settings { data_dir: server.folder.clone(), ..weir_indexer::Settings::default() }
        .check()
        .unwrap();
    let refused = weir_indexer::store::Store::open(&config, &weir_daemon::Metrics::new(), &weir_daemon::Health::new());
    let problem = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(problem.contains("in use by another weir"), "{problem}");
}

#[test]
fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // Its checksum is right: this is no damaged file of our own version.
    let line = "weir-indexer 3";
    let text = format!("{line} {:08x}\n", crc32fast::hash(line.as_bytes()));
    std::fs::write(folder.path().join("format"), text).unwrap();
    let config = weir_indexer::Settings { data_dir: folder.path().to_owned(), ..weir_indexer::Settings::default() }
        .check()
        .unwrap();
    let refused = weir_indexer::store::Store::open(&config, &weir_daemon::Metrics::new(), &weir_daemon::Health::new());
    assert!(refused.err().map(|error| error.to_string()).unwrap_or_default().contains("newer weir"));
}

#[test]
fn credentials_come_before_everything() {
    let folder = tempfile::tempdir().unwrap();
    let settings = weir_indexer::Settings {
        data_dir: folder.path().to_owned(),
        username: Some("me".to_owned()),
        password: Some("secret".to_owned()),
        ..weir_indexer::Settings::default()
    };
    // `Server` asks without credentials once; that is answered, with 401.
    let server = Server::with(settings);
    server.get("/_cat/indices").error(401, "security_exception");
    let basic = format!("Basic {}", weir_indexer::base64::encode(b"me:secret"));
    server.client().send("GET", "/", "", &[("authorization", &basic)]).expect(200);
    let wrong = format!("Basic {}", weir_indexer::base64::encode(b"me:secreT"));
    server.client().send("GET", "/", "", &[("authorization", &wrong)]).error(401, "security_exception");
}

#[test]
fn upkeep_is_answered_and_parts_are_shown() {
    let server = Server::start();
    let document = r#"{"message":"a line","log":{"level":"error"},"took":5}"#;
    server.put("/u/_doc/1?refresh=true", document).expect(201);
    for path in ["/_forcemerge?max_num_segments=1", "/u/_forcemerge", "/_cache/clear", "/u/_cache/clear?query=true"] {
        assert_eq!(server.post(path, "").expect(200)["_shards"]["failed"], 0, "{path}");
    }
    server.post("/nothing/_forcemerge", "").error(404, "index_not_found_exception");
    let fields = server.get("/u/_mapping/field/message*,log.level,none").expect(200);
    let found = fields["u"]["mappings"].as_object().unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["log.level", "message"]);
    assert_eq!(found["log.level"]["full_name"], "log.level");
    assert!(found["log.level"]["mapping"]["level"]["type"].is_string(), "{fields}");
    let table = server.get("/_cat/segments/u?format=json").expect(200);
    assert_eq!((&table[0]["index"], &table[0]["docs.count"]), (&"u".into(), &"1".into()));
    let segments = server.get("/u/_segments").expect(200);
    let shard = &segments["indices"]["u"]["shards"]["0"][0];
    let only = shard["segments"].as_object().unwrap().values().next().unwrap();
    assert!(only["num_docs"] == 1 && only["size_in_bytes"].as_u64() > Some(0), "{segments}");
    let shards = server.get("/_cat/shards?format=json").expect(200);
    assert_eq!((&shards[0]["state"], &shards[0]["docs"]), (&"STARTED".into(), &"1".into()));
    assert_eq!(server.get("/_cat/nodes?h=name,master&format=json").expect(200)[0]["name"], "weir");
}
