//! What one segment hands on, and how such parts are put together.

use tantivy::columnar::MonotonicallyMappableToU64;

use super::hash::Map;
use super::sketch::{Digest, Distinct};
use crate::search::top::Top;

/// The key of a bucket. Its order is the order of `_key`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// No value (composite with `missing_bucket`).
    Null,
    /// A bool.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64::MAX`.
    UInt(u64),
    /// Floating point, as an order-preserving number.
    Float(u64),
    /// Milliseconds since 1970.
    Date(i64),
    /// An address.
    Ip(u128),
    /// A text.
    Str(String),
    /// Several at once.
    Many(Vec<Key>),
}

impl Key {
    /// A key of a floating point number.
    pub fn float(n: f64) -> Key {
        Key::Float((if n == 0.0 { 0.0 } else { n }).to_u64())
    }

    /// Its value as number.
    pub fn number(&self) -> Option<f64> {
        Some(match self {
            Key::Bool(b) => f64::from(u8::from(*b)),
            Key::Int(n) | Key::Date(n) => *n as f64,
            Key::UInt(n) => *n as f64,
            Key::Float(n) => f64::from_u64(*n),
            _ => return None,
        })
    }

    /// Memory it takes beside its own size, in bytes.
    pub fn heap(&self) -> usize {
        match self {
            Key::Str(s) => s.len(),
            Key::Many(list) => list.iter().map(|k| std::mem::size_of::<Key>() + k.heap()).sum(),
            _ => 0,
        }
    }
}

/// Count, sum, smallest, largest and sum of squares of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Stats {
    pub count: u64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    pub squares: f64,
    /// What rounding took from `sum` (Kahan).
    pub lost: f64,
    /// The values are dates.
    pub dates: bool,
    /// The values are bools.
    pub bools: bool,
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            squares: 0.0,
            lost: 0.0,
            dates: false,
            bools: false,
        }
    }
}

impl Stats {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.squares += value * value;
        self.plus(value);
    }

    fn plus(&mut self, value: f64) {
        let y = value - self.lost;
        let t = self.sum + y;
        self.lost = if t.is_finite() { (t - self.sum) - y } else { 0.0 };
        self.sum = t;
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Stats) {
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.squares += other.squares;
        self.plus(other.sum);
        self.dates |= other.dates;
        self.bools |= other.bools;
    }
}

/// A bucket: its documents, and the parts of the aggregations beneath it.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    /// Number of documents.
    pub count: u64,
    /// One for each aggregation beneath, in their order.
    pub subs: Vec<Partial>,
}

impl Bucket {
    fn heap(&self) -> Option<usize> {
        self.subs.iter().map(|sub| Some(size_of::<Partial>() + sub.heap()?)).sum()
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Bucket) {
        self.count += other.count;
        if self.subs.is_empty() {
            self.subs = other.subs;
            return;
        }
        for (ours, theirs) in self.subs.iter_mut().zip(other.subs) {
            ours.merge(theirs);
        }
    }
}

/// The part of one aggregation that one segment knows.
#[derive(Clone, Debug, Default)]
pub enum Partial {
    /// No document came here.
    #[default]
    Nothing,
    /// Numbers.
    Stats(Stats),
    /// Sum of values times weights, and of weights.
    Weighted(f64, f64),
    /// Distinct values.
    Distinct(Distinct),
    /// Quantiles.
    Digest(Digest),
    /// Best documents.
    Top(Top),
    /// Buckets by key.
    Keyed(Map<Key, Bucket>),
    /// Buckets by place: ranges, filters.
    Slots(Vec<Bucket>),
    /// One bucket.
    One(Box<Bucket>),
}

impl Partial {
    /// About how much memory it takes beside its own size, in bytes; `None` for kinds of which that is not known.
    pub fn heap(&self) -> Option<usize> {
        let of = |buckets: &[Bucket]| buckets.iter().map(|b| Some(size_of::<Bucket>() + b.heap()?)).sum();
        match self {
            Partial::Nothing | Partial::Stats(_) | Partial::Weighted(..) => Some(0),
            Partial::Keyed(map) => {
                let entry = size_of::<Key>() + size_of::<Bucket>() + 16;
                map.iter().map(|(key, bucket)| Some(entry + key.heap() + bucket.heap()?)).sum()
            }
            Partial::Slots(buckets) => of(buckets),
            Partial::One(bucket) => of(std::slice::from_ref(bucket)),
            Partial::Distinct(_) | Partial::Digest(_) | Partial::Top(_) => None,
        }
    }

    /// Adds all of another part of the same aggregation.
    pub fn merge(&mut self, other: Partial) {
        match (&mut *self, other) {
            (_, Partial::Nothing) => {}
            (Partial::Nothing, other) => *self = other,
            (Partial::Stats(a), Partial::Stats(b)) => a.merge(&b),
            (Partial::Weighted(v, w), Partial::Weighted(v2, w2)) => {
                *v += v2;
                *w += w2;
            }
            (Partial::Distinct(a), Partial::Distinct(b)) => a.merge(b),
            (Partial::Digest(a), Partial::Digest(b)) => a.merge(&b),
            (Partial::Top(a), Partial::Top(b)) => a.merge(b),
            (Partial::Keyed(a), Partial::Keyed(b)) => {
                for (key, bucket) in b {
                    match a.get_mut(&key) {
                        Some(ours) => ours.merge(bucket),
                        None => {
                            a.insert(key, bucket);
                        }
                    }
                }
            }
            (Partial::Slots(a), Partial::Slots(b)) => a.iter_mut().zip(b).for_each(|(a, b)| a.merge(b)),
            (Partial::One(a), Partial::One(b)) => a.merge(*b),
            // Parts of one aggregation are of one kind.
            (_, _) => {}
        }
    }
}
