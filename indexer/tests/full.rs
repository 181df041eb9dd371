//! A file system of 64 MB that is really full: by our own data, by somebody else's file, and at any moment of a journal
//! write, a commit, a merge and a snapshot. Nobody helps, and nothing that was answered is lost.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use weir_daemon::settings::Bytes;
use weir_indexer::Settings;

use crate::device::{Device, free_bytes};
use crate::support::{Client, Server, eventually, positioned};

/// How often somebody fills the disk while everything goes on.
const FILLINGS: u64 = 8;

fn device() -> Option<Device> {
    Device::new(64).map_err(|why| println!("left out: a full file system because {why}")).ok()
}

fn settings(device: &Device) -> Settings {
    Settings { data_dir: device.path().join("data"), ..Settings::default() }
}

fn send(client: Client, n: u64) -> u16 {
    let message = format!("number {n} {}", "and so on ".repeat(30));
    // A connection may break when the answer cannot be made; then there is none.
    let body = positioned("logs", &[(0x10, n * 10, n * 10 + 10, &message)]);
    client.try_send("POST", "/_bulk", body.as_bytes(), &[]).map_or(0, |answer| answer.status)
}

#[test]
fn somebody_elses_file_fills_it() {
    let Some(device) = device() else { return };
    let server = Server::with(settings(&device));
    for n in 0..50 {
        assert_eq!(send(server.client(), n), 200);
    }
    assert_eq!(server.count("logs"), 50);
    for n in 50..60 {
        assert_eq!(send(server.client(), n), 200);
    }
    // Ten are in the journal only when the disk fills.
    let filler = device.fill();
    assert_eq!(send(server.client(), 60), 429);
    assert!(server.count("logs") >= 50);
    assert!(server.get("/health").status == 503 || server.count("logs") == 60);
    drop(server);
    // A start on the full disk. Our own data is not what must go.
    let server = Server::with(settings(&device));
    assert!(server.count("logs") >= 50);
    assert_eq!(send(server.client(), 60), 429);
    // Room again: nobody does anything, and it goes on.
    std::fs::remove_file(&filler).unwrap();
    eventually("writes are accepted again", || send(server.client(), 60) == 200);
    eventually("everything accepted is visible", || server.count("logs") == 61);
    eventually("health is well again", || server.get("/health").status == 200);
}

#[test]
fn our_own_data_fills_it() {
    let Some(device) = device() else { return };
    // Somebody else has half of it.
    let others = device.path().join("somebody-elses");
    std::fs::write(&others, vec![7; 30 << 20]).unwrap();
    let server = Server::with(Settings {
        partition_bytes: Bytes(2_000_000),
        journal_bytes: Bytes(1_000_000),
        ..settings(&device)
    });
    let dropped = || {
        let metrics = server.get("/metrics").text();
        let line = metrics.lines().find(|line| line.starts_with("weir_indexer_dropped_partitions_total")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let (mut position, mut seed, mut refused, mut least) = (0u64, 1u64, 0u64, u64::MAX);
    while dropped() < 3 {
        let messages: Vec<String> = (0..1_000)
            .map(|_| {
                // Random words do not compress.
                (0..24)
                    .map(|_| {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        format!("{:x} ", seed >> 16)
                    })
                    .collect()
            })
            .collect();
        let batch: Vec<_> = messages
            .iter()
            .enumerate()
            .map(|(n, message)| (0x10, position + n as u64 * 10, position + n as u64 * 10 + 10, message.as_str()))
            .collect();
        let answer = server.post("/_bulk", &positioned("logs", &batch));
        match answer.status {
            200 => position += 10_000,
            429 => {
                assert!(answer.head.contains("retry-after:"), "{}", answer.head);
                refused += 1;
                assert!(refused < 1_000, "writes are refused for ever");
                std::thread::sleep(Duration::from_millis(100));
            }
            status => panic!("{status}: {}", answer.text()),
        }
        least = least.min(free_bytes(&device.path()));
    }
    // A twentieth of the file system is kept free, whatever is written for what was accepted.
    assert!(least > 3_000_000, "only {least} bytes were free");
    println!(
        "our own data on 64 MB: {} documents, refused {refused} times, {least} bytes were free at the least",
        position / 10
    );
    assert_eq!(std::fs::metadata(&others).unwrap().len(), 30 << 20);
    eventually("the newest is there", || {
        server.count("logs") > 0 && server.get(&format!("/logs/_doc/0000000000000010-{}", position - 10)).status == 200
    });
    eventually("health is well", || server.get("/health").status == 200);
}

#[test]
fn it_fills_at_any_moment() {
    let Some(device) = device() else { return };
    let kept = device.path().join("kept");
    let server = Server::with(Settings { snapshot_paths: vec![kept.clone()], ..settings(&device) });
    let body = json!({"type": "fs", "settings": {"location": kept}}).to_string();
    server.put("/_snapshot/kept", &body).expect(200);
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let client = server.client();
    let (refused, unavailable, failed_snapshots) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let (stop, answered, refused, unavailable, failed) =
            (&stop, &answered, &refused, &unavailable, &failed_snapshots);
        scope.spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                match send(client, answered.load(Ordering::SeqCst)) {
                    200 => {
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                    429 => {
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                    _ => {
                        unavailable.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        });
        // Every search commits, and commits make merges.
        scope.spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let _ = client.try_send("GET", "/_cat/count/logs", b"", &[]);
            }
        });
        scope.spawn(move || {
            for n in 0.. {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let path = format!("/_snapshot/kept/s{n}?wait_for_completion=true");
                match client.try_send("PUT", &path, b"", &[]) {
                    Ok(answer) if answer.status == 200 => {}
                    _ => {
                        failed.fetch_add(1, Ordering::SeqCst);
                    }
                }
                // So that snapshots do not fill it by themselves.
                let _ = client.try_send("DELETE", &format!("/_snapshot/kept/s{n}"), b"", &[]);
            }
        });
        for round in 0..FILLINGS {
            std::thread::sleep(Duration::from_millis(150 + round * 97 % 400));
            let filler = device.fill();
            std::thread::sleep(Duration::from_millis(50 + round * 131 % 300));
            std::fs::remove_file(filler).unwrap();
        }
        stop.store(true, Ordering::SeqCst);
    });
    let answered = answered.load(Ordering::SeqCst);
    eventually("everything that was answered is there", || server.count("logs") == answered);
    eventually("health is well", || server.get("/health").status == 200);
    eventually("writes are accepted", || send(client, answered) == 200);
    eventually("a snapshot can be taken", || {
        let taken = server.put("/_snapshot/kept/last?wait_for_completion=true", "");
        taken.status == 200 && taken.json()["snapshot"]["state"] == "SUCCESS"
    });
    let rename = json!({"rename_pattern": "logs", "rename_replacement": "again"}).to_string();
    server.post("/_snapshot/kept/last/_restore?wait_for_completion=true", &rename).expect(200);
    assert_eq!(server.count("again"), answered + 1);
    println!(
        "filled {FILLINGS} times: {answered} documents answered and there, {} refused, {} unavailable, {} snapshots failed",
        refused.into_inner(),
        unavailable.into_inner(),
        failed_snapshots.into_inner()
    );
}
