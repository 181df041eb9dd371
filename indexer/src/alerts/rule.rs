//! A rule, checked: what is asked, and when the answer is an alert.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::query::Query;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must look now.
    Critical,
}

impl Level {
    /// Its name, which is Prometheus' `severity`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// When a rule's answer is an alert.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// More than so many lines in the window.
    Above(u64),
    /// Fewer than so many lines in the window.
    Below(u64),
    /// A group wrote all through the window, and nothing for this long.
    Absent(Duration),
    /// So many times the lines of an ordinary window, and at least so many.
    TimesUsual {
        /// How many times.
        times: f64,
        /// The stretch before the window that says what is usual.
        usual: Duration,
        /// Fewer lines are no alert, however few there usually are.
        at_least: u64,
    },
    /// The indexer's own disk will be full within this time.
    DiskFullWithin(Duration),
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it is called; unique.
    pub name: String,
    /// What the message says: `{group}`, `{value}` and `{sample}` are filled in.
    pub text: String,
    /// Which lines.
    pub query: Query,
    /// The same in the terms of `_search`, for a cluster that keeps the lines.
    pub json: Value,
    /// Where.
    pub index: String,
    /// How far back.
    pub window: Duration,
    /// Each value of this field is an alert of its own.
    pub group_by: Option<String>,
    /// See [`When`].
    pub when: When,
    /// How long it must hold before it is told.
    pub hold: Duration,
    /// See [`Level`].
    pub level: Level,
    /// Names of receivers; empty for all.
    pub to: Vec<String>,
    /// How often a firing alert is told again.
    pub repeat: Duration,
}

impl Rule {
    /// For the page.
    pub fn show(&self) -> Value {
        json!({
            "name": self.name, "level": self.level, "index": self.index, "group_by": self.group_by,
            "window_seconds": self.window.as_secs(), "when": format!("{:?}", self.when), "to": self.to,
        })
    }
}
