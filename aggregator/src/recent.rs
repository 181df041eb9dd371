//! Examples of what was dropped lately, as it was received: so that a person can see each one's way through the
//! pipelines that run (`weir explain --last-dropped SERVICE`).

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;

use crate::engine::Engine;
use crate::event::{Event, Value};
use crate::event::{EventDecoder, json};
use crate::pipeline::explain;

/// Services with examples; of more, the one that has dropped nothing for longest is forgotten.
const SERVICES_MAX: usize = 100;
/// Examples of one service, the newest.
const EXAMPLES_MAX: usize = 8;
/// An example that is larger is not kept, in bytes. With all places taken that is 1.6 MB.
const EXAMPLE_BYTES_MAX: usize = 2_000;

/// An event before the pipeline.
#[derive(Clone, Debug)]
pub(crate) enum Original {
    /// As it came from a peer.
    Document(Bytes),
    /// As an input made it.
    Event(Box<Event>),
}

struct Example {
    dropped: Timestamp,
    rule: Box<str>,
    document: Box<[u8]>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Recent {
    services: Mutex<HashMap<Box<str>, VecDeque<Example>>>,
}

impl Recent {
    /// Keeps an event that `rule` has just dropped.
    pub fn add(&self, service: &str, rule: &str, original: &Original) {
        let mut document = Vec::new();
        match original {
            Original::Document(bytes) => {
                document.extend_from_slice(bytes.get(..EXAMPLE_BYTES_MAX + 1).unwrap_or(bytes))
            }
            Original::Event(event) => json::write(&mut document, Value::Object(event.to_object()).as_ref()),
        }
        if document.len() > EXAMPLE_BYTES_MAX {
            return;
        }
        let example = Example { dropped: Timestamp::now(), rule: rule.into(), document: document.into() };
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        if services.len() >= SERVICES_MAX && !services.contains_key(service) {
            let newest = |examples: &VecDeque<Example>| examples.back().map(|example| example.dropped);
            let oldest = services.iter().min_by_key(|(_, examples)| newest(examples)).map(|(name, _)| name.clone());
            oldest.and_then(|name| services.remove(&name));
        }
        let examples = services.entry(service.into()).or_default();
        if examples.len() >= EXAMPLES_MAX {
            examples.pop_front();
        }
        examples.push_back(example);
    }

    /// The examples of a service, the newest first: when, by which rule, and the document.
    fn of(&self, service: &str) -> Vec<(Timestamp, String, Bytes)> {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let examples = services.get(service).into_iter().flatten().rev();
        examples.map(|one| (one.dropped, one.rule.to_string(), Bytes::copy_from_slice(&one.document))).collect()
    }

    fn names(&self) -> Vec<String> {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = services.keys().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }
}

#[derive(Deserialize)]
struct Asked {
    service: String,
    #[serde(default)]
    colours: bool,
}

/// `GET /dropped?service=NAME`: what was dropped of a service lately, each with its way through the pipelines, as text;
/// with `colours=true` for a terminal.
pub(crate) fn routes(engine: Arc<Engine>) -> Router {
    let answer = |State(engine): State<Arc<Engine>>, Query(asked): Query<Asked>| async move { answer(&engine, &asked) };
    Router::new().route("/dropped", get(answer)).with_state(engine)
}

fn answer(engine: &Engine, asked: &Asked) -> (StatusCode, String) {
    let examples = engine.recent.of(&asked.service);
    if examples.is_empty() {
        let names = engine.recent.names();
        let others = match names.is_empty() {
            true => "nothing was dropped at all since this aggregator started".to_owned(),
            false => format!("of these something was: {}", names.join(", ")),
        };
        return (StatusCode::NOT_FOUND, format!("of {:?} nothing was dropped lately; {others}\n", asked.service));
    }
    let pipeline = engine.pipeline();
    let mut out = String::new();
    for (dropped, rule, document) in examples {
        let event = EventDecoder::new().decode(document);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "dropped at {dropped} by {rule}");
        out.push_str(&explain(&pipeline.program, event).show(asked.colours));
        out.push('\n');
    }
    (StatusCode::OK, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_it_is_bounded() {
        let recent = Recent::default();
        let original = |text: &str| Original::Document(Bytes::from(text.to_owned()));
        for n in 0..EXAMPLES_MAX + 2 {
            recent.add("web", "drop@a.conf:1", &original(&format!("{{\"message\":\"{n}\"}}")));
        }
        let kept: Vec<_> = recent.of("web").into_iter().map(|(_, _, document)| document).collect();
        assert_eq!(kept.len(), EXAMPLES_MAX);
        assert_eq!(kept[0], "{\"message\":\"9\"}");
        recent.add("web", "rule", &original(&"x".repeat(EXAMPLE_BYTES_MAX + 1)));
        assert_eq!(recent.of("web")[0].2, "{\"message\":\"9\"}", "what is too large is not kept");
        for n in 0..SERVICES_MAX {
            recent.add(&format!("service-{n}"), "rule", &Original::Event(Event::from_message("x").into()));
        }
        assert_eq!(recent.names().len(), SERVICES_MAX);
        assert!(recent.of("web").is_empty(), "it was the one that had dropped nothing for longest");
        assert!(recent.of("service-3")[0].2.starts_with(b"{"));
    }
}
