//! A small HTTP/1.1 client for one host: kept-alive connections, plain or TLS, bounded answers, time limits.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::base64;
use crate::tls::{Reloading, TlsFiles, client_config};

/// Largest answer that is read, unless said otherwise: that to a request of 100,000 items with an error text each.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Time for name look-up, connection and TLS handshake; Elasticsearch's clients take 10 s too.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Idle connections kept to one host: one for each Lumberjack connection that was busy lately, within reason.
const IDLE_CONNECTIONS_MAX: usize = 32;

/// What went wrong before there was an answer.
#[derive(Debug, Error)]
pub enum HttpError {
    /// No connection.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// Host and port.
        host: String,
        /// What the system or rustls said.
        reason: String,
    },
    /// The connection broke while the request was under way: whether the host took it is not known.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// Host and port.
        host: String,
        /// What hyper said.
        reason: String,
    },
    /// No whole answer in time.
    #[error("{host} did not answer within {} s", .limit.as_secs())]
    Late {
        /// Host and port.
        host: String,
        /// The time that it had.
        limit: Duration,
    },
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// `Retry-After` in seconds, when the host sent one.
    pub retry_after: Option<Duration>,
    /// The body, of at most 32 MiB.
    pub body: Bytes,
}

/// One host of an output.
pub struct Host {
    name: String,
    address: String,
    /// Path before each endpoint, without a slash at its end; empty for most.
    prefix: String,
    loopback: bool,
    tls: Option<Arc<Reloading<rustls::ClientConfig>>>,
    authorization: Option<HeaderValue>,
    answer_time_max: Duration,
    answer_bytes_max: usize,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// How we prove who we are.
#[derive(Clone, Default)]
pub struct Credentials {
    /// User name of basic authentication.
    pub user: String,
    /// Password of basic authentication.
    pub password: String,
    /// An API key: `id:key`, or that in base64 already.
    pub api_key: String,
    /// A bearer token.
    pub bearer: String,
}

/// Says only which there are: what is printed ends in logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |text: &str| if text.is_empty() { "none" } else { "set" };
        write!(
            f,
            "Credentials {{ user: {:?}, password: {}, api_key: {} }}",
            self.user,
            set(&self.password),
            set(&self.api_key)
        )
    }
}

/// A URL without its user and password, for messages.
#[must_use]
pub fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (&url[..scheme.len() + 3], rest));
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

/// The parts of a URL: one for [`Host::new`], with the port that its scheme stands for, and path and query.
///
/// # Errors
/// A sentence: it is none, or names no host.
pub fn split(url: &str) -> Result<(String, String), String> {
    let uri: Uri = url.parse().map_err(|error| format!("{:?} is no URL: {error}", shown(url)))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(format!("{:?} is no URL: it begins with http:// or https://", shown(url)));
    };
    let port = if scheme == "https" { 443 } else { 80 };
    let port = if authority.port().is_some() { String::new() } else { format!(":{port}") };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok((format!("{scheme}://{authority}{port}"), path.to_owned()))
}

impl Host {
    /// A host from its URL (`http://127.0.0.1:9200`, `https://user:password@search.example/prefix`).
    /// A URL without a port means 9200, as for Logstash's output.
    ///
    /// # Errors
    /// What is wrong with the URL, the credentials or the certificates, as a sentence.
    pub fn new(
        url: &str,
        credentials: &Credentials,
        tls: &TlsFiles,
        answer_time_max: Duration,
    ) -> Result<Self, String> {
        let url_shown = shown(url);
        let text = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = text.parse().map_err(|error| format!("{url_shown:?} is no URL: {error}"))?;
        let authority = uri.authority().ok_or_else(|| format!("{url_shown:?} names no host"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            other => return Err(format!("{url_shown:?}: scheme {:?} is not http or https", other.unwrap_or(""))),
        };
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(9200);
        let loopback = name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        let user = authority.as_str().rsplit_once('@').map(|(user, _)| user);
        let authorization = match (user, credentials) {
            (_, Credentials { api_key, .. }) if !api_key.is_empty() => {
                let key = if api_key.contains(':') { base64::encode(api_key.as_bytes()) } else { api_key.clone() };
                Some(format!("ApiKey {key}"))
            }
            (_, Credentials { bearer, .. }) if !bearer.is_empty() => Some(format!("Bearer {bearer}")),
            (_, Credentials { user, password, .. }) if !user.is_empty() => Some(basic(user, password)),
            (Some(user), _) => Some(format!("Basic {}", base64::encode(user.as_bytes()))),
            _ => None,
        };
        let authorization = authorization
            .map(|text| HeaderValue::try_from(text).map_err(|_| "credentials hold a control character".to_owned()))
            .transpose()?;
        let tls = if secure {
            let reloading = Reloading::new(tls.clone(), client_config).map_err(|error| error.to_string())?;
            Some(Arc::new(reloading))
        } else {
            None
        };
        let address = if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") };
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self {
            name,
            address,
            prefix,
            loopback,
            tls,
            authorization,
            answer_time_max,
            answer_bytes_max: ANSWER_BYTES_MAX,
            idle: Mutex::default(),
        })
    }

    /// The same with another limit of answers, in bytes.
    #[must_use]
    pub fn answering(mut self, answer_bytes_max: usize) -> Self {
        self.answer_bytes_max = answer_bytes_max;
        self
    }

    /// Host and port, for messages.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether the host is this machine: nothing is gained by compression then.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// [`HttpError`] when there is none. Answers of any status are no errors here.
    pub async fn send(&self, method: Method, path: &str, body: Payload) -> Result<Answer, HttpError> {
        match tokio::time::timeout(self.answer_time_max, self.exchange(method, path, body)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::Late { host: self.address.clone(), limit: self.answer_time_max }),
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Payload) -> Result<Answer, HttpError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(HOST, &self.address)
            .header(hyper::header::USER_AGENT, concat!("weir/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(kind) = body.content_type {
            request = request.header(CONTENT_TYPE, kind);
        }
        if body.gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let broken =
            |error: &dyn std::fmt::Display| HttpError::Broken { host: self.address.clone(), reason: error.to_string() };
        let request = request.body(Full::new(body.bytes)).map_err(|error| broken(&error))?;
        let mut sender = match self.reuse().await {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let response = sender.send_request(request).await.map_err(|error| {
            if error.is_parse() && self.tls.is_none() {
                return broken(&format!(
                    "{error}: what answers there does not speak HTTP; if it speaks TLS, write https://"
                ));
            }
            broken(&error)
        })?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), self.answer_bytes_max)
            .collect()
            .await
            .map_err(|error| broken(&error))?;
        self.keep(sender);
        Ok(Answer { status, retry_after: retry_after.map(Duration::from_secs), body: body.to_bytes() })
    }

    /// A connection of an earlier request that is still good.
    async fn reuse(&self) -> Option<SendRequest<Full<Bytes>>> {
        loop {
            let mut sender = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            // Ready at once, or as soon as its task has looked at the end of the last answer; an error if it is closed.
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS_MAX && !sender.is_closed() {
            idle.push(sender);
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, HttpError> {
        let failed = |reason: String| HttpError::Connect { host: self.address.clone(), reason };
        let connecting = async {
            let stream = TcpStream::connect(&self.address).await.map_err(|error| failed(error.to_string()))?;
            // A request is one write; waiting for more of it only costs time. Failing to set it costs only that.
            let _ = stream.set_nodelay(true);
            match &self.tls {
                None => self.handshake(stream).await,
                Some(tls) => {
                    let name = rustls_pki_types::ServerName::try_from(self.name.clone())
                        .map_err(|error| failed(error.to_string()))?;
                    let connector = TlsConnector::from(tls.get());
                    let stream = connector.connect(name, stream).await.map_err(|error| failed(error.to_string()))?;
                    self.handshake(stream).await
                }
            }
        };
        match tokio::time::timeout(CONNECT_TIME_MAX, connecting).await {
            Ok(result) => result,
            Err(_) => Err(failed(format!("no connection within {} s", CONNECT_TIME_MAX.as_secs()))),
        }
    }

    async fn handshake(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<SendRequest<Full<Bytes>>, HttpError> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| HttpError::Connect { host: self.address.clone(), reason: error.to_string() })?;
        // It ends when the sender is dropped or the host closes; what breaks it is told to the request under way.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a host ended");
            }
        });
        Ok(sender)
    }
}

/// The body of a request.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    /// The bytes as they go out.
    pub bytes: Bytes,
    /// Their type; none for no body.
    pub content_type: Option<&'static str>,
    /// Whether they are compressed.
    pub gzip: bool,
}

/// The `Authorization` of basic authentication.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::encode(format!("{user}:{password}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_wrong_ones_are_told() {
        let host = |url: &str| Host::new(url, &Credentials::default(), &TlsFiles::default(), Duration::from_secs(1));
        let local = host("127.0.0.1").unwrap();
        assert_eq!((local.address(), local.is_loopback()), ("127.0.0.1:9200", true));
        let other = host("http://me:secret@search.example:80/es/").unwrap();
        assert_eq!((other.address(), other.prefix.as_str(), other.is_loopback()), ("search.example:80", "/es", false));
        assert_eq!(other.authorization.as_ref().unwrap(), "Basic bWU6c2VjcmV0");
        assert_eq!(host("http://[::1]:9201").unwrap().address(), "[::1]:9201");
        assert!(host("ftp://x").err().unwrap().contains("not http or https"));
        assert!(host("https://x").err().unwrap().contains("tls_ca"));
        assert!(host("http://").is_err());
        let told = host("ftp://me:secret@x").err().unwrap();
        assert!(!told.contains("secret"), "{told}");
    }

    #[test]
    fn secrets_of_urls_are_not_shown() {
        assert_eq!(shown("https://me:sec@ret@x:1/y@z"), "https://x:1/y@z");
        assert_eq!(shown("me:secret@x"), "x");
        assert_eq!(shown("http://x/?q=a@b"), "http://x/?q=a@b");
        assert!(
            !format!("{:?}", Credentials { password: "secret".into(), ..Credentials::default() }).contains("secret")
        );
        assert_eq!(split("https://x/a?b").unwrap(), ("https://x:443".to_owned(), "/a?b".to_owned()));
        assert_eq!(split("http://me:x@[::1]:9").unwrap(), ("http://me:x@[::1]:9".to_owned(), "/".to_owned()));
    }
}
