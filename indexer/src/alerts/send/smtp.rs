//! Mail by SMTP (RFC 5321), with TLS at once or after STARTTLS (RFC 3207), and AUTH PLAIN (RFC 4954), which is only ever
//! sent over TLS or to this machine. The body is UTF-8 in base64, so that no line of it can be taken for SMTP.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use weir_daemon::tls::client_config;

use super::{Notice, Receiver, headline};
use crate::base64;
use crate::time::now;

/// Longest wait for a connection, and for each answer.
const STEP_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest line of an answer, in bytes; the standard says 512.
const LINE_BYTES_MAX: u64 = 4_096;
/// Most lines of one answer.
const LINES_MAX: usize = 100;
/// Most addresses of one receiver.
const TO_MAX: usize = 50;

/// When TLS begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tls {
    Never,
    AtOnce,
    AfterStart,
}

struct Where {
    host: String,
    port: u16,
    tls: Tls,
}

fn place(url: &str) -> Option<Where> {
    let (scheme, rest) = url.split_once("://")?;
    let (tls, port) = match scheme {
        "smtp" => (Tls::Never, 25),
        "smtps" => (Tls::AtOnce, 465),
        "smtp+starttls" => (Tls::AfterStart, 587),
        _ => return None,
    };
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, given)) if !host.is_empty() && !given.contains(']') => (host, given.parse().ok()?),
        _ => (rest, port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    (!host.is_empty() && !host.contains(['/', '@', ' '])).then_some(Where { host, port, tls })
}

/// Whether a receiver can be used.
///
/// # Errors
/// What is wrong and what to do.
pub(super) fn check(receiver: &Receiver) -> Result<(), (String, String)> {
    let wrong = |problem: &str, hint: &str| Err((problem.to_owned(), hint.to_owned()));
    let hint = "smtp://host:25, smtps://host:465 or smtp+starttls://host:587; user and password_file beside it";
    let Some(place) = place(&receiver.url) else { return wrong("this is no smtp address", hint) };
    let plain =
        |text: &str| text.contains('@') && text.bytes().all(|b| b.is_ascii_graphic() && !b"<>\",;".contains(&b));
    if !plain(&receiver.from) || receiver.to.is_empty() || !receiver.to.iter().all(|to| plain(to)) {
        return wrong("mails need from and to", "from = \"weir@example.org\", to = [\"ops@example.org\"]");
    }
    if receiver.to.len() > TO_MAX {
        return wrong("there are too many addresses in to", "a mailing list");
    }
    let local = place.host == "localhost" || place.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if !receiver.user.is_empty() && place.tls == Tls::Never && !local {
        return wrong("the password would cross the network in the clear", "smtps:// or smtp+starttls://");
    }
    if place.tls != Tls::Never && receiver.tls().ca.is_none() {
        return wrong("TLS needs an authority, and this system has none", "ca = \"file.pem\"");
    }
    Ok(())
}

/// Sends one mail.
///
/// # Errors
/// Which step failed, and what the server said.
pub(super) async fn send(receiver: &Receiver, service: &str, notices: &[&Notice], link: &str) -> Result<(), String> {
    let place = place(&receiver.url).ok_or_else(|| "this is no smtp address".to_owned())?;
    let mail = mail(receiver, &headline(service, notices), &text(notices, link));
    let connecting = TcpStream::connect((place.host.as_str(), place.port));
    let stream =
        tokio::time::timeout(STEP_TIME_MAX, connecting).await.map_err(|_| "no connection in time".to_owned())?;
    let stream = stream.map_err(|error| format!("cannot connect to {}:{}: {error}", place.host, place.port))?;
    match place.tls {
        Tls::Never => {
            let mut server = Server::new(stream);
            server.expect(220, "the greeting").await?;
            server.hello().await?;
            server.deliver(receiver, &mail).await
        }
        Tls::AtOnce => {
            let mut server = Server::new(secure(receiver, &place.host, stream).await?);
            server.expect(220, "the greeting").await?;
            server.hello().await?;
            server.deliver(receiver, &mail).await
        }
        Tls::AfterStart => {
            let mut server = Server::new(stream);
            server.expect(220, "the greeting").await?;
            server.hello().await?;
            server.say("STARTTLS", 220, "STARTTLS").await?;
            // What came before TLS counts for nothing.
            let stream = server.stream.into_inner();
            let mut server = Server::new(secure(receiver, &place.host, stream).await?);
            server.hello().await?;
            server.deliver(receiver, &mail).await
        }
    }
}

async fn secure(
    receiver: &Receiver,
    host: &str,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let config = client_config(&receiver.tls()).map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let handshake = TlsConnector::from(config).connect(name, stream);
    let done =
        tokio::time::timeout(STEP_TIME_MAX, handshake).await.map_err(|_| "no TLS handshake in time".to_owned())?;
    done.map_err(|error| format!("TLS with {host}: {error}"))
}

struct Server<S> {
    stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    async fn hello(&mut self) -> Result<(), String> {
        self.say("EHLO weir", 250, "EHLO").await
    }

    async fn deliver(&mut self, receiver: &Receiver, mail: &str) -> Result<(), String> {
        if !receiver.user.is_empty() {
            let secret = base64::encode(format!("\0{}\0{}", receiver.user, receiver.password).as_bytes());
            self.say(&format!("AUTH PLAIN {secret}"), 235, "AUTH").await?;
        }
        self.say(&format!("MAIL FROM:<{}>", receiver.from), 250, "MAIL FROM").await?;
        for to in &receiver.to {
            self.say(&format!("RCPT TO:<{to}>"), 250, "RCPT TO").await?;
        }
        self.say("DATA", 354, "DATA").await?;
        self.say(&format!("{mail}\r\n."), 250, "the mail").await?;
        // The mail is taken; how the server says goodbye changes nothing.
        let _ = self.say("QUIT", 221, "QUIT").await;
        Ok(())
    }

    /// `step` is what errors say instead of the text, which may hold a password.
    async fn say(&mut self, text: &str, code: u16, step: &str) -> Result<(), String> {
        let writing = async {
            self.stream.write_all(format!("{text}\r\n").as_bytes()).await?;
            self.stream.flush().await
        };
        let written = tokio::time::timeout(STEP_TIME_MAX, writing).await;
        written.map_err(|_| format!("{step} was not taken in time"))?.map_err(|error| format!("{step}: {error}"))?;
        self.expect(code, step).await
    }

    async fn expect(&mut self, code: u16, step: &str) -> Result<(), String> {
        let answer = tokio::time::timeout(STEP_TIME_MAX, self.answer()).await;
        let answer = answer.map_err(|_| format!("{step} was not answered in time"))?;
        let (given, text) = answer.map_err(|error| format!("{step}: {error}"))?;
        if given == code { Ok(()) } else { Err(format!("{step} was answered with {given} {text}")) }
    }

    async fn answer(&mut self) -> Result<(u16, String), String> {
        for _ in 0..LINES_MAX {
            let mut line = String::new();
            let read = (&mut self.stream).take(LINE_BYTES_MAX).read_line(&mut line).await;
            if read.map_err(|error| error.to_string())? == 0 {
                return Err("the server closed the connection".to_owned());
            }
            let code = line.get(..3).and_then(|code| code.parse().ok()).ok_or("the answer is no SMTP")?;
            // `250-` says that more lines follow.
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok((code, line.get(4..).unwrap_or("").trim_end().to_owned()));
            }
        }
        Err("the answer has no end".to_owned())
    }
}

fn text(notices: &[&Notice], link: &str) -> String {
    let mut text = String::new();
    for notice in notices {
        text.push_str(&notice.line());
        let ended = if notice.ended { format!(", until {}", notice.ends) } else { String::new() };
        text.push_str(&format!("\n    since {}{ended}\n\n", notice.starts));
    }
    text.push_str(link);
    text
}

/// Headers and body (RFC 5322, RFC 2045, RFC 2047).
fn mail(receiver: &Receiver, subject: &str, text: &str) -> String {
    let moment = jiff::Timestamp::from_nanosecond(now()).unwrap_or_default();
    let date = jiff::fmt::rfc2822::to_string(&moment.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default();
    let body = base64::encode(text.as_bytes());
    let lines: Vec<&str> = body.as_bytes().chunks(76).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    // A line with an encoded word has at most 76 characters, the header's name included: 39 bytes of text in base64.
    let mut words = Vec::new();
    let mut word = String::new();
    for c in subject.chars() {
        if word.len() + c.len_utf8() > 39 {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let words: Vec<_> = words.iter().map(|word| format!("=?utf-8?B?{}?=", base64::encode(word.as_bytes()))).collect();
    format!(
        "From: <{}>\r\nTo: {}\r\nSubject: {}\r\nDate: {date}\r\nMessage-ID: <{}.weir@{}>\r\nMIME-Version: 1.0\r\n\
         Auto-Submitted: auto-generated\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
        receiver.from,
        receiver.to.iter().map(|to| format!("<{to}>")).collect::<Vec<_>>().join(",\r\n "),
        words.join("\r\n "),
        now(),
        receiver.from.rsplit('@').next().unwrap_or("weir"),
        lines.join("\r\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::notice;
    use super::*;

    fn receiver(url: &str) -> Receiver {
        Receiver {
            url: url.into(),
            from: "weir@example.org".into(),
            to: vec!["ops@example.org".into()],
            ..Receiver::default()
        }
    }

    #[test]
    fn addresses_are_read_and_wrong_ones_told() {
        assert!(check(&receiver("smtp://127.0.0.1:2525")).is_ok());
        let place = place("smtps://[::1]").unwrap();
        assert_eq!((place.host.as_str(), place.port), ("::1", 465));
        for url in ["http://x", "smtp://", "smtp://a b", "smtp://x:port"] {
            assert!(check(&receiver(url)).is_err(), "{url}");
        }
        let clear = Receiver { user: "me".into(), ..receiver("smtp://mail.example") };
        assert!(check(&clear).unwrap_err().0.contains("in the clear"));
        let injected = Receiver { to: vec!["a@b\r\nRCPT TO:<x@y>".into()], ..receiver("smtp://localhost") };
        assert!(check(&injected).is_err());
    }

    #[test]
    fn a_mail_has_short_lines_of_plain_letters() {
        let one = notice("service.name", "grüße", false);
        let mail =
            mail(&receiver("smtp://x"), &headline("grüße ".repeat(30).trim(), &[&one]), &text(&[&one], "http://x"));
        assert!(mail.is_ascii());
        assert!(mail.split("\r\n").all(|line| line.len() <= 78 && line != "."), "{mail}");
        assert!(!mail.replace("\r\n", "").contains('\n'));
    }
}
