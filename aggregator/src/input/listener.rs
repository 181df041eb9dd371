//! The options that inputs with a port have in common: where they listen, and their TLS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use weir_daemon::exposure;
use weir_daemon::tls::{Reloading, TlsFiles, server_config};

use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::options::Options;

/// TLS of a listener.
pub(crate) type ServerTls = Option<Arc<Reloading<rustls::ServerConfig>>>;

/// Options of Logstash's that change nothing here; a warning says so.
pub(crate) fn without_effect(options: &mut Options<'_>, names: &[&'static str], why: &str) {
    for name in names {
        if let Some(value) = options.value(name) {
            let warning = Diagnostic::warning(&value.span, format!("`{name}` has no effect"), why);
            options.diagnostics.push(warning);
        }
    }
}

/// `host` and `port`. A port that is not said to be reachable from outside is not.
pub(crate) fn address(
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
pub(crate) fn tls(options: &mut Options<'_>) -> Option<(ServerTls, bool)> {
    let enabled = options.bool("ssl", false) | options.bool("ssl_enabled", false) | options.bool("ssl_enable", false);
    let cert = options.text("ssl_certificate").or_else(|| options.text("ssl_cert"));
    let key = options.text("ssl_key");
    let authorities = options.list("ssl_certificate_authorities");
    if let [_, (_, span), ..] = &authorities[..] {
        options.error(span, "one file of authorities is read", "put all of their certificates into that one");
    }
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
            "ssl_extra_chain_certs",
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
