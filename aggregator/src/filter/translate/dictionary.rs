//! What `translate` looks values up in: entries from the pipeline file, or from a file of their own that is read again when
//! it changes.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

use aho_corasick::{AhoCorasick, MatchKind};
use jiff::Timestamp;
use yaml_rust2::{Yaml, YamlLoader};

use crate::event::{Text, Value, json};
use crate::pipeline::pattern::Pattern;

/// A dictionary file has at most so many bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// How a value is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The whole value is a name.
    Exact,
    /// The first expression that is found in the value.
    Regex,
    /// Every name that is found in the value is replaced.
    Within,
}

/// Names and what they stand for.
#[derive(Debug)]
pub(super) struct Dictionary {
    way: Way,
    entries: RwLock<Entries>,
    file: Option<File>,
}

#[derive(Debug)]
enum Entries {
    Exact(HashMap<String, Value>),
    Regex(Vec<(String, Pattern, Value)>),
    Within(AhoCorasick, Vec<(String, Value)>),
}

/// Where the entries come from.
#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Time between two looks; 0: none but the first.
    interval_s: i64,
    /// Second since 1970 of the next look.
    next: AtomicI64,
    modified: RwLock<Option<SystemTime>>,
    /// Whether entries that are not in the file any more go.
    replace: bool,
}

impl Dictionary {
    /// Of entries that stand in the pipeline file.
    ///
    /// # Errors
    /// A name that is no expression where it should be one.
    pub fn written(way: Way, entries: Vec<(String, Value)>) -> Result<Self, String> {
        Ok(Self { way, entries: RwLock::new(Entries::of(way, last_of_each(entries))?), file: None })
    }

    /// Of a file, which is looked at every so many seconds.
    ///
    /// # Errors
    /// A file that cannot be read, or is no dictionary.
    pub fn of_file(way: Way, path: &str, interval_s: i64, replace: bool) -> Result<Self, String> {
        let path = PathBuf::from(path);
        let modified = RwLock::new(modified(&path));
        let entries = read(&path).and_then(|entries| Entries::of(way, entries));
        let entries = entries.map_err(|problem| format!("cannot read the dictionary {}: {problem}", path.display()))?;
        let next = AtomicI64::new(Timestamp::now().as_second().saturating_add(interval_s));
        let file = File { path, interval_s: interval_s.max(0), next, modified, replace };
        Ok(Self { way, entries: RwLock::new(entries), file: Some(file) })
    }

    /// Reads the file again if it is time to look and it has changed. A file that cannot be read leaves the old entries.
    pub fn refresh(&self, now: Timestamp) {
        let Some(file) = self.file.as_ref().filter(|file| file.interval_s > 0) else { return };
        let (now, next) = (now.as_second(), file.next.load(Ordering::Relaxed));
        let later = now.saturating_add(file.interval_s);
        // One worker looks, the others go on.
        if now < next || file.next.compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let changed = modified(&file.path);
        let mut known = file.modified.write().unwrap_or_else(PoisonError::into_inner);
        if changed == *known {
            return;
        }
        let read = read(&file.path).and_then(|mut read| {
            if !file.replace {
                let old = self.entries.read().unwrap_or_else(PoisonError::into_inner).list();
                read.extend(old);
            }
            Entries::of(self.way, read)
        });
        match read {
            Ok(entries) => {
                *known = changed;
                *self.entries.write().unwrap_or_else(PoisonError::into_inner) = entries;
                tracing::info!(path = %file.path.display(), "the dictionary has changed and is in use");
            }
            Err(problem) => {
                let path = file.path.display();
                tracing::warn!(%path, problem, "the changed dictionary cannot be used; the old one stays");
            }
        }
    }

    /// What a value stands for.
    pub fn look_up(&self, text: &str) -> Option<Value> {
        match &*self.entries.read().unwrap_or_else(PoisonError::into_inner) {
            Entries::Exact(entries) => entries.get(text).cloned(),
            Entries::Regex(rules) => {
                rules.iter().find(|(_, pattern, _)| pattern.is_match(text)).map(|(.., value)| value.clone())
            }
            Entries::Within(finder, entries) => {
                let mut replaced = String::new();
                finder.replace_all_with(text, &mut replaced, |found, _, out| {
                    out.push_str(&entries[found.pattern().as_usize()].1.to_text());
                    true
                });
                (replaced != text).then(|| Value::Text(replaced.into()))
            }
        }
    }
}

impl Entries {
    /// Of a list in which the first of a name counts.
    fn of(way: Way, mut list: Vec<(String, Value)>) -> Result<Self, String> {
        let mut seen = HashSet::new();
        list.retain(|(name, _)| seen.insert(name.clone()));
        Ok(match way {
            Way::Exact => Self::Exact(list.into_iter().collect()),
            Way::Regex => {
                let rule = |(name, value): (String, Value)| match Pattern::new(&name) {
                    Ok(pattern) => Ok((name, pattern, value)),
                    Err(error) => Err(format!("`{name}`: {error}")),
                };
                Self::Regex(list.into_iter().map(rule).collect::<Result<_, _>>()?)
            }
            Way::Within => {
                list.retain(|(name, _)| !name.is_empty());
                let mut finder = AhoCorasick::builder();
                finder.match_kind(MatchKind::LeftmostFirst);
                let finder = finder.build(list.iter().map(|(name, _)| name)).map_err(|error| error.to_string())?;
                Self::Within(finder, list)
            }
        })
    }

    fn list(&self) -> Vec<(String, Value)> {
        match self {
            Self::Exact(entries) => entries.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            Self::Regex(rules) => rules.iter().map(|(name, _, value)| (name.clone(), value.clone())).collect(),
            Self::Within(_, entries) => entries.clone(),
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// A dictionary in JSON, CSV or YAML, by the end of its name.
fn read(path: &Path) -> Result<Vec<(String, Value)>, String> {
    let kind = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    let parse = match kind.as_str() {
        "json" => read_json,
        "csv" => read_csv,
        "yml" | "yaml" => read_yaml,
        _ => return Err("its name must end in .yml, .yaml, .json, .csv".to_owned()),
    };
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("it has {size} bytes, more than {FILE_BYTES_MAX}"));
    }
    parse(std::fs::read_to_string(path).map_err(|error| error.to_string())?).map(last_of_each)
}

/// As in any hash, the last of a name counts.
fn last_of_each(mut entries: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let mut seen = HashSet::new();
    entries.reverse();
    entries.retain(|(name, _)| seen.insert(name.clone()));
    entries.reverse();
    entries
}

fn read_json(text: String) -> Result<Vec<(String, Value)>, String> {
    match json::parse(&Text::from(text)).map_err(|error| error.to_string())? {
        Value::Object(object) => Ok(object.into_iter().map(|(name, value)| (name.to_string(), value)).collect()),
        _ => Err("it must be an object".to_owned()),
    }
}

fn read_yaml(text: String) -> Result<Vec<(String, Value)>, String> {
    let documents = YamlLoader::load_from_str(&text).map_err(|error| error.to_string())?;
    match documents.into_iter().next() {
        None => Ok(Vec::new()),
        Some(Yaml::Hash(hash)) => {
            Ok(hash.into_iter().filter_map(|(name, value)| Some((scalar(&name)?, of_yaml(value)))).collect())
        }
        Some(_) => Err("it must be a list of names and values".to_owned()),
    }
}

fn scalar(yaml: &Yaml) -> Option<String> {
    match yaml {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

fn of_yaml(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Integer(number) => Value::Int(number),
        Yaml::Boolean(value) => Value::Bool(value),
        Yaml::Real(text) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Float(number),
            _ => Value::Text(text.into()),
        },
        Yaml::String(text) => Value::Text(text.into()),
        Yaml::Array(items) => Value::Array(items.into_iter().map(of_yaml).collect()),
        Yaml::Hash(hash) => Value::Object(
            hash.into_iter().filter_map(|(name, value)| Some((scalar(&name)?.into(), of_yaml(value)))).collect(),
        ),
        _ => Value::Null,
    }
}

fn read_csv(text: String) -> Result<Vec<(String, Value)>, String> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let entry = column(line).and_then(|(name, rest)| {
            let (value, _) = column(rest.strip_prefix(',')?)?;
            Some((name, Value::Text(value.into())))
        });
        entries.push(entry.ok_or_else(|| format!("line {} has no name and value", index + 1))?);
    }
    Ok(entries)
}

/// The first column of a line, and what follows it.
fn column(line: &str) -> Option<(String, &str)> {
    let Some(mut rest) = line.strip_prefix('"') else {
        let end = line.find(',').unwrap_or(line.len());
        return Some((line[..end].to_owned(), &line[end..]));
    };
    let mut text = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        text.push_str(part);
        rest = after;
        match rest.strip_prefix('"') {
            Some(after) => {
                text.push('"');
                rest = after;
            }
            None => return Some((text, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.json");
        let write = |text: &str, seconds: u64| {
            std::fs::write(&path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        for (replace, left) in [(false, Some(Value::Int(1))), (true, None)] {
            write(r#"{"a": 1, "b": 1}"#, 1);
            let dictionary = Dictionary::of_file(Way::Exact, path.to_str().unwrap(), 300, replace).unwrap();
            write(r#"{"b": 2}"#, 2);
            let now = Timestamp::now();
            dictionary.refresh(now);
            assert_eq!(dictionary.look_up("b"), Some(Value::Int(1)), "not yet");
            let later = |minutes: i64| Timestamp::from_second(now.as_second() + 60 * minutes).unwrap();
            dictionary.refresh(later(6));
            assert_eq!((dictionary.look_up("b"), dictionary.look_up("a")), (Some(Value::Int(2)), left));
            write("broken", 3);
            dictionary.refresh(later(12));
            assert_eq!(dictionary.look_up("b"), Some(Value::Int(2)), "the old one stays");
        }
    }
}
