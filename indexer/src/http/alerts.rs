//! Alerts for the page: `GET /api/alerts`; silences: `POST /api/silences` (`{"rule": "*", "group": "web", "for": "2h",
//! "why": …}`) and `DELETE /api/silences/{id}`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::{Call, Endpoint, Reply};
use crate::access::{Reach, Role};
use crate::alerts::silence::{LENGTH_MAX_MS, Silence};
use crate::error::{Error, Result};
use crate::mapping::wildcard;
use crate::time::{now, span, to_millis};

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET"], path: "/api/alerts", params: &[], run: |call| Box::pin(list(call)) },
    Endpoint { methods: &["POST"], path: "/api/silences", params: &[], run: |call| Box::pin(silence(call)) },
    Endpoint { methods: &["DELETE"], path: "/api/silences/{id}", params: &[], run: |call| Box::pin(unsilence(call)) },
];

/// Longest text of a member, in characters.
const TEXT_CHARS_MAX: usize = 300;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default = "every")]
    rule: String,
    #[serde(default = "every")]
    group: String,
    #[serde(rename = "for")]
    length: String,
    #[serde(default)]
    why: String,
}

fn every() -> String {
    "*".to_owned()
}

async fn list(call: Call) -> Result<Reply> {
    let who = call.context.principal.as_ref();
    let reach = who.filter(|who| who.role == Role::Read && !who.reach.is_all()).map(|who| who.reach.clone());
    let shown = call.context.alerts.show(|field, group| reach.as_ref().is_none_or(|reach| sees(reach, field, group)));
    Ok(Reply::json(&shown))
}

/// Whoever sees only some services sees the alerts of these: other texts quote lines of others.
fn sees(reach: &Reach, field: Option<&str>, group: Option<&str>) -> bool {
    let listed = |group: &str| reach.services.iter().any(|pattern| wildcard(pattern, group));
    reach.indices.is_empty() && field == Some("service.name") && group.is_some_and(listed)
}

async fn silence(call: Call) -> Result<Reply> {
    let asked: Asked = serde_json::from_slice(&call.body).map_err(|error| {
        Error::parsing(format!("a silence is {{\"rule\": …, \"group\": …, \"for\": \"2h\"}}: {error}"))
    })?;
    let length = span::duration(&asked.length).map_or(0, |length| length.as_millis() as i64);
    if !(1..=LENGTH_MAX_MS).contains(&length) {
        return Err(Error::illegal_argument(format!("[for] is [{}]; a time such as 2h, at most 30d", asked.length)));
    }
    if [&asked.rule, &asked.group, &asked.why].iter().any(|text| text.chars().count() > TEXT_CHARS_MAX) {
        return Err(Error::illegal_argument(format!("no text is longer than {TEXT_CHARS_MAX} characters")));
    }
    let now = to_millis(now());
    let made = crate::access::token::make().map_err(Error::internal)?;
    let by = call.context.principal.as_ref().map_or_else(String::new, |who| who.name.to_string());
    let silence =
        Silence { id: made.id, rule: asked.rule, group: asked.group, until: now + length, by, why: asked.why };
    let answer = json!({"id": silence.id, "until": silence.until});
    let context = Arc::clone(&call.context);
    let done = tokio::task::spawn_blocking(move || context.alerts.silence(silence)).await.map_err(Error::internal)?;
    done.map_err(Error::illegal_argument)?;
    Ok(Reply::json(&answer))
}

async fn unsilence(call: Call) -> Result<Reply> {
    let id = call.part("id").unwrap_or_default().to_owned();
    let context = Arc::clone(&call.context);
    let asked = id.clone();
    let done = tokio::task::spawn_blocking(move || context.alerts.unsilence(&asked)).await.map_err(Error::internal)?;
    if done.map_err(Error::internal)? {
        return Ok(Reply::json(&json!({"result": "deleted"})));
    }
    Err(Error::new(404, "resource_not_found_exception", format!("there is no silence [{id}]")))
}
