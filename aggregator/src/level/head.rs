//! The level in the head of a line of text: times, numbers, names and brackets, up to the first words of a message.
//!
//! The head is walked word by word. Structured words (numbers, dotted names, addresses, `key=value`, brackets) belong to
//! it; a few plain words may (a host, a logger's name); with the third the message has begun and the walk ends. A colon,
//! a dash or a bar starts a new part of the head. Where a level may stand, and how it must be set apart there, is
//! decided in [`Walk::bare`] and [`Walk::colon`].
use super::after::{After, value_like};
use super::word::{Case, Strength, Word};
use super::{COLOUR, HEAD_BYTES, Level, group, is_gap, json, pairs, prose, shape, word};

/// Plain words after which a line is taken to be in its message.
const PLAIN_WORDS: u8 = 3;
/// Words in capitals before a level: `RAS KERNEL INFO`.
const UPPER_WORDS: u8 = 3;
/// Parts that end in a colon: `host prog[1]: general: info: …`.
const PARTS: u8 = 4;
/// Times and structured words that make words in capitals after them columns as well, and no shouting.
const COLUMNS: u8 = 5;

/// The level that the head of `line` states. `indented`: space stood before it.
pub(super) fn level(line: &[u8], indented: bool) -> Option<Level> {
    // Of several lines in one (a stack trace) the first has the head.
    let end = memchr::memchr(b'\n', &line[..line.len().min(HEAD_BYTES)]).unwrap_or(line.len());
    let line = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
    let mut walk = Walk {
        line,
        limit: line.len().min(HEAD_BYTES),
        indented,
        at: 0,
        from: 0,
        fresh: false,
        time: false,
        columns: 0,
        fields: 0,
        plain: 0,
        plain_here: 0,
        upper: 0,
        parts: 0,
        named: false,
        bracket: false,
        bar: false,
    };
    loop {
        match walk.step() {
            Step::On => {}
            Step::Stated(level) => return Some(level),
            Step::Message => return None,
        }
    }
}

/// What one word of the head says.
enum Step {
    /// Nothing: go on.
    On,
    Stated(Level),
    /// The message has begun, or nothing is left.
    Message,
}

struct Walk<'a> {
    line: &'a [u8],
    /// Where the head ends at the latest.
    limit: usize,
    indented: bool,
    at: usize,
    /// Where this part's first word starts: after the last bar or colon.
    from: usize,
    /// The next word is that word.
    fresh: bool,
    /// A time was read in this part.
    time: bool,
    /// Structured words read in this part, times apart.
    columns: u8,
    /// The same with times.
    fields: u8,
    /// Plain words read in all, and since the last dash, bar or colon.
    plain: u8,
    plain_here: u8,
    /// Words in capitals read in this part.
    upper: u8,
    /// Parts that ended in a colon.
    parts: u8,
    /// A name, not a time, a bracket or the end of a part, stands right before.
    named: bool,
    /// A bracket stands right before.
    bracket: bool,
    /// A bar stands right before.
    bar: bool,
}

/// What stands right before a word.
#[derive(Clone, Copy)]
struct Before {
    bracket: bool,
    bar: bool,
    named: bool,
}

/// The space before a word.
struct Gap {
    width: usize,
    tab: bool,
    colour: bool,
}

impl<'a> Walk<'a> {
    fn step(&mut self) -> Step {
        let gap = self.gap();
        if self.at >= self.limit {
            return Step::Message;
        }
        if self.fresh {
            self.from = self.at;
            self.fresh = false;
        }
        let (bracket, bar, named) = (self.bracket, self.bar, self.named);
        (self.bracket, self.bar, self.named) = (false, false, false);
        match self.line[self.at] {
            b'A'..=b'Z' | b'a'..=b'z' => self.word(&gap, Before { bracket, bar, named }),
            b'0'..=b'9' => self.number(),
            b'[' | b'(' | b'<' | b'{' => self.bracket(),
            b'|' => {
                self.at += 1;
                self.bar = true;
                self.fresh = true;
                self.plain_here = 0;
                Step::On
            }
            b'"' | b'\'' | b'`' => Step::Message,
            128.. => self.plain(self.token_end()),
            _ => self.mark(bracket),
        }
    }

    fn gap(&mut self) -> Gap {
        let start = self.at;
        let mut gap = Gap { width: 0, tab: false, colour: false };
        while self.at < self.limit {
            match self.line[self.at] {
                b' ' => {}
                b'\t' => gap.tab = true,
                COLOUR => gap.colour = true,
                _ => break,
            }
            self.at += 1;
        }
        gap.width = self.at - start;
        gap
    }

    fn token_end(&self) -> usize {
        let rest = &self.line[self.at..self.limit];
        self.at + rest.iter().position(|b| is_gap(*b) || *b == b'|').unwrap_or(rest.len())
    }

    fn column(&mut self, end: usize) -> Step {
        self.columns = self.columns.saturating_add(1);
        self.fields = self.fields.saturating_add(1);
        self.at = end;
        Step::On
    }

    fn plain(&mut self, end: usize) -> Step {
        self.plain += 1;
        self.plain_here += 1;
        self.at = end;
        if self.plain_here >= PLAIN_WORDS || self.plain > PLAIN_WORDS { Step::Message } else { Step::On }
    }

    /// A word that begins with a digit: a date, a time, an address, a number.
    fn number(&mut self) -> Step {
        let start = self.at;
        let mut end = start;
        let mut clock = false;
        while end < self.limit {
            let byte = self.line[end];
            if is_gap(byte) || byte == b'|' {
                break;
            }
            if matches!(byte, b':' | b';' | b',') && end + 1 < self.limit {
                let next = self.line[end + 1];
                clock |= byte == b':' && next.is_ascii_digit() && self.line[end - 1].is_ascii_digit();
                // Jetty's `2024-05-01 12:00:00.123:WARN:oejs.Server:main: …`; columns between semicolons.
                if next.is_ascii_uppercase() {
                    let letters = run(self.line, end + 1);
                    let word = word::word(&self.line[end + 1..letters]);
                    if self.line.get(letters) == Some(&byte)
                        && let Some(word) = word.filter(|w| w.case == Case::Upper && w.strength == Strength::Common)
                    {
                        return Step::Stated(word.level);
                    }
                }
            }
            end += 1;
        }
        let token = &self.line[start..end];
        let date = token.len() >= 8
            && token[..4].iter().all(u8::is_ascii_digit)
            && matches!(token[4], b'-' | b'/' | b'.')
            && token[5].is_ascii_digit();
        let epoch =
            token.len() >= 6 && token[..6].iter().all(u8::is_ascii_digit) && (start == self.from || token.len() > 8);
        if clock || date || epoch {
            // `JVB 2024-05-01 12:00:00 WARNING: …`: a program, and no word of a message.
            if date && self.plain + self.upper <= 1 {
                (self.plain_here, self.upper) = (0, 0);
            }
            self.time = true;
            self.fields = self.fields.saturating_add(1);
            self.at = end;
            return Step::On;
        }
        self.column(end)
    }

    fn bracket(&mut self) -> Step {
        if self.line[self.at] == b'{' && matches!(self.line.get(self.at + 1), Some(b'"')) {
            return match json::level(&self.line[self.at..], 0) {
                Some(level) if self.plain == 0 => Step::Stated(level),
                _ => Step::Message,
            };
        }
        let Some(group) = group::read(self.line, self.at) else {
            // `< header: …` of curl.
            let end = self.token_end();
            return if end == self.at + 1 { self.plain(end) } else { self.column(end) };
        };
        if let Some(level) = group.level
            && (self.plain_here == 0 || self.plain_here == 1 && level > Level::Info)
        {
            return Step::Stated(level);
        }
        self.time |= group.time;
        self.bracket = true;
        self.column(group.end)
    }

    /// A word that begins with a mark: a dash or a colon between parts, Redis's marks, a path.
    fn mark(&mut self, bracket: bool) -> Step {
        let start = self.at;
        let first = self.line[start];
        let end = self.token_end();
        let token = &self.line[start..end];
        if token.len() == 1
            && matches!(first, b'.' | b'-' | b'*' | b'#')
            && self.time
            && let Some(level) = shape::redis(&self.line[self.from..], start - self.from)
        {
            return Step::Stated(level);
        }
        if let Some(level) = shape::cisco(token) {
            return Step::Stated(level);
        }
        // Sling's `03.02.2026 10:11:12.345 *INFO* [thread] …`.
        if let [b'*', name @ .., b'*'] = token
            && self.time
            && let Some(word) = word::whole(name)
            && word.case == Case::Upper
        {
            return Step::Stated(word.level);
        }
        // `INFO` may stand right after `]:` or `--`.
        let marks = token.iter().take_while(|b| matches!(b, b'-' | b':' | b'=' | b'*' | b',' | b'~')).count();
        if marks > 0 && (marks == token.len() || bracket) {
            self.plain_here = 0;
            if first == b':' {
                self.upper = 0;
            }
            self.at = start + marks;
            return Step::On;
        }
        match first {
            b'/' | b'@' | b'+' | b'-' | b'*' | b'%' | b'_' | b'.' | b':' | b'#' => self.column(end),
            _ => self.plain(end),
        }
    }

    fn word(&mut self, gap: &Gap, before: Before) -> Step {
        let start = self.at;
        let end = run(self.line, start);
        let letters = &self.line[start..end];
        if letters.len() == 1 {
            return self.single(letters[0]);
        }
        if let Some(word) = word::word(letters) {
            return self.spelled(word, end, gap, before);
        }
        self.name(letters)
    }

    /// A word that is spelled like a level.
    fn spelled(&mut self, word: Word, end: usize, gap: &Gap, before: Before) -> Step {
        let upper = word.case == Case::Upper;
        let here = self.plain_here == 0;
        // .NET's console colours the word alone: the colon stands after the codes.
        let codes = self.line[end..].iter().take_while(|b| **b == COLOUR).count();
        let colon = self.line.get(end + codes) == Some(&b':');
        let next = if colon { Some(b':') } else { self.line.get(end).copied() };
        let stated = match next {
            None => {
                // A level and nothing else: a heading or a value, unless it is severe.
                return if here && upper && word.level > Level::Info && word.strength == Strength::Common {
                    Step::Stated(word.level)
                } else {
                    Step::Message
                };
            }
            Some(byte) if is_gap(byte) => self.bare(word, end, gap, before),
            Some(b':') => match self.colon(word, end + codes + 1, before) {
                Some(stated) => stated,
                None => return Step::Message,
            },
            // NLog's `12:00:00|INFO|…`. Without a time it may be a row of a table.
            Some(b'|') => {
                here && (self.time || before.bar && word.level > Level::Info) && word.strength != Strength::Postgres
            }
            Some(b',' | b';') => {
                here && self.time
                    && self.plain == 0
                    && (upper || self.columns == 0)
                    && word.strength == Strength::Common
            }
            // logrus's `INFO[0000] …`, Asterisk's `NOTICE[123][C-0000]: …`.
            Some(b'[') => here && upper && self.line.get(end + 1).is_some_and(u8::is_ascii_digit),
            Some(b'!') => here && upper && word.level > Level::Info && !self.line_goes_on_as_word(end + 1),
            // Icinga's `warning/ApiListener: …`.
            Some(b'/') => {
                let token = self.token_end();
                here && self.plain == 0
                    && (self.time || start_of(self))
                    && self.line[token - 1] == b':'
                    && self.line.get(end + 1).is_some_and(u8::is_ascii_alphabetic)
            }
            // PostgreSQL's and sshd's `DEBUG1: …`.
            Some(b'1'..=b'9') if word.level < Level::Info && self.line.get(end + 1) == Some(&b':') => {
                match self.colon(word, end + 2, before) {
                    Some(stated) => stated,
                    None => return Step::Message,
                }
            }
            _ => false,
        };
        if stated {
            return Step::Stated(word.level);
        }
        self.name(&self.line[self.at..end])
    }

    fn line_goes_on_as_word(&self, at: usize) -> bool {
        self.line.get(at).is_some_and(u8::is_ascii_alphanumeric)
    }

    /// Whether a level followed by space stands where a format puts one, and not in prose.
    fn bare(&self, word: Word, end: usize, gap: &Gap, before: Before) -> bool {
        let after = After::read(&self.line[end..]);
        let low = word.level <= Level::Info;
        if low && self.at > 0 && shape::access_time(&self.line[end + after.width..]) {
            // The user's name in an access log.
            return false;
        }
        if word.case != Case::Upper {
            // `info` is an everyday word: only as a column of its own.
            if self.plain > 0 || self.upper > 0 || word.strength != Strength::Common {
                return false;
            }
            // Next.js's `info  - …`, `error - …`.
            let dash = start_of(self) && !self.indented && self.line[end + after.width..].starts_with(b"- ");
            // BIND's `general: debug 1: …`.
            let numbered = self.parts > 0 && word.level < Level::Info && numbered(&self.line[end..]);
            if dash && (!low || after.width > 1) || numbered {
                return true;
            }
            return gap.tab && after.tab
                || gap.colour && after.colour
                || before.bar && after.first == b'|' && (self.time || !low)
                || self.time && self.columns == 0 && (after.width > 1 || after.bracketed);
        }
        match word.strength {
            // PgBouncer's and Nest's `LOG `.
            Strength::Postgres => {
                return word_is_log(self, end) && self.time && self.plain == 0 && (before.bracket || gap.width > 1);
            }
            Strength::Rare => {
                return self.plain == 0 && (after.apart() || self.time && (self.upper == 0 || self.fields >= COLUMNS));
            }
            Strength::Common => {}
        }
        if !low {
            return match self.plain_here {
                0 => self.upper == 0 || self.time || after.apart(),
                1 => self.time || after.apart(),
                _ => false,
            };
        }
        if before.bar && after.first == b'|' && !self.time {
            // A row of a table: `| INFO | 3 |`.
            return false;
        }
        if word.level < Level::Info && after.first == b'/' {
            // The HTTP methods TRACE and DEBUG.
            return false;
        }
        if self.plain == 0 && self.upper == 0 {
            let first = self.at == self.from && !before.bar;
            return self.time
                || after.apart()
                || after.capital
                || after.structured
                || first && prose::begins_message(&self.line[end..], self.indented);
        }
        if self.plain == 0 {
            return after.padded() || self.fields >= COLUMNS;
        }
        match self.plain_here {
            0 => self.plain < PLAIN_WORDS && (after.apart() || after.capital || after.structured),
            1 if self.plain == 1 && self.time => {
                after.padded()
                    || matches!(after.first, b'-' | b'[')
                    || (after.capital || after.structured) && prose::is_name(&self.line[..self.at])
            }
            _ => false,
        }
    }

    /// Whether a level followed by a colon (`rest` is the place after it) is the line's; none if the message begins.
    fn colon(&self, word: Word, rest: usize, before: Before) -> Option<bool> {
        let text = &self.line[rest..];
        let upper = word.case == Case::Upper;
        let low = word.level <= Level::Info;
        // `Information:` after a name is prose (`PowerSource Information: …`); capitals are not.
        let here = self.plain_here == 0 && self.upper == 0 && (upper || !before.named);
        let Some(first) = text.first() else { return (here && !low).then_some(true) };
        if !is_gap(*first) {
            // Python's `INFO:root:…`; a `:` or a word follows at once.
            let named = upper && here && word.strength != Strength::Postgres;
            let more = text.iter().take_while(|b| !is_gap(**b)).any(|b| *b == b':');
            return Some(named && (more || !low && first.is_ascii_alphabetic()));
        }
        let wide = text.starts_with(b"  ");
        if word.strength == Strength::Postgres {
            let prefixed = self.time || before.bracket || start_of(self) || self.columns > 0 && self.plain == 0;
            return (wide && prefixed && self.plain <= PLAIN_WORDS).then_some(true);
        }
        if here {
            let stated = !low || upper && !value_like(text) || !self.indented && !value_like(text);
            return stated.then_some(true);
        }
        // PostgreSQL's prefix may hold names; it writes two spaces after the colon.
        let named = upper && (wide && self.time || !low && self.plain_here == 1 && self.time);
        named.then_some(true)
    }

    /// A capital letter by itself.
    fn single(&mut self, capital: u8) -> Step {
        let start = self.at;
        let after = self.line.get(start + 1).copied().unwrap_or(b' ');
        let here = self.time && self.plain == 0 && self.upper == 0;
        let level = word::letter(capital);
        match (after, level) {
            (b' ' | b'\t', Some(level)) if here && self.is_column(start + 1) => Step::Stated(level),
            // MongoDB's `D2 QUERY    [conn1] …`.
            (b'1'..=b'5', Some(Level::Debug))
                if here && self.line.get(start + 2) == Some(&b' ') && self.is_column(start + 2) =>
            {
                Step::Stated(Level::Debug)
            }
            // Telegraf's `E! …`.
            (b'!', Some(level)) if here && self.line.get(start + 2) == Some(&b' ') => Step::Stated(level),
            // glog's and Ruby's shapes behind the prefix of a runtime or of syslog.
            (b'0'..=b'9' | b',', Some(_)) if self.plain_here == 0 && self.upper == 0 => {
                match shape::level(&self.line[start..]) {
                    Some(Some(level)) => Step::Stated(level),
                    _ => self.name(&self.line[start..=start]),
                }
            }
            (b'/', Some(_)) if here => match shape::android(&self.line[start..]) {
                Some(level) => Step::Stated(level),
                None => self.name(&self.line[start..=start]),
            },
            _ => self.name(&self.line[start..=start]),
        }
    }

    /// Whether the single letter that ends at `end` is a column: two numbers before it (Android's process and thread), or
    /// a component after it (`I STORAGE  [`, `I santad: `, `I | etcdmain: `).
    fn is_column(&self, end: usize) -> bool {
        let rest = &self.line[end..];
        let width = rest.iter().take_while(|b| is_gap(**b)).count();
        let rest = &rest[width..];
        let token = &rest[..rest.iter().position(|b| is_gap(*b)).unwrap_or(rest.len())];
        let Some(last) = token.last() else { return false };
        self.columns >= 2
            || token == b"|"
            || token == b"-" && rest[1..].trim_ascii_start().starts_with(b"[")
            || token.len() > 2
                && (matches!(*last, b':' | b']') || token.iter().all(|b| b.is_ascii_uppercase() || *b == b'_'))
    }

    /// A word that is no level: a name, a pair, the end of a part, or the first words of a message.
    fn name(&mut self, letters: &[u8]) -> Step {
        let start = self.at;
        let after = start + letters.len();
        let mut end = start;
        let mut structured = false;
        let mut brackets = false;
        let mut equals = None;
        let mut humps = false;
        while end < self.limit {
            let byte = self.line[end];
            match byte {
                b'a'..=b'z' => {}
                b'A'..=b'Z' => humps |= end > start && self.line[end - 1].is_ascii_lowercase(),
                b' ' | b'\t' | COLOUR | b'|' => break,
                b'=' if equals.is_none() => equals = Some(end),
                b'[' | b'(' => {
                    brackets = true;
                    structured = true;
                }
                b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' | b'@' | b':' | b'$' | b'#' | b'\\' | b'+' => structured = true,
                _ => {}
            }
            end += 1;
        }
        let token = &self.line[start..end];
        if equals.is_some() && self.plain == 0 {
            match pairs::read(self.line, start) {
                pairs::Found::Level(level) => return Step::Stated(level),
                pairs::Found::Ends(at) => return self.column(at),
                pairs::Found::Nothing => {}
            }
        }
        let whole = token.len() == letters.len();
        // `Zigbee2MQTT:info  2024-…`: a program and the level before the time.
        if start == 0
            && let Some(colon) = memchr::memchr(b':', token)
            && let Some(word) = word::whole(&token[colon + 1..])
            && word.case == Case::Lower
            && self.line[end..].trim_ascii_start().first().is_some_and(u8::is_ascii_digit)
        {
            return Step::Stated(word.level);
        }
        match token {
            [stem @ .., b':'] => return self.part(stem, end, brackets),
            b"stdout" | b"stderr" => {
                // The format of Kubernetes's runtimes: `2024-…Z stdout F message`.
                if let Some([b' ', b'F' | b'P', b' ']) = self.line.get(end..end + 3) {
                    *self = Walk {
                        at: end + 3,
                        fresh: true,
                        time: false,
                        columns: 0,
                        fields: 0,
                        plain: 0,
                        plain_here: 0,
                        ..*self
                    };
                    return Step::On;
                }
            }
            // Month and day: `Mon`, `May`, `Dec,`.
            _ if letters.len() == 3 && (shape::is_month(letters) || shape::is_day(letters)) && token.len() <= 4 => {
                self.at = end;
                return Step::On;
            }
            _ => {}
        }
        if letters.iter().all(u8::is_ascii_uppercase) {
            let next = self.line.get(after).copied();
            if self.time && next == Some(b',') && self.plain == 0 {
                return shape::postgres_csv(self.line).map_or(Step::Message, Step::Stated);
            }
            if whole {
                // A zone right after the time, AM and PM, and `PHP`, which says what its own words mean.
                if letters == b"PHP" {
                    return match shape::php(self.line.get(end + 1..).unwrap_or_default()) {
                        Some(Some(level)) => Step::Stated(level),
                        _ => Step::Message,
                    };
                }
                self.at = end;
                let half_of_day = matches!(letters, b"AM" | b"PM");
                let zone = half_of_day || self.columns == 0 && letters.len() <= 5 && is_zone(letters);
                if self.time && self.upper == 0 && zone {
                    return Step::On;
                }
                if letters == b"NULL" {
                    return self.column(end);
                }
                self.upper += 1;
                return if self.upper > UPPER_WORDS { Step::Message } else { Step::On };
            }
        }
        if (structured || humps && whole) && !matches!(token[token.len() - 1], b'.' | b',' | b'!' | b'?') {
            // `unbound[12] info:` is a program.
            self.named = !brackets;
            return self.column(end);
        }
        self.named = true;
        self.plain(end)
    }

    /// A word that ends in a colon: a program, a logger, or something in prose. A new part begins after it.
    fn part(&mut self, stem: &[u8], end: usize, brackets: bool) -> Step {
        // Monolog's `app.ERROR: …`.
        if let Some(dot) = stem.iter().rposition(|b| *b == b'.')
            && self.plain_here == 0
            && let Some(word) = word::whole(&stem[dot + 1..])
            && word.case == Case::Upper
            && word.strength != Strength::Postgres
        {
            return Step::Stated(word.level);
        }
        // PostgreSQL's prefix may end in colons: `…:app@shop:[77]:LOG:  `.
        if let Some(colon) = stem.iter().rposition(|b| *b == b':')
            && self.time
            && self.plain_here == 0
            && self.line[end..].starts_with(b"  ")
            && let Some(word) = word::whole(&stem[colon + 1..])
            && word.case == Case::Upper
        {
            return Step::Stated(word.level);
        }
        const PROSE: [&[u8]; 9] =
            [b"rror", b"xception", b"ailed", b"ailure", b"evel", b"mode", b"ause", b"erbosity", b"everity"];
        let prose = PROSE.iter().any(|suffix| stem.ends_with(suffix));
        // PostgreSQL's `DETAIL:  ` and `STATEMENT:  ` state no level, and what follows is not the server's text.
        let postgres = stem.iter().all(u8::is_ascii_uppercase) && self.line[end..].starts_with(b"  ");
        if prose || postgres || self.plain_here > 1 || self.parts >= PARTS {
            return Step::Message;
        }
        self.parts += 1;
        // What looks like a program with its process id starts afresh; a mere word may be prose.
        if brackets || self.time {
            self.plain = 0;
        }
        self.plain_here = 0;
        self.upper = 0;
        self.columns = 0;
        self.fields = 0;
        self.time = false;
        self.fresh = true;
        self.at = end;
        Step::On
    }
}

fn run(line: &[u8], from: usize) -> usize {
    from + line[from..].iter().take_while(|b| b.is_ascii_alphabetic()).count()
}

/// ` 1: …`
fn numbered(text: &[u8]) -> bool {
    let digits = text.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && text[0] == b' ' && text[1 + digits..].starts_with(b": ")
}

fn is_zone(letters: &[u8]) -> bool {
    matches!(letters, b"UTC" | b"GMT") || letters.last() == Some(&b'T') && letters.len() >= 3
}

fn start_of(walk: &Walk) -> bool {
    walk.at == 0
}

fn word_is_log(walk: &Walk, end: usize) -> bool {
    &walk.line[walk.at..end] == b"LOG"
}
