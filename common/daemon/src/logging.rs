//! Our own log: one line an event on standard error, for people on a terminal and JSON elsewhere.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Short coloured lines.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging for the whole process. `filter` is a level or a list such as `info,weir_shipper=debug`; the variable
/// `WEIR_LOG` goes before it. A second call does nothing.
pub fn start(format: Format, filter: &str) {
    let filter = EnvFilter::try_from_env("WEIR_LOG").or_else(|_| EnvFilter::try_new(filter));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let json = match format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    // The only error is that logging was started before, by a test in the same process say.
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.with_ansi(terminal).try_init() };
}
