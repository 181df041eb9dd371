//! `hostconfig.json`: which log driver a container has, and when that one rotates. Docker writes the limits of
//! `daemon.json` in here when a container is created; later changes there are not for it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

/// Largest `hostconfig.json` that is read; Docker's are some kilobytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// The log options of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The log driver, such as `json-file`.
    pub(crate) driver: String,
    /// Bytes after which the driver rotates; none: it never does.
    pub(crate) max_size: Option<u64>,
    /// Files that it keeps, the live one among them.
    pub(crate) max_file: u32,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "LogConfig")]
    log: LogConfig,
}

#[derive(Deserialize)]
struct LogConfig {
    #[serde(rename = "Type", default)]
    driver: String,
    #[serde(rename = "Config", default)]
    options: Option<BTreeMap<String, String>>,
}

impl Limits {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not there, too long, or not a document of this kind.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let length = std::fs::metadata(path)?.len();
        if length > CONFIG_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{length} bytes")));
        }
        let document: Document = serde_json::from_slice(&std::fs::read(path)?)?;
        let options = document.log.options.unwrap_or_default();
        let max_file = options.get("max-file").and_then(|text| text.parse().ok()).unwrap_or(1);
        let max_size = options.get("max-size").and_then(|text| bytes(text));
        Ok(Self { driver: document.log.driver, max_size, max_file })
    }

    /// Whether the log grows until the disk is full.
    pub(crate) fn unlimited(&self) -> bool {
        self.driver == "json-file" && self.max_size.is_none()
    }

    /// Bytes of log that Docker keeps at least before it deletes the oldest; none: it deletes nothing.
    pub(crate) fn capacity(&self) -> Option<u64> {
        // The live file may have been made just now.
        self.max_size.map(|size| size.saturating_mul(u64::from(self.max_file.saturating_sub(1).max(1))))
    }
}

/// Docker's own notation of sizes: a number and k, m, g, t or p, each a thousand times the one before.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.trim_end_matches('b').trim_end_matches('i');
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-').trim();
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == unit)?;
    let number: f64 = text[..text.len() - unit.len()].trim().parse().ok()?;
    (number > 0.0).then_some((number * 1000_f64.powi(power as i32)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_docker_reads_them() {
        for (text, expected) in [
            ("10m", Some(10_000_000)),
            ("64k", Some(64_000)),
            ("1.5GB", Some(1_500_000_000)),
            ("100", Some(100)),
            ("-1", None),
            ("x", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn row_29_a_container_made_before_the_limits_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hostconfig.json");
        let read = |document: &str| {
            std::fs::write(&path, document).unwrap();
            Limits::read(&path).unwrap()
        };
        let old = read(r#"{"LogConfig":{"Type":"json-file","Config":{}}}"#);
        assert!(old.unlimited());
        assert_eq!(old.capacity(), None);
        let new = read(r#"{"LogConfig":{"Type":"json-file","Config":{"max-file":"3","max-size":"10m"}},"Binds":null}"#);
        assert!(!new.unlimited());
        assert_eq!(new.capacity(), Some(20_000_000));
        assert!(!read(r#"{"LogConfig":{"Type":"journald","Config":null}}"#).unlimited());
    }
}
