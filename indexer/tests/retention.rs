//! Retention: by service inside a partition, by bytes of an index, and bytes that are free at once although somebody reads.

use serde_json::{Value, json};
use weir_daemon::settings::Bytes;
use weir_indexer::Settings;

use crate::support::{Server, eventually};

/// A line whose words do not compress, of `service` and `batch`.
fn line(index: &str, service: &str, batch: u64, n: u64) -> String {
    let mut seed = (batch << 32 | n).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let noise: String = (0..20)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{:x} ", seed >> 16)
        })
        .collect();
    let document = json!({
        "@timestamp": "2026-11-20T00:00:00Z", "message": noise, "service": {"name": service}, "batch": batch,
    });
    format!("{{\"create\":{{\"_index\":\"{index}\"}}}}\n{document}\n")
}

fn send(server: &Server, index: &str, services: &[&str], batch: u64, lines: u64) {
    let body: String = (0..lines).map(|n| line(index, services[n as usize % services.len()], batch, n)).collect();
    eventually("there is room", || server.post("/_bulk?refresh=true", &body).status == 200);
}

fn count(server: &Server, index: &str, service: &str, batch: u64) -> u64 {
    let filter = json!([{"term": {"service.name": service}}, {"term": {"batch": batch}}]);
    let body = json!({"query": {"bool": {"filter": filter}}}).to_string();
    server.post(&format!("/{index}/_count"), &body).expect(200)["count"].as_u64().unwrap()
}

fn partitions(server: &Server, index: &str) -> usize {
    let entries = std::fs::read_dir(server.folder.join("indices").join(index)).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('p')).count()
}

/// A fifth of this is a partition.
fn small() -> Settings {
    Settings { max_bytes: Some(Bytes(8_000_000)), min_free_bytes: Some(Bytes(0)), ..Settings::default() }
}

fn closed_after(server: &Server, index: &str, services: &[&str]) {
    for batch in 2.. {
        if partitions(server, index) > 1 {
            return;
        }
        send(server, index, services, batch, 600);
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
}

#[test]
fn services_have_ages_of_their_own() {
    let server = Server::start_with(Settings {
        retention_indices: vec!["logs=4s".to_owned()],
        retention_services: vec!["chatty=1s".to_owned(), "payments=365d".to_owned()],
        ..small()
    });
    send(&server, "logs", &["web", "chatty", "payments"], 1, 600);
    assert_eq!(count(&server, "logs", "chatty", 1), 200);
    closed_after(&server, "logs", &["web"]);
    eventually("the chatty one is gone", || count(&server, "logs", "chatty", 1) == 0);
    eventually("only what is kept for a year is left", || count(&server, "logs", "web", 1) == 0);
    assert_eq!(count(&server, "logs", "payments", 1), 200);
    let deleted = || {
        let rows = server.get("/_cat/indices/logs?format=json").expect(200);
        rows[0]["docs.deleted"].as_str().unwrap_or("0").parse::<u64>().unwrap()
    };
    eventually("their bytes are gone too", || deleted() == 0);
    // And a restart finds the same.
    let folder = server.stop().unwrap();
    let server = Server::with(Settings { data_dir: folder.path().to_owned(), ..small() });
    assert_eq!(count(&server, "logs", "payments", 1), 200);
    assert!(!folder.path().join("damaged").exists());
}

#[test]
fn bytes_have_limits_by_service_and_by_index() {
    let server = Server::start_with(Settings {
        retention_indices: vec!["small=600kB".to_owned()],
        retention_services: vec!["chatty=100kB".to_owned()],
        ..small()
    });
    send(&server, "logs", &["web", "chatty"], 1, 1_000);
    closed_after(&server, "logs", &["web"]);
    eventually("the chatty one is gone where it is too much", || count(&server, "logs", "chatty", 1) == 0);
    assert_eq!(count(&server, "logs", "web", 1), 500);
    for batch in 1..12 {
        send(&server, "small", &["web"], batch, 500);
        std::thread::sleep(std::time::Duration::from_millis(400));
    }
    eventually("the oldest of the small index are gone", || count(&server, "small", "web", 1) == 0);
    assert_eq!(count(&server, "small", "web", 11), 500);
}

/// Deleted files that this process still maps, in bytes.
fn held(folder: &std::path::Path) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let is_held = |line: &&str| line.contains(&*folder.to_string_lossy()) && line.ends_with("(deleted)");
    let bytes = |line: &str| -> Option<u64> {
        let (from, to) = line.split_once(' ')?.0.split_once('-')?;
        Some(u64::from_str_radix(to, 16).ok()? - u64::from_str_radix(from, 16).ok()?)
    };
    maps.lines().filter(is_held).filter_map(bytes).sum()
}

#[test]
fn a_dropped_partition_is_not_held_by_those_who_read_it() {
    let server = Server::start_with(small());
    send(&server, "logs", &["web"], 1, 1_000);
    closed_after(&server, "logs", &["web"]);
    let pit = server.post("/logs/_pit?keep_alive=1h", "").expect(200)["id"].clone();
    let scroll = server.post("/logs/_search?scroll=1h&size=10", "").expect(200)["_scroll_id"].clone();
    let search = |pit: &Value| {
        let body = json!({"pit": {"id": pit}, "query": {"term": {"batch": 1}}, "track_total_hits": true}).to_string();
        server.post("/_search", &body).expect(200)["hits"]["total"]["value"].as_u64().unwrap()
    };
    assert_eq!(search(&pit), 1_000);
    for batch in 100.. {
        if !server.folder.join("indices/logs/p1").exists() {
            break;
        }
        send(&server, "logs", &["web"], batch, 1_000);
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    eventually("no deleted file is held", || held(&server.folder) == 0);
    // The point in time goes on with what is left, and so does the scroll.
    assert_eq!(search(&pit), 0);
    server.post("/_search/scroll", &json!({"scroll_id": scroll}).to_string()).expect(200);
    server.delete("/logs").expect(200);
    eventually("no file of a deleted index is held", || held(&server.folder) == 0);
    assert_eq!(search(&pit), 0);
}
