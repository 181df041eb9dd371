//! Restoring: files are fetched into `restoring/` below the data folder, every byte is checked against its checksum, and
//! then the whole becomes an index in one step. Its documents and their ids are the same; it is a new index all the same,
//! as old as its restoration, so that retention does not take it away at once.

use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::{Map, Value};
use weir_daemon::files::sync_dir;

use super::manifest::{IndexPart, Manifest};
use super::repository::Repository;
use super::{Snapshots, storage_error};
use crate::error::{Error, Result};
use crate::mapping::wildcard;
use crate::store::freeze::{Changes, finish_partition, renew};
use crate::store::{check_name, fresh_id, now_ms, write_meta};

/// What is to be restored.
#[derive(Clone, Debug, Default)]
pub struct Restore {
    /// Names and patterns of the snapshot's indices; empty: all.
    pub indices: String,
    /// A missing index is no error.
    pub ignore_unavailable: bool,
    /// Templates too.
    pub global_state: bool,
    /// With their aliases.
    pub aliases: bool,
    /// Indices that are not whole in the snapshot too.
    pub partial: bool,
    /// Regular expression and replacement for names.
    pub rename: Option<(String, String)>,
    /// Laid over the settings of each index.
    pub settings: Map<String, Value>,
}

impl Snapshots {
    /// What a restoration would make: the index in the snapshot, and its name here. Blocks.
    ///
    /// # Errors
    /// 404 for what is missing, 500 (as Elasticsearch) for a name that is taken.
    pub(crate) fn plan(&self, repository: &str, snapshot: &str, restore: &Restore) -> Result<Vec<(String, String)>> {
        let (_, storage) = self.repository(repository)?;
        let manifest = self.manifest(repository, &storage, snapshot)?;
        let refused = |reason: String| {
            Error::new(
                500,
                "snapshot_restore_exception",
                format!("[{repository}:{snapshot}/{}] {reason}", manifest.uuid),
            )
        };
        let rename = match &restore.rename {
            None => None,
            Some((pattern, replacement)) => Some((
                Regex::new(pattern).map_err(|error| Error::illegal_argument(format!("[rename_pattern]: {error}")))?,
                // `$1x` names the group 1 there, and the group `1x` here.
                Regex::new(r"\$(\d+)").map_err(Error::internal)?.replace_all(replacement, "$${$1}").into_owned(),
            )),
        };
        let mut chosen: Vec<(String, String)> = Vec::new();
        for name in chosen_names(&manifest, restore)? {
            let here = match &rename {
                Some((pattern, replacement)) => pattern.replace_all(&name, replacement.as_str()).into_owned(),
                None => name.clone(),
            };
            check_name(&here)?;
            if !restore.partial && manifest.failures.iter().any(|(index, _)| *index == name) {
                return Err(refused(format!("index [{name}] wasn't fully snapshotted - cannot restore")));
            }
            if self.store.indices().iter().any(|index| *index.name == *here) {
                return Err(refused(format!(
                    "cannot restore index [{here}] because an open index with same name already exists in the cluster. Either close or delete the existing index or restore the index under a different name by providing a rename pattern and replacement name"
                )));
            }
            if chosen.iter().any(|(_, other)| *other == here) {
                return Err(refused(format!("indices [{name}] and another one are both renamed to [{here}]")));
            }
            chosen.push((name, here));
        }
        Ok(chosen)
    }

    /// Restores. Blocks. Indices that were restored before a failure stay.
    ///
    /// # Errors
    /// As [`plan`](Self::plan); 429 without room; 500 for damage and for what the storage says.
    pub(crate) fn restore(&self, repository: &str, snapshot: &str, restore: &Restore) -> Result<Vec<String>> {
        let _operation = self.wait()?;
        let chosen = self.plan(repository, snapshot, restore)?;
        let (_, storage) = self.repository(repository)?;
        let manifest = self.manifest(repository, &storage, snapshot)?;
        let parts = chosen.iter().filter_map(|(name, here)| Some((here, manifest.indices.get(name)?)));
        let parts: Vec<(&String, &IndexPart)> = parts.collect();
        let files = parts.iter().flat_map(|(_, part)| &part.partitions).flat_map(|partition| &partition.files);
        self.store.make_sure_of_room(files.map(|file| file.bytes).sum())?;
        if restore.global_state {
            for (name, template) in manifest.templates.iter().flatten() {
                self.store.set_template(name, Some(template.clone()))?;
            }
        }
        let changes = Changes { without_aliases: !restore.aliases, settings: restore.settings.clone() };
        let folder = self.store.config().data_dir.join("restoring");
        let mut done = Vec::new();
        for (here, part) in parts {
            let made = self
                .fetch(repository, &storage, part, &folder, &changes)
                .and_then(|()| self.store.adopt(here, &folder).map(drop));
            if let Err(error) = made {
                if let Err(error) = fs::remove_dir_all(&folder) {
                    tracing::warn!(%error, folder = %folder.display(), "what is left of a restoration cannot be removed");
                }
                tracing::error!(snapshot, repository, index = here, %error, "the index was not restored");
                return Err(error);
            }
            tracing::info!(snapshot, repository, index = here, "restored");
            done.push(here.clone());
        }
        Ok(done)
    }

    fn fetch(
        &self,
        repository: &str,
        storage: &Repository,
        part: &IndexPart,
        folder: &Path,
        changes: &Changes,
    ) -> Result<()> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        for partition in &part.partitions {
            let to = folder.join(format!("p{}", partition.number));
            fs::create_dir(&to)?;
            for file in &partition.files {
                let key = format!("objects/{}", file.sha256);
                storage
                    .get_file(&key, &to.join(&file.name), file.bytes, &file.sha256)
                    .map_err(|error| storage_error(repository, &error))?;
            }
            finish_partition(&to, &partition.meta, now_ms())?;
        }
        write_meta(folder, &renew(&part.meta, fresh_id() | 1, changes))?;
        Ok(sync_dir(folder)?)
    }
}

/// The snapshot's indices that were asked for.
fn chosen_names(manifest: &Manifest, restore: &Restore) -> Result<Vec<String>> {
    let mut chosen: Vec<String> = Vec::new();
    let expression = if restore.indices.is_empty() { "*" } else { &restore.indices };
    for (n, part) in expression.split(',').map(str::trim).enumerate() {
        if let Some(part) = part.strip_prefix('-').filter(|_| n > 0) {
            chosen.retain(|name| !wildcard(part, name));
            continue;
        }
        let part = if part == "_all" { "*" } else { part };
        let fitting: Vec<&String> = manifest.indices.keys().filter(|name| wildcard(part, name)).collect();
        if fitting.is_empty() && !part.contains('*') && !restore.ignore_unavailable {
            return Err(Error::index_not_found(part));
        }
        for name in fitting {
            if !chosen.contains(name) {
                chosen.push(name.clone());
            }
        }
    }
    Ok(chosen)
}
