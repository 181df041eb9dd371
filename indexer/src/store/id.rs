//! Ids: of positioned documents (`<16 hex source>-<start>[.<sub>]`), of documents that came without one (made from
//! the arrival number), and of indices.

use crate::base64;

/// Reads the id of a positioned document: source, start, sub.
pub(crate) fn parse_position(id: &str) -> Option<(u64, u64, u64)> {
    let (source, rest) = id.split_once('-')?;
    // Exactly what weir writes, so that the id can be put together again from the numbers.
    if source.len() != 16 || !source.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let (start, sub) = match rest.split_once('.') {
        Some((start, sub)) => (start, Some(sub)),
        None => (rest, None),
    };
    let number = |text: &str| {
        let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
        if plain { text.parse::<u64>().ok() } else { None }
    };
    let sub = match sub {
        None => 0,
        Some(sub) => number(sub).filter(|sub| *sub > 0)?,
    };
    Some((u64::from_str_radix(source, 16).ok()?, number(start)?, sub))
}

/// Writes the id of a positioned document.
pub(crate) fn position(source: u64, start: u64, sub: u64) -> String {
    if sub == 0 { format!("{source:016x}-{start}") } else { format!("{source:016x}-{start}.{sub}") }
}

/// The id of a document that came without one: 20 characters from the index's salt and the arrival number.
pub(crate) fn arrival(salt: u64, seq: u64) -> String {
    let mut bytes = [0; 15];
    bytes[..7].copy_from_slice(&salt.to_be_bytes()[..7]);
    // Mixed with the salt, so that the ids of two indices have nothing in common.
    bytes[7..].copy_from_slice(&(seq ^ mix(salt)).to_be_bytes());
    base64::encode_url(&bytes)
}

/// The arrival number in an id that this index gave.
pub(crate) fn parse_arrival(salt: u64, id: &str) -> Option<u64> {
    if id.len() != 20 {
        return None;
    }
    let bytes = base64::decode(id)?;
    if bytes.get(..7)? != &salt.to_be_bytes()[..7] {
        return None;
    }
    let seq = u64::from_be_bytes(bytes[7..].try_into().ok()?) ^ mix(salt);
    // Only the one spelling is the id.
    (arrival(salt, seq) == id).then_some(seq)
}

/// Spreads the bits of a number (the finalizer of SplitMix64).
pub(crate) fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A number that nobody else has: from the clock, the process and the address of a local.
pub(crate) fn fresh() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // `RandomState` is seeded by the operating system.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher
        .write_u128(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_nanos()));
    hasher.finish()
}

/// Murmur3 of 32 bits with seed 0 (Appleby, public domain), which Elasticsearch routes documents by.
pub(crate) fn murmur3(bytes: &[u8]) -> u32 {
    let scramble = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = 0u32;
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        let k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        hash = (hash ^ scramble(k)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let tail = chunks.remainder().iter().rev().fold(0u32, |k, byte| k << 8 | u32::from(*byte));
    if !chunks.remainder().is_empty() {
        hash ^= scramble(tail);
    }
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_there_and_back() {
        for id in ["00000000000000ff-0", "abcdef0123456789-123", "abcdef0123456789-18446744073709551615.7"] {
            let (source, start, sub) = parse_position(id).unwrap();
            assert_eq!(position(source, start, sub), id);
        }
        for id in [
            "ff-0",
            "ABCDEF0123456789-1",
            "abcdef0123456789-01",
            "abcdef0123456789-1.0",
            "abcdef0123456789-",
            "abcdef0123456789-1.",
            "abcdef0123456789--1",
            "x",
        ] {
            assert_eq!(parse_position(id), None, "{id}");
        }
    }

    #[test]
    fn arrival_ids_there_and_back() {
        for seq in [0, 1, 255, 1 << 40, u64::MAX] {
            let id = arrival(77, seq);
            assert_eq!((id.len(), parse_arrival(77, &id)), (20, Some(seq)));
            assert_eq!(parse_arrival(78 << 8, &id), None);
        }
        assert_eq!(parse_arrival(77, "short"), None);
    }

    #[test]
    fn murmur3_is_murmur3() {
        assert_eq!(murmur3(b""), 0);
        assert_eq!(murmur3(b"test"), 0xba6b_d213);
        assert_eq!(murmur3(b"Hello, world!"), 0xc036_3e43);
    }
}
