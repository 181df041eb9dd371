//! Which aggregations give the same for a whole segment whenever they are asked for, and the name by which that is kept.

use std::fmt::Write as _;

use serde_json::Value;

use super::ast::{Agg, Kind, Source};
use crate::mapping::Mapping;

/// Longest name: of a search that is asked for again and again, such as a page's or a dashboard's.
const NAME_BYTES_MAX: usize = 8_192;

/// A name of all that decides what the aggregations count in a segment, of which no file ever changes. `None` where the time
/// of the search or other documents have a say, and for kinds that are large or seldom asked for twice.
pub fn name(aggs: &[Agg], mapping: &Mapping) -> Option<String> {
    let mut name = String::new();
    add(aggs, mapping, &mut name).then_some(name).filter(|name| name.len() <= NAME_BYTES_MAX)
}

fn add(aggs: &[Agg], mapping: &Mapping, name: &mut String) -> bool {
    aggs.iter().all(|agg| {
        let source = match &agg.kind {
            Kind::Terms(terms) => &terms.source,
            // Ends may be given as times before now.
            Kind::DateHistogram(h) if h.hard.is_none() => &h.source,
            Kind::Histogram(h) => &h.source,
            Kind::Metric(_, source) => source,
            Kind::Pipeline(_) => return true,
            _ => return false,
        };
        if !is_timeless(source) {
            return false;
        }
        // A later mapping may know more of a field. Writing to a text cannot fail.
        let _ = write!(name, "{:?}{:?}[", agg.kind, mapping.resolve(&source.field));
        let fits = name.len() <= NAME_BYTES_MAX && add(&agg.subs, mapping, name);
        name.push(']');
        fits
    })
}

/// Whether what is counted is the same at any time, and in whatever index the segment is: a restored one may have another
/// name, and fields such as `_index` say it.
fn is_timeless(source: &Source) -> bool {
    !source.field.starts_with('_') && !matches!(&source.missing, Some(Value::String(text)) if text.contains("now"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_depends_on_the_time_of_the_search_has_no_name() {
        let name = |aggs: Value| name(&crate::aggs::parse::parse(&aggs).unwrap(), &Mapping::default());
        let terms = json!({"t": {"terms": {"field": "a"}, "aggs": {"m": {"max": {"field": "b"}}}}});
        assert!(name(terms.clone()).is_some());
        let mut other = terms.clone();
        other["t"]["aggs"]["m"] = json!({"min": {"field": "b"}});
        assert_ne!(name(terms.clone()), name(other));
        for (beneath, timeless) in [
            (json!({"terms": {"field": "a", "missing": "now-1d"}}), false),
            (json!({"terms": {"field": "a", "missing": "none"}}), true),
            (json!({"date_histogram": {"field": "d", "fixed_interval": "1m"}}), true),
            (
                json!({"date_histogram": {"field": "d", "fixed_interval": "1m", "hard_bounds": {"min": "now-1h"}}}),
                false,
            ),
            (json!({"date_range": {"field": "d", "ranges": [{"from": "now-1h"}]}}), false),
            (json!({"filter": {"range": {"d": {"gte": "now-1h"}}}}), false),
            (json!({"top_hits": {}}), false),
            (json!({"terms": {"field": "_index"}}), false),
        ] {
            assert_eq!(name(json!({"x": beneath})).is_some(), timeless, "{beneath}");
            let mut outer = terms.clone();
            outer["t"]["aggs"]["x"] = beneath.clone();
            assert_eq!(name(outer).is_some(), timeless, "beneath another: {beneath}");
        }
        assert_eq!(name(json!({"t": {"terms": {"field": "a".repeat(NAME_BYTES_MAX)}}})), None);
    }
}
