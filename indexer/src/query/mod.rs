//! Queries: from Elasticsearch's JSON, from Lucene and KQL text, to one [`ast::Query`], to what tantivy runs.
//!
//! In the order in which a request meets them: [`dsl`] reads the JSON, [`lucene`], [`simple`] and [`kql`] read text,
//! [`ast`] is what all of them make, [`plan`] turns it into a tantivy query for one partition through its mapping;
//! [`watch`] is what such a query looks at while it runs.

pub mod ast;
pub mod dsl;
pub mod kql;
pub mod lucene;
pub mod plan;
pub mod refusal;
pub mod simple;
pub mod watch;

pub use ast::Query;
pub use refusal::Refusal;
pub use watch::Watch;
