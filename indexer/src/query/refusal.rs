//! Why a request is not answered: Elasticsearch's error type, reason and status.

use serde_json::{Value, json};

/// A request refused, in the terms of Elasticsearch's error body.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The `type` of the error, such as `parsing_exception`.
    pub kind: &'static str,
    /// The `reason`, for people.
    pub reason: String,
    /// Whether Elasticsearch finds this only on the shard, and so wraps it in `search_phase_execution_exception`.
    pub on_shard: bool,
    /// More members of the error object, such as `index`.
    pub extra: Vec<(String, Value)>,
}

impl Refusal {
    fn new(status: u16, kind: &'static str, reason: impl Into<String>) -> Refusal {
        Refusal { status, kind, reason: reason.into(), on_shard: false, extra: Vec::new() }
    }

    /// The request's JSON is not what the API takes.
    pub fn parsing(reason: impl Into<String>) -> Refusal {
        Refusal::new(400, "parsing_exception", reason)
    }

    /// A value that is not allowed.
    pub fn argument(reason: impl Into<String>) -> Refusal {
        Refusal::new(400, "illegal_argument_exception", reason)
    }

    /// A member of an object that cannot be read.
    pub fn content(reason: impl Into<String>) -> Refusal {
        Refusal::new(400, "x_content_parse_exception", reason)
    }

    /// A request as a whole that is not valid.
    pub fn validation(reason: impl Into<String>) -> Refusal {
        Refusal::new(400, "action_request_validation_exception", format!("Validation Failed: 1: {};", reason.into()))
    }

    /// A query that does not fit the index.
    pub fn shard(reason: impl Into<String>) -> Refusal {
        Refusal { on_shard: true, ..Refusal::new(400, "query_shard_exception", reason) }
    }

    /// A value that does not fit the index, found on the shard.
    pub fn shard_argument(reason: impl Into<String>) -> Refusal {
        Refusal { on_shard: true, ..Refusal::new(400, "illegal_argument_exception", reason) }
    }

    /// A number that is none.
    pub fn number(text: &str) -> Refusal {
        Refusal {
            on_shard: true,
            ..Refusal::new(400, "number_format_exception", format!("For input string: \"{text}\""))
        }
    }

    /// A date that is none.
    pub fn date(reason: impl Into<String>) -> Refusal {
        Refusal { on_shard: true, ..Refusal::new(400, "parse_exception", reason) }
    }

    /// Something Elasticsearch has and weir has not.
    pub fn unsupported(what: impl Into<String>) -> Refusal {
        Refusal::new(400, "illegal_argument_exception", format!("{} is not supported", what.into()))
    }

    /// Too many buckets in a search.
    pub fn too_many_buckets(limit: usize) -> Refusal {
        let mut r = Refusal::new(
            400,
            "too_many_buckets_exception",
            format!(
                "Trying to create too many buckets. Must be less than or equal to: [{limit}] but this number of buckets \
                 was exceeded. This limit can be set by changing the [search.max_buckets] cluster level setting."
            ),
        );
        r.extra.push(("max_buckets".into(), json!(limit)));
        r.on_shard = true;
        r
    }

    /// The search needs more memory than one search may have.
    pub fn memory(limit: usize) -> Refusal {
        let mut r = Refusal::new(
            429,
            "circuit_breaking_exception",
            format!("[request] Data too large, the search would need more than the limit of [{limit}] bytes"),
        );
        r.extra.push(("bytes_limit".into(), json!(limit)));
        r.extra.push(("durability".into(), json!("TRANSIENT")));
        r.on_shard = true;
        r
    }

    /// No permit for one more search is to be had.
    pub fn busy(limit: usize) -> Refusal {
        Refusal::new(
            429,
            "es_rejected_execution_exception",
            format!("rejected execution of search: [{limit}] searches are running and the queue is full"),
        )
    }

    /// A scroll or point in time that is not (any more) there.
    pub fn no_context(id: &str) -> Refusal {
        Refusal::new(404, "search_context_missing_exception", format!("No search context found for id [{id}]"))
    }

    /// Something went wrong inside weir.
    pub fn internal(reason: impl Into<String>) -> Refusal {
        Refusal { on_shard: true, ..Refusal::new(500, "search_exception", reason) }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.reason)
    }
}

impl std::error::Error for Refusal {}

impl From<tantivy::TantivyError> for Refusal {
    fn from(e: tantivy::TantivyError) -> Refusal {
        Refusal::internal(e.to_string())
    }
}

impl From<std::io::Error> for Refusal {
    fn from(e: std::io::Error) -> Refusal {
        Refusal::internal(e.to_string())
    }
}

impl From<Refusal> for crate::error::Error {
    fn from(r: Refusal) -> Self {
        let retry_after = (r.status == 429).then_some(1);
        let mut cause = Self { details: r.extra, retry_after, ..Self::new(r.status, r.kind, r.reason) };
        if !r.on_shard {
            return cause;
        }
        cause.details.push(("index".into(), "_all".into()));
        let mut all = Self::new(r.status, "search_phase_execution_exception", "all shards failed");
        all.retry_after = cause.retry_after.take();
        let failed = json!([{ "shard": 0, "index": "_all", "node": "weir", "reason": cause.object() }]);
        // The cause, not what wraps it, is what clients show.
        all.with("root_cause", json!([cause.object()]))
            .with("phase", "query".into())
            .with("grouped", true.into())
            .with("failed_shards", failed)
            .caused_by(cause)
    }
}

impl From<crate::error::Error> for Refusal {
    fn from(e: crate::error::Error) -> Refusal {
        Refusal { status: e.status, kind: e.kind, reason: e.reason, on_shard: false, extra: e.details }
    }
}
