//! The names of an event's top-level fields, and which of them are kept.

use std::sync::Arc;

use super::{Event, LOG_BIT, Shared, Text, ValueRef};

/// Which of the shared fields of the source seen last are not to be kept.
#[derive(Debug, Default)]
pub struct KnownNames {
    shared: Option<Arc<Shared>>,
    hidden: u64,
}

impl Event {
    /// Removes every top-level field, `[@metadata]` aside, for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, ValueRef<'_>) -> bool) {
        self.fields.retain(|(name, value)| keep(name, value.as_ref()));
        let Some(shared) = self.shared.clone() else { return };
        for (index, (name, value, _)) in shared.fields.iter().enumerate() {
            if self.hidden & 1 << index == 0 && !keep(name, value.as_ref()) {
                self.hidden |= 1 << index;
            }
        }
        if self.hidden & LOG_BIT == 0 && !keep("log", ValueRef::Object(&shared.log)) {
            self.hide("log");
        }
    }

    /// As [`Event::retain`] by name alone: what becomes of shared fields is the same for all lines of a source, and `known`
    /// remembers it from one line to the next.
    pub fn retain_names(&mut self, known: &mut KnownNames, keep: impl Fn(&str) -> bool) {
        self.fields.retain(|(name, _)| keep(name));
        let Some(shared) = &self.shared else { return };
        if known.shared.as_ref().is_none_or(|known| !Arc::ptr_eq(known, shared)) {
            let unwanted = shared.fields.iter().enumerate().filter(|(_, (name, ..))| !keep(name));
            known.hidden = unwanted.fold(0, |bits, (index, _)| bits | 1 << index);
            if !keep("log") {
                known.hidden |= LOG_BIT;
            }
            known.shared = Some(Arc::clone(shared));
        }
        if known.hidden & LOG_BIT != 0 {
            self.log_level = None;
        }
        self.hidden |= known.hidden;
    }

    /// The names of the top-level fields, `[@metadata]` aside.
    pub fn names(&self) -> Vec<Text> {
        let mut names: Vec<Text> = self.fields.iter().map(|(name, _)| name.clone()).collect();
        if let Some(shared) = &self.shared {
            if self.hidden & LOG_BIT == 0 {
                names.push(Text::from_static("log"));
            }
            let left = shared.fields.iter().enumerate().filter(|(index, _)| self.hidden & 1 << index == 0);
            names.extend(left.map(|(_, (name, ..))| name.clone()));
        }
        names
    }
}
