//! Reading a field's values from columns, whatever their type.

use tantivy::columnar::{Column, ColumnType, DynamicColumn, MonotonicallyMappableToU64, StrColumn};
use tantivy::{DateTime, DocId, SegmentReader};

use crate::mapping::{EsType, FieldRef};
use crate::query::Refusal;

/// What the numbers of a column mean; all are kept in an order-preserving `u64`.
#[derive(Clone)]
pub enum Kind {
    /// Whole numbers.
    I64,
    /// Whole numbers that are not negative.
    U64,
    /// Floating point.
    F64,
    /// 0 or 1.
    Bool,
    /// Nanoseconds since 1970.
    Date,
    /// Numbers of entries of a dictionary, which is sorted.
    Str(StrColumn),
}

/// One column of a segment.
#[derive(Clone)]
pub struct Values {
    /// Its numbers.
    pub column: Column<u64>,
    /// What they mean.
    pub kind: Kind,
}

impl Values {
    /// A number as floating point: dates in milliseconds, bools as 0 and 1. Strings have none.
    pub fn number(&self, raw: u64) -> Option<f64> {
        Some(match &self.kind {
            Kind::I64 => i64::from_u64(raw) as f64,
            Kind::U64 => raw as f64,
            Kind::F64 => f64::from_u64(raw),
            Kind::Bool => raw as f64,
            Kind::Date => DateTime::from_u64(raw).into_timestamp_nanos().div_euclid(1_000_000) as f64,
            Kind::Str(_) => return None,
        })
    }

    /// Milliseconds of a date.
    pub fn millis(raw: u64) -> i64 {
        DateTime::from_u64(raw).into_timestamp_nanos().div_euclid(1_000_000)
    }

    /// The text of a dictionary's entry.
    pub fn text(&self, ord: u64) -> Result<String, Refusal> {
        let mut text = String::new();
        if let Kind::Str(strings) = &self.kind {
            strings.ord_to_str(ord, &mut text)?;
        }
        Ok(text)
    }

    /// Whether a document has a value.
    pub fn has(&self, doc: DocId) -> bool {
        self.column.index.has_value(doc)
    }
}

/// The columns of a field in a segment: none where no document has a value, several where types differ.
pub fn open(reader: &SegmentReader, field: &FieldRef) -> Result<Vec<Values>, Refusal> {
    let Some(name) = &field.column else { return Ok(Vec::new()) };
    let mut found = open_named(reader, name)?;
    // Values that do not fit the field's type are found by their words only.
    found.retain(|v| match field.es_type {
        EsType::Long | EsType::Double => matches!(v.kind, Kind::I64 | Kind::U64 | Kind::F64),
        EsType::Boolean => matches!(v.kind, Kind::Bool),
        EsType::Date => matches!(v.kind, Kind::Date),
        EsType::Keyword | EsType::Text | EsType::Ip => matches!(v.kind, Kind::Str(_)),
        EsType::Object => false,
    });
    Ok(found)
}

/// All columns under a name.
pub fn open_named(reader: &SegmentReader, name: &str) -> Result<Vec<Values>, Refusal> {
    let mut found = Vec::new();
    for handle in reader.fast_fields().dynamic_column_handles(name)? {
        let kind = match handle.column_type() {
            ColumnType::I64 => Kind::I64,
            ColumnType::U64 => Kind::U64,
            ColumnType::F64 => Kind::F64,
            ColumnType::Bool => Kind::Bool,
            ColumnType::DateTime => Kind::Date,
            ColumnType::Str => {
                if let DynamicColumn::Str(column) = handle.open()? {
                    found.push(Values { column: column.ords().clone(), kind: Kind::Str(column) });
                }
                continue;
            }
            ColumnType::Bytes | ColumnType::IpAddr => continue,
        };
        if let Some(column) = handle.open_u64_lenient()? {
            found.push(Values { column, kind });
        }
    }
    Ok(found)
}
