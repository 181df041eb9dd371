//! The pipelines that weir ships: every golden file, and the whole folder on lines whose fate is known.
use std::path::{Path, PathBuf};
use weir_aggregator::event::{Event, FieldPath};
use weir_aggregator::pipeline::golden::{events, test_golden};
use weir_aggregator::pipeline::{LoadOptions, Program, Tally};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines")
}

#[test]
fn every_sample_comes_out_as_expected() {
    let results = test_golden(&folder(), &LoadOptions::default()).expect("a readable folder");
    let failures: Vec<String> = results
        .iter()
        .filter_map(|golden| golden.failure.as_ref().map(|failure| format!("{}: {failure}", golden.name)))
        .collect();
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), results.len(), failures.join("\n"));
}

#[test]
fn every_file_has_a_sample() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            count += 1;
            for beside in ["in", "out"] {
                assert!(path.with_extension(beside).is_file(), "{} has no .{beside}", path.display());
            }
        }
    }
    assert!(count >= 13, "only {count} pipelines");
}

#[test]
fn the_files_are_clean() {
    let program = Program::load(&[folder()], &LoadOptions::default()).expect("pipelines without mistakes");
    assert!(program.diagnostics().is_empty(), "{:?}", program.diagnostics());
}

/// The policy of the whole folder, on every line of every sample: kept is exactly what is not trace, debug or info in
/// the end, whatever the files in between made of it; and what is kept has only fields that weir knows.
#[test]
fn the_folder_keeps_what_states_no_low_level() {
    const FIELDS: [&str; 11] = [
        "@timestamp",
        "message",
        "log",
        "stream",
        "host",
        "container",
        "service",
        "orchestrator",
        "event",
        "labels",
        "tags",
    ];
    let program = Program::load(&[folder()], &LoadOptions::default()).expect("pipelines without mistakes");
    let sample = std::fs::read_to_string(folder().join("whole.in")).expect("whole.in");
    let level = FieldPath::parse("[log][level]").expect("a field");
    let mut tally = Tally::new();
    let mut kept: Vec<Event> = Vec::new();
    let events = events(&sample).expect("a sample");
    let count = events.len();
    for event in events {
        program.run(event, &mut kept, &mut tally);
    }
    assert!(kept.len() > 20 && kept.len() < count, "{} of {count} kept", kept.len());
    for event in &kept {
        let level = event.get_str(&level);
        assert!(!matches!(level, Some("trace" | "debug" | "info")), "kept though {level:?}");
        let mut json = Vec::new();
        event.write_json(&mut json);
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let unknown: Vec<_> =
            json.as_object().expect("an object").keys().filter(|k| !FIELDS.contains(&k.as_str())).collect();
        assert!(unknown.is_empty(), "kept with {unknown:?}");
    }
}
