//! What becomes of single lines on their way.

use crate::container::{Container, counted};
use crate::shipper::Shipper;
use crate::sink::Sink;

#[test]
fn a_line_arrives_with_everything_that_is_known_of_it() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address).set("host_name=node-1");
    let mut container = Container::create(&shipper.root(), "abc");
    container.log("stdout", "first\n");
    container.log("stderr", "a \"quoted\" t\u{e4}xt \u{1b}[31mred\u{1b}[0m\n");
    shipper.start();
    sink.wait_for(2);
    let documents = sink.documents();
    let first = documents.iter().find(|value| value["message"] == "first").unwrap();
    assert_eq!(first["@timestamp"], "2024-05-01T12:00:00.001000000Z");
    assert_eq!(first["stream"], "stdout");
    assert_eq!(first["log"]["offset"], 0);
    assert_eq!(first["log"]["file"]["path"], container.live().to_str().unwrap());
    assert_eq!(first["host"]["name"], "node-1");
    assert_eq!(first["container"]["name"], "name-of-abc");
    assert_eq!(first["container"]["image"]["name"], "img:1");
    assert_eq!(first["service"]["name"], "service-of-abc");
    let keys: Vec<_> = first.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(
        keys.starts_with(&["@timestamp", "message", "stream", "@metadata", "log", "host", "container"]),
        "{keys:?}"
    );
    let second = documents.iter().find(|value| value["stream"] == "stderr").unwrap();
    assert_eq!(second["message"], "a \"quoted\" t\u{e4}xt \u{1b}[31mred\u{1b}[0m");
    let source = |value: &serde_json::Value| {
        value["@metadata"]["weir"]["source"].as_str().map(|hex| u64::from_str_radix(hex, 16).unwrap())
    };
    assert_eq!(source(first).unwrap() | 1, source(second).unwrap());
}

#[test]
fn row_10_long_lines_are_rejoined_although_streams_interleave_and_files_rotate() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    let piece = |letter: &str| letter.repeat(16 << 10);
    shipper.start();
    container.log("stdout", &piece("a"));
    container.log("stderr", &piece("x"));
    container.log("stdout", &piece("b"));
    container.rotate(3);
    container.log("stderr", "end of x\n");
    container.log("stdout", "end of a\n");
    container.log("stdout", "next\n");
    sink.wait_for(3);
    let mut messages = sink.messages("");
    messages.sort();
    assert_eq!(messages, [piece("a") + &piece("b") + "end of a", "next".to_owned(), piece("x") + "end of x"]);
}

#[test]
fn a_line_is_not_sent_before_its_newline_is_there() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    shipper.start();
    container.count(0..1);
    let record = container.record("stdout", "cut in two\n");
    let (first, second) = record.split_at(20);
    container.raw(first.as_bytes());
    sink.wait_for(1);
    container.raw(second.as_bytes());
    container.log("stdout", "last\n");
    sink.wait_for(3);
    assert_eq!(sink.messages("")[1..], ["cut in two", "last"]);
}

#[test]
fn row_08_nuls_that_a_power_cut_left_are_skipped_and_what_follows_is_read() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address).with_admin();
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..1);
    container.raw(&[0; 5000]);
    container.count(1..2);
    // A run longer than any buffer, as a sparse head after an external truncation has it.
    container.raw(&vec![0; 3_000_000]);
    container.raw(b"\n");
    container.count(2..4);
    shipper.start();
    sink.wait_for(4);
    assert_eq!(sink.messages(""), counted(0..4));
    assert!(shipper.metric("weir_shipper_nul_bytes_total") >= 5000);
}

#[test]
fn row_09_half_a_record_is_kept_apart_and_the_one_glued_to_it_is_salvaged() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..1);
    container.raw(br#"{"log":"half of a rec"#);
    container.count(1..2);
    container.raw(b"no JSON at all\n\n");
    container.raw(b"{\"log\":\"bad utf-8 \xff\xfe\\n\",\"stream\":\"stdout\",\"time\":\"2024-05-01T12:00:00Z\"}\n");
    container.count(2..3);
    shipper.start();
    sink.wait_for(6);
    let lines = counted(0..3);
    let expected =
        [&lines[0], r#"{"log":"half of a rec"#, &lines[1], "no JSON at all", "bad utf-8 \u{fffd}\u{fffd}", &lines[2]];
    assert_eq!(sink.messages(""), expected);
    let flagged: Vec<_> = sink.documents().into_iter().filter(|value| value["log"]["flags"][0] == "corrupt").collect();
    assert_eq!(flagged.len(), 2);
}

#[test]
fn row_11_a_huge_line_is_cut_and_flagged_and_never_in_memory_whole() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address).set("max_line_bytes=100000");
    let mut container = Container::create(&shipper.root(), "abc");
    for _ in 0..640 {
        container.log("stdout", &"y".repeat(16 << 10));
    }
    container.log("stdout", "end\n");
    container.raw(
        format!(
            "{{\"log\":\"{}\\n\",\"stream\":\"stdout\",\"time\":\"2024-05-01T12:00:00Z\"}}\n",
            "z".repeat(3_000_000)
        )
        .as_bytes(),
    );
    container.log("stdout", "after\n");
    shipper.start();
    sink.wait_for(3);
    let documents = sink.documents();
    assert_eq!(documents[0]["message"], "y".repeat(100_000));
    assert_eq!(documents[0]["log"]["flags"][0], "truncated");
    assert_eq!(
        documents[1]["message"].as_str().unwrap().len(),
        100_000 - 3,
        "the escaped quotes of the raw text count"
    );
    assert_eq!(documents[2]["message"], "after");
}

#[test]
fn row_10_half_a_line_that_stays_alone_is_sent_after_a_while_and_grouped_by_the_drivers_clock() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address);
    let mut container = Container::create(&shipper.root(), "abc");
    container.log("stdout", "prompt> ");
    container.pass(60);
    container.log("stdout", "much later\n");
    container.log("stderr", "never ends");
    shipper.start();
    sink.wait_for(3);
    let told: Vec<_> =
        sink.documents().iter().map(|value| (value["message"].clone(), value["log"]["flags"][0].clone())).collect();
    let expected = serde_json::json!([["prompt> ", "partial"], ["much later", null], ["never ends", "partial"]]);
    assert_eq!(serde_json::to_value(told).unwrap(), expected);
}
