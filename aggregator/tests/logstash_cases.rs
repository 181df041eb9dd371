//! Runs the cases that were recorded from the test suites of Logstash's own filters: configuration, event in, event out.
//!
//! `WEIR_LOGSTASH_CASES` names another file of cases; without it, and without the shared one, the test says so and
//! passes.

use std::path::PathBuf;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};
use weir_aggregator::event::{Event, FieldPath, Value as Field};
use weir_aggregator::pipeline::{Ecs, LoadOptions, Program, Tally};

/// Cases that cannot pass as they were recorded, each with the reason. They are run, and counted apart.
const LEFT_OUT: &[(&str, &str)] = &[
    ("grok-0093", "the suite had written a file of patterns for it; the case does not have its content"),
    ("kv-0058", "the suite made the plugin's own code raise an error; there is nothing wrong with the event"),
    ("kv-0059", "the suite made the plugin's own code raise an error; there is nothing wrong with the event"),
    ("useragent-0011", "reads a file of expressions from the build folder of the plugin"),
    ("useragent-0018", "was recorded as `true` where the suite asked for any value"),
    ("grok-0067", "expects a timeout of a slow expression; here it is matched in linear time and matches"),
    ("date-0066", "the suite had set the clock to a year in which that hour does not exist; the case does not say so"),
    ("date-0079", "the event was cancelled before it met the filter; such events never reach one here"),
    ("date-0080", "the event was cancelled before it met the filter; such events never reach one here"),
];

fn file() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("WEIR_LOGSTASH_CASES") {
        return Some(path.into());
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = std::env::var_os("WEIR_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    Some(shared.join("cases/logstash_cases.json")).filter(|path| path.exists())
}

#[test]
fn logstash_cases() {
    let Some(path) = file() else {
        println!("left out: there is no file of Logstash cases; name one in WEIR_LOGSTASH_CASES");
        return;
    };
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let cases: Vec<Map<String, Value>> = serde_json::from_slice(&text).unwrap();
    assert!(!cases.is_empty(), "there are no cases in {}", path.display());
    let (mut passed, mut failed, mut left_out) = (0, 0, 0);
    for case in &cases {
        let id = case["id"].as_str().unwrap_or("?");
        match (run(case), LEFT_OUT.iter().find(|(known, _)| *known == id)) {
            (Ok(()), _) => passed += 1,
            (Err(_), Some((_, reason))) => {
                left_out += 1;
                println!("left out {id}: {reason}");
            }
            (Err(problem), None) => {
                failed += 1;
                println!("failed {id} {}\n    {}", case["name"], problem.replace('\n', "\n    "));
            }
        }
    }
    println!("{passed} passed, {failed} failed ({left_out} left out with a reason)");
    assert_eq!(failed, 0, "{failed} cases failed");
}

/// A value as it is written in a pipeline file.
fn literal(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{} => {}", quoted(key), literal(value))).collect();
            format!("{{ {} }}", entries.join("\n"))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    if text.contains('"') && !text.contains('\'') {
        format!("'{text}'")
    } else {
        format!("\"{}\"", text.replace('"', "\\\""))
    }
}

/// The pipeline of a case.
fn pipeline(case: &Map<String, Value>) -> String {
    if let Some(text) = case.get("pipeline") {
        return text.as_str().unwrap_or_default().to_owned();
    }
    let plugin = match case["plugin"].as_str().unwrap_or_default() {
        "sprintf" => "mutate",
        plugin => plugin,
    };
    let options: Vec<String> = case["config"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("{name} => {}", literal(value)))
        .collect();
    let text = format!("filter {{ {plugin} {{ {} }} }}", options.join("\n"));
    // The recorder took these names from titles such as "NAGIOSLOGLINE - SERVICE ALERT"; no pattern has a space.
    match text.split_once("%{NAGIOSLOGLINE - ") {
        Some((before, after)) => {
            let after = after.split_once('}').map_or(after, |(_, after)| after);
            format!("{before}%{{NAGIOSLOGLINE}}{after}")
        }
        None => text,
    }
}

fn json(event: &Event) -> Value {
    let mut out = Vec::new();
    weir_aggregator::event::json::write(&mut out, weir_aggregator::event::ValueRef::Object(&event.to_object()));
    serde_json::from_slice(&out).unwrap()
}

fn run(case: &Map<String, Value>) -> Result<(), String> {
    let ecs = match case.get("ecs").and_then(Value::as_str) {
        None | Some("disabled") => Ecs::Disabled,
        Some(_) => Ecs::V8,
    };
    // The suite of `grok` ran cases without a mode in both and recorded what held in either.
    let both = case["plugin"] == "grok" && !case.contains_key("ecs")
        || case["plugin"] == "useragent" && !case.contains_key("ecs");
    match run_in(case, ecs) {
        Err(_) if both && run_merged(case) => Ok(()),
        result => result,
    }
}

/// Whether every expectation holds in one of the two modes at least, and each mode fulfils one of them.
fn run_merged(case: &Map<String, Value>) -> bool {
    let mut used = [false, false];
    for kind in ["expected", "expected_as_string", "absent", "present"] {
        let single: Vec<Value> = match case.get(kind) {
            Some(Value::Object(entries)) => entries
                .iter()
                .map(|(key, value)| Value::Object([(key.clone(), value.clone())].into_iter().collect()))
                .collect(),
            Some(Value::Array(items)) => items.iter().map(|item| Value::Array(vec![item.clone()])).collect(),
            _ => continue,
        };
        for expectation in single {
            let mut alone = case.clone();
            for other in ["expected", "expected_as_string", "absent", "present"] {
                alone.remove(other);
            }
            alone.insert(kind.to_owned(), expectation);
            let holds = [run_in(&alone, Ecs::Disabled).is_ok(), run_in(&alone, Ecs::V8).is_ok()];
            if holds == [false, false] {
                return false;
            }
            for (used, holds) in used.iter_mut().zip(holds) {
                *used |= holds;
            }
        }
    }
    used == [true, true]
}

fn run_in(case: &Map<String, Value>, ecs: Ecs) -> Result<(), String> {
    let options = LoadOptions { ecs, ..LoadOptions::default() };
    let program = Program::parse(vec![("case.conf".to_owned(), pipeline(case))], &options);
    if case.contains_key("config_error") {
        return if program.is_err() { Ok(()) } else { Err("the configuration was taken".to_owned()) };
    }
    let program = program.map_err(|diagnostics| diagnostics.iter().map(ToString::to_string).collect::<String>())?;
    let mut input = case["event"].as_object().cloned().unwrap_or_default();
    input.entry("@version").or_insert_with(|| "1".into());
    let mut event =
        Event::from_json(Bytes::from(serde_json::to_vec(&input).unwrap())).map_err(|error| error.to_string())?;
    let mut tally = Tally::new();
    event.ensure_timestamp(tally.scratch.now);
    if let Some(now) = clock(case) {
        tally.scratch.now = now;
    }
    let mut kept = Vec::new();
    program.run(event, &mut kept, &mut tally);
    let cancelled = case.get("cancelled").is_some_and(|cancelled| cancelled == true);
    if cancelled != kept.is_empty() {
        return Err(format!("kept {} events", kept.len()));
    }
    match kept.first() {
        Some(event) => check(case, event),
        None => Ok(()),
    }
}

/// The suite set the clock to the turn of the year where it tests guessing it; the case has the year that must come.
fn clock(case: &Map<String, Value>) -> Option<Timestamp> {
    let year = case.get("expected_year")?.get("@timestamp")?.as_i64()?;
    let message = case["event"].get("message")?.as_str()?;
    let now = match message.get(..3)? {
        "Dec" => format!("{}-01-01T00:30:50Z", year + 1),
        "Jan" => format!("{}-12-31T23:59:50Z", year - 1),
        _ => return None,
    };
    now.parse().ok()
}

fn get(event: &Event, path: &str) -> Option<Value> {
    if path.is_empty() {
        return Some(json(event));
    }
    let path = FieldPath::parse(path).unwrap_or_else(|_| FieldPath::of(&[path]));
    match event.get_owned(&path)? {
        Field::Null => None,
        value => {
            let mut out = Vec::new();
            weir_aggregator::event::json::write(&mut out, value.as_ref());
            Some(serde_json::from_slice(&out).unwrap())
        }
    }
}

/// Equal as Ruby has it: 3 == 3.0, whatever the order of names.
fn equal(expected: &Value, found: &Value, partial: bool) -> bool {
    match (expected, found) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right, partial))
        }
        (Value::Object(left), Value::Object(right)) => {
            (partial || left.len() == right.len())
                && left.iter().all(|(name, left)| right.get(name).is_some_and(|right| equal(left, right, partial)))
        }
        (left, right) => left == right,
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn check(case: &Map<String, Value>, event: &Event) -> Result<(), String> {
    let partial = case.contains_key("partial");
    let entries = |kind: &str| case.get(kind).and_then(Value::as_object).cloned().unwrap_or_default();
    let list = |kind: &str| case.get(kind).and_then(Value::as_array).cloned().unwrap_or_default();
    let show = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let mut problems = Vec::new();
    let mut want = |holds: bool, kind: &str, path: &str, expected: &Value| {
        if !holds {
            problems.push(format!("{kind} {path}: expected {expected}, found {}", show(&get(event, path))));
        }
    };
    for (path, expected) in entries("expected") {
        let holds = get(event, &path).is_some_and(|found| equal(&expected, &found, partial));
        want(holds, "expected", &path, &expected);
    }
    for (path, expected) in entries("expected_as_string") {
        let holds = get(event, &path).is_some_and(|found| text(&found) == text(&expected));
        want(holds, "expected_as_string", &path, &expected);
    }
    for (path, expected) in entries("expected_decimal") {
        let holds = get(event, &path).is_some_and(|found| text(&found) == text(&expected));
        want(holds, "expected_decimal", &path, &expected);
    }
    for (path, expected) in entries("expected_time") {
        let holds = get(event, &path).is_some_and(|found| time(&found).is_some() && time(&found) == time(&expected));
        want(holds, "expected_time", &path, &expected);
    }
    for (path, expected) in entries("expected_year") {
        let year = get(event, &path).map(|found| text(&found)[..4].to_owned());
        // Where it depends on the year of the recording, the year of now is meant.
        let expected = match case.contains_key("depends_on_current_year") {
            true => Value::from(Timestamp::now().strftime("%Y").to_string()),
            false => expected,
        };
        want(year == Some(text(&expected)), "expected_year", &path, &expected);
    }
    for (path, expected) in entries("not_time") {
        want(get(event, &path).is_none_or(|found| time(&found) != time(&expected)), "not_time", &path, &expected);
    }
    for (path, expected) in entries("not_equal") {
        let holds = get(event, &path).is_none_or(|found| !equal(&expected, &found, false));
        want(holds, "not_equal", &path, &expected);
    }
    for path in list("absent") {
        let path = path.as_str().unwrap_or_default();
        want(get(event, path).is_none(), "absent", path, &Value::Null);
    }
    for path in list("absent_or_empty") {
        let path = path.as_str().unwrap_or_default();
        let empty = get(event, path).is_none_or(|found| matches!(text(&found).as_str(), "" | "[]" | "{}"));
        want(empty, "absent_or_empty", path, &Value::Null);
    }
    for path in list("present") {
        let path = path.as_str().unwrap_or_default();
        let parsed = FieldPath::parse(path).unwrap_or_else(|_| FieldPath::of(&[path]));
        want(event.get(&parsed).is_some(), "present", path, &Value::Null);
    }
    for (kind, must) in [("contains", true), ("not_contains", false)] {
        for (path, items) in entries(kind) {
            let found = get(event, &path);
            let has = |item: &Value| match &found {
                Some(Value::Array(found)) => found.contains(item),
                Some(Value::String(found)) => item.as_str().is_some_and(|item| found.contains(item)),
                _ => false,
            };
            let items = items.as_array().cloned().unwrap_or_default();
            want(items.iter().all(|item| has(item) == must), kind, &path, &Value::Array(items.clone()));
        }
    }
    for (path, expected) in entries("type") {
        let parsed = FieldPath::parse(&path).unwrap_or_else(|_| FieldPath::of(&[&path]));
        let kind = event.get(&parsed).map_or("nil", |value| value.kind());
        want(Some(kind) == expected.as_str(), "type", &path, &expected);
    }
    for (path, expected) in entries("keys") {
        let mut names: Vec<String> = match get(event, &path) {
            Some(Value::Object(object)) => object.keys().cloned().collect(),
            _ => Vec::new(),
        };
        names.sort();
        let mut wanted: Vec<String> = expected.as_array().cloned().unwrap_or_default().iter().map(text).collect();
        wanted.sort();
        want(names == wanted, "keys", &path, &expected);
    }
    for (path, expected) in entries("length") {
        let length = match get(event, &path) {
            Some(Value::Array(items)) => Some(items.len()),
            Some(Value::Object(object)) => Some(object.len()),
            Some(Value::String(text)) => Some(text.chars().count()),
            _ => None,
        };
        want(length.map(|length| Value::from(length as u64)) == Some(expected.clone()), "length", &path, &expected);
    }
    for (path, expected) in entries("starts_with") {
        let holds = get(event, &path).is_some_and(|found| text(&found).starts_with(&text(&expected)));
        want(holds, "starts_with", &path, &expected);
    }
    for (path, expected) in entries("last") {
        let holds = match get(event, &path) {
            Some(Value::Array(items)) => items.last().is_some_and(|last| equal(&expected, last, false)),
            _ => false,
        };
        want(holds, "last", &path, &expected);
    }
    for (path, expected) in entries("within") {
        let number = |index: usize| expected.get(index).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let holds = get(event, &path)
            .and_then(|found| found.as_f64())
            .is_some_and(|found| (found - number(1)).abs() <= number(0));
        want(holds, "within", &path, &expected);
    }
    if problems.is_empty() { Ok(()) } else { Err(format!("{}\nevent {}", problems.join("\n"), json(event))) }
}
