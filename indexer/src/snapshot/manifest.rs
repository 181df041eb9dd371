//! What a repository holds, version 1:
//!
//! ```text
//! weir-repository          {"uuid":"…"}: says that this place is ours
//! snapshots/<name>         one snapshot: its indices, their partitions, and the objects that the files are
//! objects/<sha256 hex>     the bytes of one file of a partition; files never change, so snapshots share them
//! ```
//!
//! The first two are `weir-snapshot 1 <crc32 hex of the rest>` on the first line and JSON behind it. A snapshot exists as
//! soon as its manifest does, which is written last; objects that no manifest names are left-overs of a crash, and go
//! with the next deletion.

use std::collections::{BTreeMap, HashSet};
use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const VERSION: u32 = 1;

/// One snapshot.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Manifest {
    pub(crate) snapshot: String,
    pub(crate) uuid: String,
    /// Milliseconds since 1970.
    pub(crate) started_ms: u64,
    pub(crate) ended_ms: u64,
    /// Taken by the schedule: counts for its retention.
    pub(crate) scheduled: bool,
    /// Index templates, when the global state was asked for.
    pub(crate) templates: Option<Map<String, Value>>,
    /// What the one who took it wrote on it.
    pub(crate) metadata: Option<Value>,
    /// By name.
    pub(crate) indices: BTreeMap<String, IndexPart>,
    /// What could not be kept: (index, reason). Empty means success.
    pub(crate) failures: Vec<(String, String)>,
    /// Files and bytes that were not in the repository before.
    pub(crate) added: (u64, u64),
}

/// One index.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct IndexPart {
    /// Its `meta.json`: salt, mapping, settings, aliases.
    pub(crate) meta: Value,
    /// Oldest first.
    pub(crate) partitions: Vec<PartitionPart>,
}

/// One partition.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct PartitionPart {
    pub(crate) number: u32,
    /// tantivy's `meta.json` as it was.
    pub(crate) meta: String,
    pub(crate) files: Vec<FilePart>,
}

/// One file of a partition.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct FilePart {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// Hex; also the name of the object.
    pub(crate) sha256: String,
}

impl Manifest {
    pub(crate) fn files(&self) -> impl Iterator<Item = &FilePart> {
        self.indices.values().flat_map(|index| &index.partitions).flat_map(|partition| &partition.files)
    }

    /// Elasticsearch's word for how it went.
    pub(crate) fn state(&self) -> &'static str {
        match (self.failures.is_empty(), self.indices.is_empty()) {
            (true, _) => "SUCCESS",
            (false, false) => "PARTIAL",
            (false, true) => "FAILED",
        }
    }

    /// Every index that it was to hold.
    pub(crate) fn names(&self) -> Vec<&str> {
        let failed = self.failures.iter().map(|(index, _)| index.as_str());
        let all: std::collections::BTreeSet<&str> = self.indices.keys().map(String::as_str).chain(failed).collect();
        all.into_iter().collect()
    }

    /// How many of its indices are in it as a whole.
    pub(crate) fn whole(&self) -> usize {
        let failed = |name: &String| self.failures.iter().any(|(index, _)| index == name);
        self.indices.keys().filter(|name| !failed(name)).count()
    }

    /// Whether every name in it is one that weir gives: what is restored becomes paths.
    fn is_sound(&self) -> bool {
        let hex = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let plain = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        };
        let mut numbers = HashSet::new();
        self.indices.iter().all(|(name, index)| {
            numbers.clear();
            crate::store::check_name(name).is_ok()
                && !index.partitions.is_empty()
                && index.partitions.iter().all(|partition| {
                    numbers.insert(partition.number)
                        && partition.files.iter().all(|file| plain(&file.name) && hex(&file.sha256))
                })
        })
    }
}

/// With the first line before it.
pub(super) fn seal<T: Serialize>(content: &T) -> io::Result<Vec<u8>> {
    let body = serde_json::to_string(content)?;
    Ok(format!("weir-snapshot {VERSION} {:08x}\n{body}\n", crc32fast::hash(body.as_bytes())).into_bytes())
}

/// Reads what [`seal`] wrote.
///
/// # Errors
/// `InvalidData` with what is wrong.
pub(super) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let text = std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
    let (head, body) = text.split_once('\n').ok_or_else(|| wrong("no first line".to_owned()))?;
    let body = body.trim_end_matches('\n');
    let ["weir-snapshot", version, crc] = head.split(' ').collect::<Vec<_>>()[..] else {
        return Err(wrong("it was not written by weir".to_owned()));
    };
    if version != VERSION.to_string() {
        return Err(wrong(format!("it has format {version}, and this weir knows {VERSION}")));
    }
    if u32::from_str_radix(crc, 16) != Ok(crc32fast::hash(body.as_bytes())) {
        return Err(wrong("its checksum differs".to_owned()));
    }
    serde_json::from_str(body).map_err(|error| wrong(error.to_string()))
}

/// Reads a snapshot's manifest.
///
/// # Errors
/// `InvalidData` with what is wrong.
pub(super) fn read(bytes: &[u8]) -> io::Result<Manifest> {
    let manifest: Manifest = unseal(bytes)?;
    if manifest.is_sound() {
        Ok(manifest)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "it holds names that weir never gives"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Manifest {
        let file = FilePart { name: "0a.store".to_owned(), bytes: 3, sha256: "ab".repeat(32) };
        let partition = PartitionPart { number: 1, meta: "{}".to_owned(), files: vec![file] };
        let index = IndexPart { meta: serde_json::json!({"uid": 1}), partitions: vec![partition] };
        Manifest {
            snapshot: "s".to_owned(),
            uuid: "u".to_owned(),
            started_ms: 1,
            ended_ms: 2,
            scheduled: false,
            templates: None,
            metadata: None,
            indices: BTreeMap::from([("logs".to_owned(), index)]),
            failures: Vec::new(),
            added: (1, 3),
        }
    }

    #[test]
    fn there_and_back_and_no_byte_may_change() {
        let bytes = seal(&example()).unwrap();
        assert_eq!(read(&bytes).unwrap(), example());
        for at in 0..bytes.len() - 1 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(read(&flipped).is_err(), "byte {at}");
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["../x", "a/b", ".hidden", ""] {
            let mut manifest = example();
            manifest.indices.get_mut("logs").unwrap().partitions[0].files[0].name = name.to_owned();
            assert!(read(&seal(&manifest).unwrap()).is_err(), "{name}");
        }
        let mut manifest = example();
        let index = manifest.indices.remove("logs").unwrap();
        manifest.indices.insert("../logs".to_owned(), index);
        assert!(read(&seal(&manifest).unwrap()).is_err());
    }

    #[test]
    fn states() {
        let mut manifest = example();
        assert_eq!(manifest.state(), "SUCCESS");
        manifest.failures.push(("other".to_owned(), "why".to_owned()));
        assert_eq!((manifest.state(), manifest.names()), ("PARTIAL", vec!["logs", "other"]));
        manifest.indices.clear();
        assert_eq!(manifest.state(), "FAILED");
    }
}
