//! Aggregations, with Elasticsearch's requests and answers.
//!
//! In the order in which a request meets them: [`parse`] reads the JSON into an [`ast::Agg`] tree; [`collect`] counts
//! over one segment, every aggregation a flat table by bucket number; [`partial`] is what a segment hands on, merged
//! over segments, partitions and indices ([`whole`]: which may be kept for the next search); [`render`] makes the answer, with [`pipeline`] aggregations on top.

pub mod ast;
pub mod collect;
pub mod hash;
pub mod output;
pub mod parse;
pub mod partial;
pub mod pipeline;
pub mod render;
pub mod sketch;
pub mod whole;

/// How many buckets an answer may hold: Elasticsearch's `search.max_buckets`.
pub const MAX_BUCKETS: usize = 65_535;
/// How deep aggregations may be nested: a bound on recursion.
pub const MAX_DEPTH: usize = 16;
/// How many aggregations one request may hold.
pub const MAX_AGGS: usize = 1_000;
