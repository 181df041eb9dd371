//! Formats with a shape of their own, which would be misread word by word.
use super::{Level, word};

/// `<PRI>` of syslog and of the kernel: the level, and where the text after it starts.
pub(super) fn priority(line: &[u8]) -> Option<(Level, usize)> {
    let digits = line[1..].iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 3 || line.get(1 + digits) != Some(&b'>') {
        return None;
    }
    let number = line[1..=digits].iter().fold(0_u32, |sum, b| sum * 10 + u32::from(b - b'0'));
    // Facilities end at 23: 191 is the greatest.
    if number > 191 {
        return None;
    }
    let mut start = 2 + digits;
    if line.starts_with_at(start, b"1 ") {
        start = rfc5424_message(line, start + 2);
    }
    Some((Level::from_syslog(number % 8)?, start))
}

/// Where the text of RFC 5424 starts: after time, host, program, process id, message id and structured data.
fn rfc5424_message(line: &[u8], mut at: usize) -> usize {
    for _ in 0..5 {
        match memchr::memchr(b' ', &line[at..]) {
            Some(space) => at += space + 1,
            None => return line.len(),
        }
    }
    if line.get(at) == Some(&b'-') {
        return line.len().min(at + 2);
    }
    while line.get(at) == Some(&b'[') {
        let mut quoted = false;
        let mut escaped = false;
        let end = line[at..].iter().position(|b| {
            let ends = *b == b']' && !quoted;
            quoted ^= *b == b'"' && !escaped;
            escaped = *b == b'\\' && !escaped;
            ends
        });
        at = end.map_or(line.len(), |end| at + end + 1);
    }
    at
}

/// The level of a line whose first bytes are a shape of their own: `Some(None)` where the shape is known and states
/// none, `None` where the line has no such shape.
#[inline]
pub(super) fn level(line: &[u8]) -> Option<Option<Level>> {
    let [first, second, ..] = line else { return None };
    match (first, second) {
        (b'A'..=b'Z', b'0'..=b'9') => glog(line),
        // Ruby's Logger: `E, [2024-05-01T12:00:00.123456 #12] ERROR -- : …`; `A` is "any", its unknown level.
        (b'A'..=b'Z', b',') if line.starts_with_at(2, b" [") => match first {
            b'D' | b'I' | b'W' | b'E' | b'F' => Some(word::letter(*first)),
            _ => Some(None),
        },
        (b'A'..=b'Z', b'/') => android(line).map(Some),
        (b'A'..=b'Z', b' ') if access_time(&line[2..]) => Some(cups(*first)),
        // apt's and others' `E: …`. `I: ` and `D: ` are written by too many that mean something else.
        (b'E' | b'W', b':') if line.get(2) == Some(&b' ') => Some(word::letter(*first)),
        (b'=', b'A'..=b'Z') => Some(erlang(line)),
        (b'n', b'p') if line.starts_with(b"npm ") => Some(npm(&line[4..])),
        (b'P', b'H') if line.starts_with(b"PHP ") => php(&line[4..]),
        (b'F' | b'f' | b'P' | b'D', _) => php(line),
        _ => None,
    }
}

/// Looks at bytes in the middle of a line.
pub(super) trait At {
    /// Whether `what` stands at `at`.
    fn starts_with_at(&self, at: usize, what: &[u8]) -> bool;
}

impl At for [u8] {
    fn starts_with_at(&self, at: usize, what: &[u8]) -> bool {
        self.get(at..).is_some_and(|rest| rest.starts_with(what))
    }
}

/// `E0512 12:00:00.123456 1 file.go:12] …` of glog and klog; CockroachDB writes the year too: `I180524 13:30:29…`.
fn glog(line: &[u8]) -> Option<Option<Level>> {
    let digits = line[1..].iter().take(9).take_while(|b| b.is_ascii_digit()).count();
    if !matches!(digits, 4 | 6 | 8) || line.get(1 + digits) != Some(&b' ') {
        return None;
    }
    let time = line.get(2 + digits..).unwrap_or_default();
    let time = time.strip_prefix(b" ").unwrap_or(time);
    let hour = time.iter().take_while(|b| b.is_ascii_digit()).count();
    if !matches!(hour, 1 | 2) || time.get(hour) != Some(&b':') || !time.get(hour + 1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    Some(word::letter(line[0]))
}

/// `W/ActivityManager( 123): …`, `E/flutter: …`. A tag of one letter is none (`I/O: …`).
pub(super) fn android(text: &[u8]) -> Option<Level> {
    let tag = text[2..].iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')).count();
    if tag < 3 || text[2..].starts_with(b"O") && text[0] == b'I' {
        return None;
    }
    let after = text.get(2 + tag..)?;
    let after = &after[after.iter().take_while(|b| **b == b' ').count()..];
    match after.first()? {
        b'(' | b':' => word::letter(text[0]),
        _ => None,
    }
}

/// Whether the time of an access log starts here, `[03/Feb/2026:10:11:12 +0000]`, or a dash and that.
pub(super) fn access_time(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"- ").unwrap_or(text);
    matches!(text, [b'[', b'0'..=b'3', b'0'..=b'9', b'/', month @ ..] if month.len() > 4 && is_month(&month[..3]) && month[3] == b'/')
}

/// CUPS's `E [03/Feb/2026:10:11:12 +0000] …`; `A` is alert, `X` is emergency.
fn cups(letter: u8) -> Option<Level> {
    match letter {
        b'A' | b'X' => Some(Level::Critical),
        letter => word::letter(letter),
    }
}

/// Cisco's `%ASA-6-302013:` and `%LINK-3-UPDOWN:`: facility, severity as syslog counts it, mnemonic.
pub(super) fn cisco(token: &[u8]) -> Option<Level> {
    let name = token.strip_prefix(b"%")?.strip_suffix(b":")?;
    if !name.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_')) {
        return None;
    }
    let mut parts = name.rsplit(|b| *b == b'-');
    let (mnemonic, severity, facility) = (parts.next()?, parts.next()?, parts.next()?);
    match severity {
        [digit @ b'0'..=b'7'] if !mnemonic.is_empty() && facility.len() > 1 => {
            Level::from_syslog(u32::from(digit - b'0'))
        }
        _ => None,
    }
}

/// `=ERROR REPORT==== 1-Feb-2024::12:00:00 ===` of Erlang's old logger.
fn erlang(line: &[u8]) -> Option<Level> {
    let letters = line[1..].iter().take_while(|b| b.is_ascii_uppercase()).count();
    if !line.starts_with_at(1 + letters, b" REPORT==") {
        return None;
    }
    match &line[1..=letters] {
        b"CRASH" | b"SUPERVISOR" => Some(Level::Error),
        b"PROGRESS" => Some(Level::Info),
        name => word::whole(name).map(|word| word.level),
    }
}

/// `npm ERR! code`, `npm WARN deprecated`, `npm notice`.
fn npm(text: &[u8]) -> Option<Level> {
    let letters = text.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    match &text[..letters] {
        b"verb" | b"http" | b"timing" => Some(Level::Debug),
        b"sill" => Some(Level::Trace),
        name => word::whole(name).map(|word| word.level),
    }
}

/// `PHP Fatal error:  …`, `PHP Warning:  …`, and the same without `PHP` on a terminal.
pub(super) fn php(text: &[u8]) -> Option<Option<Level>> {
    const KINDS: [(&[u8], Level); 10] = [
        (b"Fatal error: ", Level::Critical),
        (b"fatal error: ", Level::Critical),
        (b"Parse error: ", Level::Critical),
        (b"Compile error: ", Level::Critical),
        (b"Core error: ", Level::Critical),
        (b"Recoverable fatal error: ", Level::Error),
        (b"Warning: ", Level::Warn),
        (b"Notice: ", Level::Notice),
        (b"Deprecated: ", Level::Notice),
        (b"Strict Standards: ", Level::Notice),
    ];
    KINDS.iter().find(|(kind, _)| text.starts_with(kind)).map(|(_, level)| Some(*level))
}

/// What Redis writes between time and message: `.` debug, `-` verbose, `*` notice, `#` warning. `at` is its place.
///
/// A mark by itself says little, so the line must begin as Redis begins one: `1:M 01 May 2024 12:00:00.123 * `,
/// `[12] 01 May 12:00:00 * ` or, in its oldest versions, `01 May 12:00:00 * `; a dash is believed only after the first.
pub(super) fn redis(line: &[u8], at: usize) -> Option<Level> {
    let digits = |from: usize| line[from.min(line.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    let leading = digits(0);
    let role = leading > 0
        && line.get(leading) == Some(&b':')
        && matches!(line.get(leading + 1), Some(b'M' | b'S' | b'C' | b'X'))
        && line.get(leading + 2) == Some(&b' ');
    let date = if role {
        leading + 3
    } else if line[0] == b'[' {
        line.iter().position(|b| *b == b']')? + 2
    } else {
        0
    };
    let day = digits(date);
    if !(1..=2).contains(&day) || date + day + 4 > at || line.get(date + day) != Some(&b' ') {
        return None;
    }
    if !is_month(&line[date + day + 1..date + day + 4]) {
        return None;
    }
    Some(match line[at] {
        b'.' => Level::Debug,
        b'-' if role => Level::Info,
        b'*' => Level::Notice,
        b'#' => Level::Warn,
        _ => return None,
    })
}

/// `Jan` to `Dec`.
pub(super) fn is_month(word: &[u8]) -> bool {
    matches!(
        word,
        b"Jan" | b"Feb" | b"Mar" | b"Apr" | b"May" | b"Jun" | b"Jul" | b"Aug" | b"Sep" | b"Oct" | b"Nov" | b"Dec"
    )
}

/// `Mon` to `Sun`.
pub(super) fn is_day(word: &[u8]) -> bool {
    matches!(word, b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun")
}

/// PostgreSQL's CSV log: `…,LOG,00000,"statement: …"`: the level is the field before the SQLSTATE.
pub(super) fn postgres_csv(line: &[u8]) -> Option<Level> {
    /// How far the field can be from the start: two times, names and an address stand before it.
    const REACH_BYTES: usize = 512;
    let line = &line[..line.len().min(REACH_BYTES)];
    let mut field = 0;
    for comma in memchr::memchr_iter(b',', line) {
        let name = &line[field..comma];
        field = comma + 1;
        let state = line.get(comma + 1..comma + 6).unwrap_or_default();
        let is_state = state.len() == 5 && state.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if is_state && line.get(comma + 6) == Some(&b',') && name.first().is_some_and(u8::is_ascii_uppercase) {
            return word::value(name);
        }
    }
    None
}
