//! Acknowledgements, broken connections, restarts.

use crate::container::{Container, counted};
use crate::shipper::Shipper;
use crate::sink::Sink;

#[test]
fn row_18_what_was_not_acknowledged_is_sent_again_after_a_kill() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..5_000);
    sink.silence(true);
    shipper.start();
    std::thread::sleep(std::time::Duration::from_millis(300));
    shipper.kill();
    sink.hang_up();
    sink.silence(false);
    shipper.start();
    sink.wait_for(5_000);
    assert_eq!(sink.messages(""), counted(0..5_000));
}

#[test]
fn row_17_a_restart_repeats_nothing() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..3_000);
    for turn in 1..5 {
        shipper.start();
        sink.wait_for(turn * 3_000);
        assert!(shipper.stop());
        container.count(turn * 3_000..(turn + 1) * 3_000);
    }
    assert_eq!(sink.messages(""), counted(0..12_000));
    assert_eq!(sink.repeated(), 0);
}

#[test]
fn connections_that_break_at_any_byte_lose_nothing() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address).set("window_events=100");
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..20_000);
    sink.cut_after(300_000);
    shipper.start();
    sink.wait_for(6_000);
    sink.cut_after(0);
    sink.hang_up();
    sink.wait_for(20_000);
    assert_eq!(sink.messages(""), counted(0..20_000));
    assert!(sink.repeated() > 0, "an acknowledgement was lost, so a window came twice");
}

#[test]
fn windows_are_compressed_when_that_is_asked_for() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address).set("compression=1");
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..5_000);
    shipper.start();
    sink.wait_for(5_000);
    assert_eq!(sink.messages(""), counted(0..5_000));
}

#[test]
fn a_second_shipper_on_the_same_folder_is_refused() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..1);
    shipper.start();
    sink.wait_for(1);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_weir-shipper"))
        .args(["--set", "admin=", "--set", &format!("data_dir={}", shipper.folder().join("data").display())])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("in use by another weir"), "{told}");
}

#[test]
fn row_16_a_ruined_registry_means_reading_again_and_storing_once() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..1_000);
    shipper.start();
    sink.wait_for(1_000);
    assert!(shipper.stop());
    std::fs::write(shipper.registry(), [0; 4096]).unwrap();
    container.count(1_000..1_100);
    shipper.start();
    sink.wait_for(1_100);
    assert_eq!(sink.messages(""), counted(0..1_100));
    assert_eq!(sink.repeated(), 1_000, "the identity is made of the file, so the index knows the old lines");
}
