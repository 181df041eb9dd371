//! Writing documents: `_bulk` and single ones, good and bad.

use std::io::Write as _;

use serde_json::json;

use crate::support::{Server, statuses};

#[test]
fn bulk_answers_as_elasticsearch_does() {
    let server = Server::start();
    let body = concat!(
        "{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"x\":1}\n",
        "{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"x\":2}\n",
        "{\"create\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"x\":3}\n",
        "{\"create\":{\"_index\":\"a\"}}\n{\"x\":4}\n",
        "{\"delete\":{\"_index\":\"a\",\"_id\":\"2\"}}\n",
        "{\"index\":{\"_index\":\"a\"}}\n{\"x\":\n",
        "{\"index\":{\"_index\":\"Bad\"}}\n{}\n",
        "{\"update\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"doc\":{}}\n",
    );
    let answer = server.post("/_bulk?refresh=true", body);
    assert!(answer.head.contains("x-elastic-product: Elasticsearch"), "{}", answer.head);
    let answer = answer.expect(200);
    assert_eq!(answer["errors"], true);
    let item = |n: usize, name: &str| answer["items"][n][name].clone();
    assert_eq!(
        item(0, "index"),
        json!({"_index": "a", "_id": "1", "_version": 1, "result": "created", "_shards": {"total": 1, "successful": 1, "failed": 0},
            "_seq_no": 0, "_primary_term": 1, "status": 201})
    );
    assert_eq!(
        (item(1, "index")["result"].as_str(), item(1, "index")["_version"].as_u64()),
        (Some("updated"), Some(2))
    );
    assert_eq!(item(2, "create")["status"], 409);
    assert_eq!(item(2, "create")["error"]["type"], "version_conflict_engine_exception");
    assert_eq!(item(3, "create")["_id"].as_str().unwrap().len(), 20);
    assert_eq!(item(4, "delete")["result"], "not_found");
    assert_eq!(
        (item(5, "index")["status"].as_u64(), item(5, "index")["error"]["type"].as_str()),
        (Some(400), Some("mapper_parsing_exception"))
    );
    assert_eq!(item(6, "index")["error"]["type"], "invalid_index_name_exception");
    assert_eq!((&item(7, "update")["status"], &item(7, "update")["result"]), (&json!(200), &json!("noop")));
    assert_eq!(server.count("a"), 2);
    assert_eq!(server.get("/a/_doc/1").expect(200)["_source"], json!({"x": 2}));
    let made = item(3, "create")["_id"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&format!("/a/_doc/{made}")).expect(200)["_source"], json!({"x": 4}));
}

#[test]
fn requests_that_are_wrong_as_a_whole() {
    let server = Server::start();
    let reason = server.post("/_bulk", "{\"index\":{\"_index\":\"a\"}}\n{}").error(400, "illegal_argument_exception");
    assert!(reason.contains("must be terminated by a newline"), "{reason}");
    server.post("/_bulk", "").error(400, "parse_exception");
    server.post("/_bulk", "{\"index\":{}}\n{}\n").error(400, "action_request_validation_exception");
    server.post("/_bulk?what=1", "{}\n").error(400, "illegal_argument_exception");
    let answer = server.client().send("POST", "/_bulk", "{}\n", &[("content-type", "text/csv")]);
    answer.error(406, "media_type_header_exception");
    for good in [
        "application/json",
        "application/x-ndjson; charset=utf-8",
        "application/vnd.elasticsearch+x-ndjson; compatible-with=9",
    ] {
        let body = "{\"index\":{\"_index\":\"a\"}}\n{}\n";
        server.client().send("PUT", "/_bulk", body, &[("content-type", good)]).expect(200);
    }
    assert_eq!(server.post("/nowhere/at/all", "").status, 400);
    assert_eq!(server.client().send("PATCH", "/a", "", &[]).status, 405);
}

#[test]
fn bodies_are_bounded_by_what_they_inflate_to() {
    let folder = tempfile::tempdir().unwrap();
    let settings = weir_indexer::Settings {
        data_dir: folder.path().to_owned(),
        max_body_bytes: weir_daemon::settings::Bytes(100_000),
        ..weir_indexer::Settings::default()
    };
    let server = Server::with(settings);
    let pack = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let gzip = [("content-encoding", "gzip")];
    let good = "{\"index\":{\"_index\":\"a\"}}\n{\"x\":1}\n".repeat(100);
    let answer = server.client().send_bytes("POST", "/_bulk", &pack(good.as_bytes()), &gzip);
    assert_eq!(statuses(answer), vec![201; 100]);
    let bomb = pack(&vec![b' '; 10_000_000]);
    assert!(bomb.len() < 100_000);
    server.client().send_bytes("POST", "/_bulk", &bomb, &gzip).error(413, "content_too_long_exception");
    server.client().send_bytes("POST", "/_bulk", &vec![b' '; 200_000], &[]).error(413, "content_too_long_exception");
    server.client().send_bytes("POST", "/_bulk", b"not gzip", &gzip).error(400, "parsing_exception");
    server
        .client()
        .send_bytes("POST", "/_bulk", b"", &[("content-encoding", "br")])
        .error(415, "illegal_argument_exception");
    assert_eq!(server.count("a"), 100);
}

#[test]
fn filter_path_keeps_what_logstash_reads() {
    let server = Server::start();
    let body = "{\"create\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{}\n{\"create\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{}\n";
    let answer = server.post("/_bulk?filter_path=errors,items.*.error,items.*.status", body).expect(200);
    assert_eq!(answer["errors"], true);
    assert_eq!(answer["items"][0], json!({"create": {"status": 201}}));
    assert_eq!(answer["items"][1]["create"]["error"]["type"], "version_conflict_engine_exception");
    assert_eq!(answer.as_object().unwrap().len(), 2);
    let answer = server
        .post("/_bulk?filter_path=items.*._id,-took", "{\"delete\":{\"_index\":\"a\",\"_id\":\"1\"}}\n")
        .expect(200);
    assert_eq!(answer, json!({"items": [{"delete": {"_id": "1"}}]}));
}

#[test]
fn one_document_at_a_time() {
    let server = Server::start();
    assert_eq!(server.put("/a/_doc/1", "{\"x\":1}").expect(201)["result"], "created");
    assert_eq!(server.put("/a/_doc/1", "{\"x\":2}").expect(200)["_version"], 2);
    server.put("/a/_create/1", "{}").error(409, "version_conflict_engine_exception");
    server.put("/a/_doc/1?op_type=create", "{}").error(409, "version_conflict_engine_exception");
    let made = server.post("/a/_doc?refresh=wait_for", "{\"x\":3}").expect(201);
    assert_eq!(made["_id"].as_str().unwrap().len(), 20);
    let got = server.get("/a/_doc/1").expect(200);
    assert_eq!(
        (got["found"].clone(), got["_version"].clone(), got["_source"].clone()),
        (json!(true), json!(2), json!({"x": 2}))
    );
    let seq = got["_seq_no"].as_u64().unwrap();
    server
        .put(&format!("/a/_doc/1?if_seq_no={}&if_primary_term=1", seq + 7), "{}")
        .error(409, "version_conflict_engine_exception");
    server.put(&format!("/a/_doc/1?if_seq_no={seq}&if_primary_term=1"), "{\"x\":9}").expect(200);
    server.put("/a/_doc/v?version=5&version_type=external", "{}").expect(201);
    server.put("/a/_doc/v?version=5&version_type=external", "{}").error(409, "version_conflict_engine_exception");
    assert_eq!(server.put("/a/_doc/v?version=5&version_type=external_gte", "{}").expect(200)["_version"], 5);
    assert_eq!(server.client().send("HEAD", "/a/_doc/1", "", &[]).status, 200);
    assert_eq!(server.client().send("HEAD", "/a/_doc/none", "", &[]).status, 404);
    assert_eq!(server.delete("/a/_doc/1").expect(200)["result"], "deleted");
    assert_eq!(server.delete("/a/_doc/1").expect(404)["result"], "not_found");
    assert_eq!(server.get("/a/_doc/1").expect(404)["found"], false);
    assert_eq!(server.put("/a/_doc/1", "{}").expect(201)["_version"], 6);
    let id = made["_id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/a/_source/{id}")).expect(200), json!({"x": 3}));
    server.delete(&format!("/a/_doc/{id}")).expect(200);
    assert_eq!(server.get(&format!("/a/_doc/{id}")).status, 404);
    server.get("/none/_doc/1").error(404, "index_not_found_exception");
    server.put("/a/_doc/2", "{\"x\":").error(400, "mapper_parsing_exception");
    let docs = server
        .post(
            "/_mget",
            r#"{"docs":[{"_index":"a","_id":"v"},{"_index":"a","_id":"none"},{"_index":"none","_id":"1"}]}"#,
        )
        .expect(200);
    assert_eq!((docs["docs"][0]["found"].clone(), docs["docs"][1]["found"].clone()), (json!(true), json!(false)));
    assert_eq!(docs["docs"][2]["error"]["type"], "index_not_found_exception");
}

/// Overwriting again and again leaves one document, also across commits and restarts.
#[test]
fn overwriting_leaves_one() {
    let server = Server::start();
    for round in 0..20 {
        let body: String = (0..10)
            .map(|n| format!("{{\"index\":{{\"_index\":\"a\",\"_id\":\"{n}\"}}}}\n{{\"round\":{round}}}\n"))
            .collect();
        let refresh = if round % 3 == 0 { "?refresh=true" } else { "" };
        server.post(&format!("/_bulk{refresh}"), &body).expect(200);
    }
    assert_eq!(server.count("a"), 10);
    let folder = server.stop().unwrap();
    let server = Server::on(folder.path());
    assert_eq!(server.count("a"), 10);
    assert_eq!(server.get("/a/_doc/7").expect(200)["_source"]["round"], 19);
    assert_eq!(server.get("/a/_doc/7").expect(200)["_version"], 20);
    assert_eq!(server.put("/a/_doc/7", "{}").expect(200)["_version"], 21);
}
