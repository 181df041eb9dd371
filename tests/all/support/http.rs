//! A small blocking HTTP/1.1 client: one request a connection, so that a test sees exactly what a server does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Nothing that a test asks takes longer, even on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; a test that expects JSON fails when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in the answer {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends one request and reads the answer. An error is one line that says what went wrong.
pub fn ask(to: SocketAddr, method: &str, path: &str, content_type: &str, body: &[u8]) -> Result<Answer, String> {
    let told = |error: std::io::Error| format!("{method} http://{to}{path}: {error}");
    let mut stream = TcpStream::connect_timeout(&to, TIMEOUT).map_err(told)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(told)?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(told)?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).map_err(told)?;
    // A server that refuses a large body may answer and close before it has read it all: the answer counts.
    let sent = stream.write_all(body);
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    parse(&bytes).ok_or_else(|| match (sent, read) {
        (Err(error), _) | (_, Err(error)) => told(error),
        _ => format!("{method} http://{to}{path}: a torn answer of {} bytes", bytes.len()),
    })
}

/// GET.
pub fn get(to: SocketAddr, path: &str) -> Result<Answer, String> {
    ask(to, "GET", path, "application/json", b"")
}

/// POST of JSON; an answer other than 200 is an error.
pub fn post(to: SocketAddr, path: &str, body: &Value) -> Result<Value, String> {
    let answer = ask(to, "POST", path, "application/json", body.to_string().as_bytes())?;
    if answer.status != 200 {
        return Err(format!("POST {path} answered {}: {}", answer.status, answer.text()));
    }
    Ok(answer.json())
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let raw = &bytes[end + 4..];
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    let body = if header("transfer-encoding") == Some("chunked") {
        unchunk(raw)?
    } else if let Some(length) = header("content-length") {
        raw.get(..length.parse().ok()?)?.to_vec()
    } else {
        raw.to_vec()
    };
    Some(Answer { status, body })
}

fn unchunk(mut raw: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = raw.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(raw.get(end + 2..end + 2 + size)?);
        raw = raw.get(end + 2 + size + 2..)?;
    }
}
