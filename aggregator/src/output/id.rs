//! Ids of documents whose event has no identity of weir's: the same event, sent again, gets the same id.

use crate::event::{Event, FieldPath, ValueRef};

/// FNV-1a with 128 bits (its offset basis and prime): no key, so that every aggregator of every version agrees.
const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// The fields that tell one line of one file from all others, as Filebeat sends them.
#[derive(Debug)]
pub(crate) struct ForeignIds {
    offset: FieldPath,
    parts: [FieldPath; 8],
}

impl ForeignIds {
    /// The fields, ready to be looked up.
    pub fn new() -> Self {
        let path = FieldPath::of;
        Self {
            offset: path(&["log", "offset"]),
            parts: [
                path(&["host", "name"]),
                path(&["agent", "id"]),
                path(&["container", "id"]),
                path(&["log", "file", "path"]),
                path(&["log", "file", "inode"]),
                path(&["log", "file", "device_id"]),
                path(&["@timestamp"]),
                path(&["message"]),
            ],
        }
    }

    /// Writes the id of an event that names its place in a file; false when it does not.
    /// To be asked before the pipeline changes the event: a filter may add the present time.
    pub fn write(&self, event: &Event, id: &mut String) -> bool {
        let Some(ValueRef::Int(offset)) = event.get(&self.offset) else { return false };
        let mut hash = BASIS;
        let mut feed = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
            }
        };
        feed(&offset.to_be_bytes());
        for part in &self.parts {
            if let Some(value) = event.get(part) {
                feed(value.to_text().as_bytes());
            }
            // A byte that no UTF-8 text holds keeps neighbouring fields apart.
            feed(&[0xff]);
        }
        use std::fmt::Write as _;
        // Writing to a String cannot fail.
        let _ = write!(id, "{hash:032x}");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(json: &str) -> Option<String> {
        let mut id = String::new();
        ForeignIds::new().write(&Event::from_json(json.to_owned().into()).unwrap(), &mut id).then_some(id)
    }

    #[test]
    fn an_event_of_a_file_has_an_id_that_depends_on_its_place_and_text() {
        let line = r#"{"@timestamp":"2024-05-01T12:00:00Z","message":"a","log":{"offset":7,"file":{"path":"/x"}},"host":{"name":"h"}}"#;
        let first = id(line).unwrap();
        assert_eq!(first.len(), 32);
        assert_eq!(id(line).unwrap(), first);
        for (from, to) in [("7", "8"), ("/x", "/y"), ("\"a\"", "\"b\""), ("12:00:00", "12:00:01"), ("\"h\"", "\"i\"")] {
            assert_ne!(id(&line.replace(from, to)).unwrap(), first, "{from} to {to}");
        }
        assert_eq!(id(r#"{"message":"a"}"#), None);
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // The published value of the empty string is the basis itself; this is that of "a".
        let hash = (BASIS ^ u128::from(b'a')).wrapping_mul(PRIME);
        assert_eq!(format!("{hash:032x}"), "d228cb696f1a8caf78912b704e4a8964");
    }
}
