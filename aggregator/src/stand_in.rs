//! A stand-in for the pipeline engine until it lands.

use bytes::Bytes;
use serde_json::{Map, Value, json};

pub(crate) struct Event(Map<String, Value>);

pub(crate) struct Identity {
    pub source: u64,
    pub start: u64,
    pub end: u64,
}

impl Event {
    pub fn from_json(document: &Bytes) -> Result<Self, String> {
        serde_json::from_slice(document).map(Self).map_err(|e| e.to_string())
    }

    pub fn from_text(message: &str, tag: &str) -> Self {
        let Value::Object(map) = json!({"message": message, "tags": [tag]}) else { unreachable!() };
        Self(map)
    }

    pub fn identity(&self) -> Option<Identity> {
        let weir = self.0.get("@metadata")?.get("weir")?;
        let source = u64::from_str_radix(weir.get("source")?.as_str()?, 16).ok()?;
        Some(Identity { source, start: weir.get("start")?.as_u64()?, end: weir.get("end")?.as_u64()? })
    }

    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut map = self.0.clone();
        map.remove("@metadata");
        out.extend_from_slice(Value::Object(map).to_string().as_bytes());
    }
}
