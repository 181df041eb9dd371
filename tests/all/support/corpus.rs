//! Lines with known truth: the samples of `pipelines/` and, where there, `levels/` of the shared data. Every line gets
//! a tag (container and sequence number) in a place where it does not hide the line's level.
//!
//! What the policy must do with a line follows from the truth in the data alone: trace, debug and info are dropped,
//! every other level and a line that states none are kept.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{repository, say, shared};

/// Containers of a load.
pub const CONTAINERS: usize = 6;
/// Every so many lines one is longer than Docker's 16 KB, and so is split into several records.
const LONG_EVERY: usize = 499;
/// The levels that the policy drops.
const DROPPED: [&str; 3] = ["trace", "debug", "info"];
/// A group of samples is repeated up to this length.
const GROUP_LINES_MIN: usize = 200;
/// A long line becomes three records.
const LONG_BYTES: usize = 40_000;

/// Which line: `wt<container>x<number of six digits>`, one word for any tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    container: u8,
    number: u32,
}

impl fmt::Display for Tag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "wt{}x{:06}", self.container, self.number)
    }
}

impl Tag {
    /// Every tag in `text`.
    pub fn all_in(text: &str) -> Vec<Self> {
        let parse = |(at, _): (usize, &str)| {
            let tag = text.get(at..at + 10)?;
            let container = tag.get(2..3)?.parse().ok()?;
            let number = tag.get(3..)?.strip_prefix('x')?.parse().ok()?;
            Some(Self { container, number })
        };
        text.match_indices("wt").filter_map(parse).collect()
    }
}

/// One line that a container writes.
#[derive(Debug, Clone)]
pub struct Line {
    /// To standard error rather than to standard output.
    pub to_stderr: bool,
    /// The line, tag included.
    pub text: String,
    /// Whether the policy keeps it.
    pub kept: bool,
}

/// What all containers write.
pub struct Load {
    /// The lines of each container, in order.
    pub containers: Vec<Vec<Line>>,
    /// Which containers carry the label `weir.pipeline=access`.
    pub access_logs: Vec<bool>,
}

/// A line without its tag.
#[derive(Clone)]
struct Sample {
    text: String,
    kept: bool,
}

/// Samples of one format.
struct Group {
    samples: Vec<Sample>,
    /// An access log, whose lines state no level: the container has to say that it writes one.
    is_access_log: bool,
}

impl Load {
    /// `lines_each` lines for each of [`CONTAINERS`] containers.
    pub fn new(lines_each: usize) -> Self {
        let groups = samples();
        let own = |container: usize| groups.iter().skip(container % groups.len()).step_by(CONTAINERS);
        let access_logs = (0..CONTAINERS).map(|container| own(container).any(|group| group.is_access_log)).collect();
        let containers = (0..CONTAINERS)
            .map(|container| {
                let mut lines = Vec::with_capacity(lines_each);
                for sample in own(container).flat_map(|group| &group.samples).cycle().take(lines_each) {
                    let tag = Tag { container: container as u8, number: lines.len() as u32 };
                    // Both outputs, in stretches: their records alternate in the file.
                    let to_stderr = tag.number % 16 >= 13;
                    if lines.len() % LONG_EVERY == LONG_EVERY - 1 {
                        let text = format!("2026-01-01 00:00:00,000 ERROR long {} {tag}", "x".repeat(LONG_BYTES));
                        lines.push(Line { to_stderr, text, kept: true });
                    } else {
                        lines.push(Line { to_stderr, text: tagged(&sample.text, tag), kept: sample.kept });
                    }
                }
                lines
            })
            .collect();
        Self { containers, access_logs }
    }

    /// The tags of the lines that the policy keeps.
    pub fn kept(&self) -> impl Iterator<Item = Tag> {
        self.containers.iter().enumerate().flat_map(|(container, lines)| {
            let tag = move |(number, line): (usize, &Line)| {
                line.kept.then_some(Tag { container: container as u8, number: number as u32 })
            };
            lines.iter().enumerate().filter_map(tag)
        })
    }

    /// Whether the policy keeps this line; false for a tag that was never written.
    pub fn is_kept(&self, tag: Tag) -> bool {
        self.line(tag).is_some_and(|line| line.kept)
    }

    /// The beginning of a line.
    pub fn text(&self, tag: Tag) -> String {
        self.line(tag).map_or_else(|| "never written".to_owned(), |line| line.text.chars().take(150).collect())
    }

    fn line(&self, tag: Tag) -> Option<&Line> {
        self.containers.get(tag.container as usize)?.get(tag.number as usize)
    }

    /// Lines of all containers.
    pub fn len(&self) -> usize {
        self.containers.iter().map(Vec::len).sum()
    }

    /// Writes what container `n` says to `folder/n`: a digit for the output, a space, the line.
    pub fn save(&self, folder: &Path) {
        for (container, lines) in self.containers.iter().enumerate() {
            let mut file = std::io::BufWriter::new(fs::File::create(folder.join(container.to_string())).unwrap());
            for line in lines {
                writeln!(file, "{} {}", if line.to_stderr { 2 } else { 1 }, line.text).unwrap();
            }
            file.flush().unwrap();
        }
    }
}

/// The tag at the end of the line; in a JSON object at the end of its message, in a line that ends in quotes within
/// them, where an access log has what a browser says of itself.
fn tagged(text: &str, tag: Tag) -> String {
    if let Ok(Value::Object(mut object)) = serde_json::from_str(text) {
        for key in ["msg", "message", "event"] {
            if let Some(Value::String(message)) = object.get_mut(key) {
                message.push_str(&format!(" {tag}"));
                return Value::Object(object).to_string();
            }
        }
    }
    match text.strip_suffix('"') {
        Some(text) => format!("{text} {tag}\""),
        None => format!("{text} {tag}"),
    }
}

/// All samples in groups of one format each. A short group is repeated, so that every format has its share.
fn samples() -> Vec<Group> {
    let mut groups = levels();
    groups.extend(pipelines());
    for group in &mut groups {
        while group.samples.len() < GROUP_LINES_MIN && !group.samples.is_empty() {
            group.samples.extend_from_within(..);
        }
    }
    groups.retain(|group| !group.samples.is_empty());
    assert!(!groups.is_empty(), "no samples");
    groups
}

/// The samples of `pipelines/`: `NAME.in` has lines (and, after `#`, the fields that they come with), `NAME.out` what
/// becomes of them, level included.
fn pipelines() -> Vec<Group> {
    let folder = repository().join("pipelines");
    let mut groups = Vec::new();
    for conf in paths(&folder, "conf") {
        // What the policy drops is known from the others; its own sample has levels that its lines do not state.
        if conf.file_stem().is_some_and(|name| name == "99-policy") {
            continue;
        }
        let input = fs::read_to_string(conf.with_extension("in")).unwrap();
        let output = fs::read_to_string(conf.with_extension("out")).unwrap();
        let mut results = output.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut group = Group { samples: Vec::new(), is_access_log: false };
        let mut image = String::new();
        for line in input.lines().filter(|line| !line.is_empty()) {
            if let Some(Ok(fields)) = line.strip_prefix("# ").map(serde_json::from_str::<Value>) {
                image = fields["container"]["image"]["name"].as_str().unwrap_or_default().to_owned();
                continue;
            }
            let result = results.next().unwrap_or_else(|| panic!("{}: no result of {line}", conf.display()));
            group.is_access_log |= image.contains("nginx");
            // What another image's lines mean cannot be shown in a container that says it writes an access log.
            if image.is_empty() || image.contains("nginx") {
                let level = result["log"]["level"].as_str().unwrap_or("-");
                group.samples.push(Sample { text: line.to_owned(), kept: !DROPPED.contains(&level) });
            }
        }
        assert!(results.next().is_none(), "{}: a result too many", conf.display());
        groups.push(group);
    }
    groups
}

/// The lines of `levels/*.jsonl`, which state the true level of each.
fn levels() -> Vec<Group> {
    let Some(folder) = shared().map(|shared| shared.join("data/levels")).filter(|folder| folder.is_dir()) else {
        say::left_out("lines of the shared data in the tests on real Docker", "there is no ../shared/data/levels");
        return Vec::new();
    };
    let group = |path: &PathBuf| Group {
        samples: fs::read_to_string(path).unwrap().lines().map(level_sample).collect(),
        is_access_log: false,
    };
    paths(&folder, "jsonl").iter().map(group).collect()
}

fn level_sample(line: &str) -> Sample {
    let object: Value = serde_json::from_str(line).unwrap();
    let level = object["level"].as_str().unwrap();
    Sample { text: object["line"].as_str().unwrap().to_owned(), kept: !["trace", "debug", "info"].contains(&level) }
}

/// Every file in `folder` with this extension, by name.
fn paths(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|other| other == extension));
    paths.sort();
    paths
}
