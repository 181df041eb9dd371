//! Where events go after the pipeline: each output appends them to a buffer of its own kind, and delivers a buffer.

pub(crate) mod answer;
pub(crate) mod backoff;
pub(crate) mod build;
pub(crate) mod bulk;
pub(crate) mod dead;
pub(crate) mod elasticsearch;
pub(crate) mod id;
pub(crate) mod lines;
pub(crate) mod lumberjack;
pub(crate) mod rubydebug;

use std::sync::Arc;

use crate::event::{Event, Identity};
use crate::pipeline::template::Template;
use bulk::{Action, Body, Mark, Target};
use elasticsearch::Elasticsearch;
use lines::{Codec, Lines};
use lumberjack::{Documents, Lumberjack};

/// One output of a pipeline.
pub(crate) enum Output {
    /// `_bulk`.
    Bulk(BulkOutput),
    /// Another aggregator.
    Lumberjack(Lumberjack),
    /// Files, by a template of their name.
    File(Codec, Template),
    /// Standard output.
    Stdout(Codec),
    /// Nowhere.
    Null,
}

/// How documents for `_bulk` are named.
pub(crate) struct BulkOutput {
    /// The cluster.
    pub cluster: Arc<Elasticsearch>,
    /// The index.
    pub index: Template,
    /// `_id`, when the pipeline file says so; it replaces ours, and with it the knowledge of order.
    pub document_id: Option<Template>,
    /// What to do.
    pub action: Action,
}

/// What is known of one document before it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    /// Its id; empty when it has none.
    pub id: &'a str,
    /// Where its event stands in its source.
    pub identity: Option<Identity>,
    /// Number of this document among those made of the event.
    pub nth: usize,
    /// It is the first of them that goes to this output.
    pub is_first: bool,
    /// It is the last of them that goes to this output.
    pub is_last: bool,
}

/// What an output has still to deliver.
#[derive(Debug, Default)]
pub(crate) enum Buffer {
    /// Documents for `_bulk`.
    Bulk(Body),
    /// Documents for another aggregator.
    Documents(Documents),
    /// Text.
    Lines(Lines),
    /// Nothing, ever.
    #[default]
    Null,
}

/// A length of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Length {
    body: Mark,
    count: usize,
}

impl Output {
    /// An empty buffer of its kind.
    pub fn buffer(&self) -> Buffer {
        match self {
            Self::Bulk(_) => Buffer::Bulk(Body::default()),
            Self::Lumberjack(_) => Buffer::Documents(Documents::default()),
            Self::File(..) | Self::Stdout(_) => Buffer::Lines(Lines::default()),
            Self::Null => Buffer::Null,
        }
    }

    /// Appends an event to a buffer of its kind.
    pub fn append(&self, event: &Event, name: Name<'_>, buffer: &mut Buffer) {
        match (self, buffer) {
            (Self::Bulk(output), Buffer::Bulk(body)) => output.append(event, name, body),
            (Self::Lumberjack(_), Buffer::Documents(documents)) => {
                // Several documents of one event would all claim its place.
                documents.push(event, name.identity.filter(|_| name.is_first && name.is_last));
            }
            (Self::File(codec, path), Buffer::Lines(lines)) => lines.push(codec, event, Some(path.render(event))),
            (Self::Stdout(codec), Buffer::Lines(lines)) => lines.push(codec, event, None),
            _ => {}
        }
    }

    /// Delivers a buffer of its kind. Ends when all of it is delivered.
    pub async fn deliver(&self, buffer: Buffer) {
        match (self, buffer) {
            (Self::Bulk(output), Buffer::Bulk(body)) => output.cluster.deliver(body).await,
            (Self::Lumberjack(output), Buffer::Documents(documents)) => output.deliver(documents).await,
            (Self::File(..), Buffer::Lines(lines)) => lines.append_to_files().await,
            (Self::Stdout(_), Buffer::Lines(lines)) => lines.print().await,
            _ => {}
        }
    }
}

impl BulkOutput {
    fn append(&self, event: &Event, name: Name<'_>, body: &mut Body) {
        let rendered;
        let index: &str = match self.index.fixed() {
            Some(index) => index,
            None => {
                rendered = self.index.render(event);
                &rendered
            }
        };
        let write = |out: &mut Vec<u8>| event.write_json(out);
        let joined = !name.is_first;
        if let Some(template) = &self.document_id {
            let id = template.render(event);
            let target = Target { index, id: Some(&id), end: None, source: 0, action: self.action, joined };
            return body.push(target, write);
        }
        let numbered;
        let id = match (name.id, name.nth) {
            ("", _) => None,
            (id, 0) => Some(id),
            (id, nth) => {
                numbered = format!("{id}.{nth}");
                Some(numbered.as_str())
            }
        };
        // `index` replaces, so positions mean nothing for it.
        let identity = name.identity.filter(|_| self.action == Action::Create);
        let end = identity.map(|identity| if name.is_last { identity.end } else { identity.start });
        let target = Target {
            index,
            id,
            end: end.filter(|_| self.cluster.writes_ends()),
            source: identity.map_or(0, |identity| identity.source),
            action: self.action,
            joined,
        };
        body.push(target, write);
    }
}

impl Buffer {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bulk(body) => body.bytes(),
            Self::Documents(documents) => documents.bytes(),
            Self::Lines(lines) => lines.bytes(),
            Self::Null => 0,
        }
    }

    /// Whether there is nothing to deliver.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// The present length.
    pub fn length(&self) -> Length {
        match self {
            Self::Bulk(body) => Length { body: body.mark(), count: 0 },
            Self::Documents(documents) => Length { count: documents.count(), ..Length::default() },
            Self::Lines(lines) => Length { count: lines.bytes(), ..Length::default() },
            Self::Null => Length::default(),
        }
    }

    /// Cuts it back to `length`.
    pub fn truncate(&mut self, length: Length) {
        match self {
            Self::Bulk(body) => body.truncate(length.body),
            Self::Documents(documents) => documents.truncate(length.count),
            Self::Lines(lines) => lines.truncate(length.count),
            Self::Null => {}
        }
    }

    /// Moves what lies behind `length` into a buffer of its own.
    pub fn split_off(&mut self, length: Length) -> Self {
        match self {
            Self::Bulk(body) => Self::Bulk(body.split_off(length.body)),
            Self::Documents(documents) => Self::Documents(documents.split_off(length.count)),
            Self::Lines(lines) => Self::Lines(lines.split_off(length.count)),
            Self::Null => Self::Null,
        }
    }
}
