//! Messages that are alike, by the Drain algorithm: a message is split at spaces, words with digits are masked, and it
//! joins the template of its length and first word that it agrees with most, or begins a new one.

use std::collections::{BTreeMap, HashMap};

/// Words of a message that are looked at; the rest is one wildcard.
const WORDS_MAX: usize = 60;
/// Share of words that must agree.
const SIMILAR: f64 = 0.6;
/// Templates at once; messages that fit none of them then are counted as "other".
const TEMPLATES_MAX: usize = 2_000;
/// Stretches that a template is searched by: more would only make the search slower.
const STRETCHES_MAX: usize = 3;
/// Members of a JSON object that loggers put their text into, the likeliest first.
const TEXT_KEYS: [&str; 6] = ["msg", "message", "event", "error", "err", "log"];
/// What stands for words that differ.
const ANY: &str = "<*>";

/// One template.
#[derive(Clone, Debug)]
pub struct Template {
    words: Vec<String>,
    /// Messages of it.
    pub count: u64,
    /// The first message's number, as given to [`Miner::add`].
    pub sample: usize,
    /// Smallest and largest time, milliseconds.
    pub seen: (i64, i64),
    /// Messages by level.
    pub levels: BTreeMap<String, u64>,
    /// Messages by service.
    pub services: BTreeMap<String, u64>,
    /// Their times, for a trend.
    pub times: Vec<i64>,
}

impl Template {
    /// As text. Words in a row that differ are one [`ANY`].
    pub fn text(&self) -> String {
        let mut words = self.words.clone();
        words.dedup_by(|a, b| a == ANY && b == ANY);
        words.join(" ")
    }

    /// Its longest stretches of words that do not differ, the longest first; words of punctuation alone do not count.
    pub fn stretches(&self) -> Vec<String> {
        let runs = self.words.split(|word| word == ANY).map(|run| run.join(" "));
        let mut runs: Vec<String> = runs.filter(|run| run.chars().any(char::is_alphanumeric)).collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.len()));
        runs.truncate(STRETCHES_MAX);
        runs
    }
}

/// What of a message people would call alike: of a JSON object its text, without a leading time.
fn gist(message: &str) -> std::borrow::Cow<'_, str> {
    let line = message.lines().next().unwrap_or("");
    if line.starts_with('{')
        && let Ok(serde_json::Value::Object(object)) = serde_json::from_str(line)
        && let Some(text) = TEXT_KEYS.iter().find_map(|key| object.get(*key).and_then(serde_json::Value::as_str))
    {
        return text.lines().next().unwrap_or("").to_owned().into();
    }
    line.into()
}

/// Finds templates.
#[derive(Default)]
pub struct Miner {
    templates: Vec<Template>,
    groups: HashMap<(usize, String), Vec<usize>>,
    /// Messages that found no place.
    pub other: u64,
}

fn mask(word: &str) -> &str {
    let digits = word.bytes().any(|b| b.is_ascii_digit());
    // Long words of hex digits are ids even without a digit in them.
    let hex = word.len() >= 16 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if digits || hex { ANY } else { word }
}

impl Miner {
    /// Adds a message. `number` says later which one is the sample.
    pub fn add(&mut self, number: usize, message: &str, at: i64, level: Option<&str>, service: Option<&str>) {
        let line = gist(message);
        let mut words: Vec<&str> = line.split_whitespace().take(WORDS_MAX + 1).map(mask).collect();
        if words.len() > WORDS_MAX {
            words[WORDS_MAX] = ANY;
        }
        if words.is_empty() {
            words.push("");
        }
        let group = self.groups.entry((words.len(), words[0].to_string())).or_default();
        let mut best: Option<(usize, f64)> = None;
        for n in group.iter() {
            let t = &self.templates[*n];
            let same = t.words.iter().zip(&words).filter(|(a, b)| a == *b).count();
            let share = same as f64 / words.len() as f64;
            if best.is_none_or(|(_, s)| share > s) {
                best = Some((*n, share));
            }
        }
        let at_template = match best.filter(|(_, share)| *share >= SIMILAR) {
            Some((n, _)) => {
                for (a, b) in self.templates[n].words.iter_mut().zip(&words) {
                    if a != b {
                        *a = ANY.to_string();
                    }
                }
                n
            }
            None if self.templates.len() >= TEMPLATES_MAX => {
                self.other += 1;
                return;
            }
            None => {
                group.push(self.templates.len());
                self.templates.push(Template {
                    words: words.iter().map(|w| (*w).to_string()).collect(),
                    count: 0,
                    sample: number,
                    seen: (at, at),
                    levels: BTreeMap::new(),
                    services: BTreeMap::new(),
                    times: Vec::new(),
                });
                self.templates.len() - 1
            }
        };
        let t = &mut self.templates[at_template];
        t.count += 1;
        t.seen = (t.seen.0.min(at), t.seen.1.max(at));
        t.times.push(at);
        for (map, name) in [(&mut t.levels, level), (&mut t.services, service)] {
            if let Some(name) = name {
                *map.entry(name.to_string()).or_default() += 1;
            }
        }
    }

    /// The templates, commonest first.
    pub fn finish(mut self) -> Vec<Template> {
        self.templates.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.sample.cmp(&b.sample)));
        self.templates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_messages_have_one_template() {
        let mut m = Miner::default();
        for (n, text) in [
            "connection from 10.0.0.1 closed after 3 s",
            "connection from 10.0.0.2 closed after 12 s",
            "user alice logged in from web",
            "user bob logged in from web",
            "out of memory",
            "",
        ]
        .iter()
        .enumerate()
        {
            m.add(n, text, n as i64, Some("error"), None);
        }
        let found = m.finish();
        let texts: Vec<(String, u64)> = found.iter().map(|t| (t.text(), t.count)).collect();
        assert_eq!(texts[0], ("connection from <*> closed after <*> s".into(), 2));
        assert_eq!(texts[1], ("user <*> logged in from web".into(), 2));
        assert_eq!(texts.len(), 4);
        assert_eq!(found[0].stretches(), ["connection from", "closed after", "s"]);
        assert_eq!(found[0].levels["error"], 2);
    }

    #[test]
    fn of_a_json_object_its_text_counts() {
        let mut m = Miner::default();
        m.add(0, r#"{"time":"2026-11-25T21:24:53Z","level":"WARN","msg":"payment is slow","id":"a1"}"#, 0, None, None);
        m.add(1, r#"{"level":"WARN","id":"b2","msg":"payment is slow"}"#, 1, None, None);
        m.add(2, "{not json 12 13", 2, None, None);
        let found = m.finish();
        assert_eq!(found[0].text(), "payment is slow");
        assert_eq!(found[1].text(), "{not json <*>");
    }
}
