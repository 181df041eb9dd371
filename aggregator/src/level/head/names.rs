//! Words of a head that are no levels: names, pairs, the ends of parts.

use super::*;

impl Walk<'_> {
    /// A word that is no level: a name, a pair, the end of a part, or the first words of a message.
    pub(super) fn name(&mut self, letters: &[u8]) -> Step {
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
