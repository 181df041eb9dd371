//! Text into JSON strings, for everything that Docker has not escaped already.

use std::borrow::Cow;

use memchr::memmem;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `"text"`, quotes included. What is not UTF-8 becomes U+FFFD.
pub(crate) fn push_json_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    push_json_text(text, out);
    out.push(b'"');
}

/// Appends `text` as the inside of a JSON string. What is not UTF-8 becomes U+FFFD.
pub(crate) fn push_json_text(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        push_escaped(chunk.valid().as_bytes(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn push_escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut copied = 0;
    for (at, &byte) in text.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..=0x1f => 0,
            _ => continue,
        };
        out.extend_from_slice(&text[copied..at]);
        if short == 0 {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
        copied = at + 1;
    }
    out.extend_from_slice(&text[copied..]);
}

/// The longest beginning of escaped `text` of at most `bytes_max` bytes that ends neither inside of an escape nor
/// inside of a character.
pub(crate) fn cut_escaped(text: &[u8], bytes_max: usize) -> &[u8] {
    if text.len() <= bytes_max {
        return text;
    }
    let mut at = 0;
    while at < bytes_max {
        let step = match text[at] {
            b'\\' if text.get(at + 1) == Some(&b'u') => {
                // A pair of surrogates is one character in two escapes.
                let high =
                    matches!(text.get(at + 2..at + 4), Some([b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B']));
                if high { 12 } else { 6 }
            }
            b'\\' => 2,
            0..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
        if at + step > bytes_max {
            break;
        }
        at += step;
    }
    &text[..at]
}

/// Escaped text without ANSI control sequences: ESC `[`, parameters, and one final letter.
pub(crate) fn without_ansi(text: &[u8]) -> Cow<'_, [u8]> {
    const ESCAPE: &[u8] = b"\\u001b[";
    let Some(mut at) = memmem::find(text, ESCAPE) else { return text.into() };
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        out.extend_from_slice(&rest[..at]);
        let sequence = &rest[at + ESCAPE.len()..];
        // Parameters and intermediates are 0x20 to 0x3f; an escape inside of them is not a sequence's end.
        let length = sequence.iter().take_while(|byte| (0x20..0x40).contains(*byte) && **byte != b'"').count();
        let last = usize::from(sequence.get(length).is_some_and(|byte| (0x40..0x7f).contains(byte) && *byte != b'\\'));
        rest = &sequence[length + last..];
        match memmem::find(rest, ESCAPE) {
            Some(next) => at = next,
            None => {
                out.extend_from_slice(rest);
                return out.into();
            }
        }
    }
}

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut at = 0;
    while at < pairs.len() {
        pairs[at] = [b'0' + (at / 10) as u8, b'0' + (at % 10) as u8];
        at += 1;
    }
    pairs
};

/// Appends a number in decimal.
pub(crate) fn push_number(number: u64, out: &mut Vec<u8>) {
    // 2^64 has 20 digits.
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut rest = number;
    while rest >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    if rest > 0 || number == 0 {
        at -= 1;
        digits[at] = b'0' + rest as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// A number with its decimal digits, which are made anew only when it is another one.
#[derive(Debug)]
pub(crate) struct Decimal {
    number: u64,
    digits: Vec<u8>,
}

impl Default for Decimal {
    fn default() -> Self {
        Self { number: 0, digits: b"0".to_vec() }
    }
}

impl Decimal {
    /// The digits of `number`.
    #[inline]
    pub(crate) fn of(&mut self, number: u64) -> &[u8] {
        if number != self.number {
            self.number = number;
            self.digits.clear();
            push_number(number, &mut self.digits);
        }
        &self.digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_become_a_json_string() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        push_json_string(&bytes, &mut out);
        let text: String = serde_json::from_slice(&out).unwrap();
        assert_eq!(text, String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_cut_is_always_a_json_string() {
        let mut text = Vec::new();
        push_json_text("a\"\\\u{1}é€😀".as_bytes(), &mut text);
        text.extend_from_slice(br"\ud83d\ude00z");
        for length in 0..=text.len() {
            let cut = cut_escaped(&text, length);
            assert!(cut.len() <= length);
            let quoted = [b"\"", cut, b"\""].concat();
            assert!(serde_json::from_slice::<String>(&quoted).is_ok(), "{length}: {:?}", String::from_utf8_lossy(cut));
        }
        assert_eq!(cut_escaped(&text, text.len()), text);
    }

    #[test]
    fn colours_go_and_nothing_else_does() {
        for (text, shown) in [
            (r"plain", "plain"),
            (r"\u001b[31mred\u001b[0m", "red"),
            (r#"\u001b[1;38;5;2mINFO\u001b[0m \"x\""#, r#"INFO \"x\""#),
            (r"cut \u001b[3", "cut "),
            (r"odd \u001b[\\n", r"odd \\n"),
        ] {
            assert_eq!(String::from_utf8_lossy(&without_ansi(text.as_bytes())), shown, "{text}");
        }
    }

    #[test]
    fn numbers() {
        for number in [0, 7, 10, 99, 100, 101, 1_000, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            push_number(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
        let mut decimal = Decimal::default();
        for number in [0, 0, 7, 7, 123, 5] {
            assert_eq!(decimal.of(number), number.to_string().as_bytes());
        }
    }
}
