//! Crashes and damage: a child process killed under load, torn journals, damaged partitions, room that runs out.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use weir_daemon::settings::Bytes;
use weir_indexer::Settings;

use crate::support::{Client, Server, eventually, positioned};

/// How often the child is killed.
const KILLS: u64 = 12;

struct Process {
    child: Child,
    client: Client,
}

impl Process {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(example())
            .arg(folder)
            .args(["127.0.0.1:0", "refresh_interval=0s", "journal_bytes=2000000"])
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

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The example binary, which cargo builds beside the tests.
fn example() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples/serve")
}

/// Four senders, each with sources of its own, each sending the next request only after the answer to the one before and
/// the same again when there was none. At the end every document that was sent is there once.
#[test]
fn nothing_accepted_is_lost_or_doubled_by_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let port = AtomicU64::new(0);
    let stop = AtomicU64::new(0);
    let mut process = Process::start(folder.path());
    port.store(u64::from(process.client.address.port()), Ordering::SeqCst);
    let sent: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4u64)
            .map(|sender| {
                let (port, stop) = (&port, &stop);
                scope.spawn(move || {
                    let (mut position, mut documents) = (0u64, 0u64);
                    while stop.load(Ordering::SeqCst) == 0 {
                        let batch: Vec<_> = (0..50u64)
                            .map(|n| (sender << 4, position + n * 10, position + n * 10 + 10, "the message of a line"))
                            .collect();
                        let body = positioned("logs", &batch);
                        loop {
                            let address = format!("127.0.0.1:{}", port.load(Ordering::SeqCst)).parse().unwrap();
                            match (Client { address }).try_send("POST", "/_bulk", body.as_bytes(), &[]) {
                                Ok(answer) if answer.status == 200 => {
                                    let items = answer.json()["items"].clone();
                                    for item in items.as_array().unwrap() {
                                        let status = item["create"]["status"].as_u64().unwrap();
                                        assert!(matches!(status, 201 | 409), "{item}");
                                    }
                                    break;
                                }
                                _ => std::thread::sleep(Duration::from_millis(20)),
                            }
                        }
                        position += 500;
                        documents += 50;
                    }
                    (sender << 4, documents)
                })
            })
            .collect();
        for round in 0..KILLS {
            // Not always in the same state: sometimes a search makes it commit.
            std::thread::sleep(Duration::from_millis(60 + round * 37 % 300));
            if round % 3 == 0 {
                let _ = process.client.try_send("GET", "/_cat/count/logs", b"", &[]);
            }
            process.kill();
            process = Process::start(folder.path());
            port.store(u64::from(process.client.address.port()), Ordering::SeqCst);
        }
        stop.store(1, Ordering::SeqCst);
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let expected: u64 = sent.iter().map(|(_, documents)| documents).sum();
    assert!(expected > 0);
    assert_eq!(process.client.count("logs"), expected);
    let mut ids = BTreeSet::new();
    for (source, documents) in &sent {
        for n in (0..*documents).step_by(17) {
            let id = format!("{source:016x}-{}", n * 10);
            assert_eq!(process.client.send("GET", &format!("/logs/_doc/{id}"), "", &[]).status, 200, "{id}");
            assert!(ids.insert(id));
        }
    }
    process.kill();
}

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

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Bytes flipped and files cut, all over a data folder: weir starts, and what it still gives is right.
#[test]
fn damage_is_set_aside_and_the_rest_is_served() {
    let server = Server::start();
    for n in 0..40u64 {
        let batch: Vec<_> = (0..5).map(|k| (0x10, n * 50 + k * 10, n * 50 + k * 10 + 10, "word")).collect();
        server
            .post(if n % 10 == 0 { "/_bulk?refresh=true" } else { "/_bulk" }, &positioned("logs", &batch))
            .expect(200);
    }
    server.put("/other/_doc/1?refresh=true", "{\"x\":\"y\"}").expect(201);
    let whole = server.stop().unwrap();
    let mut all = Vec::new();
    files(whole.path(), &mut all);
    all.sort();
    let mut seed = 12345u64;
    let mut random = |limit: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % limit.max(1)
    };
    let mut served = 0;
    for path in &all {
        if path.file_name().is_some_and(|name| name == "lock" || name == "reserve") {
            continue;
        }
        for attempt in 0..2 {
            let folder = tempfile::tempdir().unwrap();
            copy(whole.path(), folder.path());
            let damaged = folder.path().join(path.strip_prefix(whole.path()).unwrap());
            let mut bytes = std::fs::read(&damaged).unwrap();
            if attempt == 0 {
                bytes.truncate(random(bytes.len() as u64) as usize);
            } else if !bytes.is_empty() {
                let at = random(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << random(8);
            }
            std::fs::write(&damaged, &bytes).unwrap();
            let config = Settings { data_dir: folder.path().to_owned(), ..Settings::default() }.check().unwrap();
            let store = match weir_indexer::store::Store::open(
                &config,
                &weir_daemon::Metrics::new(),
                &weir_daemon::Health::new(),
            ) {
                Ok(store) => store,
                // A changed version number says "newer", and that is to be refused.
                Err(error @ weir_indexer::store::OpenError::Format { .. }) => {
                    assert!(damaged.ends_with("format"), "{}: {error}", damaged.display());
                    continue;
                }
                Err(error) => panic!("{} attempt {attempt}: {error}", damaged.display()),
            };
            let view = store.search_view("_all", weir_indexer::store::Choice::default()).unwrap();
            for part in &view.parts {
                let count = part.searcher.num_docs();
                let right = if &*part.index_name == "other" { count <= 1 } else { count == 200 || count == 0 };
                assert!(right, "{} attempt {attempt}: {count} documents in {}", damaged.display(), part.index_name);
                served += count;
            }
        }
    }
    assert!(served > 0);
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
                // Random words do not compress, so the budget fills quickly.
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

/// A file system of 64 MB that is really full. Needs root to mount one.
#[test]
fn a_full_file_system_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "weir-test"]).arg(folder.path()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("left out: a full file system, because mounting one needs root");
        return;
    }
    let settings = || Settings { data_dir: folder.path().join("data"), ..Settings::default() };
    let filler = folder.path().join("somebody-elses");
    let fill = || {
        use std::io::Write as _;
        let mut file = std::fs::File::create(&filler).unwrap();
        // Until there is no room for one more byte.
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
    };
    let send = |server: &Server, n: u64| {
        let message = format!("number {n} {}", "and so on ".repeat(30));
        server.post("/_bulk", &positioned("logs", &[(0x10, n * 10, n * 10 + 10, &message)]))
    };
    let server = Server::with(settings());
    for n in 0..50 {
        assert_eq!(send(&server, n).status, 200);
    }
    assert_eq!(server.count("logs"), 50);
    for n in 50..60 {
        assert_eq!(send(&server, n).status, 200);
    }
    // Ten are in the journal only when the disk fills.
    fill();
    let refused = send(&server, 60);
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(server.count("logs") >= 50);
    assert!(server.get("/health").status == 503 || server.count("logs") == 60);
    drop(server);
    // A start on the full disk.
    let server = Server::with(settings());
    assert!(server.count("logs") >= 50);
    assert_eq!(send(&server, 60).status, 429);
    // Room again: nobody does anything, and it goes on.
    std::fs::remove_file(&filler).unwrap();
    eventually("writes are accepted again", || send(&server, 60).status == 200);
    eventually("everything accepted is visible", || server.count("logs") == 61);
    eventually("health is well again", || server.get("/health").status == 200);
    drop(server);
    let unmounted = Command::new("umount").arg(folder.path()).status().unwrap();
    assert!(unmounted.success());
}
