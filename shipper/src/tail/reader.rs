//! One open file, plain or gzip, read at any offset of its (unpacked) bytes.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;

use flate2::read::MultiGzDecoder;

use crate::identity::{HEAD_BYTES, Head, Stat, stat_file};

/// Bytes that are unpacked and thrown away in one step to reach an offset.
const SKIP_BYTES: usize = 64 << 10;

/// An open file.
pub(crate) enum Reader {
    Plain(File),
    Gzip(Box<Gzip>),
}

/// A gzip stream can only be read forward: it keeps what it gave last, so that a line's beginning can be read again.
pub(crate) struct Gzip {
    file: File,
    decoder: MultiGzDecoder<File>,
    /// Offset that the decoder has reached.
    reached: u64,
    last: Vec<u8>,
}

impl Reader {
    /// Wraps an open file.
    ///
    /// # Errors
    /// When the descriptor cannot be duplicated.
    pub(crate) fn new(file: File, gzip: bool) -> io::Result<Self> {
        if !gzip {
            return Ok(Self::Plain(file));
        }
        let decoder = MultiGzDecoder::new(reopened(&file)?);
        Ok(Self::Gzip(Box::new(Gzip { file, decoder, reached: 0, last: Vec::new() })))
    }

    /// The file itself.
    pub(crate) fn file(&self) -> &File {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(gzip) => &gzip.file,
        }
    }

    /// A look at the open file.
    ///
    /// # Errors
    /// What the file system said.
    pub(crate) fn stat(&self) -> io::Result<Stat> {
        stat_file(self.file())
    }

    /// Fills `buffer` from `offset` on, as far as the file goes. A damaged gzip stream ends where the damage begins.
    ///
    /// # Errors
    /// What the file system said.
    pub(crate) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => loop {
                match file.read_at(buffer, offset) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    answer => return answer,
                }
            },
            Self::Gzip(gzip) => gzip.read_at(offset, buffer),
        }
    }
}

impl Gzip {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let kept_from = self.reached - self.last.len() as u64;
        let mut filled = 0;
        if offset < kept_from {
            self.decoder = MultiGzDecoder::new(reopened(&self.file)?);
            self.reached = 0;
            self.last.clear();
        } else if offset < self.reached {
            let kept = &self.last[(offset - kept_from) as usize..];
            filled = kept.len().min(buffer.len());
            buffer[..filled].copy_from_slice(&kept[..filled]);
            if filled < kept.len() {
                return Ok(filled);
            }
        }
        let mut waste = vec![0; if offset > self.reached { SKIP_BYTES } else { 0 }];
        while self.reached < offset {
            let step = waste.len().min((offset - self.reached) as usize);
            match self.unpack(&mut waste[..step])? {
                0 => return Ok(0),
                n => self.reached += n as u64,
            }
        }
        while filled < buffer.len() {
            match self.unpack(&mut buffer[filled..])? {
                0 => break,
                n => {
                    filled += n;
                    self.reached += n as u64;
                }
            }
        }
        self.last.clear();
        self.last.extend_from_slice(&buffer[..filled]);
        Ok(filled)
    }

    fn unpack(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.decoder.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The compressor died half-way, or the disk did: what could be unpacked is all there is.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
                    ) =>
                {
                    return Ok(0);
                }
                answer => return answer,
            }
        }
    }
}

/// The same file, read from its start. The decoder moves the descriptor's own position, which nobody else uses.
fn reopened(file: &File) -> io::Result<File> {
    let mut copy = file.try_clone()?;
    io::Seek::rewind(&mut copy)?;
    Ok(copy)
}

/// Head and size of what a gzip file unpacks to. Reads all of it.
///
/// # Errors
/// What the file system said.
pub(crate) fn unpacked(file: &File) -> io::Result<(Head, u64)> {
    let mut reader = Reader::new(file.try_clone()?, true)?;
    let mut buffer = vec![0; SKIP_BYTES];
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let mut size = 0;
    loop {
        let n = reader.read_at(size, &mut buffer)?;
        if n == 0 {
            return Ok((Head::of(&head), size));
        }
        let missing = HEAD_BYTES.saturating_sub(head.len());
        head.extend_from_slice(&buffer[..n.min(missing)]);
        size += n as u64;
    }
}

/// The first bytes that a gzip file unpacks to.
///
/// # Errors
/// What the file system said.
pub(crate) fn unpacked_head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES];
    let n = Reader::new(file.try_clone()?, true)?.read_at(0, &mut head)?;
    head.truncate(n);
    Ok(head)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn a_gzip_file_is_read_at_any_offset_even_when_it_is_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gz");
        let plain: Vec<u8> = (0..200_000_u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&plain).unwrap();
        let packed = encoder.finish().unwrap();
        std::fs::write(&path, &packed).unwrap();
        let mut reader = Reader::new(File::open(&path).unwrap(), true).unwrap();
        let mut buffer = vec![0; 10_000];
        for offset in [0, 10_000, 15_000, 3, 700_000, 699_000, 799_999, 800_000, 900_000] {
            let n = reader.read_at(offset, &mut buffer).unwrap();
            let from = (offset as usize).min(plain.len());
            assert_eq!(buffer[..n], plain[from..(from + 10_000).min(plain.len())][..n], "{offset}");
            assert_eq!(n == 0, from == plain.len());
        }
        assert_eq!(unpacked(&File::open(&path).unwrap()).unwrap(), (Head::of(&plain), 800_000));

        std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
        let (head, size) = unpacked(&File::open(&path).unwrap()).unwrap();
        assert_eq!(head, Head::of(&plain));
        assert!(size > 100_000 && size < 800_000, "{size}");
    }
}
