//! Byte streams against the decoder: the recorded vectors, cuts at every byte, garbage, and what we write ourselves.

use std::path::PathBuf;

use bytes::BufMut;
use weir_lumberjack::{Compressor, Decoder, Item, Limits, Refused, Version, Window};

/// What came out of a decoder: items, and the refusal that ended it.
type Outcome = (Vec<Item>, Option<Refused>);

fn decode(pieces: &[&[u8]], limits: &Limits) -> Outcome {
    let mut decoder = Decoder::new(limits.clone());
    let mut items = Vec::new();
    for piece in pieces {
        for part in piece.chunks(1 << 14) {
            decoder.space().put_slice(part);
            loop {
                match decoder.next() {
                    Ok(Some(item)) => items.push(item),
                    Ok(None) => break,
                    Err(refused) => return (items, Some(refused)),
                }
                let bound = limits.event_bytes_max.max(limits.held_bytes) + (1 << 18);
                assert!(decoder.held_bytes() <= bound, "{} bytes are held", decoder.held_bytes());
            }
        }
    }
    (items, None)
}

fn window(events: &[&str]) -> Window {
    let mut window = Window::new();
    for event in events {
        let mut slot = window.event();
        slot.buffer().extend_from_slice(event.as_bytes());
        slot.commit().unwrap();
    }
    window
}

fn compressed(events: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    window(events).compress(&mut Compressor::new(3), &mut out).unwrap();
    out
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect()
}

fn vectors() -> Option<Vec<serde_json::Value>> {
    let root = std::env::var_os("WEIR_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let text = std::fs::read_to_string(root.join("cases/lumberjack_vectors.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

#[test]
fn the_recorded_vectors_give_their_events_and_sequence_numbers() {
    let Some(vectors) = vectors() else {
        println!("LEFT OUT: no cases/lumberjack_vectors.json under ../shared (set WEIR_SHARED)");
        return;
    };
    assert!(vectors.len() >= 17);
    for vector in vectors {
        let name = vector["name"].as_str().unwrap();
        let bytes = hex(vector["sent_hex"].as_str().unwrap());
        let (items, refused) = decode(&[&bytes], &Limits::default());
        let mut events = Vec::new();
        let mut acks = Vec::new();
        for item in &items {
            match item {
                Item::Event { document, .. } => events.push(document.clone()),
                Item::WindowEnd { sequence, .. } => acks.push(*sequence),
                Item::Window { .. } => {}
            }
        }
        if name == "not JSON" {
            // What a document means is not the codec's business: the server keeps it as text and acknowledges it.
            assert_eq!((events.as_slice(), acks.as_slice(), refused), (&["nope".into()][..], &[1][..], None));
            continue;
        }
        let events: Vec<serde_json::Value> = events.iter().map(|e| serde_json::from_slice(e).unwrap()).collect();
        assert_eq!(serde_json::Value::from(events), vector["events"], "{name}");
        assert_eq!(serde_json::json!(acks), vector["acks"], "{name}");
        assert_eq!(refused.is_some(), vector["server_closes"].as_bool().unwrap(), "{name}: {refused:?}");
    }
}

/// Streams that hold every kind of frame.
fn samples() -> Vec<Vec<u8>> {
    let mut all = window(&[r#"{"message":"a"}"#, r#"{"message":"b"}"#]).plain().to_vec();
    all.extend_from_slice(&compressed(&[r#"{"message":"c"}"#, r#"{"message":"d"}"#, "{}"]));
    all.extend_from_slice(b"2W\0\0\0\0");
    all.extend_from_slice(b"2W\0\0\0\x032J\0\0\0\x01\0\0\0\x02{}");
    all.extend_from_slice(b"1W\0\0\0\x011D\0\0\0\x09\0\0\0\x01\0\0\0\x04line\0\0\0\x04h\"\n\xff");
    let mut refused = compressed(&[r#"{"message":"c"}"#]);
    refused.extend_from_slice(b"2W\0\0\0\x012C\0\0\0\x04abcd");
    vec![all, refused]
}

#[test]
fn a_stream_cut_at_every_byte_gives_the_same() {
    for sample in samples() {
        let whole = decode(&[&sample], &Limits::default());
        for cut in 0..=sample.len() {
            assert_eq!(decode(&[&sample[..cut], &sample[cut..]], &Limits::default()), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = sample.chunks(1).collect();
        assert_eq!(decode(&bytes, &Limits::default()), whole, "byte by byte");
    }
}

#[test]
fn every_kind_of_frame_is_read() {
    let (items, refused) = decode(&[&samples()[0]], &Limits::default());
    assert_eq!(refused, None);
    let ends: Vec<_> = items.iter().filter(|item| matches!(item, Item::WindowEnd { .. })).collect();
    let end = |version, sequence, missing| Item::WindowEnd { version, sequence, missing };
    assert_eq!(
        ends,
        [
            &end(Version::V2, 2, 0),
            &end(Version::V2, 3, 0),
            &end(Version::V2, 0, 0),
            &end(Version::V2, 1, 2),
            &end(Version::V1, 9, 0)
        ]
    );
    let Some(Item::Event { document, .. }) = items.iter().rfind(|item| matches!(item, Item::Event { .. })) else {
        panic!("no event in {items:?}");
    };
    assert_eq!(document.as_ref(), "{\"line\":\"h\\\"\\u000a\u{fffd}\"}".as_bytes());
}

/// xorshift: the same garbage in every run, so that a failure can be seen again.
fn garbage(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn garbage_and_damaged_streams_never_panic_nor_pass_the_limits() {
    let limits =
        Limits { event_bytes_max: 1 << 12, inflated_bytes_max: 1 << 16, held_bytes: 1 << 12, ..Limits::default() };
    let mut state = 0x5eed_u64;
    let mut refusals = 0;
    for round in 0..20_000 {
        let mut bytes: Vec<u8> = if round % 2 == 0 {
            (0..garbage(&mut state) % 64).map(|_| garbage(&mut state).to_be_bytes()[0]).collect()
        } else {
            samples().swap_remove(0)
        };
        if bytes.is_empty() {
            continue;
        }
        for _ in 0..=garbage(&mut state) % 3 {
            let at = usize::try_from(garbage(&mut state)).unwrap() % bytes.len();
            bytes[at] = garbage(&mut state).to_be_bytes()[3];
        }
        refusals += usize::from(decode(&[&bytes], &limits).1.is_some());
    }
    assert!(refusals > 10_000, "only {refusals} streams were refused");
}

#[test]
fn limits_are_kept_before_memory_is_taken() {
    let limits = Limits { event_bytes_max: 100, compressed_bytes_max: 1000, window_events_max: 5, ..Limits::default() };
    let refused = |bytes: &[u8]| decode(&[bytes], &limits).1;
    assert_eq!(refused(b"2W\0\0\0\x06"), Some(Refused::WindowTooLarge { events: 6, limit: 5 }));
    assert_eq!(
        refused(b"2W\0\0\0\x012J\0\0\0\x01\xff\xff\xff\xff"),
        Some(Refused::EventTooLarge { bytes: 0xffff_ffff, limit: 100 })
    );
    assert_eq!(
        refused(b"2W\0\0\0\x012C\xff\xff\xff\xff"),
        Some(Refused::CompressedTooLarge { bytes: 0xffff_ffff, limit: 1000 })
    );
    assert_eq!(
        refused(b"1W\0\0\0\x011D\0\0\0\x01\xff\xff\xff\xff"),
        Some(Refused::TooManyPairs { pairs: 0xffff_ffff, limit: 1000 })
    );
    assert_eq!(refused(b"2J\0\0\0\x01\0\0\0\x02{}"), Some(Refused::NoWindow));
    assert_eq!(refused(b"2W\0\0\0\x012J\0\0\0\x01\0\0\0\x02{}2J"), Some(Refused::NoWindow));
}

#[test]
fn a_bomb_of_small_events_stops_at_the_inflated_limit() {
    let event = format!(r#"{{"message":"{}"}}"#, " ".repeat(1000));
    let bomb = compressed(&vec![event.as_str(); 5000]);
    let limits = Limits { inflated_bytes_max: 1 << 20, held_bytes: 1 << 16, ..Limits::default() };
    let (items, refused) = decode(&[&bomb], &limits);
    assert_eq!(refused, Some(Refused::InflatedTooLarge { limit: 1 << 20 }));
    assert!(items.len() < 1100, "{} items", items.len());
    let exact = Limits { inflated_bytes_max: 5000 * (event.len() + 10), ..Limits::default() };
    let (items, refused) = decode(&[&bomb], &exact);
    assert_eq!((items.len(), refused), (5002, None), "a frame of just the limit is accepted");
}

#[test]
fn a_wrong_checksum_gives_no_event_of_its_frame() {
    let mut bytes = compressed(&[r#"{"message":"a"}"#, r#"{"message":"b"}"#]);
    *bytes.last_mut().unwrap() ^= 1;
    let (items, refused) = decode(&[&bytes], &Limits::default());
    assert_eq!(items, [Item::Window { version: Version::V2, events: 2 }]);
    assert_eq!(refused, Some(Refused::CorruptCompression));
}

#[test]
fn a_frame_larger_than_what_is_held_is_given_out_on_the_way() {
    let events: Vec<String> = (0..3000).map(|n| format!(r#"{{"n":{n},"message":"{}"}}"#, "x".repeat(n % 90))).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let limits = Limits { held_bytes: 1 << 10, ..Limits::default() };
    let (items, refused) = decode(&[&compressed(&events)], &limits);
    assert_eq!(refused, None);
    let got: Vec<&[u8]> = items
        .iter()
        .filter_map(|item| match item {
            Item::Event { document, .. } => Some(document.as_ref()),
            _ => None,
        })
        .collect();
    assert!(got.iter().zip(&events).all(|(got, sent)| *got == sent.as_bytes()));
    assert_eq!(items.last(), Some(&Item::WindowEnd { version: Version::V2, sequence: 3000, missing: 0 }));
}

/// Documents of two logs, and the same as events in parts.
fn in_parts(events: usize) -> (Vec<String>, Window) {
    let mut window = Window::new();
    let mut documents = Vec::new();
    let pieces: [[&[u8]; 3]; 2] =
        [[b"{\"message\":\"", b"\",\"start\":", b",\"log\":1}"], [b"{\"m\":\"", b"\",\"s\":", b"}"]];
    let mut templates = [None; 2];
    for n in 0..events {
        let (message, start) = ("x".repeat(n * 37 % 400), n.to_string());
        let pieces = &pieces[n % 2];
        let template = *templates[n % 2].get_or_insert_with(|| window.template(pieces).unwrap());
        assert_eq!(window.parts(template, &[message.as_bytes(), start.as_bytes()]), Ok(n as u32 + 1));
        let bytes = [pieces[0], message.as_bytes(), pieces[1], start.as_bytes(), pieces[2]].concat();
        documents.push(String::from_utf8(bytes).unwrap());
    }
    (documents, window)
}

fn documents(outcome: &Outcome) -> Vec<String> {
    assert_eq!(outcome.1, None);
    let documents = outcome.0.iter().filter_map(|item| match item {
        Item::Event { document, .. } => Some(String::from_utf8(document.to_vec()).unwrap()),
        _ => None,
    });
    documents.collect()
}

#[test]
fn events_in_parts_are_the_documents_that_they_stand_for() {
    for events in [1, 2, 3, 50, 3000] {
        let (expected, mut window) = in_parts(events);
        let mut streams = vec![window.plain().to_vec()];
        for level in [1, 3] {
            let mut compressed = Vec::new();
            window.compress(&mut Compressor::new(level), &mut compressed).unwrap();
            streams.push(compressed);
        }
        let mut whole = self::window(&["left from before"]);
        window.whole(&mut whole).unwrap();
        assert_eq!(whole.events() as usize, events);
        let bytes: usize = expected.iter().map(String::len).sum();
        assert_eq!((window.whole_bytes(), whole.whole_bytes()), (bytes, bytes));
        assert!(!whole.plain().windows(2).any(|two| two == b"2P" || two == b"2T"), "only what every reader knows");
        streams.push(whole.plain().to_vec());
        for stream in streams {
            let twice = [&stream[..], &stream].concat();
            let outcome = decode(&[&twice], &Limits::default());
            assert_eq!(documents(&outcome), [&expected[..], &expected].concat());
            let last = Item::WindowEnd { version: Version::V2, sequence: events as u32, missing: 0 };
            assert_eq!(outcome.0.last(), Some(&last));
            let step = (stream.len() / 300).max(1);
            for cut in (0..stream.len()).step_by(step) {
                assert_eq!(documents(&decode(&[&stream[..cut], &stream[cut..]], &Limits::default())), expected);
            }
        }
    }
}

#[test]
fn templates_that_a_window_has_no_room_for_are_refused_by_both_sides() {
    let mut window = Window::new();
    let large = vec![b'x'; 600 << 10];
    assert_eq!(window.template(&[&large, b""]), Some(0));
    let before = window.bytes();
    assert_eq!(window.template(&[&large, b""]), None);
    assert_eq!(window.bytes(), before);
    window.parts(0, &[b"y"]).unwrap();
    assert_eq!(documents(&decode(&[window.plain()], &Limits::default())).len(), 1);
    let limits = Limits { template_bytes_max: 600 << 10, ..Limits::default() };
    assert_eq!(decode(&[window.plain()], &limits).1, Some(Refused::TemplatesTooLarge { limit: 600 << 10 }));
    window.clear();
    assert_eq!(window.template(&[&large, b""]), Some(0), "another window, another beginning");
}

#[test]
fn parts_that_make_no_document_are_refused_for_what_they_are() {
    let stream = |frames: &[&[u8]]| [&b"2W\0\0\0\x09"[..], &frames.concat()].concat();
    let template = b"2T\0\0\0\x04\x01a\x01b";
    let event = |body: &[u8]| [&b"2P\0\0\0\x01\0\0\0"[..], &[body.len() as u8], body].concat();
    let refused = |frames: &[&[u8]]| decode(&[&stream(frames)], &Limits::default()).1;
    assert_eq!(refused(&[template, &event(b"\0\x01x")]), None);
    assert_eq!(refused(&[&event(b"\0\x01x")]), Some(Refused::UnknownTemplate(0)), "none is known");
    assert_eq!(refused(&[template, &event(b"\x01\x01x")]), Some(Refused::UnknownTemplate(1)));
    for body in [&b""[..], b"\0", b"\0\x02x", b"\0\x01xx", b"\xff\xff\xff\xff\xff\x01"] {
        assert_eq!(refused(&[template, &event(body)]), Some(Refused::CorruptParts), "{body:?}");
    }
    assert_eq!(refused(&[b"2T\0\0\0\0"]), Some(Refused::CorruptParts), "no piece");
    assert_eq!(refused(&[b"2T\0\0\0\x02\x05a"]), Some(Refused::CorruptParts));
    assert_eq!(refused(&[b"2T\0\0\0\x02\0\0", &event(b"\0\0")]), Some(Refused::EmptyEvent));
    assert_eq!(
        refused(&[b"2T\x7f\0\0\0"]),
        Some(Refused::TemplatesTooLarge { limit: 1 << 20 }),
        "before its bytes come"
    );
    assert_eq!(decode(&[template], &Limits::default()).1, Some(Refused::NoWindow));
    assert_eq!(decode(&[&event(b"\0\x01x")], &Limits::default()).1, Some(Refused::NoWindow));
}

#[test]
fn a_few_bytes_of_events_in_parts_do_not_become_many() {
    let mut window = Window::new();
    let large = vec![b'x'; 1 << 19];
    let template = window.template(&[&large, b""]).unwrap();
    for _ in 0..1000 {
        window.parts(template, &[b""]).unwrap();
    }
    let limits = Limits::default();
    let (items, refused) = decode(&[window.plain()], &limits);
    assert_eq!(refused, Some(Refused::InflatedTooLarge { limit: limits.inflated_bytes_max }));
    assert_eq!(items.len(), 1 + limits.inflated_bytes_max / large.len());
    let limits = Limits { event_bytes_max: 1000, template_bytes_max: 1 << 20, ..limits };
    let (_, refused) = decode(&[window.plain()], &limits);
    assert_eq!(refused, Some(Refused::EventTooLarge { bytes: 1 << 19, limit: 1000 }));
}
