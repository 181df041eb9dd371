//! From the `input` sections of pipeline files to inputs: one function for each plugin, and the list of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use weir_daemon::exposure;
use weir_daemon::tls::{Reloading, TlsFiles, server_config};

use crate::event::FieldPath;
use crate::filter::grok_pattern;
use crate::input::Additions;
use crate::input::codec::{Codec, MultilineRule};
use crate::input::file::Files;
use crate::input::stream::Dialect;
use crate::pipeline::ast::{Literal, Plugin};
use crate::pipeline::diagnostic::{Diagnostic, Span, nearest};
use crate::pipeline::options::{Ecs, Options, scalar};
use crate::pipeline::template::Template;
use crate::pipeline::{PluginSettings, Program};
use weir_daemon::client::basic;

/// Limits of one multi-line event, as in Logstash's codec.
const MULTILINE_LINES_MAX: u64 = 500;
const MULTILINE_BYTES_MAX: u64 = 10 << 20;

/// TLS of a listener.
pub(crate) type ServerTls = Option<Arc<Reloading<rustls::ServerConfig>>>;

/// One input, checked, and not started yet.
pub(crate) struct Input {
    /// What it is.
    pub kind: Kind,
    /// What it adds to its events.
    pub additions: Additions,
}

/// The kinds of inputs.
pub(crate) enum Kind {
    /// A Beats port.
    Beats(SocketAddr, ServerTls),
    /// Lines over TCP.
    Tcp(SocketAddr, Dialect, ServerTls),
    /// Datagrams.
    Udp(SocketAddr, Dialect),
    /// Syslog over TCP and UDP.
    Syslog(SocketAddr),
    /// HTTP, with the `Authorization` that requests must carry.
    Http(SocketAddr, Codec, Option<String>),
    /// Files.
    File(Files),
    /// Standard input.
    Stdin(Dialect),
}

type Build = fn(&mut Options<'_>, bool) -> Option<Kind>;

/// Every input there is.
const INPUTS: [(&str, Build); 8] = [
    ("beats", beats),
    ("file", file),
    ("http", http),
    ("lumberjack", beats),
    ("stdin", stdin),
    ("syslog", syslog),
    ("tcp", tcp),
    ("udp", udp),
];

/// The names of all inputs.
pub(crate) fn names() -> Vec<&'static str> {
    INPUTS.iter().map(|(name, _)| *name).collect()
}

/// The inputs of a program, in order. `insecure` allows plain ports beyond this machine.
pub(crate) fn inputs(program: &Program, insecure: bool, diagnostics: &mut Vec<Diagnostic>) -> Vec<Input> {
    let built = program.inputs().iter().filter_map(|settings| {
        let mut input = input(settings, insecure, diagnostics)?;
        // What comes into the first pipeline is meant for all; the others' own inputs are theirs.
        let name = program.pipelines().nth(settings.pipeline).filter(|_| settings.pipeline > 0);
        input.additions.pipeline = name.map(Into::into);
        Some(input)
    });
    built.collect()
}

fn input(settings: &PluginSettings, insecure: bool, diagnostics: &mut Vec<Diagnostic>) -> Option<Input> {
    let Some((_, build)) = INPUTS.iter().find(|(name, _)| *name == settings.name()) else {
        let names = INPUTS.map(|(name, _)| name);
        let hint = match nearest(settings.name(), names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("there are {}", names.join(", ")),
        };
        let message = format!("there is no input `{}`", settings.name());
        diagnostics.push(Diagnostic::error(&settings.plugin.span, message, hint));
        return None;
    };
    let mut options = settings.options();
    options.text("id");
    options.bool("enable_metric", true);
    options.ecs();
    let additions = additions(&mut options);
    let kind = build(&mut options, insecure);
    diagnostics.extend(options.finish());
    kind.map(|kind| Input { kind, additions })
}

fn additions(options: &mut Options<'_>) -> Additions {
    let kind = options.text("type").map(|(text, _)| text.into());
    let tags = options.list("tags").into_iter().map(|(text, _)| text.into()).collect();
    let mut fields = Vec::new();
    for (name, (value, _)) in options.text_pairs("add_field") {
        let path: Option<FieldPath> = options.path(&name);
        fields.extend(path.map(|path| (path, Template::parse(&value))));
    }
    Additions { pipeline: None, kind, tags, fields }
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

/// `host` and `port`. A port that is not said to be reachable from outside is not.
fn address(
    options: &mut Options<'_>,
    default_port: Option<u16>,
    tls: bool,
    credentials: bool,
    insecure: bool,
) -> Option<SocketAddr> {
    let host = options.text("host");
    let port = match (options.whole("port"), default_port) {
        (Some((port, span)), _) => match u16::try_from(port) {
            Ok(port) => port,
            Err(_) => {
                options.error(&span, format!("{port} is no port"), "0 to 65535");
                return None;
            }
        },
        (None, Some(port)) => port,
        (None, None) => {
            let span = options.span().clone();
            let message = format!("`{}` needs the option `port`", options.name());
            options.error(&span, message, "");
            return None;
        }
    };
    let may_be_open = insecure || (tls && credentials);
    let (ip, span) = match host {
        None => {
            if !may_be_open {
                let span = options.span().clone();
                let message = format!("`{}` listens on 127.0.0.1 only", options.name());
                let hint = "to be reached from other machines it needs TLS and client certificates, or `insecure`";
                options.diagnostics.push(Diagnostic::warning(&span, message, hint));
            }
            let ip = if may_be_open { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
            (IpAddr::V4(ip), options.span().clone())
        }
        Some((text, span)) => match text.parse() {
            Ok(ip) => (ip, span),
            Err(_) if text == "localhost" => (IpAddr::V4(Ipv4Addr::LOCALHOST), span),
            Err(_) => {
                options.error(&span, format!("{text:?} is no IP address"), "such as 0.0.0.0 or 127.0.0.1");
                return None;
            }
        },
    };
    let address = SocketAddr::new(ip, port);
    if let Err(mistake) = exposure::check(address, tls, credentials, insecure) {
        options.error(&span, mistake.problem, mistake.hint);
        return None;
    }
    Some(address)
}

/// The TLS options of a listener, and whether clients must show a certificate. None when they are wrong.
fn tls(options: &mut Options<'_>) -> Option<(ServerTls, bool)> {
    let enabled = options.bool("ssl", false) | options.bool("ssl_enabled", false) | options.bool("ssl_enable", false);
    let cert = options.text("ssl_certificate").or_else(|| options.text("ssl_cert"));
    let key = options.text("ssl_key");
    let mut authorities = options.list("ssl_certificate_authorities");
    authorities.extend(options.list("ssl_extra_chain_certs"));
    let verify = options.text("ssl_client_authentication").or_else(|| options.text("ssl_verify_mode"));
    without_effect(
        options,
        &[
            "ssl_handshake_timeout",
            "ssl_cipher_suites",
            "cipher_suites",
            "ssl_supported_protocols",
            "tls_min_version",
            "tls_max_version",
            "ssl_peer_metadata",
            "ssl_verify",
        ],
        "TLS 1.2 and 1.3 with rustls' own choices",
    );
    let Some((cert, span)) = cert.filter(|_| enabled || key.is_some()) else {
        if enabled {
            let span = options.span().clone();
            options.error(&span, "TLS needs `ssl_certificate` and `ssl_key`", "`weir certs` makes a set");
            return None;
        }
        return Some((None, false));
    };
    let asks = match verify.as_ref().map(|(text, _)| text.as_str()) {
        Some("none") => false,
        Some("required" | "force_peer") => true,
        Some("optional" | "peer") => {
            let message = "an optional client certificate proves nothing; it is required here";
            options.diagnostics.push(Diagnostic::warning(&span, message, "say `required`, or `none`"));
            true
        }
        _ => !authorities.is_empty(),
    };
    let ca = authorities.first().map(|(path, _)| PathBuf::from(path)).filter(|_| asks);
    if asks && ca.is_none() {
        options.error(&span, "client certificates need `ssl_certificate_authorities`", "");
        return None;
    }
    let files = TlsFiles { cert: Some(cert.into()), key: key.map(|(path, _)| path.into()), ca, crl: None };
    match Reloading::new(files, server_config) {
        Ok(config) => Some((Some(Arc::new(config)), asks)),
        Err(error) => {
            options.error(&span, error.to_string(), "");
            None
        }
    }
}

fn beats(options: &mut Options<'_>, insecure: bool) -> Option<Kind> {
    let tls = tls(options);
    let address = {
        let (secured, asks) = tls.as_ref().map_or((false, false), |(tls, asks)| (tls.is_some(), *asks));
        address(options, None, secured, asks, insecure)
    };
    without_effect(
        options,
        &[
            "client_inactivity_timeout",
            "add_hostname",
            "include_codec_tag",
            "enrich",
            "executor_threads",
            "codec",
            "congestion_threshold",
            "target_field_for_codec",
            "event_loop_threads",
        ],
        "see the section [aggregator] of the settings",
    );
    Some(Kind::Beats(address?, tls?.0))
}

fn tcp(options: &mut Options<'_>, insecure: bool) -> Option<Kind> {
    let dialect = dialect(options, Codec::Plain);
    options.choice("mode", &["server"], "server");
    let tls = tls(options);
    let address = {
        let (secured, asks) = tls.as_ref().map_or((false, false), |(tls, asks)| (tls.is_some(), *asks));
        address(options, None, secured, asks, insecure)
    };
    without_effect(options, &["dns_reverse_lookup_enabled", "tcp_keep_alive", "proxy_protocol"], "");
    Some(Kind::Tcp(address?, dialect, tls?.0))
}

fn udp(options: &mut Options<'_>, insecure: bool) -> Option<Kind> {
    let dialect = dialect(options, Codec::Plain);
    without_effect(
        options,
        &["buffer_size", "queue_size", "workers", "receive_buffer_bytes", "source_ip_fieldname"],
        "",
    );
    Some(Kind::Udp(address(options, None, false, false, insecure)?, dialect))
}

fn syslog(options: &mut Options<'_>, insecure: bool) -> Option<Kind> {
    without_effect(
        options,
        &[
            "facility_labels",
            "severity_labels",
            "grok_pattern",
            "locale",
            "proxy_protocol",
            "syslog_field",
            "timezone",
            "use_labels",
            "codec",
        ],
        "lines are read as RFC 5424 and RFC 3164, times without a zone in that of this machine",
    );
    Some(Kind::Syslog(address(options, Some(514), false, false, insecure)?))
}

fn http(options: &mut Options<'_>, insecure: bool) -> Option<Kind> {
    let codec = match dialect(options, Codec::Plain) {
        Dialect::Codec(codec) => codec,
        Dialect::Syslog => Codec::Plain,
    };
    let user = options.text("user");
    let password = options.text("password");
    let authorization = match (user, password) {
        (Some((user, _)), Some((password, _))) => Some(basic(&user, &password)),
        (None, None) => None,
        (Some((_, span)), None) | (None, Some((_, span))) => {
            options.error(&span, "`user` and `password` go together", "");
            None
        }
    };
    if options.bool("ssl", false) | options.bool("ssl_enabled", false) {
        let span = options.span().clone();
        options.error(&span, "the http input has no TLS", "let a reverse proxy on this machine do it");
    }
    without_effect(
        options,
        &[
            "additional_codecs",
            "response_headers",
            "response_code",
            "remote_host_target_field",
            "threads",
            "request_headers_target_field",
            "max_pending_requests",
            "max_content_length",
        ],
        "",
    );
    Some(Kind::Http(address(options, Some(8080), false, false, insecure)?, codec, authorization))
}

fn file(options: &mut Options<'_>, _: bool) -> Option<Kind> {
    let dialect = dialect(options, Codec::Plain);
    let mode = options.choice("mode", &["tail", "read"], "tail");
    let start = options.choice("start_position", &["beginning", "end"], "end");
    let exit_after_read = options.bool("exit_after_read", false);
    let paths: Vec<String> = options.list("path").into_iter().map(|(path, _)| path).collect();
    let exclude = options.list("exclude").into_iter().map(|(path, _)| path).collect();
    without_effect(
        options,
        &[
            "sincedb_path",
            "sincedb_write_interval",
            "sincedb_clean_after",
            "close_older",
            "ignore_older",
            "stat_interval",
            "discover_interval",
            "delimiter",
            "max_open_files",
            "file_chunk_size",
            "file_chunk_count",
            "file_sort_by",
            "file_sort_direction",
            "file_completed_action",
            "file_completed_log_path",
            "check_archive_validity",
        ],
        "positions are not kept: this input is for trying things out, the shipper is for the rest",
    );
    if paths.is_empty() {
        let span = options.span().clone();
        options.error(&span, "`file` needs the option `path`", "");
        return None;
    }
    let from_end = mode == "tail" && start == "end";
    Some(Kind::File(Files { paths, exclude, from_end, exit_after_read, dialect }))
}

fn stdin(options: &mut Options<'_>, _: bool) -> Option<Kind> {
    Some(Kind::Stdin(dialect(options, Codec::Plain)))
}

/// The option `codec`: a name, or a plugin with options of its own.
fn dialect(options: &mut Options<'_>, default: Codec) -> Dialect {
    let Some(value) = options.value("codec") else { return Dialect::Codec(default) };
    let mut problems = Vec::new();
    let codec = match &value.literal {
        Literal::Plugin(plugin) => {
            let mut inner = Options::new(plugin, Ecs::V8);
            let codec = codec(&plugin.name, &plugin.span, &mut inner);
            problems.extend(inner.finish());
            codec
        }
        _ => {
            let name = scalar(value).unwrap_or_default();
            let bare = Plugin { name: name.clone(), span: value.span.clone(), attributes: Vec::new() };
            let mut inner = Options::new(&bare, Ecs::V8);
            let codec = codec(&name, &value.span, &mut inner);
            problems.append(&mut inner.diagnostics);
            codec
        }
    };
    options.diagnostics.extend(problems);
    Dialect::Codec(codec.unwrap_or(default))
}

fn codec(name: &str, span: &Span, options: &mut Options<'_>) -> Option<Codec> {
    options.text("charset");
    match name {
        "plain" | "line" => {
            without_effect(options, &["format", "delimiter"], "");
            Some(Codec::Plain)
        }
        "json" | "json_lines" => {
            without_effect(options, &["target", "delimiter", "decode_size_limit_bytes"], "");
            options.ecs();
            Some(Codec::Json)
        }
        "multiline" => multiline(options),
        _ => {
            let names = ["json", "json_lines", "line", "multiline", "plain"];
            let near = nearest(name, names).map(|name| format!("did you mean `{name}`?"));
            let hint = near.unwrap_or_else(|| format!("there are {}", names.join(", ")));
            options.error(span, format!("there is no codec `{name}` for an input"), hint);
            None
        }
    }
}

fn multiline(options: &mut Options<'_>) -> Option<Codec> {
    let pattern = options.required_text("pattern");
    let next = options.choice("what", &["previous", "next"], "previous") == "next";
    let negate = options.bool("negate", false);
    let lines_max = options.whole("max_lines").map_or(MULTILINE_LINES_MAX, |(lines, _)| lines.max(1));
    let bytes_max = options.whole("max_bytes").map_or(MULTILINE_BYTES_MAX, |(bytes, _)| bytes.max(1));
    without_effect(options, &["auto_flush_interval", "multiline_tag"], "");
    let (text, span) = pattern?;
    match grok_pattern(options, &text) {
        Ok(pattern) => Some(Codec::Multiline(MultilineRule {
            pattern,
            negate,
            next,
            lines_max: usize::try_from(lines_max).unwrap_or(usize::MAX),
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
        })),
        Err((problem, hint)) => {
            options.error(&span, problem, hint);
            None
        }
    }
}
