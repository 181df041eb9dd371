//! A deflate encoder for windows, the fastest level: zlib's format (RFC 1950) with one block of fixed codes (RFC 1951).
//!
//! A window lies in memory whole, and of every event several hundred bytes stood in the event before. So positions are
//! remembered in one small table without chains, nothing slides, nothing is copied, and where nothing was found for a
//! while (random identifiers) the search takes longer steps. That takes a quarter less time than the general encoder's
//! level 1, for the same size.

use zlib_rs::adler32::adler32;

/// Two to this many positions are remembered: 64 kB, which stays in a core's own cache.
const TABLE_BITS: u32 = 14;
/// How far back a match may lie, by the format.
const DISTANCE_MAX: usize = 32 << 10;
/// Longest match of the format.
const MATCH_MAX: usize = 258;
/// A match begins with so many equal bytes: the format allows 3, which is hardly shorter than the literals and costs more
/// time.
const MATCH_MIN: usize = 5;
/// Bytes that are looked at at once. The last ones of a window are literals.
const WORD: usize = 8;
/// Output that is gathered before it goes on.
const BLOCK_BYTES: usize = 1024;
/// After two to this many positions without a match the steps grow by one.
const PATIENCE_BITS: usize = 3;

/// Bits as they go out, and how many.
#[derive(Clone, Copy)]
struct Code {
    bits: u32,
    count: u32,
}

const NO_CODE: Code = Code { bits: 0, count: 0 };

/// Codes go out from their highest bit on, everything else from its lowest.
const fn reversed(code: u32, count: u32) -> u32 {
    code.reverse_bits() >> (32 - count)
}

/// The fixed code of a literal or length symbol.
const fn symbol(symbol: u32) -> Code {
    let (code, count) = match symbol {
        0..=143 => (0x30 + symbol, 8),
        144..=255 => (0x190 + symbol - 144, 9),
        256..=279 => (symbol - 256, 7),
        _ => (0xc0 + symbol - 280, 8),
    };
    Code { bits: reversed(code, count), count }
}

const LITERALS: [Code; 256] = {
    let mut codes = [NO_CODE; 256];
    let mut at = 0;
    while at < codes.len() {
        codes[at] = symbol(at as u32);
        at += 1;
    }
    codes
};

/// By length: the symbol and its extra bits.
const LENGTHS: [Code; MATCH_MAX + 1] = {
    let mut codes = [NO_CODE; MATCH_MAX + 1];
    let mut length = 3;
    while length < MATCH_MAX {
        // 3 to 10 have a symbol each; from there on four symbols share each number of extra bits.
        let past = length as u32 - 3;
        let extra = if past < 8 { 0 } else { past.ilog2() - 2 };
        let number = 257 + extra * 4 + (past >> extra);
        let code = symbol(number);
        codes[length] =
            Code { bits: code.bits | ((past & ((1 << extra) - 1)) << code.count), count: code.count + extra };
        length += 1;
    }
    codes[MATCH_MAX] = symbol(285);
    codes
};

/// The code of a distance and its extra bits.
fn distance_code(distance: usize) -> Code {
    let past = distance as u32 - 1;
    let extra = if past < 4 { 0 } else { past.ilog2() - 1 };
    let number = extra * 2 + (past >> extra);
    Code { bits: reversed(number, 5) | ((past & ((1 << extra) - 1)) << 5), count: 5 + extra }
}

/// Bits that are on their way into `out`.
struct Bits<'a> {
    out: &'a mut Vec<u8>,
    /// Less than 8 bits wait between two calls.
    waiting: u64,
    count: u32,
    block: [u8; BLOCK_BYTES],
    filled: usize,
}

impl<'a> Bits<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, waiting: 0, count: 0, block: [0; BLOCK_BYTES], filled: 0 }
    }

    #[inline]
    fn add(&mut self, code: Code) {
        self.waiting |= u64::from(code.bits) << self.count;
        self.count += code.count;
    }

    /// Lets whole bytes go. At most 56 bits may be added between two calls.
    #[inline]
    fn flush(&mut self) {
        if self.filled > BLOCK_BYTES - WORD {
            self.out.extend_from_slice(&self.block[..self.filled]);
            self.filled = 0;
        }
        self.block[self.filled..self.filled + WORD].copy_from_slice(&self.waiting.to_le_bytes());
        self.filled += (self.count / 8) as usize;
        self.waiting >>= self.count & !7;
        self.count &= 7;
    }

    #[inline]
    fn literals(&mut self, bytes: &[u8]) {
        let (sixes, rest) = bytes.as_chunks::<6>();
        for six in sixes {
            for byte in six {
                self.add(LITERALS[usize::from(*byte)]);
            }
            self.flush();
        }
        for byte in rest {
            self.add(LITERALS[usize::from(*byte)]);
        }
        self.flush();
    }

    #[inline]
    fn repeat(&mut self, mut length: usize, distance: usize) {
        let back = distance_code(distance);
        while length > 0 {
            // What is left must be a match as well.
            let taken = if length > MATCH_MAX && length < MATCH_MAX + 3 { length - 3 } else { length.min(MATCH_MAX) };
            self.add(LENGTHS[taken]);
            self.add(back);
            self.flush();
            length -= taken;
        }
    }

    fn finish(mut self) {
        self.add(Code { bits: 0, count: 7 });
        self.flush();
        self.out.extend_from_slice(&self.block[..self.filled]);
    }
}

/// The table of positions, kept from window to window.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// Where the bytes of a hash stood last, in this window or one before: what is there is looked at before it counts.
    table: Vec<u32>,
}

impl Encoder {
    /// Longest input: positions have 32 bits.
    pub(crate) const INPUT_BYTES_MAX: usize = u32::MAX as usize;

    pub(crate) fn new() -> Self {
        Self { table: vec![0; 1 << TABLE_BITS] }
    }

    /// Appends `input`, compressed, to `out`.
    pub(crate) fn encode(&mut self, input: &[u8], out: &mut Vec<u8>) {
        // A window of 32 KB, the fastest level.
        out.extend_from_slice(&[0x78, 0x01]);
        let mut bits = Bits::new(out);
        // The last block, with fixed codes.
        bits.add(Code { bits: 0b011, count: 3 });
        let (mut at, mut literals, mut misses) = (0, 0, 0);
        while at + WORD <= input.len() {
            let here = start(input, at);
            let slot = &mut self.table[(here.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TABLE_BITS)) as usize];
            let found = std::mem::replace(slot, at as u32) as usize;
            // An old window's position may lie ahead: no distance then.
            let distance = at.wrapping_sub(found);
            if distance.wrapping_sub(1) >= DISTANCE_MAX || start(input, found) != here {
                at += 1 + (misses >> PATIENCE_BITS);
                misses += 1;
                continue;
            }
            misses = 0;
            let end = at + MATCH_MIN + equal(&input[found + MATCH_MIN..], &input[at + MATCH_MIN..]);
            // A step may have been too long.
            while at > literals && at > distance && input[at - 1] == input[at - 1 - distance] {
                at -= 1;
            }
            bits.literals(&input[literals..at]);
            bits.repeat(end - at, distance);
            (at, literals) = (end, end);
        }
        bits.literals(&input[literals..]);
        bits.add(symbol(256));
        bits.finish();
        out.extend_from_slice(&adler32(1, input).to_be_bytes());
    }
}

/// The bytes that a match may begin with, in the upper part of a word.
#[inline]
fn start(input: &[u8], at: usize) -> u64 {
    let word = input[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    word << (64 - 8 * MATCH_MIN)
}

/// How many bytes two slices have in common from their beginnings on. `right` is not longer than `left`.
fn equal(left: &[u8], right: &[u8]) -> usize {
    let (left_words, right_words) = (left.as_chunks::<WORD>().0, right.as_chunks::<WORD>().0);
    let mut length = 0;
    for (one, other) in left_words.iter().zip(right_words) {
        let differ = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return length + (differ.trailing_zeros() / 8) as usize;
        }
        length += WORD;
    }
    let rest = left[length..].iter().zip(&right[length..]);
    length + rest.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// What a decoder makes of the encoded input, and how long that was.
    fn round(encoder: &mut Encoder, input: &[u8]) -> (Vec<u8>, usize) {
        let mut packed = Vec::new();
        encoder.encode(input, &mut packed);
        let mut plain = Vec::new();
        flate2::read::ZlibDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
        (plain, packed.len())
    }

    /// Bytes without any pattern.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn every_length_and_every_distance_comes_back() {
        let mut encoder = Encoder::new();
        let noise = noise(DISTANCE_MAX + 1000);
        for length in 0..1000 {
            // The same byte, a period of 300, and a match of this length.
            let same = vec![b'a'; length];
            assert_eq!(round(&mut encoder, &same).0, same);
            let period: Vec<u8> = noise[..300].iter().copied().cycle().take(length * 3).collect();
            assert_eq!(round(&mut encoder, &period).0, period);
            let once = [&noise[..length], &[0; 9], &noise[..length], &[1; 9]].concat();
            assert_eq!(round(&mut encoder, &once).0, once, "{length}");
        }
        for distance in (1..=DISTANCE_MAX + 3).step_by(97).chain(DISTANCE_MAX - 9..=DISTANCE_MAX + 9) {
            let far = [&noise[..distance], &noise[..distance.min(50)], b"tail"].concat();
            assert_eq!(round(&mut encoder, &far).0, far, "{distance}");
        }
    }

    #[test]
    fn noise_grows_by_an_eighth_at_most_and_what_repeats_shrinks() {
        let mut encoder = Encoder::new();
        let noise = noise(100_000);
        let (plain, packed) = round(&mut encoder, &noise);
        assert_eq!(plain, noise);
        assert!(packed <= noise.len() * 9 / 8 + 16, "{packed}");
        let events: Vec<u8> = (0..5_000)
            .flat_map(|n| {
                format!(r#"{{"message":"request {n} took {} ms","container":{{"name":"web"}}}}"#, n * 7 % 31)
                    .into_bytes()
            })
            .collect();
        let (plain, packed) = round(&mut encoder, &events);
        assert_eq!(plain, events);
        assert!(packed * 5 < events.len(), "{packed} of {}", events.len());
    }
}
