//! What is found at a start after a crash, and room that runs out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_daemon::settings::Bytes;
use weir_indexer::Settings;

use crate::support::{Server, eventually, positioned};

#[test]
fn a_torn_journal_is_mended_at_start() {
    let server = Server::start();
    server.post("/_bulk", &positioned("logs", &[(0x10, 0, 10, "a")])).expect(200);
    let folder = server.stop().unwrap();
    let segment = folder.path().join("journal/00000000000000000900.wal");
    std::fs::write(&segment, b"WEIRJNL\x01garbage that is no record at all").unwrap();
    let server = Server::on(folder.path());
    assert_eq!(server.count("logs"), 1);
    assert!(server.get("/metrics").text().contains("weir_indexer_journal_torn_bytes_total"));
    server.post("/_bulk", &positioned("logs", &[(0x10, 10, 20, "b")])).expect(200);
    assert_eq!(server.count("logs"), 2);
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn the_oldest_go_when_the_budget_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        data_dir: folder.path().to_owned(),
        max_bytes: Some(Bytes(12_000_000)),
        min_free_bytes: Some(Bytes(0)),
        partition_bytes: Bytes(1_000_000),
        journal_bytes: Bytes(1_000_000),
        ..Settings::default()
    };
    let server = Server::with(settings);
    let mut position = 0u64;
    let mut seed = 1u64;
    let (mut refused, mut accepted) = (0, 0u64);
    for _ in 0..60 {
        let messages: Vec<String> = (0..500)
            .map(|_| {
                // Random words do not compress, so the budget fills quickly. They are no hexadecimal numbers: those would
                // hardly take room in the index.
                (0..24)
                    .map(|_| {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        format!("x{:x} ", seed >> 16)
                    })
                    .collect()
            })
            .collect();
        let batch: Vec<_> = messages
            .iter()
            .map(|message| {
                position += 10;
                (0x10, position - 10, position, message.as_str())
            })
            .collect();
        let body = positioned("logs", &batch);
        loop {
            let answer = server.post("/_bulk", &body);
            if answer.status == 200 {
                accepted += 500;
                break;
            }
            assert_eq!(answer.status, 429, "{}", answer.text());
            assert!(answer.head.contains("retry-after:"), "{}", answer.head);
            refused += 1;
            assert!(refused < 2_000, "writes were refused for ever");
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut all = Vec::new();
        files(folder.path(), &mut all);
        let used: u64 = all.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|metadata| metadata.len()).sum();
        assert!(used <= 12_500_000, "{used} bytes are used");
    }
    eventually("a partition was dropped", || server.count("logs") < accepted);
    let newest = format!("/logs/_doc/0000000000000010-{}", position - 10);
    assert_eq!(server.get(&newest).status, 200, "the newest document is kept");
}
