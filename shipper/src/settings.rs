//! The section `[shipper]` of the settings: as typed, then checked and complete.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use weir_daemon::settings::{Bytes, Mistake, Span, list};
use weir_daemon::tls::TlsFiles;

use crate::choose::Choice;
use crate::multiline::Grouping;
use crate::stream::Format;

/// Events of one window: what Filebeat sends at most.
const WINDOW_EVENTS: usize = 2048;
/// Bytes of one window before it is compressed. Four of them at most are in memory.
const WINDOW_BYTES: u64 = 1_000_000;
/// A window must hold at least some events, and not so many that memory stops being a promise.
const WINDOW_BYTES_RANGE: (u64, u64) = (16_000, 64_000_000);
/// Longest message of one event; what is longer is cut there and flagged. Elasticsearch users know it as `max_bytes`.
const LINE_BYTES: u64 = 1_048_576;
/// Less than this a second, and a window takes minutes: it would look like a dead connection.
const BANDWIDTH_MIN: u64 = 10_000;
/// Deleted files that stay on the disk because we hold them open: a tenth of a small disk.
const HELD_BYTES: u64 = 1_000_000_000;
/// Below this the partial lines of Docker (16 KB) would already be cut; above it a window cannot hold the line.
const LINE_BYTES_RANGE: (u64, u64) = (1_024, 16_000_000);

/// The section as typed. Every key has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where Docker keeps its containers; empty: no Docker.
    pub docker_root: String,
    /// Plain files to follow, as globs.
    #[serde(deserialize_with = "list")]
    pub paths: Vec<String>,
    /// What the lines of `paths` are: `auto`, `plain`, or `cri` (containerd's).
    pub format: String,
    /// Where the registry lives.
    pub data_dir: PathBuf,
    /// Aggregators as `host:port`; one is used at a time.
    #[serde(deserialize_with = "list")]
    pub aggregators: Vec<String>,
    /// zlib level, 0 (off) to 9; unset: 0 when every aggregator is on this machine, else 1.
    pub compression: Option<u32>,
    /// Events of a window at most.
    pub window_events: usize,
    /// Bytes of a window at most (one event more than that is possible).
    pub window_bytes: Bytes,
    /// Windows that may be unacknowledged on a connection.
    pub pipelining: usize,
    /// How long a line may wait for company in its window.
    pub linger: Span,
    /// `host.name` of every event; unset: the machine's.
    pub host_name: Option<String>,
    /// What tells this node from others in the identity of its sources; unset: the machine id.
    pub node_id: Option<String>,
    /// Join stack traces and the like: `auto`, `off`, or `pattern` for the three keys below.
    pub multiline: String,
    /// As Filebeat's `multiline.pattern`.
    pub multiline_pattern: String,
    /// As Filebeat's `multiline.negate`.
    pub multiline_negate: bool,
    /// As Filebeat's `multiline.match`: `after` or `before`.
    pub multiline_match: String,
    /// As Filebeat's `multiline.flush_pattern`; empty: none.
    pub multiline_flush_pattern: String,
    /// `keep` ANSI colours as they are, or `strip` them.
    pub ansi: String,
    /// Bytes of a message at most.
    pub max_line_bytes: Bytes,
    /// Have the kernel tell of new and renamed files; without, they are found by looking only.
    pub inotify: bool,
    /// Bytes of deleted, unread files that are held open at most; past it the oldest is given up, with a gap record.
    pub held_max: Bytes,
    /// Bytes of rotated, unread files that are copied to the data folder at most while no aggregator takes anything;
    /// 0: none.
    pub spool_max: Bytes,
    /// Bytes a second that are sent at most; 0: no limit.
    pub bandwidth_max: Bytes,
    /// Percent of one core that this process uses at most, on the mean; 0: no limit.
    pub cpu_max: u32,
    /// How often the folders are looked through, whatever the kernel tells.
    pub scan_interval: Span,
    /// `GET /metrics` and `/health`; empty: no port.
    pub admin: String,
    /// How long the aggregator may be silent while a window waits for its acknowledgement.
    pub timeout: Span,
    /// How long a connection is used before another one is made, so that load spreads over aggregators that came later
    /// and new certificates are used; 0: as long as it holds.
    pub connection_ttl: Span,
    /// Longest wait between two attempts to connect.
    pub backoff_max: Span,
    /// How long a shutdown waits for acknowledgements.
    pub drain: Span,
    /// Speak TLS to the aggregators.
    pub tls: bool,
    /// Certificate authority of the aggregators; set: TLS is on.
    pub tls_ca: Option<PathBuf>,
    /// Revocation list of that authority (PEM).
    pub tls_crl: Option<PathBuf>,
    /// Our certificate, for mutual TLS.
    pub tls_cert: Option<PathBuf>,
    /// The key of `tls_cert`.
    pub tls_key: Option<PathBuf>,
    /// Allow plain text to other machines, and an admin port that others can reach.
    pub insecure: bool,
    /// Ship only these: `name:web*`, `image:nginx*`, `service:…`, `stack:…`, `label:key=value`.
    #[serde(deserialize_with = "list")]
    pub include: Vec<String>,
    /// Never ship these; stronger than `include`.
    #[serde(deserialize_with = "list")]
    pub exclude: Vec<String>,
    /// Container labels that are sent along under `container.labels`.
    #[serde(deserialize_with = "list")]
    pub labels: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            docker_root: "/var/lib/docker/containers".to_owned(),
            paths: Vec::new(),
            format: "auto".to_owned(),
            data_dir: PathBuf::from("./weir-data/shipper"),
            aggregators: vec!["127.0.0.1:5044".to_owned()],
            compression: None,
            window_events: WINDOW_EVENTS,
            window_bytes: Bytes(WINDOW_BYTES),
            pipelining: 2,
            linger: Span(Duration::from_millis(100)),
            host_name: None,
            node_id: None,
            multiline: "auto".to_owned(),
            multiline_pattern: String::new(),
            multiline_negate: false,
            multiline_match: "after".to_owned(),
            multiline_flush_pattern: String::new(),
            ansi: "keep".to_owned(),
            max_line_bytes: Bytes(LINE_BYTES),
            inotify: true,
            held_max: Bytes(HELD_BYTES),
            spool_max: Bytes(0),
            bandwidth_max: Bytes(0),
            cpu_max: 0,
            scan_interval: Span(Duration::from_secs(1)),
            admin: "127.0.0.1:5066".to_owned(),
            timeout: Span(Duration::from_secs(60)),
            connection_ttl: Span(Duration::from_secs(600)),
            backoff_max: Span(Duration::from_secs(30)),
            drain: Span(Duration::from_secs(5)),
            tls: false,
            tls_ca: None,
            tls_crl: None,
            tls_cert: None,
            tls_key: None,
            insecure: false,
            include: Vec::new(),
            exclude: Vec::new(),
            labels: Vec::new(),
        }
    }
}

/// The settings, checked and complete. Only [`Settings::check`] makes one.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) docker_root: Option<PathBuf>,
    pub(crate) paths: Vec<String>,
    pub(crate) data_dir: PathBuf,
    pub(crate) aggregators: Vec<String>,
    pub(crate) compression: u32,
    pub(crate) window_events: usize,
    pub(crate) window_bytes: usize,
    pub(crate) pipelining: usize,
    pub(crate) linger: Duration,
    pub(crate) host_name: String,
    pub(crate) node_id: Option<String>,
    pub(crate) grouping: Grouping,
    pub(crate) strip_ansi: bool,
    pub(crate) format: Format,
    pub(crate) line_bytes_max: usize,
    pub(crate) inotify: bool,
    pub(crate) held_bytes_max: u64,
    pub(crate) spool_bytes_max: u64,
    pub(crate) bandwidth_max: u64,
    pub(crate) cpu_percent_max: u32,
    pub(crate) scan_interval: Duration,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) timeout: Duration,
    pub(crate) connection_ttl: Option<Duration>,
    pub(crate) backoff_max: Duration,
    pub(crate) drain: Duration,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) choice: Choice,
    pub(crate) labels: Vec<String>,
}

impl Config {
    /// Docker's folder of containers; none: Docker is not followed.
    pub fn docker_root(&self) -> Option<&std::path::Path> {
        self.docker_root.as_deref()
    }

    /// Where `/metrics`, `/health` and `/status` are answered.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Globs of plain files that are followed.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }
}

impl Settings {
    /// Checks every key.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn check(&self) -> Result<Config, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut wrong =
            |key: &str, problem: String, hint: &str| mistakes.push(Mistake::new(key, problem, hint.to_owned()));
        for address in &self.aggregators {
            let port = address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
            if !matches!(port, Some((host, Ok(_))) if !host.is_empty()) {
                wrong("aggregators", format!("`{address}` is not host:port"), "such as aggregator:5044");
            }
        }
        if self.aggregators.is_empty() {
            wrong("aggregators", "the list is empty".to_owned(), "name at least one, such as 127.0.0.1:5044");
        }
        if self.docker_root.is_empty() && self.paths.is_empty() {
            wrong("docker_root", "neither Docker nor paths to follow".to_owned(), "set docker_root or paths");
        }
        for path in &self.paths {
            if !path.starts_with('/') {
                wrong("paths", format!("`{path}` is not absolute"), "such as /var/log/nginx/*.log");
            }
        }
        if self.compression.is_some_and(|level| level > 9) {
            wrong("compression", format!("{} is not a zlib level", self.compression.unwrap_or(0)), "0 to 9");
        }
        if !(1..=100_000).contains(&self.window_events) {
            wrong("window_events", format!("{} is out of range", self.window_events), "1 to 100000");
        }
        let within = |value: u64, (low, high): (u64, u64)| (low..=high).contains(&value);
        if !within(self.window_bytes.get(), WINDOW_BYTES_RANGE) {
            wrong("window_bytes", format!("{} is out of range", self.window_bytes), "16KB to 64MB");
        }
        if !within(self.max_line_bytes.get(), LINE_BYTES_RANGE) {
            wrong("max_line_bytes", format!("{} is out of range", self.max_line_bytes), "1KiB to 16MB");
        }
        if !(1..=16).contains(&self.pipelining) {
            wrong("pipelining", format!("{} is out of range", self.pipelining), "1 to 16");
        }
        let grouping = match self.multiline.as_str() {
            "auto" => Grouping::Auto,
            "off" => Grouping::Off,
            "pattern" => {
                if !["after", "before"].contains(&self.multiline_match.as_str()) {
                    let problem = format!("`{}` is not known", self.multiline_match);
                    wrong("multiline_match", problem, "after or before");
                }
                let flush = (!self.multiline_flush_pattern.is_empty()).then_some(self.multiline_flush_pattern.as_str());
                let after = self.multiline_match == "after";
                Grouping::pattern(&self.multiline_pattern, self.multiline_negate, after, flush).unwrap_or_else(
                    |error| {
                        wrong("multiline_pattern", error, "a regular expression in the syntax of Rust's regex crate");
                        Grouping::Off
                    },
                )
            }
            other => {
                wrong("multiline", format!("`{other}` is not known"), "auto, off or pattern");
                Grouping::Off
            }
        };
        if !["keep", "strip"].contains(&self.ansi.as_str()) {
            wrong("ansi", format!("`{}` is not known", self.ansi), "keep or strip");
        }
        let format = match self.format.as_str() {
            "auto" => Format::Auto,
            "cri" => Format::Cri,
            "plain" => Format::Plain,
            other => {
                wrong("format", format!("`{other}` is not known"), "auto, plain or cri");
                Format::Auto
            }
        };
        for (key, span) in [("scan_interval", self.scan_interval), ("timeout", self.timeout)] {
            if span.get() < Duration::from_millis(50) {
                wrong(key, "too short".to_owned(), "at least 50ms");
            }
        }
        if self.bandwidth_max.get() > 0 && self.bandwidth_max.get() < BANDWIDTH_MIN {
            wrong("bandwidth_max", format!("{} is too little", self.bandwidth_max), "at least 10KB, or 0 for no limit");
        }
        let tls_files = TlsFiles {
            cert: self.tls_cert.clone(),
            key: self.tls_key.clone(),
            ca: self.tls_ca.clone(),
            crl: self.tls_crl.clone(),
        };
        let tls = self.tls || self.tls_ca.is_some();
        if tls && self.tls_ca.is_none() {
            wrong("tls_ca", "TLS is on and no authority is set".to_owned(), "the PEM file of your authority");
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            wrong("tls_cert", "tls_cert and tls_key go together".to_owned(), "set both or none");
        }
        let local = self.aggregators.iter().all(|address| is_loopback(address));
        if !tls && !local && !self.insecure {
            wrong(
                "aggregators",
                "log lines would cross the network in plain text".to_owned(),
                "set tls_ca, or say insecure = true if the network itself is trusted",
            );
        }
        let admin = if self.admin.is_empty() {
            None
        } else {
            match self.admin.parse::<SocketAddr>() {
                Ok(address) => {
                    if weir_daemon::exposure::check(address, false, false, self.insecure).is_err() {
                        let problem = format!(
                            "{address} can be reached from other machines, and has neither TLS nor credentials"
                        );
                        wrong("admin", problem, "use 127.0.0.1, or say insecure = true");
                    }
                    Some(address)
                }
                Err(_) => {
                    wrong("admin", format!("`{}` is not address:port", self.admin), "such as 127.0.0.1:5066");
                    None
                }
            }
        };
        let choice = Choice::parse(&self.include, &self.exclude).unwrap_or_else(|(key, problem)| {
            wrong(key, problem, "name:web*, image:nginx*, service:…, stack:… or label:key=value");
            Choice::default()
        });
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Config {
            docker_root: (!self.docker_root.is_empty()).then(|| PathBuf::from(&self.docker_root)),
            paths: self.paths.clone(),
            data_dir: self.data_dir.clone(),
            aggregators: self.aggregators.clone(),
            compression: self.compression.unwrap_or(u32::from(!local)),
            window_events: self.window_events,
            window_bytes: self.window_bytes.get() as usize,
            pipelining: self.pipelining,
            linger: self.linger.get(),
            host_name: self.host_name.clone().unwrap_or_else(machine_name),
            node_id: self.node_id.clone(),
            grouping,
            strip_ansi: self.ansi == "strip",
            format,
            line_bytes_max: self.max_line_bytes.get() as usize,
            inotify: self.inotify,
            held_bytes_max: self.held_max.get(),
            spool_bytes_max: self.spool_max.get(),
            bandwidth_max: self.bandwidth_max.get(),
            cpu_percent_max: self.cpu_max,
            scan_interval: self.scan_interval.get(),
            admin,
            timeout: self.timeout.get(),
            connection_ttl: Some(self.connection_ttl.get()).filter(|span| !span.is_zero()),
            backoff_max: self.backoff_max.get().max(Duration::from_millis(100)),
            drain: self.drain.get(),
            tls: tls.then_some(tls_files),
            choice,
            labels: self.labels.clone(),
        })
    }
}

/// Whether `host:port` surely stays on this machine. A name other than `localhost` is taken for another machine.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn machine_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_right_and_local_traffic_is_not_compressed() {
        let config = Settings::default().check().unwrap();
        assert_eq!(config.compression, 0);
        assert!(!config.host_name.is_empty());
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let settings = Settings {
            aggregators: vec!["nowhere".to_owned()],
            compression: Some(10),
            multiline: "maybe".to_owned(),
            paths: vec!["log/*.log".to_owned()],
            include: vec!["colour:red".to_owned()],
            ..Settings::default()
        };
        let mistakes = settings.check().unwrap_err();
        let keys: Vec<_> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
        for key in ["aggregators", "compression", "multiline", "paths", "include"] {
            assert!(keys.contains(&key), "{key} is not among {keys:?}");
        }
    }

    #[test]
    fn plain_text_to_another_machine_must_be_asked_for() {
        let mut settings = Settings { aggregators: vec!["aggregator:5044".to_owned()], ..Settings::default() };
        assert!(settings.check().unwrap_err()[0].problem.contains("plain text"));
        settings.insecure = true;
        assert_eq!(settings.check().unwrap().compression, 1);
        assert!(is_loopback("[::1]:5044") && is_loopback("localhost:1") && !is_loopback("10.0.0.1:1"));
    }
}
