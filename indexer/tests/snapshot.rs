//! Snapshots: what comes back is what went in, at whatever moment it was taken, and only what is new is copied.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use weir_daemon::settings::{Bytes, Span};
use weir_indexer::Settings;

use crate::support::{Client, Server, eventually, positioned, statuses};

fn settings(kept: &Path) -> Settings {
    Settings { snapshot_paths: vec![kept.to_owned()], ..Settings::default() }
}

fn register(server: &Server, kept: &Path) {
    let body = json!({"type": "fs", "settings": {"location": kept.join("repo")}});
    assert_eq!(server.put("/_snapshot/kept", &body.to_string()).expect(200), json!({"acknowledged": true}));
}

fn take(server: &Server, name: &str) -> Value {
    server.put(&format!("/_snapshot/kept/{name}?wait_for_completion=true"), "").expect(200)["snapshot"].clone()
}

/// Every document of an index: id → (version, source as bytes).
fn documents(server: &Server, index: &str) -> BTreeMap<String, (u64, String)> {
    let answer = server.post(&format!("/{index}/_search?size=10000&version=true"), "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let hits = answer.json()["hits"]["hits"].as_array().unwrap().clone();
    hits.iter()
        .map(|hit| {
            let id = hit["_id"].as_str().unwrap().to_owned();
            (id, (hit["_version"].as_u64().unwrap(), hit["_source"].to_string()))
        })
        .collect()
}

/// A line whose words do not compress.
fn noise(seed: u64) -> String {
    let mut seed = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..20)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:x} ", seed >> 16)
        })
        .collect()
}

fn lines(index: &str, from: u64, to: u64) -> String {
    let messages: Vec<String> = (from..to).map(noise).collect();
    let batch: Vec<_> =
        (from..to).zip(&messages).map(|(n, message)| (0x70, n * 10, n * 10 + 10, message.as_str())).collect();
    positioned(index, &batch)
}

fn objects(kept: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(kept.join("repo/objects")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_comes_back_is_what_went_in() {
    let kept = tempfile::tempdir().unwrap();
    // Small partitions, so that there are several.
    let server = Server::start_with(Settings {
        max_bytes: Some(Bytes(8_000_000)),
        min_free_bytes: Some(Bytes(0)),
        ..settings(kept.path())
    });
    register(&server, kept.path());
    server.put("/other", r#"{"mappings":{"properties":{"n":{"type":"long"}}},"aliases":{"second":{}}}"#).expect(200);
    server.put("/other/_doc/given", r#"{"n":1,"text":"first"}"#).expect(201);
    server.put("/other/_doc/given", r#"{"n":2,  "text":"größer"}"#).expect(200);
    server.post("/other/_doc", r#"{"n":3}"#).expect(201);
    server.put("/other/_doc/gone", "{}").expect(201);
    server.delete("/other/_doc/gone").expect(200);
    server.put("/_index_template/t", r#"{"index_patterns":["t-*"]}"#).expect(200);
    for from in (0..4_000).step_by(1_000) {
        server.post("/_bulk?refresh=true", &lines("logs", from, from + 1_000)).expect(200);
        std::thread::sleep(Duration::from_millis(1_100));
    }
    let numbers = |folder: &Path| {
        let entries = std::fs::read_dir(folder.join("indices/logs")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('p')).count()
    };
    eventually("there are several partitions", || numbers(&server.folder) > 1);
    // In the journal only, and in it all the same.
    server.post("/_bulk", &lines("logs", 4_000, 4_100)).expect(200);
    let first = take(&server, "first");
    assert_eq!((&first["state"], &first["indices"]), (&json!("SUCCESS"), &json!(["logs", "other"])), "{first}");
    assert_eq!(first["shards"], json!({"total": 2, "failed": 0, "successful": 2}));
    let before = (documents(&server, "logs"), documents(&server, "other"));
    assert_eq!(before.0.len(), 4_100);

    // The second copies what is new, and nothing else.
    server.post("/_bulk", &lines("logs", 4_100, 4_110)).expect(200);
    let known = objects(kept.path()).len();
    take(&server, "second");
    let status = server.get("/_snapshot/kept/second/_status").expect(200)["snapshots"][0].clone();
    let (added, all) = (&status["stats"]["incremental"], &status["stats"]["total"]);
    assert_eq!(added["file_count"], objects(kept.path()).len() - known);
    let bytes = |part: &Value| part["size_in_bytes"].as_u64().unwrap();
    assert!(bytes(added) * 4 < bytes(all), "{status}");
    take(&server, "third");
    let status = server.get("/_snapshot/kept/third/_status").expect(200)["snapshots"][0].clone();
    assert_eq!(status["stats"]["incremental"]["file_count"], 0, "{status}");
    server.delete("/_snapshot/kept/second,third").expect(200);
    assert_eq!(objects(kept.path()).len(), known, "what only they needed is gone");

    // Into an empty folder, under the same names.
    let other = Server::start_with(settings(kept.path()));
    register(&other, kept.path());
    assert_eq!(other.get("/_snapshot/kept/_all").expect(200)["total"], 1);
    let body = json!({"include_global_state": true}).to_string();
    let restored = other.post("/_snapshot/kept/first/_restore?wait_for_completion=true", &body).expect(200);
    assert_eq!(restored["snapshot"]["shards"], json!({"total": 2, "failed": 0, "successful": 2}));
    assert!(documents(&other, "logs") == before.0 && documents(&other, "other") == before.1, "documents differ");
    assert_eq!(documents(&other, "second").len(), 2, "the alias is back");
    assert_eq!(other.get("/_index_template/t").status, 200);
    assert_eq!(numbers(&other.folder), numbers(&server.folder));
    let mapping = |server: &Server| server.get("/other/_mapping").expect(200);
    assert_eq!(mapping(&other), mapping(&server));
    // The marks came with it, and it can be written.
    assert!(statuses(other.post("/_bulk", &lines("logs", 4_000, 4_100))).iter().all(|status| *status == 409));
    assert_eq!(statuses(other.post("/_bulk", &lines("logs", 4_100, 4_101))), [201]);
    assert_eq!(other.count("logs"), 4_101);
    // A restart replays and finds the same.
    let folder = other.stop().unwrap();
    let other = Server::with(Settings { data_dir: folder.path().to_owned(), ..settings(kept.path()) });
    assert_eq!((other.count("logs"), other.count("other")), (4_101, 2));
    assert_eq!(documents(&other, "other"), before.1);

    // Beside the one that is there, under another name.
    let body =
        json!({"indices": "lo*", "rename_pattern": "(.+)", "rename_replacement": "old-$1", "include_aliases": false});
    server.post("/_snapshot/kept/first/_restore?wait_for_completion=true", &body.to_string()).expect(200);
    assert!(documents(&server, "old-logs") == before.0);
    assert_eq!(server.count("logs"), 4_110);
}

/// Four senders go on while snapshots are taken. Each snapshot holds everything that was answered before it was asked
/// for, and of each source a beginning without holes.
#[test]
fn a_snapshot_is_of_one_moment() {
    let kept = tempfile::tempdir().unwrap();
    let server = Server::start_with(settings(kept.path()));
    register(&server, kept.path());
    let (stop, client) = (AtomicBool::new(false), server.client());
    let answered: Vec<AtomicU64> = (0..4).map(|_| AtomicU64::new(0)).collect();
    let held = std::thread::scope(|scope| {
        for (sender, answered) in answered.iter().enumerate() {
            let stop = &stop;
            scope.spawn(move || send_until(stop, client, sender as u64, answered));
        }
        let mut held = Vec::new();
        for n in 0..5 {
            std::thread::sleep(Duration::from_millis(300));
            let before: Vec<u64> = answered.iter().map(|answered| answered.load(Ordering::SeqCst)).collect();
            take(&server, &format!("s{n}"));
            held.push(before);
        }
        stop.store(true, Ordering::SeqCst);
        held
    });
    assert!(held.iter().flatten().any(|answered| *answered > 0));
    let other = Server::start_with(settings(kept.path()));
    register(&other, kept.path());
    for (n, answered) in held.iter().enumerate() {
        let path = format!("/_snapshot/kept/s{n}/_restore?wait_for_completion=true");
        other
            .post(&path, &json!({"rename_pattern": "logs", "rename_replacement": format!("logs-{n}")}).to_string())
            .expect(200);
        let mut by_source: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (id, _) in all(&other, &format!("logs-{n}")) {
            let (source, start) = id.split_once('-').unwrap();
            by_source.entry(u64::from_str_radix(source, 16).unwrap()).or_default().push(start.parse().unwrap());
        }
        for (sender, answered) in answered.iter().enumerate() {
            let mut starts = by_source.remove(&((sender as u64 + 1) << 4)).unwrap_or_default();
            starts.sort_unstable();
            assert!(starts.iter().enumerate().all(|(n, start)| *start == n as u64 * 10), "snapshot {n} has a hole");
            assert!(
                starts.len() as u64 >= *answered,
                "snapshot {n}: {} of {answered} of sender {sender}",
                starts.len()
            );
        }
    }
}

/// Documents of an index of any size.
fn all(server: &Server, index: &str) -> BTreeMap<String, Value> {
    let mut page = server.post(&format!("/{index}/_search?scroll=1m&size=5000"), "").expect(200);
    let mut found = BTreeMap::new();
    loop {
        let hits = page["hits"]["hits"].as_array().unwrap().clone();
        if hits.is_empty() {
            return found;
        }
        found.extend(hits.into_iter().map(|hit| (hit["_id"].as_str().unwrap().to_owned(), hit["_source"].clone())));
        let body = json!({"scroll": "1m", "scroll_id": page["_scroll_id"]}).to_string();
        page = server.post("/_search/scroll", &body).expect(200);
    }
}

fn send_until(stop: &AtomicBool, client: Client, sender: u64, answered: &AtomicU64) {
    let mut position = 0;
    while !stop.load(Ordering::SeqCst) {
        let batch: Vec<_> =
            (0..20).map(|n| ((sender + 1) << 4, position + n * 10, position + n * 10 + 10, "a line")).collect();
        assert!(statuses(client.send("POST", "/_bulk", &positioned("logs", &batch), &[])).iter().all(|s| *s == 201));
        position += 200;
        answered.fetch_add(20, Ordering::SeqCst);
    }
}

#[test]
fn mistakes_are_told_and_damage_is_found() {
    let kept = tempfile::tempdir().unwrap();
    let server = Server::start_with(settings(kept.path()));
    assert_eq!(server.get("/_snapshot").expect(200), json!({}));
    server.get("/_snapshot/none").error(404, "repository_missing_exception");
    server.put("/_snapshot/none/s", "").error(404, "repository_missing_exception");
    let outside = r#"{"type":"fs","settings":{"location":"/etc/weir"}}"#;
    let reason = server.put("/_snapshot/out", outside).error(400, "repository_exception");
    assert!(reason.contains("doesn't match any of the locations"), "{reason}");
    server.put("/_snapshot/x", r#"{"type":"hdfs"}"#).error(400, "repository_exception");
    server.put("/_snapshot/x", r#"{"settings":{}}"#).error(400, "action_request_validation_exception");
    server.put("/_snapshot/x", r#"{"type":"s3","settings":{"bucket":"b"}}"#).error(400, "repository_exception");
    register(&server, kept.path());
    assert_eq!(server.get("/_snapshot/k*").expect(200)["kept"]["type"], "fs");
    assert_eq!(server.post("/_snapshot/kept/_verify", "").expect(200)["nodes"].as_object().unwrap().len(), 1);
    server.put("/_snapshot/kept/Bad", "").error(400, "invalid_snapshot_name_exception");
    server.put("/_snapshot/kept/s", r#"{"indices":"missing"}"#).error(404, "index_not_found_exception");
    server.get("/_snapshot/kept/none").error(404, "snapshot_missing_exception");
    assert_eq!(server.get("/_snapshot/kept/none?ignore_unavailable=true").expect(200)["snapshots"], json!([]));
    server.delete("/_snapshot/kept/none").error(404, "snapshot_missing_exception");
    server.post("/_snapshot/kept/none/_restore", "").error(404, "snapshot_missing_exception");
    server.post("/_bulk", &lines("logs", 0, 50)).expect(200);
    assert_eq!(server.put("/_snapshot/kept/s", r#"{"metadata":{"by":"me"}}"#).expect(200), json!({"accepted": true}));
    eventually("it is there", || server.get("/_snapshot/kept/s").json()["snapshots"][0]["state"] == "SUCCESS");
    assert_eq!(server.get("/_snapshot/kept/s").expect(200)["snapshots"][0]["metadata"]["by"], "me");
    let reason = server.put("/_snapshot/kept/s", "").error(400, "invalid_snapshot_name_exception");
    assert!(reason.contains("already exists"), "{reason}");
    let reason = server.post("/_snapshot/kept/s/_restore", "").error(500, "snapshot_restore_exception");
    assert!(reason.contains("already exists"), "{reason}");
    let readonly = json!({"type": "fs", "settings": {"location": kept.path().join("repo"), "readonly": true}});
    server.put("/_snapshot/reader", &readonly.to_string()).expect(200);
    server.put("/_snapshot/reader/t", "").error(400, "repository_exception");
    server.delete("/_snapshot/reader/s").error(400, "repository_exception");
    assert_eq!(server.get("/_snapshot/reader/s").expect(200)["total"], 1);

    // Every object damaged in turn: nothing half is restored, and the one that is whole still is.
    let rename = json!({"rename_pattern": "^", "rename_replacement": "again-"}).to_string();
    for object in objects(kept.path()) {
        let whole = std::fs::read(&object).unwrap();
        let mut bytes = whole.clone();
        bytes[whole.len() / 2] ^= 4;
        std::fs::write(&object, &bytes).unwrap();
        let reason = server
            .post("/_snapshot/kept/s/_restore?wait_for_completion=true", &rename)
            .error(500, "repository_exception");
        assert!(reason.contains("checksum"), "{reason}");
        std::fs::write(&object, &whole).unwrap();
        assert!(server.get("/again-logs").status == 404 && !server.folder.join("restoring").exists());
    }
    server.post("/_snapshot/kept/s/_restore?wait_for_completion=true", &rename).expect(200);
    assert_eq!(server.count("again-logs"), 50);
    // What a broken-off snapshot left is found.
    std::fs::write(kept.path().join("repo/objects/left-over"), b"12345").unwrap();
    assert_eq!(
        server.post("/_snapshot/kept/_cleanup", "").expect(200)["results"],
        json!({"deleted_bytes": 5, "deleted_blobs": 1})
    );
    // The list of repositories survives, and damage to it is told.
    let folder = server.stop().unwrap();
    let on = |folder: &Path| Server::with(Settings { data_dir: folder.to_owned(), ..settings(kept.path()) });
    let server = on(folder.path());
    assert_eq!(server.get("/_snapshot").expect(200).as_object().unwrap().len(), 2);
    server.delete("/_snapshot/reader").expect(200);
    drop(server);
    std::fs::write(folder.path().join("repositories.json"), b"weir-snapshot 1 00000000\n{}\n").unwrap();
    let server = on(folder.path());
    assert_eq!(server.get("/_snapshot").expect(200), json!({}));
    assert!(server.get("/health").text().contains("repositories.json"));
}

#[test]
fn the_schedule_takes_and_forgets() {
    let kept = tempfile::tempdir().unwrap();
    let settings = Settings {
        snapshot_to: Some(kept.path().join("auto").to_string_lossy().into_owned()),
        snapshot_every: Span(Duration::from_secs(1)),
        snapshot_keep: 2,
        ..Settings::default()
    };
    let server = Server::start_with(settings);
    server.post("/_bulk", &lines("logs", 0, 10)).expect(200);
    let names = || -> Vec<String> {
        let list = server.get("/_snapshot/scheduled/_all").json()["snapshots"].as_array().cloned().unwrap_or_default();
        list.iter().map(|snapshot| snapshot["snapshot"].as_str().unwrap().to_owned()).collect()
    };
    eventually("one was taken", || !names().is_empty());
    let first = names()[0].clone();
    eventually("the first was forgotten", || !names().contains(&first) && names().len() == 2);
    assert!(server.get("/metrics").text().contains("weir_indexer_snapshots_total{result=\"success\"}"));
}
