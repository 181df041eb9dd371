//! The log lines of a segment, read from its document store: what the index does not know exactly is looked up here.

use std::borrow::Cow;
use std::sync::Arc;

use tantivy::tokenizer::{TokenStream, Tokenizer};
use tantivy::{DocId, SegmentReader};

use super::document::{Scalar, Target, Values};
use super::parse::{Grow, Parser};
use super::source::Messages;
use crate::error::Result;
use crate::mapping::{Mapping, Unmapped};
use crate::schema::Fields;
use crate::tokenizer::Words;

/// Decompressed blocks that are kept: documents are read in order, so one is enough.
const BLOCKS: usize = 1;

/// See the top of the file.
pub(crate) struct Lines {
    messages: Messages,
    mapping: Arc<Mapping>,
    values: Values,
    words: Words,
}

/// Fields that the mapping does not know are of no concern.
struct Fixed(Arc<Mapping>);

impl Grow for Fixed {
    fn grow(
        &self,
        _: &mut dyn FnMut(&mut Mapping) -> std::result::Result<u32, Unmapped>,
    ) -> (Arc<Mapping>, std::result::Result<u32, Unmapped>) {
        (Arc::clone(&self.0), Err(Unmapped::NotWanted))
    }
}

impl Lines {
    /// Opens the lines of a segment. `mapping` is that of its index.
    ///
    /// # Errors
    /// 500 when the document store is damaged.
    pub(crate) fn open(reader: &SegmentReader, fields: &Fields, mapping: &Arc<Mapping>) -> Result<Self> {
        let messages = Messages::open(reader, fields, BLOCKS)?;
        let (mapping, values) = (Arc::clone(mapping), Values::default());
        Ok(Self { messages, mapping, values, words: Words::default() })
    }

    /// Whether `holds` of the words of a document's message, or of one of its messages.
    ///
    /// # Errors
    /// 500 when the document cannot be read.
    pub(crate) fn any(&mut self, doc: DocId, holds: &mut dyn FnMut(&[&str]) -> bool) -> Result<bool> {
        let text = self.messages.read(doc)?;
        self.values.clear();
        let fixed = Fixed(Arc::clone(&self.mapping));
        let mut parser = Parser::new(&text, Arc::clone(&self.mapping), &fixed, &mut self.values);
        parser.document(0, text.len()).map_err(|refused| refused.error())?;
        for leaf in self.values.leaves.iter().filter(|leaf| leaf.target == Target::Message) {
            let line = match leaf.value {
                Scalar::Text { start, len } => text.get(start as usize..(start + len) as usize),
                Scalar::Unescaped { start, len } => self.values.unescaped.get(start as usize..(start + len) as usize),
                _ => None,
            };
            if holds_of(&mut self.words, line.unwrap_or_default(), holds) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn holds_of(words: &mut Words, line: &str, holds: &mut dyn FnMut(&[&str]) -> bool) -> bool {
    let mut found: Vec<Cow<'_, str>> = Vec::new();
    let mut stream = words.token_stream(line);
    while stream.advance() {
        let token = stream.token();
        let spelled = &line[token.offset_from..token.offset_to];
        found.push(if spelled == token.text { Cow::Borrowed(spelled) } else { Cow::Owned(token.text.clone()) });
    }
    let found: Vec<&str> = found.iter().map(AsRef::as_ref).collect();
    holds(&found)
}
