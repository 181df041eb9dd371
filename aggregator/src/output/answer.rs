//! The answer to a `_bulk` request: what became of each item.

use std::fmt;

use crate::front::front;

use memchr::memmem;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// Bytes of the answer in which `"errors":false` is looked for: it stands before the items in all known servers.
const HEAD_BYTES: usize = 256;
/// Longest reason that is kept of a rejected document: as much as a person reads.
const REASON_BYTES_MAX: usize = 2000;

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is stored, or was stored before.
    Delivered,
    /// The host could not take it now.
    Retry,
    /// The host will never take it.
    Rejected {
        /// Status of the item.
        status: u16,
        /// Kind of the error, such as `document_parsing_exception`.
        kind: String,
        /// What the host said.
        reason: String,
    },
}

/// The fates of a request's items, or `None` when all are delivered.
///
/// # Errors
/// What is wrong with the answer, when it is not one for `items` items: nothing is known of any of them then.
pub(crate) fn fates(body: &[u8], items: usize) -> Result<Option<Vec<Fate>>, String> {
    let head = &body[..body.len().min(HEAD_BYTES)];
    if memmem::find(head, b"\"errors\":false").is_some() && memmem::find_iter(body, b"\"status\":").count() == items {
        return Ok(None);
    }
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| format!("the answer to _bulk is not understood: {error}"))?;
    if answer.items.len() != items {
        return Err(format!("the answer to _bulk has {} items for {items} that were sent", answer.items.len()));
    }
    Ok(Some(answer.items.into_iter().map(ItemAnswer::fate).collect()))
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<ItemAnswer>,
}

/// One item: an object of one key (the action), whose value says how it went.
struct ItemAnswer(Outcome);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome {
    status: u16,
    error: Option<Trouble>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Trouble {
    Full {
        #[serde(default, rename = "type")]
        kind: Option<String>,
        #[serde(default)]
        reason: Option<String>,
    },
    Text(String),
}

impl<'de> Deserialize<'de> for ItemAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneKey;
        impl<'de> Visitor<'de> for OneKey {
            type Value = ItemAnswer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of one key, the action")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ItemAnswer, A::Error> {
                let mut outcome = Outcome::default();
                if map.next_key::<IgnoredAny>()?.is_some() {
                    outcome = map.next_value()?;
                }
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(ItemAnswer(outcome))
            }
        }
        deserializer.deserialize_map(OneKey)
    }
}

impl ItemAnswer {
    fn fate(self) -> Fate {
        match self.0.status {
            // 409: a document of this id (or beyond this position) is there, so an earlier attempt had got through.
            200..=299 | 409 => Fate::Delivered,
            status @ 400..=499 if status != 429 && status != 408 => {
                let (kind, reason) = match self.0.error {
                    Some(Trouble::Full { kind, reason }) => (kind.unwrap_or_default(), reason.unwrap_or_default()),
                    Some(Trouble::Text(text)) => (String::new(), text),
                    None => (String::new(), String::new()),
                };
                Fate::Rejected { status, kind: shorten(kind), reason: shorten(reason) }
            }
            // 429, 5xx, and what should not be there (an item without a status).
            _ => Fate::Retry,
        }
    }
}

pub(crate) fn shorten(mut text: String) -> String {
    if text.len() > REASON_BYTES_MAX {
        text.truncate(front(&text, REASON_BYTES_MAX).len());
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_errors_is_read_fast_but_its_items_are_counted() {
        let good =
            br#"{"took":3,"errors":false,"items":[{"create":{"_id":"a","status":201}},{"create":{"status":200}}]}"#;
        assert_eq!(fates(good, 2), Ok(None));
        assert!(fates(good, 3).unwrap_err().contains("2 items for 3"));
        let told = br#"{"items":[{"create":{"status":201}}],"took":3}"#;
        assert_eq!(fates(told, 1), Ok(Some(vec![Fate::Delivered])));
    }

    #[test]
    fn each_item_has_its_fate() {
        let body = br#"{"took":3,"errors":true,"items":[
            {"create":{"_index":"i","_id":"a","status":201,"result":"created"}},
            {"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"exists"}}},
            {"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"queue"}}},
            {"index":{"status":400,"error":{"type":"document_parsing_exception","reason":"no date","caused_by":{"type":"x"}}}},
            {"create":{"status":404,"error":"no such index"}},
            {"create":{"status":503}},
            {"create":{}}]}"#;
        let rejected =
            |status, kind: &str, reason: &str| Fate::Rejected { status, kind: kind.into(), reason: reason.into() };
        assert_eq!(
            fates(body, 7).unwrap().unwrap(),
            [
                Fate::Delivered,
                Fate::Delivered,
                Fate::Retry,
                rejected(400, "document_parsing_exception", "no date"),
                rejected(404, "", "no such index"),
                Fate::Retry,
                Fate::Retry
            ]
        );
    }

    #[test]
    fn nonsense_is_told_and_long_reasons_are_cut() {
        assert!(fates(b"<html>", 1).is_err());
        assert!(fates(br#"{"errors":false}"#, 1).is_err());
        assert_eq!(shorten("ü".repeat(1500)).chars().count(), 1001);
    }
}
