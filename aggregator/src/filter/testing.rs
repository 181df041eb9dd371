//! What the tests of filters share: one filter, one event, and what comes of it.

use serde_json::Value as Json;

use crate::event::Event;
use crate::pipeline::{LoadOptions, Program, Tally};

/// What a filter, as it is written, makes of an event; the first where there are several.
pub(crate) fn run(filter: &str, event: Json) -> Json {
    run_all(filter, event).remove(0)
}

/// All events that a filter makes of one.
pub(crate) fn run_all(filter: &str, event: Json) -> Vec<Json> {
    run_each(filter, [event])
}

/// What a filter makes of events that come one after the other.
pub(crate) fn run_each(filter: &str, events: impl IntoIterator<Item = Json>) -> Vec<Json> {
    let text = format!("filter {{ {filter} }}");
    let program = Program::parse(vec![("test".into(), text)], &LoadOptions::default())
        .unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let (mut kept, mut tally) = (Vec::new(), Tally::new());
    for event in events {
        program.run(Event::from_json(event.to_string().into()).unwrap(), &mut kept, &mut tally);
    }
    let json = |event: Event| {
        let mut json = Vec::new();
        event.write_json(&mut json);
        serde_json::from_slice(&json).unwrap()
    };
    kept.into_iter().map(json).collect()
}

/// The mistakes of a filter, as it is written.
pub(crate) fn mistakes(filter: &str) -> Vec<String> {
    let text = format!("filter {{ {filter} }}");
    let mistakes = Program::parse(vec![("test".into(), text)], &LoadOptions::default()).err().unwrap_or_default();
    mistakes.into_iter().map(|mistake| format!("{} ({})", mistake.message, mistake.hint)).collect()
}
