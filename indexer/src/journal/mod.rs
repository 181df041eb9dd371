//! The journal: what was accepted and is not yet committed to the index files. Nothing is answered before it is synced
//! here.
//!
//! Layout, version 1, all numbers little-endian. The folder holds segments named `<first record number, 20 digits>.wal`:
//!
//! ```text
//! segment = magic "WEIRJNL" , version u8 = 1 , first record number u64 , CRC32 of these 16 bytes u32 , record*
//! record  = payload length u32 , CRC32 of (number, payload) u32 , number u64 , payload
//! ```
//!
//! Record numbers grow, mostly by one. A segment is closed when it has its size; the next record opens a new one, and so does
//! the first record after a start. A segment is removed when all its records are committed in every index.
//!
//! At start every record is read once, one at a time. What follows the last good record of the last segment was never
//! synced as a whole, hence never answered: it is cut off. Bad bytes before a good record are set aside as
//! `damaged-<segment>-<offset>`, loudly, and the rest goes on. Both are counted.

mod disk;
mod read;

use std::io;
use std::sync::Arc;

pub(crate) use disk::{Disk, Folder};
pub(crate) use read::Found;

use disk::Out;

const MAGIC: &[u8; 7] = b"WEIRJNL";
const VERSION: u8 = 1;
const SEGMENT_HEADER_BYTES: u64 = 20;
const RECORD_HEADER_BYTES: u64 = 16;

/// Appends records, syncs them, and removes what is no longer needed. One owner.
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    segment_bytes_max: u64,
    /// First record number and size of each closed segment, oldest first.
    closed: Vec<(u64, u64)>,
    open: Option<Open>,
    next: u64,
    /// After a failed write or sync nobody knows what is on the disk: nothing more is accepted before
    /// [`roll_back`](Journal::roll_back).
    broken: bool,
}

struct Open {
    out: Box<dyn Out>,
    first: u64,
    bytes: u64,
    /// Bytes that survive a power cut.
    synced: u64,
}

impl Journal {
    /// Reads what is there, hands every record from number `from` on to `replay` in order, mends the tail, and is then
    /// ready to append.
    ///
    /// # Errors
    /// When the folder cannot be read or mended, or `replay` fails.
    pub(crate) fn recover(
        disk: Arc<dyn Disk>,
        segment_bytes_max: u64,
        replay: &mut dyn FnMut(u64, Vec<u8>) -> io::Result<()>,
    ) -> io::Result<(Self, Found)> {
        let mut found = Found::default();
        let closed = read::all(&*disk, true, &mut found, replay)?;
        let next = found.last.map_or(1, |last| last + 1);
        let journal = Self { disk, segment_bytes_max, closed, open: None, next, broken: false };
        Ok((journal, found))
    }

    /// The number that the next record will have. It is raised when the index files are ahead of the journal.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Leaves out numbers below `next`.
    pub(crate) fn start_at(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// Writes one record, whose payload is `head` and then `text`, and gives back its number. It is not on the disk
    /// before [`sync`](Self::sync).
    ///
    /// # Errors
    /// When the file system refuses; the journal then refuses everything else.
    pub(crate) fn append(&mut self, head: &[u8], text: &[u8]) -> io::Result<u64> {
        if self.broken {
            return Err(io::Error::other("the journal could not be written before"));
        }
        let written = self.write(head, text);
        if written.is_err() {
            self.broken = true;
        }
        written
    }

    fn write(&mut self, head: &[u8], text: &[u8]) -> io::Result<u64> {
        if self.open.as_ref().is_some_and(|open| open.bytes >= self.segment_bytes_max) {
            self.close_segment()?;
        }
        let number = self.next;
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                // Left over from an attempt that failed: nothing in it was ever synced as a whole.
                self.disk.remove(&segment_name(number))?;
                let mut out = self.disk.create(&segment_name(number))?;
                let mut header = [0; SEGMENT_HEADER_BYTES as usize];
                header[..7].copy_from_slice(MAGIC);
                header[7] = VERSION;
                header[8..16].copy_from_slice(&number.to_le_bytes());
                let crc = crc32fast::hash(&header[..16]);
                header[16..].copy_from_slice(&crc.to_le_bytes());
                out.write_all(&header)?;
                out.sync()?;
                self.disk.sync_names()?;
                self.open.insert(Open { out, first: number, bytes: SEGMENT_HEADER_BYTES, synced: SEGMENT_HEADER_BYTES })
            }
        };
        let len = head.len() + text.len();
        let short = u32::try_from(len)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a record of more than 4 GB"))?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&number.to_le_bytes());
        crc.update(head);
        crc.update(text);
        let mut header = Vec::with_capacity(RECORD_HEADER_BYTES as usize + head.len());
        header.extend_from_slice(&short.to_le_bytes());
        header.extend_from_slice(&crc.finalize().to_le_bytes());
        header.extend_from_slice(&number.to_le_bytes());
        header.extend_from_slice(head);
        open.out.write_all(&header)?;
        open.out.write_all(text)?;
        open.bytes += RECORD_HEADER_BYTES + len as u64;
        self.next += 1;
        Ok(number)
    }

    /// Makes every record so far survive a power cut.
    ///
    /// # Errors
    /// When the file system refuses; the journal then refuses everything else.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|open| open.synced < open.bytes) else { return Ok(()) };
        let synced = open.out.sync();
        match synced {
            Ok(()) => open.synced = open.bytes,
            Err(_) => self.broken = true,
        }
        synced
    }

    /// After a failure: takes back every record that was not synced, and is ready again. Their numbers are not used again.
    ///
    /// # Errors
    /// When even that cannot be done; the journal stays as it is, and it can be tried again.
    pub(crate) fn roll_back(&mut self) -> io::Result<()> {
        if let Some(open) = &self.open {
            let name = segment_name(open.first);
            if open.synced > SEGMENT_HEADER_BYTES {
                self.disk.truncate(&name, open.synced)?;
                self.closed.push((open.first, open.synced));
            } else {
                self.disk.remove(&name)?;
                self.disk.sync_names()?;
            }
            self.open = None;
        }
        self.broken = false;
        Ok(())
    }

    fn close_segment(&mut self) -> io::Result<()> {
        self.sync()?;
        if let Some(open) = self.open.take() {
            self.closed.push((open.first, open.bytes));
        }
        Ok(())
    }

    /// Removes segments whose records all have numbers up to `upto`.
    ///
    /// # Errors
    /// When a file cannot be removed; it is tried again the next time.
    pub(crate) fn trim(&mut self, upto: u64) -> io::Result<()> {
        if self.open.is_some() && upto + 1 >= self.next {
            self.close_segment()?;
        }
        loop {
            let behind = self.closed.get(1).map(|(first, _)| *first);
            let behind = behind.or(self.open.as_ref().map(|open| open.first)).unwrap_or(self.next);
            match self.closed.first() {
                Some((first, _)) if behind <= upto + 1 => {
                    self.disk.remove(&segment_name(*first))?;
                    self.closed.remove(0);
                }
                _ => return Ok(()),
            }
        }
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.closed.iter().map(|(_, bytes)| bytes).sum::<u64>() + self.open.as_ref().map_or(0, |open| open.bytes)
    }

    /// Whether a write failed, so that nothing is accepted any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }
}

/// Reads the records `from..=to` again while the journal's owner goes on writing behind them.
///
/// # Errors
/// When a segment cannot be read, or `each` fails.
pub(crate) fn read_again(
    disk: &dyn Disk,
    from: u64,
    to: u64,
    each: &mut dyn FnMut(u64, Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let mut found = Found::default();
    read::all(disk, false, &mut found, &mut |number, payload| {
        if (from..=to).contains(&number) { each(number, payload) } else { Ok(()) }
    })?;
    Ok(())
}

fn segment_name(first: u64) -> String {
    format!("{first:020}.wal")
}

#[cfg(test)]
mod tests;
