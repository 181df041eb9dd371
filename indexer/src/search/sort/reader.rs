//! Sort keys of documents, as numbers of one segment.

use serde_json::Value;
use tantivy::columnar::{MonotonicallyMappableToU64, TermOrdHit};
use tantivy::{DocId, SegmentReader};

use super::{By, Key, MAX_KEYS, Missing, SHARD_DOC_BITS, Sorted, fit};
use crate::query::Refusal;
use crate::search::columns::{Kind, Values, open, open_named};
use crate::store::PartitionView;
use crate::time::format::{DEFAULT_FORMAT, DateFormat};
use crate::time::zone::Zone;
use crate::time::{NANOS_PER_MILLI, math, to_millis};

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
