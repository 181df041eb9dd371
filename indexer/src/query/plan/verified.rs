//! A tantivy query: of the documents of another one, those whose log line has the words that are looked for. The index
//! knows unique words by stand-ins alone (see `tokenizer`); which of them a line really has, its text tells.

use std::fmt;
use std::sync::Arc;

use tantivy::query::{AllQuery, EnableScoring, Explanation, Query, Scorer, TermQuery, Weight};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet, Score, SegmentReader, TERMINATED, TantivyError, Term};

use super::scan::Matcher;
use super::{Planned, Planner, any_of, terms};
use crate::error::Result;
use crate::mapping::{Mapping, Place};
use crate::query::Watch;
use crate::schema::Fields;
use crate::store::Lines;
use crate::tokenizer::{is_unique, may_begin_unique, stand_in};

/// Lines that are read between two looks at the time: some milliseconds.
const LINES_PER_LOOK: u32 = 1_024;

/// What a line must have.
#[derive(Clone)]
pub(super) enum Check {
    /// All of these words.
    All(Vec<String>),
    /// These words at these positions, and behind them one that begins so.
    Phrase {
        /// Positions and words.
        words: Vec<(usize, String)>,
        /// Position and beginning of the last word.
        prefix: Option<(usize, String)>,
    },
    /// A unique word that begins so and fits.
    Fits {
        /// The beginning.
        prefix: String,
        /// The rest.
        matcher: Matcher,
    },
}

impl Check {
    /// Whether a line with these words is one.
    fn holds(&self, line: &[&str]) -> bool {
        match self {
            Self::All(words) => words.iter().all(|word| line.contains(&word.as_str())),
            Self::Phrase { words, prefix } => {
                let Some((first, _)) = words.first() else { return false };
                (0..line.len()).any(|at| {
                    let there = |position: usize| line.get(at + position - first);
                    words.iter().all(|(position, word)| there(*position).is_some_and(|found| found == word))
                        && prefix.as_ref().is_none_or(|(position, beginning)| {
                            there(*position).is_some_and(|found| found.starts_with(beginning.as_str()))
                        })
                })
            }
            Self::Fits { prefix, matcher } => {
                line.iter().any(|word| word.starts_with(prefix.as_str()) && is_unique(word) && matcher(word))
            }
        }
    }
}

/// See the top of the file.
#[derive(Clone)]
struct Verified {
    candidates: Arc<dyn Query>,
    check: Arc<Check>,
    fields: Fields,
    mapping: Arc<Mapping>,
    watch: Arc<Watch>,
}

impl Planner<'_> {
    /// Whether the index knows this word by its stand-in.
    pub(super) fn is_unique(&self, place: &Place, word: &str) -> bool {
        self.is_line(place) && is_unique(word)
    }

    /// Whether a word that begins so may be known by its stand-in.
    pub(super) fn may_begin_unique(&self, place: &Place, prefix: &str) -> bool {
        self.is_line(place) && may_begin_unique(prefix)
    }

    fn is_line(&self, place: &Place) -> bool {
        self.stand_ins && place.field == self.part.fields.message && place.path.is_none()
    }

    /// The term by which the index knows a word.
    pub(super) fn indexed(&self, place: &Place, word: &str) -> Term {
        if !self.is_unique(place, word) {
            return terms::text(place, word);
        }
        let mut known = String::new();
        stand_in(word, &mut known);
        Term::from_field_text(self.part.fields.unique, &known)
    }

    /// Documents with a word.
    pub(super) fn word(&self, place: &Place, word: &str, option: IndexRecordOption) -> Planned {
        let term = self.indexed(place, word);
        if self.is_unique(place, word) {
            let candidates = Box::new(TermQuery::new(term, IndexRecordOption::Basic));
            return self.verified(candidates, Check::All(vec![word.to_owned()]));
        }
        Box::new(TermQuery::new(term, option))
    }

    /// Of the documents of `candidates` those whose line holds what `check` says.
    pub(super) fn verified(&self, candidates: Planned, check: Check) -> Planned {
        let (fields, mapping) = (self.part.fields, Arc::clone(&self.part.mapping));
        let (candidates, check, watch) = (candidates.into(), Arc::new(check), Arc::clone(&self.watch));
        Box::new(Verified { candidates, check, fields, mapping, watch })
    }

    /// Beside the documents of `plain`, which looks through the dictionary, those with a unique word that begins with
    /// `prefix` and fits. All lines are read for that, where the beginning does not rule it out.
    pub(super) fn and_unique(&self, place: &Place, plain: Planned, prefix: &str, matcher: Matcher) -> Planned {
        if !self.may_begin_unique(place, prefix) {
            return plain;
        }
        let unique = self.verified(Box::new(AllQuery), Check::Fits { prefix: prefix.to_owned(), matcher });
        any_of(vec![plain, unique])
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({:?})", self.candidates)
    }
}

impl Query for Verified {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        let candidates = self.candidates.weight(scoring)?;
        Ok(Box::new(VerifiedWeight { candidates, verified: self.clone() }))
    }

    fn query_terms<'a>(&'a self, visitor: &mut dyn FnMut(&'a Term, bool)) {
        self.candidates.query_terms(visitor);
    }
}

struct VerifiedWeight {
    candidates: Box<dyn Weight>,
    verified: Verified,
}

impl Weight for VerifiedWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let Verified { check, fields, mapping, watch, .. } = &self.verified;
        let lines = Lines::open(reader, fields, mapping).map_err(|e| TantivyError::InternalError(e.reason))?;
        let mut scorer = VerifiedScorer {
            candidates: self.candidates.scorer(reader, boost)?,
            check: Arc::clone(check),
            lines,
            watch: Arc::clone(watch),
        };
        scorer.settle();
        Ok(Box::new(scorer))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        self.candidates.explain(reader, doc)
    }
}

struct VerifiedScorer {
    candidates: Box<dyn Scorer>,
    check: Arc<Check>,
    lines: Lines,
    watch: Arc<Watch>,
}

impl VerifiedScorer {
    fn settle(&mut self) -> DocId {
        let Self { candidates, check, lines, watch } = self;
        first_that_holds(&mut **candidates, watch, &mut |doc| lines.any(doc, &mut |words| check.holds(words)))
    }
}

/// Goes from the candidate that was reached to the first one that holds; to the end when there is no time left, or when
/// something could not be read, which the watch knows then.
fn first_that_holds(candidates: &mut dyn DocSet, watch: &Watch, holds: &mut dyn FnMut(DocId) -> Result<bool>) -> DocId {
    let mut read = 0;
    while candidates.doc() != TERMINATED {
        if read % LINES_PER_LOOK == 0 && !watch.in_time() {
            return candidates.seek(TERMINATED);
        }
        match holds(candidates.doc()) {
            Ok(true) => break,
            Ok(false) => candidates.advance(),
            Err(error) => {
                watch.damaged(format!("a line that has to be read for this search cannot be read: {}", error.reason));
                candidates.seek(TERMINATED)
            }
        };
        read += 1;
    }
    candidates.doc()
}

impl DocSet for VerifiedScorer {
    fn advance(&mut self) -> DocId {
        self.candidates.advance();
        self.settle()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.candidates.seek(target);
        self.settle()
    }

    fn doc(&self) -> DocId {
        self.candidates.doc()
    }

    fn size_hint(&self) -> u32 {
        self.candidates.size_hint()
    }

    fn cost(&self) -> u64 {
        // Reading a line costs as much as going through some hundred postings: others are to lead.
        self.candidates.cost().saturating_mul(200)
    }
}

impl Scorer for VerifiedScorer {
    fn score(&mut self) -> Score {
        self.candidates.score()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tantivy::BitSet;
    use tantivy::query::BitSetDocSet;

    use super::*;
    use crate::error::Error;

    #[test]
    fn lines_are_checked_word_by_word() {
        let line = ["took", "995226", "of", "12ab"];
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let at = |list: &[(usize, &str)]| list.iter().map(|(n, word)| (*n, (*word).to_owned())).collect::<Vec<_>>();
        assert!(
            Check::All(words(&["12ab", "took"])).holds(&line) && !Check::All(words(&["12ab", "12ac"])).holds(&line)
        );
        let phrase = |list, prefix: Option<(usize, &str)>| Check::Phrase {
            words: at(list),
            prefix: prefix.map(|(n, beginning)| (n, beginning.to_owned())),
        };
        assert!(phrase(&[(0, "995226"), (1, "of")], None).holds(&line));
        assert!(phrase(&[(1, "995226"), (3, "12ab")], None).holds(&line));
        assert!(!phrase(&[(0, "995226"), (1, "12ab")], None).holds(&line));
        assert!(phrase(&[(0, "of")], Some((1, "12"))).holds(&line));
        assert!(
            !phrase(&[(0, "of")], Some((1, "13"))).holds(&line) && !phrase(&[(0, "12ab")], Some((1, ""))).holds(&line)
        );
        let fits = |prefix: &str| Check::Fits { prefix: prefix.to_owned(), matcher: Arc::new(|_| true) };
        assert!(fits("12").holds(&line) && fits("").holds(&line) && !fits("to").holds(&line));
    }

    fn candidates() -> BitSetDocSet {
        let mut all = BitSet::with_max_value(5_000);
        for doc in 0..5_000 {
            all.insert(doc);
        }
        BitSetDocSet::from(all)
    }

    #[test]
    fn lines_that_do_not_hold_end_with_the_time() {
        let (mut all, watch) = (candidates(), Watch::new(Duration::from_secs(3_600)));
        assert_eq!(first_that_holds(&mut all, &watch, &mut |doc| Ok(doc == 4_000)), 4_000);
        all.advance();
        assert_eq!(first_that_holds(&mut all, &watch, &mut |_| Ok(false)), TERMINATED);
        assert!(!watch.is_over());
        let (mut all, watch) = (candidates(), Watch::new(Duration::ZERO));
        let mut read = 0;
        let end = first_that_holds(&mut all, &watch, &mut |_| {
            read += 1;
            Ok(false)
        });
        assert_eq!((end, read, watch.is_over()), (TERMINATED, 0, true));
    }

    #[test]
    fn what_cannot_be_read_is_no_answer() {
        let (mut all, watch) = (candidates(), Watch::new(Duration::from_secs(3_600)));
        assert!(watch.check().is_ok());
        let mut holds = |doc| if doc == 7 { Err(Error::internal("the block is damaged")) } else { Ok(false) };
        assert_eq!(first_that_holds(&mut all, &watch, &mut holds), TERMINATED);
        let refusal = watch.check().unwrap_err();
        assert!(refusal.status == 500 && refusal.reason.contains("the block is damaged"), "{}", refusal.reason);
    }
}
