//! The file of users and tokens: `access.json` in the data folder, or where `access_file` says.
//!
//! ```text
//! {"version": 1,
//!  "users":  {"<name>": {"password": "$argon2id$…", "may": {"role": "read", "services": ["web"]}}},
//!  "tokens": {"<id>":   {"name": "aggregator", "hash": "<SHA-256 of the secret, hex>", "may": {"role": "ingest"},
//!                        "made": <seconds since 1970>, "ends": <the same, or left out>}}}
//! ```
//!
//! It holds no secret in the clear, and is still readable for its owner alone. `weir users` and `weir tokens` write it as a
//! whole; a running indexer reads it again when it has changed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use weir_daemon::files::write_durably;

use super::{Reach, Role};

/// The name of the file in the data folder.
pub const FILE: &str = "access.json";
/// The only version of the file so far.
const VERSION: u32 = 1;
/// Most users, and most tokens: the file is held in memory and read as a whole.
const ENTRIES_MAX: usize = 10_000;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 100;

/// What a user or a token may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// What a reader sees.
    #[serde(flatten)]
    pub reach: Reach,
}

/// Somebody with a password.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Hash of the password in PHC form (`$argon2id$…`).
    pub password: String,
    /// What they may do.
    pub may: Grant,
}

/// An API key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it is called, for people.
    pub name: String,
    /// SHA-256 of the secret, in hex. The secret is 256 random bits: a slow hash would add nothing.
    pub hash: String,
    /// What its bearer may do.
    pub may: Grant,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// When it ends, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<u64>,
}

/// The whole file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    version: u32,
    /// By name.
    #[serde(default)]
    pub users: BTreeMap<String, User>,
    /// By id.
    #[serde(default)]
    pub tokens: BTreeMap<String, Token>,
}

impl Default for Book {
    fn default() -> Self {
        Self { version: VERSION, users: BTreeMap::new(), tokens: BTreeMap::new() }
    }
}

impl Book {
    /// Reads the file; one that is not there is empty.
    ///
    /// # Errors
    /// A sentence with the file's name: it cannot be read, or is of a newer version.
    pub fn load(path: &Path) -> Result<Self, String> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let book: Self = serde_json::from_slice(&bytes)
            .map_err(|error| format!("{} is no file of users and tokens: {error}", path.display()))?;
        if book.version != VERSION {
            return Err(format!("{} is of version {}, and this weir knows {VERSION}", path.display(), book.version));
        }
        Ok(book)
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.tokens.is_empty()
    }

    /// Changes the file: read, changed and written with no other change between.
    ///
    /// # Errors
    /// What `change` says, or why the file cannot be read or written.
    pub fn change<T>(path: &Path, change: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        let failed = |error: io::Error| format!("cannot write {}: {error}", path.display());
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock: File = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(PathBuf::from(lock))
            .map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        let mut book = Self::load(path)?;
        let answer = change(&mut book)?;
        if book.users.len() > ENTRIES_MAX || book.tokens.len() > ENTRIES_MAX {
            return Err(format!("there are {ENTRIES_MAX} already; remove some"));
        }
        let mut bytes = serde_json::to_vec_pretty(&book).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        // The temporary file is made anew with the mode of the old one's owner: narrowed before anything is in it.
        if !path.exists() {
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(failed)?;
        }
        write_durably(path, &bytes).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(answer)
    }
}

/// Whether a name can be a user's or a token's.
///
/// # Errors
/// A sentence that says what a name is.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_alphanumeric() || "-_.@".contains(c);
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(plain) {
        return Err(format!("{name:?} is no name: 1 to {NAME_CHARS_MAX} letters, digits, - _ . and @"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_is_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join(FILE);
        let may = Grant { role: Role::Read, reach: Reach { indices: vec![], services: vec!["web*".to_owned()] } };
        Book::change(&path, |book| {
            book.users.insert("alice".to_owned(), User { password: "$argon2id$x".to_owned(), may: may.clone() });
            Ok(())
        })
        .unwrap();
        let book = Book::load(&path).unwrap();
        assert_eq!(book.users["alice"].may, may);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Book::load(&folder.path().join("none")).unwrap().is_empty());
        fs::write(&path, r#"{"version":2}"#).unwrap();
        assert!(Book::load(&path).err().unwrap().contains("version 2"));
        fs::write(&path, r#"{"version":1,"users":{"a":{"password":"x","may":{"role":"king"}}}}"#).unwrap();
        assert!(Book::load(&path).err().unwrap().contains("king"));
    }

    #[test]
    fn names_are_plain() {
        assert!(check_name("alice.b@example-1").is_ok());
        for name in ["", "a b", "a:b", "a/b", "a\nb"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
