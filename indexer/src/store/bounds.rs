//! Keeps the store within its bounds: counts what is there, and drops partitions that are too old or too much.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::freeze;
use super::guard::MERGE_BYTES_MAX;
use super::index::Index;
use super::indexing::Indexing;
use super::partition::Partition;
use super::sieve::{self, Verdict};

impl Indexing {
    /// Counts the bytes of everything.
    pub(super) fn measure(&mut self) {
        let begun = self.shared.guard.begin_measuring();
        for shard in self.shards.values_mut() {
            if shard.writer.is_some() || shard.stale {
                shard.open.measure();
                shard.stale = shard.writer.is_some();
                // Sees the segments that merges made, and lets go of the ones that they replaced.
                if let Err(error) = shard.open.reload() {
                    tracing::error!(index = %shard.index.name, %error, "the index files cannot be read");
                }
            }
        }
        let partitions: u64 = self.shards.values().map(|shard| shard.index.bytes()).sum();
        let aside = ["damaged", "restoring"]
            .map(|name| super::partition::folder_bytes(&self.shared.config.data_dir.join(name)));
        let aside = aside.iter().sum::<u64>() + freeze::held_bytes(&self.shared.config.data_dir);
        let journal = self.shared.journal_bytes.load(Ordering::Relaxed);
        let used = partitions + aside + journal;
        let written = self.shards.values().filter(|shard| shard.writer.is_some());
        let merging: u64 = written.map(|shard| shard.open.bytes().min(MERGE_BYTES_MAX)).sum();
        self.shared.guard.measured(begun, used, journal + merging);
        self.shared.counters.disk_bytes.set(i64::try_from(used).unwrap_or(i64::MAX));
        if let Err(error) = self.shared.guard.keep_reserve() {
            tracing::debug!(%error, "no reserve");
        }
        if self.shared.guard.is_starved() {
            self.shared
                .health
                .trouble("disk", "the file system is nearly full: writes are refused with 429 until there is room");
        } else {
            self.shared.health.well("disk");
        }
    }

    /// Drops partitions that are too old or too many, and has the documents of single services taken out of others.
    pub(super) fn expire(&mut self) {
        let now_ms = super::now_ms();
        let retention = &self.shared.config.retention;
        let mut surplus = self.shared.guard.surplus();
        let mut closed: Vec<(u64, Arc<Index>, Arc<Partition>)> = Vec::new();
        for shard in self.shards.values() {
            let partitions = shard.index.partitions();
            for pair in partitions.windows(2) {
                // A partition was closed when the next one was made.
                closed.push((pair[1].payload().created_ms, Arc::clone(&shard.index), Arc::clone(&pair[0])));
            }
        }
        closed.sort_by_key(|(closed_ms, ..)| *closed_ms);
        let mut index_bytes: HashMap<u64, u64> =
            self.shards.values().map(|shard| (shard.index.uid, shard.index.bytes())).collect();
        let sieves = self.sieve.is_due();
        for (closed_ms, index, partition) in closed {
            if self.sieve.is_at(index.uid, partition.number) {
                continue;
            }
            let age = Duration::from_millis(now_ms.saturating_sub(closed_ms));
            let own = index_bytes.entry(index.uid).or_default();
            let too_old = retention.keep(&index.name).is_some_and(|keep| age >= keep);
            let why = if surplus > 0 {
                "byte budget"
            } else if retention.bytes(&index.name).is_some_and(|most| *own > most) {
                "bytes of the index"
            } else if too_old && retention.services.is_empty() {
                "retention"
            } else if retention.services.is_empty() {
                continue;
            } else {
                match self.verdict(&index, &partition, age) {
                    Ok(Verdict::Drop) => "retention",
                    Ok(verdict) => {
                        if let Some(query) = sieve::query(&verdict, &self.shared.fields)
                            && sieves
                            // It is written anew before the old files go.
                            && self.shared.guard.has_room(partition.bytes())
                        {
                            self.sieve.begin(&index, &partition, query);
                        }
                        continue;
                    }
                    Err(error) => {
                        tracing::error!(index = %index.name, partition = partition.number, %error, "retention cannot be decided");
                        continue;
                    }
                }
            };
            let bytes = partition.bytes();
            surplus = surplus.saturating_sub(bytes.max(1));
            *own = own.saturating_sub(bytes);
            tracing::warn!(index = %index.name, partition = partition.number, bytes, why, "dropped the oldest partition");
            self.shared.counters.dropped_partitions.inc();
            index.remove_partition(partition.number);
            partition.gone.store(true, Ordering::Release);
            freeze::thaw(&self.shared.config.data_dir, index.uid, partition.number);
            if let Err(error) = std::fs::remove_dir_all(&partition.folder) {
                tracing::error!(folder = %partition.folder.display(), %error, "a dropped partition's files cannot be removed");
            }
        }
    }

    fn verdict(&self, index: &Index, partition: &Partition, age: Duration) -> tantivy::Result<Verdict> {
        let (retention, fields) = (&self.shared.config.retention, &self.shared.fields);
        let mut too_much = Vec::new();
        for rule in &retention.services {
            let Some(most) = rule.bytes else { continue };
            // Newest first: what does not fit is in the oldest.
            let mut bytes = 0;
            for newer in index.partitions().iter().filter(|other| other.number >= partition.number) {
                bytes += sieve::bytes_of(&rule.name, newer, fields)?;
            }
            if bytes > most {
                too_much.push(rule.name.clone());
            }
        }
        sieve::judge(retention, index, partition, age, &too_much, fields)
    }

    /// Makes room before the replay.
    pub(crate) fn make_room(&mut self) {
        self.measure();
        self.expire();
        self.measure();
    }
}
