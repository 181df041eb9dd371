//! A tantivy query for `boosting`: what one query finds, with lower scores where another one matches as well.

use tantivy::query::{EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::{DocId, DocSet, Score, SegmentReader, TERMINATED};

/// See the top of the file.
#[derive(Debug)]
pub struct Lowered {
    found: Box<dyn Query>,
    unwanted: Box<dyn Query>,
    factor: Score,
}

impl Lowered {
    /// What `found` finds; scores of documents that `unwanted` finds too are multiplied by `factor`.
    pub fn new(found: Box<dyn Query>, unwanted: Box<dyn Query>, factor: Score) -> Self {
        Self { found, unwanted, factor }
    }
}

impl Clone for Lowered {
    fn clone(&self) -> Self {
        Self { found: self.found.box_clone(), unwanted: self.unwanted.box_clone(), factor: self.factor }
    }
}

impl Query for Lowered {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        if !scoring.is_scoring_enabled() {
            return self.found.weight(scoring);
        }
        let unwanted = match scoring.searcher() {
            Some(searcher) => EnableScoring::disabled_from_searcher(searcher),
            None => EnableScoring::disabled_from_schema(scoring.schema()),
        };
        Ok(Box::new(LoweredWeight {
            found: self.found.weight(scoring)?,
            unwanted: self.unwanted.weight(unwanted)?,
            factor: self.factor,
        }))
    }
}

struct LoweredWeight {
    found: Box<dyn Weight>,
    unwanted: Box<dyn Weight>,
    factor: Score,
}

impl Weight for LoweredWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let (found, unwanted) = (self.found.scorer(reader, boost)?, self.unwanted.scorer(reader, 1.0)?);
        Ok(Box::new(LoweredScorer { found, unwanted, factor: self.factor }))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        let mut scorer = self.scorer(reader, 1.0)?;
        let at = if scorer.doc() < doc { scorer.seek(doc) } else { scorer.doc() };
        let score = if at == doc { scorer.score() } else { 0.0 };
        Ok(Explanation::new("boosting, lowered where the negative query matches", score))
    }
}

struct LoweredScorer {
    found: Box<dyn Scorer>,
    unwanted: Box<dyn Scorer>,
    factor: Score,
}

impl DocSet for LoweredScorer {
    fn advance(&mut self) -> DocId {
        self.found.advance()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.found.seek(target)
    }

    fn doc(&self) -> DocId {
        self.found.doc()
    }

    fn size_hint(&self) -> u32 {
        self.found.size_hint()
    }
}

impl Scorer for LoweredScorer {
    fn score(&mut self) -> Score {
        let doc = self.found.doc();
        if self.unwanted.doc() < doc && self.unwanted.doc() != TERMINATED {
            self.unwanted.seek(doc);
        }
        let score = self.found.score();
        if self.unwanted.doc() == doc { score * self.factor } else { score }
    }
}
