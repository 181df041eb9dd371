//! What is damaged is moved into the folder `damaged/`, for people to look at, told loudly, and kept within limits.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Shared, id, now_ms, partition};

/// Moves a damaged thing aside, and tells.
pub(super) fn set_aside(shared: &Shared, path: &Path, problem: &str) -> io::Result<()> {
    let kept = keep(&shared.config.data_dir, path)?;
    tracing::error!(path = %path.display(), kept_as = %kept.display(), problem, "damaged: set aside; the rest goes on");
    shared.counters.damaged.inc();
    shared.health.trouble("damage", format!("{}: {problem}; kept as {}", path.display(), kept.display()));
    Ok(())
}

/// Moves something into `damaged/`, under a name that says where it was.
pub(crate) fn keep(data_dir: &Path, path: &Path) -> io::Result<PathBuf> {
    let folder = data_dir.join("damaged");
    fs::create_dir_all(&folder)?;
    let parts = path.strip_prefix(data_dir).unwrap_or(path).iter();
    let flat: Vec<String> = parts.map(|part| part.to_string_lossy().into_owned()).collect();
    let kept = folder.join(format!("{}-{}-{:08x}", flat.join("-"), now_ms(), id::fresh() as u32));
    fs::rename(path, &kept)?;
    Ok(kept)
}

/// Damaged things are for people to look at, not to fill the disk: beyond `bytes_max`, the oldest go.
pub(super) fn trim(data_dir: &Path, bytes_max: u64) -> io::Result<()> {
    let folder = data_dir.join("damaged");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut kept: Vec<(std::time::SystemTime, PathBuf, u64)> = Vec::new();
    for entry in entries {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let bytes = if metadata.is_dir() { partition::folder_bytes(&entry.path()) } else { metadata.len() };
        kept.push((metadata.modified()?, entry.path(), bytes));
    }
    kept.sort();
    let mut all: u64 = kept.iter().map(|(_, _, bytes)| bytes).sum();
    for (_, path, bytes) in kept {
        if all <= bytes_max {
            break;
        }
        tracing::warn!(path = %path.display(), bytes, "removed from damaged/: there is too much in it");
        if path.is_dir() {
            fs::remove_dir_all(&path)?
        } else {
            fs::remove_file(&path)?
        }
        all -= bytes;
    }
    Ok(())
}
