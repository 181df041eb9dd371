//! What JSON is read as and what it is not, held against another reader.

use super::*;

fn again(text: &str) -> String {
    let mut out = Vec::new();
    write(&mut out, parse(&Text::from(text)).unwrap().as_ref());
    String::from_utf8(out).unwrap()
}

#[test]
fn reads_and_writes() {
    let text = r#"{"a":[1,-2.5,true,null,{"b":"x\"\\\n\u0001ü"}],"big":123456789012345678901234567890,"e":""}"#;
    assert_eq!(again(text), text);
    assert_eq!(again(r#" { "s" : "\u00e9\ud83d\ude00\ud83d\/" } "#), "{\"s\":\"é😀\u{fffd}/\"}");
    assert_eq!(again(r#"{"a":1,"b":2,"a":3}"#), r#"{"b":2,"a":3}"#);
}

#[test]
fn refuses_what_is_not_json() {
    for wrong in
        ["", "{", "{\"a\"}", "[1,]", "01", "1.", "\"\u{1}\"", "\"\\x\"", "\"\\u12\"", "nul", "{} {}", "'a'", "1e999"]
    {
        assert!(parse(&Text::from(wrong)).is_err(), "{wrong}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(parse(&Text::from(deep)).unwrap_err().problem, "it nests too deep");
}

/// What another reader of JSON makes of a text.
fn agrees(text: &str) {
    let ours = parse(&Text::from(text)).ok().map(|_| serde_json::from_str::<serde_json::Value>(&again(text)).unwrap());
    assert_eq!(ours, serde_json::from_str(text).ok(), "{text}");
}

#[test]
fn strings_of_any_length_are_read_as_others_read_them() {
    for len in 0..40 {
        for at in 0..=len {
            for special in ["", "\\\"", "\\\\", "\\u00e9", "\\n", "ü", "\u{1}", "\"", "\\x"] {
                let (before, after) = ("a".repeat(at), "b".repeat(len - at));
                agrees(&format!("[\"{before}{special}{after}\", \"{special}\\t{before}\"]"));
            }
        }
    }
}

#[test]
fn numbers_are_read_as_others_read_them() {
    for number in [
        "0",
        "00",
        "01",
        "7",
        "-7",
        "10",
        "1.",
        "1.5",
        "1e3",
        "1E-3",
        "1e",
        "123456789012345678",
        "1234567890123456789",
        "9223372036854775807",
        "0.1",
        "0x1",
        "1 2",
        "1a",
    ] {
        agrees(&format!("[{number}]"));
        agrees(number);
    }
}
