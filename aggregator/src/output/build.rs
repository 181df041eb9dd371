//! From the `output` sections of pipeline files to outputs: one function for each plugin, and the list of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use weir_daemon::tls::{Reloading, TlsFiles, client_config};
use weir_daemon::{Health, Metrics};

use crate::output::bulk::Action;
use crate::output::elasticsearch::{BulkSettings, Elasticsearch};
use crate::output::lines::Codec;
use crate::output::lumberjack::Lumberjack;
use crate::output::{BulkOutput, Output};
use crate::pipeline::ast::{Literal, Plugin};
use crate::pipeline::diagnostic::{Diagnostic, Span, nearest};
use crate::pipeline::options::{Ecs, Options, scalar};
use crate::pipeline::template::Template;
use crate::pipeline::{PluginSettings, Program};
use weir_daemon::client::{Credentials, Host};

/// Time that a host has to answer one request, unless the file says otherwise; as in Logstash.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// Logstash's port for its lumberjack output has no default; this is the one of Beats.
const BEATS_PORT: u64 = 5044;

/// What outputs need that pipeline files do not say.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// Bounds of `_bulk` requests, and the index of dead letters.
    pub bulk: BulkSettings,
    /// Index of an `elasticsearch` output that names none.
    pub index: String,
    /// Where outputs count.
    pub metrics: Metrics,
    /// Where outputs tell of trouble.
    pub health: Health,
}

type Build = fn(&mut Options<'_>, &Surroundings) -> Option<Output>;

/// Every output there is.
const OUTPUTS: [(&str, Build); 5] = [
    ("elasticsearch", elasticsearch),
    ("file", file),
    ("lumberjack", lumberjack),
    ("null", |_, _| Some(Output::Null)),
    ("stdout", stdout),
];

/// The names of all outputs.
pub(crate) fn names() -> Vec<&'static str> {
    OUTPUTS.iter().map(|(name, _)| *name).collect()
}

/// The outputs of a program, in order. Mistakes are added to `diagnostics`.
pub(crate) fn outputs(
    program: &Program,
    surroundings: &Surroundings,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Output> {
    program.outputs().iter().filter_map(|settings| output(settings, surroundings, diagnostics)).collect()
}

fn output(settings: &PluginSettings, surroundings: &Surroundings, diagnostics: &mut Vec<Diagnostic>) -> Option<Output> {
    let Some((_, build)) = OUTPUTS.iter().find(|(name, _)| *name == settings.name()) else {
        let names = OUTPUTS.map(|(name, _)| name);
        let hint = match nearest(settings.name(), names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("there are {}", names.join(", ")),
        };
        let message = format!("there is no output `{}`", settings.name());
        diagnostics.push(Diagnostic::error(&settings.plugin.span, message, hint));
        return None;
    };
    let mut options = settings.options();
    options.text("id");
    options.bool("enable_metric", true);
    options.whole("workers");
    let built = build(&mut options, surroundings);
    diagnostics.extend(options.finish());
    built
}

/// Options of Logstash's that change nothing here; a warning says so.
fn without_effect(options: &mut Options<'_>, names: &[&'static str], why: &str) {
    for name in names {
        if let Some(value) = options.value(name) {
            let warning = Diagnostic::warning(&value.span, format!("`{name}` has no effect"), why);
            options.diagnostics.push(warning);
        }
    }
}

fn elasticsearch(options: &mut Options<'_>, surroundings: &Surroundings) -> Option<Output> {
    let mut hosts = options.list("hosts");
    if hosts.is_empty() {
        hosts.push(("http://127.0.0.1:9200".to_owned(), options.span().clone()));
    }
    let secure = options.bool("ssl", false) | options.bool("ssl_enabled", false);
    let text = |options: &mut Options<'_>, name| options.text(name).map(|(text, _)| text).unwrap_or_default();
    let authorities = options.list("ssl_certificate_authorities");
    let cacert = options.text("cacert");
    let ca = authorities.first().or(cacert.as_ref()).map(|(path, _)| PathBuf::from(path));
    let path = |options: &mut Options<'_>, name| options.text(name).map(|(text, _)| PathBuf::from(text));
    let files = TlsFiles { cert: path(options, "ssl_certificate"), key: path(options, "ssl_key"), ca, crl: None };
    verifies(options);
    let api_key = text(options, "api_key");
    let credentials = Credentials {
        user: text(options, "user"),
        password: text(options, "password"),
        api_key,
        ..Credentials::default()
    };
    let timeout = options.whole("timeout").map_or(ANSWER_TIME_MAX, |(seconds, _)| Duration::from_secs(seconds.max(1)));
    let mut bulk = surroundings.bulk.clone();
    if let Some((seconds, _)) = options.whole("retry_max_interval") {
        bulk.wait_max = Duration::from_secs(seconds.max(1));
    }
    let level = options.whole("compression_level").map(|(level, _)| level > 0);
    options.known(&["http_compression"]);
    bulk.gzip = if options.has("http_compression") { Some(options.bool("http_compression", true)) } else { level };
    let pipeline = text(options, "pipeline");
    if !pipeline.is_empty() {
        bulk.ingest_pipeline = Some(pipeline);
    }
    let mut made = Vec::new();
    for (url, span) in &hosts {
        let url = match url.contains("://") {
            true => url.clone(),
            false if secure => format!("https://{url}"),
            false => format!("http://{url}"),
        };
        match Host::new(&url, &credentials, &files, timeout) {
            Ok(host) => made.push(host),
            Err(problem) => options.error(span, problem, "https needs `ssl_certificate_authorities`"),
        }
    }
    without_effect(
        options,
        &["manage_template", "template", "template_name", "template_overwrite", "template_api", "document_type"],
        "weir's indexer needs no templates; for Elasticsearch, put them there yourself",
    );
    without_effect(
        options,
        &["ilm_enabled", "ilm_rollover_alias", "ilm_pattern", "ilm_policy"],
        "weir's indexer drops whole partitions by age and size; for Elasticsearch, set the policy there",
    );
    without_effect(
        options,
        &[
            "sniffing",
            "sniffing_delay",
            "pool_max",
            "pool_max_per_route",
            "resurrect_delay",
            "validate_after_inactivity",
            "retry_initial_interval",
            "retry_on_conflict",
            "codec",
            "dlq_custom_codes",
            "dlq_on_failed_indexname_interpolation",
            "silence_errors_in_log",
            "data_stream_auto_routing",
            "data_stream_sync_fields",
            "failure_type_logging_whitelist",
            "custom_headers",
            "doc_as_upsert",
            "routing",
        ],
        "weir does this by itself, or has no use for it",
    );
    let is_stream = options.choice("data_stream", &["true", "false", "auto"], "auto") == "true"
        || options.has("data_stream_type")
        || options.has("data_stream_dataset")
        || options.has("data_stream_namespace");
    let part = |options: &mut Options<'_>, name, default: &str| {
        options.text(name).map_or_else(|| default.to_owned(), |(text, _)| text)
    };
    let stream = [
        part(options, "data_stream_type", "logs"),
        part(options, "data_stream_dataset", "generic"),
        part(options, "data_stream_namespace", "default"),
    ];
    let index = match options.text("index") {
        Some((index, _)) => index,
        None if is_stream => stream.join("-"),
        None => surroundings.index.clone(),
    };
    let document_id = options.text("document_id").map(|(text, _)| Template::parse(&text));
    let action = match options.choice("action", &["create", "index"], "create") {
        "index" => Action::Index,
        _ => Action::Create,
    };
    if made.is_empty() {
        return None;
    }
    let cluster = Elasticsearch::new(made, bulk, &surroundings.metrics, surroundings.health.clone());
    Some(Output::Bulk(BulkOutput { cluster: Arc::new(cluster), index: Template::parse(&index), document_id, action }))
}

/// Refuses to be told not to verify.
fn verifies(options: &mut Options<'_>) {
    let off = |value: &(String, Span)| matches!(value.0.as_str(), "none" | "false");
    for name in ["ssl_verification_mode", "ssl_certificate_verification"] {
        if let Some(value) = options.text(name)
            && off(&value)
        {
            let hint = "name the authority in `ssl_certificate_authorities` instead";
            options.error(&value.1, "weir does not connect without checking the certificate", hint);
        }
    }
}

fn lumberjack(options: &mut Options<'_>, _: &Surroundings) -> Option<Output> {
    let hosts = options.list("hosts");
    let port = options.whole("port").map_or(BEATS_PORT, |(port, _)| port);
    let ca = options.text("ssl_certificate");
    without_effect(options, &["codec", "flush_size", "idle_flush_time"], "events are sent whole, by window");
    if hosts.is_empty() {
        let span = options.span().clone();
        options.error(&span, "`lumberjack` needs the option `hosts`", "a list of host names");
        return None;
    }
    let with_port = |host: &str| {
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port { host.to_owned() } else { format!("{host}:{port}") }
    };
    let hosts = hosts.iter().map(|(host, _)| with_port(host)).collect();
    let tls = match ca {
        None => None,
        Some((path, span)) => {
            let files = TlsFiles { ca: Some(PathBuf::from(path)), ..TlsFiles::default() };
            match Reloading::new(files, client_config) {
                Ok(tls) => Some(Arc::new(tls)),
                Err(error) => {
                    options.error(&span, error.to_string(), "");
                    return None;
                }
            }
        }
    };
    Some(Output::Lumberjack(Lumberjack::new(hosts, tls)))
}

fn file(options: &mut Options<'_>, _: &Surroundings) -> Option<Output> {
    let path = options.required_text("path");
    let codec = codec(options, Codec::JsonLines);
    let why = "a file is opened for each batch and appended to";
    without_effect(
        options,
        &["flush_interval", "create_if_deleted", "stale_cleanup_interval", "filename_failure"],
        why,
    );
    without_effect(options, &["dir_mode", "file_mode"], "new files get the process' own mode");
    if options.bool("gzip", false) {
        let span = options.span().clone();
        options.error(&span, "`gzip` is not supported", "compress the file afterwards");
    }
    options.choice("write_behavior", &["append"], "append");
    path.map(|(path, _)| Output::File(codec, Template::parse(&path)))
}

fn stdout(options: &mut Options<'_>, _: &Surroundings) -> Option<Output> {
    Some(Output::Stdout(codec(options, Codec::RubyDebug(false))))
}

/// The option `codec`: a name, or a plugin with options of its own.
fn codec(options: &mut Options<'_>, default: Codec) -> Codec {
    let Some(value) = options.value("codec") else { return default };
    let mut own_problems = Vec::new();
    let codec = match &value.literal {
        Literal::Plugin(plugin) => {
            let mut inner = Options::new(plugin, Ecs::V8);
            let codec = codec_of(&plugin.name, &plugin.span, &mut inner);
            own_problems.extend(inner.finish());
            codec
        }
        _ => {
            let name = scalar(value).unwrap_or_default();
            let bare = Plugin { name: name.clone(), span: value.span.clone(), attributes: Vec::new() };
            let mut inner = Options::new(&bare, Ecs::V8);
            let codec = codec_of(&name, &value.span, &mut inner);
            own_problems.append(&mut inner.diagnostics);
            codec
        }
    };
    options.diagnostics.extend(own_problems);
    codec.unwrap_or(default)
}

fn codec_of(name: &str, span: &Span, options: &mut Options<'_>) -> Option<Codec> {
    let format = |options: &mut Options<'_>| {
        let text = options.text("format").map_or_else(|| "%{message}".to_owned(), |(text, _)| text);
        Template::parse(&text)
    };
    options.text("charset");
    Some(match name {
        "json" => Codec::Json,
        "json_lines" => Codec::JsonLines,
        "line" => Codec::Line(format(options)),
        "plain" => Codec::Plain(format(options)),
        "dots" => Codec::Dots,
        "rubydebug" => Codec::RubyDebug(options.bool("metadata", false)),
        _ => {
            let names = ["json", "json_lines", "line", "plain", "dots", "rubydebug"];
            let near = nearest(name, names).map(|name| format!("did you mean `{name}`?"));
            let hint = near.unwrap_or_else(|| format!("there are {}", names.join(", ")));
            options.error(span, format!("there is no codec `{name}` for an output"), hint);
            return None;
        }
    })
}
