//! Tells receivers: one file a kind, each a function from notices to what goes out. Notices are grouped by service; each
//! service is a message of its own.

mod alertmanager;
mod slack;
mod smtp;
mod webhook;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use serde_json::Value;
use weir_daemon::client::{Credentials, Host, Payload, split};
use weir_daemon::tls::{TlsFiles, system_authorities};

use super::rule::Level;
use super::state::Told;

/// Longest wait for a receiver's answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest part of a receiver's answer that is quoted, in characters.
const QUOTE_CHARS_MAX: usize = 200;

/// How a receiver is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Prometheus' Alertmanager, API version 2.
    Alertmanager,
    /// JSON of our own.
    #[default]
    Webhook,
    /// Slack's incoming webhook, and what takes the same (Mattermost, Rocket.Chat).
    Slack,
    /// Mail.
    Smtp,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Smtp => "smtp",
        }
    }
}

/// Somebody who is told.
#[derive(Clone, Default)]
pub struct Receiver {
    /// What it is called; unique.
    pub name: String,
    /// See [`Kind`].
    pub kind: Kind,
    /// Where: `http(s)://…`, or `smtp://host:25`, `smtps://host:465` (TLS at once), `smtp+starttls://host:587`.
    pub url: String,
    /// User, for HTTP Basic and SMTP.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// A bearer token instead.
    pub token: String,
    /// PEM file of the authority; else those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Sender of mails.
    pub from: String,
    /// Addresses of mails.
    pub to: Vec<String>,
}

impl Receiver {
    /// Whether it can be used at all.
    ///
    /// # Errors
    /// What is wrong and what to do, without secrets.
    pub fn check(&self) -> Result<(), (String, String)> {
        if self.kind == Kind::Smtp {
            return smtp::check(self);
        }
        if !self.from.is_empty() || !self.to.is_empty() {
            return Err(("from and to are for mails".to_owned(), "kind = \"smtp\"".to_owned()));
        }
        self.host().map(|_| ()).map_err(|problem| (problem, "http://host:port/path, or https://…".to_owned()))
    }

    fn tls(&self) -> TlsFiles {
        TlsFiles { ca: self.ca.clone().or_else(system_authorities), ..TlsFiles::default() }
    }

    fn host(&self) -> Result<(Host, String), String> {
        let (base, path) = split(&self.url)?;
        let credentials = Credentials {
            user: self.user.clone(),
            password: self.password.clone(),
            bearer: self.token.clone(),
            ..Credentials::default()
        };
        Ok((Host::new(&base, &credentials, &self.tls(), ANSWER_TIME_MAX)?, path))
    }

    /// Posts JSON to the URL, with `more` behind its path.
    async fn post(&self, more: &str, body: &Value) -> Result<(), String> {
        let (host, path) = self.host()?;
        let path = if more.is_empty() { path } else { format!("{}{more}", path.trim_end_matches('/')) };
        let payload = Payload { bytes: body.to_string().into(), content_type: Some("application/json"), gzip: false };
        let answer = host.send(Method::POST, &path, payload).await.map_err(|error| error.to_string())?;
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        let said: String = String::from_utf8_lossy(&answer.body).chars().take(QUOTE_CHARS_MAX).collect();
        Err(format!("{} answered {}: {said}", host.address(), answer.status))
    }
}

/// What is to be told of one alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The rule's name.
    pub rule: String,
    /// The field that groups are values of.
    pub group_by: Option<String>,
    /// The group.
    pub group: Option<String>,
    /// How bad it is.
    pub level: Level,
    /// What the message says.
    pub text: String,
    /// The number that was compared.
    pub value: f64,
    /// When it began to fire (RFC 3339).
    pub starts: String,
    /// When it ended, or by when it is to be taken for ended if nobody says more.
    pub ends: String,
    /// It has ended.
    pub ended: bool,
    /// When this was made, in milliseconds since 1970.
    pub at: i64,
}

impl Notice {
    /// What the state keeps of it.
    pub fn told(&self) -> Told {
        Told { rule: self.rule.clone(), group: self.group.clone(), at: self.at, ended: self.ended }
    }

    /// The service that it is about; empty for those that are about none.
    pub fn service(&self) -> &str {
        self.group.as_deref().filter(|_| self.group_by.as_deref() == Some("service.name")).unwrap_or("")
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let state = if self.ended { "recovered" } else { self.level.name() };
        format!("[{state}] {}: {}", self.rule, self.text)
    }
}

/// Notices by the service that they are about.
fn by_service(notices: &[Notice]) -> BTreeMap<&str, Vec<&Notice>> {
    let mut services: BTreeMap<&str, Vec<&Notice>> = BTreeMap::new();
    for notice in notices {
        services.entry(notice.service()).or_default().push(notice);
    }
    services
}

/// What a message is about, in a few words.
fn headline(service: &str, notices: &[&Notice]) -> String {
    let firing = notices.iter().filter(|notice| !notice.ended).count();
    let what = match (firing, notices.len() - firing) {
        (0, ended) => format!("{ended} recovered"),
        (firing, 0) => format!("{firing} firing"),
        (firing, ended) => format!("{firing} firing, {ended} recovered"),
    };
    if service.is_empty() { format!("weir: {what}") } else { format!("weir: {service}: {what}") }
}

/// Tells a receiver. `link` is the page's address, or empty.
///
/// # Errors
/// Why it was not told, without secrets.
pub async fn send(receiver: &Receiver, notices: &[Notice], link: &str) -> Result<(), String> {
    match receiver.kind {
        Kind::Alertmanager => receiver.post("/api/v2/alerts", &alertmanager::body(notices, link)).await,
        Kind::Webhook => {
            for (service, notices) in by_service(notices) {
                receiver.post("", &webhook::body(service, &notices, link)).await?;
            }
            Ok(())
        }
        Kind::Slack => {
            for (service, notices) in by_service(notices) {
                receiver.post("", &slack::body(service, &notices, link)).await?;
            }
            Ok(())
        }
        Kind::Smtp => {
            for (service, notices) in by_service(notices) {
                smtp::send(receiver, service, &notices, link).await?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
pub(super) fn notice(group_by: &str, group: &str, ended: bool) -> Notice {
    Notice {
        rule: "errors rise".into(),
        group_by: Some(group_by.into()),
        group: Some(group.into()),
        level: Level::Warning,
        text: "web writes <20> errors & more".into(),
        value: 20.0,
        starts: "2026-11-25T20:00:00.000Z".into(),
        ends: "2026-11-25T20:03:00.000Z".into(),
        ended,
        at: 0,
    }
}
