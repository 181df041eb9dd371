//! Counters and gauges, rendered in Prometheus' text exposition format (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Series one metric name may have. Labels can carry names from outside (services, files): past this number all further
/// label sets share one series whose labels say `other`, so that a scrape and this map stay small.
const SERIES_PER_NAME_MAX: usize = 1_000;

/// A number that only grows. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
enum Cell {
    Counter(Counter),
    Gauge(Gauge),
}

struct Family {
    help: &'static str,
    kind: &'static str,
    series: BTreeMap<String, Cell>,
}

/// All series of a process. Cheap to clone; clones share the series.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<&'static str, Family>>>);

impl Metrics {
    /// No series yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counter of this name and these labels, made on first use. Keep the answer: the look-up takes a lock.
    /// A name that is already a gauge gives a counter that is not shown.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Counter {
        match self.cell(name, help, "counter", labels, || Cell::Counter(Counter::default())) {
            Cell::Counter(counter) => counter,
            Cell::Gauge(_) => Counter::default(),
        }
    }

    /// The gauge of this name and these labels, made on first use.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        match self.cell(name, help, "gauge", labels, || Cell::Gauge(Gauge::default())) {
            Cell::Gauge(gauge) => gauge,
            Cell::Counter(_) => Gauge::default(),
        }
    }

    /// Forgets one series, for things that are gone (a removed container's file).
    pub fn remove(&self, name: &str, labels: &[(&str, &str)]) {
        if let Some(family) = self.lock().get_mut(name) {
            family.series.remove(&label_text(labels));
        }
    }

    fn cell(
        &self,
        name: &'static str,
        help: &'static str,
        kind: &'static str,
        labels: &[(&str, &str)],
        new: impl Fn() -> Cell,
    ) -> Cell {
        let mut families = self.lock();
        let family = families.entry(name).or_insert_with(|| Family { help, kind, series: BTreeMap::new() });
        let mut key = label_text(labels);
        if family.series.len() >= SERIES_PER_NAME_MAX && !family.series.contains_key(&key) {
            let other: Vec<_> = labels.iter().map(|(name, _)| (*name, "other")).collect();
            key = label_text(&other);
        }
        family.series.entry(key).or_insert_with(new).clone()
    }

    /// The text of a scrape.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (name, family) in self.lock().iter() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {}", family.help, family.kind);
            for (labels, cell) in &family.series {
                let _ = match cell {
                    Cell::Counter(counter) => writeln!(text, "{name}{labels} {}", counter.get()),
                    Cell::Gauge(gauge) => writeln!(text, "{name}{labels} {}", gauge.get()),
                };
            }
        }
        text
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Family>> {
        // A panic while the lock was held leaves at worst a series unmade; the numbers stay true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn label_text(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let mut text = String::from("{");
    for (i, (name, value)) in labels.iter().enumerate() {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{}{name}=\"{value}\"", if i > 0 { "," } else { "" });
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_in_prometheus_text_form() {
        let metrics = Metrics::new();
        metrics.counter("weir_lines_total", "Lines.", &[("role", "a\"b")]).add(3);
        metrics.gauge("weir_lag_bytes", "Lag.", &[]).set(-1);
        assert_eq!(
            metrics.render(),
            "# HELP weir_lag_bytes Lag.\n# TYPE weir_lag_bytes gauge\nweir_lag_bytes -1\n\
             # HELP weir_lines_total Lines.\n# TYPE weir_lines_total counter\nweir_lines_total{role=\"a\\\"b\"} 3\n"
        );
    }

    #[test]
    fn the_number_of_series_is_bounded() {
        let metrics = Metrics::new();
        for i in 0..SERIES_PER_NAME_MAX + 50 {
            metrics.counter("c", "C.", &[("service", &i.to_string())]).inc();
        }
        let text = metrics.render();
        assert!(text.contains("c{service=\"other\"} 50"), "{text}");
        assert_eq!(text.lines().count(), 2 + SERIES_PER_NAME_MAX + 1);
    }
}
