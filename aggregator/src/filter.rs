//! The filters: one to a file, all in one list. A filter changes an event in place and says what became of it.

mod cidr;
mod clone;
mod common;
mod csv;
mod date;
mod dissect;
mod drop;
mod fingerprint;
mod geoip;
mod grok;
mod json;
mod kv;
mod level;
mod mutate;
mod prune;
mod split;
#[cfg(test)]
mod testing;
mod throttle;
pub(crate) mod time;
mod translate;
mod truncate;
mod urldecode;
mod useragent;

use jiff::Timestamp;

pub use common::Common;
pub(crate) use grok::pattern as grok_pattern;

use crate::event::Event;
use crate::pipeline::options::Options;

/// What became of an event.
#[derive(Debug)]
pub enum Outcome {
    /// The filter did its work: the common options are applied.
    Matched,
    /// It found nothing to do.
    Unmatched,
    /// It could not do its work, and tagged the event.
    Failed,
    /// The event is dropped on purpose.
    Dropped,
    /// There are more events of it now. Each gets the common options; the event itself only if `first` is set.
    Many {
        /// Whether the event itself is one of the new ones.
        first: bool,
        /// The others, in order.
        others: Vec<Event>,
    },
}

/// What filters may use while they run; one for each worker, so nothing in it is shared.
#[derive(Debug)]
pub struct Scratch {
    /// The time to take for now.
    pub now: Timestamp,
    /// A text to write in; its memory is kept.
    pub text: String,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { now: Timestamp::now(), text: String::new() }
    }
}

/// One filter with its options.
pub trait Filter: std::fmt::Debug + Send + Sync {
    /// Does its work on one event.
    fn apply(&self, event: &mut Event, scratch: &mut Scratch) -> Outcome;
}

/// Reads the options of one kind of filter. None where they are wrong; the reasons are in the options.
type Build = fn(&mut Options<'_>) -> Option<Box<dyn Filter>>;

/// All filters there are.
pub const FILTERS: &[(&str, Build)] = &[
    ("cidr", cidr::build),
    ("clone", clone::build),
    ("csv", csv::build),
    ("date", date::build),
    ("dissect", dissect::build),
    ("drop", drop::build),
    ("fingerprint", fingerprint::build),
    ("geoip", geoip::build),
    ("grok", grok::build),
    ("json", json::build),
    ("kv", kv::build),
    ("level", level::build),
    ("mutate", mutate::build),
    ("prune", prune::build),
    ("split", split::build),
    ("throttle", throttle::build),
    ("translate", translate::build),
    ("truncate", truncate::build),
    ("urldecode", urldecode::build),
    ("useragent", useragent::build),
];

/// Filters of Logstash that are not here, and what to use instead.
pub const REFUSED: &[(&str, &str)] = &[
    ("aggregate", "it needs all events in one place; count in a search instead"),
    ("alter", "use `mutate` inside of a condition"),
    ("anonymize", "use `fingerprint`"),
    ("bytes", "use `grok` with `:int`, and `mutate`"),
    ("cipher", "there is no replacement"),
    ("dns", "look-ups would hold every line back; use `translate` with a dictionary"),
    ("elapsed", "it needs all events in one place; compute it in a search instead"),
    ("elasticsearch", "look-ups would hold every line back; use `translate` with a dictionary"),
    ("http", "look-ups would hold every line back; use `translate` with a dictionary"),
    ("i18n", "use `mutate` with `gsub`"),
    ("java", "code in pipelines is not run; most of it can be had with `mutate` and conditions"),
    ("jdbc_static", "use `translate` with a dictionary"),
    ("jdbc_streaming", "use `translate` with a dictionary"),
    ("memcached", "use `translate` with a dictionary"),
    ("metrics", "weir counts by itself, see /metrics"),
    ("multiline", "lines are joined where they are read: see the shipper's multiline settings"),
    ("ruby", "code in pipelines is not run; most of it can be had with `mutate`, `grok`, `split` and conditions"),
    ("sleep", "there is no replacement"),
    ("uuid", "every event has an identity already; use `fingerprint` for one of your own"),
    ("xml", "use `grok`"),
];
