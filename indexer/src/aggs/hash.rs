//! A fast hasher for the tables of aggregations: a multiply and a shift for each word. Tables are bounded by the
//! search's memory, so that keys chosen to collide only slow down the search that asked for them.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// See the top of the file.
#[derive(Default, Clone, Copy)]
pub struct Mix(u64);

/// A map with it.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;
/// A set with it.
pub type Set<K> = HashSet<K, BuildHasherDefault<Mix>>;

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        mix(self.0)
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word) ^ chunk.len() as u64);
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }
    fn write_u8(&mut self, n: u8) {
        self.write_u64(n.into());
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

/// Spreads a number over all 64 bits.
pub fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A well-spread hash of a text.
pub fn of_text(text: &str) -> u64 {
    let mut hasher = Mix(text.len() as u64);
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// 32 bits of MurmurHash3 (x86), as Java's signed number.
pub fn murmur3(bytes: &[u8], seed: u32) -> i32 {
    let scramble = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = seed;
    let mut blocks = bytes.chunks_exact(4);
    for block in &mut blocks {
        let mut word = [0; 4];
        word.copy_from_slice(block);
        hash = (hash ^ scramble(u32::from_le_bytes(word))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let tail = blocks.remainder().iter().enumerate().fold(0u32, |k, (i, b)| k ^ (u32::from(*b) << (8 * i)));
    hash ^= scramble(tail) ^ bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    (hash ^ (hash >> 16)) as i32
}

/// Spreads a number as Elasticsearch does for the partitions of numbers, as Java's signed number.
pub fn mix_long(mut n: u64) -> i64 {
    n = (n ^ (n >> 32)).wrapping_mul(0x4cd6_944c_5cc2_0b6d);
    n = (n ^ (n >> 29)).wrapping_mul(0xfc12_c5b1_9d32_59e9);
    (n ^ (n >> 32)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur_is_murmur() {
        assert_eq!(murmur3(b"", 0), 0);
        assert_eq!(murmur3(b"", 1), 0x514e_28b7);
        assert_eq!(murmur3(b"hello, world", 0) as u32, 0x149b_bb7f);
        assert_eq!(murmur3(b"aaaa", 0x9747_b28c) as u32, 0x5a97_808a);
    }
}
