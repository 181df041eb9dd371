//! The section `[indexer]` of weir.toml: as typed, and checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use weir_daemon::client::{Credentials, Host};
use weir_daemon::settings::{Bytes, Mistake, Span, list};
use weir_daemon::tls::{Reloading, TlsFiles, server_config, system_authorities};

use crate::access::book::Book;
use crate::snapshot::{self, Place, S3};
use crate::store::retention::{Retention, Rule};

/// Smallest heap that tantivy accepts for a writer.
const WRITER_HEAP_BYTES_MIN: u64 = 15_000_000;
/// Smallest partition: below it, files and their names cost more than what they hold.
const PARTITION_BYTES_MIN: u64 = 1_000_000;
/// Shortest time between two snapshots of the schedule.
const SNAPSHOT_EVERY_MIN: Duration = Duration::from_secs(1);
/// Smallest journal: it must hold one segment beside the one that is written.
const JOURNAL_BYTES_MIN: u64 = 1_000_000;

/// Settings as typed.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where to answer HTTP.
    pub listen: String,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Our certificate chain (PEM); with it, HTTPS.
    pub tls_cert: Option<PathBuf>,
    /// The key of `tls_cert`.
    pub tls_key: Option<PathBuf>,
    /// Clients must show a certificate of this authority.
    pub tls_ca: Option<PathBuf>,
    /// Clients whose certificates are in this revocation list (PEM) are refused; `weir certs revoke` writes it.
    pub tls_crl: Option<PathBuf>,
    /// Name of an admin beside those in `access_file`.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// File of users and tokens, which `weir users` and `weir tokens` write. Unset: `access.json` in `data_dir`.
    pub access_file: Option<PathBuf>,
    /// Other sites whose pages may use this API from a browser, such as `https://grafana.example`. None by default.
    #[serde(deserialize_with = "list")]
    pub cors_origins: Vec<String>,
    /// Most connections at once. A further one waits in the kernel's backlog.
    pub connections_max: usize,
    /// Most connections of one address. Behind a swarm's ingress all clients can have one address.
    pub connections_per_peer_max: usize,
    /// Files of alert rules and receivers, or folders of them; see docs/alerts.md.
    #[serde(deserialize_with = "list")]
    pub alerts: Vec<String>,
    /// The rules that come with weir are on.
    pub alerts_builtin: bool,
    /// How often alert rules are evaluated.
    pub alerts_interval: Span,
    /// Address of the page as people reach it, for links in messages.
    pub public_url: String,
    /// Show a cluster (Elasticsearch, OpenSearch, Quickwit) instead of keeping lines: URLs of its hosts; see docs/scaling.md.
    #[serde(deserialize_with = "list")]
    pub upstream: Vec<String>,
    /// User name for it.
    pub upstream_user: String,
    /// Its password.
    pub upstream_password: String,
    /// API key for it, `id:key` or that in base64.
    pub upstream_api_key: String,
    /// PEM file of the authority that its certificate comes from. Unset: those that the system trusts.
    pub upstream_ca: Option<PathBuf>,
    /// Listen beyond loopback without TLS and credentials.
    pub insecure: bool,
    /// Partitions that were closed longer ago than this are dropped; 0 keeps them until there is no room.
    pub retention_days: u32,
    /// Other ages, and bytes, for indices by name or pattern: `["audit-*=365d", "debug-*=3d,1GB"]`; the first that fits.
    pub retention_indices: Vec<String>,
    /// Other ages, and bytes, for the documents of a `service.name`: `["payments=365d", "chatty=2d,500MB"]`.
    pub retention_services: Vec<String>,
    /// Most bytes that this folder may take. Unset: 70 % of what is free (own data counted as free) at start, which
    /// leaves room for whatever else grows on the same disk.
    pub max_bytes: Option<Bytes>,
    /// Bytes of the file system that are always left free. Unset: 5 % of it, at most 2 GB.
    pub min_free_bytes: Option<Bytes>,
    /// A partition of this size is closed and the next one opened; at the latest after a day.
    pub partition_bytes: Bytes,
    /// A search shows what was accepted this long before it, or earlier.
    pub refresh_interval: Span,
    /// Longest body of a request, decompressed.
    pub max_body_bytes: Bytes,
    /// Accepted documents are put into the index files at the latest after this time, or this much journal.
    pub commit_interval: Span,
    /// Accepted documents are put into the index files at the latest when the journal has this size.
    pub journal_bytes: Bytes,
    /// Memory of the index writer before it flushes a segment.
    pub writer_heap_bytes: Bytes,
    /// Indices that are written at the same time; the one that was idle the longest is closed for another.
    pub open_writers: usize,
    /// The position of a source that was silent this long is forgotten. Longer than any log file lives.
    pub marks_retention: Span,
    /// Most sources whose position is kept, per index.
    pub marks_max: usize,
    /// Folders below which repositories of snapshots may be registered (Elasticsearch's `path.repo`).
    pub snapshot_paths: Vec<PathBuf>,
    /// Where snapshots are taken to by themselves: a folder (absolute) or `s3://bucket/prefix`. Unset: nowhere.
    pub snapshot_to: Option<String>,
    /// How often.
    pub snapshot_every: Span,
    /// How many of them are kept; the newest whole one always is.
    pub snapshot_keep: usize,
    /// S3-compatible storage, `https://s3.example:9000`. Unset: Amazon's.
    pub snapshot_s3_endpoint: Option<String>,
    /// Region that requests to it are signed for.
    pub snapshot_s3_region: String,
    /// Who signs requests to it.
    pub snapshot_s3_access_key: Option<String>,
    /// The secret that belongs to `snapshot_s3_access_key`.
    pub snapshot_s3_secret_key: Option<String>,
    /// Authorities (PEM) that its certificate may come from.
    pub snapshot_s3_ca: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9200".to_owned(),
            data_dir: "./weir-data/indexer".into(),
            tls_cert: None,
            tls_key: None,
            tls_ca: None,
            tls_crl: None,
            username: None,
            password: None,
            access_file: None,
            cors_origins: Vec::new(),
            connections_max: 1_024,
            connections_per_peer_max: 512,
            alerts: Vec::new(),
            alerts_builtin: true,
            alerts_interval: Span(Duration::from_secs(30)),
            public_url: String::new(),
            upstream: Vec::new(),
            upstream_user: String::new(),
            upstream_password: String::new(),
            upstream_api_key: String::new(),
            upstream_ca: None,
            insecure: false,
            retention_days: 30,
            retention_indices: Vec::new(),
            retention_services: Vec::new(),
            max_bytes: None,
            min_free_bytes: None,
            partition_bytes: Bytes(2_000_000_000),
            refresh_interval: Span(Duration::from_millis(500)),
            max_body_bytes: Bytes(100 * 1024 * 1024),
            commit_interval: Span(Duration::from_secs(30)),
            journal_bytes: Bytes(128 * 1024 * 1024),
            writer_heap_bytes: Bytes(32_000_000),
            open_writers: 4,
            marks_retention: Span(Duration::from_secs(7 * 24 * 3600)),
            marks_max: 65_536,
            snapshot_paths: Vec::new(),
            snapshot_to: None,
            snapshot_every: Span(Duration::from_secs(24 * 3600)),
            snapshot_keep: 14,
            snapshot_s3_endpoint: None,
            snapshot_s3_region: "us-east-1".to_owned(),
            snapshot_s3_access_key: None,
            snapshot_s3_secret_key: None,
            snapshot_s3_ca: "/etc/ssl/certs/ca-certificates.crt".into(),
        }
    }
}

/// Settings that were checked.
#[derive(Clone)]
pub struct Config {
    /// Where to answer HTTP, for whoever binds the listener.
    pub listen: SocketAddr,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// HTTPS.
    pub tls: Option<Arc<Reloading<tokio_rustls::rustls::ServerConfig>>>,
    /// Name and password of an admin beside those in `access_file`.
    pub own_user: Option<(String, String)>,
    /// File of users and tokens.
    pub access_file: PathBuf,
    /// See [`Settings::cors_origins`].
    pub cors_origins: Vec<String>,
    /// See [`Settings::connections_max`].
    pub connections_max: usize,
    /// See [`Settings::connections_per_peer_max`].
    pub connections_per_peer_max: usize,
    /// See [`Settings::alerts`].
    pub alerts: Vec<PathBuf>,
    /// See [`Settings::alerts_builtin`].
    pub alerts_builtin: bool,
    /// See [`Settings::alerts_interval`].
    pub alerts_interval: Duration,
    /// See [`Settings::public_url`].
    pub public_url: String,
    /// Hosts of the cluster that is shown; see [`Settings::upstream`].
    pub upstream: Option<Arc<[Host]>>,
    /// The settings that begin with `retention_`.
    pub retention: Retention,
    /// See [`Settings::max_bytes`].
    pub max_bytes: Option<u64>,
    /// See [`Settings::min_free_bytes`].
    pub min_free_bytes: Option<u64>,
    /// See [`Settings::partition_bytes`].
    pub partition_bytes: u64,
    /// See [`Settings::refresh_interval`].
    pub refresh_interval: Duration,
    /// See [`Settings::max_body_bytes`].
    pub max_body_bytes: u64,
    /// See [`Settings::commit_interval`].
    pub commit_interval: Duration,
    /// See [`Settings::journal_bytes`].
    pub journal_bytes: u64,
    /// See [`Settings::writer_heap_bytes`].
    pub writer_heap_bytes: usize,
    /// See [`Settings::open_writers`].
    pub open_writers: usize,
    /// See [`Settings::marks_retention`].
    pub marks_retention: Duration,
    /// See [`Settings::marks_max`].
    pub marks_max: usize,
    /// What the page tries pipelines with; brought by whoever runs the indexer.
    pub workbench: Option<Arc<dyn crate::Workbench>>,
    /// The settings that begin with `snapshot_`.
    pub snapshots: snapshot::Config,
}

impl Settings {
    /// Checks everything and tells all mistakes at once.
    ///
    /// # Errors
    /// Every mistake, with its key and what to do.
    pub fn check(&self) -> Result<Config, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut wrong = |key: &str, problem: String, hint: &str| mistakes.push(Mistake::new(key, problem, hint));
        let listen = self.listen.parse::<SocketAddr>();
        if listen.is_err() {
            wrong(
                "listen",
                format!("{:?} is not an address", self.listen),
                "an address and a port, such as 127.0.0.1:9200",
            );
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            wrong("tls_cert", "tls_cert and tls_key go together".to_owned(), "set both or none");
        }
        if self.tls_ca.is_some() && self.tls_cert.is_none() {
            wrong("tls_ca", "client certificates need TLS".to_owned(), "set tls_cert and tls_key too");
        }
        if self.tls_crl.is_some() && self.tls_ca.is_none() {
            wrong("tls_crl", "a revocation list is for client certificates".to_owned(), "set tls_ca too");
        }
        if self.username.is_some() != self.password.is_some() {
            wrong("username", "username and password go together".to_owned(), "set both or none");
        }
        let access_file = self.access_file.clone().unwrap_or_else(|| self.data_dir.join(crate::access::book::FILE));
        let mut somebody = false;
        match Book::load(&access_file) {
            Ok(book) => somebody = !book.is_empty(),
            Err(problem) => wrong("access_file", problem, "`weir users` and `weir tokens` write it"),
        }
        let alerts: Vec<PathBuf> = self.alerts.iter().map(PathBuf::from).collect();
        for mistake in crate::alerts::load::load(&alerts, self.alerts_builtin).err().unwrap_or_default() {
            wrong("alerts", mistake.to_string(), "");
        }
        if self.alerts_interval.get() < Duration::from_secs(1) {
            wrong("alerts_interval", "too short".to_owned(), "at least 1s");
        }
        for origin in &self.cors_origins {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.contains(['/', '*', ' '])) {
                let hint = "such as https://grafana.example, without a path; there is no * for all";
                wrong("cors_origins", format!("{origin:?} is no origin"), hint);
            }
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            let files = TlsFiles {
                cert: Some(cert.clone()),
                key: Some(key.clone()),
                ca: self.tls_ca.clone(),
                crl: self.tls_crl.clone(),
            };
            if let Err(error) = server_config(&files) {
                wrong("tls_cert", error.to_string(), "PEM files; `weir certs` makes them");
            }
        }
        let least = |key: &str, value: u64, least: u64, why: &str| {
            (value < least)
                .then(|| Mistake::new(key, format!("{value} is too small"), format!("at least {least}: {why}")))
        };
        let too_small = [
            least(
                "writer_heap_bytes",
                self.writer_heap_bytes.get(),
                WRITER_HEAP_BYTES_MIN,
                "the index writer needs it",
            ),
            least("partition_bytes", self.partition_bytes.get(), PARTITION_BYTES_MIN, "smaller ones are all overhead"),
            least("journal_bytes", self.journal_bytes.get(), JOURNAL_BYTES_MIN, "smaller ones are all overhead"),
            least("open_writers", self.open_writers as u64, 1, "something must be writable"),
            least("connections_max", self.connections_max as u64, 1, "somebody must be served"),
            least("connections_per_peer_max", self.connections_per_peer_max as u64, 1, "somebody must be served"),
            least("max_body_bytes", self.max_body_bytes.get(), 1_000, "a document must fit"),
            least("marks_max", self.marks_max as u64, 1, "without positions lines come twice"),
        ];
        mistakes.extend(too_small.into_iter().flatten());
        if self.writer_heap_bytes.get() > 2_000_000_000 {
            mistakes.push(Mistake::new(
                "writer_heap_bytes",
                "more than 2 GB",
                "tantivy's limit is 4 GB; 50 MB is plenty",
            ));
        }
        if let Ok(address) = listen {
            let credentials = self.username.is_some() || self.tls_ca.is_some() || somebody;
            if let Err(mistake) =
                weir_daemon::exposure::check(address, self.tls_cert.is_some(), credentials, self.insecure)
            {
                mistakes.push(mistake);
            }
        }
        let snapshots = self.check_snapshots(&mut mistakes);
        let upstream = self.check_upstream(&mut mistakes);
        let mut rules = |key: &str, texts: &[String]| {
            let read = |text: &String| {
                let rule = Rule::parse(text);
                let hint = "NAME=AGE, NAME=BYTES or NAME=AGE,BYTES, such as web=7d,500MB";
                rule.map_err(|problem| mistakes.push(Mistake::new(key, format!("{text:?}: {problem}"), hint))).ok()
            };
            texts.iter().filter_map(read).collect()
        };
        let retention = Retention {
            keep: (self.retention_days > 0).then(|| Duration::from_secs(u64::from(self.retention_days) * 86_400)),
            indices: rules("retention_indices", &self.retention_indices),
            services: rules("retention_services", &self.retention_services),
        };
        let Ok(listen) = listen else { return Err(mistakes) };
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let tls = match &self.tls_cert {
            None => None,
            Some(_) => {
                let files = TlsFiles {
                    cert: self.tls_cert.clone(),
                    key: self.tls_key.clone(),
                    ca: self.tls_ca.clone(),
                    crl: self.tls_crl.clone(),
                };
                let reloading = Reloading::new(files, server_config)
                    .map_err(|error| vec![Mistake::new("tls_cert", error.to_string(), "`weir certs` makes them")])?;
                Some(Arc::new(reloading))
            }
        };
        Ok(Config {
            listen,
            data_dir: self.data_dir.clone(),
            tls,
            own_user: self.username.clone().zip(self.password.clone()),
            access_file,
            alerts,
            alerts_builtin: self.alerts_builtin,
            alerts_interval: self.alerts_interval.get(),
            public_url: self.public_url.trim_end_matches('/').to_owned(),
            upstream,
            cors_origins: self.cors_origins.clone(),
            connections_max: self.connections_max,
            connections_per_peer_max: self.connections_per_peer_max,
            retention,
            max_bytes: self.max_bytes.map(Bytes::get),
            min_free_bytes: self.min_free_bytes.map(Bytes::get),
            partition_bytes: self.partition_bytes.get(),
            refresh_interval: self.refresh_interval.get(),
            max_body_bytes: self.max_body_bytes.get(),
            commit_interval: self.commit_interval.get(),
            journal_bytes: self.journal_bytes.get(),
            writer_heap_bytes: self.writer_heap_bytes.get() as usize,
            open_writers: self.open_writers,
            marks_retention: self.marks_retention.get(),
            marks_max: self.marks_max,
            workbench: None,
            snapshots,
        })
    }
}

impl Settings {
    fn check_upstream(&self, mistakes: &mut Vec<Mistake>) -> Option<Arc<[Host]>> {
        let credentials = Credentials {
            user: self.upstream_user.clone(),
            password: self.upstream_password.clone(),
            api_key: self.upstream_api_key.clone(),
            ..Credentials::default()
        };
        let files = TlsFiles { ca: self.upstream_ca.clone().or_else(system_authorities), ..TlsFiles::default() };
        let mut hosts = Vec::new();
        for url in &self.upstream {
            match Host::new(url, &credentials, &files, crate::upstream::ANSWER_TIME_MAX) {
                Ok(host) => hosts.push(host),
                Err(problem) => mistakes.push(Mistake::new("upstream", problem, "a URL such as https://cluster:9200")),
            }
        }
        (!hosts.is_empty()).then(|| hosts.into())
    }

    fn check_snapshots(&self, mistakes: &mut Vec<Mistake>) -> snapshot::Config {
        let mut wrong = |key: &str, problem: String, hint: &str| mistakes.push(Mistake::new(key, problem, hint));
        let s3 = match (&self.snapshot_s3_access_key, &self.snapshot_s3_secret_key) {
            (Some(access_key), Some(secret_key)) => Some(S3 {
                endpoint: self.snapshot_s3_endpoint.clone(),
                region: self.snapshot_s3_region.clone(),
                access_key: access_key.clone(),
                secret_key: secret_key.clone(),
                ca: self.snapshot_s3_ca.clone(),
            }),
            (None, None) => None,
            _ => {
                wrong("snapshot_s3_access_key", "both keys go together".to_owned(), "set snapshot_s3_secret_key too");
                None
            }
        };
        let to = self.snapshot_to.as_ref().and_then(|text| {
            let place = Place::parse(text);
            if place.is_none() {
                wrong("snapshot_to", format!("{text:?} is no place"), "an absolute folder, or s3://bucket/prefix");
            }
            place
        });
        if matches!(to, Some(Place::Bucket(..))) && s3.is_none() {
            wrong("snapshot_to", "a bucket needs credentials".to_owned(), "set snapshot_s3_access_key and its secret");
        }
        if let Some(path) = self.snapshot_paths.iter().find(|path| !path.is_absolute()) {
            wrong("snapshot_paths", format!("{} is not absolute", path.display()), "write it from / on");
        }
        if self.snapshot_keep == 0 {
            wrong("snapshot_keep", "0 keeps none".to_owned(), "at least 1");
        }
        if self.snapshot_every.get() < SNAPSHOT_EVERY_MIN {
            wrong("snapshot_every", "less than a second".to_owned(), "a day is usual: 24h");
        }
        snapshot::Config {
            paths: self.snapshot_paths.clone(),
            s3,
            to,
            every_ms: self.snapshot_every.get().as_millis() as u64,
            keep: self.snapshot_keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_right_and_all_mistakes_come_at_once() {
        assert!(Settings::default().check().is_ok());
        let bad = Settings {
            listen: "nowhere".to_owned(),
            username: Some("a".to_owned()),
            open_writers: 0,
            ..Settings::default()
        };
        let keys: Vec<String> = bad.check().err().unwrap().into_iter().map(|mistake| mistake.key).collect();
        assert_eq!(keys, ["listen", "username", "open_writers"]);
        let open = Settings { listen: "0.0.0.0:9200".to_owned(), ..Settings::default() };
        assert!(open.check().is_err());
    }
}
