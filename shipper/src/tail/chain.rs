//! Which files a log is made of, in what order, and where reading stands: through rename rotation, unlink and create,
//! truncation, compression and removal.
//!
//! Constraints: no position is ever used for two different bytes; a byte is skipped only if it is gone, and then the
//! loss is on record ([`Gap`]).
//!
//! A chain is a list of files, oldest first. A file's bytes have the positions `base..base + size`. Docker closes a
//! file before it renames it, so the size of every file but the last is final when the next one is seen, and is the
//! next one's base. Where the link between two files cannot be proved, the base jumps by [`JUMP`](super::JUMP).
//!
//! Files are looked for from the live name to the oldest (`x`, `x.1`, `x.2` …): a rotation in the meantime moves files
//! the same way, so that each is met at least once, and those met twice are known by what they are. Every file that is
//! met and not read yet is held open: what Docker deletes afterwards can still be read.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::identity::{Head, Inode, stat_file, stat_path};
use crate::registry::{Cause, Entry, FileEntry, Gap, Kind, Past};

use super::part::Part;
use super::reader::Reader;

/// How long a plain file's name may be missing before the file counts as removed: a rotation takes less.
const MISSING_MAX: Duration = Duration::from_secs(10);
/// Attempts to list the files of a log that is being rotated at this very moment.
const LISTINGS_MAX: usize = 8;

/// What a look at the folder found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The files are those that were known.
    Same,
    /// Files came, or one was truncated: the registry must know before any of their events is sent.
    Changed,
}

/// How much there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// Tells the file that is being read from the others: the next one begins at the position where this one ends, and may
    /// be as long.
    file: u64,
    /// Position of the next byte.
    position: u64,
    /// Bytes of the file, as far as is known.
    known: u64,
}

/// The files of one log.
pub(crate) struct Chain {
    pub(super) kind: Kind,
    pub(super) live: PathBuf,
    /// Rotated files from before the log was known are read as well.
    pub(super) history: bool,
    pub(super) parts: VecDeque<Part>,
    /// What was read and acknowledged to its end, and may lie in the folder still.
    pub(super) past: VecDeque<Past>,
    /// Index of the part that is being read. Parts before it are read, and not all acknowledged.
    pub(super) current: usize,
    /// How often the live name had been created when the last part was seen under it; `None`: nobody counted.
    pub(super) created: Option<u64>,
    /// The count is to be taken once more.
    pub(super) recount: bool,
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
            past: VecDeque::new(),
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
    pub(crate) fn resume(entry: &Entry, live: PathBuf, position: u64) -> Self {
        let mut chain = Self { parts: entry.files.iter().map(Part::resume).collect(), ..Self::new(entry.kind, live) };
        chain.past = entry.past.iter().copied().collect();
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
        self.parts.iter().map(Part::entry).collect()
    }

    /// What the registry should remember of files that are done with.
    pub(crate) fn past(&self) -> Vec<Past> {
        self.past.iter().copied().collect()
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
    pub(crate) fn news(&self, tried: Option<News>) -> Option<News> {
        let part = self.parts.get(self.current)?;
        let now =
            News { file: self.left_behind, position: part.base + part.offset, known: part.end.unwrap_or(part.seen) };
        let unread = self.current + 1 < self.parts.len()
            || now.known > part.offset
            || part.gap.is_some_and(|_| part.offset == 0);
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
            if let Some(part) = self.parts.pop_front() {
                if part.spooled {
                    self.spool_done.push(part.base);
                }
                if part.head.tells_copies() {
                    self.past.push_back(Past { inode: part.inode, head: part.head });
                }
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
        self.parts.push_back(Part { gap: Some(gap), ..Part::new(Inode::default(), Head::default(), base, Some(0)) });
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_new_file_that_has_become_as_long_as_the_last_one_is_news() {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("a-json.log");
        let mut chain = Chain::new(Kind::Docker, live.clone());
        let mut buffer = [0; 64];
        let mut read = |chain: &mut Chain| {
            let (read, _) = chain.read(&mut buffer).unwrap();
            chain.consume(read);
            read
        };
        fs::write(&live, "the same\n").unwrap();
        chain.look(&mut || None).unwrap();
        assert!(chain.news(None).is_some());
        assert_eq!(read(&mut chain), 9);
        assert_eq!(chain.news(None), None);
        // It is rotated, and nothing is in the new file yet when somebody reads.
        fs::rename(&live, folder.path().join("a-json.log.1")).unwrap();
        fs::write(&live, "").unwrap();
        chain.look(&mut || None).unwrap();
        let tried = chain.news(None);
        assert!(tried.is_some());
        assert_eq!(read(&mut chain), 0);
        assert_eq!((chain.position(), chain.left_behind()), (9, 1), "the new file begins where the last one ends");
        fs::write(&live, "the same\n").unwrap();
        chain.look(&mut || None).unwrap();
        assert!(chain.news(tried).is_some());
        assert_eq!(read(&mut chain), 9);
    }
}
