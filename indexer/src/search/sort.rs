//! Sort orders: `"sort"` of a request, the keys of documents, and `search_after`.

use std::cmp::Ordering;

use serde_json::{Map, Value};
use tantivy::columnar::{MonotonicallyMappableToU64, TermOrdHit};
use tantivy::{DocId, SegmentReader};

use super::columns::{Kind, Values, open, open_named};
use crate::mapping::{EsType, Mapping};
use crate::query::Refusal;
use crate::query::dsl::string;
use crate::store::PartitionView;
use crate::time::format::{DEFAULT_FORMAT, DateFormat};
use crate::time::zone::Zone;
use crate::time::{NANOS_PER_MILLI, math, to_millis};

/// Most keys of one sort order.
pub const MAX_KEYS: usize = 8;
/// Most keys that a request may name: one more is added where places must be told apart.
const REQUEST_KEYS_MAX: usize = MAX_KEYS - 1;

/// Bits of `_shard_doc` that are the arrival number; the index's number stands above.
const SHARD_DOC_BITS: u32 = 44;

/// What documents are sorted by.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// The score.
    Score,
    /// Order of arrival: `_doc`, `_seq_no`.
    Arrival,
    /// Order of arrival within all that a point in time sees.
    ShardDoc,
    /// A field's value.
    Field(FieldKey),
}

/// A field as sort key.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldKey {
    /// Its name.
    pub name: String,
    /// Documents without a value: first, last, or as if they had this one.
    pub missing: Missing,
    /// No index needs to know the field.
    pub unmapped: bool,
    /// Which of several values counts: the largest?
    pub largest: bool,
    /// How dates are written in `sort`.
    pub format: Option<String>,
}

/// Where documents without a value go.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Missing {
    First,
    Last,
    As(Value),
}

/// One sort key.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// By what.
    pub by: By,
    /// Largest first.
    pub descending: bool,
}

/// A document's value under one sort key.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Sorted {
    Null,
    Int(i64),
    UInt(u64),
    Float(f64),
    Bool(bool),
    /// Nanoseconds.
    Date(i64),
    Str(String),
}

impl Sorted {
    fn number(&self) -> Option<f64> {
        Some(match self {
            Sorted::Int(n) => *n as f64,
            Sorted::UInt(n) => *n as f64,
            Sorted::Float(n) => *n,
            Sorted::Bool(b) => f64::from(u8::from(*b)),
            Sorted::Date(n) => *n as f64,
            Sorted::Null | Sorted::Str(_) => return None,
        })
    }

    /// Ascending order of two values; nulls are handled by the key.
    fn order(&self, other: &Sorted) -> Ordering {
        match (self, other) {
            (Sorted::Int(a), Sorted::Int(b)) => a.cmp(b),
            (Sorted::UInt(a), Sorted::UInt(b)) => a.cmp(b),
            (Sorted::Date(a), Sorted::Date(b)) => a.cmp(b),
            (Sorted::Str(a), Sorted::Str(b)) => a.cmp(b),
            (a, b) => match (a.number(), b.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                // Numbers come before texts where indices disagree.
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            },
        }
    }

    /// As it stands in `sort` of a hit.
    pub fn json(&self, key: &Key) -> Value {
        match self {
            Sorted::Null => Value::Null,
            Sorted::Int(n) => (*n).into(),
            Sorted::UInt(n) => (*n).into(),
            Sorted::Float(n) => (*n).into(),
            Sorted::Bool(b) => i64::from(*b).into(),
            Sorted::Str(s) => s.clone().into(),
            Sorted::Date(nanos) => {
                let nanos = i128::from(*nanos);
                if let By::Field(FieldKey { format: Some(f), .. }) = &key.by
                    && let Ok(format) = DateFormat::parse(f)
                {
                    return format.write(nanos, &Zone::utc()).into();
                }
                to_millis(nanos).into()
            }
        }
    }
}

/// The order of two documents' values under some keys.
pub fn compare(keys: &[Key], a: &[Sorted], b: &[Sorted]) -> Ordering {
    for ((key, a), b) in keys.iter().zip(a).zip(b) {
        let nulls_last = !matches!(&key.by, By::Field(FieldKey { missing: Missing::First, .. }));
        let order = match (a, b) {
            (Sorted::Null, Sorted::Null) => Ordering::Equal,
            (Sorted::Null, _) => {
                if nulls_last {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (_, Sorted::Null) => {
                if nulls_last {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (a, b) if key.descending => b.order(a),
            (a, b) => a.order(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// Reads `sort`: a text, an object, or a list of them.
pub fn parse(value: &Value) -> Result<Vec<Key>, Refusal> {
    let mut keys = Vec::new();
    match value {
        Value::Null => {}
        Value::String(s) => keys.push(plain(s)?),
        Value::Object(map) => object(map, &mut keys)?,
        Value::Array(list) => {
            for entry in list {
                match entry {
                    Value::String(s) => keys.push(plain(s)?),
                    Value::Object(map) => object(map, &mut keys)?,
                    other => {
                        return Err(Refusal::argument(format!(
                            "malformed sort format, within the sort array, an object, or an actual string are allowed, found [{other}]"
                        )));
                    }
                }
            }
        }
        other => {
            return Err(Refusal::argument(format!(
                "malformed sort format, either start with array, object, or an actual string, found [{other}]"
            )));
        }
    }
    if keys.len() > REQUEST_KEYS_MAX {
        return Err(Refusal::argument(format!("more than [{REQUEST_KEYS_MAX}] sort keys")));
    }
    Ok(keys)
}

/// Reads the parameter `sort=field:desc,other`.
pub fn parse_uri(text: &str) -> Result<Vec<Key>, Refusal> {
    let mut keys = Vec::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let mut key = match part.rsplit_once(':') {
            Some((name, order @ ("asc" | "desc"))) => Key { descending: order == "desc", ..plain(name)? },
            Some((_, order)) => return Err(Refusal::argument(format!("Unknown sort order [{order}]"))),
            None => plain(part)?,
        };
        settle(&mut key);
        keys.push(key);
    }
    if keys.len() > REQUEST_KEYS_MAX {
        return Err(Refusal::argument(format!("more than [{REQUEST_KEYS_MAX}] sort keys")));
    }
    Ok(keys)
}

fn settle(key: &mut Key) {
    let descending = key.descending;
    if let By::Field(f) = &mut key.by {
        f.largest = descending;
    }
}

fn plain(name: &str) -> Result<Key, Refusal> {
    let by = match name {
        "_score" => By::Score,
        "_doc" | "_seq_no" => By::Arrival,
        "_shard_doc" => By::ShardDoc,
        "_geo_distance" | "_script" => return Err(Refusal::unsupported(format!("sort by [{name}]"))),
        "" => return Err(Refusal::argument("empty sort field")),
        _ => By::Field(FieldKey {
            name: name.into(),
            missing: Missing::Last,
            unmapped: false,
            largest: false,
            format: None,
        }),
    };
    Ok(Key { descending: by == By::Score, by })
}

fn object(map: &Map<String, Value>, keys: &mut Vec<Key>) -> Result<(), Refusal> {
    for (name, how) in map {
        let mut key = plain(name)?;
        let order = |v: &Value| match v.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("asc") => Ok(false),
            Some("desc") => Ok(true),
            _ => Err(Refusal::argument(format!("Unknown SortOrder [{v}]"))),
        };
        match how {
            Value::String(_) => key.descending = order(how)?,
            Value::Object(options) => {
                let mut mode = None;
                for (option, value) in options {
                    match (option.as_str(), &mut key.by) {
                        ("order", _) => key.descending = order(value)?,
                        ("mode", _) => mode = Some(string("sort", option, value)?),
                        ("missing", By::Field(f)) => {
                            f.missing = match value.as_str() {
                                Some("_last") => Missing::Last,
                                Some("_first") => Missing::First,
                                _ => Missing::As(value.clone()),
                            }
                        }
                        ("unmapped_type", By::Field(f)) => {
                            string("sort", option, value)?;
                            f.unmapped = true;
                        }
                        ("format", By::Field(f)) => {
                            let text = string("sort", option, value)?;
                            DateFormat::parse(&text).map_err(Refusal::argument)?;
                            f.format = Some(text);
                        }
                        // Values of one sort are of comparable types here whatever this says.
                        ("numeric_type", By::Field(_)) => {
                            string("sort", option, value)?;
                        }
                        ("unmapped_type" | "missing", _) => {}
                        ("nested" | "nested_path" | "nested_filter", _) => {
                            return Err(Refusal::unsupported(format!("sort option [{option}]")));
                        }
                        _ => return Err(Refusal::content(format!("[field_sort] unknown field [{option}]"))),
                    }
                }
                settle(&mut key);
                match (mode.as_deref(), &mut key.by) {
                    (None, _) => {}
                    (Some("min"), By::Field(f)) => f.largest = false,
                    (Some("max"), By::Field(f)) => f.largest = true,
                    (Some(other), _) => return Err(Refusal::unsupported(format!("sort mode [{other}]"))),
                }
                keys.push(key);
                continue;
            }
            other => return Err(Refusal::argument(format!("malformed sort of [{name}]: [{other}]"))),
        }
        settle(&mut key);
        keys.push(key);
    }
    Ok(())
}

/// Whether the index can sort by these keys.
pub fn check(keys: &[Key], mapping: &Mapping) -> Result<(), Refusal> {
    for key in keys {
        let By::Field(f) = &key.by else { continue };
        match mapping.resolve(&f.name) {
            None if f.unmapped || matches!(f.name.as_str(), "_id" | "_index") => {}
            None => {
                return Err(Refusal::shard(format!("No mapping found for [{}] in order to sort on", f.name)));
            }
            Some(field) if field.column.is_none() && field.es_type == EsType::Text => {
                return Err(Refusal::shard_argument(format!(
                    "Fielddata is disabled on [{0}] in [_all]. Text fields are not optimised for operations that require \
                     per-document field data like aggregations and sorting, so these operations are disabled by default. \
                     Please use a keyword field instead. Alternatively, set fielddata=true on [{0}] in order to load field \
                     data by uninverting the inverted index. Note that this can use significant memory.",
                    f.name
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Reads `search_after` for these keys.
pub fn after(values: &[Value], keys: &[Key], now: i128) -> Result<Vec<Sorted>, Refusal> {
    if values.len() != keys.len() {
        return Err(Refusal::argument(format!(
            "search_after has {} value(s) but sort has {}.",
            values.len(),
            keys.len()
        )));
    }
    let read = |(value, key): (&Value, &Key)| -> Result<Sorted, Refusal> {
        Ok(match value {
            Value::Null => Sorted::Null,
            Value::Bool(b) => Sorted::Bool(*b),
            Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
                (Some(i), ..) => Sorted::Int(i),
                (None, Some(u), _) => Sorted::UInt(u),
                (None, None, Some(f)) => Sorted::Float(f),
                (None, None, None) => return Err(Refusal::number(&n.to_string())),
            },
            Value::String(s) => match &key.by {
                By::Field(f) => {
                    let format = f.format.as_deref().and_then(|f| DateFormat::parse(f).ok());
                    match format.map(|f| math::read(s, &f, &Zone::utc(), now, false)) {
                        Some(Ok(nanos)) => Sorted::Date(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64),
                        Some(Err(why)) => return Err(Refusal::date(why)),
                        None => Sorted::Str(s.clone()),
                    }
                }
                _ => s.parse().map(Sorted::Int).map_err(|_| Refusal::number(s))?,
            },
            other => {
                return Err(Refusal::argument(format!("Can't handle [search_after] field value of type [{other}]")));
            }
        })
    };
    values.iter().zip(keys).map(read).collect()
}

/// Reads documents' sort keys in one segment: as numbers of which the smaller goes first.
pub struct Reader {
    columns: Vec<KeyColumn>,
}

struct KeyColumn {
    source: ColumnSource,
    descending: bool,
    nulls_last: bool,
    /// What stands for no value.
    instead: Option<u64>,
    largest: bool,
    /// Added to values, so that those of different indices differ.
    shift: u64,
}

enum ColumnSource {
    Score,
    /// Nothing has a value here.
    Empty,
    /// Ids, or the index's name: the same for all, or made of the document.
    Values(Values),
}

impl Reader {
    /// Opens the columns of some keys. `index` numbers the indices of the search.
    pub fn open(
        keys: &[Key],
        part: &PartitionView,
        index: u32,
        reader: &SegmentReader,
        now: i128,
    ) -> Result<Reader, Refusal> {
        let mut columns = Vec::with_capacity(keys.len());
        for key in keys {
            let (mut nulls_last, mut instead, mut largest) = (true, None, false);
            let source = match &key.by {
                By::Score => ColumnSource::Score,
                By::Arrival | By::ShardDoc => first(open_named(reader, "_seq")?),
                By::Field(f) => {
                    largest = f.largest;
                    match part.mapping.resolve(&f.name) {
                        Some(field) => {
                            let found = first(open(reader, &field)?);
                            match &f.missing {
                                Missing::First => nulls_last = false,
                                Missing::Last => {}
                                Missing::As(value) => {
                                    if let ColumnSource::Values(v) = &found {
                                        instead = Some(stand_in(value, v, field.format.as_deref(), now)?);
                                    }
                                }
                            }
                            found
                        }
                        None if f.name == "_id" => first(open_named(reader, "_id")?),
                        None => ColumnSource::Empty,
                    }
                }
            };
            // Indices are told apart by the bits above the largest arrival number.
            let shift = if key.by == By::ShardDoc { u64::from(index) << SHARD_DOC_BITS } else { 0 };
            columns.push(KeyColumn { source, descending: key.descending, nulls_last, instead, largest, shift });
        }
        Ok(Reader { columns })
    }

    /// A document's keys.
    pub fn keys(&self, doc: DocId, score: f32, out: &mut [u64; MAX_KEYS]) {
        for (column, slot) in self.columns.iter().zip(out.iter_mut()) {
            *slot = column.key(doc, score);
        }
    }

    /// The first key of each of some documents.
    pub fn first_keys(&self, docs: &[DocId], scores: Option<&[f32]>, raw: &mut Vec<u64>) {
        raw.clear();
        let Some(column) = self.columns.first() else {
            raw.resize(docs.len(), 0);
            return;
        };
        if let ColumnSource::Values(v) = &column.source
            && v.column.index.get_cardinality() == tantivy::columnar::Cardinality::Full
        {
            raw.resize(docs.len(), 0);
            v.column.values.get_vals(docs, raw);
            if column.descending {
                raw.iter_mut().for_each(|k| *k = u64::MAX - 1 - (*k).min(u64::MAX - 2));
            } else {
                raw.iter_mut().for_each(|k| *k = (*k).min(u64::MAX - 2) + 1);
            }
            return;
        }
        raw.extend(docs.iter().enumerate().map(|(i, d)| column.key(*d, scores.map_or(0.0, |s| s[i]))));
    }

    /// The values behind a document's keys.
    pub fn values(&self, keys: &[u64; MAX_KEYS]) -> Result<Vec<Sorted>, Refusal> {
        self.columns.iter().zip(keys).map(|(column, key)| column.value(*key)).collect()
    }

    /// When the first key is a column with a value for every document: its smallest and largest value.
    pub fn first_column(&self) -> Option<&Values> {
        match self.columns.first().map(|c| &c.source) {
            Some(ColumnSource::Values(v))
                if v.column.index.get_cardinality() == tantivy::columnar::Cardinality::Full =>
            {
                Some(v)
            }
            _ => None,
        }
    }

    /// The keys of a `search_after` in this segment. `false`: no document has exactly this value, and those whose key
    /// equals it come before.
    pub fn after(&self, values: &[Sorted]) -> Result<Vec<(u64, bool)>, Refusal> {
        self.columns.iter().zip(values).map(|(column, value)| column.position(value)).collect()
    }

    /// A value's key in this segment, so that documents can be left out before their values are read: none of those
    /// whose first key is larger than it can go before the value.
    pub fn bound(&self, value: &Sorted) -> Option<u64> {
        let column = self.columns.first()?;
        let ColumnSource::Values(v) = &column.source else { return None };
        let raw = match (&v.kind, value) {
            (Kind::Date, Sorted::Date(n)) => tantivy::DateTime::from_timestamp_nanos(*n).to_u64(),
            (Kind::I64, Sorted::Int(n)) => n.to_u64(),
            (Kind::U64, Sorted::UInt(n)) => *n,
            _ => return None,
        };
        Some(column.ordered(raw))
    }
}

fn first(mut found: Vec<Values>) -> ColumnSource {
    if found.is_empty() { ColumnSource::Empty } else { ColumnSource::Values(found.remove(0)) }
}

/// The raw value of what `missing` names.
fn stand_in(value: &Value, column: &Values, format: Option<&str>, now: i128) -> Result<u64, Refusal> {
    let text = crate::query::plan::terms::as_text(value);
    let number = || crate::query::plan::terms::as_number(value);
    Ok(match &column.kind {
        Kind::I64 => {
            let (f, whole) = number()?;
            whole.map_or(f as i64, |n| n.clamp(i64::MIN.into(), i64::MAX.into()) as i64).to_u64()
        }
        Kind::U64 => number()?.0.max(0.0) as u64,
        Kind::F64 => number()?.0.to_u64(),
        Kind::Bool => u64::from(crate::query::plan::terms::as_bool(value)?),
        Kind::Date => {
            let format = DateFormat::parse(format.unwrap_or(DEFAULT_FORMAT)).map_err(Refusal::shard_argument)?;
            let nanos = math::read(&text, &format, &Zone::utc(), now, false).map_err(Refusal::date)?;
            let millis = i128::from(to_millis(nanos)) * NANOS_PER_MILLI;
            tantivy::DateTime::from_timestamp_nanos(millis.clamp(i64::MIN.into(), i64::MAX.into()) as i64).to_u64()
        }
        Kind::Str(strings) => {
            // Between two entries of the dictionary the one after it is near enough; where it is one, it is right.
            match strings.dictionary().term_ord_or_next(text.as_bytes())? {
                TermOrdHit::Exact(ord) | TermOrdHit::Next(ord) => ord,
            }
        }
    })
}

impl KeyColumn {
    /// 0 and `u64::MAX` are for documents without a value.
    fn ordered(&self, raw: u64) -> u64 {
        let raw = raw.min(u64::MAX - 2);
        if self.descending { u64::MAX - 1 - raw } else { raw + 1 }
    }

    fn key(&self, doc: DocId, score: f32) -> u64 {
        let raw = match &self.source {
            ColumnSource::Score => Some(f64::from(score).to_u64()),
            ColumnSource::Empty => None,
            ColumnSource::Values(v) if self.largest => v.column.values_for_doc(doc).max().or(self.instead),
            ColumnSource::Values(v) => match v.column.index.get_cardinality() {
                tantivy::columnar::Cardinality::Multivalued => v.column.values_for_doc(doc).min().or(self.instead),
                _ => v.column.first(doc).or(self.instead),
            },
        };
        match raw {
            Some(raw) => self.ordered(raw),
            None if self.nulls_last => u64::MAX,
            None => 0,
        }
    }

    /// Where a value lies among the keys, and whether it is one.
    fn position(&self, value: &Sorted) -> Result<(u64, bool), Refusal> {
        let values = match (&self.source, value) {
            (_, Sorted::Null) => return Ok((if self.nulls_last { u64::MAX } else { 0 }, true)),
            (ColumnSource::Empty, _) => return Ok((1, true)),
            (ColumnSource::Score, v) => {
                return Ok((self.ordered(v.number().unwrap_or(0.0).to_u64()), true));
            }
            (ColumnSource::Values(values), _) => values,
        };
        // For a value between two entries, the neighbour that goes before it.
        let between = |low: u64, high: u64| (self.ordered(if self.descending { high } else { low }), false);
        let like = match &values.kind {
            Kind::I64 => Sorted::Int(0),
            Kind::U64 => Sorted::UInt(0),
            Kind::F64 => Sorted::Float(0.0),
            Kind::Bool => Sorted::Bool(false),
            Kind::Date => Sorted::Date(0),
            Kind::Str(_) => Sorted::Str(String::new()),
        };
        Ok(match (fit(value, &like), &values.kind) {
            (Sorted::Int(n), Kind::I64) => (self.ordered(n.to_u64()), true),
            (Sorted::UInt(n), Kind::U64) => match n.checked_sub(self.shift) {
                Some(n) => (self.ordered(n), true),
                // It lies before all documents of this index.
                None => (if self.descending { u64::MAX - 1 } else { 0 }, true),
            },
            (Sorted::Date(n), Kind::Date) => (self.ordered(tantivy::DateTime::from_timestamp_nanos(n).to_u64()), true),
            (Sorted::Bool(b), Kind::Bool) => (self.ordered(u64::from(b)), true),
            (Sorted::Str(s), Kind::Str(strings)) => match strings.dictionary().term_ord_or_next(s.as_bytes())? {
                TermOrdHit::Exact(ord) => (self.ordered(ord), true),
                TermOrdHit::Next(0) if !self.descending => (0, true),
                TermOrdHit::Next(ord) if ord >= strings.num_terms() as u64 && self.descending => (0, true),
                TermOrdHit::Next(ord) if ord >= strings.num_terms() as u64 => (u64::MAX - 1, true),
                TermOrdHit::Next(ord) => between(ord.saturating_sub(1), ord),
            },
            (v, Kind::F64) => (self.ordered(v.number().unwrap_or(0.0).to_u64()), true),
            (v, Kind::I64) => {
                let f = v.number().unwrap_or(0.0);
                between((f.floor() as i64).to_u64(), (f.ceil() as i64).to_u64())
            }
            (v, Kind::U64 | Kind::Bool) => {
                let f = v.number().unwrap_or(0.0).max(0.0);
                between(f.floor() as u64, f.ceil() as u64)
            }
            (v, _) => {
                return Err(Refusal::shard_argument(format!("[search_after] value {v:?} does not fit its sort key")));
            }
        })
    }

    fn value(&self, key: u64) -> Result<Sorted, Refusal> {
        if key == 0 || key == u64::MAX {
            return Ok(Sorted::Null);
        }
        let raw = if self.descending { u64::MAX - 1 - key } else { key - 1 };
        Ok(match &self.source {
            ColumnSource::Score => Sorted::Float(f64::from_u64(raw)),
            ColumnSource::Empty => Sorted::Null,
            ColumnSource::Values(v) => match &v.kind {
                Kind::I64 => Sorted::Int(i64::from_u64(raw)),
                Kind::U64 => Sorted::UInt(raw + self.shift),
                Kind::F64 => Sorted::Float(f64::from_u64(raw)),
                Kind::Bool => Sorted::Bool(raw != 0),
                Kind::Date => Sorted::Date(tantivy::DateTime::from_u64(raw).into_timestamp_nanos()),
                Kind::Str(_) => Sorted::Str(v.text(raw)?),
            },
        })
    }
}

/// Puts a value of `search_after` into the type that the field's values have.
pub fn fit(value: &Sorted, like: &Sorted) -> Sorted {
    match (value, like) {
        (Sorted::Int(ms), Sorted::Date(_)) => Sorted::Date(ms.saturating_mul(1_000_000)),
        (Sorted::Str(s), Sorted::Date(_)) => match DateFormat::default().read(s, &Zone::utc(), false) {
            Some(nanos) => Sorted::Date(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64),
            None => value.clone(),
        },
        (Sorted::Int(n), Sorted::UInt(_)) => u64::try_from(*n).map_or(Sorted::Int(*n), Sorted::UInt),
        (Sorted::UInt(n), Sorted::Int(_)) => i64::try_from(*n).map_or(Sorted::UInt(*n), Sorted::Int),
        (Sorted::Str(s), Sorted::Int(_)) => s.parse().map_or(value.clone(), Sorted::Int),
        (Sorted::Str(s), Sorted::UInt(_)) => s.parse().map_or(value.clone(), Sorted::UInt),
        (Sorted::Str(s), Sorted::Float(_)) => s.parse().map_or(value.clone(), Sorted::Float),
        (Sorted::Int(n), Sorted::Str(_)) => Sorted::Str(n.to_string()),
        (Sorted::Int(n), Sorted::Bool(_)) => Sorted::Bool(*n != 0),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn orders_keep_the_texts_order_of_keys() {
        let text = r#"{"timestamp": {"order":"desc","unmapped_type":"boolean"}, "_doc": {"order":"desc"}}"#;
        let keys = parse(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(keys.iter().map(|k| k.descending).collect::<Vec<_>>(), [true, true]);
        assert_eq!(keys[1].by, By::Arrival);
        let By::Field(f) = &keys[0].by else { panic!("{keys:?}") };
        assert!(f.unmapped && f.largest);
        assert_eq!(parse_uri("a:desc,_score").unwrap().len(), 2);
        assert!(parse(&json!([{"a": {"order": "up"}}])).is_err());
        assert!(parse(&json!([{"a": {"foo": 1}}])).is_err());
    }

    #[test]
    fn nulls_go_where_they_are_sent() {
        let keys = parse(&json!([{"a": "desc"}])).unwrap();
        let (one, none) = ([Sorted::Int(1)], [Sorted::Null]);
        assert_eq!(compare(&keys, &one, &none), Ordering::Less);
        let keys = parse(&json!([{"a": {"order": "asc", "missing": "_first"}}])).unwrap();
        assert_eq!(compare(&keys, &one, &none), Ordering::Greater);
        assert_eq!(compare(&keys, &[Sorted::Int(2)], &[Sorted::Float(1.5)]), Ordering::Greater);
    }
}
