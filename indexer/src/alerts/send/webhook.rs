//! A webhook of our own: everything that is known, as JSON, for programs.

use serde_json::{Value, json};

use super::{Notice, headline};

/// `{"version":1,"service":…,"status":"firing"|"resolved","title":…,"alerts":[…]}`; `firing` when any of them fires.
pub(super) fn body(service: &str, notices: &[&Notice], link: &str) -> Value {
    let alerts: Vec<Value> = notices
        .iter()
        .map(|notice| {
            json!({
                "rule": notice.rule, "level": notice.level, "status": if notice.ended { "resolved" } else { "firing" },
                "group_by": notice.group_by, "group": notice.group, "text": notice.text, "value": notice.value,
                "startsAt": notice.starts, "endsAt": notice.ended.then_some(&notice.ends),
            })
        })
        .collect();
    let firing = notices.iter().any(|notice| !notice.ended);
    json!({
        "version": 1, "service": service, "status": if firing { "firing" } else { "resolved" },
        "title": headline(service, notices), "link": link, "alerts": alerts,
    })
}
