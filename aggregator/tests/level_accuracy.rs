//! Measures levels against lines of which the true level is known: our own in `tests/levels`, and those of
//! `../shared/data/levels`; or the folder that `WEIR_LEVELS` names alone.
//!
//! Each file `SYSTEM.jsonl` holds one object per line, `{"level": "error", "line": "…"}`, with `-` for a line that
//! states none. The truth of the shared ones comes from elsewhere; a program's own `error:` inside syslog counts as none
//! there.
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
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

/// What was found in some folders.
#[derive(Default)]
struct Measure {
    passed: usize,
    failed: usize,
    /// Lines that must be kept and were taken for trace, debug or info.
    lost: usize,
    /// Lines that state a level: right, and all.
    stated: (usize, usize),
    /// By true level and found one.
    confusion: BTreeMap<(String, &'static str), usize>,
    /// The failures by system, true level and found one.
    kinds: BTreeMap<(String, String, &'static str), Vec<String>>,
    /// Systems under the minimum.
    below: Vec<String>,
}

fn is_dropped(level: &str) -> bool {
    matches!(level, "trace" | "debug" | "info")
}

fn names() -> impl Iterator<Item = &'static str> {
    Level::ALL.iter().map(|level| level.as_str()).chain(["-"])
}

impl Measure {
    fn folder(&mut self, folder: &Path) {
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
            .collect();
        files.sort();
        assert!(!files.is_empty(), "no .jsonl file in {}", folder.display());
        files.iter().for_each(|file| self.file(file));
    }

    fn file(&mut self, file: &Path) {
        let system = file.file_stem().expect("a file name").to_string_lossy().into_owned();
        let (mut right, mut wrong) = (0, 0);
        for text in fs::read_to_string(file).expect("a readable file").lines().filter(|text| !text.trim().is_empty()) {
            let Line { level, line } = serde_json::from_str(text).expect("one object per line");
            assert!(names().any(|name| name == level), "{system}: unknown level {level:?}");
            let found = detect(&line).map_or("-", Level::as_str);
            *self.confusion.entry((level.clone(), found)).or_default() += 1;
            self.stated.1 += usize::from(level != "-");
            self.stated.0 += usize::from(level != "-" && found == level);
            if found == level {
                right += 1;
                continue;
            }
            wrong += 1;
            self.lost += usize::from(is_dropped(found) && !is_dropped(&level));
            self.kinds.entry((system.clone(), level, found)).or_default().push(line);
        }
        let percent = percent(right, wrong);
        println!("{system:<24} {right:>7} {wrong:>7} {percent:>8.2}");
        // A handful of sample lines is no measure of a percentage: one of them may be wrong.
        if percent < RIGHT_PER_SYSTEM_MIN && wrong > 1 {
            self.below.push(format!("{system}: {percent:.2} %"));
        }
        self.passed += right;
        self.failed += wrong;
    }

    fn print(&self) {
        for ((system, level, found), lines) in &self.kinds {
            for line in lines.iter().take(SHOWN_PER_KIND_MAX) {
                println!("FAILED {system}: is {level}, found {found}: {line}");
            }
            if lines.len() > SHOWN_PER_KIND_MAX {
                println!("FAILED {system}: is {level}, found {found}: {} more", lines.len() - SHOWN_PER_KIND_MAX);
            }
        }
        println!("\n{:>10} found:", "true:");
        println!("{:>10} {}", "", names().map(|name| format!("{name:>9}")).collect::<String>());
        for level in names() {
            let count = |found| self.confusion.get(&(level.to_owned(), found)).copied().unwrap_or(0);
            println!("{level:>10} {}", names().map(|found| format!("{:>9}", count(found))).collect::<String>());
        }
        println!("\nlines that state a level: {} of {} right", self.stated.0, self.stated.1);
        println!("{} passed, {} failed ({:.2} %)", self.passed, self.failed, percent(self.passed, self.failed));
    }
}

fn percent(right: usize, wrong: usize) -> f64 {
    100.0 * right as f64 / (right + wrong) as f64
}

#[test]
fn level_accuracy() {
    let mut measure = Measure::default();
    println!("{:<24} {:>7} {:>7} {:>8}", "system", "right", "wrong", "percent");
    match std::env::var_os("WEIR_LEVELS") {
        Some(folder) => measure.folder(Path::new(&folder)),
        None => {
            let package = Path::new(env!("CARGO_MANIFEST_DIR"));
            measure.folder(&package.join("tests/levels"));
            assert_eq!(measure.failed, 0, "our own lines: {:#?}", measure.kinds);
            let shared = std::env::var_os("WEIR_SHARED").map_or_else(|| package.join("../../shared"), PathBuf::from);
            let folder = shared.join("data/levels");
            if folder.is_dir() {
                measure.folder(&folder);
            } else {
                println!("left out: the lines of other systems, because {} is not there", folder.display());
            }
        }
    }
    measure.print();
    assert_eq!(measure.lost, 0, "lines that must be kept were taken for trace, debug or info");
    assert!(measure.below.is_empty(), "under {RIGHT_PER_SYSTEM_MIN} %: {:?}", measure.below);
    assert!(percent(measure.passed, measure.failed) >= RIGHT_OVERALL_MIN, "under {RIGHT_OVERALL_MIN} % over all");
}
