//! The field `tags` of an event.

use super::{Event, Text, Value};

impl Event {
    /// Whether `tags` holds `tag`.
    pub fn has_tag(&self, tag: &str) -> bool {
        match self.own("tags") {
            Some(Value::Array(tags)) => tags.iter().any(|have| have.as_str() == Some(tag)),
            Some(Value::Text(have)) => **have == *tag,
            _ => false,
        }
    }

    /// Adds a tag unless it is there. Tags that are no list become one.
    pub fn add_tag(&mut self, tag: impl Into<Text>) {
        let tag = tag.into();
        if self.has_tag(&tag) {
            return;
        }
        self.take_over("tags");
        match self.fields.iter_mut().find(|(name, _)| **name == *"tags") {
            Some((_, Value::Array(tags))) => tags.push(Value::Text(tag)),
            Some((_, slot @ Value::Null)) => *slot = Value::Array(vec![Value::Text(tag)]),
            Some((_, slot)) => {
                let old = std::mem::replace(slot, Value::Null);
                *slot = Value::Array(vec![old, Value::Text(tag)]);
            }
            None => self.fields.push((Text::from_static("tags"), Value::Array(vec![Value::Text(tag)]))),
        }
    }

    /// Takes a tag out; the last one takes the field with it only if it was plain text.
    pub fn remove_tag(&mut self, tag: &str) {
        if !self.has_tag(tag) {
            return;
        }
        let Some(index) = self.fields.iter().position(|(name, _)| **name == *"tags") else { return };
        match &mut self.fields[index].1 {
            Value::Array(tags) => tags.retain(|have| have.as_str() != Some(tag)),
            _ => drop(self.fields.remove(index)),
        }
    }
}
