//! Pages of other sites: none may use the API from a browser, but those that the settings invite. What an invited page
//! asks must carry credentials of its own; the reader's session is not lent to it.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};

/// How long a browser remembers what is allowed, in seconds.
const MAX_AGE_SECONDS: &str = "600";

/// The origin of a request, if it is invited.
pub(super) fn invited<'a>(origins: &[String], headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    origins.iter().any(|invited| invited.trim_end_matches('/').as_bytes() == origin.as_bytes()).then_some(origin)
}

/// The headers that let a browser hand the answer to the page that asked.
pub(super) fn headers(origins: &[String], request: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let Some(origin) = invited(origins, request) else { return Vec::new() };
    vec![
        (ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, DELETE, HEAD")),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-type, accept, x-requested-with"),
        ),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS)),
        (VARY, HeaderValue::from_static("origin")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_invited_origins_are_named() {
        let origins = ["https://grafana.example".to_owned()];
        let of = |origin: &'static str| {
            let request = [(ORIGIN, HeaderValue::from_static(origin))].into_iter().collect();
            headers(&origins, &request).first().map(|(_, value)| value.clone())
        };
        assert_eq!(of("https://grafana.example").unwrap(), "https://grafana.example");
        for other in ["https://grafana.example.evil", "http://grafana.example", "null", "*"] {
            assert!(of(other).is_none(), "{other}");
        }
        assert!(headers(&origins, &HeaderMap::new()).is_empty());
    }
}
