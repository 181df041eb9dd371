//! Names of JSON objects that come again and again, as texts that live as long as the program: a logger writes the same
//! ones with every line, and such a text is neither sliced nor counted.

use crate::event::value::{Text, keep};

/// Places for names; a name whose place another one has is an ordinary text.
const PLACES: usize = 512;
/// Longer names are ordinary texts, in bytes.
const NAME_BYTES_MAX: usize = 32;
/// Names that JSON may have kept for good, in all threads together: 64 KB. Names that pipeline files say are kept beyond.
const KEPT_MAX: usize = 2_000;
/// How often a thread asks for a name to be kept. Where names are without end, it is not asked for each.
const ASKED_MAX: usize = 2_000;

/// The names that a thread knows.
#[derive(Default)]
pub(super) struct Names {
    /// Empty, or all places; a free one has the empty name.
    places: Vec<Place>,
    asked: usize,
}

#[derive(Clone, Copy)]
struct Place {
    name: &'static str,
    /// See [`ends`].
    ends: (u64, u64),
}

impl Names {
    /// No name.
    pub const fn new() -> Self {
        Self { places: Vec::new(), asked: 0 }
    }

    /// The lasting text of a name, if it has one.
    pub fn get(&mut self, name: &str) -> Option<Text> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        if self.places.is_empty() {
            self.places = vec![Place { name: "", ends: (0, 0) }; PLACES];
        }
        let ends = ends(name.as_bytes());
        let place = &mut self.places[place_of(ends, name.len())];
        let is_same = place.ends == ends && place.name.len() == name.len();
        // Without a call where the ends are all of it.
        if !is_same || name.len() > 16 && place.name != name {
            if !place.name.is_empty() || self.asked >= ASKED_MAX {
                return None;
            }
            self.asked += 1;
            *place = Place { name: keep(name, KEPT_MAX)?, ends };
        }
        Some(Text::from_static(place.name))
    }
}

/// The first and the last eight bytes as numbers; of a shorter name, all of it.
#[inline]
fn ends(name: &[u8]) -> (u64, u64) {
    match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (name.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), 0),
    }
}

/// A hash of the length and the bytes at both ends: names differ there.
#[inline]
fn place_of((first, last): (u64, u64), len: usize) -> usize {
    let hash = (first ^ last.rotate_left(29) ^ len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The upper bits of a product depend on all of its factors' bits; PLACES is a power of two.
    (hash >> (u64::BITS - PLACES.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_always_itself() {
        let mut names = Names::new();
        let many: Vec<String> = (0..3 * PLACES).map(|n| format!("name {n:x}")).chain(["ü".repeat(16)]).collect();
        for _ in 0..2 {
            for name in &many {
                assert!(names.get(name).is_none_or(|text| *text == **name), "{name}");
            }
        }
        assert!(names.places.iter().filter(|place| !place.name.is_empty()).count() > PLACES / 2);
        assert!(names.get("").is_none());
        assert!(names.get(&"x".repeat(NAME_BYTES_MAX + 1)).is_none());
    }
}
