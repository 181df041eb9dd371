//! Lines that other shippers are tested with, and what they make of them, for the tests of both formats.

use std::path::PathBuf;

use serde_json::Value;

/// The peers' cases of Docker's and containerd's lines that `chosen` takes (it is given the case and its lines), each
/// with those lines. `None`, and said so, when they are not there.
pub(crate) fn of_lines(chosen: impl Fn(&Value, &[String]) -> bool) -> Option<Vec<(Value, Vec<String>)>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("WEIR_SHARED").map_or_else(beside, PathBuf::from);
    let Ok(text) = std::fs::read_to_string(shared.join("cases/docker_json_cases.json")) else {
        println!("left out: the peers' cases of lines because cases/docker_json_cases.json is not there");
        return None;
    };
    let cases: Value = serde_json::from_str(&text).unwrap();
    let lines = |case: &Value| {
        case["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let cases = cases["docker"].as_array().unwrap().iter().map(|case| (case.clone(), lines(case)));
    Some(cases.filter(|(case, lines)| chosen(case, lines)).collect())
}

/// What a case's lines say when they are joined: `lines` are those that its stream wants, each with its text and whether
/// it is whole; `end` stands for the end of a whole one.
pub(crate) fn message<'a>(case: &Value, lines: impl Iterator<Item = (&'a [u8], bool)>, end: &str) -> String {
    let mut message = String::new();
    for (text, whole) in lines {
        message.push_str(std::str::from_utf8(text).unwrap());
        message.push_str(if whole { end } else { "" });
        if whole || case["join_partial"] == false {
            break;
        }
    }
    message
}

/// Whether a case is about lines of this output.
pub(crate) fn wants(case: &Value, output: crate::docker::Output) -> bool {
    case["stream"] == "all" || case["stream"] == ["stdout", "stderr"][output as usize]
}
