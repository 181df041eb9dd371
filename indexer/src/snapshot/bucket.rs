//! S3-compatible storage: the seven requests that snapshots need, over HTTP/1.1 and TLS, signed with AWS Signature
//! Version 4 (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html>).

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_LENGTH, ETAG, HeaderMap};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use ring::{digest, hmac};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use weir_daemon::tls::{TlsFiles, client_config};

use super::repository::{PART_BYTES, hex};

/// Longest wait for an answer; a part of 8 MB goes up a slow line in that time.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);
/// Longest wait for a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the connection that was used before may take to become free: it is free, or its answer was given up.
const IDLE_WAIT_MAX: Duration = Duration::from_millis(100);
/// Largest answer: a part, or a page of a list.
const ANSWER_BYTES_MAX: usize = 2 * PART_BYTES;
/// How often a request is sent when the storage is busy or the connection breaks.
const ATTEMPTS: u32 = 4;
/// Wait before the second attempt; doubled for each further one.
const WAIT: Duration = Duration::from_millis(500);
/// Pages of a list, of 1,000 objects each.
const PAGES_MAX: usize = 10_000;

/// How to reach the storage, from the settings.
#[derive(Clone, Default)]
pub struct S3 {
    /// `https://s3.example:9000`; `None`: Amazon's of the region.
    pub endpoint: Option<String>,
    /// Region that requests are signed for.
    pub region: String,
    /// Who signs.
    pub access_key: String,
    /// With what.
    pub secret_key: String,
    /// Authorities (PEM) that the storage's certificate may come from.
    pub ca: PathBuf,
}

/// One bucket, and the part of its keys that is ours.
pub(super) struct Bucket {
    s3: S3,
    secure: bool,
    /// Host and port, as in the header.
    host: String,
    /// What comes before a key in a path: `/bucket`, or nothing where the bucket is part of the host.
    root: String,
    base: String,
    runtime: Handle,
    /// Requests come one after the other, so one connection is kept.
    idle: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

/// A request before it is signed.
struct Ask<'a> {
    method: Method,
    /// Below the bucket, not encoded.
    key: &'a str,
    /// Names and values, not encoded, sorted by name.
    query: &'a [(&'a str, &'a str)],
    range: Option<(u64, u64)>,
    body: Bytes,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Bucket {
    /// # Errors
    /// A sentence: what of the settings cannot be used.
    pub(super) fn open(s3: &S3, bucket: &str, base: &str, runtime: Handle) -> Result<Self, String> {
        if bucket.is_empty() || !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
            return Err(format!("[{bucket}] is no name of a bucket"));
        }
        let (secure, host, root) = match &s3.endpoint {
            // Storage other than Amazon's answers to the bucket in the path, and needs no name of its own for each.
            Some(endpoint) => {
                let uri: Uri = endpoint.parse().map_err(|error| format!("{endpoint:?} is no URL: {error}"))?;
                let host = uri.authority().ok_or_else(|| format!("{endpoint:?} names no host"))?.as_str().to_owned();
                let secure = match uri.scheme_str() {
                    Some("https") => true,
                    Some("http") => false,
                    _ => return Err(format!("{endpoint:?} is neither http:// nor https://")),
                };
                (secure, host, format!("{}/{bucket}", uri.path().trim_end_matches('/')))
            }
            None => (true, format!("{bucket}.s3.{}.amazonaws.com", s3.region), String::new()),
        };
        let base = base.trim_matches('/').to_owned();
        Ok(Self { s3: s3.clone(), secure, host, root, base, runtime, idle: Mutex::default() })
    }

    pub(super) fn put(&self, key: &str, bytes: Bytes) -> io::Result<()> {
        let key = self.key(key);
        self.expect(&Ask { body: bytes, ..ask(Method::PUT, &key) }, &[200]).map(drop)
    }

    pub(super) fn put_file(&self, key: &str, file: &mut File, len: u64) -> io::Result<()> {
        let mut part = || -> io::Result<Bytes> {
            let mut bytes = Vec::with_capacity(PART_BYTES.min(len as usize));
            file.by_ref().take(PART_BYTES as u64).read_to_end(&mut bytes)?;
            Ok(bytes.into())
        };
        if len <= PART_BYTES as u64 {
            return self.put(key, part()?);
        }
        let key = self.key(key);
        let begun = self.expect(&Ask { query: &[("uploads", "")], ..ask(Method::POST, &key) }, &[200])?;
        let text = String::from_utf8_lossy(&begun.body).into_owned();
        let upload = unescape(between(&text, "<UploadId>", "</UploadId>").ok_or_else(|| strange("no UploadId"))?);
        let mut send = || -> io::Result<()> {
            let (mut left, mut parts, mut number) = (len, String::new(), 0);
            while left > 0 {
                let body = part()?;
                if body.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
                }
                left = left.saturating_sub(body.len() as u64);
                number += 1;
                let text = number.to_string();
                let query = [("partNumber", text.as_str()), ("uploadId", upload.as_str())];
                let sent = self.expect(&Ask { query: &query, body, ..ask(Method::PUT, &key) }, &[200])?;
                let tag = sent.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).ok_or_else(|| strange("no ETag"))?;
                parts.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"));
            }
            let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>").into();
            let query = [("uploadId", upload.as_str())];
            let done = self.expect(&Ask { query: &query, body, ..ask(Method::POST, &key) }, &[200])?;
            // It answers 200 before it knows.
            let text = String::from_utf8_lossy(&done.body);
            if text.contains("<Error>") { Err(strange(&text)) } else { Ok(()) }
        };
        send().inspect_err(|_| {
            let query = [("uploadId", upload.as_str())];
            if let Err(error) = self.expect(&Ask { query: &query, ..ask(Method::DELETE, &key) }, &[204, 200, 404]) {
                tracing::warn!(%error, key, "parts of a broken-off upload stay in the bucket");
            }
        })
    }

    /// Bytes `from..to` of an object.
    pub(super) fn get(&self, key: &str, from: u64, to: u64) -> io::Result<Bytes> {
        let key = self.key(key);
        let answer = self.expect(&Ask { range: Some((from, to)), ..ask(Method::GET, &key) }, &[206, 200])?;
        if answer.body.len() as u64 == to - from {
            return Ok(answer.body);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("{key} has other bytes than it should")))
    }

    /// Size of an object; `None` when it is not there.
    pub(super) fn len(&self, key: &str) -> io::Result<Option<u64>> {
        let answer = self.expect(&ask(Method::HEAD, &self.key(key)), &[200, 404])?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let length = answer.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        length.map(Some).ok_or_else(|| strange("no Content-Length"))
    }

    /// Names and sizes of the objects right below a folder.
    pub(super) fn list(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        let prefix = format!("{}/", self.key(folder).trim_start_matches('/'));
        let (mut found, mut token) = (Vec::new(), None::<String>);
        for _ in 0..PAGES_MAX {
            let mut query = Vec::new();
            query.extend(token.as_deref().map(|token| ("continuation-token", token)));
            query.extend([("delimiter", "/"), ("list-type", "2"), ("prefix", prefix.as_str())]);
            let answer = self.expect(&Ask { query: &query, ..ask(Method::GET, "") }, &[200])?;
            let text = String::from_utf8_lossy(&answer.body);
            for object in text.split("<Contents>").skip(1) {
                let key = between(object, "<Key>", "</Key>").map(unescape).ok_or_else(|| strange("no Key"))?;
                let size = between(object, "<Size>", "</Size>").and_then(|size| size.parse().ok());
                let size = size.ok_or_else(|| strange("no Size"))?;
                found.extend(key.strip_prefix(&prefix).map(|name| (name.to_owned(), size)));
            }
            token = between(&text, "<NextContinuationToken>", "</NextContinuationToken>").map(unescape);
            if token.is_none() {
                return Ok(found);
            }
        }
        Err(strange("a list without an end"))
    }

    pub(super) fn delete(&self, key: &str) -> io::Result<()> {
        self.expect(&ask(Method::DELETE, &self.key(key)), &[204, 200, 404]).map(drop)
    }

    fn key(&self, key: &str) -> String {
        if self.base.is_empty() { format!("/{key}") } else { format!("/{}/{key}", self.base) }
    }

    /// Sends until there is an answer, and takes only these statuses for one.
    fn expect(&self, ask: &Ask<'_>, statuses: &[u16]) -> io::Result<Answer> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let sent = self.runtime.block_on(async {
                match tokio::time::timeout(ANSWER_TIME_MAX, self.send(ask)).await {
                    Ok(sent) => sent,
                    Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("{} does not answer", self.host))),
                }
            });
            let failed = match sent {
                Ok(answer) if statuses.contains(&answer.status.as_u16()) => return Ok(answer),
                Ok(answer) => {
                    let text = String::from_utf8_lossy(&answer.body).into_owned();
                    let reason = between(&text, "<Message>", "</Message>").unwrap_or("no reason given");
                    let kind = if answer.status == StatusCode::NOT_FOUND {
                        io::ErrorKind::NotFound
                    } else {
                        io::ErrorKind::Other
                    };
                    let error = io::Error::new(kind, format!("{} answered {}: {reason}", self.host, answer.status));
                    if !(answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS) {
                        return Err(error);
                    }
                    error
                }
                Err(error) => error,
            };
            if attempt >= ATTEMPTS {
                return Err(failed);
            }
            tracing::debug!(error = %failed, attempt, "a request to snapshot storage is sent again");
            std::thread::sleep(WAIT * 2u32.pow(attempt - 1));
        }
    }

    async fn send(&self, ask: &Ask<'_>) -> io::Result<Answer> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let kept = match kept {
            Some(mut kept) => match tokio::time::timeout(IDLE_WAIT_MAX, kept.ready()).await {
                Ok(Ok(())) => Some(kept),
                _ => None,
            },
            None => None,
        };
        let mut sender = match kept {
            Some(kept) => kept,
            None => tokio::time::timeout(CONNECT_TIME_MAX, self.connect())
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("{} cannot be reached", self.host)))??,
        };
        let broken = |error: hyper::Error| io::Error::other(format!("the connection to {} broke: {error}", self.host));
        let response = sender.send_request(self.request(ask, jiff::Timestamp::now())?).await.map_err(broken)?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(io::Error::other)?.to_bytes();
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// The request, signed for a moment.
    fn request(&self, ask: &Ask<'_>, now: jiff::Timestamp) -> io::Result<Request<Full<Bytes>>> {
        let path = format!("{}{}", encode(&self.root, true), encode(ask.key, true));
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let query: Vec<String> =
            ask.query.iter().map(|(name, value)| format!("{}={}", encode(name, false), encode(value, false))).collect();
        let query = query.join("&");
        let body_hash = hex(digest::digest(&digest::SHA256, &ask.body).as_ref());
        let moment = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut headers = vec![("host", self.host.clone())];
        headers.extend(ask.range.map(|(from, to)| ("range", format!("bytes={from}-{}", to - 1))));
        headers.extend([("x-amz-content-sha256", body_hash.clone()), ("x-amz-date", moment.clone())]);
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{}\n{path}\n{query}\n{lines}\n{names}\n{body_hash}", ask.method);
        let day = &moment[..8];
        let scope = format!("{day}/{}/s3/aws4_request", self.s3.region);
        let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{canonical}");
        let sign = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
        let mut key = sign(format!("AWS4{}", self.s3.secret_key).as_bytes(), day);
        for part in [self.s3.region.as_str(), "s3", "aws4_request"] {
            key = sign(key.as_ref(), part);
        }
        let signature = hex(sign(key.as_ref(), &text).as_ref());
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
            self.s3.access_key
        );
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        let mut request =
            Request::builder().method(ask.method.clone()).uri(target).header("authorization", authorization);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(Full::new(ask.body.clone())).map_err(io::Error::other)
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let told = |error: io::Error| io::Error::new(error.kind(), format!("cannot connect to {}: {error}", self.host));
        let (name, port) = match self.host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        {
            Some((name, port)) => (name, port.parse().map_err(|_| strange("a port that is none"))?),
            None => (self.host.as_str(), if self.secure { 443 } else { 80 }),
        };
        let name = name.trim_matches(['[', ']']).to_owned();
        let tcp = TcpStream::connect((name.as_str(), port)).await.map_err(told)?;
        tcp.set_nodelay(true).map_err(told)?;
        if !self.secure {
            return handshake(tcp).await;
        }
        let files = TlsFiles { ca: Some(self.s3.ca.clone()), ..TlsFiles::default() };
        let config = client_config(&files).map_err(io::Error::other)?;
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        handshake(TlsConnector::from(config).connect(name, tcp).await.map_err(told)?).await
    }
}

async fn handshake<S>(stream: S) -> io::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to snapshot storage ended");
        }
    });
    Ok(sender)
}

fn ask(method: Method, key: &str) -> Ask<'_> {
    Ask { method, key, query: &[], range: None, body: Bytes::new() }
}

fn strange(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the storage gave a strange answer: {what}"))
}

/// Percent-encodes as signatures want it: everything but letters, digits and `-._~`, and slashes where they separate.
fn encode(text: &str, is_path: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (is_path && byte == b'/') {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn between<'a>(text: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(&rest[..rest.find(behind)?])
}

fn unescape(text: &str) -> String {
    let named = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    named.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> Bucket {
        let s3 = S3 {
            endpoint: None,
            region: "us-east-1".to_owned(),
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            ca: PathBuf::new(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bucket = Bucket::open(&s3, "examplebucket", "", runtime.handle().clone()).unwrap();
        bucket.host = "examplebucket.s3.amazonaws.com".to_owned();
        bucket
    }

    /// The example "GET object" of Amazon's description of the signature.
    #[test]
    fn a_signature_is_amazons() {
        let moment = "2013-05-24T00:00:00Z".parse().unwrap();
        let get = Ask { range: Some((0, 10)), ..ask(Method::GET, "/test.txt") };
        let request = bucket().request(&get, moment).unwrap();
        let said = request.headers()["authorization"].to_str().unwrap();
        assert!(said.ends_with("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"), "{said}");
        // And "list objects": parameters are signed too.
        let list = Ask { query: &[("max-keys", "2"), ("prefix", "J")], ..ask(Method::GET, "") };
        let request = bucket().request(&list, moment).unwrap();
        assert_eq!(request.uri().to_string(), "/?max-keys=2&prefix=J");
        let said = request.headers()["authorization"].to_str().unwrap();
        assert!(said.ends_with("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"), "{said}");
    }

    #[test]
    fn names_and_answers() {
        assert_eq!(encode("a b/ü+", true), "a%20b/%C3%BC%2B");
        assert_eq!(encode("a/b", false), "a%2Fb");
        assert_eq!(between("<a>x</a>", "<a>", "</a>"), Some("x"));
        assert_eq!(unescape("&lt;&amp;lt;&quot;"), "<&lt;\"");
        let refused = Bucket::open(&S3::default(), "a/b", "", bucket().runtime);
        assert!(refused.is_err());
    }
}
