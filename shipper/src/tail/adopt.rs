//! What the files in the folder are to a log: known ones get their descriptors, new ones their positions, and the one
//! whose bytes were replaced under it becomes a new one.

use std::fs::File;
use std::io;

use crate::identity::{Head, stat_file};
use crate::registry::{Cause, Gap, Kind, Past};

use super::chain::{Chain, Look};
use super::listing::Met;
use super::part::{JUMP, Part};
use super::reader::{Reader, unpacked, unpacked_head};

/// So many more files that are done with are remembered than lie in the folder: a rotation that happens just now takes
/// one away and gives it back.
const PAST_SPARE: usize = 2;

/// What a file in the folder is to the chain.
#[derive(Clone, Copy)]
enum Found {
    /// This part.
    Part(usize),
    /// The file of this part, whose bytes were replaced: truncated, or another file in the same inode.
    Cut(usize),
    /// One that is done with.
    Past,
    /// Not known.
    New,
}

impl Chain {
    /// Takes over what was met: known files get their descriptors, new ones are added in order.
    pub(super) fn adopt(&mut self, met: Vec<Met>, created: Option<u64>) -> io::Result<Look> {
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
                Found::Past => (fresh, reaches_last) = (at + 1, false),
                Found::New => {}
            }
            known.push(found);
        }
        // Older ones than the folder holds are gone.
        while self.past.len() > met.len() + PAST_SPARE {
            self.past.pop_front();
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
                let whole = met.gzip || (met.stat.size >= part.seen.max(part.offset) && part.head.fits(&met.file)?);
                return Ok(if whole { Found::Part(index) } else { Found::Cut(index) });
            }
        }
        for past in &self.past {
            if past.inode == met.stat.inode && !met.gzip && past.head.fits(&met.file)? {
                return Ok(Found::Past);
            }
        }
        if self.kind == Kind::Plain {
            return Ok(Found::New);
        }
        let unpacked = if met.gzip { unpacked_head(&met.file)? } else { Vec::new() };
        for (index, part) in self.parts.iter().enumerate().rev().filter(|(_, part)| part.head.tells_copies()) {
            let copy = if met.gzip {
                // Docker's compressor made a copy of the file, which may still be there.
                part.head.fits_bytes(&unpacked)
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
        let copy = |past: &Past| past.inode == met.stat.inode || past.head.fits_bytes(&unpacked);
        Ok(if met.gzip && self.past.iter().any(copy) { Found::Past } else { Found::New })
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
            part.seen = met.stat.size;
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
            seen: end.unwrap_or(met.stat.size),
            gap,
            gzip: met.gzip,
            live: met.live,
            reader: Some(Reader::new(met.file, met.gzip)?),
            ..Part::new(met.stat.inode, head, base, end)
        });
        Ok(())
    }

    /// The last file has become shorter than it was, or begins with other bytes: what was not read of the old ones is
    /// gone, and what is in it now gets positions of its own.
    pub(super) fn truncated(&mut self) -> io::Result<Look> {
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
        let head = Head::read(&file)?;
        self.parts.push_back(Part {
            seen: opened.size,
            gap: Some(Gap { from, bytes: (lost > 0).then_some(lost), cause: Cause::Truncated }),
            live,
            reader: Some(Reader::Plain(file)),
            ..Part::new(opened.inode, head, base, None)
        });
        Ok(Look::Changed)
    }

    /// Whether the last file, which had the live name at the last look and is open, was truncated since.
    fn was_truncated(&self) -> io::Result<bool> {
        let Some(last) = self.parts.back().filter(|last| last.live) else { return Ok(false) };
        let Some(Reader::Plain(file)) = &last.reader else { return Ok(false) };
        Ok(stat_file(file)?.size < last.seen || !last.head.fits(file)?)
    }
}
