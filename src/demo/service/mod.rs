//! What the services of the make-believe stack write: one service per file, and the one list of them.

mod gateway;
mod nginx;
mod postgres;
mod web;
mod worker;

use jiff::{Timestamp, tz::TimeZone};

use super::json_file::Stream;
use super::rng::Rng;

/// Every service of the stack.
pub const ALL: &[&Service] = &[&nginx::SERVICE, &web::SERVICE, &postgres::SERVICE, &worker::SERVICE, &gateway::SERVICE];

/// How a service feels, and so what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Mostly debug and info.
    Calm,
    /// Mostly errors, with their stack traces.
    Trouble,
}

/// One line and where it went.
#[derive(Debug)]
pub struct Line {
    /// The output it was written to.
    pub stream: Stream,
    /// The line without its newline.
    pub text: String,
}

/// One service: who it is and what it says.
pub struct Service {
    /// Its name within the stack.
    pub name: &'static str,
    /// The image it pretends to run.
    pub image: &'static str,
    /// The mean time between two messages, in milliseconds.
    pub pause_millis: u64,
    /// What a line of its trouble contains.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the tests look for it"))]
    pub trouble_sign: &'static str,
    /// Appends the lines of one message.
    pub speak: fn(&mut Rng, Timestamp, Mood, &mut Vec<Line>),
}

fn out(lines: &mut Vec<Line>, text: String) {
    lines.push(Line { stream: Stream::Stdout, text });
}

fn err(lines: &mut Vec<Line>, text: String) {
    lines.push(Line { stream: Stream::Stderr, text });
}

/// `at` in the pattern of `strftime`, in UTC as containers have it.
fn time(at: Timestamp, pattern: &str) -> String {
    at.to_zoned(TimeZone::UTC).strftime(pattern).to_string()
}
