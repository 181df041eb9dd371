//! The indices by name, aliases, templates, and how an index expression in a request is read.
//!
//! Templates and the id of the data folder are in `cluster.json`: `weir-cluster 1 <crc32 hex of the rest>` on the first
//! line and JSON behind it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value, json};
use weir_daemon::files::write_durably;

use super::index::Index;
use super::view::Choice;
use crate::error::{Error, Result};
use crate::mapping::wildcard;

/// Most indices. Each one keeps a folder, a mapping and readers open; a client with a typo in a loop must not fill memory.
pub const INDICES_MAX: usize = 1_000;
/// Most templates.
const TEMPLATES_MAX: usize = 500;

/// See the top of the file.
pub(crate) struct Catalog {
    path: PathBuf,
    uuid: String,
    indices: RwLock<BTreeMap<Arc<str>, Arc<Index>>>,
    templates: RwLock<Map<String, Value>>,
    legacy: RwLock<Map<String, Value>>,
}

/// An index that an expression names, and what its documents must fit where it is named by filtered aliases alone.
#[derive(Clone)]
pub struct Chosen {
    /// The index.
    pub index: Arc<Index>,
    /// A query of Elasticsearch's DSL.
    pub filter: Option<Value>,
}

/// An index while an expression is read: `whole` when something names it without a filter.
struct Named {
    index: Arc<Index>,
    whole: bool,
    filters: Vec<Value>,
}

impl Named {
    fn chosen(mut self) -> Chosen {
        let filter = match self.filters.len() {
            _ if self.whole => None,
            1 => self.filters.pop(),
            _ => Some(json!({"bool": {"should": self.filters}})),
        };
        Chosen { index: self.index, filter }
    }
}

/// The two kinds of index templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Templates {
    /// `_index_template`: the one with the highest priority counts.
    Composable,
    /// `_template`: all that fit count, in growing order; none does where a composable one fits.
    Legacy,
}

impl Catalog {
    /// Reads `cluster.json`, or starts anew.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn open(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("cluster.json");
        let known = match std::fs::read_to_string(&path) {
            Ok(text) => read(&text).or_else(|| {
                tracing::error!(file = %path.display(), "cluster.json is damaged; index templates are lost");
                None
            }),
            Err(_) => None,
        };
        let uuid = known.as_ref().and_then(|known| known.get("uuid")?.as_str()).map(str::to_owned);
        let templates = known.as_ref().and_then(|known| known.get("templates")?.as_object()).cloned();
        let legacy = known.as_ref().and_then(|known| known.get("legacy_templates")?.as_object()).cloned();
        let is_new = uuid.is_none();
        let fresh = || {
            crate::base64::encode_url(&[super::id::fresh().to_be_bytes(), super::id::fresh().to_be_bytes()].concat())
        };
        let catalog = Self {
            path,
            uuid: uuid.unwrap_or_else(fresh),
            indices: RwLock::default(),
            templates: RwLock::new(templates.unwrap_or_default()),
            legacy: RwLock::new(legacy.unwrap_or_default()),
        };
        if is_new {
            catalog.save()?;
        }
        Ok(catalog)
    }

    fn save(&self) -> std::io::Result<()> {
        let (templates, legacy) = (self.templates(), self.legacy_templates());
        let body = json!({"uuid": self.uuid, "templates": templates, "legacy_templates": legacy}).to_string();
        let text = format!("weir-cluster 1 {:08x}\n{body}\n", crc32fast::hash(body.as_bytes()));
        write_durably(&self.path, text.as_bytes())
    }

    pub(crate) fn uuid(&self) -> &str {
        &self.uuid
    }

    pub(crate) fn all(&self) -> Vec<Arc<Index>> {
        self.indices.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Index>> {
        self.indices.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn insert(&self, index: Arc<Index>) {
        self.indices.write().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(&index.name), index);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.indices.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// The one index that writes to `name` go to: of that name, or behind an alias of that name.
    ///
    /// # Errors
    /// 400 when the alias stands for several and none is its write index.
    pub(crate) fn write_target(&self, name: &str) -> Result<Option<Arc<Index>>> {
        if let Some(index) = self.get(name) {
            return Ok(Some(index));
        }
        let behind: Vec<Arc<Index>> = self.all().into_iter().filter(|index| index.has_alias(name)).collect();
        let chosen = behind.iter().find(|index| {
            index.aliases().get(name).and_then(|options| options.get("is_write_index")) == Some(&json!(true))
        });
        match (chosen, behind.as_slice()) {
            (Some(index), _) => Ok(Some(Arc::clone(index))),
            (None, []) => Ok(None),
            (None, [one]) => Ok(Some(Arc::clone(one))),
            (None, _) => Err(Error::illegal_argument(format!(
                "no write index is defined for alias [{name}]. The write index may be explicitly disabled using is_write_index=false or the alias points to multiple indices without one being designated as a write index"
            ))),
        }
    }

    /// The indices that an expression names, by name.
    ///
    /// # Errors
    /// 404 for a missing one, unless `choice` allows it; 400 for date math that cannot be read.
    pub(crate) fn resolve(&self, expression: &str, choice: Choice, now_ms: u64) -> Result<Vec<Chosen>> {
        let all = self.all();
        let mut chosen: BTreeMap<Arc<str>, Named> = BTreeMap::new();
        let mut patterns_before = false;
        let parts: Vec<&str> = split(expression);
        for (n, part) in parts.iter().enumerate() {
            let part = part.trim();
            let taken_away = part.strip_prefix('-').filter(|_| n > 0 && patterns_before);
            let part = date_math(taken_away.unwrap_or(part), now_ms)?;
            let every = part.is_empty() || part == "_all";
            if part.starts_with('_') && !every {
                let reason = format!("Invalid index name [{part}], must not start with '_'.");
                return Err(Error::new(400, "invalid_index_name_exception", reason).with("index", json!(part)));
            }
            let is_pattern = every || part.contains('*');
            let fits = |index: &Arc<Index>| -> Option<Named> {
                let is_named = if is_pattern { wildcard(&part, &index.name) } else { *index.name == *part };
                let mut named = Named { index: Arc::clone(index), whole: every || is_named, filters: Vec::new() };
                let mut found = named.whole;
                for (_, options) in index.aliases().iter().filter(|(alias, _)| wildcard(&part, alias)) {
                    found = true;
                    match options.get("filter") {
                        Some(filter) => named.filters.push(filter.clone()),
                        None => named.whole = true,
                    }
                }
                found.then_some(named)
            };
            if taken_away.is_some() {
                chosen.retain(|_, named| fits(&named.index).is_none());
                continue;
            }
            patterns_before |= is_pattern;
            let mut found = false;
            for named in all.iter().filter_map(fits) {
                found = true;
                match chosen.get_mut(&named.index.name) {
                    Some(known) => {
                        known.whole |= named.whole;
                        known.filters.extend(named.filters);
                    }
                    None => _ = chosen.insert(Arc::clone(&named.index.name), named),
                }
            }
            let missing = !found && if is_pattern { !choice.allow_no_indices } else { !choice.ignore_unavailable };
            if missing {
                return Err(Error::index_not_found(&part));
            }
        }
        if chosen.is_empty() && !choice.allow_no_indices && !choice.ignore_unavailable {
            return Err(Error::index_not_found(expression));
        }
        Ok(chosen.into_values().map(Named::chosen).collect())
    }

    pub(crate) fn templates(&self) -> Map<String, Value> {
        self.templates.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn legacy_templates(&self) -> Map<String, Value> {
        self.legacy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets or removes a template, durably. False when there was none to remove.
    ///
    /// # Errors
    /// 400 past the limit, 500 when it cannot be saved.
    pub(crate) fn set_template(&self, kind: Templates, name: &str, template: Option<Value>) -> Result<bool> {
        let held = if kind == Templates::Composable { &self.templates } else { &self.legacy };
        let changed = {
            let mut templates = held.write().unwrap_or_else(PoisonError::into_inner);
            match template {
                Some(_) if templates.len() >= TEMPLATES_MAX && !templates.contains_key(name) => {
                    return Err(Error::illegal_argument(format!(
                        "there can be no more than {TEMPLATES_MAX} templates"
                    )));
                }
                Some(template) => {
                    templates.insert(name.to_owned(), template);
                    true
                }
                None => templates.remove(name).is_some(),
            }
        };
        self.save()?;
        Ok(changed)
    }

    /// What templates say of a new index of that name (`settings`, `mappings`, `aliases`), the more important last: the
    /// composable one with the highest priority, else those of the older kind in growing order.
    pub(crate) fn templates_for(&self, name: &str) -> Vec<Value> {
        let templates = self.templates();
        let fitting = templates.values().filter(|template| fits(template, name));
        if let Some(best) = fitting.max_by_key(|template| number(template, "priority")) {
            return best.get("template").cloned().into_iter().collect();
        }
        let mut legacy: Vec<Value> =
            self.legacy_templates().into_iter().map(|(_, template)| template).filter(|t| fits(t, name)).collect();
        legacy.sort_by_key(|template| number(template, "order"));
        legacy
    }
}

fn number(template: &Value, key: &str) -> i64 {
    template.get(key).and_then(Value::as_i64).unwrap_or(0)
}

fn fits(template: &Value, name: &str) -> bool {
    match template.get("index_patterns") {
        Some(Value::String(pattern)) => wildcard(pattern, name),
        Some(Value::Array(patterns)) => {
            patterns.iter().filter_map(Value::as_str).any(|pattern| wildcard(pattern, name))
        }
        _ => false,
    }
}

fn read(text: &str) -> Option<Value> {
    let (head, body) = text.split_once('\n')?;
    let body = body.trim_end_matches('\n');
    let crc = head.strip_prefix("weir-cluster 1 ")?;
    if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(body.as_bytes()) {
        return None;
    }
    serde_json::from_str(body).ok()
}

/// Splits at commas outside of `<…>`.
pub(super) fn split(expression: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in expression.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            ',' if depth <= 0 => {
                parts.push(&expression[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&expression[from..]);
    parts
}

/// Date math in a name: `<logs-{now/d-1d{yyyy.MM.dd}}>`. Any other name comes back as it is.
pub(crate) fn date_math(name: &str, now_ms: u64) -> Result<String> {
    let Some(inner) = name.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) else {
        return Ok(name.to_owned());
    };
    let wrong = |what: &str| Error::illegal_argument(format!("invalid dynamic name expression [{inner}]: {what}"));
    let mut out = String::new();
    let mut rest = inner;
    while let Some((before, behind)) = rest.split_once('{') {
        out.push_str(before);
        let mut depth = 1;
        let end = behind.find(|c| {
            depth += match c {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            depth == 0
        });
        let end = end.ok_or_else(|| wrong("date math placeholder is open ended"))?;
        let (math, format) = match behind[..end].split_once('{') {
            Some((math, format)) => (math, format.trim_end_matches('}')),
            None => (&behind[..end], "uuuu.MM.dd"),
        };
        let format = format.split_once('|').map_or(format, |(format, _zone)| format);
        let moment = moment(math, now_ms).ok_or_else(|| wrong("cannot be read as now with +, - and /"))?;
        out.push_str(&render(format, moment));
        rest = &behind[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// `now` or `2026-11-20||`, then any of `+1d`, `-2h`, `/d`.
fn moment(math: &str, now_ms: u64) -> Option<jiff::civil::DateTime> {
    let now = jiff::Timestamp::from_millisecond(i64::try_from(now_ms).ok()?).ok()?;
    let at = now.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let (mut at, mut rest) = match math.strip_prefix("now") {
        Some(rest) => (at, rest),
        None => {
            let (day, rest) = math.split_once("||")?;
            (day.parse::<jiff::civil::Date>().ok()?.into(), rest)
        }
    };
    while !rest.is_empty() {
        let (operator, tail) = rest.split_at(1);
        let len = tail.bytes().take_while(u8::is_ascii_digit).count();
        let count: i64 = if len == 0 { 1 } else { tail[..len].parse().ok()? };
        let unit = tail[len..].chars().next()?;
        rest = &tail[len + 1..];
        let count = if operator == "-" { -count } else { count };
        let span = jiff::Span::new();
        let span = match unit {
            'y' => span.try_years(count).ok()?,
            'M' => span.try_months(count).ok()?,
            'w' => span.try_weeks(count).ok()?,
            'd' => span.try_days(count).ok()?,
            'h' | 'H' => span.try_hours(count).ok()?,
            'm' => span.try_minutes(count).ok()?,
            's' => span.try_seconds(count).ok()?,
            _ => return None,
        };
        at = match operator {
            "+" | "-" => at.checked_add(span).ok()?,
            "/" => {
                let date = at.date();
                match unit {
                    'y' => date.first_of_year().into(),
                    'M' => date.first_of_month().into(),
                    'w' => date
                        .checked_sub(jiff::Span::new().days(i64::from(date.weekday().to_monday_zero_offset())))
                        .ok()?
                        .into(),
                    'd' => date.into(),
                    'h' | 'H' => date.at(at.hour(), 0, 0, 0),
                    'm' => date.at(at.hour(), at.minute(), 0, 0),
                    _ => date.at(at.hour(), at.minute(), at.second(), 0),
                }
            }
            _ => return None,
        };
    }
    Some(at)
}

fn render(format: &str, at: jiff::civil::DateTime) -> String {
    let mut out = String::new();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut width = 1;
        while letter.is_ascii_alphabetic() && letters.next_if_eq(&letter).is_some() {
            width += 1;
        }
        let number = match letter {
            'y' | 'u' | 'Y' => i64::from(at.year()),
            'M' => i64::from(at.month()),
            'd' => i64::from(at.day()),
            'H' => i64::from(at.hour()),
            'm' => i64::from(at.minute()),
            's' => i64::from(at.second()),
            other => {
                out.push(other);
                continue;
            }
        };
        let number = if width == 2 && matches!(letter, 'y' | 'u') { number % 100 } else { number };
        out.push_str(&format!("{number:0width$}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_180_000_000; // 2026-11-20T13:06:40Z

    #[test]
    fn expressions() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(folder.path()).unwrap();
        for name in ["logs-a", "logs-b", "other"] {
            catalog.insert(Arc::new(Index::new(name, folder.path().to_owned(), 1, 0)));
        }
        catalog.get("other").unwrap().set_alias("logs-alias", Some(json!({})));
        let names = |expression: &str, choice: Choice| {
            let found = catalog.resolve(expression, choice, NOW)?;
            Ok::<_, Error>(found.iter().map(|one| one.index.name.to_string()).collect::<Vec<_>>().join(" "))
        };
        let usual = Choice::default();
        assert_eq!(names("_all", usual).unwrap(), "logs-a logs-b other");
        assert_eq!(names("logs-a,other", usual).unwrap(), "logs-a other");
        assert_eq!(names("logs-*,-logs-b", usual).unwrap(), "logs-a other");
        assert_eq!(names("logs-alias", usual).unwrap(), "other");
        assert_eq!(names("nothing", usual).unwrap_err().status, 404);
        assert_eq!(names("nothing*", usual).unwrap(), "");
        assert_eq!(names("nothing,logs-a", Choice { ignore_unavailable: true, ..usual }).unwrap(), "logs-a");
        assert!(names("nothing*", Choice { allow_no_indices: false, ..usual }).is_err());
        catalog.get("other").unwrap().set_alias("part", Some(json!({"filter": {"term": {"a": 1}}})));
        let filter = |expression: &str| catalog.resolve(expression, usual, NOW).unwrap().pop().unwrap().filter;
        assert_eq!(filter("part"), Some(json!({"term": {"a": 1}})));
        assert_eq!((filter("part,other"), filter("part,logs-alias"), filter("_all")), (None, None, None));
        assert_eq!(names("_x", usual).unwrap_err().status, 400);
        assert_eq!(catalog.write_target("logs-alias").unwrap().unwrap().name.as_ref(), "other");
        assert!(catalog.write_target("nothing").unwrap().is_none());
    }

    #[test]
    fn dates_in_names() {
        assert_eq!(date_math("<logs-{now/d}>", NOW).unwrap(), "logs-2026.11.20");
        assert_eq!(date_math("<logs-{now/M-1M{yyyy-MM}}-x>", NOW).unwrap(), "logs-2026-10-x");
        assert_eq!(date_math("<l-{now-1d{yy.MM.dd|+01:00}}>", NOW).unwrap(), "l-26.11.19");
        assert_eq!(date_math("<l-{2022-12-31||+1d/d{yyyy-MM-dd}}>", NOW).unwrap(), "l-2023-01-01");
        assert_eq!(date_math("plain", NOW).unwrap(), "plain");
        assert!(date_math("<l-{now>", NOW).is_err() && date_math("<l-{then}>", NOW).is_err());
        assert_eq!(split("a,<b-{now/d{a,b}}>,c").len(), 3);
    }

    #[test]
    fn templates_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(folder.path()).unwrap();
        let set = |kind, name: &str, template| catalog.set_template(kind, name, Some(template)).unwrap();
        set(Templates::Composable, "low", json!({"index_patterns": ["l*"], "template": {"n": 1}}));
        set(Templates::Composable, "high", json!({"index_patterns": ["logs-*"], "priority": 5, "template": {"n": 2}}));
        set(Templates::Legacy, "second", json!({"index_patterns": ["o*"], "order": 2}));
        set(Templates::Legacy, "first", json!({"index_patterns": ["*"], "order": 1}));
        let again = Catalog::open(folder.path()).unwrap();
        assert_eq!(again.uuid(), catalog.uuid());
        assert_eq!(again.templates_for("logs-x"), [json!({"n": 2})]);
        assert_eq!(again.templates_for("lx"), [json!({"n": 1})]);
        let orders: Vec<i64> = again.templates_for("other").iter().map(|t| number(t, "order")).collect();
        assert_eq!(orders, [1, 2]);
        let remove = |name| again.set_template(Templates::Composable, name, None).unwrap();
        assert!(remove("low") && !remove("low"));
    }
}
