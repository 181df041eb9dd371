//! The patterns that have names: the standard ones from the crate `grok`, what it lacks, and their counterparts with
//! the field names of the Elastic Common Schema.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::Shared;

/// What the crate lacks or has in an older form.
const LEGACY: &str = include_str!("legacy.pattern");
/// The same patterns with the names of the Elastic Common Schema; what is not there has no names to change.
const ECS: &str = include_str!("ecs.pattern");

static LEGACY_PATTERNS: LazyLock<Shared> = LazyLock::new(|| {
    let mut patterns: HashMap<String, String> =
        grok::patterns().iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    read(LEGACY, &mut patterns);
    Arc::new(patterns)
});

static ECS_PATTERNS: LazyLock<Shared> = LazyLock::new(|| {
    let mut patterns = HashMap::clone(&LEGACY_PATTERNS);
    read(ECS, &mut patterns);
    Arc::new(patterns)
});

/// Named patterns.
#[derive(Debug)]
pub struct Library {
    standard: Shared,
    own: HashMap<String, String>,
}

impl Library {
    /// The standard patterns, with their old names or those of the Elastic Common Schema.
    pub fn standard(legacy: bool) -> Self {
        let standard = Arc::clone(if legacy { &LEGACY_PATTERNS } else { &ECS_PATTERNS });
        Self { standard, own: HashMap::new() }
    }

    /// Adds one, or puts another in its place.
    pub fn add(&mut self, name: &str, text: &str) {
        self.own.insert(name.to_owned(), text.to_owned());
    }

    /// Adds those of a pattern file.
    pub fn add_text(&mut self, text: &str) {
        read(text, &mut self.own);
    }

    /// The pattern of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.own.get(name).or_else(|| self.standard.get(name)).map(String::as_str)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.own.keys().chain(self.standard.keys()).map(String::as_str)
    }
}

/// Reads lines of the form `NAME expression`; `#` begins a comment.
fn read(text: &str, patterns: &mut HashMap<String, String>) {
    for line in text.lines() {
        let line = line.trim_start();
        if line.starts_with('#') {
            continue;
        }
        if let Some((name, pattern)) = line.split_once(|c: char| c.is_ascii_whitespace()) {
            patterns.insert(name.to_owned(), pattern.trim_start().trim_end_matches(['\r', '\n']).to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::grok::matcher;
    use crate::pipeline::pattern::engine::{Cache, Verdict};

    /// Every standard pattern of both modes compiles.
    #[test]
    fn all_patterns_can_be_used() {
        for legacy in [true, false] {
            let library = Library::standard(legacy);
            let mut names: Vec<&str> = library.names().collect();
            names.sort_unstable();
            let mut wrong = Vec::new();
            for name in names {
                if let Err((problem, _)) = matcher(&format!("%{{{name}}}"), &library, true, None) {
                    wrong.push(format!("{name}: {problem}"));
                }
            }
            assert!(wrong.is_empty(), "legacy: {legacy}\n{}", wrong.join("\n"));
        }
    }

    /// Both ways of matching find the same in lines as they are written, and in lines that are nearly so.
    #[test]
    fn both_ways_of_matching_agree() {
        const NAMES: [&str; 18] = [
            "COMBINEDAPACHELOG",
            "DATESTAMP_RFC822",
            "EMAILADDRESS",
            "HOSTNAME",
            "HTTPDATE",
            "IP",
            "IPORHOST",
            "IPV4",
            "IPV6",
            "LOGLEVEL",
            "MAC",
            "NUMBER",
            "PATH",
            "QS",
            "SYSLOGBASE",
            "TIMESTAMP_ISO8601",
            "URI",
            "UUID",
        ];
        const LINES: [&str; 10] = [
            r#"10.0.3.255 - - [01/Mar/2026:12:00:05 +0000] "GET /api?page=3 HTTP/1.1" 200 17 "https://a.example/x" "Mozilla/5.0""#,
            r#"fe80::1:2%eth0 - bob@example.org [31/Dec/2026:23:59:60 -0130] "-" 408 - "-" "-""#,
            "2001:db8:0:1:1:1:1:1 beef.cafe.example 1:2:3:4:5:6:7: ::ffff:192.168.0.1 ::",
            "1:2:3:4:5:6:10.20.30.40 1::8 1:2::7:8 1:2:3::10.0.0.1 256.1.1.1 01.02.03.004",
            "Mar  1 12:00:05 host-1 app[12]: WARN Error at /usr/lib/x y C:\\dir\\f.txt",
            "2026-03-01T12:00:05,123+01:00 INFO -1.5e3 +.7 0x1f 12. 1.2.3",
            "Mon, 01 Mar 2026 12:00:05 GMT \"a \\\" b\" 'c' `d` \"\" ''",
            "https://user:pw@host.example:8080/p/a/t/h?q=1&r=%20#frag ftp://[::1]/x",
            "aa:bb:cc:dd:ee:ff aabb.ccdd.eeff 123e4567-e89b-12d3-a456-426614174000",
            "ä.example é 1é:2 ::é",
        ];
        const SIGNS: [&str; 16] = ["", "", "0", "7", "25", "a", "F", ":", "::", ".", "-", " ", "\"", "/", "é", "\n"];
        let library = Library::standard(false);
        let mut cache = Cache::default();
        let mut seed = 1_u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        let mut found = 0;
        for name in NAMES {
            let matcher = matcher(&format!("%{{{name}:found}}"), &library, true, None).unwrap();
            for round in 0..20 * LINES.len() {
                let mut line: Vec<char> = LINES[round % LINES.len()].chars().collect();
                for _ in 0..round / LINES.len() % 4 {
                    let at = random(line.len());
                    let end = (at + random(3)).min(line.len());
                    line.splice(at..end, SIGNS[random(SIGNS.len())].chars());
                }
                let line: String = line.into_iter().collect();
                let mut spans = |quick: bool| {
                    let engine = &matcher.engine;
                    let verdict = if quick {
                        engine.find(&line, 0, &mut cache)
                    } else {
                        engine.find_remembering(&line, 0, &mut cache)
                    };
                    (verdict == Verdict::Match)
                        .then(|| (0..matcher.captures.len()).map(|group| cache.capture(group)).collect::<Vec<_>>())
                };
                let quick = spans(true);
                assert_eq!(quick, spans(false), "{name} on {line:?}");
                found += usize::from(quick.is_some());
            }
        }
        assert!(found > NAMES.len() * LINES.len(), "{found} were found");
    }
}
