//! What can be typed: commands and flags. What they mean is decided elsewhere; here they are only named and explained.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::access::{Tokens, Users};
use crate::certs::CertsFlags;
use crate::http::AccessFlags;
use crate::setup_cluster::SetupFlags;

/// Keeps the lines of your containers' logs that matter, and makes them searchable.
///
/// Without a command everything runs in this one process: logs of Docker's containers on this machine go in, searches
/// are answered on http://127.0.0.1:9200.
#[derive(Debug, Parser)]
#[command(name = "weir", version, disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// One role or one task; without it, all roles run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of running everything.
    #[command(flatten)]
    pub all: All,
}

/// Flags of `weir` without a command.
#[derive(Debug, Args)]
pub struct All {
    /// Run on the logs of a small make-believe stack, in a temporary folder: no Docker needed
    #[arg(long)]
    pub demo: bool,
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub shipper: ShipperFlags,
    #[command(flatten)]
    pub pipelines: PipelineFlags,
    #[command(flatten)]
    pub store: StoreFlags,
}

/// Flags that every role takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// Settings file [default: weir.toml where there is one]
    #[arg(short, long, value_name = "FILE", env = "WEIR_CONFIG")]
    pub config: Option<PathBuf>,
    /// One setting, over file and environment: shipper.max_line_bytes=1MB
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// What to log: error, warn, info, debug, or a list such as info,weir_shipper=debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: String,
    /// Listen on addresses that others can reach without TLS and credentials
    #[arg(long)]
    pub insecure: bool,
}

/// Flags of the shipper.
#[derive(Clone, Debug, Default, Args)]
pub struct ShipperFlags {
    /// Folder of Docker's containers [default: /var/lib/docker/containers]
    #[arg(long, value_name = "DIR")]
    pub docker_root: Option<PathBuf>,
    /// Plain files to follow as well: '/var/log/nginx/*.log' (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub path: Vec<String>,
}

/// Flags of the aggregator.
#[derive(Clone, Debug, Default, Args)]
pub struct PipelineFlags {
    /// Pipeline file or folder in Logstash's syntax, or a pipelines.yml (repeatable) [default: ./pipelines, else the built-in ones]
    #[arg(short = 'f', long = "pipelines", value_name = "PATH")]
    pub pipelines: Vec<PathBuf>,
}

/// Flags of whatever keeps data.
#[derive(Clone, Debug, Default, Args)]
pub struct StoreFlags {
    /// Folder for everything weir keeps [default: ./weir-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tail the logs of this node and forward them
    #[command(args_conflicts_with_subcommands = true)]
    Shipper {
        #[command(subcommand)]
        task: Option<ShipperTask>,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        flags: ShipperFlags,
        #[command(flatten)]
        store: StoreFlags,
        /// Aggregator to send to, host:port (repeatable) [default: 127.0.0.1:5044]
        #[arg(long, value_name = "HOST:PORT")]
        aggregator: Vec<String>,
    },
    /// Receive lines, run them through the pipelines, pass on what is kept
    Aggregator {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        flags: PipelineFlags,
        /// Address for Beats and shippers [default: 127.0.0.1:5044]
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
        /// Where kept lines go: an indexer, Elasticsearch, OpenSearch or Quickwit (repeatable) [default: http://127.0.0.1:9200]
        #[arg(long, value_name = "URL")]
        output: Vec<String>,
    },
    /// Keep and search lines
    Indexer {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        store: StoreFlags,
        /// Address for searches and writes [default: 127.0.0.1:9200]
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
        /// Show the lines of a cluster (Elasticsearch, OpenSearch, Quickwit) instead of keeping any (repeatable)
        #[arg(long, value_name = "URL")]
        upstream: Vec<String>,
        /// User of the cluster; its password or API key comes from WEIR_INDEXER_UPSTREAM_PASSWORD or …_API_KEY (or …_FILE)
        #[arg(long, value_name = "NAME")]
        upstream_user: Option<String>,
        /// PEM file of the cluster's authority [default: those that the system trusts]
        #[arg(long, value_name = "FILE")]
        upstream_ca: Option<PathBuf>,
    },
    /// Say everything that is wrong with settings and pipelines, without running anything
    Check {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        flags: PipelineFlags,
        /// Pipelines, as with -f
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Show each line's way through the pipelines: weir explain nginx.conf < sample.log
    Explain {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        flags: PipelineFlags,
        /// Pipelines (*.conf, pipelines.yml, folders), and a file of lines [default: standard input]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Show instead what a running aggregator has dropped of a service lately, and why
        #[arg(long, value_name = "SERVICE", conflicts_with = "files")]
        last_dropped: Option<String>,
        #[command(flatten)]
        access: AccessFlags,
        /// The admin port of that aggregator
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9600")]
        admin: String,
    },
    /// Run pipeline files on their samples: NAME.conf on NAME.in, compared with NAME.out
    Test {
        #[command(flatten)]
        common: Common,
        /// Folder with the files
        #[arg(default_value = "pipelines")]
        folder: PathBuf,
        /// Write what comes out into NAME.out instead; look at the difference before you keep it
        #[arg(long)]
        write: bool,
    },
    /// Add, show and remove people who may use the indexer
    #[command(subcommand)]
    Users(Users),
    /// Make, show and remove API keys of programs that use the indexer
    #[command(subcommand)]
    Tokens(Tokens),
    /// Make, renew and revoke the certificates of TLS
    Certs(CertsFlags),
    /// Print matching lines: weir search 'log.level:error AND service.name:web'
    Search(SearchFlags),
    /// Write documents of a time range as NDJSON: weir export --since 7d -o week.ndjson.gz 'service.name:web'
    Export(ExportFlags),
    /// Prepare Elasticsearch, OpenSearch or Quickwit for what an aggregator writes there
    SetupCluster(SetupFlags),
    /// Ask a running role whether it is well; exits with 1 when it is not
    Health {
        #[command(flatten)]
        access: AccessFlags,
        /// Address of the role's health page
        #[arg(env = "WEIR_HEALTH_URL", default_value = "http://127.0.0.1:9200/health")]
        url: String,
    },
}

/// What can be asked of a shipper.
#[derive(Debug, Subcommand)]
pub enum ShipperTask {
    /// Print what the running shipper of this node follows, and how far behind it is
    Status {
        #[command(flatten)]
        common: Common,
        /// Its admin port [default: shipper.admin of the settings]
        #[arg(long, value_name = "ADDRESS")]
        address: Option<std::net::SocketAddr>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Flags of `weir search`.
#[derive(Debug, Args)]
pub struct SearchFlags {
    /// The query, in Lucene's syntax
    #[arg(default_value = "*")]
    pub query: String,
    /// Most lines to print, the newest
    #[arg(short = 'n', long, default_value_t = 50)]
    pub lines: usize,
    /// How far to look back: 15m, 1h, 7d
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    pub since: String,
    /// Print documents as JSON, one a line
    #[arg(long)]
    pub json: bool,
    /// Index or pattern to search
    #[arg(long, default_value = "logs-weir")]
    pub index: String,
    /// The indexer
    #[arg(long, value_name = "URL", env = "WEIR_URL", default_value = "http://127.0.0.1:9200")]
    pub url: String,
    #[command(flatten)]
    pub access: AccessFlags,
}

/// Flags of `weir export`.
#[derive(Debug, Args)]
pub struct ExportFlags {
    /// The query, in Lucene's syntax
    #[arg(default_value = "*")]
    pub query: String,
    /// From when on: a moment (2026-11-20, 2026-11-20T08:00:00Z), or how far back (7d) [default: the beginning]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Until when, exclusive [default: now, and what is later by its own clock]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// File to write, gzipped when its name ends in .gz; - for standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// With the action before each document that _bulk takes
    #[arg(long)]
    pub bulk: bool,
    /// Index or pattern to export
    #[arg(long, default_value = "logs-weir")]
    pub index: String,
    /// The indexer
    #[arg(long, value_name = "URL", env = "WEIR_URL", default_value = "http://127.0.0.1:9200")]
    pub url: String,
    #[command(flatten)]
    pub access: AccessFlags,
}
