//! What each endpoint needs. What is not listed needs an admin: a new endpoint is closed until somebody says otherwise.

use super::Role;

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing: the page itself, logging in, whether the process is well.
    Open,
    /// To be somebody.
    Known,
    /// To add documents.
    Ingest,
    /// To see documents; how many and which is up to the reader's reach.
    Read,
    /// Everything else.
    Admin,
}

impl Right {
    /// Whether a role has it.
    pub fn is_of(self, role: Role) -> bool {
        match self {
            Self::Open | Self::Known => true,
            Self::Ingest => matches!(role, Role::Ingest | Role::Admin),
            Self::Read => matches!(role, Role::Read | Role::Admin),
            Self::Admin => role == Role::Admin,
        }
    }
}

/// Method (`*` for any), path as in `crate::http::ENDPOINTS`, what it needs. The path may end in `*`.
const RIGHTS: &[(&str, &str, Right)] = &[
    // The page asks for these before anybody is logged in.
    ("GET", "/_ui/*", Right::Open),
    ("*", "/api/session", Right::Open),
    ("GET", "/health", Right::Open),
    // What every client begins with.
    ("GET", "/", Right::Known),
    ("GET", "/_license", Right::Known),
    ("GET", "/_xpack", Right::Known),
    ("GET", "/_security/_authenticate", Right::Known),
    ("GET", "/_cluster/health", Right::Known),
    ("GET", "/_cluster/health/{index}", Right::Known),
    // Writing.
    ("*", "/_bulk", Right::Ingest),
    ("*", "/{index}/_bulk", Right::Ingest),
    ("POST", "/{index}/_doc", Right::Ingest),
    ("*", "/{index}/_create/{id}", Right::Ingest),
    // Reading.
    ("GET", "/metrics", Right::Read),
    ("*", "/_search*", Right::Read),
    ("*", "/{index}/_search*", Right::Read),
    ("*", "/_count", Right::Read),
    ("*", "/{index}/_count", Right::Read),
    ("*", "/_msearch*", Right::Read),
    ("*", "/{index}/_msearch*", Right::Read),
    ("*", "/_pit", Right::Read),
    ("*", "/{index}/_pit", Right::Read),
    ("*", "/_async_search*", Right::Read),
    ("*", "/{index}/_async_search", Right::Read),
    ("*", "/_field_caps", Right::Read),
    ("*", "/{index}/_field_caps", Right::Read),
    ("*", "/_validate/query", Right::Read),
    ("*", "/{index}/_validate/query", Right::Read),
    ("*", "/_analyze", Right::Read),
    ("*", "/{index}/_analyze", Right::Read),
    ("*", "/_mget", Right::Read),
    ("*", "/{index}/_mget", Right::Read),
    ("GET", "/{index}/_doc/{id}", Right::Read),
    ("GET", "/{index}/_source/{id}", Right::Read),
    ("GET", "/{index}", Right::Read),
    ("GET", "/_mapping*", Right::Read),
    ("GET", "/{index}/_mapping*", Right::Read),
    ("GET", "/_settings", Right::Read),
    ("GET", "/{index}/_settings*", Right::Read),
    ("GET", "/_alias*", Right::Read),
    ("GET", "/{index}/_alias*", Right::Read),
    ("GET", "/_resolve/index/{name}", Right::Read),
    ("GET", "/_stats*", Right::Read),
    ("GET", "/{index}/_stats*", Right::Read),
    ("*", "/{index}/_explain/{id}", Right::Read),
    ("GET", "/_data_stream*", Right::Read),
    ("GET", "/_template*", Right::Read),
    ("GET", "/_index_template*", Right::Read),
    ("GET", "/_cat/indices*", Right::Read),
    ("GET", "/_cat/count*", Right::Read),
    ("GET", "/_cat/health", Right::Read),
    ("GET", "/_cat/aliases*", Right::Read),
    ("GET", "/_cat/shards*", Right::Read),
    ("GET", "/_cat/segments*", Right::Read),
    ("GET", "/_cat/nodes", Right::Read),
    ("GET", "/_segments", Right::Read),
    ("GET", "/{index}/_segments", Right::Read),
    ("GET", "/_nodes*", Right::Read),
    ("GET", "/api/*", Right::Read),
    // Pipeline files may hold what readers are not to see.
    ("GET", "/api/pipelines", Right::Admin),
    ("POST", "/api/patterns", Right::Read),
    ("POST", "/api/fields/*", Right::Read),
    ("*", "/api/searches*", Right::Read),
];

/// What a request to an endpoint needs. Of several that fit, the longest is meant.
pub fn of(method: &str, path: &str) -> Right {
    // `HEAD` is `GET` without the body.
    let method = if method == "HEAD" { "GET" } else { method };
    RIGHTS
        .iter()
        .filter(|(listed, pattern, _)| {
            (*listed == "*" || *listed == method)
                && match pattern.strip_suffix('*') {
                    Some(start) => path.starts_with(start),
                    None => path == *pattern,
                }
        })
        .max_by_key(|(_, pattern, _)| pattern.len())
        .map_or(Right::Admin, |(.., right)| *right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ENDPOINTS;

    #[test]
    fn what_changes_things_needs_an_admin() {
        for (method, path) in [
            ("DELETE", "/{index}"),
            ("PUT", "/{index}"),
            ("PUT", "/{index}/_doc/{id}"),
            ("DELETE", "/{index}/_doc/{id}"),
            ("POST", "/{index}/_delete_by_query"),
            ("PUT", "/_cluster/settings"),
            ("PUT", "/_index_template/{name}"),
            ("POST", "/_aliases"),
            ("PUT", "/{index}/_mapping"),
            ("POST", "/something/new"),
        ] {
            assert_eq!(of(method, path), Right::Admin, "{method} {path}");
        }
        assert_eq!(of("HEAD", "/{index}"), Right::Read);
        assert_eq!(of("POST", "/{index}/_search"), Right::Read);
        assert_eq!(of("PUT", "/api/searches/{name}"), Right::Read);
        assert_eq!(of("POST", "/_bulk"), Right::Ingest);
    }

    #[test]
    fn nothing_but_the_page_is_open() {
        for endpoint in ENDPOINTS.iter().copied().flatten() {
            for method in endpoint.methods {
                if of(method, endpoint.path) == Right::Open {
                    let known = ["/_ui/{file}", "/api/session", "/health"];
                    assert!(known.contains(&endpoint.path), "{method} {} is open to everybody", endpoint.path);
                }
            }
        }
    }
}
