//! All of an event at once: as JSON text, and as an object.

use super::{Event, FieldPath, LOG_BIT, METADATA_BIT, Object, Text, Value, json};

impl Event {
    /// Appends the event as one JSON object, without `[@metadata]`. What is untouched of the shared part is copied as
    /// the bytes it came in.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        for (name, value) in &self.fields {
            json::write_name(out, name, &mut first);
            json::write(out, value.as_ref());
        }
        if let Some(shared) = &self.shared {
            if self.hidden & !METADATA_BIT == 0 {
                self.write_log_start(out, &mut first);
                out.extend_from_slice(&shared.tail);
                return;
            }
            if self.hidden & LOG_BIT == 0 {
                self.write_log_start(out, &mut first);
                json::write_entries(out, &shared.log, false);
                out.push(b'}');
            }
            for (index, (_, _, bytes)) in shared.fields.iter().enumerate() {
                if self.hidden & 1 << index == 0 {
                    if !first {
                        out.push(b',');
                    }
                    first = false;
                    out.extend_from_slice(bytes);
                }
            }
        }
        out.push(b'}');
    }

    fn write_log_start(&self, out: &mut Vec<u8>, first: &mut bool) {
        json::write_name(out, "log", first);
        out.extend_from_slice(b"{\"offset\":");
        json::write_u64(out, self.log_offset);
        if let Some(level) = &self.log_level {
            out.extend_from_slice(b",\"level\":");
            json::write(out, level.as_ref());
        }
    }

    /// The whole event as an object, `[@metadata]` as a field; for explaining and tests.
    pub fn to_object(&self) -> Object {
        let mut object = Object::new();
        for name in self.names() {
            if let Some(value) = self.get_owned(&FieldPath::of(&[&name])) {
                object.push(name, value);
            }
        }
        if let Some(Value::Object(metadata)) = self.get_owned(&FieldPath::of(&["@metadata"]))
            && !metadata.is_empty()
        {
            object.push(Text::from_static("@metadata"), Value::Object(metadata));
        }
        object
    }
}
