//! Inputs besides the Beats port. Each one hands [`feed::Chunk`]s of events to a [`feed::Feed`], which takes them
//! through the pipeline and delivers them.

pub(crate) mod accept;
pub(crate) mod build;
pub(crate) mod codec;
pub(crate) mod feed;
pub(crate) mod file;
pub(crate) mod frames;
pub(crate) mod http;
pub(crate) mod listener;
pub(crate) mod stdin;
pub(crate) mod stream;
pub mod syslog;
pub(crate) mod syslog_event;
pub(crate) mod udp;

use crate::event::{Event, FieldPath, Text, Value};
use crate::pipeline::template::Template;

/// What an input adds to each of its events, as all of Logstash's inputs can.
#[derive(Clone, Debug, Default)]
pub(crate) struct Additions {
    /// The pipeline that the events go to; by label and condition where there is none.
    pub pipeline: Option<Box<str>>,
    /// `type`, unless the event has one.
    pub kind: Option<Text>,
    /// `tags`.
    pub tags: Vec<Text>,
    /// `add_field`.
    pub fields: Vec<(FieldPath, Template)>,
}

impl Additions {
    /// Adds them.
    pub fn apply(&self, event: &mut Event) {
        if let Some(kind) = &self.kind {
            let path = FieldPath::of(&["type"]);
            if event.get(&path).is_none() {
                event.set(&path, Value::Text(kind.clone()));
            }
        }
        for (path, template) in &self.fields {
            let value = Value::Text(template.render(event));
            event.set(path, value);
        }
        for tag in &self.tags {
            event.add_tag(tag.clone());
        }
    }
}
