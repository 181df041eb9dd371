//! Dead letters: what is left of a document that its index will never take, in a form that any index takes.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::front::front;
use crate::output::answer::shorten;
use crate::output::bulk::{Action, Body, Chunk, Item, Target};

/// Bytes of a refused document that its dead letter keeps. More would make the letter itself too large for a host that
/// has refused the document for its size.
const ORIGINAL_BYTES_MAX: usize = 256 << 10;

/// Why a document is dead.
#[derive(Debug)]
pub(crate) struct Reason<'a> {
    /// Status of the item, or of the request that held it alone.
    pub status: u16,
    /// The host's kind of error.
    pub kind: &'a str,
    /// The host's words.
    pub text: &'a str,
}

/// Appends the dead letter of `item` to `body`: the same id, index `index`, all fields of types that nothing can refuse.
pub(crate) fn push(body: &mut Body, index: &str, chunk: &Chunk, item: &Item, reason: &Reason<'_>) {
    let action: Value = serde_json::from_slice(chunk.action(item)).unwrap_or_default();
    let action = action.as_object().and_then(|actions| actions.values().next()).unwrap_or(&Value::Null);
    let text = String::from_utf8_lossy(chunk.document(item));
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    let now = Timestamp::now();
    // The time itself may be what was refused.
    let time = document["@timestamp"].as_str().and_then(|text| text.parse().ok()).unwrap_or(now);
    let mut letter = json!({
        "@timestamp": time.to_string(),
        "message": format!("{} refused a document with {}: {}", text_of(&action["_index"]), reason.status, reason.text),
        "error": { "code": reason.status.to_string(), "type": reason.kind, "message": reason.text },
        "event": { "kind": "pipeline_error", "original": front(&text, ORIGINAL_BYTES_MAX) },
        "labels": { "index": text_of(&action["_index"]) },
    });
    for (object, field) in [("service", "name"), ("container", "name"), ("host", "name")] {
        if let Some(name) = document[object][field].as_str() {
            letter[object] = json!({ field: shorten(name.to_owned()) });
        }
    }
    let target =
        Target { index, id: action["_id"].as_str(), end: None, source: 0, action: Action::Create, joined: false };
    body.push(target, |out| out.extend_from_slice(letter.to_string().as_bytes()));
    body.last_is_dead();
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or("the index")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(document: &str) -> (Value, Value) {
        let mut body = Body::default();
        let target =
            Target { index: "logs", id: Some("a-1"), end: Some(9), source: 7, action: Action::Create, joined: false };
        body.push(target, |out| out.extend_from_slice(document.as_bytes()));
        let chunk = body.finish();
        let mut dead = Body::default();
        push(&mut dead, "dead", &chunk, &chunk.items[0], &Reason { status: 400, kind: "parsing", text: "no date" });
        let dead = dead.finish();
        assert!(dead.items[0].dead);
        let parse = |bytes| serde_json::from_slice(bytes).unwrap();
        (parse(dead.action(&dead.items[0])), parse(dead.document(&dead.items[0])))
    }

    #[test]
    fn it_keeps_id_time_names_and_text() {
        let document = r#"{"@timestamp":"2024-05-01T12:00:00.5Z","message":"x","service":{"name":"web"},"n":1}"#;
        let (action, letter) = letter(document);
        assert_eq!(action, json!({ "create": { "_index": "dead", "_id": "a-1" } }));
        assert_eq!(letter["@timestamp"], "2024-05-01T12:00:00.5Z");
        assert_eq!(letter["event"]["original"], document);
        assert_eq!(letter["service"], json!({ "name": "web" }));
        assert_eq!(letter["error"], json!({ "code": "400", "type": "parsing", "message": "no date" }));
        assert_eq!(letter["message"], "logs refused a document with 400: no date");
    }

    #[test]
    fn it_takes_what_is_wrong_or_too_long() {
        let (_, odd) = letter(r#"{"@timestamp":"yesterday","service":"web"}"#);
        assert!(odd["@timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
        let (_, long) = letter(&format!(r#"{{"message":"{}"}}"#, "ü".repeat(ORIGINAL_BYTES_MAX)));
        assert!(long["event"]["original"].as_str().unwrap().len() <= ORIGINAL_BYTES_MAX);
    }
}
