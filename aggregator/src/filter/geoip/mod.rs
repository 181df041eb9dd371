//! `geoip`: where an address is, from a MaxMind file that the user supplies.

mod record;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::Reader;

use super::json::tags_on_failure;
use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Value, ValueRef};
use crate::pipeline::options::{Ecs, Options};
use record::{FIELDS, Field, Record};

/// The whole file is held in memory. The largest one of MaxMind (GeoIP2 City) has about 130 MB.
const DATABASE_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug)]
struct GeoIp {
    source: FieldPath,
    database: Arc<Reader<Vec<u8>>>,
    /// What is looked for, and where it goes.
    fields: Vec<(Field, FieldPath)>,
    tags: Vec<String>,
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let before = options.diagnostics.len();
    let ecs = options.ecs() == Ecs::V8;
    let source = options.required_text("source");
    let source_path = source.as_ref().and_then(|placed| options.path(placed));
    let given = options.field("target");
    options.whole("cache_size");
    let kind = options.choice("default_database_type", &["City", "ASN"], "City");
    let tags = tags_on_failure(options, "_geoip_lookup_failure");
    let wanted = options.list("fields");
    let database = database(options, kind);
    let source_path = source_path?;
    let target = match (given, ecs) {
        (Some(target), _) => target,
        (None, false) => FieldPath::of(&["geoip"]),
        (None, true) => match &source_path.segments() {
            [parents @ .., last] if !parents.is_empty() && *last.name == *"ip" => {
                let names: Vec<&str> = parents.iter().map(|segment| &*segment.name).collect();
                FieldPath::of(&names)
            }
            _ => {
                let span = source.map_or_else(|| options.span().clone(), |(_, span)| span);
                let hint =
                    "such as `target => \"client\"`; or write `ecs_compatibility => disabled` for the field `geoip`";
                options.error(&span, "`geoip` needs the option `target` where `source` does not end with `[ip]`", hint);
                return None;
            }
        },
    };
    let database = database.filter(|_| options.diagnostics.len() == before)?;
    let names: Vec<String> = if wanted.is_empty() {
        record::defaults(&database.metadata().database_type, ecs).iter().map(|name| (*name).to_owned()).collect()
    } else {
        wanted.iter().map(|(name, _)| name.to_lowercase()).collect()
    };
    let mut fields = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let Some(field) = FIELDS.iter().find(|field| field.option == name) else {
            let list = FIELDS.iter().map(|field| field.option).collect::<Vec<_>>().join(", ");
            let span = wanted.get(index).map_or_else(|| options.span().clone(), |(_, span)| span.clone());
            options.error(&span, format!("`geoip` knows no field `{name}`"), format!("there are {list}"));
            continue;
        };
        let way = if ecs { field.ecs } else { &[field.legacy][..] };
        // What has no place in the Elastic Common Schema is left out.
        if !way.is_empty() {
            fields.push((*field, FieldPath::of(way).below(&target)));
        }
    }
    let right = options.diagnostics.len() == before;
    right.then(|| Box::new(GeoIp { source: source_path, database, fields, tags }) as Box<dyn Filter>)
}

fn database(options: &mut Options<'_>, kind: &str) -> Option<Arc<Reader<Vec<u8>>>> {
    let Some((path, span)) = options.text("database") else {
        if !options.has("database") {
            let span = options.span().clone();
            let hint = format!("name a MaxMind file such as GeoLite2-{kind}.mmdb; weir downloads none");
            options.error(&span, "`geoip` needs the option `database`", hint);
        }
        return None;
    };
    match read(&path) {
        Ok(reader) => Some(Arc::new(reader)),
        Err(problem) => {
            let hint = "a file in MaxMind's format, ending in .mmdb";
            options.error(&span, format!("cannot use the database {path}: {problem}"), hint);
            None
        }
    }
}

fn read(path: &str) -> Result<Reader<Vec<u8>>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > DATABASE_BYTES_MAX {
        return Err(format!("it has {size} bytes, more than {DATABASE_BYTES_MAX}"));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    Reader::from_source(bytes).map_err(|error| error.to_string())
}

impl Filter for GeoIp {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let text = match event.get(&self.source) {
            Some(ValueRef::Array([first, ..])) => first.to_text(),
            Some(value) => value.to_text(),
            None => return Outcome::Unmatched,
        };
        let address: Option<IpAddr> = text.trim().parse().ok();
        let found = address.and_then(|address| self.database.lookup(address).ok()?.decode::<Record<'_>>().ok()?);
        let Some(record) = found else {
            self.tags.iter().for_each(|tag| event.add_tag(tag.as_str()));
            return Outcome::Failed;
        };
        // The record borrows the database alone, so the event may change meanwhile.
        for (field, path) in &self.fields {
            let value = (field.get)(&record).unwrap_or(Value::Null);
            let value = if field.option == "ip" { Value::Text(text.clone()) } else { value };
            if value != Value::Null {
                event.set(path, value);
            }
        }
        Outcome::Matched
    }
}
