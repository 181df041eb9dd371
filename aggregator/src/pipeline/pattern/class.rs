//! Sets of characters.

use std::fmt::Write as _;
use std::sync::Arc;

/// A set of characters: a map of the ASCII ones, and ranges for the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    ascii: u128,
    /// Above ASCII, in order, not touching.
    ranges: Vec<(u32, u32)>,
}

const FIRST_WIDE: u32 = 0x80;
const LAST: u32 = 0x10_FFFF;

impl Class {
    /// No character.
    pub fn empty() -> Self {
        Self { ascii: 0, ranges: Vec::new() }
    }

    /// Every character.
    pub fn any() -> Self {
        Self { ascii: u128::MAX, ranges: vec![(FIRST_WIDE, LAST)] }
    }

    /// What `.` is.
    pub fn any_but_newline() -> Self {
        Self { ascii: !(1 << b'\n'), ranges: vec![(FIRST_WIDE, LAST)] }
    }

    /// From one to another, both included.
    pub fn of_range(low: char, high: char) -> Self {
        Self::from_ranges(&[(u32::from(low), u32::from(high))])
    }

    fn from_ranges(ranges: &[(u32, u32)]) -> Self {
        let mut class = Self::empty();
        for &(low, high) in ranges {
            for code in low..=high.min(FIRST_WIDE - 1) {
                class.ascii |= 1 << code;
            }
            if high >= FIRST_WIDE {
                class.ranges.push((low.max(FIRST_WIDE), high));
            }
        }
        class.tidy();
        class
    }

    fn tidy(&mut self) {
        self.ranges.sort_unstable();
        let mut tidy: Vec<(u32, u32)> = Vec::with_capacity(self.ranges.len());
        for &(low, high) in &self.ranges {
            match tidy.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => tidy.push((low, high)),
            }
        }
        self.ranges = tidy;
    }

    /// `\d \w \s \h` and their opposites: ASCII alone, as in Ruby.
    pub fn of_escape(letter: char) -> Option<Self> {
        let ranges: &[(char, char)] = match letter.to_ascii_lowercase() {
            'd' => &[('0', '9')],
            'w' => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
            's' => &[('\t', '\r'), (' ', ' ')],
            'h' => &[('0', '9'), ('A', 'F'), ('a', 'f')],
            _ => return None,
        };
        let ranges: Vec<(u32, u32)> = ranges.iter().map(|(low, high)| (u32::from(*low), u32::from(*high))).collect();
        let class = Self::from_ranges(&ranges);
        Some(if letter.is_ascii_uppercase() { class.negate() } else { class })
    }

    /// `alpha`, `digit` and so on, and the names of Unicode's properties.
    pub fn of_name(name: &str) -> Option<Self> {
        let property = match name.to_ascii_lowercase().as_str() {
            "alpha" => "Alphabetic",
            "digit" => "Nd",
            "upper" => "Uppercase",
            "lower" => "Lowercase",
            "space" => "White_Space",
            "punct" => {
                return Self::of_name("P").map(|class| {
                    class.union(&Self::from_ranges(&[
                        (0x24, 0x24),
                        (0x2b, 0x2b),
                        (0x3c, 0x3e),
                        (0x5e, 0x5e),
                        (0x60, 0x60),
                        (0x7c, 0x7c),
                        (0x7e, 0x7e),
                    ]))
                });
            }
            "alnum" => return Some(Self::of_name("alpha")?.union(&Self::of_name("digit")?)),
            "word" => return Some(Self::of_name("alnum")?.union(&Self::of_name("M")?).union(&Self::of_name("Pc")?)),
            "xdigit" => return Self::of_escape('h'),
            "cntrl" => "Cc",
            "blank" => return Some(Self::from_ranges(&[(9, 9), (0x20, 0x20)])),
            "graph" => return Some(Self::of_name("space")?.union(&Self::of_name("cntrl")?).negate()),
            "print" => return Some(Self::of_name("cntrl")?.negate()),
            "ascii" => return Some(Self::from_ranges(&[(0, 0x7f)])),
            "any" => return Some(Self::any()),
            _ => name,
        };
        let hir = regex_syntax::Parser::new().parse(&format!("\\p{{{property}}}")).ok()?;
        match hir.kind() {
            regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(set)) => {
                let ranges: Vec<(u32, u32)> =
                    set.iter().map(|range| (u32::from(range.start()), u32::from(range.end()))).collect();
                Some(Self::from_ranges(&ranges))
            }
            _ => None,
        }
    }

    /// Both together.
    pub fn union(&self, other: &Self) -> Self {
        let mut class =
            Self { ascii: self.ascii | other.ascii, ranges: [&self.ranges[..], &other.ranges[..]].concat() };
        class.tidy();
        class
    }

    /// All others.
    pub fn negate(&self) -> Self {
        let mut ranges = Vec::new();
        let mut next = FIRST_WIDE;
        for &(low, high) in &self.ranges {
            if low > next {
                ranges.push((next, low - 1));
            }
            next = high + 1;
        }
        if next <= LAST {
            ranges.push((next, LAST));
        }
        Self { ascii: !self.ascii, ranges }
    }

    /// What is in both.
    pub fn intersect(&self, other: &Self) -> Self {
        self.negate().union(&other.negate()).negate()
    }

    /// With the other case of every letter. Letters above ASCII are folded one by one while there are few.
    pub fn fold(&self) -> Self {
        /// More letters than this in one range are a whole script, which has both cases anyway.
        const FOLDED_MAX: u32 = 2048;
        let mut folded = self.clone();
        for code in (0u8..128).filter(|code| self.ascii & (1 << code) != 0) {
            folded.ascii |= 1 << code.to_ascii_lowercase();
            folded.ascii |= 1 << code.to_ascii_uppercase();
        }
        for &(low, high) in &self.ranges {
            for code in (low..=high).take(FOLDED_MAX as usize) {
                let Some(letter) = char::from_u32(code) else { continue };
                for other in letter.to_lowercase().chain(letter.to_uppercase()) {
                    if !folded.has(other) {
                        folded = folded.union(&Self::of_range(other, other));
                    }
                }
            }
        }
        folded
    }

    /// Whether a character is in it.
    #[inline]
    pub fn has(&self, letter: char) -> bool {
        let code = u32::from(letter);
        if code < FIRST_WIDE {
            return self.ascii & (1 << code) != 0;
        }
        self.ranges
            .binary_search_by(|&(low, high)| {
                if high < code {
                    std::cmp::Ordering::Less
                } else if low > code {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Equal
                }
            })
            .is_ok()
    }

    /// The length of the character at `at` if it is in the set; 0 if not, or at the end.
    #[inline(always)]
    pub fn step(&self, text: &str, at: usize) -> usize {
        match text.as_bytes().get(at) {
            Some(&byte) if byte < 0x80 => usize::from(self.ascii >> byte & 1 == 1),
            Some(_) => self.step_wide(text, at),
            None => 0,
        }
    }

    #[inline(never)]
    fn step_wide(&self, text: &str, at: usize) -> usize {
        match text[at..].chars().next() {
            Some(letter) if self.has(letter) => letter.len_utf8(),
            _ => 0,
        }
    }

    /// How bytes follow each other in a run of it; none where some characters above ASCII are in it and others are not.
    pub fn scan(&self) -> Option<Scan> {
        let wide = match self.ranges[..] {
            [] => false,
            [(FIRST_WIDE, LAST)] => true,
            _ => return None,
        };
        Some(Scan::new(|byte| if byte < 0x80 { self.ascii >> byte & 1 == 1 } else { wide }))
    }

    /// How many ASCII characters of the set follow each other.
    pub fn scan_ascii(&self) -> Scan {
        Scan::new(|byte| byte < 0x80 && self.ascii >> byte & 1 == 1)
    }

    /// The bytes that a character of the set may begin with.
    pub fn first_bytes(&self) -> Bytes {
        let mut bytes = Bytes([0; 4]);
        bytes.0[0] = self.ascii as u64;
        bytes.0[1] = (self.ascii >> 64) as u64;
        for &(low, high) in &self.ranges {
            let lead =
                |code: u32| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER).to_string().as_bytes()[0];
            // Half a surrogate pair is no character; the ranges that go over them are cut there.
            let (low, high) = (
                if (0xD800..0xE000).contains(&low) { 0xE000 } else { low },
                if (0xD800..0xE000).contains(&high) { 0xD7FF } else { high },
            );
            if low > high {
                continue;
            }
            for byte in lead(low)..=lead(high) {
                bytes.add(byte);
            }
        }
        bytes
    }

    /// As the crate `regex` writes it.
    pub fn write(&self, out: &mut String) {
        out.push('[');
        if *self == Self::empty() {
            out.push_str("^\\x{0}-\\x{10FFFF}");
        }
        let mut code = 0u32;
        while code < FIRST_WIDE {
            if self.ascii & (1 << code) != 0 {
                let start = code;
                while code + 1 < FIRST_WIDE && self.ascii & (1 << (code + 1)) != 0 {
                    code += 1;
                }
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{{{start:x}}}-\\x{{{code:x}}}");
            }
            code += 1;
        }
        for (low, high) in &self.ranges {
            let (low, high) = (
                if (0xD800..0xE000).contains(low) { 0xE000 } else { *low },
                if (0xD800..0xE000).contains(high) { 0xD7FF } else { *high },
            );
            if low <= high {
                let _ = write!(out, "\\x{{{low:x}}}-\\x{{{high:x}}}");
            }
        }
        out.push(']');
    }
}

/// Goes over the bytes of a set, quickly.
#[derive(Clone, Debug)]
pub enum Scan {
    /// All but this one.
    AllBut(u8),
    /// Those for which it is true.
    Table(Arc<Table>),
}

/// For each byte, whether it is in a set.
pub type Table = [bool; 256];

impl Scan {
    /// Goes over the bytes for which `has` is true.
    pub fn new(has: impl Fn(u8) -> bool) -> Self {
        let table: Table = std::array::from_fn(|byte| has(byte as u8));
        let mut others = (0..=u8::MAX).filter(|byte| !table[usize::from(*byte)]);
        match (others.next(), others.next()) {
            (Some(only), None) => Self::AllBut(only),
            _ => Self::Table(Arc::new(table)),
        }
    }

    /// How many bytes of the set come first.
    #[inline]
    pub fn run(&self, bytes: &[u8]) -> usize {
        let end = match self {
            Self::AllBut(byte) => memchr::memchr(*byte, bytes),
            Self::Table(table) => bytes.iter().position(|byte| !table[usize::from(*byte)]),
        };
        end.unwrap_or(bytes.len())
    }
}

/// A set of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub [u64; 4]);

impl Bytes {
    /// No byte.
    pub const NONE: Self = Self([0; 4]);
    /// Every byte.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// Adds one.
    pub fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    /// Whether it is in it.
    #[inline]
    pub fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// Both together.
    pub fn union(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|index| self.0[index] | other.0[index]))
    }

    /// Whether they have none in common.
    pub fn is_apart(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(left, right)| left & right == 0)
    }
}
