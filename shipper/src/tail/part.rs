//! One file of a log: what it is, where its bytes stand, and how far it is read.

use crate::identity::{Head, Inode};
use crate::registry::{Cause, FileEntry, Gap};

use super::reader::Reader;

/// Distance between the last known position and the first one after a loss of unknown size. No file is that long.
pub(crate) const JUMP: u64 = 1 << 40;

/// One file of the chain.
pub(super) struct Part {
    pub(super) inode: Inode,
    pub(super) head: Head,
    pub(super) base: u64,
    pub(super) end: Option<u64>,
    pub(super) seen: u64,
    pub(super) gap: Option<Gap>,
    pub(super) gzip: bool,
    /// Next byte to read.
    pub(super) offset: u64,
    pub(super) reader: Option<Reader>,
    /// Whether it had the live name at the last look.
    pub(super) live: bool,
    /// What is open is the spool's copy.
    pub(super) spooled: bool,
}

impl Part {
    /// A file that stands at `base`, with `end` if nothing will be added to it.
    pub(super) fn new(inode: Inode, head: Head, base: u64, end: Option<u64>) -> Self {
        Self {
            inode,
            head,
            base,
            end,
            seen: end.unwrap_or(0),
            gap: None,
            gzip: false,
            offset: 0,
            reader: None,
            live: false,
            spooled: false,
        }
    }

    /// A file as the registry knows it.
    pub(super) fn resume(entry: &FileEntry) -> Self {
        let FileEntry { inode, head, base, end, seen, gap, gzip } = *entry;
        Self { seen, gap, gzip, ..Self::new(inode, head, base, end) }
    }

    /// What the registry should remember.
    pub(super) fn entry(&self) -> FileEntry {
        let &Self { inode, head, base, end, seen, gap, gzip, .. } = self;
        FileEntry { inode, head, base, end, seen, gap, gzip }
    }

    /// Whether this is the file's inode. The device's number may change with a reboot; the birth does not.
    pub(super) fn is_inode(&self, inode: Inode) -> bool {
        self.inode == inode
            || (self.inode.ino == inode.ino
                && self.inode.birth_ns == inode.birth_ns
                && self.inode.birth_ns != 0
                && self.head.tells_copies())
    }

    /// The size that a file has when nothing will be added to it.
    pub(super) fn final_size(&self) -> u64 {
        let open = self.reader.as_ref().filter(|_| !self.gzip).and_then(|reader| reader.stat().ok());
        open.map_or(self.seen, |stat| stat.size).max(self.offset)
    }

    /// Closes this part because another file follows: that one's base, and what was lost in between.
    pub(super) fn close(&mut self, proved: bool) -> (u64, Option<Gap>) {
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
