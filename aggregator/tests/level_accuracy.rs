//! Measures levels against lines of which the true level is known: `WEIR_LEVELS` or `../shared/data/levels`.
//!
//! Each file `SYSTEM.jsonl` holds one object per line, `{"level": "error", "line": "…"}`, with `-` for a line that
//! states none. The truth comes from elsewhere; a program's own `error:` inside syslog counts as none there.
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use weir_aggregator::level::{Level, detect};

/// What every system and the whole set must reach, in percent of lines.
const RIGHT_PER_SYSTEM_MIN: f64 = 97.0;
const RIGHT_OVERALL_MIN: f64 = 99.0;
/// Failures printed per kind (system, truth, found): the rest is counted.
const SHOWN_PER_KIND_MAX: usize = 3;

#[derive(Deserialize)]
struct Line {
    level: String,
    line: String,
}

fn folder() -> PathBuf {
    let workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    match (std::env::var_os("WEIR_LEVELS"), std::env::var_os("WEIR_SHARED")) {
        (Some(folder), _) => folder.into(),
        (None, Some(shared)) => PathBuf::from(shared).join("data/levels"),
        (None, None) => workspace.join("../shared/data/levels"),
    }
}

fn is_dropped(level: &str) -> bool {
    matches!(level, "trace" | "debug" | "info")
}

#[test]
fn level_accuracy() {
    let folder = folder();
    let Ok(entries) = fs::read_dir(&folder) else {
        println!("left out: level_accuracy, because {} is not there", folder.display());
        return;
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "jsonl"));
    files.sort();
    assert!(!files.is_empty(), "no .jsonl file in {}", folder.display());

    let names: Vec<&str> = Level::ALL.iter().map(|level| level.as_str()).chain(["-"]).collect();
    let mut confusion: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut kinds: BTreeMap<(String, String, &str), Vec<String>> = BTreeMap::new();
    let (mut passed, mut failed, mut lost) = (0, 0, 0);
    let mut stated = (0, 0);
    let mut below = Vec::new();
    println!("{:<24} {:>7} {:>7} {:>8}", "system", "right", "wrong", "percent");
    for file in &files {
        let system = file.file_stem().expect("a file name").to_string_lossy().into_owned();
        let (mut right, mut wrong) = (0, 0);
        for text in fs::read_to_string(file).expect("a readable file").lines().filter(|text| !text.trim().is_empty()) {
            let Line { level, line } = serde_json::from_str(text).expect("one object per line");
            assert!(names.contains(&level.as_str()), "{system}: unknown level {level:?}");
            let found = detect(&line).map_or("-", Level::as_str);
            *confusion.entry((level.clone(), found)).or_default() += 1;
            stated.1 += usize::from(level != "-");
            stated.0 += usize::from(level != "-" && found == level);
            if found == level {
                right += 1;
                continue;
            }
            wrong += 1;
            lost += usize::from(is_dropped(found) && !is_dropped(&level));
            kinds.entry((system.clone(), level, found)).or_default().push(line);
        }
        let percent = 100.0 * f64::from(right) / f64::from(right + wrong);
        println!("{system:<24} {right:>7} {wrong:>7} {percent:>8.2}");
        // A handful of sample lines is no measure of a percentage: one of them may be wrong.
        if percent < RIGHT_PER_SYSTEM_MIN && wrong > 1 {
            below.push(format!("{system}: {percent:.2} %"));
        }
        passed += right;
        failed += wrong;
    }
    for ((system, level, found), lines) in &kinds {
        for line in lines.iter().take(SHOWN_PER_KIND_MAX) {
            println!("FAILED {system}: is {level}, found {found}: {line}");
        }
        if lines.len() > SHOWN_PER_KIND_MAX {
            println!("FAILED {system}: is {level}, found {found}: {} more", lines.len() - SHOWN_PER_KIND_MAX);
        }
    }
    println!("\n{:>10} found:", "true:");
    println!("{:>10} {}", "", names.iter().map(|name| format!("{name:>9}")).collect::<String>());
    for level in &names {
        let row: String = names
            .iter()
            .map(|found| format!("{:>9}", confusion.get(&((*level).to_owned(), *found)).copied().unwrap_or(0)))
            .collect();
        println!("{level:>10} {row}");
    }
    let overall = 100.0 * f64::from(passed) / f64::from(passed + failed);
    println!("\nlines that state a level: {} of {} right", stated.0, stated.1);
    println!("{passed} passed, {failed} failed ({overall:.2} %)");
    assert_eq!(lost, 0, "lines that must be kept were taken for trace, debug or info");
    assert!(below.is_empty(), "under {RIGHT_PER_SYSTEM_MIN} %: {below:?}");
    assert!(overall >= RIGHT_OVERALL_MIN, "under {RIGHT_OVERALL_MIN} % over all");
}
