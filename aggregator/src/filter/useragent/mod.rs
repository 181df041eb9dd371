//! `useragent`: which program, system and device an HTTP client says it is.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::json::tags_on_failure;
use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Text, Value, ValueRef};
use crate::pipeline::options::{Ecs, Options};
use crate::pipeline::pattern::Pattern;

/// The expressions there are without a file.
const REGEXES: &str = include_str!("regexes.yaml");
/// The same, read once for all filters of all pipelines.
static BUILT_IN: LazyLock<Result<Arc<Regexes>, String>> = LazyLock::new(|| Regexes::parse(REGEXES).map(Arc::new));
/// A file of expressions has at most so many bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Answers that are remembered; a service is asked by some thousands of different clients. All are forgotten when there
/// are more.
const REMEMBERED_MAX: usize = 4096;

#[derive(Debug)]
struct UserAgent {
    source: FieldPath,
    target: Option<FieldPath>,
    prefix: String,
    ecs: bool,
    regexes: Arc<Regexes>,
    remembered: Mutex<HashMap<Text, Arc<Answer>>>,
    tags: Vec<String>,
}

/// The three lists.
#[derive(Debug, Default)]
struct Regexes {
    programs: Vec<Rule>,
    systems: Vec<Rule>,
    devices: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    family: Option<String>,
    parts: [Option<String>; 4],
}

/// A name and the parts of its version.
#[derive(Debug, Default)]
struct Named {
    name: String,
    parts: Vec<String>,
}

#[derive(Debug)]
struct Answer {
    program: Named,
    system: Named,
    device: String,
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let source = options.required_text("source");
    let source = source.and_then(|placed| options.path(&placed));
    let ecs = options.ecs() == Ecs::V8;
    let target = options.field("target").or_else(|| ecs.then(|| FieldPath::of(&["user_agent"])));
    let prefix = options.text("prefix").map(|(text, _)| text).unwrap_or_default();
    options.whole("lru_cache_size");
    let regexes = match options.text("regexes") {
        None => BUILT_IN.clone(),
        Some((path, _)) => read(&path)
            .map_err(|error| format!("cannot read {path}: {error}"))
            .and_then(|text| Regexes::parse(&text).map(Arc::new)),
    };
    let regexes = match regexes {
        Ok(regexes) => regexes,
        Err(problem) => {
            let span = options.span();
            options.error(span, problem, "");
            return None;
        }
    };
    let tags = tags_on_failure(options, "_useragentparsefailure");
    Some(Box::new(UserAgent { source: source?, target, prefix, ecs, regexes, remembered: Mutex::default(), tags }))
}

fn read(path: &str) -> std::io::Result<String> {
    let size = std::fs::metadata(path)?.len();
    if size > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it has {size} bytes, more than {FILE_BYTES_MAX}")));
    }
    std::fs::read_to_string(path)
}

impl Regexes {
    /// Reads the lists: `name:` begins one, `- regex:` an entry, other names belong to the entry before them.
    fn parse(text: &str) -> Result<Self, String> {
        let mut regexes = Self::default();
        let mut list = "";
        let mut entry: HashMap<String, String> = HashMap::new();
        for (index, line) in text.lines().chain(["end:"]).enumerate() {
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let begins = content.starts_with("- ") || !line.starts_with([' ', '-']);
            if begins && !entry.is_empty() {
                regexes
                    .add(list, &std::mem::take(&mut entry))
                    .map_err(|problem| format!("before line {}: {problem}", index + 1))?;
            }
            let (name, value) =
                content.trim_start_matches("- ").split_once(':').ok_or(format!("line {} has no name", index + 1))?;
            if !line.starts_with([' ', '-']) {
                list = name;
            } else {
                entry.insert(name.trim().to_owned(), unquote(value.trim()));
            }
        }
        Ok(regexes)
    }

    fn add(&mut self, list: &str, entry: &HashMap<String, String>) -> Result<(), String> {
        let (rules, name, parts) = match list {
            "user_agent_parsers" => (
                &mut self.programs,
                "family_replacement",
                ["v1_replacement", "v2_replacement", "v3_replacement", "v4_replacement"],
            ),
            "os_parsers" => (
                &mut self.systems,
                "os_replacement",
                ["os_v1_replacement", "os_v2_replacement", "os_v3_replacement", "os_v4_replacement"],
            ),
            "device_parsers" => (&mut self.devices, "device_replacement", ["", "", "", ""]),
            other => return Err(format!("there is no list `{other}`")),
        };
        let regex = entry.get("regex").ok_or("an entry has no `regex`")?;
        let regex = match entry.get("regex_flag").map(String::as_str) {
            Some("i") => format!("(?i){regex}"),
            _ => regex.clone(),
        };
        let pattern = Pattern::new(&regex).map_err(|error| format!("{regex}: {error}"))?;
        rules.push(Rule {
            pattern,
            family: entry.get(name).cloned(),
            parts: parts.map(|part| entry.get(part).cloned()),
        });
        Ok(())
    }
}

fn unquote(value: &str) -> String {
    match (
        value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')),
        value.strip_prefix('"').and_then(|value| value.strip_suffix('"')),
    ) {
        (Some(inner), _) => inner.replace("''", "'"),
        (_, Some(inner)) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        _ => value.to_owned(),
    }
}

/// The first rule that fits: its family, or the first group; its parts, or the groups behind.
fn find(rules: &[Rule], text: &str) -> Named {
    for rule in rules {
        let Some(found) = rule.pattern.find_at(text, 0) else { continue };
        let group = |index: usize| {
            let span = found.groups.get(index).copied().flatten();
            span.map(|(start, end)| text[start..end].to_owned()).filter(|text| !text.is_empty())
        };
        let filled = |template: &String| {
            (1..=9)
                .fold(template.clone(), |text, number| {
                    text.replace(&format!("${number}"), group(number - 1).as_deref().unwrap_or(""))
                })
                .trim()
                .to_owned()
        };
        // Groups are the family and then the parts, or the parts alone where the family is given.
        let first = usize::from(
            rule.family.is_none()
                || rule.family.as_ref().is_some_and(|family| family.contains("$1"))
                || names_first(rule, &found, text),
        );
        let name = rule.family.as_ref().map(filled).or_else(|| group(0));
        let Some(name) = name else { continue };
        let mut parts = Vec::new();
        for (index, given) in rule.parts.iter().enumerate() {
            match given.as_ref().map(filled).or_else(|| group(first + index)) {
                Some(part) if !part.is_empty() => parts.push(part),
                _ => break,
            }
        }
        return Named { name, parts };
    }
    Named { name: "Other".to_owned(), parts: Vec::new() }
}

/// Whether the first group is a name and no number, though the name is given.
fn names_first(_: &Rule, found: &crate::pipeline::pattern::Found, text: &str) -> bool {
    found
        .groups
        .first()
        .copied()
        .flatten()
        .is_some_and(|(start, end)| !text[start..end].starts_with(|c: char| c.is_ascii_digit()))
}

impl UserAgent {
    fn answer(&self, text: &Text) -> Arc<Answer> {
        // A panic of another worker leaves whole entries only.
        let known = self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
        if let Some(known) = known {
            return known;
        }
        let answer = Arc::new(Answer {
            program: find(&self.regexes.programs, text),
            system: find(&self.regexes.systems, text),
            device: find(&self.regexes.devices, text).name,
        });
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        // A copy of its own, so that it does not hold a batch in memory.
        remembered.insert(Text::from(&**text), Arc::clone(&answer));
        answer
    }

    fn set(&self, event: &mut Event, names: &[&str], value: String) {
        let first = format!("{}{}", self.prefix, names[0]);
        let mut all = vec![first.as_str()];
        all.extend(&names[1..]);
        let path = FieldPath::of(&all);
        event.set(
            &self.target.as_ref().map_or_else(|| path.clone(), |target| path.below(target)),
            Value::Text(value.into()),
        );
    }

    fn set_ecs(&self, event: &mut Event, answer: &Answer, original: Text) {
        self.set(event, &["name"], answer.program.name.clone());
        self.set(event, &["device", "name"], answer.device.clone());
        self.set(event, &["os", "name"], answer.system.name.clone());
        self.set(event, &["os", "full"], answer.system.full());
        for (named, names) in [(&answer.program, &["version"][..]), (&answer.system, &["os", "version"][..])] {
            if named.parts.is_empty() {
                continue;
            }
            self.set(event, names, named.parts.join("."));
            for (part, name) in named.parts.iter().zip(["major", "minor", "patch"]) {
                let way: Vec<&str> =
                    ["@metadata", "filter", "user_agent"].iter().chain(names).copied().chain([name]).collect();
                event.set(&FieldPath::of(&way), Value::Text(part.as_str().into()));
            }
        }
        let path = FieldPath::of(&["original"]);
        let path = self.target.as_ref().map_or_else(|| path.clone(), |target| path.below(target));
        event.set(&path, Value::Text(original));
    }

    fn set_legacy(&self, event: &mut Event, answer: &Answer) {
        self.set(event, &["name"], answer.program.name.clone());
        self.set(event, &["os"], answer.system.name.clone());
        self.set(event, &["os_name"], answer.system.name.clone());
        self.set(event, &["os_full"], answer.system.full());
        self.set(event, &["device"], answer.device.clone());
        for (part, name) in answer.program.parts.iter().zip(["major", "minor", "patch"]) {
            self.set(event, &[name], part.clone());
        }
        for (part, name) in answer.system.parts.iter().zip(["os_major", "os_minor", "os_patch"]) {
            self.set(event, &[name], part.clone());
        }
        if !answer.program.parts.is_empty() {
            self.set(event, &["version"], answer.program.parts.join("."));
        }
        if !answer.system.parts.is_empty() {
            self.set(event, &["os_version"], answer.system.parts.join("."));
        }
    }
}

impl Named {
    fn full(&self) -> String {
        if self.parts.is_empty() { self.name.clone() } else { format!("{} {}", self.name, self.parts.join(".")) }
    }
}

impl Filter for UserAgent {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let text = match event.get(&self.source) {
            Some(ValueRef::Text(text)) => text.clone(),
            Some(ValueRef::Array([Value::Text(first), ..])) => first.clone(),
            None | Some(ValueRef::Null) => return Outcome::Unmatched,
            Some(_) => {
                self.tags.iter().for_each(|tag| event.add_tag(tag.as_str()));
                return Outcome::Failed;
            }
        };
        if text.is_empty() {
            return Outcome::Unmatched;
        }
        let answer = self.answer(&text);
        // A target that is the source holds a text until now.
        if let Some(target) = &self.target
            && !matches!(event.get(target), None | Some(ValueRef::Object(_)))
        {
            event.remove(target);
        }
        if self.ecs {
            self.set_ecs(event, &answer, text);
        } else {
            self.set_legacy(event, &answer);
        }
        Outcome::Matched
    }
}

#[cfg(test)]
mod tests;
