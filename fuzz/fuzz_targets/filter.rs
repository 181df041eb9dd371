//! What the targets of single filters share: the first line of the input is what a pipeline file says, the rest is the
//! line that meets it.
use bytes::Bytes;
use weir_aggregator::event::{Event, Text};
use weir_aggregator::pipeline::{LoadOptions, Program, Tally};

/// Splits the input; none where the first line cannot stand between single quotes.
pub fn split(data: &[u8]) -> Option<(&str, &str)> {
    let (option, line) = std::str::from_utf8(data).ok()?.split_once('\n')?;
    let quotable = !option.contains('\'') && !option.ends_with('\\');
    quotable.then_some((option, line))
}

/// Runs `filter` on `line`. What is kept must be JSON again.
pub fn run(filter: String, line: &str) {
    let options = LoadOptions { environment: Default::default(), ..LoadOptions::default() };
    let Ok(program) = Program::parse(vec![("fuzz.conf".into(), format!("filter {{ {filter} }}"))], &options) else {
        return;
    };
    let event = Event::from_message(Text::from(line.to_owned()));
    let mut kept = Vec::new();
    program.run(event, &mut kept, &mut Tally::new());
    for event in kept {
        let mut json = Vec::new();
        event.write_json(&mut json);
        Event::from_json(Bytes::from(json)).expect("an event is JSON");
    }
}
