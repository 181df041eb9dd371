//! `dissect`: takes a text apart at fixed delimiters.

use super::json::tags_on_failure;
use super::mutate::convert::{Kind, is_decimal};
use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Text, Value, ValueRef};
use crate::pipeline::options::Options;

#[derive(Debug)]
struct Dissect {
    mappings: Vec<(FieldPath, Mapping)>,
    convert: Vec<(FieldPath, Kind, &'static str)>,
    tags: Vec<String>,
}

/// A pattern: text that must come first, then fields, each with the delimiter behind it.
#[derive(Debug)]
struct Mapping {
    prefix: String,
    fields: Vec<Field>,
    /// The appended fields, in the order in which they are joined: name, and places in `fields`.
    joined: Vec<(FieldPath, Vec<usize>)>,
}

#[derive(Debug)]
struct Field {
    kind: FieldKind,
    /// What ends it; the last one may have none and takes the rest.
    delimiter: String,
    finder: memchr::memmem::Finder<'static>,
    /// Whether the delimiter may come several times.
    padded: bool,
}

#[derive(Debug)]
enum FieldKind {
    /// `%{}`, `%{?name}`: not kept; the name can be used by `&`.
    Skip,
    /// `%{name}`
    Set(FieldPath),
    /// `%{+name}`: joined to the field of that name.
    Append,
    /// `%{&name}`: the field is called what was found for `name`, at this place.
    Indirect(usize),
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let before = options.diagnostics.len();
    let mut mappings = Vec::new();
    for (field, (pattern, span)) in options.text_pairs("mapping") {
        match Mapping::parse(&pattern) {
            Ok(mapping) => mappings.extend(options.path(&field).map(|path| (path, mapping))),
            Err(problem) => options.error(&span, problem, "a pattern is written as `%{first} %{second}: %{rest}`"),
        }
    }
    let mut convert = Vec::new();
    for (field, (kind, span)) in options.text_pairs("convert_datatype") {
        let kind = match kind.as_str() {
            "int" => (Kind::Integer, "int"),
            "float" => (Kind::Float, "float"),
            _ => {
                options.error(&span, format!("`{kind}` is no type to convert to"), "there are int and float");
                continue;
            }
        };
        convert.extend(options.path(&field).map(|path| (path, kind.0, kind.1)));
    }
    let tags = tags_on_failure(options, "_dissectfailure");
    let right = options.diagnostics.len() == before;
    right.then(|| Box::new(Dissect { mappings, convert, tags }) as Box<dyn Filter>)
}

impl Mapping {
    fn parse(pattern: &str) -> Result<Self, String> {
        let start = pattern.find("%{").ok_or("there is no field in it")?;
        let prefix = pattern[..start].to_owned();
        let mut fields: Vec<Field> = Vec::new();
        let mut names: Vec<String> = Vec::new();
        // Appended parts of a name: the order that was asked for, and the place.
        let mut appended: Vec<(String, Vec<(u32, usize)>)> = Vec::new();
        let mut rest = &pattern[start..];
        while let Some(inner) = rest.strip_prefix("%{") {
            let end = inner.find('}').ok_or("a `%{` is not closed")?;
            let (spec, padded) = inner[..end].strip_suffix("->").map_or((&inner[..end], false), |spec| (spec, true));
            let after = &inner[end + 1..];
            let next = after.find("%{").unwrap_or(after.len());
            let delimiter = after[..next].to_owned();
            rest = &after[next..];
            if delimiter.is_empty() && !rest.is_empty() {
                return Err(format!("there must be a delimiter behind `%{{{spec}}}`"));
            }
            let place = fields.len();
            let mut signs = spec.chars().take_while(|c| "+&?".contains(*c)).collect::<String>();
            let name = spec[signs.len()..].to_owned();
            if signs.len() > 1 {
                return Err(format!("`{signs}` cannot stand together before a field"));
            }
            if spec.is_empty() {
                signs.push('?');
            }
            let path = |name: &str| FieldPath::parse(name).map(FieldPath::lasting).map_err(|error| error.to_string());
            let kind = match signs.as_str() {
                "?" => FieldKind::Skip,
                // Without a field of that name before it, there is no name to be had.
                "&" => names.iter().position(|have| *have == name).map_or(FieldKind::Skip, FieldKind::Indirect),
                "+" => {
                    let (base, order) = match name.rsplit_once('/') {
                        Some((base, order)) => (base, order.parse().map_err(|_| format!("`{order}` is no order"))?),
                        None => (name.as_str(), 0),
                    };
                    match appended.iter_mut().find(|(have, _)| have == base) {
                        Some((_, places)) => places.push((order, place)),
                        None => {
                            let first = names.iter().position(|have| have == base).map(|first| (0, first));
                            appended.push((base.to_owned(), first.into_iter().chain([(order, place)]).collect()));
                        }
                    }
                    FieldKind::Append
                }
                _ => FieldKind::Set(path(&name)?),
            };
            names.push(name);
            let finder = memchr::memmem::Finder::new(delimiter.as_bytes()).into_owned();
            fields.push(Field { kind, delimiter, finder, padded });
        }
        let mut joined = Vec::new();
        for (name, mut places) in appended {
            places.sort();
            let path = FieldPath::parse(&name).map_err(|error| error.to_string())?.lasting();
            joined.push((path, places.into_iter().map(|(_, place)| place).collect::<Vec<_>>()));
        }
        // What is joined is set once, as a whole.
        for place in joined.iter().flat_map(|(_, places)| places) {
            if let FieldKind::Set(_) = fields[*place].kind {
                fields[*place].kind = FieldKind::Append;
            }
        }
        Ok(Self { prefix, fields, joined })
    }

    /// Where each field begins and ends; none where the text does not fit.
    fn spans(&self, text: &str) -> Option<smallvec::SmallVec<[(usize, usize); 16]>> {
        if text.is_empty() || !text.starts_with(&self.prefix) {
            return None;
        }
        let mut at = self.prefix.len();
        let mut spans = smallvec::SmallVec::new();
        for field in &self.fields {
            if field.delimiter.is_empty() {
                spans.push((at, text.len()));
                break;
            }
            let end = at + field.finder.find(&text.as_bytes()[at..])?;
            spans.push((at, end));
            at = end + field.delimiter.len();
            while field.padded && text[at..].starts_with(&field.delimiter) {
                at += field.delimiter.len();
            }
        }
        Some(spans)
    }

    fn apply(&self, event: &mut Event, text: &Text) -> bool {
        let Some(spans) = self.spans(text) else { return false };
        let value = |place: usize| {
            let (start, end) = spans[place];
            if start == end { Text::new() } else { text.slice_ref(&text[start..end]) }
        };
        for (place, field) in self.fields.iter().enumerate() {
            match &field.kind {
                FieldKind::Skip | FieldKind::Append => {}
                FieldKind::Set(path) => drop(event.set(path, Value::Text(value(place)))),
                FieldKind::Indirect(name) => {
                    if let Ok(path) = FieldPath::parse(&value(*name)) {
                        event.set(&path, Value::Text(value(place)));
                    }
                }
            }
        }
        for (path, places) in &self.joined {
            let mut joined = String::new();
            for (index, place) in places.iter().enumerate() {
                if index > 0 {
                    // What stands between them is the delimiter before the later one in the text.
                    joined.push_str(place.checked_sub(1).map_or("", |before| &self.fields[before].delimiter));
                }
                joined.push_str(&value(*place));
            }
            event.set(path, Value::Text(joined.into()));
        }
        true
    }
}

impl Dissect {
    fn convert(&self, event: &mut Event) {
        for (path, kind, name) in &self.convert {
            let problem = match event.get_owned(path) {
                None | Some(Value::Null) => "nullvalue",
                Some(Value::Text(text)) if !is_decimal(&text) => "uncoercible",
                Some(value @ (Value::Text(_) | Value::Int(_) | Value::Float(_) | Value::Big(_))) => {
                    event.set(path, kind.convert(value));
                    continue;
                }
                Some(_) => "uncoercible",
            };
            event.add_tag(format!("_dataconversion{problem}_{path}_{name}"));
        }
    }
}

impl Filter for Dissect {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let (mut matched, mut failed) = (self.mappings.is_empty(), false);
        for (path, mapping) in &self.mappings {
            let text = match event.get(path) {
                None | Some(ValueRef::Null) => continue,
                Some(value) => value.to_text(),
            };
            if mapping.apply(event, &text) {
                matched = true;
            } else {
                failed = true;
            }
        }
        if failed {
            for tag in &self.tags {
                event.add_tag(tag.as_str());
            }
        }
        self.convert(event);
        if failed {
            return Outcome::Failed;
        }
        if matched { Outcome::Matched } else { Outcome::Unmatched }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::filter::testing::run;

    #[test]
    fn what_cannot_be_converted_is_tagged() {
        let filter =
            r#"dissect { mapping => { message => "%{a} %{b}" } convert_datatype => { a => int b => float c => int } }"#;
        assert_eq!(
            run(filter, json!({"message": "12x 1e2"})),
            json!({"message": "12x 1e2", "a": "12x", "b": 100.0,
                "tags": ["_dataconversionuncoercible_a_int", "_dataconversionnullvalue_c_int"]})
        );
        let nulls = [
            "_dissectfailure",
            "_dataconversionnullvalue_a_int",
            "_dataconversionnullvalue_b_float",
            "_dataconversionnullvalue_c_int",
        ];
        assert_eq!(run(filter, json!({"message": "12"}))["tags"], json!(nulls));
    }

    #[test]
    fn a_name_that_nothing_gives_is_passed_over() {
        let event = json!({"message": "value=key"});
        assert_eq!(run(r#"dissect { mapping => { message => "%{&k}=%{v}" } }"#, event)["v"], "key");
    }
}
