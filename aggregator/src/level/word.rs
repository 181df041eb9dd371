//! How levels are spelled: the words, their abbreviations and single letters.
use super::Level;

/// How the letters of a word are cased. A mixture such as `iNFO` is no spelling of a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Case {
    /// `ERROR`
    Upper,
    /// `error`
    Lower,
    /// `Error`
    Title,
}

/// How much a word says by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Strength {
    /// A word that log formats write bare: `ERROR something`.
    Common,
    /// A word that prose uses as well (`ALERT exited`, `FAIL`): only with a delimiter or right after a time.
    Rare,
    /// PostgreSQL's own (`LOG`, `HINT`): only in PostgreSQL's surroundings.
    Postgres,
}

/// A word that is a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word {
    pub level: Level,
    pub case: Case,
    pub strength: Strength,
}

/// The longest spelling, `informational`, in letters.
pub(super) const LONGEST: usize = 13;

/// Packs up to eight letters into a number, so that a word is compared in one step.
const fn key(letters: &[u8]) -> u64 {
    let mut packed = 0;
    let mut i = 0;
    while i < letters.len() && i < 8 {
        packed |= ((letters[i] | 0x20) as u64) << (8 * i);
        i += 1;
    }
    packed
}

macro_rules! keys {
    ($($name:ident $text:literal)*) => { $(const $name: u64 = key($text);)* };
}

keys! {
    TRACE b"trace" TRC b"trc" TRCE b"trce" TRAC b"trac" VERBOSE b"verbose" VRB b"vrb" FINER b"finer" FINEST b"finest" SILLY b"silly"
    DEBUG b"debug" DBG b"dbg" DBUG b"dbug" DEBU b"debu" DEBG b"debg" FINE b"fine"
    INFO b"info" INF b"inf" INFORMATION b"informat" LOG b"log" HINT b"hint" HTTP b"http"
    NOTICE b"notice" NOTE b"note" SUCCESS b"success"
    WARN b"warn" WARNING b"warning" WRN b"wrn"
    ERROR b"error" ERR b"err" EROR b"eror" ERRO b"erro" FAIL b"fail" FAILURE b"failure" SEVERE b"severe"
    CRITICAL b"critical" CRIT b"crit" CRT b"crt" FATAL b"fatal" FATA b"fata" FTL b"ftl" ALERT b"alert"
    EMERG b"emerg" EMERGENCY b"emergenc" PANIC b"panic" PANI b"pani" PNC b"pnc" DPANIC b"dpanic"
}

fn case(letters: &[u8]) -> Option<Case> {
    let first_upper = letters[0] & 0x20 == 0;
    let upper = letters[1..].iter().filter(|b| **b & 0x20 == 0).count();
    match (first_upper, upper) {
        (true, n) if n + 1 == letters.len() => Some(Case::Upper),
        (true, 0) => Some(Case::Title),
        (false, 0) => Some(Case::Lower),
        _ => None,
    }
}

/// The level that a word of letters spells where it stands in a line of text. `letters` must be ASCII letters only.
#[inline]
pub(super) fn word(letters: &[u8]) -> Option<Word> {
    use Strength::{Common, Postgres, Rare};
    if letters.len() < 3 || letters.len() > LONGEST {
        return None;
    }
    let packed = key(letters);
    let (level, strength, upper_only) = match packed {
        TRACE => (Level::Trace, Common, false),
        TRC | TRAC | VRB => (Level::Trace, Common, true),
        TRCE => (Level::Trace, Common, false),
        VERBOSE | SILLY => (Level::Trace, Rare, false),
        FINER | FINEST => (Level::Trace, Rare, true),
        DEBUG | DBUG => (Level::Debug, Common, false),
        DBG | DEBU | DEBG => (Level::Debug, Common, true),
        FINE => (Level::Debug, Rare, true),
        INFO => (Level::Info, Common, false),
        INF => (Level::Info, Common, true),
        INFORMATION if long(letters, b"information") || long(letters, b"informational") => (Level::Info, Common, false),
        LOG | HINT => (Level::Info, Postgres, true),
        NOTICE => (Level::Notice, Common, false),
        NOTE | SUCCESS => (Level::Notice, Rare, false),
        WARN | WARNING => (Level::Warn, Common, false),
        WRN => (Level::Warn, Common, true),
        ERROR | ERR | EROR => (Level::Error, Common, false),
        ERRO => (Level::Error, Common, true),
        FAIL => (Level::Error, Rare, false),
        FAILURE | SEVERE => (Level::Error, Rare, true),
        CRITICAL | CRIT | FATAL => (Level::Critical, Common, false),
        FATA | FTL | PNC | CRT => (Level::Critical, Common, true),
        ALERT | EMERG | PANIC | DPANIC => (Level::Critical, Rare, false),
        EMERGENCY if long(letters, b"emergency") => (Level::Critical, Rare, false),
        PANI => (Level::Critical, Rare, true),
        _ => return None,
    };
    // Eight letters are compared by the key; the longer words were compared whole above.
    if letters.len() > 8 && !matches!(packed, INFORMATION | EMERGENCY) {
        return None;
    }
    let case = case(letters)?;
    if upper_only && case != Case::Upper {
        return None;
    }
    Some(Word { level, case, strength })
}

fn long(letters: &[u8], whole: &[u8]) -> bool {
    letters.eq_ignore_ascii_case(whole)
}

/// The level that the value of a level field spells (`"level":"Information"`, `lvl=eror`, `"severity":"E"`): here the
/// key says that it is a level, so abbreviations of any case and single letters count.
pub(super) fn value(text: &[u8]) -> Option<Level> {
    let letters = text.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    // What may follow: slog's `INFO+2`, PostgreSQL's `DEBUG1`, MongoDB's `D2`.
    let rest = &text[letters..];
    let follows = match rest {
        [] => true,
        [b'+' | b'-', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        digits => digits.len() == 1 && digits[0].is_ascii_digit(),
    };
    let text = &text[..letters];
    if !follows || letters == 0 || letters > LONGEST {
        return None;
    }
    if letters == 1 {
        return letter(text[0].to_ascii_uppercase());
    }
    let mut upper = [0; LONGEST];
    let upper = &mut upper[..letters];
    for (to, from) in upper.iter_mut().zip(text) {
        *to = from.to_ascii_uppercase();
    }
    match key(upper) {
        HTTP if letters == 4 => Some(Level::Debug),
        _ => word(upper).map(|word| word.level),
    }
}

/// The level that `text` spells, if it is one word.
pub(super) fn whole(text: &[u8]) -> Option<Word> {
    if text.len() > LONGEST || !text.iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    word(text)
}

/// The words that stand in brackets: as in text, MySQL's `[System]`, and
/// short words that would say little without the brackets.
pub(super) fn bracketed(letters: &[u8]) -> Option<Level> {
    match whole(letters) {
        Some(Word { strength: Strength::Postgres, .. }) => None,
        Some(word) => Some(word.level),
        None => match letters {
            b"System" => Some(Level::Notice),
            b"trc" => Some(Level::Trace),
            b"dbg" => Some(Level::Debug),
            b"inf" => Some(Level::Info),
            b"wrn" => Some(Level::Warn),
            _ => None,
        },
    }
}

/// The level of a single capital letter: Android's, glog's, MongoDB's and etcd's.
#[inline]
pub(super) fn letter(capital: u8) -> Option<Level> {
    Some(match capital {
        b'V' | b'T' => Level::Trace,
        b'D' => Level::Debug,
        b'I' => Level::Info,
        b'N' => Level::Notice,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        b'F' | b'C' => Level::Critical,
        _ => return None,
    })
}
