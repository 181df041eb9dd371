//! Rotation in every form, with the shipper awake, asleep and killed.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::container::{Container, counted};
use crate::shipper::Shipper;
use crate::sink::Sink;

#[test]
fn row_01_a_file_renamed_before_its_end_is_read_to_its_end() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    sink.silence(true);
    shipper.start();
    container.count(0..20_000);
    container.rotate(2);
    container.count(20_000..20_010);
    sink.silence(false);
    sink.wait_for(20_010);
    assert_eq!(sink.messages(""), counted(0..20_010));
    assert_eq!((sink.gaps().len(), sink.repeated()), (0, 0));
}

#[test]
fn row_02_several_rotations_while_it_was_away_are_read_oldest_first() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..100);
    shipper.start();
    sink.wait_for(100);
    assert!(shipper.stop());
    container.count(100..110);
    for turn in 0..3 {
        container.rotate(5);
        container.count(110 + turn * 10..120 + turn * 10);
    }
    shipper.start();
    sink.wait_for(140);
    assert_eq!(sink.messages(""), counted(0..140));
    assert_eq!((sink.gaps().len(), sink.repeated()), (0, 0));
}

#[test]
fn row_02_what_was_rotated_away_while_it_was_away_is_a_gap() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..100);
    shipper.start();
    sink.wait_for(100);
    assert!(shipper.stop());
    for turn in 0..5 {
        container.rotate(2);
        container.count(100 + turn * 10..110 + turn * 10);
    }
    shipper.start();
    sink.wait("a gap", |sink| sink.gaps().len() == 1);
    sink.wait_for(120);
    assert_eq!(sink.messages(""), [counted(0..100), counted(130..150)].concat());
    let gap = &sink.gaps()[0];
    assert_eq!(gap["container"]["id"], "abc");
    assert_eq!(gap["weir"]["gap"]["bytes"], serde_json::Value::Null);
    assert!(shipper.stop());
    shipper.start();
    container.count(150..151);
    sink.wait_for(121);
    assert_eq!((sink.gaps().len(), sink.repeated()), (1, 0), "a gap is told once");
}

#[test]
fn row_04_an_unlinked_file_is_read_to_its_end() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    shipper.start();
    container.count(0..1);
    sink.wait_for(1);
    sink.silence(true);
    for turn in 0..4 {
        container.count(1 + turn * 1000..1001 + turn * 1000);
        // One rotation for each look; what happens between two looks is row 2.
        std::thread::sleep(std::time::Duration::from_millis(300));
        container.rotate(1);
    }
    container.count(4001..4002);
    sink.silence(false);
    sink.wait_for(4002);
    assert_eq!(sink.messages(""), counted(0..4002));
    assert_eq!((sink.gaps().len(), sink.repeated()), (0, 0));
}

#[test]
fn rotation_under_load_with_kills_loses_nothing_and_doubles_nothing() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    shipper.start();
    let lines = 60_000;
    for n in 0..lines {
        if container.size() >= 400_000 {
            container.rotate(40);
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
        container.count(n..n + 1);
        if n % 7_000 == 6_999 {
            shipper.kill();
            shipper.start();
        }
    }
    sink.wait_for(lines);
    let messages = sink.messages("");
    assert_eq!(messages.len(), lines, "{:?}", sink.gaps());
    assert!(messages == counted(0..lines), "every line once and in order");
    assert_eq!(sink.gaps().len(), 0);
}

#[test]
fn row_12_a_container_removed_with_lines_unread_is_read_to_its_end() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..10);
    shipper.start();
    sink.wait_for(10);
    sink.silence(true);
    container.count(10..30_000);
    container.rotate(3);
    container.count(30_000..30_010);
    // The shipper must have met the new file: what comes and goes between two looks is row 2.
    std::thread::sleep(std::time::Duration::from_millis(300));
    container.remove();
    sink.silence(false);
    sink.wait_for(30_010);
    assert_eq!(sink.messages(""), counted(0..30_010));
    assert_eq!(sink.documents().last().unwrap()["container"]["name"], "name-of-abc");
    assert_eq!(sink.gaps().len(), 0);
}

/// The writer with which the peers were measured: 15,000 lines a second, a rotation every third of a second.
fn peers_writer() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("WEIR_SHARED").map_or_else(beside, PathBuf::from);
    let writer = shared.join("bench/docker_writer.py");
    if writer.exists() {
        return Some(writer);
    }
    println!("left out: rotation under load by the peers' writer, which is not at {}", writer.display());
    None
}

/// The positions that a document covers.
fn interval(value: &serde_json::Value) -> (u64, u64) {
    let weir = &value["@metadata"]["weir"];
    (weir["start"].as_u64().unwrap(), weir["end"].as_u64().unwrap())
}

/// Runs the writer, with kills of the shipper in between, and checks that every line is there once and in order, and
/// that lines are missing only where a gap record stands. Answers how many are missing.
fn under_load(max_file: u32, kills: usize) -> Option<usize> {
    const LINES: usize = 60_000;
    let writer = peers_writer()?;
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let container = Container::create(&shipper.root(), "abc");
    shipper.start();
    let mut child = Command::new("python3")
        .arg(writer)
        .arg(&container.folder)
        .args([&LINES.to_string(), "15000", "1e6", &max_file.to_string(), "0.5"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..kills {
        std::thread::sleep(std::time::Duration::from_millis(900));
        shipper.kill();
        shipper.start();
    }
    assert!(child.wait().unwrap().success());
    let last = format!("n={:09}", LINES - 1);
    sink.wait("the last line", |sink| sink.ends_with(&last));
    let gaps: Vec<_> = sink.gaps().iter().map(interval).collect();
    let mut lines = sink.documents();
    lines.retain(|value| value.get("event").is_none());
    lines.sort_by_key(|value| interval(value).0);
    let (mut next, mut missing, mut before) = (0, 0, 0);
    for value in lines {
        let n: usize = value["message"].as_str().unwrap()[2..11].parse().unwrap();
        let (start, end) = interval(&value);
        // A record begins at the last acknowledged position, and lines behind it may be stored nevertheless.
        let accounted = || gaps.iter().any(|gap| gap.0 < start && before < gap.1);
        assert!(n == next || (n > next && accounted()), "{n} follows {next} with no gap record: {gaps:?}");
        missing += n - next;
        (next, before) = (n + 1, end);
    }
    assert_eq!(next, LINES);
    Some(missing)
}

#[test]
fn row_01_rotation_under_load_loses_nothing_where_peers_lose_4_to_70_percent() {
    assert!(under_load(3, 0).is_none_or(|missing| missing == 0));
}

#[test]
fn row_04_unlinking_under_load_loses_nothing_where_peers_lose_4_to_98_percent() {
    assert!(under_load(1, 0).is_none_or(|missing| missing == 0));
}

#[test]
fn rotation_under_load_with_kills_is_complete_or_accounted_for() {
    for max_file in [3, 1] {
        if let Some(missing) = under_load(max_file, 3) {
            println!(
                "max-file {max_file}, 3 kills: {missing} lines rotated away while the shipper was dead, each in a gap record"
            );
        }
    }
}

#[test]
fn plain_files_are_followed_through_logrotate() {
    let sink = Sink::start();
    let shipper = Shipper::new(sink.address);
    let folder = shipper.folder().join("nginx");
    std::fs::create_dir(&folder).unwrap();
    let (live, rotated) = (folder.join("access.log"), folder.join("access.log.1"));
    let mut shipper = shipper.set(&format!("paths={}/*.log", folder.display()));
    std::fs::write(&live, "one\ntwo \"quoted\"\n").unwrap();
    shipper.start();
    sink.wait_for(2);
    std::fs::rename(&live, &rotated).unwrap();
    std::fs::write(&live, "three\n").unwrap();
    sink.wait_for(3);
    assert!(shipper.stop());
    std::fs::write(&live, "three\nfour\n").unwrap();
    std::fs::rename(&live, &rotated).unwrap();
    std::fs::write(&live, "five\n").unwrap();
    shipper.start();
    sink.wait_for(5);
    assert_eq!(sink.messages(""), ["one", "two \"quoted\"", "three", "four", "five"]);
    assert_eq!((sink.gaps().len(), sink.repeated()), (0, 0));
}

#[test]
fn row_03_a_truncated_file_is_read_from_its_start_and_the_loss_is_on_record() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..100);
    shipper.start();
    sink.wait_for(100);
    std::fs::OpenOptions::new().write(true).open(container.live()).unwrap().set_len(0).unwrap();
    sink.wait("a gap", |sink| sink.gaps().len() == 1);
    container.count(100..110);
    sink.wait_for(110);
    assert_eq!(sink.messages(""), counted(0..110));
    assert!(sink.gaps()[0]["message"].as_str().unwrap().contains("truncated"));
}
