//! Searches: from a request's body to an answer's.
//!
//! In the order in which a search meets them: [`request`] reads it, [`budget`] bounds it, [`run`] goes over the segments
//! and keeps the best documents ([`sort`], [`top`]) and what aggregations count, [`fetch`] makes hits of documents
//! ([`source`], [`highlight`], [`explain`]).

pub mod budget;
pub mod columns;
pub mod context;
pub mod explain;
pub mod fetch;
pub mod highlight;
pub mod patterns;
pub mod request;
pub mod run;
mod slice;
pub mod sort;
pub mod source;
pub mod state;
pub mod summary;
pub mod top;
