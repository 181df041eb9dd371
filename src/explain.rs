//! `weir explain`: each line's way through the pipelines, with what every filter changed, coloured on a terminal.

use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use weir_aggregator::event::{Event, Object, Value};
use weir_aggregator::pipeline::{LoadOptions, Program, Step, Trace, explain};

use crate::cli::PipelineFlags;

/// Longest line that is explained; the rest of a longer one is left out.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Reads lines from `sample`, or standard input, and prints their ways.
///
/// # Errors
/// Pipelines that are wrong, or a sample that cannot be read.
pub fn run(flags: &PipelineFlags, sample: Option<&Path>) -> Result<(), String> {
    let standard = [PathBuf::from("pipelines")];
    let paths = if flags.pipelines.is_empty() { &standard[..] } else { &flags.pipelines };
    let program = Program::load(paths, &LoadOptions::default())
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let unreadable = |error: io::Error| format!("the sample cannot be read: {error}");
    let mut input: Box<dyn BufRead> = match sample {
        Some(path) => Box::new(io::BufReader::new(std::fs::File::open(path).map_err(unreadable)?)),
        None => Box::new(io::stdin().lock()),
    };
    let mut out = io::stdout().lock();
    let paint = Paint(out.is_terminal());
    loop {
        let mut line = Vec::new();
        let read = io::Read::take(&mut input, LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(unreadable)?;
        if read == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        let mut object = Object::new();
        object.insert("message".into(), Value::Text(text.into()));
        let trace = explain(&program, Event::from_object(object));
        match print(&mut out, &paint, text, &trace) {
            // The reader went away, as `head` does.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other.map_err(|error| format!("cannot print: {error}"))?,
        }
    }
}

/// Colours, where there is somebody to see them.
struct Paint(bool);

impl Paint {
    fn on(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn print(out: &mut impl Write, paint: &Paint, line: &str, trace: &Trace) -> io::Result<()> {
    writeln!(out, "{}", paint.on("1", &format!("{line:?}")))?;
    for step in &trace.steps {
        match step {
            Step::Branch { condition, taken, depth } => {
                let mark = if *taken { paint.on("32", "yes") } else { paint.on("2", "no ") };
                writeln!(out, "  {}{mark} {}", "  ".repeat(*depth), paint.on("2", condition))?;
            }
            Step::Filter { id, changes, dropped, made, took, depth } => {
                let indent = "  ".repeat(*depth);
                let took = format!("{:.1} µs", took.as_secs_f64() * 1e6);
                writeln!(out, "  {indent}{}  {}", paint.on("36", id), paint.on("2", &took))?;
                for (field, before, after) in changes {
                    if let Some(before) = before {
                        writeln!(out, "  {indent}  {}", paint.on("31", &format!("- {field} {}", shown(before))))?;
                    }
                    if let Some(after) = after {
                        writeln!(out, "  {indent}  {}", paint.on("32", &format!("+ {field} {}", shown(after))))?;
                    }
                }
                if *made > 0 {
                    writeln!(out, "  {indent}  made {made} more")?;
                }
                if *dropped {
                    writeln!(out, "  {indent}  {}", paint.on("33", "dropped"))?;
                }
            }
        }
    }
    for event in &trace.events {
        let mut json = Vec::new();
        event.write_json(&mut json);
        writeln!(out, "  {} {}", paint.on("1", "kept"), String::from_utf8_lossy(&json))?;
    }
    writeln!(out)
}

fn shown(value: &Value) -> String {
    let mut json = Vec::new();
    weir_aggregator::event::json::write(&mut json, value.as_ref());
    String::from_utf8_lossy(&json).into_owned()
}
