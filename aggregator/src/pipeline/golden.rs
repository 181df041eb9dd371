//! Golden files: beside `NAME.conf`, `NAME.in` holds sample lines and `NAME.out` the events that the pipeline makes of
//! them. Users run the same on their own files.
//!
//! `.in` is plain text; each line becomes the message of an event. A line that begins with `# {` holds fields, as a
//! JSON object, that all events after it have besides (`# {}` ends that); other lines that begin with `#` are messages
//! like any. `.out` has one JSON object for each event that is kept, in order, with `@timestamp` only where a filter
//! set it. Names may stand in any order.
//!
//! A file is run alone; where the folder is run as a whole, `whole.in` and `whole.out` test it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostic;
use super::program::{LoadOptions, Program};
use super::tally::Tally;
use crate::event::{Event, Object, Text, Value, json};

/// What came of one sample.
#[derive(Debug)]
pub struct Golden {
    /// The sample's name, such as `nginx`.
    pub name: String,
    /// What is wrong; nothing if it passed.
    pub failure: Option<Failure>,
}

/// Why a sample failed.
#[derive(Debug)]
pub enum Failure {
    /// A file cannot be read or is not what it must be.
    File(String),
    /// The pipeline is wrong.
    Pipeline(Vec<Diagnostic>),
    /// Something else came out.
    Differs {
        /// The line of `.out`, from 1.
        line: usize,
        /// What is there; nothing where there is no such line.
        expected: Option<String>,
        /// What came out; nothing where nothing more came.
        found: Option<String>,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::File(problem) => f.write_str(problem),
            Failure::Pipeline(diagnostics) => diagnostics.iter().try_for_each(|diagnostic| write!(f, "{diagnostic}")),
            Failure::Differs { line, expected, found } => {
                let shown = |side: &Option<String>| side.clone().unwrap_or_else(|| "(nothing)".to_owned());
                write!(f, "line {line}\n  expected {}\n  found    {}", shown(expected), shown(found))
            }
        }
    }
}

/// Runs every `NAME.in` of a folder that has a `NAME.conf` (or is `whole.in`) and compares with `NAME.out`. In order
/// of name.
///
/// # Errors
/// When the folder cannot be read.
pub fn test_golden(dir: &Path, options: &LoadOptions) -> std::io::Result<Vec<Golden>> {
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "in") {
            samples.push(path);
        }
    }
    samples.sort();
    Ok(samples.into_iter().map(|sample| run(dir, &sample, options)).collect())
}

fn run(dir: &Path, sample: &Path, options: &LoadOptions) -> Golden {
    let name = sample.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let conf: PathBuf = if name == "whole" { dir.to_owned() } else { sample.with_extension("conf") };
    let failure = outputs(&conf, sample, options).and_then(|found| compare(&sample.with_extension("out"), found)).err();
    Golden { name, failure }
}

/// What a pipeline makes of a sample: one JSON text for each event kept.
///
/// # Errors
/// A pipeline that is wrong, a file that cannot be read.
pub fn outputs(conf: &Path, sample: &Path, options: &LoadOptions) -> Result<Vec<String>, Failure> {
    let program = Program::load(&[conf.to_owned()], options).map_err(Failure::Pipeline)?;
    let mut tally = Tally::new();
    let mut kept = Vec::new();
    for event in events(&read(sample)?)? {
        program.run(event, &mut kept, &mut tally);
    }
    Ok(kept
        .iter()
        .map(|event| {
            let mut out = Vec::new();
            event.write_json(&mut out);
            String::from_utf8_lossy(&out).into_owned()
        })
        .collect())
}

/// The events of a sample.
///
/// # Errors
/// A line of fields that is no JSON object.
pub fn events(sample: &str) -> Result<Vec<Event>, Failure> {
    let mut fields = Object::new();
    let mut events = Vec::new();
    for (index, line) in sample.lines().enumerate() {
        if line.starts_with("# {") {
            match json::parse(&Text::from(&line[2..])) {
                Ok(Value::Object(object)) => fields = object,
                _ => return Err(Failure::File(format!("line {} is no JSON object", index + 1))),
            }
            continue;
        }
        let mut object = Object::new();
        object.insert(Text::from_static("message"), Value::Text(line.into()));
        for (name, value) in fields.iter() {
            object.insert(name.clone(), value.clone());
        }
        events.push(Event::from_object(object));
    }
    Ok(events)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::File(format!("cannot read {}: {error}", path.display())))
}

fn compare(expected: &Path, found: Vec<String>) -> Result<(), Failure> {
    let expected = read(expected)?;
    let mut lines = expected.lines().filter(|line| !line.trim().is_empty());
    let mut found = found.into_iter();
    let mut line = 0;
    loop {
        line += 1;
        match (lines.next(), found.next()) {
            (None, None) => return Ok(()),
            (Some(expected), Some(found)) if sorted(expected) == sorted(&found) => {}
            (expected, found) => {
                let expected = expected.map(|text| sorted(text).unwrap_or_else(|| text.to_owned()));
                let found = found.map(|text| sorted(&text).unwrap_or(text));
                return Err(Failure::Differs { line, expected, found });
            }
        }
    }
}

/// The JSON with all names in order of the alphabet; none where it is no JSON.
fn sorted(text: &str) -> Option<String> {
    let value = sort(json::parse(&Text::from(text)).ok()?);
    let mut out = Vec::new();
    json::write(&mut out, value.as_ref());
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn sort(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<(Text, Value)> = object.into_iter().map(|(name, value)| (name, sort(value))).collect();
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sort).collect()),
        value => value,
    }
}
