//! Eight bytes of JSON at a time, in one register: where a sign is, and the value of digits.

/// Digits that are read: a number of more may be too large for a `u64`.
const DIGITS_MAX: usize = 19;

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHEST: u64 = ONES << 7;

/// The highest bit of each of eight bytes that equals `byte`. The lowest bit that is set is right; those above it may be
/// wrong.
#[inline]
pub(super) fn equal_to(eight: u64, byte: u8) -> u64 {
    let zero_where_equal = eight ^ (ONES * u64::from(byte));
    zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & HIGHEST
}

/// How many of the eight bytes come before the first that does not stand for itself in a string: a quote, a backslash or
/// a control character.
#[inline]
pub(super) fn first_special(eight: u64) -> usize {
    first_of(equal_to(eight, b'"') | equal_to(eight, b'\\') | controls(eight))
}

/// As [`equal_to`] for bytes below 0x20.
fn controls(eight: u64) -> u64 {
    eight.wrapping_sub(ONES * 0x20) & !eight & HIGHEST
}

/// How many of the eight bytes come before the first that was found.
#[inline]
pub(super) fn first_of(found: u64) -> usize {
    (found.trailing_zeros() / 8) as usize
}

/// The value of the digits that `bytes` begin with, and how many they are. None where there is none, or more than a `u64`
/// can hold for certain.
#[inline]
pub(in crate::event) fn digits(bytes: &[u8]) -> Option<(u64, usize)> {
    const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
    let (mut value, mut len) = (0u64, 0);
    while let Some(eight) = bytes.get(len..).and_then(|rest| rest.first_chunk::<8>()) {
        let numbers = u64::from_le_bytes(*eight) ^ (ONES * u64::from(b'0'));
        let more_than_nine = (((numbers & !HIGHEST) + ONES * (0x80 - 10)) | numbers) & HIGHEST;
        let count = first_of(more_than_nine);
        if count > 0 {
            // Zeros take the places before the digits.
            value = value.wrapping_mul(POWERS[count]).wrapping_add(value_of(numbers << (64 - 8 * count)));
        }
        len += count;
        if count < 8 {
            return (1..=DIGITS_MAX).contains(&len).then_some((value, len));
        }
        if len > DIGITS_MAX {
            return None;
        }
    }
    let rest = bytes[len..].iter().take_while(|byte| byte.is_ascii_digit());
    let (value, len) = rest.fold((value, len), |(value, len), digit| {
        (value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')), len + 1)
    });
    (1..=DIGITS_MAX).contains(&len).then_some((value, len))
}

/// The value of eight digits, the first of them in the lowest byte: two by two, then four by four.
fn value_of(digits: u64) -> u64 {
    const LOWER: u64 = 0x0000_00ff_0000_00ff;
    let pairs = digits.wrapping_mul(10) + (digits >> 8);
    let high = (pairs & LOWER).wrapping_mul(100 + (1_000_000 << 32));
    let low = ((pairs >> 16) & LOWER).wrapping_mul(1 + (10_000 << 32));
    high.wrapping_add(low) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_the_value_that_others_read() {
        let all = "98765432109876543210123";
        for len in 0..=all.len() {
            for behind in ["", ",", ":1234567", "/99999999", "e", "\u{ff}\u{ff}\u{ff}\u{ff}"] {
                let text = format!("{}{behind}", &all[all.len() - len..]);
                let expected = (1..=DIGITS_MAX).contains(&len).then(|| (all[all.len() - len..].parse().unwrap(), len));
                assert_eq!(digits(text.as_bytes()), expected, "{text}");
            }
        }
        assert_eq!(digits(b"00000000000000000001,"), None);
        assert_eq!(digits(b"0000000000000000001,"), Some((1, 19)));
    }
}
