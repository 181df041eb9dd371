//! From the `input` sections of pipeline files to inputs: one function for each plugin, and the list of them.

use std::net::SocketAddr;

use hyper::StatusCode;

use crate::event::FieldPath;
use crate::filter::grok_pattern;
use crate::input::Additions;
use crate::input::codec::{Codec, MultilineRule};
use crate::input::file::Files;
use crate::input::http::Http;
use crate::input::listener::{ServerTls, address, tls, without_effect};
use crate::input::stream::{Dialect, Origin};
use crate::pipeline::ast::{Literal, Plugin};
use crate::pipeline::diagnostic::{Diagnostic, Span, nearest};
use crate::pipeline::options::{Ecs, Options, scalar};
use crate::pipeline::template::Template;
use crate::pipeline::{PluginSettings, Program};
use weir_daemon::client::basic;

/// Limits of one multi-line event, as in Logstash's codec.
const MULTILINE_LINES_MAX: u64 = 500;
const MULTILINE_BYTES_MAX: u64 = 10 << 20;

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
    /// HTTP.
    Http(SocketAddr, Http, ServerTls),
    /// Files.
    File(Files),
    /// Standard input.
    Stdin(Dialect),
}

/// What an HTTP input may answer when all went well, as in Logstash.
const RESPONSE_CODES: [StatusCode; 4] =
    [StatusCode::OK, StatusCode::CREATED, StatusCode::ACCEPTED, StatusCode::NO_CONTENT];

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
    let origin = if options.ecs() == Ecs::V8 {
        let source = |name| FieldPath::of(&["@metadata", "input", "tcp", "source", name]);
        Origin { ip: source("ip"), port: Some(source("port")) }
    } else {
        Origin { ip: FieldPath::of(&["host"]), port: Some(FieldPath::of(&["port"])) }
    };
    Some(Kind::Tcp(address?, dialect.from(origin), tls?.0))
}

fn udp(options: &mut Options<'_>, insecure: bool) -> Option<Kind> {
    let dialect = dialect(options, Codec::Plain);
    let default: &[&str] = if options.ecs() == Ecs::V8 { &["host", "ip"] } else { &["host"] };
    let host = options.field("source_ip_fieldname").unwrap_or_else(|| FieldPath::of(default));
    without_effect(options, &["buffer_size", "queue_size", "workers", "receive_buffer_bytes"], "");
    let address = address(options, None, false, false, insecure)?;
    Some(Kind::Udp(address, dialect.from(Origin { ip: host, port: None })))
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
        Dialect::Codec(codec, _) => codec,
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
    let code = options.whole("response_code");
    let response_code = match &code {
        None => StatusCode::OK,
        Some((code, span)) => match RESPONSE_CODES.iter().find(|known| u64::from(known.as_u16()) == *code) {
            Some(code) => *code,
            None => {
                options.error(span, format!("{code} cannot be the answer"), "there are 200, 201, 202 and 204");
                StatusCode::OK
            }
        },
    };
    let legacy = options.ecs() == Ecs::Disabled;
    let mut target = |name, ecs: &[&str], plain: &[&str]| {
        options.field(name).unwrap_or_else(|| FieldPath::of(if legacy { plain } else { ecs }))
    };
    let host = target("remote_host_target_field", &["host", "ip"], &["host"]);
    let headers = ["@metadata", "input", "http", "request", "headers"];
    let headers = target("request_headers_target_field", &headers, &["headers"]);
    let tls = tls(options);
    let address = {
        let (secured, asks) = tls.as_ref().map_or((false, false), |(tls, asks)| (tls.is_some(), *asks));
        address(options, Some(8080), secured, asks || authorization.is_some(), insecure)
    };
    without_effect(
        options,
        &["additional_codecs", "response_headers", "threads", "max_pending_requests", "max_content_length"],
        "bodies of JSON and NDJSON are read as such, whatever the codec; the limits are fixed",
    );
    Some(Kind::Http(address?, Http { codec, authorization, response_code, host, headers, legacy }, tls?.0))
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
    let Some(value) = options.value("codec") else { return Dialect::Codec(default, None) };
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
    Dialect::Codec(codec.unwrap_or(default), None)
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
