//! The offer to take events in parts: made once on a connection, to a shipper that has said that it sends them.

use serde::Deserialize;
use weir_lumberjack::{PARTS_VERSION, encode_offer};

/// Whether the offer is to be made on a connection.
#[derive(Debug, Default)]
pub(super) enum Offer {
    /// No event has come.
    #[default]
    Unknown,
    /// The peer knows of events in parts, and nothing was said.
    Due,
    /// It was made, or the peer is another program: that would take it for a breach of the protocol.
    Over,
}

/// What our own shipper says of itself in every event.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "@metadata")]
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    beat: Option<String>,
    parts: Option<u32>,
}

impl Offer {
    /// Looks at the first event of the connection; the others say nothing new.
    pub(super) fn look(&mut self, document: &[u8]) {
        if !matches!(self, Self::Unknown) {
            return;
        }
        // What is no such document is another program's.
        let metadata = serde_json::from_slice::<Document>(document).ok().and_then(|document| document.metadata);
        let knows = |it: &Metadata| it.beat.as_deref() == Some("weir") && it.parts == Some(PARTS_VERSION);
        *self = if metadata.as_ref().is_some_and(knows) { Self::Due } else { Self::Over };
    }

    /// The frame to send now, if there is one.
    pub(super) fn take(&mut self) -> Vec<u8> {
        if !matches!(self, Self::Due) {
            return Vec::new();
        }
        *self = Self::Over;
        encode_offer().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_whose_first_event_asks_for_it_gets_the_offer_and_only_once() {
        for (first, due) in [
            (r#"{"@metadata":{"weir":{"start":7},"beat":"weir","parts":1}}"#, true),
            (r#"{"@metadata":{"beat":"weir","parts":2}}"#, false),
            (r#"{"@metadata":{"beat":"weir"}}"#, false),
            (r#"{"@metadata":{"beat":"filebeat","parts":1}}"#, false),
            (r#"{"json":{"@metadata":{"beat":"weir","parts":1}}}"#, false),
            (r#"{"message":"\"@metadata\":{\"beat\":\"weir\",\"parts\":1}"}"#, false),
            ("no document", false),
        ] {
            let mut offer = Offer::default();
            assert!(offer.take().is_empty(), "nothing is known yet");
            offer.look(first.as_bytes());
            offer.look(br#"{"@metadata":{"beat":"weir","parts":1}}"#);
            assert_eq!(offer.take() == encode_offer(), due, "{first}");
            assert!(offer.take().is_empty(), "it is made once");
        }
    }
}
