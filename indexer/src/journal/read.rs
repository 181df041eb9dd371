//! Reading segments: every good record in order, damage stepped over, the torn tail found.

use std::io::{self, Read as _};

use super::{Disk, MAGIC, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, VERSION};

/// How far a record number may be ahead of the last good one when good bytes are looked for behind bad ones. Makes it
/// cheap to see that a place is no record.
const NUMBER_AHEAD_MAX: u64 = 10_000_000;

/// What was found while reading.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Number of the last good record.
    pub(crate) last: Option<u64>,
    /// Bytes cut off at the end: a write that was never finished.
    pub(crate) torn_bytes: u64,
    /// Bytes set aside before good records: damage.
    pub(crate) damaged_bytes: u64,
    /// Good records.
    pub(crate) records: u64,
}

/// Hands every good record to `each`; with `mend`, cuts the torn tail and sets damage aside. Gives back the first record
/// number and size of each segment that is left.
pub(super) fn all(
    disk: &dyn Disk,
    mend: bool,
    found: &mut Found,
    each: &mut dyn FnMut(u64, Vec<u8>) -> io::Result<()>,
) -> io::Result<Vec<(u64, u64)>> {
    let mut segments: Vec<(u64, String)> =
        disk.names()?.into_iter().filter_map(|name| Some((name.strip_suffix(".wal")?.parse().ok()?, name))).collect();
    segments.sort();
    let mut left = Vec::new();
    for (n, (first, name)) in segments.iter().enumerate() {
        let is_last = n + 1 == segments.len();
        let size = segment(disk, name, is_last, mend, found, each)?;
        if mend && size <= SEGMENT_HEADER_BYTES {
            disk.remove(name)?;
        } else {
            left.push((*first, size));
        }
    }
    if mend {
        disk.sync_names()?;
    }
    Ok(left)
}

fn segment(
    disk: &dyn Disk,
    name: &str,
    is_last: bool,
    mend: bool,
    found: &mut Found,
    each: &mut dyn FnMut(u64, Vec<u8>) -> io::Result<()>,
) -> io::Result<u64> {
    let (file, len) = disk.read(name)?;
    let mut file = io::BufReader::new(file);
    let mut at = 0;
    let mut header = [0; SEGMENT_HEADER_BYTES as usize];
    if len >= SEGMENT_HEADER_BYTES {
        file.read_exact(&mut header)?;
        at = SEGMENT_HEADER_BYTES;
        let crc = u32::from_le_bytes([header[16], header[17], header[18], header[19]]);
        let whole = header[..7] == *MAGIC && crc == crc32fast::hash(&header[..16]);
        if whole && header[7] != VERSION {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("journal segment {name} has format {}, and this weir knows {VERSION}", header[7]),
            ));
        }
    }
    loop {
        match record(&mut file, len - at, found.last)? {
            Next::Record { number, payload } => {
                at += RECORD_HEADER_BYTES + payload.len() as u64;
                found.last = Some(number);
                found.records += 1;
                each(number, payload)?;
            }
            Next::End => return Ok(len),
            Next::Bad => break,
        }
    }
    // Bytes that are no record. Is there a good one behind them?
    drop(file);
    if !mend {
        // The owner is writing just there; what lies behind was not asked for.
        return Ok(len);
    }
    let (mut file, _) = disk.read(name)?;
    let mut skipped = vec![0; usize::try_from(at).unwrap_or(usize::MAX).min(1 << 16)];
    let mut to_skip = at;
    while to_skip > 0 {
        let n = skipped.len().min(usize::try_from(to_skip).unwrap_or(usize::MAX));
        file.read_exact(&mut skipped[..n])?;
        to_skip -= n as u64;
    }
    // Damage is rare, and a segment is bounded in size: it may be held once.
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    let mut bad_from = 0;
    let mut here = 0;
    while let Some(next) = next_good(&rest, here, found.last) {
        set_aside(disk, name, at + bad_from as u64, &rest[bad_from..next], found)?;
        here = next;
        loop {
            let mut tail = &rest[here..];
            let available = tail.len() as u64;
            let Next::Record { number, payload } = record(&mut tail, available, found.last)? else { break };
            here += RECORD_HEADER_BYTES as usize + payload.len();
            found.last = Some(number);
            found.records += 1;
            each(number, payload)?;
        }
        bad_from = here;
    }
    let bad = &rest[bad_from..];
    if bad.is_empty() {
        return Ok(len);
    }
    let end = at + bad_from as u64;
    if is_last {
        found.torn_bytes += bad.len() as u64;
        tracing::warn!(
            segment = name,
            offset = end,
            bytes = bad.len(),
            "cut off the unfinished end of the journal; nothing in it was answered"
        );
        disk.truncate(name, end)?;
    } else {
        set_aside(disk, name, end, bad, found)?;
    }
    Ok(end)
}

fn set_aside(disk: &dyn Disk, name: &str, offset: u64, bytes: &[u8], found: &mut Found) -> io::Result<()> {
    found.damaged_bytes += bytes.len() as u64;
    let aside = format!("damaged-{name}-{offset}");
    tracing::error!(
        segment = name,
        offset,
        bytes = bytes.len(),
        kept_as = aside,
        "the journal is damaged; documents in these bytes are lost"
    );
    disk.remove(&aside)?;
    let mut out = disk.create(&aside)?;
    out.write_all(bytes)?;
    out.sync()
}

enum Next {
    Record { number: u64, payload: Vec<u8> },
    End,
    Bad,
}

/// The record at the reader's place, of which `available` bytes are left.
fn record(file: &mut dyn io::Read, available: u64, last: Option<u64>) -> io::Result<Next> {
    if available == 0 {
        return Ok(Next::End);
    }
    if available < RECORD_HEADER_BYTES {
        return Ok(Next::Bad);
    }
    let mut header = [0; RECORD_HEADER_BYTES as usize];
    file.read_exact(&mut header)?;
    let Some((len, crc, number)) = plausible(&header, available, last) else { return Ok(Next::Bad) };
    let mut payload = vec![0; len];
    file.read_exact(&mut payload)?;
    Ok(if checksum(number, &payload) == crc { Next::Record { number, payload } } else { Next::Bad })
}

fn plausible(header: &[u8], available: u64, last: Option<u64>) -> Option<(usize, u32, u64)> {
    let len = u32::from_le_bytes(header[..4].try_into().ok()?);
    let crc = u32::from_le_bytes(header[4..8].try_into().ok()?);
    let number = u64::from_le_bytes(header[8..16].try_into().ok()?);
    let grows = match last {
        Some(last) => number > last && number - last <= NUMBER_AHEAD_MAX,
        None => number > 0,
    };
    let fits = u64::from(len) + RECORD_HEADER_BYTES <= available && len > 0;
    (grows && fits).then_some((len as usize, crc, number))
}

fn checksum(number: u64, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&number.to_le_bytes());
    crc.update(payload);
    crc.finalize()
}

/// Where the next good record begins, at or behind `from`.
fn next_good(bytes: &[u8], from: usize, last: Option<u64>) -> Option<usize> {
    let header = RECORD_HEADER_BYTES as usize;
    (from..bytes.len().saturating_sub(header)).find(|at| {
        let rest = &bytes[*at..];
        plausible(&rest[..header], rest.len() as u64, last)
            .is_some_and(|(len, crc, number)| checksum(number, &rest[header..header + len]) == crc)
    })
}
