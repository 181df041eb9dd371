//! Who may do what. In the order in which a request meets them: the `gate` finds out who asks (by `password`, by `token`
//! or by `session`, within what `limiter` allows), `rights` says what each endpoint needs, and a reader sees of the store
//! what its [`Reach`] allows (`crate::store::Narrow`). The `book` is the file of users and tokens, `audit` the file of
//! what was tried.

pub mod audit;
pub mod book;
pub mod gate;
mod limiter;
pub mod password;
pub mod rights;
pub mod session;
pub mod token;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Add documents; neither read nor change what is there.
    Ingest,
    /// Search, within a [`Reach`].
    Read,
    /// Everything.
    Admin,
}

impl Role {
    /// Its name, as in the file and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// The role of a name.
    ///
    /// # Errors
    /// A sentence that lists the roles.
    pub fn parse(name: &str) -> Result<Self, String> {
        [Self::Ingest, Self::Read, Self::Admin]
            .into_iter()
            .find(|role| role.name() == name)
            .ok_or_else(|| format!("there is no role {name:?}; there are ingest, read and admin"))
    }
}

/// What a reader sees. Empty lists do not limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// Names of indices, `*` for any run of characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indices: Vec<String>,
    /// Values of `service.name`, `*` for any run of characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

impl Reach {
    /// Whether it hides nothing.
    pub fn is_all(&self) -> bool {
        self.indices.is_empty() && self.services.is_empty()
    }
}

/// Somebody who proved who they are.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The user, or `token:NAME`.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
    /// What they see, for [`Role::Read`].
    pub reach: Reach,
}

impl Principal {
    /// Whoever asks where no credentials are needed.
    pub fn anybody() -> Self {
        Self { name: "anonymous".into(), role: Role::Admin, reach: Reach::default() }
    }
}
