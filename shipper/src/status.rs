//! The state of every log: what `GET /status` answers, and how `weir shipper status` asks for it and prints it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;
use weir_daemon::admin;

use crate::node::bytes;
use crate::watch::Bell;

/// Questions that may wait for the harvester.
const QUESTIONS_MAX: usize = 4;
/// How long a shipper may take to answer: its harvester may be in the middle of a long read.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// Longest answer that is taken; 20,000 logs are far below.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// The state of one log.
#[derive(Debug, Serialize)]
pub(crate) struct LogStatus {
    /// The container's name, else the key.
    pub(crate) name: String,
    /// Container id, or the path of a plain file.
    pub(crate) key: String,
    pub(crate) path: PathBuf,
    /// `followed`, or `excluded` by the settings.
    pub(crate) state: &'static str,
    /// Next byte to read of the file that is being read.
    pub(crate) offset: u64,
    /// `offset` and everything that is known behind it, in this file and those that follow.
    pub(crate) size: u64,
    /// Files that are not read and acknowledged to their end, the live one among them.
    pub(crate) files: usize,
    /// Bytes that are not read yet.
    pub(crate) lag_bytes: u64,
    /// Seconds since everything was read.
    pub(crate) lag_seconds: f64,
    /// Bytes that are read and not acknowledged yet.
    pub(crate) unacknowledged_bytes: u64,
    /// Bytes that may be written before rotation can delete what is not read; null: nothing is known of a rotation.
    pub(crate) headroom_bytes: Option<u64>,
    /// Bytes of deleted files that are held open.
    pub(crate) held_bytes: u64,
    pub(crate) growth_bytes_per_second: u64,
    /// What went wrong at the last look.
    pub(crate) error: Option<String>,
}

/// A question for the harvester, with the place for its answer.
pub(crate) type Question = oneshot::Sender<Vec<LogStatus>>;

/// Asks the harvester.
#[derive(Clone)]
pub(crate) struct Asker {
    questions: SyncSender<Question>,
    bell: Arc<Bell>,
}

impl Asker {
    /// Someone who asks, and where the harvester hears it.
    pub(crate) fn new(bell: Arc<Bell>) -> (Self, Receiver<Question>) {
        let (questions, asked) = sync_channel(QUESTIONS_MAX);
        (Self { questions, bell }, asked)
    }

    /// The answer to `GET /status`, as JSON.
    pub(crate) async fn page(self) -> String {
        let (answer_in, answer_out) = oneshot::channel();
        let asked = self.questions.try_send(answer_in).is_ok();
        self.bell.ring();
        let answer = tokio::time::timeout(ANSWER_TIME_MAX, answer_out).await;
        match answer {
            Ok(Ok(logs)) if asked => {
                serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "logs": logs }).to_string()
            }
            _ => serde_json::json!({ "error": "the harvester does not answer; ask again" }).to_string(),
        }
    }
}

/// Asks the shipper whose admin port is at `address`, and answers what it says as a table, or as JSON.
///
/// # Errors
/// A sentence for people: who could not be asked, and why.
pub fn status(address: SocketAddr, json: bool) -> Result<String, String> {
    let asked = admin::ask(address, "/status", ANSWER_BYTES_MAX);
    let (_, body) = asked.map_err(|error| {
        format!(
            "the shipper at {address} cannot be asked: {error} (is it running, with shipper.admin = \"{address}\"?)"
        )
    })?;
    let answer: Value =
        serde_json::from_str(&body).map_err(|error| format!("what answers at {address} is no shipper: {error}"))?;
    if let Some(error) = answer["error"].as_str() {
        return Err(error.to_owned());
    }
    Ok(if json { body } else { table(&answer) })
}

fn table(answer: &Value) -> String {
    let mut logs: Vec<&Value> = answer["logs"].as_array().map(|logs| logs.iter().collect()).unwrap_or_default();
    logs.sort_by_key(|log| std::cmp::Reverse(log["lag_bytes"].as_u64()));
    let head = ["LAG", "BEHIND", "UNACKED", "HEADROOM", "HELD", "GROWTH/S", "OFFSET", "SIZE", "NAME", "FILE"];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    let size = |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), bytes);
    for log in &logs {
        rows.push(vec![
            size(&log["lag_bytes"]),
            format!("{:.1} s", log["lag_seconds"].as_f64().unwrap_or_default()),
            size(&log["unacknowledged_bytes"]),
            size(&log["headroom_bytes"]),
            size(&log["held_bytes"]),
            size(&log["growth_bytes_per_second"]),
            log["offset"].to_string(),
            log["size"].to_string(),
            log["name"].as_str().unwrap_or_default().to_owned(),
            log["path"].as_str().unwrap_or_default().to_owned(),
        ]);
    }
    let widths: Vec<usize> =
        (0..head.len()).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            // Numbers stand to the right, names to the left.
            let padding = " ".repeat(widths[column] - cell.chars().count());
            text.push_str(&if column < 8 { format!("{padding}{cell}  ") } else { format!("{cell}{padding}  ") });
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        let log = at.checked_sub(1).map(|at| logs[at]);
        if let Some(log) = log.filter(|log| log["state"] == "excluded") {
            text.push_str(&format!("    {} is excluded by the settings\n", log["name"].as_str().unwrap_or_default()));
        }
        if let Some(error) = log.and_then(|log| log["error"].as_str()) {
            text.push_str(&format!("    last error: {error}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_log_with_the_largest_lag_first_and_tells_errors() {
        let log = |name: &str, lag: u64, error: Option<&str>| {
            serde_json::json!({"name": name, "path": "/x", "state": "followed", "offset": 5, "size": 5 + lag,
                "lag_bytes": lag, "lag_seconds": 1.5, "unacknowledged_bytes": 0, "headroom_bytes": null,
                "held_bytes": 0, "growth_bytes_per_second": 1234, "error": error})
        };
        let text = table(&serde_json::json!({"logs": [log("quiet", 0, None), log("loud", 12_345, Some("denied"))]}));
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][0], "LAG");
        assert_eq!(lines[1][..4], ["12.3", "kB", "1.5", "s"]);
        assert_eq!(lines[2], ["last", "error:", "denied"]);
        assert!(lines[3].contains(&"quiet"), "{text}");
    }
}
