//! Reads rule files (TOML) and says what is wrong in them, with line, column and what to do.
//!
//! ```toml
//! [[rule]]
//! name = "payments fail"
//! query = 'log.level : error and service.name : pay*'   # KQL; language = "lucene" for Lucene's syntax
//! index = "logs-weir"
//! window = "5m"
//! group_by = "service.name"
//! above = 10                # or: below = 1, absent = "5m", times_usual = 10 with usual and at_least
//! for = "1m"
//! level = "critical"        # or warning, info
//! text = "{group} had {value} errors: {sample}"
//! to = ["ops"]
//!
//! [[receiver]]
//! name = "ops"
//! kind = "alertmanager"     # or webhook, slack, smtp
//! url = "http://alertmanager:9093"
//! ```

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::json;
use toml::Spanned;
use weir_daemon::settings::Span;

use super::rule::{Level, Rule, When};
use super::send::{Kind, Receiver};
use crate::query::{Query, dsl, kql};

const BUILTIN: &str = include_str!("builtin.toml");
/// Most rules: each is a search or two with every evaluation.
const RULES_MAX: usize = 200;
/// Most receivers.
const RECEIVERS_MAX: usize = 50;
/// Longest rule file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest window, and longest stretch that says what is usual: an evaluation reads as much.
const WINDOW_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Firing alerts are told again after this time, unless the rule says otherwise; Alertmanager's default.
const REPEAT: Duration = Duration::from_secs(4 * 3600);

/// Something wrong in a rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: String,
    /// Line, from 1; 0 where it concerns the whole file.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line as it stands in the file.
    pub source_line: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.problem)?;
        } else {
            write!(f, "{}:{}:{}: {}\n  | {}\n  | ", self.file, self.line, self.column, self.problem, self.source_line)?;
            write!(f, "{:>width$}", "^", width = self.column)?;
        }
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\n  hint: {}", self.hint) }
    }
}

/// Rules and receivers as they are in use.
pub struct Loaded {
    /// In the order of the files; built-in ones last.
    pub rules: Vec<Rule>,
    /// Who is told.
    pub receivers: Vec<Receiver>,
    seen: Vec<(PathBuf, Option<SystemTime>)>,
}

impl Loaded {
    /// Whether the files are as they were read.
    pub fn is_current(&self, files: &[PathBuf]) -> bool {
        list(files).is_ok_and(|files| stamps(&files) == self.seen)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    rule: Vec<Spanned<RawRule>>,
    #[serde(default)]
    receiver: Vec<Spanned<RawReceiver>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    name: Spanned<String>,
    text: Option<String>,
    query: Option<Spanned<String>>,
    language: Option<Spanned<String>>,
    index: Option<Spanned<String>>,
    window: Option<Spanned<Span>>,
    group_by: Option<Spanned<String>>,
    above: Option<u64>,
    below: Option<u64>,
    absent: Option<Span>,
    times_usual: Option<f64>,
    usual: Option<Span>,
    at_least: Option<u64>,
    disk_full_within: Option<Span>,
    #[serde(rename = "for")]
    hold: Option<Span>,
    level: Level,
    #[serde(default)]
    to: Vec<Spanned<String>>,
    repeat: Option<Span>,
    #[serde(default)]
    disabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReceiver {
    name: Spanned<String>,
    kind: Kind,
    url: Option<Spanned<String>>,
    /// For URLs that are secrets, as Slack's are.
    url_file: Option<Spanned<PathBuf>>,
    user: Option<String>,
    password_file: Option<Spanned<PathBuf>>,
    token_file: Option<Spanned<PathBuf>>,
    ca: Option<PathBuf>,
    from: Option<String>,
    #[serde(default)]
    to: Vec<String>,
}

/// One file's text, to find places in.
struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn mistake(&self, span: Range<usize>, problem: impl Into<String>, hint: impl Into<String>) -> Mistake {
        let start = span.start.min(self.text.len());
        let begin = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[..start].matches('\n').count() + 1;
        let source_line = self.text[begin..].lines().next().unwrap_or("").to_owned();
        let column = self.text[begin..start].chars().count() + 1;
        let (problem, hint) = (problem.into(), hint.into());
        Mistake { file: self.name.to_owned(), line, column, source_line, problem, hint }
    }
}

/// The TOML files that these files and folders are, in order of name.
fn list(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Mistake> {
    let mut files = Vec::new();
    for path in paths {
        let failed = |error: std::io::Error| Mistake {
            file: path.display().to_string(),
            line: 0,
            column: 0,
            source_line: String::new(),
            problem: format!("cannot be read: {error}"),
            hint: "`alerts` in [indexer] names files, or folders of .toml files".to_owned(),
        };
        if path.is_dir() {
            let mut inside = Vec::new();
            for entry in fs::read_dir(path).map_err(failed)? {
                let entry = entry.map_err(failed)?.path();
                if entry.extension().is_some_and(|extension| extension == "toml") {
                    inside.push(entry);
                }
            }
            inside.sort();
            files.extend(inside);
        } else {
            let size = fs::metadata(path).map_err(failed)?.len();
            if size > FILE_BYTES_MAX {
                return Err(failed(std::io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes"))));
            }
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn stamps(files: &[PathBuf]) -> Vec<(PathBuf, Option<SystemTime>)> {
    files.iter().map(|path| (path.clone(), path.metadata().and_then(|data| data.modified()).ok())).collect()
}

/// Reads the files, and the built-in rules behind them.
///
/// # Errors
/// Every mistake.
pub fn load(paths: &[PathBuf], builtin: bool) -> Result<Loaded, Vec<Mistake>> {
    let files = list(paths).map_err(|mistake| vec![mistake])?;
    let seen = stamps(&files);
    let mut loaded = Loaded { rules: Vec::new(), receivers: Vec::new(), seen };
    let (mut mistakes, mut disabled, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
    for path in &files {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => {
                let source = Source { name: &name, text: &text };
                read(&source, &mut loaded, &mut disabled, &mut wanted, &mut mistakes);
            }
            Err(error) => {
                let source = Source { name: &name, text: "" };
                mistakes.push(Mistake { line: 0, ..source.mistake(0..0, format!("cannot be read: {error}"), "") });
            }
        }
    }
    for mistake in wanted {
        let (name, mistake): (String, Mistake) = mistake;
        if !loaded.receivers.iter().any(|receiver| receiver.name == name) {
            mistakes.push(mistake);
        }
    }
    if builtin {
        let mut own = Loaded { rules: Vec::new(), receivers: Vec::new(), seen: Vec::new() };
        let source = Source { name: "built-in rules", text: BUILTIN };
        read(&source, &mut own, &mut Vec::new(), &mut Vec::new(), &mut mistakes);
        let taken = |rule: &Rule| disabled.contains(&rule.name) || loaded.rules.iter().any(|own| own.name == rule.name);
        own.rules.retain(|rule| !taken(rule));
        loaded.rules.append(&mut own.rules);
    }
    if loaded.rules.len() > RULES_MAX || loaded.receivers.len() > RECEIVERS_MAX {
        let problem = format!("more than {RULES_MAX} rules or {RECEIVERS_MAX} receivers");
        let source = Source { name: "alerts", text: "" };
        mistakes
            .push(Mistake { line: 0, ..source.mistake(0..0, problem, "each rule costs a search at every evaluation") });
    }
    if mistakes.is_empty() { Ok(loaded) } else { Err(mistakes) }
}

fn read(
    source: &Source<'_>,
    loaded: &mut Loaded,
    disabled: &mut Vec<String>,
    wanted: &mut Vec<(String, Mistake)>,
    mistakes: &mut Vec<Mistake>,
) {
    let raw: RawFile = match toml::from_str(source.text) {
        Ok(raw) => raw,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            mistakes.push(source.mistake(span, error.message(), "docs/alerts.md lists every key"));
            return;
        }
    };
    for raw in raw.rule {
        let (span, raw) = (raw.span(), raw.into_inner());
        for to in &raw.to {
            let hint = "receivers are [[receiver]] tables in any of the files";
            let problem = format!("there is no receiver {:?}", to.get_ref());
            wanted.push((to.get_ref().clone(), source.mistake(to.span(), problem, hint)));
        }
        if raw.disabled {
            disabled.push(raw.name.into_inner());
            continue;
        }
        if loaded.rules.iter().any(|rule| rule.name == *raw.name.get_ref()) {
            mistakes.push(source.mistake(raw.name.span(), "there is a rule of this name already", "names are unique"));
            continue;
        }
        match rule(source, span, raw) {
            Ok(rule) => loaded.rules.push(rule),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    for raw in raw.receiver {
        let (span, raw) = (raw.span(), raw.into_inner());
        if loaded.receivers.iter().any(|receiver| receiver.name == *raw.name.get_ref()) {
            mistakes.push(source.mistake(
                raw.name.span(),
                "there is a receiver of this name already",
                "names are unique",
            ));
            continue;
        }
        match receiver(source, span, raw) {
            Ok(receiver) => loaded.receivers.push(receiver),
            Err(mistake) => mistakes.push(mistake),
        }
    }
}

fn rule(source: &Source<'_>, span: Range<usize>, raw: RawRule) -> Result<Rule, Mistake> {
    let whens = [
        raw.above.map(When::Above),
        raw.below.map(When::Below),
        raw.absent.map(|span| When::Absent(span.get())),
        raw.times_usual.map(|times| When::TimesUsual {
            times,
            usual: raw.usual.map_or(Duration::from_secs(86_400), Span::get),
            at_least: raw.at_least.unwrap_or(10),
        }),
        raw.disk_full_within.map(|span| When::DiskFullWithin(span.get())),
    ];
    let mut whens = whens.into_iter().flatten();
    let (Some(when), None) = (whens.next(), whens.next()) else {
        let problem = "a rule says exactly once when it is an alert";
        return Err(source.mistake(span, problem, "above, below, absent, times_usual or disk_full_within"));
    };
    if !matches!(when, When::TimesUsual { .. }) && (raw.usual.is_some() || raw.at_least.is_some()) {
        return Err(source.mistake(span, "usual and at_least go with times_usual", "take them out"));
    }
    let window_span = raw.window.as_ref().map_or(span.clone(), Spanned::span);
    let window = raw.window.map_or(Duration::from_secs(300), |window| window.into_inner().get());
    if window < Duration::from_secs(10) || window > WINDOW_MAX {
        return Err(source.mistake(window_span, "a window is between 10s and 7d", ""));
    }
    match &when {
        When::Absent(absent) if *absent < Duration::from_secs(10) || *absent * 2 > window => {
            let hint = "a group must have written all through the window before its silence means something";
            return Err(source.mistake(span, "absent is at least 10s, and at most half of the window", hint));
        }
        When::Absent(_) if raw.group_by.is_none() => {
            return Err(source.mistake(
                span,
                "absent needs group_by",
                "to know that no line comes at all, say below = 1",
            ));
        }
        When::Below(_) if raw.group_by.is_some() => {
            let hint = "a group that writes nothing is not there to be counted: say absent";
            return Err(source.mistake(span, "below does not go with group_by", hint));
        }
        When::TimesUsual { times, usual, .. } if *times <= 1.0 || *usual < window || *usual > WINDOW_MAX => {
            let problem = "times_usual is more than 1, and usual between the window and 7d";
            return Err(source.mistake(span, problem, ""));
        }
        _ => {}
    }
    let lucene = match raw.language.as_ref().map(|language| (language.get_ref().as_str(), language.span())) {
        None | Some(("kql", _)) => false,
        Some(("lucene", _)) => true,
        Some((other, span)) => {
            return Err(source.mistake(span, format!("{other:?} is no language"), "kql or lucene"));
        }
    };
    let query = match &raw.query {
        None if matches!(when, When::DiskFullWithin(_)) => Query::all(),
        None => return Err(source.mistake(span, "a rule needs a query", "query = \"\" for every line")),
        Some(text) if text.get_ref().trim().is_empty() => Query::all(),
        Some(text) => {
            let parsed = if lucene { dsl::from_uri(text.get_ref(), &[]) } else { kql::parse(text.get_ref()) };
            parsed.map_err(|refusal| {
                let hint =
                    if lucene { "Lucene's syntax" } else { "KQL; say language = \"lucene\" for Lucene's syntax" };
                source.mistake(text.span(), format!("the query cannot be read: {}", refusal.reason), hint)
            })?
        }
    };
    let json = match raw.query.as_ref().map(|text| text.get_ref()).filter(|text| !text.trim().is_empty()) {
        None => json!({"match_all": {}}),
        Some(text) if lucene => json!({"query_string": {"query": text}}),
        Some(text) => json!({"kql": {"query": text}}),
    };
    let name = raw.name.into_inner();
    Ok(Rule {
        text: raw.text.unwrap_or_else(|| format!("{name}: {{value}} {{group}} {{sample}}")),
        name,
        query,
        json,
        index: raw.index.map_or_else(|| "logs-weir".to_owned(), Spanned::into_inner),
        window,
        group_by: raw.group_by.map(Spanned::into_inner),
        when,
        hold: raw.hold.map_or(Duration::ZERO, Span::get),
        level: raw.level,
        to: raw.to.into_iter().map(Spanned::into_inner).collect(),
        repeat: raw.repeat.map_or(REPEAT, Span::get).max(Duration::from_secs(60)),
    })
}

fn receiver(source: &Source<'_>, span: Range<usize>, raw: RawReceiver) -> Result<Receiver, Mistake> {
    let secret = |path: &Spanned<PathBuf>| read_secret(source, path);
    let (url, url_span) = match (&raw.url, &raw.url_file) {
        (Some(url), None) => (url.get_ref().clone(), url.span()),
        (None, Some(path)) => (secret(path)?, path.span()),
        _ => return Err(source.mistake(span, "a receiver needs url, or url_file with the URL in it", "one of them")),
    };
    let receiver = Receiver {
        name: raw.name.into_inner(),
        kind: raw.kind,
        url,
        user: raw.user.unwrap_or_default(),
        password: raw.password_file.as_ref().map(secret).transpose()?.unwrap_or_default(),
        token: raw.token_file.as_ref().map(secret).transpose()?.unwrap_or_default(),
        ca: raw.ca,
        from: raw.from.unwrap_or_default(),
        to: raw.to,
    };
    receiver.check().map_err(|(problem, hint)| source.mistake(url_span, problem, hint))?;
    Ok(receiver)
}

fn read_secret(source: &Source<'_>, path: &Spanned<PathBuf>) -> Result<String, Mistake> {
    let file: &Path = path.get_ref();
    let text = fs::read_to_string(file)
        .map_err(|error| source.mistake(path.span(), format!("{} cannot be read: {error}", file.display()), ""))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<Mistake> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        fs::write(&path, text).unwrap();
        load(&[path], false).err().unwrap_or_default()
    }

    #[test]
    fn the_built_in_rules_are_right_and_can_be_replaced() {
        let loaded = load(&[], true).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let names: Vec<&str> = loaded.rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["node silent", "disk fills", "indexer disk fills", "dead letters", "errors rise"]);
        let folder = tempfile::tempdir().unwrap();
        let own = "[[rule]]\nname = \"dead letters\"\nlevel = \"info\"\nquery = \"\"\nabove = 5\n\
                   [[rule]]\nname = \"node silent\"\nlevel = \"info\"\ndisabled = true\n";
        fs::write(folder.path().join("own.toml"), own).unwrap();
        let paths = [folder.path().to_owned()];
        let loaded = load(&paths, true).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        assert_eq!(loaded.rules.len(), 4);
        assert_eq!(loaded.rules[0].when, When::Above(5));
        assert!(loaded.is_current(&paths));
        fs::write(folder.path().join("more.toml"), "").unwrap();
        assert!(!loaded.is_current(&paths));
    }

    #[test]
    fn mistakes_have_a_place_and_a_hint() {
        let good = "[[rule]]\nname = \"a\"\nlevel = \"info\"\nquery = \"x\"\n";
        for (text, line, column, says) in [
            (format!("{good}above = 1\nwindw = \"5m\"\n"), 6, 1, "windw"),
            (good.to_owned(), 1, 1, "exactly once"),
            (format!("{good}above = 1\nbelow = 1\n"), 1, 1, "exactly once"),
            (good.replace("\"x\"", "'a : (b'") + "above = 1\n", 4, 9, "cannot be read"),
            (good.replace("info", "bad") + "above = 1\n", 3, 9, "bad"),
            (format!("{good}above = 1\nto = [\"nobody\"]\n"), 6, 7, "no receiver"),
            (format!("{good}below = 1\ngroup_by = \"host.name\"\n"), 1, 1, "does not go with"),
            (format!("{good}above = 1\nwindow = \"8d\"\n"), 6, 10, "between 10s and 7d"),
            ("[[receiver]]\nname = \"m\"\nkind = \"smtp\"\nurl = \"http://x\"\n".to_owned(), 4, 7, "smtp"),
            ("[[receiver]]\nname = \"m\"\nkind = \"pigeon\"\nurl = \"http://x\"\n".to_owned(), 3, 8, "pigeon"),
        ] {
            let found = mistakes(&text);
            let first = found.first().unwrap_or_else(|| panic!("nothing is wrong with {text}"));
            assert_eq!((first.line, first.column), (line, column), "{first}");
            assert!(first.problem.contains(says), "{first}");
        }
        let shown = mistakes(&format!("{good}above = 1\nlanguage = \"sql\"\n"))[0].to_string();
        assert!(shown.contains("rules.toml:6:12:") && shown.contains("hint: kql or lucene"), "{shown}");
    }
}
