//! Splits text into words the way Elasticsearch's `standard` analyzer does for logs: runs of letters, digits and
//! underscores of any script, in lower case. ASCII, which logs mostly are, never meets the Unicode tables.
//!
//! `standard` also keeps `10.0.0.1` and `java.lang.Error` whole. Here they are split, so that their parts are found too,
//! and a query that has such a compound asks for its parts as a phrase (see [`joins`]).
//!
//! Log lines are full of words that come once: pieces of UUIDs, trace ids, order numbers. Each would be an entry of the
//! dictionary, and such entries would be most of an index and most of the work of writing it. [`PlainWords`] therefore
//! leaves them out, and [`StandIns`] gives one of [`BUCKETS`] stand-ins for each. A search for such a word reads the
//! documents behind its stand-in, a hundred in a million, and leaves out those that do not have the word (see
//! `query::plan::verified`).

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

/// Where a word is in the text.
#[derive(Clone, Copy)]
struct Place {
    from: usize,
    end: usize,
    /// Whether it has, or ends at, characters outside ASCII: the token's text is made already, since its end is known by then.
    wide: bool,
    /// Whether it has capital letters of ASCII.
    capitals: bool,
}

impl WordStream<'_> {
    /// A word that has characters outside ASCII, begun at `from`; `self.at` stands at or before its first such character.
    fn wide_word(&mut self, from: usize) -> Option<Place> {
        self.token.text.clear();
        let mut end = from;
        for c in self.text[from..].chars() {
            if !(c.is_alphanumeric() || c == '_') || end + c.len_utf8() - from > WORD_BYTES_MAX {
                break;
            }
            end += c.len_utf8();
            self.token.text.extend(c.to_lowercase());
        }
        (end > from).then_some(Place { from, end, wide: true, capitals: false })
    }

    /// The next word, of which only the position is set in the token yet.
    fn find(&mut self) -> Option<Place> {
        let bytes = self.text.as_bytes();
        loop {
            // To the first byte of a word.
            let mut from = self.at;
            while from < bytes.len() && ASCII[bytes[from] as usize] == 0 {
                from += 1;
            }
            if from == bytes.len() {
                self.at = from;
                return None;
            }
            let mut end = from;
            let mut capitals = false;
            let limit = bytes.len().min(from + WORD_BYTES_MAX);
            while end < limit {
                let class = ASCII[bytes[end] as usize];
                if class == 0 || class == WIDE {
                    break;
                }
                capitals |= class != bytes[end];
                end += 1;
            }
            let place = if end < limit && ASCII[bytes[end] as usize] == WIDE {
                let Some(place) = self.wide_word(from) else {
                    // Punctuation outside ASCII: step over it.
                    self.at = from + self.text[from..].chars().next().map_or(1, char::len_utf8);
                    continue;
                };
                place
            } else {
                Place { from, end, wide: false, capitals }
            };
            self.at = place.end;
            self.token.position = self.token.position.wrapping_add(1);
            return Some(place);
        }
    }

    /// Whether a word is likely to be unique.
    fn is_unique(&self, place: Place) -> bool {
        is_unique(&self.text[place.from..place.end])
    }

    /// Makes the word that was found last the token.
    fn take(&mut self, place: Place) {
        self.token.offset_from = place.from;
        self.token.offset_to = place.end;
        if !place.wide {
            self.token.text.clear();
            self.token.text.push_str(&self.text[place.from..place.end]);
            if place.capitals {
                self.token.text.make_ascii_lowercase();
            }
        }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(place) = self.find() else { return false };
        self.take(place);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// Stand-ins for words that are likely to be unique. Part of the format of index files. More make searches for such
/// words cheaper and the dictionary larger.
const BUCKETS: u32 = 1 << 15;
/// Numbers of fewer digits are words like any other: ports, sizes, years and durations come often.
const UNIQUE_DIGITS_MIN: usize = 6;
/// The same for hexadecimal words, which have a letter and a digit at least.
const UNIQUE_HEX_MIN: usize = 4;

/// Whether a word, in whatever case, is likely to be unique: a hexadecimal or a long decimal number.
pub fn is_unique(word: &str) -> bool {
    let (mut digits, mut others) = (0, 0);
    for byte in word.bytes() {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'a'..=b'f' | b'A'..=b'F' => others += 1,
            _ => return false,
        }
    }
    digits >= UNIQUE_DIGITS_MIN || (digits > 0 && others > 0 && digits + others >= UNIQUE_HEX_MIN)
}

/// Whether a word that begins so may be [unique](is_unique).
pub fn may_begin_unique(prefix: &str) -> bool {
    prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What stands for a unique word in the dictionary of a partition: its FNV-1a hash in three letters.
pub fn stand_in(word: &str, out: &mut String) {
    let mut hash = 0x811c_9dc5u32;
    for byte in word.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    let bucket = (hash ^ (hash >> 15)) & (BUCKETS - 1);
    out.clear();
    for shift in [10, 5, 0] {
        out.push(char::from(b'A' + (bucket >> shift & 31) as u8));
    }
}

/// The word tokenizer of log lines: as [`Words`], without unique words, whose positions stay free.
#[derive(Clone, Default)]
pub struct PlainWords(Words);

/// The stand-ins of the unique words of a log line.
#[derive(Clone, Default)]
pub struct StandIns {
    words: Words,
    stand_in: String,
}

/// The words of one line of one of the two kinds.
pub struct LineStream<'a> {
    words: WordStream<'a>,
    /// Where stand-ins are made; `None` for the other words.
    stand_in: Option<&'a mut String>,
}

impl Tokenizer for PlainWords {
    type TokenStream<'a> = LineStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> LineStream<'a> {
        LineStream { words: self.0.token_stream(text), stand_in: None }
    }
}

impl Tokenizer for StandIns {
    type TokenStream<'a> = LineStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> LineStream<'a> {
        LineStream { words: self.words.token_stream(text), stand_in: Some(&mut self.stand_in) }
    }
}

impl TokenStream for LineStream<'_> {
    fn advance(&mut self) -> bool {
        while let Some(place) = self.words.find() {
            let unique = self.words.is_unique(place);
            if unique != self.stand_in.is_some() {
                continue;
            }
            self.words.take(place);
            if let Some(made) = &mut self.stand_in {
                stand_in(&self.words.token.text, made);
                std::mem::swap(&mut self.words.token.text, made);
            }
            return true;
        }
        false
    }

    fn token(&self) -> &Token {
        self.words.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.words.token
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
    fn unique_words_get_stand_ins() {
        let unique = ["793daf5a", "b35c", "f0cb07f2422d", "995226", "0a0b", &"1".repeat(255)];
        let plain = ["", "cafe", "2026", "27017", "1a", "utf8", "node47", "http2", "größe1", "12345", "ipv4"];
        assert!(unique.iter().all(|word| is_unique(word) && may_begin_unique(word)));
        assert!(!plain.iter().any(|word| is_unique(word)));
        assert!(may_begin_unique("") && may_begin_unique("cafe") && !may_begin_unique("conn"));
        let line = "id=793DAF5A-b35c from 10.57.50.58";
        let (mut plain, mut stand_ins) = (PlainWords::default(), StandIns::default());
        let mut found = all(&mut plain.token_stream(line));
        assert_eq!(found.pop(), Some((7, "58".to_owned())));
        assert_eq!(found[..2], [(0, "id".to_owned()), (3, "from".to_owned())]);
        let found = all(&mut stand_ins.token_stream("…0A0b… größe1"));
        assert_eq!(found.len(), 1, "a word may end at a character outside ASCII");
        // Written down because they are in index files.
        let found = all(&mut stand_ins.token_stream(line));
        assert_eq!(found, [(1, "Q[B".to_owned()), (2, "XBO".to_owned())]);
    }

    fn all(stream: &mut dyn TokenStream) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        while stream.advance() {
            found.push((stream.token().position, stream.token().text.clone()));
        }
        found
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
