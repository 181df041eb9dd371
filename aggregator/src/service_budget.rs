//! Byte budgets of services: what a service may have kept in a time. Over it the least severe lines go first.
//!
//! Each service has a token bucket that fills evenly and holds one budget. A line is kept while the bucket holds more
//! than what is reserved for lines that are more severe: half of it is out of reach of info, an eighth of it out of
//! reach of errors. So a flood of one level cannot use up what the next one needs, and no service what another one may.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value as Json, json};
use weir_daemon::settings::Bytes;
use weir_daemon::{Counter, Metrics};

use crate::level::Level;

/// What the drop ledger calls the rule.
pub(crate) const RULE: &str = "service_budget";
/// The time of a budget that names none.
const PERIOD_DEFAULT: Duration = Duration::from_secs(3600);
/// Services that are counted apart, at about 300 bytes each; those beyond share one bucket.
const SERVICES_MAX: usize = 1_000;
/// The share of a bucket, in eighths, that lines of a level cannot reach. Those of no known level count as notices.
const RESERVED_EIGHTHS: [(Level, u32); 7] = [
    (Level::Trace, 6),
    (Level::Debug, 5),
    (Level::Info, 4),
    (Level::Notice, 3),
    (Level::Warn, 2),
    (Level::Error, 1),
    (Level::Critical, 0),
];

/// One budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget {
    bytes: u64,
    period: Duration,
}

/// Which service has which budget.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BudgetRules {
    named: HashMap<String, Budget>,
    /// Of every service that is not named.
    others: Option<Budget>,
}

impl BudgetRules {
    /// Reads `NAME=BYTES/TIME`, such as `web=10MB/1h`; the name `*` means all others.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let mut rules = Self::default();
        for text in texts {
            let wrong = || format!("{text:?} is no budget");
            let (name, amount) = text.split_once('=').ok_or_else(wrong)?;
            let (bytes, period) = match amount.split_once('/') {
                Some((bytes, period)) => (bytes, span(period).ok_or_else(wrong)?),
                None => (amount, PERIOD_DEFAULT),
            };
            let bytes: Bytes = serde_json::from_value(json!(bytes.trim())).map_err(|_| wrong())?;
            if bytes.get() == 0 || period.is_zero() {
                return Err(wrong());
            }
            let budget = Budget { bytes: bytes.get(), period };
            match name.trim() {
                "*" => rules.others = Some(budget),
                name => {
                    rules.named.insert(name.to_owned(), budget);
                }
            }
        }
        Ok(rules)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.others.is_none()
    }
}

fn span(text: &str) -> Option<Duration> {
    let text = text.trim();
    // `1h` and `h` alike: "10MB/h" is how people say it.
    let text = if text.starts_with(|c: char| c.is_ascii_digit()) { text.to_owned() } else { format!("1{text}") };
    serde_json::from_value::<weir_daemon::settings::Span>(json!(text)).ok().map(|span| span.get())
}

/// The budgets and what is left of them.
pub(crate) struct ServiceBudgets {
    rules: BudgetRules,
    buckets: Mutex<HashMap<Box<str>, Bucket>>,
    dropped: Counter,
}

struct Bucket {
    budget: Budget,
    bytes_left: f64,
    filled: Instant,
    /// What was dropped and not told yet.
    over: Option<Over>,
}

struct Over {
    since: Timestamp,
    bytes: u64,
    /// By severity; the last one is of no known level.
    lines: [u64; RESERVED_EIGHTHS.len() + 1],
}

impl ServiceBudgets {
    /// Full buckets.
    pub fn new(rules: BudgetRules, metrics: &Metrics) -> Self {
        let help = "Lines that were dropped because their service was over its budget.";
        let dropped = metrics.counter("weir_aggregator_budget_dropped_total", help, &[]);
        Self { rules, buckets: Mutex::default(), dropped }
    }

    /// Takes the bytes of a line out of its service's bucket. False when there is no room for it.
    pub fn take(&self, service: &str, level: Option<Level>, bytes: usize, now: Instant) -> bool {
        let (name, budget) = match (self.rules.named.get(service), self.rules.others) {
            (Some(budget), _) => (service, *budget),
            (None, Some(budget)) => (service, budget),
            (None, None) => return true,
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(name) && buckets.len() >= SERVICES_MAX {
            // What is full again has nothing to remember.
            buckets.retain(|_, bucket| bucket.over.is_some() || !bucket.is_full(now));
        }
        let name = if buckets.contains_key(name) || buckets.len() < SERVICES_MAX { name } else { "(other services)" };
        let bucket = match buckets.get_mut(name) {
            Some(bucket) => bucket,
            None => buckets.entry(name.into()).or_insert_with(|| Bucket::full(budget, now)),
        };
        if bucket.take(level, bytes, now) {
            return true;
        }
        self.dropped.inc();
        let over = bucket.over.get_or_insert_with(|| Over { since: Timestamp::now(), bytes: 0, lines: [0; 8] });
        over.bytes += u64::try_from(bytes).unwrap_or(0);
        let place = level.and_then(|level| RESERVED_EIGHTHS.iter().position(|(other, _)| *other == level));
        over.lines[place.unwrap_or(RESERVED_EIGHTHS.len())] += 1;
        false
    }

    /// A document for each service that was over its budget since the last call.
    pub fn take_records(&self) -> Vec<Json> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let over = buckets.iter_mut().filter_map(|(name, bucket)| Some((name, bucket.budget, bucket.over.take()?)));
        over.map(|(name, budget, over)| record(name, budget, &over)).collect()
    }
}

impl Bucket {
    fn full(budget: Budget, now: Instant) -> Self {
        Self { budget, bytes_left: budget.bytes as f64, filled: now, over: None }
    }

    fn fill(&mut self, now: Instant) {
        let share = now.saturating_duration_since(self.filled).as_secs_f64() / self.budget.period.as_secs_f64();
        self.bytes_left = (self.bytes_left + share * self.budget.bytes as f64).min(self.budget.bytes as f64);
        self.filled = now;
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.bytes_left >= self.budget.bytes as f64
    }

    fn take(&mut self, level: Option<Level>, bytes: usize, now: Instant) -> bool {
        self.fill(now);
        let level = level.unwrap_or(Level::Notice);
        let eighths = RESERVED_EIGHTHS.iter().find(|(other, _)| *other == level).map_or(0, |(_, eighths)| *eighths);
        let reserved = self.budget.bytes as f64 * f64::from(eighths) / 8.0;
        let left = self.bytes_left - bytes as f64;
        if left < reserved {
            return false;
        }
        self.bytes_left = left;
        true
    }
}

fn record(service: &str, budget: Budget, over: &Over) -> Json {
    let lines: u64 = over.lines.iter().sum();
    let mut levels = String::new();
    let names = RESERVED_EIGHTHS.iter().map(|(level, _)| level.as_str()).chain(["of no known level"]);
    for (name, count) in names.zip(over.lines).filter(|(_, count)| *count > 0) {
        // Writing to a String cannot fail.
        let _ = write!(levels, "{}{count} {name}", if levels.is_empty() { "" } else { ", " });
    }
    let message = format!(
        "weir: {service} is over its budget of {} in {} s: {lines} lines ({} bytes) were dropped since {}, the least \
         severe first: {levels}",
        Bytes(budget.bytes),
        budget.period.as_secs(),
        over.bytes,
        over.since,
    );
    json!({
        "@timestamp": over.since.to_string(),
        "message": message,
        "log": { "level": "warn" },
        "service": { "name": service },
        "event": { "kind": "event", "dataset": "weir.budget" },
        "weir": { "dropped": { "events": lines, "bytes": over.bytes } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets(rules: &[&str]) -> ServiceBudgets {
        let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        ServiceBudgets::new(BudgetRules::parse(&rules).unwrap(), &Metrics::new())
    }

    #[test]
    fn rules_are_read_and_wrong_ones_are_told() {
        let rules = BudgetRules::parse(&["web=10MB/1h".into(), "*=1GB".into(), "db=5KB/m".into()]).unwrap();
        assert_eq!(rules.named["web"], Budget { bytes: 10_000_000, period: Duration::from_secs(3600) });
        assert_eq!(rules.named["db"], Budget { bytes: 5_000, period: Duration::from_secs(60) });
        assert_eq!(rules.others, Some(Budget { bytes: 1_000_000_000, period: PERIOD_DEFAULT }));
        for wrong in ["web", "web=much", "web=0", "web=1MB/never"] {
            assert!(BudgetRules::parse(&[wrong.into()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_least_severe_go_first_and_come_back_last() {
        let budgets = budgets(&["web=8000/80s"]);
        let start = Instant::now();
        let count = |level, at: u64| {
            (0..1000).take_while(|_| budgets.take("web", level, 100, start + Duration::from_secs(at))).count()
        };
        assert_eq!(count(Some(Level::Trace), 0), 20, "a quarter of the bucket");
        assert_eq!(count(Some(Level::Info), 0), 20, "down to a half");
        assert_eq!(count(None, 0), 10);
        assert_eq!(count(Some(Level::Notice), 0), 0, "what states no level counts as that");
        assert_eq!(count(Some(Level::Warn), 0), 10);
        assert_eq!(count(Some(Level::Error), 0), 10);
        assert_eq!(count(Some(Level::Critical), 0), 10);
        assert_eq!(count(Some(Level::Critical), 0), 0, "all is used up");
        assert_eq!(count(Some(Level::Info), 39), 0, "it fills for the severe ones first");
        assert_eq!(count(Some(Level::Error), 39), 29);
        assert_eq!(count(Some(Level::Info), 200), 40, "full again, and no fuller");
        assert!(budgets.take("db", Some(Level::Trace), 1 << 40, start), "it has no budget");
    }

    #[test]
    fn one_service_takes_nothing_from_another_and_what_was_dropped_is_told_once() {
        let budgets = budgets(&["*=1000/1h"]);
        let now = Instant::now();
        assert!(budgets.take("web", Some(Level::Info), 500, now));
        for level in [Some(Level::Info), Some(Level::Info), None] {
            assert!(!budgets.take("web", level, 200, now));
        }
        assert!(budgets.take("db", Some(Level::Info), 500, now));
        let records = budgets.take_records();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0]["weir"]["dropped"], json!({ "events": 3, "bytes": 600 }));
        assert_eq!(records[0]["service"]["name"], "web");
        let message = records[0]["message"].as_str().unwrap();
        assert!(message.contains("2 info, 1 of no known level"), "{message}");
        assert!(budgets.take_records().is_empty());
    }

    #[test]
    fn services_without_end_share_one_bucket() {
        let budgets = budgets(&["*=1000/1h"]);
        let now = Instant::now();
        for n in 0..SERVICES_MAX + 100 {
            budgets.take(&format!("service-{n}"), Some(Level::Error), 10, now);
        }
        assert!(budgets.buckets.lock().unwrap().len() <= SERVICES_MAX + 1);
    }
}
