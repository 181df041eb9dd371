//! `csv`: the columns of a line, quotes and all.

use std::sync::{Mutex, PoisonError};

use super::json::tags_on_failure;
use super::mutate::convert::{Kind, is_decimal};
use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Text, Value};
use crate::pipeline::options::Options;

#[derive(Debug)]
struct Csv {
    source: FieldPath,
    target: Option<FieldPath>,
    /// Names of columns; behind a lock as the first line may bring them.
    columns: Mutex<Vec<String>>,
    detect: bool,
    generate: bool,
    convert: Vec<(String, Convert)>,
    quote: u8,
    separator: String,
    skip_empty_columns: bool,
    skip_empty_rows: bool,
    skip_header: bool,
    tags: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Convert {
    To(Kind),
    /// `date`, `date_time`: a time in ISO 8601.
    Date,
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let before = options.diagnostics.len();
    let source = options.field("source").unwrap_or_else(|| FieldPath::of(&["message"]));
    let target = options.field("target");
    let columns = options.list("columns").into_iter().map(|(name, _)| name).collect();
    let detect = options.bool("autodetect_column_names", false);
    let generate = options.bool("autogenerate_column_names", true);
    let mut convert = Vec::new();
    for ((column, _), (kind, span)) in options.text_pairs("convert") {
        let kind = match kind.as_str() {
            "date" | "date_time" => Some(Convert::Date),
            other => Kind::of(other).map(Convert::To),
        };
        match kind {
            Some(kind) => convert.push((column, kind)),
            None => options.error(&span, "this is no type", "there are integer, float, boolean, date and date_time"),
        }
    }
    let quote = match options.text("quote_char") {
        None => b'"',
        Some((text, span)) => match text.as_bytes() {
            // Written as an escape it stands for no quotes at all, as no text has it.
            br"\x00" => 0,
            [byte] => *byte,
            _ => {
                options.error(&span, "`quote_char` must be one ASCII character", "");
                0
            }
        },
    };
    let separator = options.text("separator").map_or_else(|| ",".to_owned(), |(text, _)| text.replace("\\t", "\t"));
    let skip_empty_columns = options.bool("skip_empty_columns", false);
    let skip_empty_rows = options.bool("skip_empty_rows", false);
    let skip_header = options.bool("skip_header", false);
    let tags = tags_on_failure(options, "_csvparsefailure");
    options.ecs();
    let right = options.diagnostics.len() == before;
    right.then(|| {
        Box::new(Csv {
            source,
            target,
            columns: Mutex::new(columns),
            detect,
            generate,
            convert,
            quote,
            separator,
            skip_empty_columns,
            skip_empty_rows,
            skip_header,
            tags,
        }) as Box<dyn Filter>
    })
}

impl Csv {
    /// The columns of a line; none where its quotes are wrong.
    fn columns(&self, text: &Text) -> Option<Vec<Option<Text>>> {
        let line = text.trim_end_matches(['\r', '\n']);
        let mut columns = Vec::new();
        let mut rest = line;
        loop {
            let (column, after) = if rest.as_bytes().first() == Some(&self.quote) {
                self.quoted(&rest[1..])?
            } else {
                let end = rest.find(&self.separator).unwrap_or(rest.len());
                if memchr::memchr(self.quote, &rest.as_bytes()[..end]).is_some() {
                    return None;
                }
                let column = (end > 0).then(|| text.slice_ref(&rest[..end]));
                (column, &rest[end..])
            };
            columns.push(column);
            if after.is_empty() {
                return Some(columns);
            }
            rest = after.strip_prefix(self.separator.as_str())?;
        }
    }

    fn quoted<'a>(&self, text: &'a str) -> Option<(Option<Text>, &'a str)> {
        let mut column = Vec::new();
        let mut rest = text;
        loop {
            let end = memchr::memchr(self.quote, rest.as_bytes())?;
            column.extend_from_slice(&rest.as_bytes()[..end]);
            rest = &rest[end + 1..];
            if rest.as_bytes().first() != Some(&self.quote) {
                let column = String::from_utf8(column).ok()?;
                return Some((Some(column.into()), rest));
            }
            column.push(self.quote);
            rest = &rest[1..];
        }
    }

    fn converted(&self, name: &str, text: Option<Text>) -> Value {
        let Some(text) = text else { return Value::Null };
        match self.convert.iter().find(|(column, _)| column == name) {
            None => Value::Text(text),
            // As Ruby's strict conversions: what is none stays text.
            Some((_, Convert::To(Kind::Boolean))) => match text.trim().to_ascii_lowercase().as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => Value::Text(text),
            },
            Some((_, Convert::To(Kind::Integer))) if text.trim().parse::<i64>().is_err() => Value::Text(text),
            Some((_, Convert::To(Kind::Float))) if !is_decimal(text.trim()) => Value::Text(text),
            Some((_, Convert::To(kind))) => kind.convert(Value::Text(text)),
            Some((_, Convert::Date)) => match super::time::parse::iso8601(&text, &jiff::tz::TimeZone::UTC) {
                Some(time) => Value::Time(time),
                None => Value::Text(text),
            },
        }
    }
}

impl Filter for Csv {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let Some(text) = event.get(&self.source).map(|value| value.to_text()) else { return Outcome::Unmatched };
        if self.skip_empty_rows && text.is_empty() {
            event.add_tag("_csvskippedemptyfield");
            return Outcome::Unmatched;
        }
        let Some(values) = self.columns(&text).filter(|_| !text.is_empty()) else {
            for tag in &self.tags {
                event.add_tag(tag.as_str());
            }
            return Outcome::Failed;
        };
        // A panic of another worker leaves the names as they were.
        let mut names = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        if self.detect && names.is_empty() {
            *names = values.iter().map(|value| value.as_deref().unwrap_or_default().to_owned()).collect();
            return Outcome::Dropped;
        }
        let names = names.clone();
        let is_header =
            || values.iter().map(|value| value.as_deref().unwrap_or_default()).eq(names.iter().map(String::as_str));
        if self.skip_header && !names.is_empty() && is_header() {
            return Outcome::Dropped;
        }
        for (index, value) in values.into_iter().enumerate() {
            if self.skip_empty_columns && value.as_deref().is_none_or(str::is_empty) {
                continue;
            }
            let name = match names.get(index) {
                Some(name) => name.clone(),
                None if self.generate => format!("column{}", index + 1),
                None => continue,
            };
            let value = self.converted(&name, value);
            let Ok(path) = FieldPath::parse(&name) else { continue };
            event.set(&self.target.as_ref().map_or_else(|| path.clone(), |target| path.below(target)), value);
        }
        Outcome::Matched
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::filter::testing::run;

    #[test]
    fn an_empty_row_is_kept_and_tagged() {
        assert_eq!(
            run("csv { skip_empty_rows => true }", json!({"message": ""}))["tags"],
            json!(["_csvskippedemptyfield"])
        );
        assert_eq!(run("csv { }", json!({"message": ""}))["tags"], json!(["_csvparsefailure"]));
    }

    #[test]
    fn there_may_be_no_quotes() {
        let parsed = run(r#"csv { quote_char => "\x00" }"#, json!({"message": "a,\"b\" c"}));
        assert_eq!((&parsed["column1"], &parsed["column2"]), (&json!("a"), &json!("\"b\" c")));
    }

    #[test]
    fn what_cannot_be_converted_stays_text() {
        let filter = "csv { convert => { column1 => integer column2 => float column3 => boolean column4 => integer } }";
        let parsed = run(filter, json!({"message": "12x,1.5.1,yes,-7"}));
        let column = |n: usize| parsed[format!("column{n}")].clone();
        assert_eq!(
            [column(1), column(2), column(3), column(4)],
            [json!("12x"), json!("1.5.1"), json!("yes"), json!(-7)]
        );
    }
}
