//! The schedule: every so often a snapshot of everything to the place of the settings, and the oldest ones go. When it
//! is due is read from the snapshots themselves, so that a restart changes nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use weir_daemon::Shutdown;

use super::manifest::Manifest;
use super::{Snapshots, Take, names};
use crate::error::{Error, Result};
use crate::store::{Choice, now_ms};

/// Name of the repository that the settings name a place for.
pub const REPOSITORY: &str = "scheduled";
/// How often it is looked whether one is due.
const LOOK: Duration = Duration::from_secs(1);
/// After a failure it is tried again so much later: storage that is away comes back.
const RETRY_MS: u64 = 10 * 60 * 1_000;

/// Runs the schedule until shutdown. Ends at once when the settings name no place.
pub async fn run(snapshots: Arc<Snapshots>, shutdown: Shutdown) {
    if snapshots.store.config().snapshots.to.is_none() {
        return;
    }
    loop {
        tokio::select! {
            () = shutdown.cancelled() => {
                // A snapshot that runs would hold the process for as long as its storage likes.
                if let Some(progress) = snapshots.current("*") {
                    progress.cancelled.store(true, Ordering::Release);
                }
                return;
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        if now_ms() < snapshots.due_ms.load(Ordering::Relaxed) {
            continue;
        }
        let working = Arc::clone(&snapshots);
        let outcome = tokio::task::spawn_blocking(move || working.keep_up()).await.map_err(Error::internal);
        match outcome.and_then(|outcome| outcome) {
            Ok(due_ms) => {
                snapshots.due_ms.store(due_ms, Ordering::Relaxed);
                snapshots.health.well("snapshot");
            }
            Err(error) => {
                tracing::error!(%error, "the scheduled snapshot failed; it is tried again in ten minutes");
                snapshots.health.trouble("snapshot", format!("the scheduled snapshot failed: {error}"));
                snapshots.due_ms.store(now_ms() + RETRY_MS, Ordering::Relaxed);
            }
        }
    }
}

impl Snapshots {
    /// Takes a snapshot when one is due, forgets the oldest, and tells when the next one is due.
    fn keep_up(&self) -> Result<u64> {
        let config = &self.store.config().snapshots;
        let (registered, storage) = self.repository(REPOSITORY)?;
        self.mark(REPOSITORY, &registered, &storage)?;
        let mut own: Vec<Manifest> = Vec::new();
        for name in names(REPOSITORY, &storage)? {
            match self.manifest(REPOSITORY, &storage, &name) {
                Ok(manifest) => own.extend(Some(manifest).filter(|manifest| manifest.scheduled)),
                Err(error) => tracing::error!(snapshot = name, %error, "a snapshot cannot be read"),
            }
        }
        let newest = own.iter().map(|manifest| manifest.started_ms).max().unwrap_or(0);
        self.newest.set((newest / 1_000) as i64);
        let now = now_ms();
        if now < newest + config.every_ms {
            return Ok(newest + config.every_ms);
        }
        let take = Take {
            indices: "*".to_owned(),
            choice: Choice::default(),
            global_state: true,
            partial: true,
            metadata: None,
            scheduled: true,
        };
        let ready = self.prepare(REPOSITORY, &name(now), take)?;
        own.push(self.take(&ready)?);
        own.sort_by_key(|manifest| manifest.started_ms);
        let surplus = own.len().saturating_sub(config.keep);
        // However old: the last one that is whole stays.
        let whole = own.iter().rev().find(|manifest| manifest.failures.is_empty()).map(|m| m.snapshot.clone());
        for manifest in own.iter().take(surplus).filter(|manifest| Some(&manifest.snapshot) != whole.as_ref()) {
            self.delete(REPOSITORY, &manifest.snapshot)?;
        }
        Ok(now + config.every_ms)
    }
}

/// `scheduled-2026.11.25-10.15.30`
fn name(at_ms: u64) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms as i64).unwrap_or_default();
    at.strftime("scheduled-%Y.%m.%d-%H.%M.%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time() {
        assert_eq!(name(1_795_180_000_000), "scheduled-2026.11.20-13.06.40");
    }
}
