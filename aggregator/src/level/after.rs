//! What stands after a word that is spelled like a level: whether it is set apart, as a level is, or goes on in prose.
use super::{COLOUR, is_gap};

/// What stands after a bare level.
pub(super) struct After {
    pub width: usize,
    pub tab: bool,
    pub colour: bool,
    /// The first byte that is no space, 0 at the end.
    pub first: u8,
    /// A word such as `Starting`.
    pub capital: bool,
    /// A number, a dotted name, an address.
    pub structured: bool,
    /// A bracket, or a name with one: `vpxd[123]`.
    pub bracketed: bool,
}

impl After {
    pub fn read(text: &[u8]) -> After {
        let mut after = After {
            width: text.iter().take_while(|b| is_gap(**b)).count(),
            tab: text.first() == Some(&b'\t'),
            colour: text.iter().take_while(|b| is_gap(**b)).any(|b| *b == COLOUR),
            first: 0,
            capital: false,
            structured: false,
            bracketed: false,
        };
        let rest = &text[after.width..];
        let Some(first) = rest.first() else { return after };
        after.first = *first;
        after.capital = first.is_ascii_uppercase() && rest.get(1).is_some_and(u8::is_ascii_lowercase);
        after.bracketed = matches!(first, b'[' | b'<' | b'(');
        after.structured = first.is_ascii_digit();
        /// As much of the next word as is looked at.
        const WORD_BYTES: usize = 64;
        let mut previous = 0;
        for byte in rest.iter().take(WORD_BYTES) {
            match *byte {
                b' ' | b'\t' | COLOUR => break,
                b'[' => after.bracketed = true,
                b'.' | b'_' | b'/' | b':' | b'@' if previous != 0 => after.structured = true,
                _ => {}
            }
            previous = *byte;
        }
        // `. ` and `: ` at the end of a word are prose.
        if previous == b'.' || previous == b':' {
            after.structured = false;
        }
        after
    }

    /// Padded to a column.
    pub fn padded(&self) -> bool {
        self.first != 0 && (self.width > 1 || self.tab || self.colour) || self.first == b'|'
    }

    /// Set apart from what follows.
    pub fn apart(&self) -> bool {
        self.padded() || matches!(self.first, b'-' | b':' | b'[' | b'(' | b'{' | b'<')
    }
}

/// Whether what follows `debug:` is a value, as in a printed setting: `debug: false`.
pub(super) fn value_like(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let first = text.first();
    text.is_empty()
        || matches!(
            text,
            b"true" | b"false" | b"null" | b"nil" | b"none" | b"None" | b"True" | b"False" | b"on" | b"off"
        )
        || matches!(text, b"yes" | b"no" | b"{" | b"[" | b"{}" | b"[]" | b"enabled" | b"disabled")
        || first.is_some_and(u8::is_ascii_digit) && text.len() < 6 && text.iter().all(u8::is_ascii_digit)
}
