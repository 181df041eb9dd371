//! Which values a terms aggregation counts: `include` and `exclude`.

use tantivy::columnar::MonotonicallyMappableToU64;

use super::{Input, Segment, stand_in};
use crate::aggs::ast::{self, Choice, Source};
use crate::aggs::hash;
use crate::aggs::partial::Key;
use crate::query::Refusal;
use crate::query::plan::pattern;
use crate::search::columns::{Kind as ColumnKind, Values};

/// Elasticsearch's seed for the partitions of `include`, so that a term falls into the same one.
const PARTITION_SEED: u32 = 31;

/// `include` and `exclude`.
#[derive(Default)]
pub struct Choose {
    include: Option<Wanted>,
    exclude: Option<Wanted>,
    ip: bool,
}

enum Wanted {
    Keys(Vec<Key>),
    Pattern(pattern::Pattern),
    Partition(u64, u64),
}

impl Choose {
    /// Reads them for a field.
    pub fn new(terms: &ast::Terms, input: &Input, s: &Segment) -> Result<Choose, Refusal> {
        let read = |choice: &Option<Choice>| -> Result<Option<Wanted>, Refusal> {
            Ok(Some(match choice {
                None => return Ok(None),
                Some(Choice::Values(list)) => {
                    let source = Source { missing: None, ..terms.source.clone() };
                    let keys = list.iter().map(|v| stand_in(v, input.field.as_ref(), &source, s.now));
                    Wanted::Keys(keys.collect::<Result<_, _>>()?)
                }
                Some(Choice::Regex(text)) => {
                    if input.columns.iter().any(|c| !matches!(c.kind, ColumnKind::Str(_))) || input.is_ip() {
                        return Err(Refusal::shard_argument("Aggregation [terms] cannot support regular expression style include/exclude settings as they can \
                             only be applied to string fields. Use an array of values for include/exclude clauses".to_string()));
                    }
                    Wanted::Pattern(pattern::lucene(text, false)?)
                }
                Some(Choice::Partition { partition, of }) => Wanted::Partition(*partition, *of),
            }))
        };
        Ok(Choose { include: read(&terms.include)?, exclude: read(&terms.exclude)?, ip: input.is_ip() })
    }

    /// Whether there is neither.
    pub fn takes_all(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// Whether a value of a column is to be counted.
    pub fn wanted(&self, columns: &[Values], column: u8, raw: u64) -> Result<bool, Refusal> {
        if self.takes_all() || column == u8::MAX {
            return Ok(true);
        }
        let Some(values) = columns.get(usize::from(column)) else { return Ok(true) };
        let key = match &values.kind {
            ColumnKind::I64 => Key::Int(i64::from_u64(raw)),
            ColumnKind::U64 => i64::try_from(raw).map_or(Key::UInt(raw), Key::Int),
            ColumnKind::F64 => Key::float(f64::from_u64(raw)),
            ColumnKind::Bool => Key::Bool(raw != 0),
            ColumnKind::Date => Key::Date(Values::millis(raw)),
            ColumnKind::Str(_) => {
                let text = values.text(raw)?;
                match crate::query::plan::terms::address(&text).filter(|_| self.ip) {
                    Some(n) => Key::Ip(n),
                    None => Key::Str(text),
                }
            }
        };
        Ok(self.include.as_ref().is_none_or(|w| w.has(&key)) && !self.exclude.as_ref().is_some_and(|w| w.has(&key)))
    }
}

impl Wanted {
    fn has(&self, key: &Key) -> bool {
        match (self, key) {
            (Wanted::Keys(keys), key) => {
                keys.iter().any(|k| k == key || k.number().is_some() && k.number() == key.number())
            }
            (Wanted::Pattern(p), Key::Str(s)) => s.starts_with(&p.prefix) && p.matcher.as_ref().is_none_or(|m| m(s)),
            (Wanted::Partition(partition, of), key) => {
                let hash = match key {
                    Key::Str(s) => i64::from(hash::murmur3(s.as_bytes(), PARTITION_SEED)),
                    Key::Float(n) => hash::mix_long(f64::from_u64(*n).to_bits()),
                    other => hash::mix_long(other.number().unwrap_or(0.0) as i64 as u64),
                };
                hash.rem_euclid(i64::try_from(*of).unwrap_or(i64::MAX)) as u64 == *partition
            }
            _ => false,
        }
    }
}
