//! MurmurHash3 in its 32-bit form, seed 0: Austin Appleby's public-domain function, as the method `MURMUR3` wants it.

/// The hash of some bytes.
pub fn hash(bytes: &[u8]) -> u32 {
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut state = 0_u32;
    for block in blocks {
        state ^= scramble(u32::from_le_bytes(*block));
        state = state.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !tail.is_empty() {
        let mut last = [0; 4];
        last[..tail.len()].copy_from_slice(tail);
        state ^= scramble(u32::from_le_bytes(last));
    }
    // The length counts modulo 2^32.
    state ^= bytes.len() as u32;
    state = (state ^ (state >> 16)).wrapping_mul(0x85eb_ca6b);
    state = (state ^ (state >> 13)).wrapping_mul(0xc2b2_ae35);
    state ^ (state >> 16)
}

fn scramble(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes() {
        for (text, expected) in [("", 0), ("a", 0x3c25_69b2), ("123.123.123.123", 4_013_733_395)] {
            assert_eq!(hash(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(hash(&123_i64.to_le_bytes()), 823_512_154);
    }
}
