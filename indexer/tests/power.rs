//! Crashes under load: SIGKILL, and power cuts of a real file system. Nothing that was answered is lost, nothing is there
//! twice.
//!
//! `WEIR_CUTS` sets how often each is done (default 6; the figures in docs/durability.md are of 50).

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::device::{Device, example, freeze};
use crate::support::{Client, positioned};

/// Senders, each with a source of its own.
const SENDERS: u64 = 4;
/// Documents of a request.
const BATCH: u64 = 50;
/// What one document takes of its source.
const STEP: u64 = 10;

struct Process {
    child: Child,
    client: Client,
}

impl Process {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(example())
            .arg(folder)
            // A small journal and heap, so that commits, flushes and merges go on all the time.
            .args(["127.0.0.1:0", "refresh_interval=0s", "journal_bytes=2000000", "writer_heap_bytes=15000000"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("child said {line:?}")).parse().unwrap();
        Self { child, client: Client { address } }
    }
}

fn rounds() -> u64 {
    std::env::var("WEIR_CUTS").map_or(6, |cuts| cuts.parse().unwrap())
}

/// Each sender sends the next request only after the answer to the one before, and the same again when there was none. So
/// a request that was answered and lost is never sent again, and is missed in the end.
fn send(sender: u64, port: &AtomicU64, stop: &AtomicBool) -> u64 {
    let mut documents = 0;
    while !stop.load(Ordering::SeqCst) {
        let batch: Vec<_> = (documents..documents + BATCH)
            .map(|n| (sender << 4, n * STEP, n * STEP + STEP, "the message of a line that is sent once"))
            .collect();
        let body = positioned("logs", &batch);
        loop {
            let address = format!("127.0.0.1:{}", port.load(Ordering::SeqCst)).parse().unwrap();
            match (Client { address }).try_send("POST", "/_bulk", body.as_bytes(), &[]) {
                Ok(answer) if answer.status == 200 => {
                    for item in answer.json()["items"].as_array().unwrap() {
                        let status = item["create"]["status"].as_u64().unwrap();
                        assert!(matches!(status, 201 | 409), "{item}");
                    }
                    break;
                }
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        documents += BATCH;
    }
    documents
}

/// Kills `rounds` times as `kill` does it, and counts.
fn survive(folder: &Path, what: &str, mut kill: impl FnMut(&mut Process)) {
    let (port, stop, rounds) = (AtomicU64::new(0), AtomicBool::new(false), rounds());
    let mut process = Process::start(folder);
    port.store(u64::from(process.client.address.port()), Ordering::SeqCst);
    let sent: Vec<u64> = std::thread::scope(|scope| {
        let senders: Vec<_> = (1..=SENDERS)
            .map(|sender| {
                let (port, stop) = (&port, &stop);
                scope.spawn(move || send(sender, port, stop))
            })
            .collect();
        for round in 0..rounds {
            // Not always in the same state: sometimes a search makes it commit just before.
            std::thread::sleep(Duration::from_millis(80 + round * 137 % 700));
            if round % 3 == 0 {
                let _ = process.client.try_send("GET", "/_cat/count/logs", b"", &[]);
            }
            kill(&mut process);
            process.child.wait().unwrap();
            process = Process::start(folder);
            port.store(u64::from(process.client.address.port()), Ordering::SeqCst);
        }
        stop.store(true, Ordering::SeqCst);
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let expected: u64 = sent.iter().sum();
    let mut found = BTreeSet::new();
    let mut page = process.client.send("POST", "/logs/_search?scroll=1m&size=10000&_source=false", "", &[]).expect(200);
    loop {
        let hits = page["hits"]["hits"].as_array().unwrap().clone();
        if hits.is_empty() {
            break;
        }
        for hit in hits {
            let id = hit["_id"].as_str().unwrap().to_owned();
            assert!(found.insert(id.clone()), "{id} is there twice");
        }
        let body = json!({"scroll": "1m", "scroll_id": page["_scroll_id"]}).to_string();
        page = process.client.send("POST", "/_search/scroll", &body, &[]).expect(200);
    }
    let mut lost = 0;
    for (sender, documents) in (1..=SENDERS).zip(&sent) {
        lost += (0..*documents).filter(|n| !found.contains(&format!("{:016x}-{}", sender << 4, n * STEP))).count();
    }
    println!(
        "{rounds} times {what} under load: {expected} documents answered, {lost} lost, {} too many",
        found.len() as i64 + lost as i64 - expected as i64
    );
    process.child.kill().unwrap();
    process.child.wait().unwrap();
    assert!(expected > 0 && lost == 0 && found.len() as u64 == expected);
}

#[test]
fn nothing_answered_is_lost_or_doubled_by_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    survive(folder.path(), "SIGKILL", |process| process.child.kill().unwrap());
}

#[test]
fn nothing_answered_is_lost_or_doubled_by_a_power_cut() {
    let device = match Device::new(512) {
        Ok(device) => device,
        Err(why) => return println!("left out: power cuts because {why}"),
    };
    if let Err(why) = Command::new("python3").arg("--version").output() {
        return println!("left out: power cuts because python3 cannot be run: {why}");
    }
    let folder = device.path().join("data");
    survive(&folder, "the power cut", |process| {
        // It must not notice, and say to anybody that it failed.
        freeze(process.child.id());
        device.cut().unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
        device.unmount().unwrap();
        device.mount().unwrap();
    });
}
