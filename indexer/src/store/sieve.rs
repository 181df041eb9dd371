//! Sieving: taking the documents of some services out of a closed partition and writing it anew without them, beside
//! everything else, one partition at a time.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tantivy::indexer::{IndexWriterOptions, NoMergePolicy};
use tantivy::query::{AllQuery, BooleanQuery, Occur, Query, TermQuery};
use tantivy::schema::IndexRecordOption;
use tantivy::{IndexWriter, Term};

use super::index::Index;
use super::partition::{Partition, commit};
use super::retention::Retention;
use crate::schema::{Fields, KEYWORDS};

/// How often it is looked for something to sieve: what is to go has stayed for days.
const LOOK: Duration = Duration::from_secs(5);
/// Memory of a writer that only deletes.
const HEAP_BYTES: usize = 15_000_000;

/// Which documents of a partition are to go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// None.
    Stay,
    /// All.
    Drop,
    /// Those of these services.
    Without(Vec<String>),
    /// All but those of these services.
    Only(Vec<String>),
}

/// One partition that is being sieved.
pub(crate) struct Sieve {
    looked: Instant,
    running: Option<(u64, u32, JoinHandle<tantivy::Result<()>>)>,
}

impl Default for Sieve {
    fn default() -> Self {
        Self { looked: Instant::now(), running: None }
    }
}

impl Sieve {
    /// Whether it is time to look for work.
    pub(crate) fn is_due(&mut self) -> bool {
        if self.running.as_ref().is_some_and(|(.., thread)| thread.is_finished()) {
            self.finish();
        }
        let due = self.running.is_none() && self.looked.elapsed() >= LOOK;
        if due {
            self.looked = Instant::now();
        }
        due
    }

    /// Whether a partition is being sieved.
    pub(crate) fn is_at(&self, uid: u64, number: u32) -> bool {
        self.running.as_ref().is_some_and(|(u, n, _)| (*u, *n) == (uid, number))
    }

    /// Waits for the partition of an index that is being sieved: a partition has one writer at a time.
    pub(crate) fn wait_for(&mut self, uid: u64) {
        if self.running.as_ref().is_some_and(|(running, ..)| *running == uid) {
            self.finish();
        }
    }

    pub(crate) fn finish(&mut self) {
        let Some((_, number, thread)) = self.running.take() else { return };
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(partition = number, %error, "documents that are to go stay for now"),
            Err(_) => tracing::error!(partition = number, "documents that are to go stay for now: the thread ended"),
        }
    }

    /// Begins to take out what the query finds.
    pub(crate) fn begin(&mut self, index: &Index, partition: &Arc<Partition>, query: Box<dyn Query>) {
        let (uid, number, partition) = (index.uid, partition.number, Arc::clone(partition));
        tracing::info!(index = %index.name, partition = number, "takes documents out by retention");
        let thread = std::thread::Builder::new().name("weir-sieve".to_owned());
        match thread.spawn(move || take_out(&partition, query)) {
            Ok(thread) => self.running = Some((uid, number, thread)),
            Err(error) => tracing::error!(%error, "no thread to take documents out"),
        }
    }
}

fn take_out(partition: &Partition, query: Box<dyn Query>) -> tantivy::Result<()> {
    let options = IndexWriterOptions::builder()
        .num_worker_threads(1)
        .num_merge_threads(1)
        .memory_budget_per_thread(HEAP_BYTES)
        .build();
    let mut writer: IndexWriter = partition.index.writer_with_options(options)?;
    writer.set_merge_policy(Box::new(NoMergePolicy));
    writer.delete_query(query)?;
    commit(&mut writer, &partition.payload())?;
    // Deleted documents keep their bytes until their segment is written anew.
    let segments = partition.index.searchable_segment_ids()?;
    if !segments.is_empty() {
        writer.merge(&segments).wait()?;
    }
    writer.garbage_collect_files().wait()?;
    writer.wait_merging_threads()?;
    weir_daemon::files::sync_dir(&partition.folder)?;
    partition.reload()?;
    partition.measure();
    Ok(())
}

/// Decides over a closed partition of that age. `too_much` are services that are over their bytes already in newer ones.
pub(crate) fn judge(
    retention: &Retention,
    index: &Index,
    partition: &Partition,
    age: Duration,
    too_much: &[String],
    fields: &Fields,
) -> tantivy::Result<Verdict> {
    let searcher = partition.searcher();
    let count = |service: &str| of(service, fields).count(&searcher);
    let present = |services: &mut dyn Iterator<Item = &str>| -> tantivy::Result<Vec<String>> {
        let mut found = Vec::new();
        for service in services {
            if count(service)? > 0 {
                found.push(service.to_owned());
            }
        }
        Ok(found)
    };
    if retention.keep(&index.name).is_some_and(|keep| age >= keep) {
        let mut survivors = retention.survivors(age).filter(|service| !too_much.iter().any(|other| other == service));
        let survivors = present(&mut survivors)?;
        if survivors.is_empty() {
            return Ok(Verdict::Drop);
        }
        let mut others = 0;
        for service in &survivors {
            others += of(service, fields).count(&searcher)?;
        }
        return Ok(if others as u64 == searcher.num_docs() { Verdict::Stay } else { Verdict::Only(survivors) });
    }
    let mut gone = retention.gone(age).chain(too_much.iter().map(String::as_str));
    let gone = present(&mut gone)?;
    Ok(if gone.is_empty() { Verdict::Stay } else { Verdict::Without(gone) })
}

/// Documents of a service, and their part of a partition's bytes.
pub(crate) fn bytes_of(service: &str, partition: &Partition, fields: &Fields) -> tantivy::Result<u64> {
    let searcher = partition.searcher();
    let (own, all) = (of(service, fields).count(&searcher)? as u64, searcher.num_docs());
    Ok(if all == 0 { 0 } else { (u128::from(partition.bytes()) * u128::from(own) / u128::from(all)) as u64 })
}

/// What a verdict takes out.
pub(crate) fn query(verdict: &Verdict, fields: &Fields) -> Option<Box<dyn Query>> {
    match verdict {
        Verdict::Stay | Verdict::Drop => None,
        Verdict::Without(services) => {
            let any = services.iter().map(|service| (Occur::Should, of(service, fields))).collect();
            Some(Box::new(BooleanQuery::new(any)))
        }
        Verdict::Only(services) => {
            let mut parts: Vec<(Occur, Box<dyn Query>)> = vec![(Occur::Must, Box::new(AllQuery))];
            parts.extend(services.iter().map(|service| (Occur::MustNot, of(service, fields))));
            Some(Box::new(BooleanQuery::new(parts)))
        }
    }
}

fn of(service: &str, fields: &Fields) -> Box<dyn Query> {
    let at = KEYWORDS.iter().position(|name| *name == "service.name").unwrap_or_default();
    Box::new(TermQuery::new(Term::from_field_text(fields.keywords[at], service), IndexRecordOption::Basic))
}
