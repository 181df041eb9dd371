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
}
