//! Silences: what nobody wants to hear for a while. An alert that is silenced is still kept and shown; if it fires when the
//! silence ends, it is told then.

use serde::{Deserialize, Serialize};

use super::state::Alert;
use crate::mapping::wildcard;

/// Most silences at once.
pub const SILENCES_MAX: usize = 500;
/// Longest silence: one that is for ever is a rule to be switched off.
pub const LENGTH_MAX_MS: i64 = 30 * 86_400_000;

/// One silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its name for those who end it.
    pub id: String,
    /// Name of rules, `*` for any characters.
    pub rule: String,
    /// Group of alerts (a service, a node), `*` for any characters.
    pub group: String,
    /// When it ends, in milliseconds since 1970.
    pub until: i64,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub why: String,
}

impl Silence {
    /// Whether it holds for an alert at a moment.
    pub fn covers(&self, alert: &Alert, now: i64) -> bool {
        now < self.until
            && wildcard(&self.rule, &alert.rule)
            && wildcard(&self.group, alert.group.as_deref().unwrap_or(""))
    }
}
