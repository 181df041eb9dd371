//! `clone`: copies of an event, each with a `type` of its own (old names), or a tag (v8).

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Value};
use crate::pipeline::options::{Ecs, Options};

#[derive(Debug)]
struct Clone {
    names: Vec<String>,
    by_type: bool,
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let span = options.span();
    let names: Vec<String> = options.list("clones").into_iter().map(|(name, _)| name).collect();
    let by_type = options.ecs() == Ecs::Disabled;
    if names.is_empty() {
        options.error(span, "`clone` needs the option `clones`", "write `clones => [\"name\"]`");
        return None;
    }
    Some(Box::new(Clone { names, by_type }))
}

impl Filter for Clone {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let copies = self.names.iter().map(|name| {
            let mut copy = event.clone();
            if self.by_type {
                copy.set(&FieldPath::of(&["type"]), Value::Text(name.as_str().into()));
            } else {
                copy.add_tag(name.as_str());
            }
            copy
        });
        Outcome::Many { first: false, others: copies.collect() }
    }
}
