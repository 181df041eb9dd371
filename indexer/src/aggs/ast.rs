//! The tree of aggregations that a request asks for.

use serde_json::{Map, Value};

use crate::query::ast::Query;
use crate::time::rounding::Interval;
use crate::time::zone::Zone;

/// One aggregation with those beneath it.
#[derive(Clone, Debug)]
pub struct Agg {
    /// Its name in the answer.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Those beneath it.
    pub subs: Vec<Agg>,
    /// `meta`: handed back as it is.
    pub meta: Option<Map<String, Value>>,
}

impl Agg {
    /// Calls `change` for every query in this aggregation and beneath it.
    pub fn walk_queries<E>(&mut self, change: &mut dyn FnMut(&mut Query) -> Result<(), E>) -> Result<(), E> {
        match &mut self.kind {
            Kind::Filter(query) => query.walk_mut(change)?,
            Kind::Filters { filters, .. } => filters.iter_mut().try_for_each(|(_, query)| query.walk_mut(change))?,
            Kind::AdjacencyMatrix { filters, .. } => {
                filters.iter_mut().try_for_each(|(_, query)| query.walk_mut(change))?;
            }
            _ => {}
        }
        self.subs.iter_mut().try_for_each(|sub| sub.walk_queries(change))
    }
}

/// Where values come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// The field.
    pub field: String,
    /// What stands for documents without a value.
    pub missing: Option<Value>,
    /// How values are written.
    pub format: Option<String>,
    /// Type of the values where no index knows the field.
    pub value_type: Option<String>,
}

/// The kinds of aggregation.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
#[expect(clippy::large_enum_variant, reason = "there is one for each aggregation of a request")]
pub enum Kind {
    Terms(Terms),
    MultiTerms {
        sources: Vec<Source>,
        terms: Terms,
    },
    DateHistogram(DateHistogram),
    AutoDateHistogram {
        source: Source,
        buckets: usize,
        zone: Zone,
    },
    Histogram(Histogram),
    Range {
        source: Source,
        ranges: Vec<RangeSpec>,
        keyed: bool,
        on: RangeOn,
        zone: Zone,
    },
    Filter(Query),
    Filters {
        filters: Vec<(Option<String>, Query)>,
        other: Option<String>,
        keyed: bool,
    },
    AdjacencyMatrix {
        filters: Vec<(String, Query)>,
        separator: String,
    },
    Missing {
        field: String,
    },
    Global,
    /// `nested`, `reverse_nested`, `sampler`: here all documents of the bucket.
    Whole(&'static str),
    Composite(Composite),
    Metric(Metric, Source),
    WeightedAvg {
        value: Source,
        weight: Source,
    },
    Cardinality(Source),
    Percentiles {
        source: Source,
        percents: Vec<f64>,
        keyed: bool,
        ranks: bool,
        hdr: Option<u32>,
    },
    Mad(Source),
    TopHits(Box<Map<String, Value>>),
    TopMetrics {
        metrics: Vec<String>,
        sort: Value,
        size: usize,
    },
    Pipeline(Pipeline),
}

impl Kind {
    /// Whether it is worked out from other aggregations alone.
    pub fn is_pipeline(&self) -> bool {
        matches!(self, Kind::Pipeline(_))
    }

    /// Whether it makes buckets that others may stand beneath.
    pub fn is_bucket(&self) -> bool {
        !matches!(
            self,
            Kind::Metric(..)
                | Kind::WeightedAvg { .. }
                | Kind::Cardinality(_)
                | Kind::Percentiles { .. }
                | Kind::Mad(_)
                | Kind::TopHits(_)
                | Kind::TopMetrics { .. }
                | Kind::Pipeline(_)
        )
    }
}

/// Simple numbers over values.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are Elasticsearch's")]
pub enum Metric {
    Avg,
    Sum,
    Min,
    Max,
    Stats,
    ExtendedStats { sigma: f64 },
    ValueCount,
}

/// How buckets are ordered.
#[derive(Clone, Debug, PartialEq)]
pub enum OrderBy {
    /// By number of documents.
    Count,
    /// By key.
    Key,
    /// By a number of an aggregation beneath: names along the way, then the value's name.
    Path(Vec<String>),
}

/// Orders, most important first; `true` is descending.
pub type Orders = Vec<(OrderBy, bool)>;

/// `terms`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
pub struct Terms {
    pub source: Source,
    pub size: usize,
    pub order: Orders,
    pub min_doc_count: u64,
    pub include: Option<Choice>,
    pub exclude: Option<Choice>,
    pub show_error: bool,
    /// `rare_terms`: at most so many documents.
    pub rare: Option<u64>,
}

/// Which terms are counted.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
pub enum Choice {
    Values(Vec<Value>),
    Regex(String),
    Partition { partition: u64, of: u64 },
}

/// Lower and upper end, where they are given.
pub type Ends<T> = (Option<T>, Option<T>);

/// `date_histogram`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
pub struct DateHistogram {
    pub source: Source,
    pub interval: Interval,
    pub zone: Zone,
    /// Milliseconds.
    pub offset: i64,
    pub min_doc_count: u64,
    pub order: Orders,
    pub keyed: bool,
    pub extended: Option<Ends<Value>>,
    pub hard: Option<Ends<Value>>,
}

/// `histogram`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
pub struct Histogram {
    pub source: Source,
    pub interval: f64,
    pub offset: f64,
    pub min_doc_count: u64,
    pub order: Orders,
    pub keyed: bool,
    pub extended: Option<Ends<f64>>,
    pub hard: Option<Ends<f64>>,
}

/// What a range's ends are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum RangeOn {
    Number,
    Date,
    Ip,
}

/// One range: `from` is in, `to` is out.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
pub struct RangeSpec {
    pub key: Option<String>,
    pub from: Option<Value>,
    pub to: Option<Value>,
    pub mask: Option<String>,
}

/// `composite`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
pub struct Composite {
    pub size: usize,
    pub sources: Vec<CompositeSource>,
    pub after: Option<Map<String, Value>>,
}

/// One source of a composite key.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
pub struct CompositeSource {
    pub name: String,
    pub source: Source,
    pub on: CompositeOn,
    pub descending: bool,
    pub missing_bucket: bool,
}

/// How a source makes keys of values.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
pub enum CompositeOn {
    Terms,
    Histogram { interval: f64 },
    DateHistogram { interval: Interval, zone: Zone, offset: i64 },
}

/// What to do with buckets that have no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Elasticsearch's")]
pub enum Gap {
    Skip,
    InsertZeros,
    KeepValues,
}

/// Aggregations worked out from others.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "members are named as in Elasticsearch's documentation")]
pub enum Pipeline {
    Derivative {
        path: String,
        gap: Gap,
        unit_millis: Option<f64>,
        format: Option<String>,
    },
    CumulativeSum {
        path: String,
        format: Option<String>,
    },
    SerialDiff {
        path: String,
        lag: usize,
        gap: Gap,
        format: Option<String>,
    },
    BucketSort {
        sort: Vec<(String, bool)>,
        from: usize,
        size: Option<usize>,
    },
    /// `avg_bucket` and its kin.
    Sibling {
        metric: Metric,
        path: String,
        gap: Gap,
        format: Option<String>,
    },
    PercentilesBucket {
        path: String,
        percents: Vec<f64>,
        gap: Gap,
    },
    MovingFn {
        path: String,
        window: usize,
        shift: i64,
        function: Moving,
        gap: Gap,
    },
}

/// The functions of `moving_fn` that are known by their script's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Elasticsearch's")]
pub enum Moving {
    Max,
    Min,
    Sum,
    UnweightedAvg,
    LinearWeightedAvg,
}
