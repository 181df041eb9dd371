//! The disk layout stays readable: `tests/data/format-1` is a data folder that an earlier weir left behind when it was
//! cut off, with closed partitions, an open one, and a journal that was not yet committed.
//!
//! With `WEIR_WRITE_FORMAT_FOLDER=DIR` the first test writes such a folder anew. That is for a new layout version, which
//! gets a folder of its own beside the old one; the old one is never replaced.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weir_daemon::settings::Bytes;
use weir_indexer::Settings;

use crate::support::{Server, copy_folder, eventually, statuses};

/// Positioned lines in the folder; the first [`COMMITTED`] are in partitions, the others in the journal alone.
const LINES: u64 = 260;
/// See [`LINES`].
const COMMITTED: u64 = 240;
/// What one line takes of its source.
const STEP: u64 = 100;
const SOURCE: u64 = 0x5eed_0000_0000_0010;

/// The nth line. Words that do not compress make small partitions fill.
fn line(n: u64) -> Value {
    let mut seed = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let noise: String = (0..12)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:x} ", seed >> 20)
        })
        .collect();
    let level = ["error", "warn", "fatal"][(n % 3) as usize];
    // The field `code` is a number, and now and then a word: an odd value never costs a line.
    let code = if n % 50 == 7 { json!("none") } else { json!(n * 3) };
    json!({
        "@timestamp": format!("2026-11-20T10:{:02}:{:02}.{:03}Z", n / 60, n % 60, n),
        "message": format!("could not reach the database number {n} {noise}"),
        "log": {"level": level, "offset": n * STEP},
        "service": {"name": format!("service-{}", n % 4)},
        "code": code,
        "labels": {"team": "größe", "nested": {"flag": n.is_multiple_of(2)}},
        "tags": ["a", format!("t{}", n % 5)],
    })
}

fn lines(from: u64, to: u64) -> String {
    (from..to)
        .map(|n| {
            let (start, end) = (n * STEP, n * STEP + STEP);
            let action =
                json!({"create": {"_index": "logs-old", "_id": format!("{SOURCE:016x}-{start}"), "_end": end}});
            format!("{action}\n{}\n", line(n))
        })
        .collect()
}

fn settings(folder: &Path) -> Settings {
    Settings {
        data_dir: folder.to_owned(),
        // A tenth of the budget is the size of a partition, and the reserve is a fiftieth: all of it stays small.
        max_bytes: Some(Bytes(600_000)),
        min_free_bytes: Some(Bytes(0)),
        retention_days: 0,
        ..Settings::default()
    }
}

/// Everything in a folder and beneath it.
fn names(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(names(&entry.path()));
        }
        found.insert(entry.path());
    }
    found
}

/// Fills a folder and leaves it in `kept` as a process that is cut off would.
fn write(kept: &Path) {
    let server = Server::start_with(settings(Path::new("")));
    server
        .put("/_index_template/old", r#"{"index_patterns":["logs-*"],"template":{"aliases":{"all-logs":{}}}}"#)
        .expect(200);
    server.put("/api/searches/errors", r##"{"screen":"#/logs?q=log.level:error"}"##).expect(200);
    server.put("/notes", r#"{"mappings":{"properties":{"size":{"type":"long"},"text":{"type":"text"}}}}"#).expect(200);
    server.put("/notes/_doc/one", r#"{"size":1,"text":"first"}"#).expect(201);
    server.put("/notes/_doc/one", r#"{"size":2,"text":"second"}"#).expect(200);
    server.put("/notes/_doc/gone", r#"{"size":3}"#).expect(201);
    let partitions = || {
        let entries = std::fs::read_dir(server.folder.join("indices/logs-old")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('p')).count()
    };
    for from in (0..COMMITTED).step_by(40) {
        assert!(
            statuses(server.post("/_bulk?refresh=true", &lines(from, from + 40))).iter().all(|status| *status == 201)
        );
        if from == 160 {
            eventually("the first partition was closed", || partitions() > 1);
        }
    }
    server.post("/notes/_refresh", "").expect(200);
    server.delete("/notes/_doc/gone?refresh=true").expect(200);
    server.put("/notes/_doc/late", r#"{"size":"9","text":"in the journal"}"#).expect(201);
    assert!(statuses(server.post("/_bulk", &lines(COMMITTED, LINES))).iter().all(|status| *status == 201));
    // A merge may still be running: a process that is cut off leaves all files as they are at one moment.
    eventually("the files stay the same while they are copied", || {
        if kept.exists() {
            std::fs::remove_dir_all(kept).unwrap();
        }
        let before = names(&server.folder);
        std::thread::sleep(std::time::Duration::from_millis(100));
        let quiet = before == names(&server.folder);
        if quiet {
            copy_folder(&server.folder, kept);
        }
        quiet && before == names(&server.folder)
    });
    for leave in ["lock", "reserve"] {
        let _ = std::fs::remove_file(kept.join(leave));
    }
}

/// What must be there, whatever weir opens it.
fn check(folder: &Path) {
    let server = Server::with(settings(folder));
    assert_eq!(server.get("/health").status, 200, "{}", server.get("/health").text());
    assert!(!folder.join("damaged").exists(), "something was set aside");
    assert_eq!(server.count("logs-old"), LINES);
    assert_eq!(server.count("all-logs"), LINES);
    for n in 0..LINES {
        let got = server.get(&format!("/logs-old/_doc/{SOURCE:016x}-{}", n * STEP)).expect(200);
        assert_eq!(got["_source"], line(n));
    }
    let search = |query: Value| {
        let body = json!({"query": query, "size": 0, "track_total_hits": true}).to_string();
        server.post("/logs-old/_search", &body).expect(200)["hits"]["total"]["value"].as_u64().unwrap()
    };
    let every = |keep: &dyn Fn(u64) -> bool| (0..LINES).filter(|n| keep(*n)).count() as u64;
    assert_eq!(search(json!({"match_phrase": {"message": "the database number 255"}})), 1);
    assert_eq!(search(json!({"term": {"log.level": "warn"}})), every(&|n| n % 3 == 1));
    assert_eq!(search(json!({"term": {"tags": "t3"}})), every(&|n| n % 5 == 3));
    assert_eq!(search(json!({"range": {"code": {"gte": 300}}})), every(&|n| n >= 100 && n % 50 != 7));
    assert_eq!(
        search(json!({"range": {"@timestamp": {"gte": "2026-11-20T10:01:00Z", "lt": "2026-11-20T10:02:00Z"}}})),
        60
    );
    let body = json!({"size": 0, "aggs": {"s": {"terms": {"field": "service.name", "order": {"_key": "asc"}}}}});
    let found = server.post("/logs-old/_search", &body.to_string()).expect(200);
    assert_eq!(found["aggregations"]["s"]["buckets"][1], json!({"key": "service-1", "doc_count": LINES / 4}));
    // The marks are there: what comes again is known, and what follows is new.
    assert!(statuses(server.post("/_bulk", &lines(0, LINES))).iter().all(|status| *status == 409));
    assert_eq!(statuses(server.post("/_bulk", &lines(LINES, LINES + 1))), [201]);
    assert_eq!(server.count("logs-old"), LINES + 1);
    let note = server.get("/notes/_doc/one").expect(200);
    assert_eq!((&note["_version"], &note["_source"]["text"]), (&json!(2), &json!("second")));
    assert_eq!(server.get("/notes/_doc/gone").status, 404);
    assert_eq!(server.get("/notes/_doc/late").expect(200)["_source"]["text"], "in the journal");
    let mapping = server.get("/notes/_mapping").expect(200);
    assert_eq!(mapping["notes"]["mappings"]["properties"]["size"]["type"], "long");
    assert_eq!(server.get("/_index_template/old").status, 200);
    assert_eq!(server.get("/api/searches").expect(200)["searches"][0]["name"], "errors");
    // Both partitions go on: removing by id reaches into the closed one.
    server.delete(&format!("/logs-old/_doc/{SOURCE:016x}-0?refresh=true")).expect(200);
    assert_eq!(server.count("logs-old"), LINES);
}

#[test]
fn a_folder_written_now_opens_again() {
    let kept = match std::env::var_os("WEIR_WRITE_FORMAT_FOLDER") {
        Some(path) => PathBuf::from(path),
        None => tempfile::tempdir().unwrap().keep(),
    };
    write(&kept);
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&kept, folder.path());
    check(folder.path());
    if std::env::var_os("WEIR_WRITE_FORMAT_FOLDER").is_none() {
        std::fs::remove_dir_all(&kept).unwrap();
    }
}

#[test]
fn a_folder_of_format_1_opens() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format-1");
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&kept, folder.path());
    check(folder.path());
    // A second start, after everything was committed.
    let server = Server::with(settings(folder.path()));
    assert_eq!(server.count("logs-old"), LINES);
}

#[test]
fn a_newer_format_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let line = "weir-indexer 999";
    let sealed = format!("{line} {:08x}\n", crc32fast::hash(line.as_bytes()));
    std::fs::write(folder.path().join("format"), sealed).unwrap();
    let config = settings(folder.path()).check().unwrap();
    let opened = weir_indexer::store::Store::open(&config, &weir_daemon::Metrics::new(), &weir_daemon::Health::new());
    let problem = opened.err().expect("it must be refused").to_string();
    assert!(problem.contains("format 999") && problem.contains("newer weir"), "{problem}");
}
