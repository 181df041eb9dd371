//! Splits text into words the way Elasticsearch's `standard` analyzer does for logs: runs of letters, digits and
//! underscores of any script, in lower case. ASCII, which logs mostly are, never meets the Unicode tables.
//!
//! `standard` also keeps `10.0.0.1` and `java.lang.Error` whole. Here they are split, so that their parts are found too,
//! and a query that has such a compound asks for its parts as a phrase (see [`joins`]).

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Longest word in bytes; a longer run is cut into words of this length, as `standard` does at 255 characters.
pub const WORD_BYTES_MAX: usize = 255;

/// For each byte: 0 = ends a word, [`WIDE`] = part of a multi-byte character, else the byte in lower case.
const ASCII: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = if b.is_ascii_alphanumeric() || b == b'_' {
            b.to_ascii_lowercase()
        } else if b >= 0x80 {
            WIDE
        } else {
            0
        };
        byte += 1;
    }
    table
};
const WIDE: u8 = 0xff;

/// Whether a character between two words makes them one word for `standard`: the rules for MidNumLet, MidLetter and
/// MidNum of Unicode's word boundaries (UAX 29), as far as ASCII goes.
pub fn joins(before: char, between: char, after: char) -> bool {
    let letters = before.is_alphabetic() && after.is_alphabetic();
    let digits = before.is_numeric() && after.is_numeric();
    match between {
        '.' | '\'' => letters || digits,
        ':' => letters,
        ',' | ';' => digits,
        _ => false,
    }
}

/// The word tokenizer.
#[derive(Clone, Default)]
pub struct Words {
    token: Token,
}

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream { text, at: 0, token: &mut self.token }
    }
}

/// The words of one text.
pub struct WordStream<'a> {
    text: &'a str,
    at: usize,
    token: &'a mut Token,
}

impl WordStream<'_> {
    /// A word that has characters outside ASCII, begun at `from`; `self.at` stands at or before its first such character.
    fn wide_word(&mut self, from: usize) -> bool {
        self.token.text.clear();
        let mut end = from;
        for c in self.text[from..].chars() {
            if !(c.is_alphanumeric() || c == '_') || end + c.len_utf8() - from > WORD_BYTES_MAX {
                break;
            }
            end += c.len_utf8();
            self.token.text.extend(c.to_lowercase());
        }
        if end == from {
            return false;
        }
        self.token.offset_from = from;
        self.token.offset_to = end;
        self.at = end;
        true
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        loop {
            // To the first byte of a word.
            let mut from = self.at;
            while from < bytes.len() && ASCII[bytes[from] as usize] == 0 {
                from += 1;
            }
            if from == bytes.len() {
                self.at = from;
                return false;
            }
            let mut end = from;
            let limit = bytes.len().min(from + WORD_BYTES_MAX);
            while end < limit {
                let class = ASCII[bytes[end] as usize];
                if class == 0 || class == WIDE {
                    break;
                }
                end += 1;
            }
            if end < bytes.len() && ASCII[bytes[end] as usize] == WIDE && end < limit {
                if !self.wide_word(from) {
                    // Punctuation outside ASCII: step over it.
                    self.at = from + self.text[from..].chars().next().map_or(1, char::len_utf8);
                    continue;
                }
            } else {
                let word = &self.text[from..end];
                self.token.text.clear();
                self.token.text.push_str(word);
                self.token.text.make_ascii_lowercase();
                self.token.offset_from = from;
                self.token.offset_to = end;
                self.at = end;
            }
            self.token.position = self.token.position.wrapping_add(1);
            return true;
        }
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut tokenizer = Words::default();
        let mut stream = tokenizer.token_stream(text);
        let mut found = Vec::new();
        while stream.advance() {
            let token = stream.token();
            assert_eq!(token.position, found.len());
            assert!(text.is_char_boundary(token.offset_from) && text.is_char_boundary(token.offset_to));
            found.push(token.text.clone());
        }
        found
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        assert_eq!(words("GET /api/v1 HTTP/1.1\" 200"), ["get", "api", "v1", "http", "1", "1", "200"]);
        assert_eq!(words(""), Vec::<String>::new());
        assert_eq!(words("--- …"), Vec::<String>::new());
        assert_eq!(words("Größe ÄNDERN naïve→done"), ["größe", "ändern", "naïve", "done"]);
        assert_eq!(words("日本語 text"), ["日本語", "text"]);
        assert_eq!(words("x…y"), ["x", "y"]);
        assert_eq!(words("_tag user_id=5 é_x"), ["_tag", "user_id", "5", "é_x"]);
    }

    #[test]
    fn long_runs_are_cut() {
        let long = "a".repeat(WORD_BYTES_MAX + 3);
        assert_eq!(words(&long), ["a".repeat(WORD_BYTES_MAX), "aaa".to_owned()]);
        let wide = "é".repeat(WORD_BYTES_MAX);
        assert!(words(&wide).iter().all(|word| word.len() <= WORD_BYTES_MAX));
        assert_eq!(words(&wide).concat(), wide);
    }
}
