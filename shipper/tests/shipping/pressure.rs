//! What happens while nobody acknowledges: files are held, spooled, given up on record; and the limits on sending.

use std::time::{Duration, Instant};

use crate::container::{Container, counted};
use crate::shipper::Shipper;
use crate::sink::Sink;

/// One rotation for each look; what happens between two looks is another row.
const LOOK: Duration = Duration::from_millis(300);

#[test]
fn row_13_deleted_files_are_held_up_to_a_limit_and_then_told_of() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address).with_admin().set("held_max=1MB");
    let mut container = Container::create(&shipper.root(), "abc");
    shipper.start();
    container.count(0..1);
    sink.wait_for(1);
    sink.silence(true);
    let mut sizes = Vec::new();
    for turn in 0..6 {
        container.count(1 + turn * 4000..4001 + turn * 4000);
        std::thread::sleep(LOOK);
        sizes.push(container.size());
        container.rotate(1);
    }
    container.count(24_001..24_002);
    sink.wait("files to be given up", |_| shipper.metric("weir_shipper_let_go_total") >= 1);
    std::thread::sleep(LOOK);
    let held = std::fs::read_dir(format!("/proc/{}/fd", shipper.pid())).unwrap().flatten();
    let deleted = held.filter(|entry| {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        target.to_string_lossy().contains("-json.log (deleted)")
    });
    let held: u64 = deleted.filter_map(|entry| Some(std::fs::metadata(entry.path()).ok()?.len())).sum();
    assert!(held <= 1_000_000 + sizes[0], "{held} bytes are held open");
    sink.silence(false);
    sink.wait("the last line", |sink| sink.ends_with("n=000024001"));
    // Every line that is missing lies in a gap, and the gaps say exactly how much they are.
    let lost: u64 = sink.gaps().iter().map(|gap| gap["weir"]["gap"]["bytes"].as_u64().unwrap()).sum();
    let line = (sizes[1] / 4000) as usize;
    let missing = 24_002 - sink.count();
    assert!(lost > 0);
    assert_eq!(missing, lost as usize / line, "{lost} bytes of {line} a line");
    assert_eq!(shipper.metric("weir_shipper_gap_bytes_total"), lost as i64);
}

/// 24,002 lines in nine files, of which Docker has kept two, while nobody acknowledges anything.
fn outage(spool_max: &str) -> (Sink, Shipper) {
    let sink = Sink::start();
    let mut shipper =
        Shipper::new(sink.address).with_admin().set(&format!("spool_max={spool_max}")).set("window_events=500");
    let mut container = Container::create(&shipper.root(), "abc");
    shipper.start();
    container.count(0..1);
    sink.wait_for(1);
    sink.silence(true);
    for turn in 0..8 {
        container.count(1 + turn * 3000..3001 + turn * 3000);
        std::thread::sleep(LOOK);
        container.rotate(2);
    }
    container.count(24_001..24_002);
    (sink, shipper)
}

fn killed_and_heard_again(sink: &Sink, shipper: &mut Shipper) {
    shipper.kill();
    sink.hang_up();
    sink.silence(false);
    shipper.start();
}

#[test]
fn row_19_the_spool_keeps_what_docker_deletes_also_through_a_kill() {
    let (sink, mut shipper) = outage("100MB");
    // All rotated files but the one whose bytes are on their way already are copied, and Docker has kept one.
    sink.wait("the spool", |_| shipper.metric("weir_shipper_spooled_files_total") >= 7);
    killed_and_heard_again(&sink, &mut shipper);
    sink.wait_for(24_002);
    assert_eq!(sink.messages(""), counted(0..24_002));
    assert_eq!(sink.gaps().len(), 0);
    let left = || std::fs::read_dir(shipper.folder().join("data/spool")).unwrap().count();
    sink.wait("an empty spool", |_| left() == 0);
}

#[test]
fn a_spool_that_is_full_is_no_larger_than_its_cap_and_the_rest_is_told_of() {
    let (sink, mut shipper) = outage("1MB");
    sink.wait("the spool", |_| shipper.metric("weir_shipper_spooled_files_total") >= 2);
    std::thread::sleep(LOOK);
    let spool = shipper.folder().join("data/spool");
    let bytes: u64 = std::fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes > 0 && bytes <= 1_000_000, "{bytes}");
    killed_and_heard_again(&sink, &mut shipper);
    sink.wait("the last line", |sink| sink.ends_with("n=000024001"));
    assert!(!sink.gaps().is_empty() && sink.count() < 24_002);
    let messages = sink.messages("");
    assert!(messages.is_sorted() && messages.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn what_is_sent_keeps_to_the_bandwidth() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address).with_admin().set("bandwidth_max=200KB");
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..1500);
    let begun = Instant::now();
    shipper.start();
    sink.wait_for(1500);
    // Never more than the rate and one burst: a slow machine only makes it less.
    let sent = shipper.metric("weir_shipper_sent_bytes_total") as f64;
    let allowed = 200_000.0 * (begun.elapsed().as_secs_f64() + 0.1);
    assert!(sent > 300_000.0 && sent <= allowed, "{sent} bytes where {allowed} are allowed");
}

#[test]
fn a_limit_on_the_processor_slows_and_loses_nothing() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address).set("cpu_max=20");
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..5000);
    shipper.start();
    sink.wait_for(5000);
    assert_eq!(sink.messages(""), counted(0..5000));
}
