//! Events: the quick way and the ordinary way must show the same.

use super::*;

const LINE: &str = r#"{"@timestamp":"2024-05-01T10:00:00.123456789Z","message":"hello \"you\"\té \u00e9","stream":"stdout","@metadata":{"weir":{"start":10,"end":40,"source":"00000000000000ac"},"beat":"weir","parts":1,"type":"_doc","version":"0.1.0"},"log":{"offset":10,"file":{"path":"/x"}},"host":{"name":"n1"},"container":{"id":"c","labels":{"a":"b"}},"service":{"name":"web"}}"#;

fn path(text: &str) -> FieldPath {
    FieldPath::parse(text).unwrap()
}

fn json(event: &Event) -> serde_json::Value {
    let mut out = Vec::new();
    event.write_json(&mut out);
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
}

/// The same line read quickly and ordinarily.
fn both() -> [Event; 2] {
    let quick = EventDecoder::new().decode(Bytes::from(LINE));
    assert!(quick.shared.is_some(), "the quick way did not take the shipper's shape");
    let plain = Event::from_json(Bytes::from(LINE)).unwrap();
    assert!(plain.shared.is_none());
    [quick, plain]
}

#[test]
fn the_quick_way_takes_an_event_as_the_shipper_writes_it() {
    let text = include_str!("../../../common/lumberjack/tests/event.json").trim_end();
    let mut decoder = EventDecoder::new();
    for n in 0..3 {
        let event = decoder.decode(Bytes::from(text.replace("1234", &(1234 + n).to_string())));
        assert!(event.shared.is_some(), "the shipper's shape is another one now");
        let plain = Event::from_json(Bytes::from(text)).unwrap();
        assert_eq!(event.get(&path("[container][name]")), plain.get(&path("[container][name]")));
        assert_eq!(event.get(&path("[@metadata][weir][pipeline]")), plain.get(&path("[@metadata][weir][pipeline]")));
    }
}

#[test]
fn both_ways_show_the_same() {
    let [quick, plain] = both();
    assert_eq!(json(&quick), json(&plain));
    assert_eq!(quick.identity(), Some(Identity { source: 0xac, start: 10, end: 40 }));
    assert_eq!(quick.identity(), plain.identity());
    for field in [
        "message",
        "@timestamp",
        "[log][offset]",
        "[log][file][path]",
        "[log][file]",
        "[service][name]",
        "[nothing]",
        "[container][labels][a]",
        "[@metadata][weir][start]",
        "[@metadata][weir][source]",
        "[@metadata][beat]",
        "[@metadata][weir][pipeline]",
        "[log][level]",
    ] {
        assert_eq!(quick.get(&path(field)), plain.get(&path(field)), "{field}");
    }
    assert_eq!(quick.timestamp(), plain.timestamp());
    for field in ["log", "@metadata", "[@metadata][weir]"] {
        let keys = |event: &Event| {
            let Some(Value::Object(object)) = event.get_owned(&path(field)) else { panic!("{field}") };
            let mut names: Vec<String> =
                object.iter().map(|(name, value)| format!("{name}={}", value.to_text())).collect();
            names.sort();
            names
        };
        assert_eq!(keys(&quick).len(), keys(&plain).len(), "{field}");
        if field != "@metadata" {
            assert_eq!(keys(&quick), keys(&plain), "{field}");
        }
    }
}

#[test]
fn both_ways_change_the_same() {
    type Change = fn(&mut Event);
    let changes: [Change; 9] = [
        |event| assert!(event.set(&path("[log][level]"), Value::fixed("warn"))),
        |event| assert!(event.set(&path("[service][name]"), Value::fixed("other"))),
        |event| assert!(event.set(&path("[log][file][path]"), Value::Int(1))),
        |event| assert!(event.remove(&path("[container][labels]")).is_some()),
        |event| assert!(event.remove(&path("host")).is_some()),
        |event| assert!(event.remove(&path("log")).is_some()),
        |event| assert!(event.set(&path("[@metadata][weir][start]"), Value::Int(0))),
        |event| event.add_tag("x"),
        |event| event.retain(|name, _| ["message", "log"].contains(&name)),
    ];
    let [mut quick, mut plain] = both();
    for (index, change) in changes.into_iter().enumerate() {
        let [mut alone, mut alone_plain] = both();
        for event in [&mut quick, &mut plain, &mut alone, &mut alone_plain] {
            change(event);
        }
        assert_eq!(json(&alone), json(&alone_plain), "change {index} alone");
        assert_eq!(json(&quick), json(&plain), "after change {index}");
    }
    assert_eq!(quick.identity().unwrap().start, 10, "filters cannot touch the identity");
}

#[test]
fn a_changed_tail_is_seen() {
    let mut decoder = EventDecoder::new();
    let first = decoder.decode(Bytes::from(LINE));
    let second = decoder.decode(Bytes::from(LINE.replace("n1", "n2")));
    let third = decoder.decode(Bytes::from(LINE.replace("\"offset\":10", "\"offset\":77")));
    assert_eq!(json(&first)["host"]["name"], "n1");
    assert_eq!(json(&second)["host"]["name"], "n2");
    assert_eq!(json(&third)["log"]["offset"], 77);
    assert_eq!(json(&third)["host"]["name"], "n1");
}

#[test]
fn what_only_looks_like_the_shape_is_read_ordinarily() {
    let mut decoder = EventDecoder::new();
    for (from, to) in [("\"web\"}}", "\"web\"}"), ("hello", "hel\u{1}lo"), ("\\t", "\\q"), ("\\u00e9", "\\u00e")] {
        let event = decoder.decode(Bytes::from(LINE.replace(from, to)));
        assert!(event.has_tag("_jsonparsefailure"), "{to}");
    }
    let event = decoder.decode(Bytes::from(LINE.replace("\"service\"", "\"message\"")));
    assert!(event.shared.is_none());
    let event = decoder.decode(Bytes::from_static(b"\xff"));
    assert!(event.has_tag("_jsonparsefailure"));
}

#[test]
fn a_wrong_timestamp_is_kept_and_tagged() {
    let mut event = Event::from_json(Bytes::from(r#"{"@timestamp":"yesterday"}"#)).unwrap();
    event.ensure_timestamp(Timestamp::UNIX_EPOCH);
    let shown = json(&event);
    assert_eq!(shown["@timestamp"], "1970-01-01T00:00:00.000Z");
    assert_eq!(shown["_@timestamp"], "yesterday");
    assert_eq!(shown["tags"][0], "_timestampparsefailure");
}
