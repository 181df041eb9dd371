//! Opens a data folder: checks its version, opens every partition that is whole, brings the index files up to date from
//! the journal, and starts the two threads.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, RwLock};

use weir_daemon::{Health, Metrics};

use super::catalog::Catalog;
use super::decide::Shard;
use super::flow::Flow;
use super::guard::Guard;
use super::indexing::Indexing;
use super::partition::{self, Partition, Payload};
use super::sequencer::Sequencer;
use super::{Counters, Index, Shared, Store, check_name, damaged, freeze, now_ms, record, replay};
use crate::journal::{Disk, Folder, Journal};
use crate::schema::{self, schema};
use crate::settings::Config;

/// Version of the layout above. The partitions of version 1 have another schema (see `schema`) and stay as they are;
/// their folder becomes version 2, because a weir that knows version 1 could not open what is added.
const FORMAT: u32 = 2;

/// Parts of a full journal that are segments of their own: a part is what can be removed at once.
const JOURNAL_SEGMENTS: u64 = 8;

/// Requests that wait for the sequencer. Their bytes are bounded where bodies are read.
const MESSAGES_MAX: usize = 1_024;

/// Batches that wait for the indexing thread. Their bytes are bounded by `flow`.
const WORK_MAX: usize = 1_024;

/// Part of the byte budget that may be taken by what was damaged and set aside.
const DAMAGED_PART: u64 = 10;

/// Why a data folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns it, or the file system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It was written by a newer weir.
    #[error("the data folder has format {found}, and this weir knows {known}: use the newer weir, or another folder")]
    Format {
        /// The folder's.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Store {
    /// Opens a data folder, made when it is not there. Blocks while the journal is replayed.
    ///
    /// # Errors
    /// When it is in use, unreadable, or of a newer format.
    pub fn open(config: &Config, metrics: &Metrics, health: &Health) -> std::result::Result<Self, OpenError> {
        let folder = &config.data_dir;
        let lock = weir_daemon::files::lock(folder)?;
        check_format(folder)?;
        let (indices_folder, journal_folder) = (folder.join("indices"), folder.join("journal"));
        fs::create_dir_all(&indices_folder)?;
        fs::create_dir_all(&journal_folder)?;
        let guard = Arc::new(Guard::new(config, partition::folder_bytes(folder))?);
        guard.release_reserve();
        freeze::thaw_all(folder);
        match fs::remove_dir_all(folder.join("restoring")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let disk: Arc<dyn Disk> = Arc::new(Folder(journal_folder));
        let shared = Arc::new(Shared {
            config: config.clone(),
            catalog: Catalog::open(folder)?,
            fields: schema().1,
            health: health.clone(),
            counters: Counters::new(metrics),
            guard,
            summaries: Arc::default(),
            flow: Arc::new(Flow::default()),
            disk: Arc::clone(&disk),
            trimmable: AtomicU64::new(0),
            journal_bytes: AtomicU64::new(0),
        });
        open_indices(&shared, &indices_folder)?;
        let mut indexing = Indexing::new(Arc::clone(&shared));
        for index in shared.catalog.all() {
            indexing.add(&index);
        }
        damaged::trim(folder, shared.guard.budget / DAMAGED_PART)?;
        // Old data goes before the replay writes anything.
        indexing.make_room();
        let journal = bring_up_to_date(&shared, disk, &mut indexing)?;
        let mut shards = HashMap::new();
        for index in shared.catalog.all() {
            if let Some((next_seq, marks)) = indexing.state(index.uid) {
                shards.insert(index.uid, Shard::new(Arc::clone(&index), next_seq, marks));
            }
        }
        let (to_sequencer, messages) = sync_channel(MESSAGES_MAX);
        let (to_indexing, work) = sync_channel(WORK_MAX);
        let sequencer = Sequencer {
            shared: Arc::clone(&shared),
            journal,
            shards,
            indexing: to_indexing.clone(),
            is_alone: false,
            first_failed: None,
        };
        let threads = vec![
            std::thread::Builder::new().name("weir-journal".to_owned()).spawn(move || sequencer.run(&messages))?,
            std::thread::Builder::new().name("weir-index".to_owned()).spawn(move || indexing.run(&work))?,
        ];
        Ok(Self {
            shared,
            sequencer: to_sequencer,
            indexing: to_indexing,
            threads: Mutex::new(threads),
            changing: Mutex::new(()),
            auto_create: RwLock::default(),
            _lock: lock,
        })
    }
}

/// The line of the file `format`: the version, and a checksum, so that a flipped bit is not taken for a newer version.
fn format_line(version: u32) -> String {
    let line = format!("weir-indexer {version}");
    format!("{line} {:08x}\n", crc32fast::hash(line.as_bytes()))
}

fn check_format(folder: &Path) -> std::result::Result<(), OpenError> {
    let path = folder.join("format");
    let anew = || weir_daemon::files::write_durably(&path, format_line(FORMAT).as_bytes());
    let Ok(bytes) = fs::read(&path) else { return Ok(anew()?) };
    let text = String::from_utf8_lossy(&bytes);
    if text == format_line(FORMAT) {
        return Ok(());
    }
    // What version 1 wrote is opened, and is version 2 from now on. The first weir wrote no checksum.
    if text == format_line(1) || text.trim_end() == "weir-indexer 1" {
        return Ok(anew()?);
    }
    let found = text.split(' ').nth(1).and_then(|version| version.parse().ok());
    if let Some(found) = found.filter(|found| text == format_line(*found)) {
        return Err(OpenError::Format { found, known: FORMAT });
    }
    // The rest of the folder says what it is; only this one file lost its bytes.
    tracing::error!(file = %path.display(), "the format file is damaged; it is written anew");
    Ok(anew()?)
}

/// Opens every index folder; what cannot be opened is set aside.
fn open_indices(shared: &Shared, indices: &Path) -> io::Result<()> {
    for entry in fs::read_dir(&shared.config.data_dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("deleted-") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    for entry in fs::read_dir(indices)? {
        let folder = entry?.path();
        let Some(name) = folder.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        if !folder.is_dir() || check_name(&name).is_err() {
            damaged::set_aside(shared, &folder, "it is no index")?;
            continue;
        }
        if !folder.join("meta.json").exists() && !folder.join("meta.bak").exists() {
            if holds_documents(&folder)? {
                damaged::set_aside(shared, &folder, "meta.json and its copy are missing")?;
            } else {
                // Making it was cut short; nothing was ever accepted for it.
                fs::remove_dir_all(&folder)?;
            }
            continue;
        }
        let (index, damaged) = match open_index(&name, &folder) {
            Ok(opened) => opened,
            Err(problem) => {
                damaged::set_aside(shared, &folder, &problem)?;
                continue;
            }
        };
        // The number after the newest partition, whole or not.
        let mut next = index.partitions().last().map_or(1, |partition| partition.number + 1);
        for (path, problem) in damaged {
            next = next.max(partition_number(&path).map_or(1, |number| number + 1));
            damaged::set_aside(shared, &path, &problem)?;
        }
        repair(shared, &index, next)?;
        shared.catalog.insert(Arc::new(index));
    }
    Ok(())
}

/// Whether one of the partitions in the folder of an index has a segment.
fn holds_documents(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            for file in fs::read_dir(&path)? {
                if file?.path().extension().is_some_and(|extension| extension == "store") {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// An index with those of its partitions that are whole; and the folders of the others, with what is wrong.
pub(super) type Opened = (Index, Vec<(PathBuf, String)>);

pub(super) fn open_index(name: &str, folder: &Path) -> std::result::Result<Opened, String> {
    let index = Index::load(name, folder.to_owned())?;
    let mut numbers: Vec<u32> = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        numbers.extend(partition_number(&path));
        if path.to_string_lossy().ends_with(partition::UNFINISHED) {
            fs::remove_dir_all(&path).map_err(|error| error.to_string())?;
        }
    }
    numbers.sort_unstable();
    let mut damaged = Vec::new();
    for number in numbers {
        match Partition::open(folder, number) {
            Ok(partition) => index.push_partition(Arc::new(partition)),
            Err(problem) => damaged.push((folder.join(format!("p{number}")), problem)),
        }
    }
    Ok((index, damaged))
}

fn partition_number(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix('p')?.parse().ok()
}

/// When the open partition was set aside, or was written by an earlier version, a new one takes its place.
fn repair(shared: &Shared, index: &Index, next: u32) -> io::Result<()> {
    let newest = index.partitions().last().map(|partition| (partition.number, partition.payload()));
    let create = |number: u32, payload: Payload| -> io::Result<()> {
        let partition =
            Partition::create(&index.folder, number, payload).map_err(|error| io::Error::other(error.to_string()))?;
        index.push_partition(Arc::new(partition));
        Ok(())
    };
    if let Some((number, payload)) = &newest
        && number + 1 == next
    {
        if index.partitions().last().is_some_and(|partition| schema::is_present(&partition.index.schema())) {
            return Ok(());
        }
        tracing::info!(index = %index.name, "what an earlier version wrote is kept; writing goes on in the next partition");
        return create(next, Payload { created_ms: now_ms(), times: None, ..payload.as_ref().clone() });
    }
    // What the lost one had accepted is gone with it; the marks of the one before are the best that is known. Arrival
    // numbers leave a gap, so that no id comes twice.
    let known = newest.map(|(_, payload)| payload.as_ref().clone()).unwrap_or_default();
    let payload = Payload { next_seq: known.next_seq + (1 << 40), created_ms: now_ms(), times: None, ..known };
    create(next.max(1), payload)?;
    shared.health.trouble(
        "damage",
        format!("index {} lost its newest partition; it is kept in the folder damaged/", index.name),
    );
    Ok(())
}

/// Brings the index files up to date from the journal.
fn bring_up_to_date(shared: &Arc<Shared>, disk: Arc<dyn Disk>, indexing: &mut Indexing) -> io::Result<Journal> {
    let mut replayed = 0u64;
    let segment_bytes = shared.guard.journal_bytes / JOURNAL_SEGMENTS;
    let (mut journal, found) = Journal::recover(disk, segment_bytes, &mut |number, payload| {
        // Most records after a clean stop are committed: their head tells so without parsing the documents.
        let needed = record::decode(&payload)
            .is_none_or(|head| head.indices.iter().any(|(uid, _)| indexing.is_needed(*uid, number)));
        if needed && let Some(accepted) = replay::accepted(shared, &shared.flow, number, payload) {
            indexing.apply(&accepted);
            replayed += 1;
        }
        Ok(())
    })?;
    shared.counters.torn_bytes.add(found.torn_bytes);
    if found.damaged_bytes > 0 {
        let folder = shared.config.data_dir.join("journal");
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("damaged-")) {
                damaged::keep(&shared.config.data_dir, &path)?;
            }
        }
        shared.counters.damaged.inc();
        shared
            .health
            .trouble("damage", format!("{} bytes of the journal were damaged and set aside", found.damaged_bytes));
    }
    if replayed > 0 {
        tracing::info!(records = replayed, "replayed the journal");
    }
    let newest = shared
        .catalog
        .all()
        .iter()
        .flat_map(|index| index.partitions())
        .map(|partition| partition.payload().record)
        .max();
    journal.start_at(newest.unwrap_or(0) + 1);
    if indexing.settle() {
        journal.trim(shared.trimmable.load(Ordering::Acquire))?;
    }
    for index in shared.catalog.all() {
        let record = journal.next() - 1;
        index.accepted.store(record, Ordering::Release);
        index.visible.store(record, Ordering::Release);
    }
    shared.journal_bytes.store(journal.bytes(), Ordering::Relaxed);
    Ok(journal)
}
