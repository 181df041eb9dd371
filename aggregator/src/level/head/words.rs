//! Words of a head that are spelled like levels: which of them stand where a level does.

use super::*;

impl Walk<'_> {
    pub(super) fn word(&mut self, gap: &Gap, before: Before) -> Step {
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
}
