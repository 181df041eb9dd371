//! Tells the person who waits what is going on, past the capture of the test harness, which only takes `println!`.

use std::io::Write as _;

/// One line to standard error at once.
pub fn line(text: &str) {
    // Nobody listens if standard error is closed; the test goes on.
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// How far a long test has come.
pub fn progress(test: &str, text: &str) {
    line(&format!("    {test}: {text}"));
}

/// That `what` was not tested here, and why; `tests/run` collects these lines.
pub fn left_out(what: &str, why: &str) {
    line(&format!("left out: {what} because {why}"));
}
