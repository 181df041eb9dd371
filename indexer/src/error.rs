//! What goes wrong with a request, in the shape in which Elasticsearch says it.

use serde_json::{Map, Value, json};

/// An answer other than success: status, Elasticsearch's type of exception, and a reason for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// HTTP status.
    pub status: u16,
    /// Elasticsearch's name, such as `illegal_argument_exception`.
    pub kind: &'static str,
    /// What is wrong, and where there is one, what to do.
    pub reason: String,
    /// Further members of the error object (`index`, `line`, `col`, …).
    pub details: Vec<(String, Value)>,
    /// What lies beneath, shown as `caused_by`.
    pub caused_by: Option<Box<Error>>,
    /// Seconds after which it is worth trying again, for 429 and 503.
    pub retry_after: Option<u32>,
}

/// The result of answering a request.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error without details.
    pub fn new(status: u16, kind: &'static str, reason: impl Into<String>) -> Self {
        Self { status, kind, reason: reason.into(), details: Vec::new(), caused_by: None, retry_after: None }
    }

    /// 400: an option or a value that is not allowed, or not supported.
    pub fn illegal_argument(reason: impl Into<String>) -> Self {
        Self::new(400, "illegal_argument_exception", reason)
    }

    /// 400: a body that cannot be read.
    pub fn parsing(reason: impl Into<String>) -> Self {
        Self::new(400, "parsing_exception", reason)
    }

    /// 400: a document or a mapping that cannot be read.
    pub fn mapper_parsing(reason: impl Into<String>) -> Self {
        Self::new(400, "mapper_parsing_exception", reason)
    }

    /// 404: there is no such index.
    pub fn index_not_found(index: &str) -> Self {
        Self::new(404, "index_not_found_exception", format!("no such index [{index}]"))
            .with("resource.type", json!("index_or_alias"))
            .with("resource.id", json!(index))
            .with("index_uuid", json!("_na_"))
            .with("index", json!(index))
    }

    /// 413: more bytes than are allowed, after inflation.
    pub fn too_large(limit: u64) -> Self {
        Self::new(
            413,
            "content_too_long_exception",
            format!(
                "the body is longer than {limit} bytes when decompressed; send less at once, or raise max_body_bytes"
            ),
        )
    }

    /// 429: no room now. The client is to wait `seconds` and send the same again.
    pub fn too_many_requests(kind: &'static str, reason: impl Into<String>, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(429, kind, reason) }
    }

    /// 500: our own failure. The reason names the part that failed.
    pub fn internal(reason: impl std::fmt::Display) -> Self {
        Self::new(500, "exception", reason.to_string())
    }

    /// Adds a member to the error object.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.details.push((name.to_owned(), value));
        self
    }

    /// Adds what lies beneath.
    #[must_use]
    pub fn caused_by(mut self, cause: Self) -> Self {
        self.caused_by = Some(Box::new(cause));
        self
    }

    /// `{"type":…,"reason":…,…}`: the error object without `root_cause`, as `_bulk` items and `_msearch` members show it.
    pub fn object(&self) -> Value {
        let mut object = Map::new();
        object.insert("type".to_owned(), json!(self.kind));
        object.insert("reason".to_owned(), json!(self.reason));
        object.extend(self.details.clone());
        if let Some(cause) = &self.caused_by {
            object.insert("caused_by".to_owned(), cause.object());
        }
        Value::Object(object)
    }

    /// `{"root_cause":[…],"type":…,"reason":…}`: the value of `error` in an answer.
    pub fn value(&self) -> Value {
        let mut error = Map::new();
        error.insert("root_cause".to_owned(), json!([Self { caused_by: None, ..self.clone() }.object()]));
        if let Value::Object(object) = self.object() {
            error.extend(object);
        }
        Value::Object(error)
    }

    /// The whole body of an answer.
    pub fn body(&self) -> Value {
        json!({"error": self.value(), "status": self.status})
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.reason)
    }
}

impl std::error::Error for Error {}

impl From<tantivy::TantivyError> for Error {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::internal(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_is_elasticsearchs() {
        let error = Error::mapper_parsing("failed to parse").caused_by(Error::illegal_argument("empty"));
        assert_eq!(
            error.body(),
            json!({"error": {
                "root_cause": [{"type": "mapper_parsing_exception", "reason": "failed to parse"}],
                "type": "mapper_parsing_exception", "reason": "failed to parse",
                "caused_by": {"type": "illegal_argument_exception", "reason": "empty"}}, "status": 400})
        );
    }
}
