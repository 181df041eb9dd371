//! The node watch: warns of containers whose logs Docker never rotates, and of a Docker root that fills up. Warnings are
//! events of a source of their own (`event.dataset: weir.node`), whose positions are times: what was not acknowledged
//! before a kill is warned of again after it, if it still holds.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::batch::{Batch, Envelope, Event, Flags, SENDER};
use crate::counters::Counters;
use crate::docker::Metadata;
use crate::escape::{push_json_string, push_json_text};
use crate::identity::hash;
use crate::time::now_rfc3339;

/// A disk that is full within this time is warned of.
const FULL_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// A disk with less than this part of it free is warned of, whether or not it fills.
const FREE_MIN: f64 = 0.05;
/// How long until a warning about the disk is repeated.
const REPEAT: Duration = Duration::from_secs(3600);
/// Over how long the falling of free space is a mean.
const MEAN: Duration = Duration::from_secs(300);
/// How long the disk is looked at before an estimate is believed.
const SETTLED: Duration = Duration::from_secs(60);

/// What is said of one container's log.
pub(crate) struct LogReport<'a> {
    pub(crate) name: &'a str,
    pub(crate) key: &'a str,
    pub(crate) metadata: Option<&'a Metadata>,
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// Bytes a second.
    pub(crate) growth: f64,
}

/// The watch over one node.
pub(crate) struct Node {
    root: Option<PathBuf>,
    host: String,
    labels: Vec<String>,
    source: u64,
    /// Position of the last warning.
    last: u64,
    begun: Instant,
    free: Option<(Instant, u64)>,
    /// Bytes a second by which free space falls.
    falling: f64,
    warned: Option<Instant>,
}

impl Node {
    /// The watch over the file system of `root`.
    pub(crate) fn new(root: Option<&Path>, node: &str, host: &str, labels: &[String]) -> Self {
        Self {
            root: root.map(Path::to_owned),
            host: host.to_owned(),
            labels: labels.to_vec(),
            // The low bits as those of a log's own records.
            source: hash(&[node.as_bytes(), b"weir.node"]) & !3 | 2,
            last: 0,
            begun: Instant::now(),
            free: None,
            falling: 0.0,
            warned: None,
        }
    }

    /// Looks at the disk. Answers what there is to warn of. `growth`: bytes a second by which all logs grow.
    pub(crate) fn look(&mut self, now: Instant, growth: f64, counters: &Counters) -> Option<String> {
        let disk = rustix::fs::statvfs(self.root.as_deref()?).ok()?;
        let (free, size) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
        self.note(now, free);
        let full_in = self.full_in(now, free);
        counters.root_free_bytes.set(free as i64);
        counters.root_bytes.set(size as i64);
        counters.root_full_seconds.set(full_in.map_or(-1, |span| span.as_secs() as i64));
        let scarce = size > 0 && (free as f64) < size as f64 * FREE_MIN;
        if !scarce && full_in.is_none_or(|span| span > FULL_WITHIN) || self.warned.is_some_and(|at| now < at + REPEAT) {
            return None;
        }
        self.warned = Some(now);
        Some(disk_warning(self.root.as_deref()?, free, size, full_in, growth))
    }

    fn note(&mut self, now: Instant, free: u64) {
        if let Some((then, before)) = self.free {
            let seconds = now.duration_since(then).as_secs_f64();
            if seconds > 0.0 {
                let fell = (before as f64 - free as f64) / seconds;
                self.falling += (fell - self.falling) * (1.0 - (-seconds / MEAN.as_secs_f64()).exp());
            }
        }
        self.free = Some((now, free));
    }

    fn full_in(&self, now: Instant, free: u64) -> Option<Duration> {
        // A thousand years are as good as never.
        let seconds = (self.falling >= 1.0).then(|| free as f64 / self.falling).filter(|seconds| *seconds < 3.2e10)?;
        (now.duration_since(self.begun) >= SETTLED).then(|| Duration::from_secs_f64(seconds))
    }

    /// Puts a warning into a batch.
    pub(crate) fn push(&mut self, warning: &str, log: Option<&LogReport<'_>>, batch: &mut Batch) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX - 1).max(self.last + 1);
        self.last = start;
        let mut text = Vec::new();
        push_json_text(warning.as_bytes(), &mut text);
        let time = now_rfc3339();
        let flags = Flags::default();
        let event = Event { time: time.as_bytes(), text: &text, start, end: start + 1, offset: 0, flags };
        // Only a document past 4 GiB is refused.
        batch.push(&event, &self.envelope(log));
        tracing::warn!("{warning}");
    }

    fn envelope(&self, log: Option<&LogReport<'_>>) -> Envelope {
        let mut close = b",\"level\":\"warn\"},".to_vec();
        match log {
            Some(log) => {
                let unknown = Metadata::default();
                log.metadata.unwrap_or(&unknown).push_fields(log.key, &self.host, &self.labels, &mut close);
            }
            None => {
                close.extend_from_slice(b"\"host\":{\"name\":");
                push_json_string(self.host.as_bytes(), &mut close);
                close.push(b'}');
            }
        }
        close.extend_from_slice(b",\"event\":{\"dataset\":\"weir.node\"}}");
        let open = b"\",\"@metadata\":{\"weir\":{\"start\":".to_vec();
        let middle = format!(",\"source\":\"{:016x}\"}},{SENDER}}},\"log\":{{\"offset\":", self.source);
        Envelope::new(open, middle.into_bytes(), close)
    }
}

/// What is said of a container whose log is never rotated.
pub(crate) fn unlimited(log: &LogReport<'_>) -> String {
    format!(
        "WARN weir: Docker never rotates the log of container {}: it has no max-size, takes {} and grows by {} a day; \
         set log-opts max-size and max-file, and create the container anew (limits in daemon.json are for new containers only)",
        log.name,
        bytes(log.bytes as f64),
        bytes(log.growth * 86_400.0)
    )
}

fn disk_warning(root: &Path, free: u64, size: u64, full_in: Option<Duration>, growth: f64) -> String {
    let when = match full_in {
        Some(span) => format!("full in about {} at the present rate", span_text(span)),
        None => "not filling at present".to_owned(),
    };
    format!(
        "WARN weir: the disk of {} has {} of {} free and is {when}; container logs grow by {} a day",
        root.display(),
        bytes(free as f64),
        bytes(size as f64),
        bytes(growth * 86_400.0)
    )
}

fn span_text(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

/// A number of bytes for people.
pub(crate) fn bytes(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_full_follows_the_rate_at_which_space_falls() {
        let mut node = Node::new(None, "n", "h", &[]);
        let begin = node.begun;
        let free = |second: u64| 1_000_000_000 - second * 100_000;
        for second in (0..3600).step_by(5) {
            node.note(begin + Duration::from_secs(second), free(second));
        }
        let now = begin + Duration::from_secs(3595);
        let left = node.full_in(now, free(3595)).unwrap().as_secs();
        assert!((6400..6410).contains(&left), "{left}");
        for second in (3600..9000).step_by(5) {
            node.note(begin + Duration::from_secs(second), free(3600));
        }
        assert_eq!(node.full_in(begin + Duration::from_secs(9000), free(3600)), None, "it does not fill any more");
    }

    #[test]
    fn warnings_are_events_whose_positions_only_grow() {
        let mut node = Node::new(None, "n", "h", &[]);
        let mut batch = Batch::default();
        let report = LogReport { name: "web", key: "abc", metadata: None, bytes: 123_456_789, growth: 10.0 };
        node.push(&unlimited(&report), Some(&report), &mut batch);
        node.push("full", None, &mut batch);
        let mut decoder = weir_lumberjack::Decoder::new(weir_lumberjack::Limits::default());
        decoder.space().extend_from_slice(batch.window.plain());
        let mut starts = Vec::new();
        while let Some(item) = decoder.next().unwrap() {
            if let weir_lumberjack::Item::Event { document, .. } = item {
                let value: serde_json::Value = serde_json::from_slice(&document).unwrap();
                assert_eq!(value["event"]["dataset"], "weir.node");
                assert_eq!(value["host"]["name"], "h");
                starts.push(value["@metadata"]["weir"]["start"].as_u64().unwrap());
                if starts.len() == 1 {
                    assert_eq!(value["container"]["id"], "abc");
                    assert!(value["message"].as_str().unwrap().contains("takes 123.5 MB and grows by 864.0 kB a day"));
                }
            }
        }
        assert!(starts.len() == 2 && starts[0] < starts[1], "{starts:?}");
    }

    #[test]
    fn a_disk_with_little_left_is_told_once_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        let counters = Counters::new(&weir_daemon::Metrics::new());
        let mut node = Node::new(Some(folder.path()), "n", "h", &[]);
        let now = Instant::now();
        node.look(now, 0.0, &counters);
        assert!(counters.root_bytes.get() > 0);
        let told = disk_warning(folder.path(), 5, 1000, Some(Duration::from_secs(7200)), 1.0);
        assert!(told.contains("full in about 2 h"), "{told}");
    }
}
