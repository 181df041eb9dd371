//! `grok`: takes a text apart with named patterns.

mod expand;
mod layout;
mod library;

use std::cell::RefCell;
use std::sync::Arc;

use super::json::tags_on_failure;
use super::mutate::convert::{Kind, short_integer};
use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Text, Value, ValueRef};
use crate::pipeline::ast::Literal;
use crate::pipeline::options::{Ecs, Options, Placed, scalar};
use crate::pipeline::pattern::Pattern;
use crate::pipeline::pattern::engine::{Cache, Engine, Verdict};
use expand::{Capture, Expanded, expand};
use layout::{Found, Layout};
use library::Library;

/// A pattern file larger than this is not one, in bytes.
const PATTERN_FILE_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug)]
struct Grok {
    matches: Vec<(FieldPath, Vec<Matcher>)>,
    break_on_match: bool,
    keep_empty: bool,
    overwrite: Vec<FieldPath>,
    tags: Vec<String>,
    timeout_tags: Vec<String>,
}

/// One pattern, compiled.
#[derive(Debug)]
struct Matcher {
    engine: Engine,
    /// Fields of the groups by their number; groups without a name are not kept.
    captures: Vec<Target>,
    /// The objects that the fields make where none of them is there before.
    layout: Option<Layout>,
}

/// Where a group goes, and as what.
type Target = Option<(FieldPath, Option<Kind>)>;

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let before = options.diagnostics.len();
    let mut library = Library::standard(options.ecs() == Ecs::Disabled);
    own_patterns(options, &mut library);
    let named_only = options.bool("named_captures_only", true);
    let target = options.field("target");
    let mut matches: Vec<(FieldPath, Vec<Matcher>)> = Vec::new();
    if !options.has("match") {
        let span = options.span();
        options.error(
            span,
            "`grok` needs the option `match`",
            "write `match => { \"message\" => \"%{PATTERN:field}\" }`",
        );
    }
    for (field, value) in options.pairs("match") {
        let texts: Option<Vec<Placed>> = match &value.literal {
            Literal::Array(items) => {
                items.iter().map(|item| scalar(item).map(|text| (text, item.span.clone()))).collect()
            }
            _ => scalar(value).map(|text| vec![(text, value.span.clone())]),
        };
        let Some(texts) = texts else {
            options.error(&value.span, "`match` takes a pattern, or a list of them, for each field", "");
            continue;
        };
        let mut compiled = Vec::new();
        for (text, span) in &texts {
            match matcher(text, &library, named_only, target.as_ref()) {
                Ok(matcher) => compiled.push(matcher),
                Err((problem, hint)) => options.error(span, problem, hint),
            }
        }
        if let Some(path) = options.path(&field) {
            matches.push((path, compiled));
        }
    }
    let break_on_match = options.bool("break_on_match", true);
    let keep_empty = options.bool("keep_empty_captures", false);
    let overwrite: Vec<Placed> = options.list("overwrite");
    let overwrite = overwrite.iter().filter_map(|placed| options.path(placed)).collect();
    let tags = tags_on_failure(options, "_grokparsefailure");
    let timeout_tags = if options.has("tag_on_timeout") {
        options.list("tag_on_timeout").into_iter().map(|(tag, _)| tag).collect()
    } else {
        options.list("tag_on_timeout");
        vec!["_groktimeout".to_owned()]
    };
    // Matching takes linear time here, so that there is nothing to limit; the options are taken for the files' sake.
    options.whole("timeout_millis");
    options.choice("timeout_scope", &["pattern", "event"], "pattern");
    let right = options.diagnostics.len() == before;
    right.then(|| {
        Box::new(Grok { matches, break_on_match, keep_empty, overwrite, tags, timeout_tags }) as Box<dyn Filter>
    })
}

/// An expression in which named patterns may stand, to be looked for: `^%{TIMESTAMP_ISO8601}`. Patterns of one's own
/// come from the same options as those of `grok`.
pub(crate) fn pattern(options: &mut Options<'_>, text: &str) -> Result<Pattern, Refused> {
    let mut library = Library::standard(true);
    own_patterns(options, &mut library);
    let expanded = expand(text, &library, true)?;
    Pattern::new(&expanded.regex).map_err(|error| (error.to_string(), String::new()))
}

fn own_patterns(options: &mut Options<'_>, library: &mut Library) {
    let glob = options.text("patterns_files_glob").map_or_else(|| "*".to_owned(), |(glob, _)| glob);
    for (dir, span) in options.list("patterns_dir") {
        if let Err(error) = read_patterns(std::path::Path::new(&dir), &glob, library) {
            options.error(&span, format!("cannot read the patterns in {dir}: {error}"), "");
        }
    }
    for ((name, _), (text, _)) in options.text_pairs("pattern_definitions") {
        library.add(&name, &text);
    }
}

fn read_patterns(path: &std::path::Path, glob: &str, library: &mut Library) -> std::io::Result<()> {
    let mut files = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            let file = entry?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if file.is_file() && fits(glob, &name) {
                files.push(file);
            }
        }
        files.sort();
    } else {
        files.push(path.to_owned());
    }
    for file in files {
        if std::fs::metadata(&file)?.len() > PATTERN_FILE_BYTES_MAX {
            return Err(std::io::Error::other(format!(
                "{} is larger than {PATTERN_FILE_BYTES_MAX} bytes",
                file.display()
            )));
        }
        library.add_text(&std::fs::read_to_string(&file)?);
    }
    Ok(())
}

/// Whether a name fits a glob with `*` and `?`.
fn fits(glob: &str, name: &str) -> bool {
    match (glob.chars().next(), name.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            fits(&glob[1..], name) || name.chars().next().is_some_and(|first| fits(glob, &name[first.len_utf8()..]))
        }
        (Some('?'), Some(first)) => fits(&glob[1..], &name[first.len_utf8()..]),
        (Some(wanted), Some(first)) if wanted == first => fits(&glob[wanted.len_utf8()..], &name[first.len_utf8()..]),
        _ => false,
    }
}

/// Why a pattern is refused, and what to do.
pub(crate) type Refused = (String, String);

fn matcher(text: &str, library: &Library, named_only: bool, target: Option<&FieldPath>) -> Result<Matcher, Refused> {
    let Expanded { regex, captures } = expand(text, library, named_only)?;
    let parsed = crate::pipeline::pattern::syntax::parse(&regex).map_err(|error| (error.to_string(), String::new()))?;
    let mut paths = Vec::new();
    for name in &parsed.names {
        let Some(name) = name.as_deref() else {
            paths.push(None);
            continue;
        };
        let capture = captures.iter().find(|capture| capture.group == name);
        let own = Capture { group: String::new(), field: name.to_owned(), kind: None };
        let Capture { field, kind, .. } = capture.unwrap_or(&own);
        let path = FieldPath::parse(field).map_err(|error| (error.to_string(), String::new()))?;
        let kind = match kind.as_deref() {
            None | Some("string") => None,
            Some("int") => Some(Kind::Integer),
            Some("float") => Some(Kind::Float),
            Some(other) => {
                return Err((format!("`{other}` is no type for a capture"), "there are int and float".to_owned()));
            }
        };
        let path = target.map_or_else(|| path.clone(), |target| path.below(target));
        paths.push(Some((path.lasting(), kind)));
    }
    let engine = Engine::new(&parsed).map_err(|error| (error.to_string(), String::new()))?;
    let layout = Layout::of(&paths);
    Ok(Matcher { engine, captures: paths, layout })
}

impl Grok {
    /// Tries the patterns of one field on one text.
    fn try_text(&self, event: &mut Event, matchers: &[Matcher], text: &Text, gave_up: &mut bool) -> bool {
        let mut matched = false;
        for matcher in matchers {
            let verdict = CACHE.with_borrow_mut(|cache| {
                let verdict = matcher.engine.find(text, 0, cache);
                if verdict == Verdict::Match {
                    let part = |index| {
                        let (start, end) = cache.capture(index).filter(|(start, end)| start < end)?;
                        Some(&text[start..end])
                    };
                    let found = Found { text, keep_empty: self.keep_empty, part };
                    match &matcher.layout {
                        Some(layout) if layout.is_free(event) => layout.put(event, &found),
                        _ => {
                            for (index, field) in matcher.captures.iter().enumerate() {
                                let Some((path, kind)) = field else { continue };
                                if let Some(value) = found.value(index, *kind) {
                                    self.put(event, path, value);
                                }
                            }
                        }
                    }
                }
                verdict
            });
            *gave_up |= verdict == Verdict::GaveUp;
            if verdict == Verdict::Match {
                matched = true;
                if self.break_on_match {
                    break;
                }
            }
        }
        matched
    }

    fn put(&self, event: &mut Event, path: &FieldPath, value: Value) {
        if self.overwrite.contains(path) {
            event.set(path, value);
            return;
        }
        match event.get(path) {
            None | Some(ValueRef::Null) => {
                event.set(path, value);
            }
            Some(ValueRef::Array(items)) => {
                let mut items = items.to_vec();
                items.push(value);
                event.set(path, Value::Array(items));
            }
            Some(ValueRef::Text(old)) => {
                let both = Value::Array(vec![Value::Text(old.clone()), value]);
                event.set(path, both);
            }
            Some(_) => {}
        }
    }
}

/// What a group that matched this part of `text` becomes.
#[inline]
fn value(text: &Text, part: &str, kind: Option<Kind>) -> Value {
    let cut = || Value::Text(text.slice_ref(part));
    match kind {
        None => cut(),
        // What grok finds are mostly a few digits.
        Some(Kind::Integer) => short_integer(part).map_or_else(|| Kind::Integer.convert(cut()), Value::Int),
        Some(kind) => kind.convert(cut()),
    }
}

impl Filter for Grok {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let (mut matched, mut gave_up) = (false, false);
        for (field, matchers) in &self.matches {
            let found = match event.get(field) {
                None | Some(ValueRef::Null) => false,
                Some(ValueRef::Array(items)) => {
                    let texts: Vec<Text> = items.iter().map(Value::to_text).collect();
                    let mut any = false;
                    for text in &texts {
                        any |= self.try_text(event, matchers, text, &mut gave_up);
                    }
                    any
                }
                Some(value) => {
                    let text = value.to_text();
                    self.try_text(event, matchers, &text, &mut gave_up)
                }
            };
            matched |= found;
            if found && self.break_on_match {
                break;
            }
        }
        if matched {
            return Outcome::Matched;
        }
        for tag in if gave_up { &self.timeout_tags } else { &self.tags } {
            if !tag.is_empty() {
                event.add_tag(tag.as_str());
            }
        }
        Outcome::Failed
    }
}

/// The standard patterns of one mode, made once for all filters.
pub(super) type Shared = Arc<std::collections::HashMap<String, String>>;
