//! The section `[aggregator]` of `weir.toml`: as typed, and checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use weir_daemon::exposure;
use weir_daemon::settings::{Bytes, Mistake, Span, list};
use weir_daemon::tls::{Reloading, TlsFiles, server_config};

use crate::engine::PipelineFiles;
use crate::output::build::ANSWER_TIME_MAX;
use crate::output::elasticsearch::BulkSettings;
use crate::pipeline::{Ecs, LoadOptions, Program};
use crate::receive::ReceiveLimits;
use crate::service_budget::BudgetRules;
use weir_daemon::client::{Credentials, Host};

/// One gigabyte: a batch's offsets are 32-bit numbers.
const BATCH_BYTES_MAX: u64 = 1 << 30;
/// Less memory than this would stop a window of Filebeat's default size half-way.
const MEMORY_BYTES_MIN: u64 = 4 << 20;

/// `[aggregator]` as typed. Every key can come from the environment as `WEIR_AGGREGATOR_<KEY>`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address of the Beats port.
    pub listen: String,
    /// Address of `/metrics` and `/health`; empty for none.
    pub admin: String,
    /// Listen beyond this machine without TLS and client certificates.
    pub insecure: bool,
    /// PEM file of our certificate chain, for the Beats port.
    pub tls_cert: String,
    /// PEM file of its key.
    pub tls_key: String,
    /// PEM file of the authority that shippers' certificates must come from.
    pub tls_client_ca: String,
    /// PEM file with the revocation list of that authority; `weir certs revoke` writes it.
    pub tls_client_crl: String,
    /// Pipeline files, or folders of them.
    #[serde(deserialize_with = "list")]
    pub pipelines: Vec<String>,
    /// How often pipeline files are looked at for a change; 0 for never.
    pub pipelines_reload: Span,
    /// Which names filters give to what they find, unless they say so themselves: `v8`, `v1` or `disabled`, as in
    /// Logstash.
    pub ecs_compatibility: String,
    /// `\n`, `\t` and the like in the texts of pipeline files mean something.
    pub support_escapes: bool,
    /// A filter that takes this long on one line is logged; 0 for never.
    pub slow_filter: Span,
    /// Where events go when no pipeline file has an output: URLs of one cluster.
    #[serde(deserialize_with = "list")]
    pub output: Vec<String>,
    /// Index to write to; `%{[field]}` and `%{+yyyy.MM.dd}` are filled in from the event.
    pub index: String,
    /// Index of documents that were refused for good.
    pub dead_letter_index: String,
    /// User name for the output.
    pub output_user: String,
    /// Its password.
    pub output_password: String,
    /// API key for the output, `id:key` or that in base64.
    pub output_api_key: String,
    /// PEM file of the authority that an `https` output's certificate comes from.
    pub output_ca: String,
    /// PEM file with the revocation list of that authority.
    pub output_crl: String,
    /// PEM file of a certificate to show to the output.
    pub output_cert: String,
    /// PEM file of its key.
    pub output_key: String,
    /// Bytes of one `_bulk` request at most.
    pub request_bytes_max: Bytes,
    /// Documents of one `_bulk` request at most.
    pub request_documents_max: usize,
    /// Longest wait between two attempts to deliver.
    pub retry_wait_max: Span,
    /// Lumberjack connections at most.
    pub connections_max: usize,
    /// Lumberjack connections of one address at most. Behind a swarm's ingress all shippers can have one address.
    pub connections_per_peer_max: usize,
    /// Bytes of one event at most.
    pub event_bytes_max: Bytes,
    /// Bytes that one connection may hold filtered while its last request is under way.
    pub connection_bytes_max: Bytes,
    /// Bytes that all connections may hold together.
    pub memory_bytes_max: Bytes,
    /// A window that stays incomplete this long ends its connection.
    pub window_timeout: Span,
    /// A connection that is silent this long between windows is closed.
    pub idle_timeout: Span,
    /// Add what Logstash's beats input adds: `@version` and the tag `beats_input_codec_plain_applied`.
    pub beats_fields: bool,
    /// Count what pipelines drop, and index the counts.
    pub drop_ledger: bool,
    /// Index of these counts.
    pub drop_ledger_index: String,
    /// Bytes of messages that a service may have kept in a time, `web=10MB/1h`; `*=100MB/1h` is for all that are not
    /// named. Over it the least severe lines go first, and a record says so.
    #[serde(deserialize_with = "list")]
    pub service_budgets: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:5044".to_owned(),
            admin: "127.0.0.1:9600".to_owned(),
            insecure: false,
            tls_cert: String::new(),
            tls_key: String::new(),
            tls_client_ca: String::new(),
            tls_client_crl: String::new(),
            pipelines: vec!["pipelines".to_owned()],
            pipelines_reload: Span(Duration::from_secs(3)),
            ecs_compatibility: "v8".to_owned(),
            support_escapes: false,
            slow_filter: Span(Duration::from_millis(100)),
            output: vec!["http://127.0.0.1:9200".to_owned()],
            index: "logs-weir".to_owned(),
            dead_letter_index: "logs-weir-dead".to_owned(),
            output_user: String::new(),
            output_password: String::new(),
            output_api_key: String::new(),
            output_ca: String::new(),
            output_crl: String::new(),
            output_cert: String::new(),
            output_key: String::new(),
            request_bytes_max: Bytes(8 << 20),
            request_documents_max: 20_000,
            retry_wait_max: Span(Duration::from_secs(30)),
            connections_max: 256,
            connections_per_peer_max: 128,
            event_bytes_max: Bytes(16 << 20),
            connection_bytes_max: Bytes(4 << 20),
            memory_bytes_max: Bytes(48 << 20),
            window_timeout: Span(Duration::from_secs(60)),
            idle_timeout: Span(Duration::from_secs(300)),
            beats_fields: false,
            drop_ledger: true,
            drop_ledger_index: "logs-weir-ledger".to_owned(),
            service_budgets: Vec::new(),
        }
    }
}

/// `[aggregator]`, checked and complete.
pub struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) insecure: bool,
    pub(crate) tls: Option<Arc<Reloading<rustls::ServerConfig>>>,
    pub(crate) files: PipelineFiles,
    pub(crate) pipelines_reload: Duration,
    pub(crate) slow_filter: Duration,
    pub(crate) hosts: Vec<Host>,
    pub(crate) index: String,
    pub(crate) bulk: BulkSettings,
    pub(crate) receive: ReceiveLimits,
    pub(crate) memory_bytes_max: usize,
    pub(crate) beats_fields: bool,
    pub(crate) ledger_index: Option<String>,
    pub(crate) service_budgets: BudgetRules,
}

impl Settings {
    /// Checks everything, and loads the certificates.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn check(&self) -> Result<Config, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let listen = address("listen", &self.listen, &mut mistakes);
        let admin = if self.admin.is_empty() { None } else { address("admin", &self.admin, &mut mistakes) };
        let path = |text: &String| (!text.is_empty()).then(|| PathBuf::from(text));
        let files = TlsFiles {
            cert: path(&self.tls_cert),
            key: path(&self.tls_key),
            ca: path(&self.tls_client_ca),
            crl: path(&self.tls_client_crl),
        };
        if files.cert.is_some() != files.key.is_some() {
            let key = if files.cert.is_some() { "tls_key" } else { "tls_cert" };
            mistakes.push(Mistake::new(key, "a certificate and its key go together", "set both, or neither"));
        } else if files.ca.is_some() && files.cert.is_none() {
            let hint = "set tls_cert and tls_key as well";
            mistakes.push(Mistake::new("tls_client_ca", "client certificates need a server certificate", hint));
        }
        let mut tls = None;
        if files.cert.is_some() && files.key.is_some() {
            match Reloading::new(files.clone(), server_config) {
                Ok(config) => tls = Some(Arc::new(config)),
                Err(error) => mistakes.push(Mistake::new("tls_cert", error.to_string(), "`weir certs` makes a set")),
            }
        }
        if let Some(listen) = listen
            && let Err(mistake) = exposure::check(listen, files.cert.is_some(), files.ca.is_some(), self.insecure)
        {
            mistakes.push(mistake);
        }
        if let Some(admin) = admin
            && exposure::check(admin, false, false, self.insecure).is_err()
        {
            let problem = format!("{admin} can be reached from other machines, and has neither TLS nor credentials");
            mistakes.push(Mistake::new("admin", problem, "use 127.0.0.1, or say insecure = true"));
        }
        if self.output.is_empty() {
            let hint = "name one host, such as http://127.0.0.1:9200";
            mistakes.push(Mistake::new("output", "no host to send events to", hint));
        }
        let credentials = Credentials {
            user: self.output_user.clone(),
            password: self.output_password.clone(),
            api_key: self.output_api_key.clone(),
            ..Credentials::default()
        };
        let output_files = TlsFiles {
            cert: path(&self.output_cert),
            key: path(&self.output_key),
            ca: path(&self.output_ca),
            crl: path(&self.output_crl),
        };
        let mut hosts = Vec::new();
        for url in &self.output {
            match Host::new(url, &credentials, &output_files, ANSWER_TIME_MAX) {
                Ok(host) => hosts.push(host),
                Err(problem) => mistakes.push(Mistake::new(
                    "output",
                    problem,
                    "a host is a URL such as http://127.0.0.1:9200; https needs output_ca",
                )),
            }
        }
        for (key, name) in [
            ("index", &self.index),
            ("dead_letter_index", &self.dead_letter_index),
            ("drop_ledger_index", &self.drop_ledger_index),
        ] {
            if name.is_empty() || name.starts_with(['_', '-', '+']) || name.contains([' ', '/', '\\', '*', '?', '"']) {
                let hint = "lower-case letters, digits, . - and _, not starting with _ - or +";
                mistakes.push(Mistake::new(key, format!("{name:?} is no index name"), hint));
            }
        }
        let ecs = match self.ecs_compatibility.as_str() {
            "disabled" => Ecs::Disabled,
            "v1" | "v8" => Ecs::V8,
            other => {
                let problem = format!("{other:?} is no such mode");
                mistakes.push(Mistake::new("ecs_compatibility", problem, "disabled, v1 or v8"));
                Ecs::V8
            }
        };
        let service_budgets = BudgetRules::parse(&self.service_budgets).unwrap_or_else(|problem| {
            let hint = "a name, bytes and a time, such as web=10MB/1h; * is for all others";
            mistakes.push(Mistake::new("service_budgets", problem, hint));
            BudgetRules::default()
        });
        if !service_budgets.is_empty() && !self.drop_ledger {
            let hint = "set drop_ledger = true";
            mistakes.push(Mistake::new("service_budgets", "what they drop is told by the drop ledger", hint));
        }
        let mut size = |key: &str, bytes: u64, min: u64, max: u64| {
            if !(min..=max).contains(&bytes) {
                let hint = format!("between {} and {}", Bytes(min), Bytes(max));
                mistakes.push(Mistake::new(key, format!("{} is out of bounds", Bytes(bytes)), hint));
            }
            usize::try_from(bytes.clamp(min, max)).unwrap_or(usize::MAX)
        };
        let event_bytes_max = size("event_bytes_max", self.event_bytes_max.get(), 1_000, 256 << 20);
        let connection_bytes_max =
            size("connection_bytes_max", self.connection_bytes_max.get(), 64_000, BATCH_BYTES_MAX);
        let memory_bytes_max =
            size("memory_bytes_max", self.memory_bytes_max.get(), MEMORY_BYTES_MIN, 64 * BATCH_BYTES_MAX);
        let request_bytes_max = size("request_bytes_max", self.request_bytes_max.get(), 10_000, BATCH_BYTES_MAX);
        for (key, number) in [
            ("request_documents_max", self.request_documents_max),
            ("connections_max", self.connections_max),
            ("connections_per_peer_max", self.connections_per_peer_max),
        ] {
            if number == 0 || number > 1_000_000 {
                mistakes.push(Mistake::new(key, format!("{number} is out of bounds"), "between 1 and 1000000"));
            }
        }
        for (key, span) in [("window_timeout", self.window_timeout), ("idle_timeout", self.idle_timeout)] {
            if span.get() < Duration::from_secs(1) {
                mistakes.push(Mistake::new(key, format!("{:?} is too short", span.get()), "at least 1s"));
            }
        }
        let (Some(listen), true) = (listen, mistakes.is_empty()) else { return Err(mistakes) };
        let frames = weir_lumberjack::Limits {
            event_bytes_max,
            held_bytes: connection_bytes_max.min(weir_lumberjack::Limits::default().held_bytes),
            ..weir_lumberjack::Limits::default()
        };
        Ok(Config {
            listen,
            admin,
            insecure: self.insecure,
            tls,
            files: PipelineFiles {
                paths: self.pipelines.iter().map(PathBuf::from).collect(),
                built_in: Vec::new(),
                ecs,
                escapes: self.support_escapes,
            },
            pipelines_reload: self.pipelines_reload.get(),
            slow_filter: self.slow_filter.get(),
            hosts,
            index: self.index.clone(),
            bulk: BulkSettings {
                dead_index: self.dead_letter_index.clone(),
                request_items_max: self.request_documents_max,
                request_bytes_max,
                wait_max: self.retry_wait_max.get(),
                ingest_pipeline: None,
                gzip: None,
            },
            receive: ReceiveLimits {
                frames,
                connections_max: self.connections_max,
                connections_per_peer_max: self.connections_per_peer_max,
                connection_bytes_max,
                window_timeout: self.window_timeout.get(),
                idle_timeout: self.idle_timeout.get(),
            },
            memory_bytes_max,
            beats_fields: self.beats_fields,
            ledger_index: self.drop_ledger.then(|| self.drop_ledger_index.clone()),
            service_budgets,
        })
    }
}

impl Config {
    /// Pipelines to run when none of the configured paths exists: pairs of file name and text.
    #[must_use]
    pub fn with_built_in_pipelines(mut self, sources: &[(&str, &str)]) -> Self {
        self.files.built_in = sources.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        self
    }

    /// Address of the Beats port, for whoever binds the listener.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where the pipelines come from, for whoever shows them.
    pub fn pipeline_files(&self) -> PipelineFiles {
        self.files.clone()
    }

    /// What the pipeline files say, or the built-in ones. Mistakes are in what comes of it.
    pub fn program(&self) -> Program {
        self.files.read()
    }

    /// How pipeline files are read.
    pub fn load_options(&self) -> LoadOptions {
        self.files.options()
    }

    /// The pipeline files and folders that were named; empty: the built-in ones.
    pub fn pipelines(&self) -> &[PathBuf] {
        &self.files.paths
    }
}

fn address(key: &str, text: &str, mistakes: &mut Vec<Mistake>) -> Option<SocketAddr> {
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            mistakes.push(Mistake::new(
                key,
                format!("{text:?} is no address"),
                "an IP address and a port: 127.0.0.1:5044",
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_right_and_all_mistakes_are_told_at_once() {
        let config = Settings::default().check().map_err(|mistakes| format!("{mistakes:?}")).unwrap();
        assert_eq!(config.listen().to_string(), "127.0.0.1:5044");
        let wrong = Settings {
            listen: "0.0.0.0:5044".into(),
            admin: "here".into(),
            output: vec!["ftp://x".into()],
            index: "_all".into(),
            request_bytes_max: Bytes(1),
            connections_max: 0,
            tls_key: "key.pem".into(),
            idle_timeout: Span(Duration::ZERO),
            ..Settings::default()
        };
        let mistakes = wrong.check().err().unwrap();
        let keys: Vec<&str> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
        assert_eq!(
            keys,
            ["admin", "tls_cert", "listen", "output", "index", "request_bytes_max", "connections_max", "idle_timeout"]
        );
    }
}
