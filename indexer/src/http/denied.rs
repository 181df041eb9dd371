//! The answers to those who are not let in, in the shape in which Elasticsearch says it.

use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use serde_json::json;

use super::Reply;
use crate::access::Principal;
use crate::access::gate::Denied;
use crate::error::Error;

const BASIC: &str = "Basic realm=\"weir\", charset=\"UTF-8\"";

/// The answer to a request that says not, or not rightly, who asks. `challenge`: name the ways to say so. A browser
/// answers a challenge with a window of its own, so the page's own requests go without.
pub(super) fn reply(denied: Denied, path: &str, challenge: bool) -> Reply {
    let reason = match denied {
        Denied::Missing => format!("missing authentication credentials for REST request [{path}]"),
        Denied::Wrong => format!("unable to authenticate with the provided credentials for REST request [{path}]"),
        Denied::Limited(seconds) => {
            let reason = "too many wrong passwords from this address";
            return Reply::from(Error::too_many_requests("security_exception", reason, seconds));
        }
        Denied::Csrf => {
            let reason = "a session needs the header X-Weir-CSRF with the token of GET /api/session";
            return Reply::from(Error::new(403, "security_exception", reason));
        }
    };
    let mut error = Error::new(401, "security_exception", reason);
    if !challenge {
        return Reply::from(error);
    }
    error = error.with("header", json!({"WWW-Authenticate": [BASIC, "ApiKey", "Bearer realm=\"weir\""]}));
    let mut reply = Reply::from(error);
    for way in [BASIC, "ApiKey", "Bearer realm=\"weir\""] {
        reply.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static(way)));
    }
    reply
}

/// 403: somebody known asks for what they may not do.
pub(super) fn forbidden(who: &Principal, method: &str, path: &str) -> Error {
    let reason = format!(
        "action [{method} {path}] is unauthorized for user [{}] with effective roles [{}]",
        who.name,
        who.role.name()
    );
    Error::new(403, "security_exception", reason)
}
