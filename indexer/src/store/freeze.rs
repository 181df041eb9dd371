//! Freezing and adopting indices, for snapshots.
//!
//! Frozen files are hard links in `frozen/<uid>-p<number>/`: a snapshot reads them in its own time, while the originals
//! are merged, dropped or deleted. They cost no bytes as long as the originals are there; afterwards they are counted.
//! A partition that is dropped takes its frozen files with it, so that its room is given back at once, and the snapshot
//! goes on without it. What is left of a crash is removed at start.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use weir_daemon::files::sync_dir;

use super::index::Index;
use super::partition::Payload;

/// How often a partition is looked at again because a merge changed it meanwhile.
const ATTEMPTS: usize = 20;

/// An index whose files stay as they are.
pub(crate) struct FrozenIndex {
    /// As in its `meta.json`.
    pub(crate) meta: Value,
    /// Oldest first.
    pub(crate) partitions: Vec<FrozenPartition>,
}

/// A partition whose files stay as they are.
pub(crate) struct FrozenPartition {
    pub(crate) number: u32,
    /// Where its files are, all but tantivy's own `meta.json`.
    pub(crate) folder: PathBuf,
    /// That one's content.
    pub(crate) meta: String,
}

/// Freezes an index that was just committed. Nothing may commit while it goes on; merges may.
///
/// # Errors
/// When the file system has no hard links, or a partition changes faster than it can be looked at.
pub(crate) fn freeze(data_dir: &Path, index: &Index) -> io::Result<FrozenIndex> {
    let mut partitions = Vec::new();
    for partition in index.partitions() {
        let folder = frozen(data_dir, index.uid, partition.number);
        let meta = link(&partition.folder, &folder)?;
        partitions.push(FrozenPartition { number: partition.number, folder, meta });
    }
    Ok(FrozenIndex { meta: index.describe(), partitions })
}

/// Lets go of a partition's frozen files.
pub(crate) fn thaw(data_dir: &Path, uid: u64, number: u32) {
    remove(&frozen(data_dir, uid, number));
}

/// Lets go of everything that is frozen.
pub(crate) fn thaw_all(data_dir: &Path) {
    remove(&data_dir.join("frozen"));
}

/// Bytes that are kept by being frozen alone: their originals are gone.
pub(crate) fn held_bytes(data_dir: &Path) -> u64 {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let files = entries(&data_dir.join("frozen")).flat_map(|entry| entries(&entry.path()));
    // What vanishes meanwhile counts as nothing.
    files.filter_map(|file| file.metadata().ok()).filter(|metadata| metadata.nlink() == 1).map(|m| m.len()).sum()
}

fn frozen(data_dir: &Path, uid: u64, number: u32) -> PathBuf {
    data_dir.join("frozen").join(format!("{uid:016x}-p{number}"))
}

fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::error!(folder = %folder.display(), %error, "frozen files cannot be removed");
        }
        _ => {}
    }
}

/// Links the files of a partition's segments, and gives its `meta.json`.
fn link(from: &Path, to: &Path) -> io::Result<String> {
    for _ in 0..ATTEMPTS {
        remove(to);
        fs::create_dir_all(to)?;
        let meta = fs::read_to_string(from.join("meta.json"))?;
        let segments = segments(&meta)?;
        let mut vanished = false;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| belongs(name, &segments)) else { continue };
            match fs::hard_link(from.join(name), to.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => vanished = true,
                other => other?,
            }
        }
        // Files go only after the `meta.json` that no longer names them: unchanged means that all of them were there.
        if !vanished && fs::read_to_string(from.join("meta.json"))? == meta {
            return Ok(meta);
        }
    }
    Err(io::Error::other("merges change the partition faster than it can be looked at"))
}

/// Prefix of each segment's files, and the whole name of its deletions where it has some.
fn segments(meta: &str) -> io::Result<Vec<(String, Option<String>)>> {
    let meta: Value = serde_json::from_str(meta)?;
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "meta.json has no list of segments");
    let list = meta.get("segments").and_then(Value::as_array).ok_or_else(wrong)?;
    let segment = |segment: &Value| {
        let id = segment.get("segment_id")?.as_str()?.replace('-', "");
        let deletes = segment.get("deletes").and_then(|deletes| deletes.get("opstamp")).and_then(Value::as_u64);
        let deletes = deletes.map(|opstamp| format!("{id}.{opstamp}.del"));
        Some((format!("{id}."), deletes))
    };
    list.iter().map(|one| segment(one).ok_or_else(wrong)).collect()
}

fn belongs(name: &str, segments: &[(String, Option<String>)]) -> bool {
    segments.iter().any(|(prefix, deletes)| {
        name.starts_with(prefix) && (!name.ends_with(".del") || deletes.as_deref() == Some(name))
    })
}

/// Makes a folder, filled with the files of a partition, one that can be opened as part of a new index: it is written
/// anew that no journal record is in it, and that it is as old as its restoration.
///
/// # Errors
/// When `meta` is not tantivy's, or the folder cannot be written.
pub(crate) fn finish_partition(folder: &Path, meta: &str, now_ms: u64) -> io::Result<()> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the partition's meta.json {what}"));
    let mut meta: Value = serde_json::from_str(meta)?;
    let payload = meta.get("payload").and_then(Value::as_str).and_then(Payload::parse);
    let payload = payload.ok_or_else(|| wrong("has a damaged payload"))?;
    let payload = Payload { record: 0, created_ms: now_ms, ..payload };
    meta["payload"] = payload.render().into();
    let mut managed: Vec<String> = Vec::new();
    for entry in fs::read_dir(folder)? {
        managed.extend(entry?.file_name().to_str().map(str::to_owned));
    }
    managed.push("meta.json".to_owned());
    fs::write(folder.join(".managed.json"), json!(managed).to_string())?;
    fs::write(folder.join("meta.json"), meta.to_string())?;
    for name in [".managed.json", "meta.json"] {
        fs::File::open(folder.join(name))?.sync_all()?;
    }
    sync_dir(folder)
}

/// What of an index's `meta.json` is changed when it is restored.
pub(crate) struct Changes {
    /// Leave its aliases out.
    pub(crate) without_aliases: bool,
    /// Settings laid over its own.
    pub(crate) settings: Map<String, Value>,
}

/// The `meta` of an index under a new uid. Its salt stays, and with it the ids of its documents.
pub(crate) fn renew(meta: &Value, uid: u64, changes: &Changes) -> Value {
    let mut meta = meta.clone();
    meta["uid"] = uid.into();
    if changes.without_aliases {
        meta["aliases"] = json!({});
    }
    if let Some(settings) = meta.get_mut("settings").and_then(Value::as_object_mut) {
        settings.extend(changes.settings.clone());
    }
    meta
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_living_segments_only() {
        let meta = json!({"segments": [
            {"segment_id": "00aa-bb", "max_doc": 3, "deletes": null},
            {"segment_id": "11cc", "max_doc": 3, "deletes": {"num_deleted_docs": 1, "opstamp": 7}},
        ]});
        let segments = segments(&meta.to_string()).unwrap();
        for (name, living) in [
            ("00aabb.store", true),
            ("00aabb.5.del", false),
            ("11cc.7.del", true),
            ("11cc.6.del", false),
            ("22dd.store", false),
            ("meta.json", false),
            (".managed.json", false),
        ] {
            assert_eq!(belongs(name, &segments), living, "{name}");
        }
        assert!(super::segments("{}").is_err());
    }

    #[test]
    fn frozen_files_are_counted_when_they_are_the_last() {
        let data = tempfile::tempdir().unwrap();
        let from = data.path().join("p1");
        fs::create_dir(&from).unwrap();
        fs::write(from.join("meta.json"), r#"{"segments":[{"segment_id":"aa","deletes":null}]}"#).unwrap();
        fs::write(from.join("aa.store"), [0; 1_000]).unwrap();
        let to = frozen(data.path(), 5, 1);
        link(&from, &to).unwrap();
        assert_eq!(held_bytes(data.path()), 0);
        fs::remove_dir_all(&from).unwrap();
        assert_eq!(held_bytes(data.path()), 1_000);
        thaw(data.path(), 5, 1);
        assert_eq!(held_bytes(data.path()), 0);
        thaw_all(data.path());
        assert!(!data.path().join("frozen").exists());
    }
}
