//! Settings of an index that searches obey: limits with Elasticsearch's names and defaults, normalizers, refreshing.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::MappingError;

/// Limits of searches in one index, by its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `index.max_result_window`: hits that `from` and `size` reach.
    pub result_window: usize,
    /// `index.max_docvalue_fields_search`
    pub docvalue_fields: usize,
    /// `index.max_script_fields`
    pub script_fields: usize,
    /// `index.max_slices_per_scroll`
    pub slices: usize,
    /// `index.max_regex_length`, characters.
    pub regex_chars: usize,
    /// `index.max_terms_count`
    pub terms: usize,
    /// `index.highlight.max_analyzed_offset`, characters of one text.
    pub highlight_chars: usize,
    /// `index.refresh_interval: -1`: searches see what was accepted only after a refresh that somebody asked for.
    pub refresh_by_hand: bool,
    /// `index.number_of_shards`. There is one; with more, a document that was written with a routing value is found by
    /// its id only with a value that leads to the same shard.
    pub shards: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            result_window: 10_000,
            docvalue_fields: 100,
            script_fields: 32,
            slices: 1_024,
            regex_chars: 1_000,
            terms: 65_536,
            highlight_chars: 1_000_000,
            refresh_by_hand: false,
            shards: 1,
        }
    }
}

/// Highest value of any limit: beyond it, one request could ask for more memory than searches have in all.
const LIMIT_MAX: usize = 1_000_000;

impl Limits {
    /// Reads flat settings.
    ///
    /// # Errors
    /// For a value that is no number, or too large.
    pub(super) fn read(settings: &Map<String, Value>) -> Result<Self, MappingError> {
        let mut limits = Self::default();
        let number = |key: &str, most: usize| -> Result<Option<usize>, MappingError> {
            let Some(value) = settings.get(key) else { return Ok(None) };
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match text.parse::<usize>() {
                Ok(n) if (1..=most).contains(&n) => Ok(Some(n)),
                Ok(0) if key.ends_with("_fields") || key.ends_with("_fields_search") => Ok(Some(0)),
                _ => Err(MappingError::Conflict(format!(
                    "Failed to parse value [{text}] for setting [{key}] must be between 1 and {most}"
                ))),
            }
        };
        let take = |key: &str, limit: &mut usize| -> Result<(), MappingError> {
            if let Some(n) = number(key, LIMIT_MAX)? {
                *limit = n;
            }
            Ok(())
        };
        take("index.max_result_window", &mut limits.result_window)?;
        take("index.max_docvalue_fields_search", &mut limits.docvalue_fields)?;
        take("index.max_script_fields", &mut limits.script_fields)?;
        take("index.max_slices_per_scroll", &mut limits.slices)?;
        take("index.max_regex_length", &mut limits.regex_chars)?;
        take("index.max_terms_count", &mut limits.terms)?;
        take("index.highlight.max_analyzed_offset", &mut limits.highlight_chars)?;
        if let Some(shards) = number("index.number_of_shards", 1_024)? {
            limits.shards = shards as u32;
        }
        let interval = settings.get("index.refresh_interval");
        limits.refresh_by_hand = interval.is_some_and(|value| value == "-1" || value == -1);
        Ok(limits)
    }
}

/// Settings as given, nested or dotted, with or without `index.`: one flat map of dotted keys, all with `index.`. A null
/// stays, so that it can take a setting away.
pub fn flat(settings: &Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    flatten("", settings, &mut out);
    out
}

fn flatten(prefix: &str, settings: &Map<String, Value>, out: &mut Map<String, Value>) {
    for (key, value) in settings {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(inner) => flatten(&path, inner, out),
            other => {
                let path = if path.starts_with("index.") || path == "index" { path } else { format!("index.{path}") };
                out.insert(path, other.clone());
            }
        }
    }
}

/// The normalizers of flat settings, and whether they put values into lower case.
///
/// # Errors
/// When one has filters that weir does not have.
pub(super) fn normalizers(settings: &Map<String, Value>) -> Result<BTreeMap<String, bool>, MappingError> {
    let mut found = BTreeMap::from([("lowercase".to_owned(), true)]);
    for (key, value) in settings {
        let Some((name, option)) =
            key.strip_prefix("index.analysis.normalizer.").and_then(|rest| rest.rsplit_once('.'))
        else {
            continue;
        };
        let list: Vec<&str> = match value {
            Value::String(one) => vec![one],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let unknown = match option {
            "filter" => list.iter().find(|filter| **filter != "lowercase"),
            "char_filter" => list.first(),
            _ => None,
        };
        if let Some(unknown) = unknown {
            return Err(MappingError::Parsing(format!(
                "normalizer [{name}] with [{unknown}] is not supported; there is the filter [lowercase]"
            )));
        }
        *found.entry(name.to_owned()).or_default() |= option == "filter" && !list.is_empty();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_in_any_spelling() {
        let given = json!({"index": {"max_result_window": "20"}, "max_terms_count": 5, "index.refresh_interval": -1,
            "analysis": {"normalizer": {"low": {"type": "custom", "filter": ["lowercase"]}, "as_is": {"type": "custom"}}}});
        let flat = flat(given.as_object().unwrap());
        let limits = Limits::read(&flat).unwrap();
        assert_eq!((limits.result_window, limits.terms, limits.refresh_by_hand), (20, 5, true));
        let normalizers = normalizers(&flat).unwrap();
        assert_eq!((normalizers["low"], normalizers["as_is"]), (true, false));
        assert!(Limits::read(json!({"index.max_result_window": "x"}).as_object().unwrap()).is_err());
        assert!(
            super::normalizers(json!({"index.analysis.normalizer.a.filter": "asciifolding"}).as_object().unwrap())
                .is_err()
        );
    }
}
