//! The web page: files built from `ui/`, part of the binary, served to browsers at `/` and below `/_ui/`.
//!
//! No index name begins with an underscore, so `/_ui/` is in nobody's way; and `GET /` shows the page only to those who
//! ask for `text/html`, so that every Elasticsearch client still gets its hello.

use std::io::Read as _;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use crate::error::{Error, Result};
use crate::http::{Answer, Body, Call, Endpoint, Reply};

/// One file of the page, as built, in both forms that browsers take.
struct File {
    name: &'static str,
    brotli: &'static [u8],
    gzip: &'static [u8],
}

mod files {
    use super::File;
    include!(concat!(env!("OUT_DIR"), "/ui_files.rs"));
}

/// Scripts and styles come from files of this server, and nothing else comes from anywhere: a log line that looks like
/// a script has no way to run, even if some part of the page forgot that text is text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";
/// For files whose name changes with their content.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// For the page itself and files with a fixed name: asked for each time, so that an update shows at once.
const ASK_EACH_TIME: &str = "no-cache";

/// This file's endpoints. (`GET /` is `http/root.rs`, which asks [`wants_page`].)
pub static ENDPOINTS: &[Endpoint] =
    &[Endpoint { methods: &["GET"], path: "/_ui/{file}", params: &[], run: |call| -> Answer { Box::pin(file(call)) } }];

/// Why there is no page in this binary; `None` if there is one.
#[must_use]
pub fn missing() -> Option<&'static str> {
    files::MISSING
}

/// Whether `GET /` comes from somebody who wants to look at a page.
#[must_use]
pub fn wants_page(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|accept| {
        let accept = accept.as_bytes();
        accept.split(|b| *b == b',').any(|kind| kind.trim_ascii().starts_with(b"text/html"))
    })
}

/// Whether a request was made by another site's page in a browser. Such requests carry the reader's credentials (or
/// come from inside a firewall), and are not what the reader meant: only a link that is followed may come from
/// elsewhere.
#[must_use]
pub fn from_another_site(method: &Method, headers: &HeaderMap) -> bool {
    let value = |name: HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    match value(HeaderName::from_static("sec-fetch-site")) {
        Some(b"same-origin" | b"none") => false,
        Some(_) => {
            method != Method::GET || value(HeaderName::from_static("sec-fetch-mode")) != Some(b"navigate".as_slice())
        }
        // Browsers leave that header out where there is no TLS; then only `Origin` tells.
        None => match (value(header::ORIGIN), value(header::HOST)) {
            (Some(origin), Some(host)) => {
                let origin = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
                !origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
            }
            (Some(_), None) => true,
            (None, _) => false,
        },
    }
}

/// The page, or why there is none.
#[must_use]
pub fn page(headers: &HeaderMap) -> Reply {
    match missing() {
        Some(problem) => Reply::text(format!(
            "This weir was built without its web page: {problem}\n\nThe search API works: try /_cat/indices or /_search?q=error\n"
        ))
        .with_status(StatusCode::NOT_FOUND.as_u16()),
        None => serve("index.html", headers).unwrap_or_else(Reply::from),
    }
}

async fn file(call: Call) -> Result<Reply> {
    serve(&format!("_ui/{}", call.part("file").unwrap_or_default()), &call.headers)
}

fn serve(name: &str, headers: &HeaderMap) -> Result<Reply> {
    let file = files::FILES
        .iter()
        .find(|file| file.name == name)
        .ok_or_else(|| Error::new(404, "resource_not_found_exception", format!("the page has no file [{name}]")))?;
    let (encoding, body) = encoded(file, headers)?;
    let hashed = name.starts_with("_ui/") && name.contains('-');
    let mut sent = vec![
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CACHE_CONTROL, if hashed { FOREVER } else { ASK_EACH_TIME }),
        (header::VARY, "accept, accept-encoding"),
    ];
    if let Some(encoding) = encoding {
        sent.push((header::CONTENT_ENCODING, encoding));
    }
    let mut reply = Reply::raw(200, Bytes::new());
    reply.content_type = content_type(name);
    reply.body = Body::Full(body);
    reply.headers = sent.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
    Ok(reply)
}

/// The form of a file that the browser takes, and the name of that form; inflated for those who take none.
fn encoded(file: &File, headers: &HeaderMap) -> Result<(Option<&'static str>, Bytes)> {
    let takes = |coding: &str| {
        headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|accept| accept.to_str().ok()).any(|accept| {
            accept.split(',').any(|one| {
                let mut parts = one.split(';').map(str::trim);
                parts.next() == Some(coding) && !parts.any(|q| matches!(q, "q=0" | "q=0.0"))
            })
        })
    };
    if takes("br") {
        return Ok((Some("br"), Bytes::from_static(file.brotli)));
    }
    if takes("gzip") {
        return Ok((Some("gzip"), Bytes::from_static(file.gzip)));
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(file.gzip).read_to_end(&mut plain)?;
    Ok((None, plain.into()))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a browser loads at first, in bytes on the wire.
    const FIRST_LOAD_MAX: usize = 120_000;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn browsers_get_the_page_and_clients_the_hello() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(wants_page(&headers(&[("accept", chromium)])));
        for other in ["application/json", "*/*", "application/vnd.elasticsearch+json; compatible-with=9"] {
            assert!(!wants_page(&headers(&[("accept", other)])), "{other}");
        }
        assert!(!wants_page(&HeaderMap::new()));
    }

    #[test]
    fn other_sites_cannot_use_a_readers_browser() {
        let foreign =
            |method: Method, pairs: &[(&'static str, &'static str)]| from_another_site(&method, &headers(pairs));
        // Programs send none of these headers.
        assert!(!foreign(Method::POST, &[("host", "127.0.0.1:9200")]));
        assert!(!foreign(Method::POST, &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")]));
        assert!(!foreign(Method::GET, &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]));
        assert!(!foreign(Method::GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]));
        assert!(foreign(Method::POST, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]));
        assert!(foreign(Method::GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]));
        assert!(foreign(Method::POST, &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")]));
        assert!(!foreign(Method::POST, &[("origin", "http://logs.lan:9200"), ("host", "logs.lan:9200")]));
        assert!(foreign(Method::POST, &[("origin", "http://evil.example"), ("host", "logs.lan:9200")]));
        assert!(foreign(Method::POST, &[("origin", "null"), ("host", "logs.lan:9200")]));
    }

    #[test]
    fn every_form_of_a_file_holds_the_same() {
        if let Some(problem) = missing() {
            println!("left out: there is no page in this build ({problem})");
            return;
        }
        let plain = |name: &str| {
            let reply = serve(name, &HeaderMap::new()).unwrap();
            assert!(!reply.headers.iter().any(|(name, _)| name == header::CONTENT_ENCODING));
            let Body::Full(body) = reply.body else { panic!("{name} is not whole") };
            body
        };
        let html = String::from_utf8(plain("index.html").to_vec()).unwrap();
        assert!(html.contains("<title>weir</title>"), "{html}");
        // The policy forbids both; the page must not need them.
        assert!(!html.contains("<style") && !html.contains("<script>") && !html.contains(" style="), "{html}");
        // What the page does not name itself, one of its scripts fetches when the lines are there.
        let scripts = files::FILES.iter().filter(|file| file.name.ends_with(".js"));
        let scripts: Vec<_> = scripts.map(|file| String::from_utf8(plain(file.name).to_vec()).unwrap()).collect();
        for file in files::FILES {
            let base = file.name.rsplit('/').next().unwrap();
            assert!(
                html.contains(&format!("/{}", file.name))
                    || scripts.iter().any(|script| script.contains(base))
                    || file.name == "index.html",
                "{} is not used",
                file.name
            );
            let mut inflated = Vec::new();
            flate2::read::GzDecoder::new(file.gzip).read_to_end(&mut inflated).unwrap();
            assert_eq!(plain(file.name), inflated, "{}", file.name);
        }
        let first_load: usize = files::FILES.iter().map(|file| file.gzip.len()).sum();
        println!("first load: {first_load} bytes with gzip");
        assert!(first_load <= FIRST_LOAD_MAX, "{first_load} bytes");
    }

    #[test]
    fn compression_is_what_the_browser_takes() {
        let Some(file) = files::FILES.first() else {
            println!("left out: there is no page in this build");
            return;
        };
        let chosen = |accept| encoded(file, &headers(&[("accept-encoding", accept)])).unwrap().0;
        assert_eq!(chosen("gzip, deflate, br, zstd"), Some("br"));
        assert_eq!(chosen("gzip, br;q=0"), Some("gzip"));
        assert_eq!(chosen("identity"), None);
        assert!(serve("_ui/../index.html", &HeaderMap::new()).is_err());
    }
}
