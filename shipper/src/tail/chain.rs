//! Which files a log is made of, in what order, and where reading stands: through rename rotation, unlink and create,
//! truncation, compression and removal.
//!
//! Constraints: no position is ever used for two different bytes; a byte is skipped only if it is gone, and then the
//! loss is on record ([`Gap`]).
//!
//! A chain is a list of files, oldest first. A file's bytes have the positions `base..base + size`. Docker closes a
//! file before it renames it, so the size of every file but the last is final when the next one is seen, and is the
//! next one's base. Where the link between two files cannot be proved, the base jumps by [`JUMP`].
//!
//! Files are looked for from the live name to the oldest (`x`, `x.1`, `x.2` …): a rotation in the meantime moves files
//! the same way, so that each is met at least once, and those met twice are known by what they are. Every file that is
//! met and not read yet is held open: what Docker deletes afterwards can still be read.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::discover::original;
use crate::identity::{Head, Inode, Stat, stat_file, stat_path};
use crate::registry::{Cause, FileEntry, Gap, Kind};

use super::reader::{Reader, unpacked, unpacked_head};

/// Distance between the last known position and the first one after a loss of unknown size. No file is that long.
pub(crate) const JUMP: u64 = 1 << 40;
/// Rotated files that are looked at: Docker's `max-file` is a handful. A folder with more is not Docker's doing.
const ROTATED_MAX: u32 = 1_000;
/// How long a plain file's name may be missing before the file counts as removed: a rotation takes less.
const MISSING_MAX: Duration = Duration::from_secs(10);
/// Attempts to list the files of a log that is being rotated at this very moment.
const LISTINGS_MAX: usize = 8;

/// One file of the chain.
struct Part {
    inode: Inode,
    head: Head,
    base: u64,
    end: Option<u64>,
    seen: u64,
    gap: Option<Gap>,
    gzip: bool,
    /// Next byte to read.
    offset: u64,
    reader: Option<Reader>,
    /// Whether it had the live name at the last look.
    live: bool,
    /// What is open is the spool's copy.
    spooled: bool,
}

/// Names of rotated files: numbers as Docker and logrotate give them (`.1` is the newest), and dates as logrotate's
/// `dateext` and the kubelet give them.
#[derive(Default)]
struct Rotated {
    highest: u32,
    dated: Vec<PathBuf>,
}

/// A file that was found in the folder.
struct Met {
    stat: Stat,
    file: File,
    gzip: bool,
    live: bool,
}

/// What a file in the folder is to the chain.
#[derive(Clone, Copy)]
enum Found {
    /// This part.
    Part(usize),
    /// The file of this part, whose bytes were replaced: truncated, or another file in the same inode.
    Cut(usize),
    /// Not known.
    New,
}

/// What a look at the folder found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The files are those that were known.
    Same,
    /// Files came, or one was truncated: the registry must know before any of their events is sent.
    Changed,
}

/// The files of one log.
pub(crate) struct Chain {
    kind: Kind,
    live: PathBuf,
    /// Rotated files from before the log was known are read as well.
    history: bool,
    parts: VecDeque<Part>,
    /// Index of the part that is being read. Parts before it are read, and not all acknowledged.
    current: usize,
    /// How often the live name had been created when the last part was seen under it; `None`: nobody counted.
    created: Option<u64>,
    /// The count is to be taken once more.
    recount: bool,
    removed: bool,
    /// Since when nothing has the live name.
    missing: Option<Instant>,
    left_behind: u64,
    /// Spooled files that are not needed any more, by their bases.
    spool_done: Vec<u64>,
}

impl Chain {
    /// A log of which nothing is known yet.
    pub(crate) fn new(kind: Kind, live: PathBuf) -> Self {
        Self {
            kind,
            live,
            history: kind == Kind::Docker,
            parts: VecDeque::new(),
            current: 0,
            created: None,
            recount: true,
            removed: false,
            missing: None,
            left_behind: 0,
            spool_done: Vec::new(),
        }
    }

    /// Reads rotated files as well that are older than the live one when the log is first seen.
    pub(crate) fn read_history(&mut self) {
        self.history = true;
    }

    /// A log as the registry knows it, to be read on from `position`.
    pub(crate) fn resume(kind: Kind, live: PathBuf, files: &[FileEntry], position: u64) -> Self {
        let part = |entry: &FileEntry| Part {
            inode: entry.inode,
            head: entry.head,
            base: entry.base,
            end: entry.end,
            seen: entry.seen,
            gap: entry.gap,
            gzip: entry.gzip,
            offset: 0,
            reader: None,
            live: false,
            spooled: false,
        };
        let mut chain = Self { parts: files.iter().map(part).collect(), ..Self::new(kind, live) };
        chain.current = chain.parts.iter().rposition(|part| part.base <= position).unwrap_or(0);
        for part in chain.parts.iter_mut().take(chain.current) {
            part.offset = part.end.unwrap_or(part.seen);
        }
        if let Some(part) = chain.parts.get_mut(chain.current) {
            part.offset = position.saturating_sub(part.base).min(part.end.unwrap_or(u64::MAX));
            part.seen = part.seen.max(part.offset);
        }
        chain
    }

    /// What the registry should remember.
    pub(crate) fn entries(&self) -> Vec<FileEntry> {
        let entry = |part: &Part| FileEntry {
            inode: part.inode,
            head: part.head,
            base: part.base,
            end: part.end,
            seen: part.seen,
            gap: part.gap,
            gzip: part.gzip,
        };
        self.parts.iter().map(entry).collect()
    }

    /// The live file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.live
    }

    /// Inode of the oldest file, of which the source id is made.
    pub(crate) fn first_inode(&self) -> Option<Inode> {
        self.parts.front().map(|part| part.inode)
    }

    /// Position of the next byte to read.
    pub(crate) fn position(&self) -> u64 {
        self.parts.get(self.current).map_or(0, |part| part.base + part.offset)
    }

    /// How many files were left behind since the chain is followed: tells the file that is being read from the others.
    pub(crate) fn left_behind(&self) -> u64 {
        self.left_behind
    }

    /// Offset of `position` in its file.
    pub(crate) fn file_offset(&self, position: u64) -> u64 {
        let part = self.parts.iter().rev().find(|part| part.base <= position);
        part.map_or(0, |part| position - part.base)
    }

    /// The loss before the file that is being read, and that file's base, if nothing of the file was read yet.
    pub(crate) fn gap(&self) -> Option<(Gap, u64)> {
        let part = self.parts.get(self.current)?;
        if part.offset == 0 { part.gap.map(|gap| (gap, part.base)) } else { None }
    }

    /// Whether the log is gone and read to its end.
    pub(crate) fn finished(&self) -> bool {
        self.removed
            && self.parts.get(self.current).is_none_or(|part| part.end == Some(part.offset))
            && self.current + 1 >= self.parts.len()
    }

    /// Bytes that are known and not read.
    pub(crate) fn lag(&self) -> u64 {
        let unread = |part: &Part| part.end.unwrap_or(part.seen).saturating_sub(part.offset);
        self.parts.iter().skip(self.current).map(unread).sum()
    }

    /// Files that are not read and acknowledged to their end, the live one among them.
    pub(crate) fn files(&self) -> usize {
        self.parts.len()
    }

    /// Bytes of the live file and of those before it that are still remembered.
    pub(crate) fn size_on_disk(&self) -> u64 {
        self.parts.iter().map(|part| part.end.unwrap_or(part.seen)).sum()
    }

    /// Whether reading would give something: what it gave last is known by `tried`, the answer of this call then.
    pub(crate) fn news(&self, tried: Option<(u64, u64)>) -> Option<(u64, u64)> {
        let part = self.parts.get(self.current)?;
        let now = (part.base + part.offset, part.end.unwrap_or(part.seen));
        let unread =
            self.current + 1 < self.parts.len() || now.1 > part.offset || part.gap.is_some_and(|_| part.offset == 0);
        (unread && tried != Some(now)).then_some(now)
    }

    /// Bytes of deleted files that are held open.
    pub(crate) fn held(&self) -> u64 {
        let deleted = |part: &&Part| {
            part.reader.as_ref().and_then(|reader| reader.stat().ok()).is_some_and(|stat| stat.links == 0)
        };
        self.parts.iter().filter(deleted).map(|part| part.seen).sum()
    }

    /// Forgets files whose bytes are all acknowledged.
    pub(crate) fn forget(&mut self, acked: u64) {
        while self.current > 0 && self.parts.front().is_some_and(|part| part.base + part.end.unwrap_or(0) <= acked) {
            if let Some(part) = self.parts.pop_front()
                && part.spooled
            {
                self.spool_done.push(part.base);
            }
            self.current -= 1;
        }
    }

    /// The oldest closed file that is not read and not in the spool: its base, its descriptor, and its size.
    pub(crate) fn to_spool(&self) -> Option<(u64, &File, u64)> {
        let mut unread = self.parts.iter().skip(self.current).filter(|part| !part.live && !part.spooled);
        unread.find_map(|part| {
            let reader = part.reader.as_ref()?;
            let size = if part.gzip { reader.stat().ok()?.size } else { part.end? };
            Some((part.base, reader.file(), size))
        })
    }

    /// Bases of the files that are known and not open: a spooled copy would stand for them.
    pub(crate) fn not_open(&self) -> Vec<u64> {
        let parts = self.parts.iter().skip(self.current);
        parts.filter(|part| part.reader.is_none()).map(|part| part.base).collect()
    }

    /// Reads the file of this base from its copy in the spool from now on. `false`: it is not needed any more.
    ///
    /// # Errors
    /// What the file system said.
    pub(crate) fn use_copy(&mut self, base: u64, copy: File) -> io::Result<bool> {
        let Some(part) = self.parts.iter_mut().skip(self.current).find(|part| part.base == base) else {
            return Ok(false);
        };
        if !part.gzip {
            // A copy is made of a closed file, whole.
            let size = stat_file(&copy)?.size;
            part.end = Some(size);
            part.seen = size;
        }
        part.reader = Some(Reader::new(copy, part.gzip)?);
        part.spooled = true;
        part.live = false;
        Ok(true)
    }

    /// Bases of spooled files that are not needed any more, each told once.
    pub(crate) fn take_spool_done(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.spool_done)
    }

    /// Bases of all files that are in the spool.
    pub(crate) fn spooled(&self) -> Vec<u64> {
        self.parts.iter().filter(|part| part.spooled).map(|part| part.base).collect()
    }

    /// Lets go of the oldest deleted file that is held open, which is lost with that. Answers its size.
    pub(crate) fn let_go(&mut self) -> Option<u64> {
        let deleted = |part: &Part| {
            let reader = part.reader.as_ref().filter(|_| !part.live && !part.spooled);
            reader.and_then(|reader| reader.stat().ok()).is_some_and(|stat| stat.links == 0)
        };
        let part = self.parts.iter_mut().skip(self.current).find(|part| deleted(part))?;
        if part.end.is_none() {
            part.end = Some(part.final_size());
        }
        part.reader = None;
        Some(part.end.unwrap_or(part.seen))
    }

    /// Looks at the folder. `created` counts the creations of the live name since the log was first watched, as far
    /// as the kernel told them; `None` when it did not.
    ///
    /// # Errors
    /// What the file system said; the chain is as it was then.
    pub(crate) fn look(&mut self, created: &mut dyn FnMut() -> Option<u64>) -> io::Result<Look> {
        if self.removed {
            return Ok(Look::Same);
        }
        // While the live file is the one that was there, its name was not created again: the count stands, once it was
        // taken after the file was found. (The kernel tells of a creation a moment after others can see it.)
        let counted = if self.recount || self.created.is_none() { created() } else { self.created };
        match stat_path(&self.live) {
            Ok(stat) => {
                self.missing = None;
                if let Some(last) = self.parts.back_mut()
                    && last.live
                    && last.inode == stat.inode
                {
                    self.created = counted;
                    self.recount = false;
                    if stat.size < last.seen {
                        return self.truncated();
                    }
                    last.seen = stat.size;
                    if last.reader.is_some() {
                        return Ok(Look::Same);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder_gone = self.live.parent().is_none_or(|folder| !folder.exists());
                let missing = *self.missing.get_or_insert_with(Instant::now);
                if folder_gone || (self.kind == Kind::Plain && missing.elapsed() > MISSING_MAX) {
                    self.remove();
                    return Ok(Look::Changed);
                }
                if self.kind == Kind::Plain {
                    // Between the two halves of a rotation.
                    return Ok(Look::Same);
                }
                if self.parts.is_empty() {
                    // A container without a json-file log, or one that has not written yet.
                    return Ok(Look::Same);
                }
            }
            Err(error) => return Err(error),
        }
        self.list_and_adopt(created)
    }

    fn list_and_adopt(&mut self, created: &mut dyn FnMut() -> Option<u64>) -> io::Result<Look> {
        let mut met = Vec::new();
        let mut counted = None;
        for _ in 0..LISTINGS_MAX {
            met = self.list(met)?;
            counted = created();
            let live = met.last().filter(|met| met.live).map(|met| met.stat.inode);
            if stat_path(&self.live).ok().map(|stat| stat.inode) == live {
                break;
            }
        }
        self.adopt(met, counted)
    }

    /// All files of the log, oldest first, together with those that an earlier listing met and this one did not.
    fn list(&self, before: Vec<Met>) -> io::Result<Vec<Met>> {
        let mut newest_first: Vec<Met> = Vec::new();
        let mut add = |file: io::Result<File>, gzip: bool, live: bool| -> io::Result<bool> {
            let file = match file {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            };
            let stat = stat_file(&file)?;
            if !newest_first.iter().any(|met| met.stat.inode == stat.inode) {
                newest_first.push(Met { stat, file, gzip, live });
            }
            Ok(true)
        };
        add(File::open(&self.live), false, true)?;
        // Of a plain file that is new to us, only the live one was asked for.
        if self.history || !self.parts.is_empty() {
            let base = self.live.as_os_str().to_owned();
            let name = |suffix: String| {
                let mut name = base.clone();
                name.push(suffix);
                PathBuf::from(name)
            };
            let rotated = self.rotated()?;
            // A rotation that happens now may add one more than the folder shows.
            for number in 1..=rotated.highest + 1 {
                if !add(File::open(name(format!(".{number}"))), false, false)? {
                    add(File::open(name(format!(".{number}.gz"))), true, false)?;
                }
            }
            for dated in rotated.dated {
                // Older ones lie about for weeks: only a file that is being followed counts.
                let known = |stat: Stat| self.parts.iter().any(|part| part.inode == stat.inode);
                if self.history || stat_path(&dated).is_ok_and(known) {
                    let gzip = dated.extension().is_some_and(|extension| extension == "gz");
                    add(File::open(&dated), gzip, false)?;
                }
            }
        }
        // A file that an earlier listing met is older than all that were made since.
        let mut oldest_first = before;
        oldest_first.retain(|met| !newest_first.iter().any(|new| new.stat.inode == met.stat.inode));
        for met in &mut oldest_first {
            met.live = false;
        }
        oldest_first.extend(newest_first.into_iter().rev());
        Ok(oldest_first)
    }

    /// The rotated files that lie beside the live one, by their names.
    fn rotated(&self) -> io::Result<Rotated> {
        let mut rotated = Rotated::default();
        let (Some(folder), Some(name)) = (self.live.parent(), self.live.file_name()) else { return Ok(rotated) };
        let name = name.as_encoded_bytes();
        for entry in std::fs::read_dir(folder)? {
            let file = entry?.file_name();
            let Some(rest) = file.as_encoded_bytes().strip_prefix(name) else { continue };
            let number = rest.strip_prefix(b".").map(|rest| rest.strip_suffix(b".gz").unwrap_or(rest));
            let number = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
            match number.filter(|number| *number < ROTATED_MAX) {
                Some(number) => rotated.highest = rotated.highest.max(number),
                None if self.kind == Kind::Plain
                    && original(Path::new(&file)).is_some_and(|live| self.live.ends_with(live)) =>
                {
                    rotated.dated.push(folder.join(file));
                }
                None => {}
            }
        }
        // Newest first, which their dates are in the order of names.
        rotated.dated.sort_unstable_by(|a, b| b.cmp(a));
        rotated.dated.truncate(ROTATED_MAX as usize);
        Ok(rotated)
    }

    /// Takes over what was met: known files get their descriptors, new ones are added in order.
    fn adopt(&mut self, met: Vec<Met>, created: Option<u64>) -> io::Result<Look> {
        // A file may be truncated, written, renamed and compressed between two looks. What is open has its new bytes,
        // and so has the copy: both are one new part.
        let mut look = if self.was_truncated()? { self.truncated()? } else { Look::Same };
        // Files that wait their turn have grown since they were met, and may be compressed by now: their copies are
        // known by what is open here.
        for part in self.parts.iter_mut().filter(|part| part.head.can_grow()) {
            if let Some(Reader::Plain(file)) = &part.reader
                && part.head.fits(file)?
            {
                part.head = Head::read(file)?;
            }
        }
        // What is there under its own inode is not looked for among copies.
        let own = |part: &Part| met.iter().any(|met| !met.gzip && part.is_inode(met.stat.inode));
        let there: Vec<bool> = self.parts.iter().map(own).collect();
        let mut known = Vec::with_capacity(met.len());
        // Everything before this index is known, or so old that it was read and forgotten.
        let mut fresh = 0;
        let mut reaches_last = false;
        for (at, met) in met.iter().enumerate() {
            let found = self.find(met, &there)?;
            match found {
                Found::Part(index) => {
                    fresh = at + 1;
                    reaches_last = index + 1 == self.parts.len();
                }
                Found::Cut(index) => {
                    (fresh, reaches_last) = (at, false);
                    // What is open is the file with its new bytes: the old ones are gone.
                    self.parts[index].reader = None;
                }
                Found::New => {}
            }
            known.push(found);
        }
        let live_inode = met.last().filter(|met| met.live).map(|met| met.stat.inode);
        // The live name was created once for each file that is new: then none came and went in between.
        let all_seen = match (self.created, created) {
            (Some(before), Some(now)) => now.checked_sub(before) == Some((met.len() - fresh) as u64),
            _ => false,
        };
        // Plain files are rotated once a day, not between two looks: the one that is open was the last.
        let held = self.kind == Kind::Plain && self.parts.back().is_some_and(|part| part.reader.is_some());
        let proved = self.parts.is_empty() || reaches_last || all_seen || held;
        for part in &mut self.parts {
            part.live = Some(part.inode) == live_inode;
        }
        for (at, met) in met.into_iter().enumerate() {
            if at < fresh {
                if let Found::Part(index) = known[at] {
                    self.attach(index, met)?;
                }
            } else {
                self.push(met, proved || at > fresh)?;
                look = Look::Changed;
            }
        }
        if live_inode.is_some() {
            self.created = created;
            self.recount = true;
        }
        Ok(look)
    }

    /// The part that a file is, if it is one. `there`: which parts lie in the folder under their own inode.
    fn find(&self, met: &Met, there: &[bool]) -> io::Result<Found> {
        for (index, part) in self.parts.iter().enumerate().rev() {
            if part.is_inode(met.stat.inode) && part.gzip == met.gzip {
                let whole = met.gzip || (met.stat.size >= part.offset && part.head.fits(&met.file)?);
                return Ok(if whole { Found::Part(index) } else { Found::Cut(index) });
            }
        }
        if self.kind == Kind::Plain {
            return Ok(Found::New);
        }
        for (index, part) in self.parts.iter().enumerate().rev().filter(|(_, part)| part.head.tells_copies()) {
            let copy = if met.gzip {
                // Docker's compressor made a copy of the file, which may still be there.
                part.head.fits_bytes(&unpacked_head(&met.file)?)
            } else {
                // The whole Docker root was moved. A file that is there, or open, has no copy: another one that begins
                // with the same bytes is another file.
                let gone = !there[index] && part.reader.is_none();
                gone && met.stat.size >= part.offset && part.head.fits(&met.file)?
            };
            if copy {
                return Ok(Found::Part(index));
            }
        }
        Ok(Found::New)
    }

    /// A known file was met: hold it open if it is not read to its end.
    fn attach(&mut self, index: usize, met: Met) -> io::Result<()> {
        let part = &mut self.parts[index];
        if index < self.current || part.reader.is_some() {
            return Ok(());
        }
        if met.gzip && !part.gzip {
            part.end = Some(unpacked(&met.file)?.1);
        }
        if !met.gzip {
            part.seen = part.seen.max(met.stat.size);
        }
        part.inode = met.stat.inode;
        part.gzip = met.gzip;
        part.live = met.live;
        part.reader = Some(Reader::new(met.file, met.gzip)?);
        Ok(())
    }

    /// Adds a file after the last one. `proved`: no file was between the two.
    fn push(&mut self, met: Met, proved: bool) -> io::Result<()> {
        let (base, gap) = match self.parts.back_mut() {
            None => (0, None),
            Some(last) => last.close(proved),
        };
        let (head, end) = if met.gzip {
            let (head, size) = unpacked(&met.file)?;
            (head, Some(size))
        } else {
            (Head::read(&met.file)?, None)
        };
        self.parts.push_back(Part {
            inode: met.stat.inode,
            head,
            base,
            end,
            seen: end.unwrap_or(met.stat.size),
            gap,
            gzip: met.gzip,
            offset: 0,
            reader: Some(Reader::new(met.file, met.gzip)?),
            live: met.live,
            spooled: false,
        });
        Ok(())
    }

    /// The last file has become shorter than it was, or begins with other bytes: what was not read of the old ones is
    /// gone, and what is in it now gets positions of its own.
    fn truncated(&mut self) -> io::Result<Look> {
        let Some(last) = self.parts.back_mut() else { return Ok(Look::Same) };
        let live = std::mem::take(&mut last.live);
        let lost = last.seen.saturating_sub(last.offset);
        let from = last.base + last.offset;
        last.end = Some(last.offset);
        // What was read of the old bytes is known; what was written after the last look is not.
        let base = last.base + last.seen.max(last.offset) + JUMP;
        let file = match last.reader.take() {
            Some(Reader::Plain(file)) => file,
            _ => File::open(&self.live)?,
        };
        let opened = stat_file(&file)?;
        if !last.is_inode(opened.inode) {
            // Rotated in the same moment: the next look sees a new file.
            return Ok(Look::Changed);
        }
        let gap = Some(Gap { from, bytes: (lost > 0).then_some(lost), cause: Cause::Truncated });
        self.parts.push_back(Part {
            inode: opened.inode,
            head: Head::read(&file)?,
            base,
            end: None,
            seen: opened.size,
            gap,
            gzip: false,
            offset: 0,
            reader: Some(Reader::Plain(file)),
            live,
            spooled: false,
        });
        Ok(Look::Changed)
    }

    /// Whether the last file, which had the live name at the last look and is open, was truncated since.
    fn was_truncated(&self) -> io::Result<bool> {
        let Some(last) = self.parts.back().filter(|last| last.live) else { return Ok(false) };
        let Some(Reader::Plain(file)) = &last.reader else { return Ok(false) };
        Ok(stat_file(file)?.size < last.seen || !last.head.fits(file)?)
    }

    /// The log's folder (or the plain file) is gone: what is open is read to its end, then the log is finished.
    fn remove(&mut self) {
        self.removed = true;
        let (current, gone) = (self.current, self.parts.len());
        let mut lost = None;
        for part in self.parts.iter_mut().skip(current) {
            if part.end.is_none() {
                part.end = Some(part.final_size());
            }
            part.live = false;
        }
        if let Some(last) = self.parts.back_mut()
            && last.reader.is_none()
        {
            let unread = last.end.unwrap_or(0).saturating_sub(last.offset);
            if unread > 0 {
                lost = Some((
                    Gap { from: last.base + last.offset, bytes: Some(unread), cause: Cause::Removed },
                    last.base + last.end.unwrap_or(0),
                ));
                last.end = Some(last.offset);
            }
        }
        if gone > 0
            && let Some((gap, base)) = lost
        {
            self.push_end(gap, base);
        }
    }

    /// A part without bytes that carries the last gap of a log.
    fn push_end(&mut self, gap: Gap, base: u64) {
        self.parts.push_back(Part {
            inode: Inode::default(),
            head: Head::default(),
            base,
            end: Some(0),
            seen: 0,
            gap: Some(gap),
            gzip: false,
            offset: 0,
            reader: None,
            live: false,
            spooled: false,
        });
    }

    /// Reads into `buffer` from the present position. `Ok((0, …))`: nothing more for now. The flag says that these
    /// bytes are the last ones of their file, whether or not they end in a newline.
    ///
    /// # Errors
    /// What the file system said.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
        while let Some(part) = self.parts.get_mut(self.current) {
            if let Some(reader) = &mut part.reader {
                let wanted = part.end.map_or(buffer.len() as u64, |end| end.saturating_sub(part.offset));
                let wanted = buffer.len().min(usize::try_from(wanted).unwrap_or(buffer.len()));
                let n = if wanted == 0 { 0 } else { reader.read_at(part.offset, &mut buffer[..wanted])? };
                if n > 0 {
                    part.seen = part.seen.max(part.offset + n as u64);
                    let last = part.end == Some(part.offset + n as u64);
                    return Ok((n, last));
                }
            }
            let Some(end) = part.end else { return Ok((0, false)) };
            let read_out = part.offset >= end;
            if read_out && self.current + 1 == self.parts.len() {
                return Ok((0, false));
            }
            self.next_part(None);
            while let Some(gap) = self.unreadable() {
                self.next_part(Some(gap));
            }
            if self.gap().is_some() {
                // The loss is told before anything behind it is read.
                return Ok((0, false));
            }
        }
        Ok((0, false))
    }

    /// The loss before the file that is to be read now, if that one is lost whole as well, and another one follows.
    fn unreadable(&self) -> Option<Gap> {
        let part = self.parts.get(self.current)?;
        let lost = part.reader.is_none() && part.offset == 0 && part.end.is_some();
        part.gap.filter(|_| lost && self.current + 1 < self.parts.len())
    }

    /// Goes on to the next file. What could not be read of this one is lost, together with `lost` before it.
    fn next_part(&mut self, lost: Option<Gap>) {
        let Some(part) = self.parts.get_mut(self.current) else { return };
        let end = part.end.unwrap_or(part.offset);
        let unread = end.saturating_sub(part.offset);
        let from = lost.map_or(part.base + part.offset, |gap| gap.from);
        let bytes = lost.map_or(Some(0), |gap| gap.bytes).map(|bytes| bytes + unread);
        let base = part.base + end;
        part.reader = None;
        part.end = Some(part.offset.max(end));
        if unread > 0 || lost.is_some() {
            part.offset = end;
            match self.parts.get_mut(self.current + 1) {
                Some(next) => {
                    let known = next.base == base;
                    let before = next.gap.filter(|_| !known);
                    next.gap = Some(Gap {
                        from,
                        bytes: if known { bytes } else { before.and_then(|gap| gap.bytes) },
                        cause: before.map_or(Cause::Rotated, |gap| gap.cause),
                    });
                }
                None => self.push_end(Gap { from, bytes, cause: Cause::Removed }, base),
            }
        }
        self.current += 1;
        self.left_behind += 1;
    }

    /// Says that `bytes` of what was read last are used.
    pub(crate) fn consume(&mut self, bytes: usize) {
        if let Some(part) = self.parts.get_mut(self.current) {
            part.offset += bytes as u64;
        }
    }

    /// Makes heads as long as they can be, and finds a file that was truncated and written past the old offset since.
    ///
    /// # Errors
    /// What the file system said.
    pub(crate) fn check_head(&mut self) -> io::Result<Look> {
        let Some(part) = self.parts.get_mut(self.current) else { return Ok(Look::Same) };
        let Some(Reader::Plain(file)) = &part.reader else { return Ok(Look::Same) };
        if !part.head.fits(file)? {
            // Nobody truncates a file that was rotated away; if it happened before, `adopt` saw it.
            return if part.live { self.truncated() } else { Ok(Look::Same) };
        }
        let known = part.head.tells_copies();
        if part.head.can_grow() && part.seen > u64::from(part.head.len) {
            part.head = Head::read(file)?;
        }
        // From here on a compressed copy of the file can be known, also after a kill.
        Ok(if known == part.head.tells_copies() { Look::Same } else { Look::Changed })
    }
}

impl Part {
    /// Whether this is the file's inode. The device's number may change with a reboot; the birth does not.
    fn is_inode(&self, inode: Inode) -> bool {
        self.inode == inode
            || (self.inode.ino == inode.ino
                && self.inode.birth_ns == inode.birth_ns
                && self.inode.birth_ns != 0
                && self.head.tells_copies())
    }

    /// The size that a file has when nothing will be added to it.
    fn final_size(&self) -> u64 {
        let open = self.reader.as_ref().filter(|_| !self.gzip).and_then(|reader| reader.stat().ok());
        open.map_or(self.seen, |stat| stat.size).max(self.offset)
    }

    /// Closes this part because another file follows: that one's base, and what was lost in between.
    fn close(&mut self, proved: bool) -> (u64, Option<Gap>) {
        self.live = false;
        let held = self.reader.is_some();
        if let Some(Reader::Plain(file)) = &self.reader
            && self.head.can_grow()
            && let Ok(head) = Head::read(file)
        {
            self.head = head;
        }
        let known = self.end.is_some() || held || proved;
        let end = self.end.unwrap_or_else(|| self.final_size());
        self.end = Some(end);
        if proved && known {
            return (self.base + end, None);
        }
        if held {
            // It can be read to its end; whether another file came and went after it, nobody knows.
            return (self.base + end + JUMP, Some(Gap { from: self.base + end, bytes: None, cause: Cause::Rotated }));
        }
        let gap = Gap { from: self.base + self.offset, bytes: None, cause: Cause::Rotated };
        self.end = Some(self.offset);
        (self.base + end.max(self.seen) + JUMP, Some(gap))
    }
}
