//! Bad input is answered, counted and survived: on the Beats port, in `_bulk`, and in weir's own files after a crash.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use weir::demo::json_file::{Container, JsonFile, Limits, Stream};

use super::support::beats::{Writer, compressed, event, window};
use super::support::weir::{Part, Place};
use super::support::{found, http, until};

/// Whatever was acknowledged can be searched soon.
const SOON: Duration = Duration::from_secs(30);
/// What a bomb would inflate to.
const BOMB_BYTES: usize = 600_000_000;
/// No part may have held even half of it.
const RSS_KB_MAX: u64 = 300_000;
/// More than any limit on a request's body that makes sense for `_bulk`.
const BODY_BYTES: usize = 210_000_000;

fn started(parts: &[Part]) -> Place {
    let mut place = Place::empty();
    for part in parts {
        place.start(*part);
    }
    place.wait_up();
    let beats = place.beats;
    if !parts.contains(&Part::Indexer) {
        until("the Beats port", SOON, || std::net::TcpStream::connect(beats).map(drop).map_err(|e| e.to_string()));
    }
    place
}

fn count(search: SocketAddr, words: &str) -> Result<u64, String> {
    let answer = http::post(search, "/logs-weir/_count", &json!({"query": {"match_phrase": {"message": words}}}))?;
    answer["count"].as_u64().ok_or_else(|| answer.to_string())
}

/// Waits until exactly `expected` documents have `words`.
fn wait_count(search: SocketAddr, words: &str, expected: u64) {
    until(&format!("{expected} documents with `{words}`"), SOON, || match count(search, words)? {
        found if found == expected => Ok(()),
        found => Err(format!("{found} are found")),
    });
}

/// A right window is taken, and its event can be searched: the aggregator is well.
fn still_works(place: &mut Place, mark: &str) {
    place.check_alive();
    let mut writer = Writer::connect(place.beats);
    let document = json!({"@timestamp": "2026-01-01T00:00:00.000Z", "message": format!("ERROR {mark}")});
    writer.send(&[window(1), event(1, &document.to_string())].concat());
    assert_eq!(writer.acknowledged(), Some(1));
    wait_count(place.search, mark, 1);
}

#[test]
fn garbage_on_the_beats_port() {
    let mut place = started(&[Part::All]);
    let mut noise = weir::demo::rng::Rng::new(9);
    let noise: Vec<u8> = (0..100_000).map(|_| noise.below(256) as u8).collect();
    let wrong: [&[u8]; 5] = [
        &noise,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[window(1), b"2J\x00\x00\x00\x01\xff\xff\xff\xff{".to_vec()].concat(),
        &[window(1), compressed(b"2J\x00\x00")].concat(),
    ];
    for (n, bytes) in wrong.into_iter().enumerate() {
        let mut writer = Writer::connect(place.beats);
        writer.send(bytes);
        writer.end();
        assert_eq!(writer.acknowledged(), None, "case {n}");
    }
    still_works(&mut place, "after-garbage");
    assert_eq!(found::count_all(place.search), 1, "garbage has become documents");

    // A right frame around what is no JSON: a sender would send it for ever, so it is kept as it is, with a tag.
    let mut writer = Writer::connect(place.beats);
    writer.send(&[window(1), event(1, "{\"message\": no-json-at-all")].concat());
    assert_eq!(writer.acknowledged(), Some(1));
    let query = json!({"query": {"bool": {"filter": [{"term": {"tags.keyword": "_jsonparsefailure"}}]}}});
    until("the event that is no JSON", SOON, || {
        let answer = http::post(place.search, "/logs-weir/_search", &query)?;
        let message = answer["hits"]["hits"][0]["_source"]["message"].as_str().unwrap_or_default();
        if message.contains("no-json-at-all") { Ok(()) } else { Err(answer.to_string()) }
    });
}

#[test]
fn a_torn_window_is_not_acknowledged_and_a_second_try_is() {
    let mut place = started(&[Part::All]);
    let whole =
        [window(2), event(1, "{\"message\":\"ERROR torn first\"}"), event(2, "{\"message\":\"ERROR torn second\"}")]
            .concat();
    for at in [1, 3, 7, 20, whole.len() - 1] {
        let mut writer = Writer::connect(place.beats);
        writer.send(&whole[..at]);
        writer.end();
        assert_eq!(writer.acknowledged(), None, "cut after {at} bytes");
    }
    let mut writer = Writer::connect(place.beats);
    writer.send(&whole);
    assert_eq!(writer.acknowledged(), Some(2));
    wait_count(place.search, "torn second", 1);
    still_works(&mut place, "after-torn");
}

#[test]
fn a_compressed_bomb_is_refused_before_it_has_inflated() {
    let mut place = started(&[Part::All]);
    let mut writer = Writer::connect(place.beats);
    writer.send(&[window(1), compressed(&vec![b' '; BOMB_BYTES])].concat());
    assert_eq!(writer.acknowledged(), None);
    let status = fs::read_to_string(format!("/proc/{}/status", place.pid(Part::All))).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kb: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kb < RSS_KB_MAX, "weir has used {peak_kb} KB");
    still_works(&mut place, "after-bomb");
}

#[test]
fn a_window_that_is_never_completed_keeps_nobody_waiting() {
    let mut place = started(&[Part::All]);
    let mut slow: Vec<Writer> = (0..20).map(|_| Writer::connect(place.beats)).collect();
    for writer in &mut slow {
        writer.send(&[window(5), event(1, "{\"message\":\"ERROR never\"}")].concat());
    }
    still_works(&mut place, "beside-the-slow");
    for writer in &mut slow {
        writer.end();
        // An acknowledgement of a part of the window is allowed; one of the whole is not.
        assert!(writer.acknowledged().is_none_or(|sequence| sequence < 5));
    }
}

fn bulk(place: &Place, content_type: &str, body: &[u8]) -> http::Answer {
    http::ask(place.search, "POST", "/_bulk", content_type, body).unwrap()
}

#[test]
fn invalid_json_in_bulk_is_an_error_of_its_item() {
    let mut place = started(&[Part::Indexer]);
    let body = "{\"create\":{\"_index\":\"logs-weir\"}}\n{\"message\":\"bulk good one\"}\n\
                {\"create\":{\"_index\":\"logs-weir\"}}\n{\"message\":\"bulk bad\n\
                {\"create\":{\"_index\":\"logs-weir\"}}\n{\"message\":\"bulk good two\"}\n";
    let answer = bulk(&place, "application/x-ndjson", body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["errors"], true, "{answer}");
    let statuses: Vec<u64> =
        answer["items"].as_array().unwrap().iter().map(|item| item["create"]["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 400, 201]);
    assert!(answer["items"][1]["create"]["error"]["reason"].is_string(), "{answer}");
    wait_count(place.search, "bulk good", 2);
    place.check_alive();
}

/// The error of an answer, which must have Elasticsearch's shape.
fn error_of(answer: &http::Answer) -> Value {
    let body = answer.json();
    assert_eq!(body["status"], answer.status, "{body}");
    assert!(body["error"]["type"].is_string() && body["error"]["reason"].is_string(), "{body}");
    body
}

#[test]
fn an_unknown_content_type_is_refused() {
    let mut place = started(&[Part::Indexer]);
    let answer = bulk(&place, "text/yaml", b"create: x\n");
    assert!([406, 415].contains(&answer.status), "{} {}", answer.status, answer.text());
    let body = answer.json();
    assert!(body.to_string().contains("text/yaml"), "{body}");
    place.check_alive();
}

#[test]
fn a_body_over_the_limit_is_refused_with_413() {
    let mut place = started(&[Part::Indexer]);
    let answer = bulk(&place, "application/x-ndjson", &vec![b'\n'; BODY_BYTES]);
    assert_eq!(answer.status, 413, "{}", answer.text());
    error_of(&answer);
    place.check_alive();
    assert_eq!(http::get(place.search, "/").unwrap().status, 200);
}

#[test]
fn what_is_not_supported_is_refused_and_never_wrong() {
    let mut place = started(&[Part::Indexer]);
    let one = "{\"create\":{\"_index\":\"logs-weir\"}}\n{\"message\":\"supported\"}\n";
    assert_eq!(bulk(&place, "application/x-ndjson", one.as_bytes()).status, 200);
    for query in [json!({"query": {"geo_distance": {}}}), json!({"knn": {"field": "v", "query_vector": [1], "k": 1}})] {
        let body = query.to_string();
        let answer =
            http::ask(place.search, "POST", "/logs-weir/_search", "application/json", body.as_bytes()).unwrap();
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        error_of(&answer);
    }
    place.check_alive();
}

/// A container's log under `place`'s Docker root.
fn container_log(place: &Place) -> JsonFile {
    let container = Container { id: "c0".repeat(32), name: "solo".into(), image: "solo:1".into(), labels: Vec::new() };
    let limits = Limits { size_bytes_max: None, files_max: 1 };
    JsonFile::create(place.docker_root(), &container, limits, Timestamp::now()).unwrap()
}

fn write_lines(log: &mut JsonFile, numbers: std::ops::Range<u32>) {
    for n in numbers {
        log.write(Stream::Stdout, format!("ERROR solo line number{n}").as_bytes(), Timestamp::now()).unwrap();
    }
}

/// The files below `folder`, largest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    found
}

#[test]
fn a_half_written_registry_is_survived_without_a_line_lost_or_doubled() {
    for damage in ["cut", "zeros", "garbage", "gone"] {
        let mut place = Place::empty();
        let mut log = container_log(&place);
        write_lines(&mut log, 0..500);
        place.start(Part::All);
        place.wait_up();
        wait_count(place.search, "solo line", 500);
        place.kill(Part::All);
        let registry = files(&place.data().join("shipper"));
        let registry: Vec<_> = registry.iter().filter(|path| fs::metadata(path).unwrap().len() > 0).collect();
        assert!(!registry.is_empty(), "the shipper has no registry");
        for path in registry {
            let bytes = fs::read(path).unwrap();
            match damage {
                "cut" => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
                "zeros" => fs::write(path, vec![0; bytes.len()]).unwrap(),
                "garbage" => fs::write(path, bytes.iter().map(|byte| byte ^ 0x5a).collect::<Vec<_>>()).unwrap(),
                _ => fs::remove_file(path).unwrap(),
            }
        }
        write_lines(&mut log, 500..600);
        place.start(Part::All);
        place.wait_up();
        wait_count(place.search, "solo line", 600);
        wait_count(place.search, "number599", 1);
        wait_count(place.search, "number0", 1);
        assert_eq!(count(place.search, "solo line").unwrap(), 600, "{damage}");
    }
}

#[test]
fn a_torn_journal_tail_is_cut_off_and_nothing_acknowledged_is_lost() {
    let mut place = started(&[Part::Indexer]);
    let item = |n: u32| {
        format!("{{\"create\":{{\"_index\":\"logs-weir\",\"_id\":\"j{n}\"}}}}\n{{\"message\":\"journal line\"}}\n")
    };
    for n in 0..20 {
        let body: String = (n * 10..n * 10 + 10).map(item).collect();
        assert_eq!(bulk(&place, "application/x-ndjson", body.as_bytes()).json()["errors"], false);
    }
    place.kill(Part::Indexer);
    let journal: Vec<_> = files(&place.data().join("indexer"))
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("journal") && fs::metadata(path).unwrap().len() > 0)
        .collect();
    assert!(!journal.is_empty(), "no journal in {:?}", files(&place.data()));
    for path in &journal {
        // The beginning of a record that the crash cut off: here its own first bytes once more, and nonsense.
        let head: Vec<u8> = fs::read(path).unwrap().into_iter().take(60).collect();
        OpenOptions::new().append(true).open(path).unwrap().write_all(&[head, vec![0xff; 37]].concat()).unwrap();
    }
    place.start(Part::Indexer);
    place.wait_up();
    wait_count(place.search, "journal line", 200);
    let body: String = (195..205).map(item).collect();
    let answer = bulk(&place, "application/x-ndjson", body.as_bytes()).json();
    let statuses: Vec<u64> =
        answer["items"].as_array().unwrap().iter().map(|item| item["create"]["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [409, 409, 409, 409, 409, 201, 201, 201, 201, 201], "{answer}");
    wait_count(place.search, "journal line", 205);
    place.kill(Part::Indexer);
    place.start(Part::Indexer);
    place.wait_up();
    wait_count(place.search, "journal line", 205);
}

#[test]
fn a_second_weir_on_the_same_data_is_refused_and_the_first_goes_on() {
    let mut place = started(&[Part::All]);
    let other = Place::empty();
    for part in [Part::All, Part::Shipper, Part::Indexer] {
        // Its own ports, the first one's data.
        let output = other.command_on(part, &place.data()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "a second {} runs", part.name());
        assert!(
            said.contains(&place.data().display().to_string()),
            "{} does not say which folder: {said}",
            part.name()
        );
    }
    still_works(&mut place, "after-second");
}
