//! Known failures of other shippers, each reproduced: those that have to do with files, containers and what the kernel
//! tells. Others stand with what they are about: `rotation`, `lines`, `delivery`, `pressure`.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::Signal;

use crate::container::{Container, counted};
use crate::shipper::Shipper;
use crate::sink::Sink;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn row_05_a_file_that_is_being_compressed_is_read_once() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..500);
    shipper.start();
    sink.wait_for(500);
    assert!(shipper.stop());
    container.count(500..1000);
    container.rotate(4);
    container.count(1000..1010);
    let packed = gzip(&std::fs::read(container.rotated(1)).unwrap());
    let beside = container.folder.join("abc-json.log.1.gz");
    // The compressor is half-way, and its source still there.
    std::fs::write(&beside, &packed[..packed.len() / 2]).unwrap();
    shipper.start();
    sink.wait_for(1010);
    std::fs::write(&beside, &packed).unwrap();
    container.count(1010..1020);
    sink.wait_for(1020);
    assert!(shipper.stop());
    // A crash left both; then the source goes.
    container.count(1020..1030);
    shipper.start();
    sink.wait_for(1030);
    std::fs::remove_file(container.rotated(1)).unwrap();
    container.count(1030..1040);
    sink.wait_for(1040);
    assert_eq!(sink.messages(""), counted(0..1040));
    assert_eq!((sink.gaps().len(), sink.repeated()), (0, 0));
}

#[test]
fn row_05_what_was_compressed_while_it_was_away_is_read_from_where_it_stood() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..500);
    shipper.start();
    sink.wait_for(500);
    assert!(shipper.stop());
    container.count(500..1000);
    container.rotate(4);
    container.count(1000..1010);
    let packed = gzip(&std::fs::read(container.rotated(1)).unwrap());
    std::fs::write(container.folder.join("abc-json.log.1.gz"), packed).unwrap();
    std::fs::remove_file(container.rotated(1)).unwrap();
    shipper.start();
    sink.wait_for(1010);
    assert_eq!(sink.messages(""), counted(0..1010));
    assert_eq!((sink.gaps().len(), sink.repeated()), (0, 0));
}

#[test]
fn row_06_an_inode_that_comes_back_is_a_new_file() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..100);
    let inode = std::fs::metadata(container.live()).unwrap().ino();
    shipper.start();
    sink.wait_for(100);
    assert!(shipper.stop());
    // Some file systems give the number back at once, some never.
    let mut others = Vec::new();
    container.rotate_away(1);
    for n in 0..200 {
        let path = container.folder.join(format!("other-{n}"));
        std::fs::write(&path, "").unwrap();
        if std::fs::metadata(&path).unwrap().ino() == inode {
            std::fs::rename(&path, container.live()).unwrap();
            break;
        }
        others.push(path);
    }
    for path in others {
        std::fs::remove_file(path).unwrap();
    }
    if !container.live().exists() {
        println!("left out: an inode that comes back because this file system gives none back");
    }
    // Longer than the old one was: its offset alone would look right.
    container.count(100..400);
    shipper.start();
    sink.wait_for(400);
    assert_eq!(sink.messages(""), counted(0..400));
    assert_eq!(sink.gaps().len(), 1, "what may have been written to the old one is on record");
}

#[test]
fn row_07_logs_and_files_that_begin_with_the_same_bytes_are_told_apart() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut first = Container::create(&shipper.root(), "aaa");
    let mut second = Container::create(&shipper.root(), "bbb");
    // Both clocks stand alike, so these are the same bytes, far past any checksum's reach.
    first.count(0..50);
    second.count(0..50);
    assert_eq!(std::fs::read(first.live()).unwrap(), std::fs::read(second.live()).unwrap());
    shipper.start();
    sink.wait_for(100);
    // A file shorter than what a checksum wants, and the next one with the same bytes again.
    let same = first.record("stdout", "same\n");
    for _ in 0..3 {
        first.rotate(5);
        first.raw(same.as_bytes());
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    second.count(50..60);
    sink.wait_for(113);
    assert_eq!(sink.messages("aaa"), [counted(0..50), vec!["same".to_owned(); 3]].concat());
    assert_eq!(sink.messages("bbb"), counted(0..60));
    assert_eq!((sink.gaps().len(), sink.repeated()), (0, 0));
}

#[test]
fn row_14_containers_that_never_run_when_somebody_looks_are_read() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    shipper.start();
    let mut containers = Vec::new();
    for n in 0..100 {
        let mut container = Container::create(&shipper.root(), &format!("task-{n}"));
        let dead = r#"{"State":{"Running":false,"ExitCode":1},"Name":"/crash","Config":{"Image":"i","Labels":{}}}"#;
        std::fs::write(container.folder.join("config.v2.json"), dead).unwrap();
        container.log("stderr", "cannot start\n");
        containers.push(container);
    }
    sink.wait_for(100);
    containers.into_iter().for_each(Container::remove);
    let mut after = Container::create(&shipper.root(), "after");
    after.count(0..1);
    sink.wait_for(101);
    assert_eq!((sink.count(), sink.gaps().len(), sink.repeated()), (101, 0, 0));
}

#[test]
fn row_15_a_stopped_container_keeps_its_position() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..1000);
    shipper.start();
    sink.wait_for(1000);
    let stopped = r#"{"State":{"Running":false},"Name":"/name","Config":{"Image":"img:1","Labels":{}}}"#;
    std::fs::write(container.folder.join("config.v2.json"), stopped).unwrap();
    assert!(shipper.stop());
    shipper.start();
    shipper.kill();
    // `docker start`.
    shipper.start();
    container.count(1000..1010);
    sink.wait_for(1010);
    assert_eq!(sink.messages(""), counted(0..1010));
    assert_eq!(sink.repeated(), 0);
}

fn inotify_instances(pid: u32) -> usize {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let targets = fds.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().contains("inotify")).count()
}

#[test]
fn row_20_many_containers_need_one_inotify_instance() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut containers: Vec<_> = (0..300).map(|n| Container::create(&shipper.root(), &format!("c{n}"))).collect();
    containers.iter_mut().for_each(|container| container.count(0..2));
    shipper.start();
    sink.wait_for(600);
    assert_eq!(inotify_instances(shipper.pid()), 1);
}

#[test]
fn row_20_without_inotify_everything_is_found_by_polling() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address).set("inotify=false");
    shipper.start();
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..100);
    sink.wait_for(100);
    assert_eq!(inotify_instances(shipper.pid()), 0);
    for turn in 1..4 {
        container.rotate(3);
        container.count(turn * 100..turn * 100 + 100);
        sink.wait_for(turn * 100 + 100);
    }
    assert_eq!(sink.messages(""), counted(0..400));
    assert_eq!((sink.gaps().len(), sink.repeated()), (0, 0));
}

#[test]
fn row_21_after_lost_notifications_everything_is_looked_at() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address).with_admin().set("scan_interval=1h");
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..10);
    shipper.start();
    sink.wait_for(10);
    let queue = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let queue: usize = queue.trim().parse().unwrap();
    if queue > 200_000 {
        println!("left out: an overflow of inotify because its queue holds {queue} events");
        return;
    }
    shipper.signal(Signal::STOP);
    let stray = [container.folder.join("stray-a"), container.folder.join("stray-b")];
    for n in 0..queue + 100 {
        std::fs::write(&stray[n % 2], "").unwrap();
        std::fs::remove_file(&stray[n % 2]).unwrap();
    }
    // Of these the kernel tells nothing any more.
    container.rotate(3);
    container.count(10..20);
    let mut unseen = Container::create(&shipper.root(), "unseen");
    unseen.count(0..10);
    shipper.signal(Signal::CONT);
    sink.wait_for(30);
    assert_eq!(sink.messages("abc"), counted(0..20));
    assert_eq!(sink.messages("unseen"), counted(0..10));
    assert!(shipper.metric("weir_shipper_rescans_total") >= 1);
}

#[test]
fn row_22_idle_files_are_not_read() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut containers: Vec<_> = (0..400).map(|n| Container::create(&shipper.root(), &format!("c{n}"))).collect();
    containers.iter_mut().for_each(|container| container.count(0..1));
    shipper.start();
    sink.wait_for(400);
    let reads = || -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/io", shipper.pid())).unwrap();
        text.lines().find_map(|line| line.strip_prefix("syscr: ")?.parse().ok()).unwrap()
    };
    // Until all have become idle; then each is looked at in this while, by its name.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let before = reads();
    std::thread::sleep(std::time::Duration::from_secs(8));
    let reads = reads() - before;
    assert!(reads < 400, "{reads} calls of read for 400 idle files");
    // And the first line after that is not late: it wakes the one that it belongs to.
    containers[7].count(1..2);
    sink.wait_for(401);
}

#[test]
fn row_23_a_noisy_log_does_not_starve_a_quiet_one() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut noisy = Container::create(&shipper.root(), "noisy");
    let record = noisy.record("stdout", &format!("{}\n", "x".repeat(100)));
    noisy.raw(record.repeat(60_000).as_bytes());
    let mut quiet: Vec<_> = (0..20).map(|n| Container::create(&shipper.root(), &format!("quiet-{n}"))).collect();
    // Two lines each: the second ends the first, which else would wait for a while in case it goes on.
    quiet.iter_mut().for_each(|container| container.count(0..2));
    shipper.start();
    sink.wait_for(60_040);
    for n in 0..20 {
        let before = sink.before_first(&format!("quiet-{n}")).unwrap();
        // Ten turns of the noisy one, of the fifty that it needs.
        assert!(before < 15_000, "quiet-{n} had to wait for {before} events");
    }
}

#[test]
fn row_24_metadata_may_come_late_and_is_remembered_when_it_goes() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::open(&shipper.root(), "abc");
    container.count(0..1);
    shipper.start();
    sink.wait_for(1);
    assert_eq!(sink.documents()[0]["container"], serde_json::json!({"id": "abc"}));
    let config = |name: &str| format!(r#"{{"Name":"/{name}","Config":{{"Image":"img:1","Labels":{{}}}}}}"#);
    let path = container.folder.join("config.v2.json");
    let mut n = 1;
    let mut until_named = |name: &str| {
        sink.wait(name, |sink| {
            container.count(n..n + 1);
            n += 1;
            let documents = sink.documents();
            documents.iter().any(|value| value["container"]["name"] == name)
        });
    };
    std::fs::write(&path, config("late")).unwrap();
    until_named("late");
    // `docker rename` writes the file anew.
    std::fs::write(&path, config("renamed")).unwrap();
    until_named("renamed");
    std::fs::remove_file(&path).unwrap();
    // Longer than the interval at which it is looked for.
    std::thread::sleep(std::time::Duration::from_secs(6));
    container.log("stdout", "after\n");
    sink.wait("the line after", |sink| sink.messages("").contains(&"after".to_owned()));
    let documents = sink.documents();
    let after = documents.iter().find(|value| value["message"] == "after").unwrap();
    assert_eq!(after["container"]["name"], "renamed");
}

#[test]
fn row_25_metadata_that_cannot_be_read_drops_nothing() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    for (id, config) in
        [("half", &b"{\"Name\":\"/x\",\"Con"[..]), ("empty", b""), ("odd", b"[1,2]"), ("binary", &[0, 255])]
    {
        let mut container = Container::create(&shipper.root(), id);
        std::fs::write(container.folder.join("config.v2.json"), config).unwrap();
        container.count(0..3);
    }
    shipper.start();
    sink.wait_for(12);
    for id in ["half", "empty", "odd", "binary"] {
        assert_eq!(sink.messages(id), counted(0..3));
    }
}

#[test]
fn row_26_a_link_to_a_followed_file_ships_nothing_twice() {
    let sink = Sink::start();
    let shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..10);
    let links = shipper.folder().join("links");
    std::fs::create_dir(&links).unwrap();
    std::os::unix::fs::symlink(container.live(), links.join("to-container.log")).unwrap();
    std::fs::write(links.join("plain.log"), "one\n").unwrap();
    std::os::unix::fs::symlink(links.join("plain.log"), links.join("to-plain.log")).unwrap();
    let mut shipper = shipper.set(&format!("paths={}/*.log", links.display()));
    shipper.start();
    sink.wait_for(11);
    assert!(shipper.stop());
    let mut messages = sink.messages("");
    messages.sort();
    assert_eq!(messages, [counted(0..10), vec!["one".to_owned()]].concat());
}

#[test]
fn row_27_a_clock_that_jumps_changes_no_order() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    let times = ["2024-05-01T12:00:00Z", "2031-01-01T00:00:00Z", "1999-12-31T23:59:59.5Z", "2024-05-01T12:00:01Z"];
    for (n, time) in times.into_iter().enumerate() {
        container.raw(format!("{{\"log\":\"line {n}\\n\",\"stream\":\"stdout\",\"time\":\"{time}\"}}\n").as_bytes());
    }
    shipper.start();
    sink.wait_for(4);
    assert_eq!(sink.messages(""), ["line 0", "line 1", "line 2", "line 3"]);
    let documents = sink.documents();
    let told: Vec<_> = documents.iter().map(|value| value["@timestamp"].as_str().unwrap()).collect();
    assert_eq!(told, times);
}

#[test]
fn row_28_no_docker_socket_is_asked() {
    let sink = Sink::start();
    let docker = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    docker.set_nonblocking(true).unwrap();
    let host = format!("tcp://{}", docker.local_addr().unwrap());
    let mut shipper = Shipper::new(sink.address).variable("DOCKER_HOST", &host);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..100);
    shipper.start();
    sink.wait_for(100);
    assert_eq!(sink.documents()[0]["service"]["name"], "service-of-abc");
    assert!(docker.accept().is_err(), "somebody has asked Docker");
    let sockets = std::fs::read_to_string(format!("/proc/{}/net/unix", shipper.pid())).unwrap();
    let held = std::fs::read_dir(format!("/proc/{}/fd", shipper.pid())).unwrap().flatten();
    let held: Vec<_> = held.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect();
    let to_docker = |line: &&str| {
        let inode = line.split_whitespace().nth(6).unwrap_or_default();
        line.ends_with("docker.sock") && held.iter().any(|link| link.to_string_lossy() == format!("socket:[{inode}]"))
    };
    assert_eq!(sockets.lines().find(to_docker), None);
}
