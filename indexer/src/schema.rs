//! The one tantivy schema that every partition has: system columns, the typed fields of a log line, and two JSON
//! fields that hold everything else.
//!
//! | field         | kind                              | holds                                                         |
//! |---------------|-----------------------------------|---------------------------------------------------------------|
//! | `_seq`        | u64, column                       | arrival number within the index (`_seq_no`), growing          |
//! | `_src`        | u64, column, indexed              | source of a positioned document                               |
//! | `_pos` `_end` | u64, columns                      | its start and end                                             |
//! | `_sub`        | u64, column                       | the `.k` of an extra document, absent for the first           |
//! | `_id`         | string, column, indexed           | ids given by foreign clients                                  |
//! | `_version`    | u64, column                       | absent means 1                                                |
//! | `@timestamp`  | date, column                      | milliseconds                                                  |
//! | `message`     | text with positions               | its words, but for unique ones (see `tokenizer`)              |
//! | `_unique`     | text without positions            | the stand-ins of its unique words                             |
//! | typed keywords| string, column, indexed           | `log.level`, `stream`, … (see [`KEYWORDS`])                   |
//! | `log.offset`  | u64, column                       |                                                               |
//! | `_kw`         | JSON: raw terms and columns       | every other field as exact value, under its dotted path       |
//! | `_txt`        | JSON: words with positions        | every other string that the mapping calls text                |
//! | `_exists`     | string, indexed                   | paths that have a value but no column; [`NO_MESSAGE`]         |
//! | `_ignored`    | string, column, indexed           | paths whose value was kept in `_source` but not indexed       |
//! | `_source`     | bytes, stored                     | the document, or its message (see `store::source`)            |
//! | `_shape`      | string, column                    | what is around the message, where that is the same for many   |
//!
//! Partitions of weir 0.1.0 have neither `_unique` nor `_shape`, and all words in `message`; they can be searched, and
//! are not written any more.
//!
//! Ids of positioned documents are put together from `_src`, `_pos` and `_sub`; ids that weir gave from `_seq`.

use tantivy::schema::{
    BytesOptions, DateOptions, DateTimePrecision, Field, IndexRecordOption, JsonObjectOptions, NumericOptions, Schema,
    SchemaBuilder, TextFieldIndexing, TextOptions,
};
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::tokenizer::{RawTokenizer, TextAnalyzer, TokenizerManager};
use tantivy::{IndexBuilder, IndexSettings};

use crate::tokenizer::{PlainWords, StandIns, Words};

/// Name under which the word tokenizer is registered.
pub const WORDS: &str = "words";
/// Names under which the tokenizers of log lines are registered.
const PLAIN_WORDS: &str = "plain_words";
const STAND_INS: &str = "stand_ins";
/// Name under which the whole-value tokenizer is registered.
pub const RAW: &str = "raw";

/// Fields of a log line that are exact values: ids of terms only, no positions, no norms, with a column.
pub const KEYWORDS: [&str; 10] = [
    "log.level",
    "stream",
    "host.name",
    "container.id",
    "container.name",
    "container.image.name",
    "service.name",
    "orchestrator.namespace",
    "log.file.path",
    "event.dataset",
];

/// Path inside `_kw` under which the routing value of a document is kept, where it was written with one.
pub const ROUTING: &str = "_routing";

/// In `_exists`: this document has no `message`. Nearly every log line has one, so its absence is what is written down.
pub const NO_MESSAGE: &str = "!message";

/// Uncompressed bytes of a block of the document store: larger blocks compress better, and a hit costs the
/// decompression of one. Blocks of 64 KB are 7 % smaller, and cost each hit 30 µs more.
const STORE_BLOCK_BYTES: usize = 32 * 1024;
/// zstd level of the document store: 3 takes back half of what the smaller blocks cost, for 0.1 µs a line more than 1.
const STORE_ZSTD_LEVEL: i32 = 3;

/// Handles of the fields of [`schema`].
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the table at the top of the file says what each one holds")]
pub struct Fields {
    pub seq: Field,
    pub src: Field,
    pub pos: Field,
    pub end: Field,
    pub sub: Field,
    pub id: Field,
    pub version: Field,
    pub timestamp: Field,
    pub message: Field,
    pub keywords: [Field; KEYWORDS.len()],
    pub offset: Field,
    pub kw: Field,
    pub txt: Field,
    pub exists: Field,
    pub ignored: Field,
    pub source: Field,
    pub unique: Field,
    pub shape: Field,
}

/// The schema and the handles of its fields. Always the same, so that handles are good for every partition.
pub fn schema() -> (Schema, Fields) {
    build(Version::Present)
}

/// Whether a partition with this schema can be read.
pub fn is_known(found: &Schema) -> bool {
    is_present(found) || *found == build(Version::First).0
}

/// Whether a partition with this schema is written as [`schema`] says, and not as earlier versions did.
pub fn is_present(found: &Schema) -> bool {
    *found == schema().0
}

#[derive(Clone, Copy, PartialEq)]
enum Version {
    /// That of weir 0.1.0. Its fields have the same handles.
    First,
    Present,
}

fn build(version: Version) -> (Schema, Fields) {
    let message_words = if version == Version::First { WORDS } else { PLAIN_WORDS };
    let raw = TextFieldIndexing::default()
        .set_tokenizer(RAW)
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::Basic);
    let words = TextFieldIndexing::default()
        .set_tokenizer(WORDS)
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let column = || NumericOptions::default().set_fast();
    let exact = || TextOptions::default().set_indexing_options(raw.clone());
    let exact_column = || exact().set_fast(RAW);

    let mut builder: SchemaBuilder = Schema::builder();
    let mut fields = Fields {
        seq: builder.add_u64_field("_seq", column()),
        src: builder.add_u64_field("_src", column().set_indexed()),
        pos: builder.add_u64_field("_pos", column()),
        end: builder.add_u64_field("_end", column()),
        sub: builder.add_u64_field("_sub", column()),
        id: builder.add_text_field("_id", exact_column()),
        version: builder.add_u64_field("_version", column()),
        timestamp: builder.add_date_field(
            "@timestamp",
            DateOptions::default().set_fast().set_precision(DateTimePrecision::Milliseconds),
        ),
        message: builder.add_text_field(
            "message",
            TextOptions::default().set_indexing_options(words.clone().set_tokenizer(message_words)),
        ),
        keywords: KEYWORDS.map(|name| builder.add_text_field(name, exact_column())),
        offset: builder.add_u64_field("log.offset", column()),
        kw: builder.add_json_field(
            "_kw",
            JsonObjectOptions::default().set_indexing_options(raw.clone()).set_fast(RAW).set_expand_dots_enabled(),
        ),
        txt: builder
            .add_json_field("_txt", JsonObjectOptions::default().set_indexing_options(words).set_expand_dots_enabled()),
        exists: builder.add_text_field("_exists", exact()),
        ignored: builder.add_text_field("_ignored", exact_column()),
        source: builder.add_bytes_field("_source", BytesOptions::default().set_stored()),
        unique: Field::from_field_id(u32::MAX),
        shape: Field::from_field_id(u32::MAX),
    };
    if version == Version::Present {
        let stand_ins = raw.set_tokenizer(STAND_INS);
        fields.unique = builder.add_text_field("_unique", TextOptions::default().set_indexing_options(stand_ins));
        fields.shape = builder.add_text_field("_shape", TextOptions::default().set_fast(RAW));
    }
    (builder.build(), fields)
}

/// The tokenizers that the schema names.
pub fn tokenizers() -> TokenizerManager {
    let manager = TokenizerManager::new();
    // tantivy asks for this one on behalf of fields that are no text.
    manager.register("default", TextAnalyzer::from(Words::default()));
    manager.register(WORDS, TextAnalyzer::from(Words::default()));
    manager.register(PLAIN_WORDS, TextAnalyzer::from(PlainWords::default()));
    manager.register(STAND_INS, TextAnalyzer::from(StandIns::default()));
    manager.register(RAW, TextAnalyzer::from(RawTokenizer::default()));
    manager
}

/// A builder of tantivy indices with this schema, its tokenizers and the document store's settings.
pub fn index_builder() -> IndexBuilder {
    tantivy::Index::builder().schema(schema().0).tokenizers(tokenizers()).settings(IndexSettings {
        docstore_compression: Compressor::Zstd(ZstdCompressor { compression_level: Some(STORE_ZSTD_LEVEL) }),
        docstore_blocksize: STORE_BLOCK_BYTES,
        // A thread of its own for compression would cost a hand-over a block, and there is no core to spare for it.
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_the_same_for_every_partition() {
        let (one, fields) = schema();
        let (other, _) = schema();
        assert_eq!(one, other);
        assert_eq!(one.get_field("log.level").unwrap(), fields.keywords[0]);
        assert_eq!(one.get_field_name(fields.timestamp), "@timestamp");
        index_builder().create_in_ram().unwrap();
    }

    #[test]
    fn earlier_schemas_are_known_and_have_the_same_handles() {
        let (first, before) = build(Version::First);
        let (present, now) = schema();
        assert!(is_known(&first) && !is_present(&first) && is_known(&present) && is_present(&present));
        assert!(!is_known(&Schema::builder().build()));
        for (field, entry) in first.fields() {
            assert_eq!(present.get_field_name(field), entry.name());
        }
        assert_eq!((before.source, before.message), (now.source, now.message));
    }
}
