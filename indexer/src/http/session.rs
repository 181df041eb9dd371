//! Logging in and out for the web page, and who one is.
//!
//! How a page uses it:
//!
//! - `GET /api/session` answers everybody `{"required": bool, "user": name or null, "role": …, "csrf": …}`. `required` says
//!   whether credentials are needed at all; `user` is null until somebody is logged in (or sends credentials).
//! - `POST /api/session` with `{"user": …, "password": …}` answers `{"required": true, "user": …, "role": …, "csrf": …}` and
//!   sets the session's cookie, which no script can read. A wrong password is 401; after ten of them from one address it is
//!   429 with `Retry-After` in seconds.
//! - With the cookie every `GET` (also `EventSource`) is let in. Every other method, `_search` by `POST` included, must carry
//!   the header `X-Weir-CSRF` with the value of `csrf`: without it the answer is 403.
//! - A 401 to any other request means that the session is over: show the form.
//! - `DELETE /api/session` (with the header) logs out.
//!
//! A session ends after 8 hours without a request, after 24 hours in any case, when the password changes, and when the
//! indexer restarts.

use hyper::header::{CACHE_CONTROL, HeaderValue, SET_COOKIE};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Endpoint, Reply};
use crate::access::audit::Event;
use crate::access::gate::{Denied, set_cookie};
use crate::access::session::csrf_fits;
use crate::access::{Principal, gate};
use crate::error::{Error, Result};

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET"], path: "/api/session", params: &[], run: |call| Box::pin(show(call)) },
    Endpoint { methods: &["POST"], path: "/api/session", params: &[], run: |call| Box::pin(log_in(call)) },
    Endpoint { methods: &["DELETE"], path: "/api/session", params: &[], run: |call| Box::pin(log_out(call)) },
    Endpoint {
        methods: &["GET"],
        path: "/_security/_authenticate",
        params: &[],
        run: |call| Box::pin(authenticate(call)),
    },
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    user: String,
    password: String,
}

fn about(principal: Option<&Principal>, csrf: Option<&str>, required: bool) -> Value {
    json!({
        "required": required,
        "user": principal.map(|who| &*who.name),
        "role": principal.map(|who| who.role.name()),
        "csrf": csrf,
    })
}

fn uncached(mut reply: Reply) -> Reply {
    reply.headers.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    reply
}

async fn show(call: Call) -> Result<Reply> {
    let gate = &call.context.gate;
    let required = gate.is_required();
    let tls = call.context.config.tls.is_some();
    let answer = match gate.session_of(&call.headers, tls) {
        Some((principal, csrf)) => about(Some(&principal), Some(&csrf), required),
        // With credentials in a header, or where none are needed, one is somebody without a session.
        None => about(call.context.principal.as_ref(), None, required),
    };
    Ok(uncached(Reply::json(&answer)))
}

async fn log_in(call: Call) -> Result<Reply> {
    // The reason must not quote the body: there is a password in it.
    let login: Login = serde_json::from_slice(&call.body)
        .map_err(|_| Error::parsing("to log in send {\"user\": …, \"password\": …} as JSON"))?;
    let gate = &call.context.gate;
    let refused = |denied| super::denied::reply(denied, "/api/session", false);
    let principal = match gate.password(&login.user, &login.password, call.peer).await {
        Ok(principal) => principal,
        Err(denied) => return Ok(refused(denied)),
    };
    let tls = call.context.config.tls.is_some();
    // Whoever was logged in here before is not any more.
    gate.close_session(&call.headers, tls);
    let opened = gate.open_session(&principal).map_err(Error::internal)?;
    let mut reply = uncached(Reply::json(&about(Some(&principal), Some(&opened.csrf), true)));
    reply.headers.push((SET_COOKIE, HeaderValue::try_from(set_cookie(&opened.cookie, tls)).map_err(Error::internal)?));
    Ok(reply)
}

async fn log_out(call: Call) -> Result<Reply> {
    let gate = &call.context.gate;
    let tls = call.context.config.tls.is_some();
    if let Some((principal, csrf)) = gate.session_of(&call.headers, tls) {
        if !csrf_fits(call.headers.get(gate::CSRF_HEADER).map(HeaderValue::as_bytes), &csrf) {
            return Ok(super::denied::reply(Denied::Csrf, "/api/session", false));
        }
        gate.close_session(&call.headers, tls);
        gate.audit.note(Event::Logout, &principal.name, call.peer, "");
    }
    let mut reply = uncached(Reply::json(&about(None, None, gate.is_required())));
    reply.headers.push((SET_COOKIE, HeaderValue::try_from(set_cookie("", tls)).map_err(Error::internal)?));
    Ok(reply)
}

/// As Elasticsearch's clients ask who they are.
async fn authenticate(call: Call) -> Result<Reply> {
    let nobody = Principal::anybody();
    let who = call.context.principal.as_ref().unwrap_or(&nobody);
    Ok(Reply::json(&json!({
        "username": &*who.name, "roles": [who.role.name()], "full_name": null, "email": null, "metadata": {},
        "enabled": true, "authentication_realm": {"name": "weir", "type": "file"},
        "lookup_realm": {"name": "weir", "type": "file"}, "authentication_type": "realm",
    })))
}
