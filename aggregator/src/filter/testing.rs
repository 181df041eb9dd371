//! What the tests of filters share: one filter, one event, and what comes of it.

use serde_json::Value as Json;

use crate::event::Event;
use crate::pipeline::{LoadOptions, Program, Tally};

/// What a filter, as it is written, makes of an event.
pub(crate) fn run(filter: &str, event: Json) -> Json {
    let text = format!("filter {{ {filter} }}");
    let program = Program::parse(vec![("test".into(), text)], &LoadOptions::default())
        .unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let event = Event::from_json(event.to_string().into()).unwrap();
    let mut kept = Vec::new();
    program.run(event, &mut kept, &mut Tally::new());
    let mut json = Vec::new();
    kept.remove(0).write_json(&mut json);
    serde_json::from_slice(&json).unwrap()
}

/// The mistakes of a filter, as it is written.
pub(crate) fn mistakes(filter: &str) -> Vec<String> {
    let text = format!("filter {{ {filter} }}");
    let mistakes = Program::parse(vec![("test".into(), text)], &LoadOptions::default()).err().unwrap_or_default();
    mistakes.into_iter().map(|mistake| format!("{} ({})", mistake.message, mistake.hint)).collect()
}
