//! Time as Elasticsearch writes it: date formats, date math, time zones, intervals and their rounding.
//!
//! A moment is an `i128` of nanoseconds since 1970 where it is read ([`Nanos`]) and an `i64` of milliseconds where
//! it is counted ([`Millis`]): a query may name the year 9999, an index cannot hold it.

pub mod format;
pub mod math;
mod pattern;
pub mod rounding;
pub mod span;
pub mod zone;

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub type Nanos = i128;
/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// Nanoseconds in a millisecond.
pub const NANOS_PER_MILLI: i128 = 1_000_000;

/// The millisecond a moment lies in (rounded down, also before 1970).
pub fn to_millis(nanos: Nanos) -> Millis {
    nanos.div_euclid(NANOS_PER_MILLI).clamp(i64::MIN as i128, i64::MAX as i128) as i64
}

/// The present moment.
pub fn now() -> Nanos {
    jiff::Timestamp::now().as_nanosecond()
}
