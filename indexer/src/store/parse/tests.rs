//! What is read of a document, and what is refused.

use std::sync::Mutex;

use super::*;

struct Growing(Mutex<Arc<Mapping>>);

impl Grow for Growing {
    fn grow(
        &self,
        change: &mut dyn FnMut(&mut Mapping) -> Result<u32, Unmapped>,
    ) -> (Arc<Mapping>, Result<u32, Unmapped>) {
        let mut held = self.0.lock().unwrap();
        let mut next = Mapping::clone(&held);
        let grown = change(&mut next);
        *held = Arc::new(next);
        (Arc::clone(&held), grown)
    }
}

/// `path target value` of every value, or why it was refused.
fn parse_with(mapping: Mapping, json: &str) -> Result<Vec<String>, Refused> {
    let growing = Growing(Mutex::new(Arc::new(mapping)));
    let mut values = Values::default();
    let mapping = Arc::clone(&growing.0.lock().unwrap());
    let mut parser = Parser::new(json, mapping, &growing, &mut values);
    parser.document(0, json.len())?;
    let mapping = Arc::clone(&parser.mapping);
    Ok(values
        .leaves
        .iter()
        .map(|leaf| {
            let value = match leaf.value {
                Scalar::Text { start, len } => json[start as usize..(start + len) as usize].to_owned(),
                Scalar::Unescaped { start, len } => values.unescaped[start as usize..(start + len) as usize].to_owned(),
                other => format!("{other:?}"),
            };
            format!("{} {:?} {value}", mapping.path(leaf.node), leaf.target)
        })
        .collect())
}

fn parse(json: &str) -> Result<Vec<String>, Refused> {
    parse_with(Mapping::default(), json)
}

#[test]
fn a_log_line() {
    let line = r#"{"@timestamp":"1970-01-01T00:00:01Z","message":"a \"b\"\n","log":{"level":"info","offset":7},"host.name":"h","n":[1,2.5],"ok":true,"x":null,"o":{}}"#;
    assert_eq!(
        parse(line).unwrap(),
        [
            "@timestamp Timestamp Date(1000000000)",
            "message Message a \"b\"\n",
            "log.level Keyword(0) info",
            "log.offset Offset U64(7)",
            "host.name Keyword(2) h",
            "n Exact I64(1)",
            "n Exact I64(2)",
            "ok Exact Bool(true)",
        ]
    );
}

#[test]
fn strings_numbers_dates_and_conflicts() {
    assert_eq!(
        parse(r#"{"a":"x","b":{"c":"2026-11-20"}}"#).unwrap(),
        ["a Both x", "b.c Exact Date(1795132800000000000)"]
    );
    assert_eq!(
        parse(r#"{"n":1,"o":{"n":2}, "n":"odd"}"#).unwrap(),
        ["n Exact I64(1)", "o.n Exact I64(2)", "n Words odd", "n Exists Path", "n Ignored Path"]
    );
    assert_eq!(parse(r#"{"log":"text","log.level":5}"#).unwrap(), ["log Both text", "log.level Keyword(0) 5"]);
    assert_eq!(parse(r#"{"log.offset":-1}"#).unwrap(), ["log.offset Ignored Path"]);
    let long = "w ".repeat(600);
    assert_eq!(parse(&format!(r#"{{"t":"{long}"}}"#)).unwrap().len(), 2);
    assert_eq!(parse("{\"\\u0061\":\"\\ud83d\\ude00\\ud800\"}").unwrap(), ["a Both 😀\u{fffd}"]);
    assert_eq!(
        parse(r#"{"u":18446744073709551615,"e":1e3}"#).unwrap(),
        ["u Exact U64(18446744073709551615)", "e Exact F64(1000.0)"]
    );
}

#[test]
fn what_is_not_json_is_refused() {
    for bad in [
        "",
        "[]",
        "1",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1}x",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":tru}",
        "{\"a\":[1,]}",
        "{\"a\":\"b",
        "{a:1}",
        "{\"a\":-}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":+1}",
    ] {
        assert!(matches!(parse(bad), Err(Refused::Json { .. })), "{bad}");
    }
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(parse(&deep), Err(Refused::Json { .. })));
    let deep = "{\"a\":".repeat(100_000);
    assert!(matches!(parse(&deep), Err(Refused::Json { .. })));
}

#[test]
fn deep_and_many_fields_stay_in_source_only() {
    let deep = format!("{}1{}", "{\"a\":".repeat(30), "}".repeat(30));
    assert_eq!(parse(&deep).unwrap().len(), 1);
    let many: Vec<String> = (0..1_200).map(|n| format!("\"f{n}\":1")).collect();
    let found = parse(&format!("{{{}}}", many.join(","))).unwrap();
    assert_eq!(found.iter().filter(|leaf| leaf.contains("Exact")).count(), crate::mapping::FIELDS_MAX);
}

#[test]
fn the_mapping_is_obeyed() {
    let given = serde_json::json!({"dynamic": "strict", "properties": {
        "n": {"type": "long"}, "off": {"type": "object", "enabled": false},
        "no": {"type": "keyword", "index": false, "doc_values": false}, "low": {"type": "keyword", "normalizer": "lowercase"},
        "t": {"type": "text"}, "d": {"type": "date", "format": "yyyy/MM/dd"}}});
    let mapping = || Mapping::default().declare(&given).unwrap();
    assert_eq!(
        parse_with(mapping(), r#"{"n":"42","off":{"x":1},"no":"x","low":"AbC","t":"w","d":"1970/01/02"}"#).unwrap(),
        [
            "n Exact I64(42)",
            "no Exists Path",
            "low Exact abc",
            "t Exists Path",
            "t Words w",
            "d Exact Date(86400000000000)"
        ]
    );
    assert!(matches!(parse_with(mapping(), r#"{"other":1}"#), Err(Refused::Strict { .. })));
}
