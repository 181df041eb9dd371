//! Where events go after the pipeline: each output appends them to a buffer of its own kind, and delivers a buffer.

pub(crate) mod answer;
pub(crate) mod backoff;
pub(crate) mod bulk;
pub(crate) mod dead;
pub(crate) mod elasticsearch;
pub(crate) mod http;

use std::sync::Arc;

use bulk::{Body, Mark};
use elasticsearch::Elasticsearch;

/// One output of a pipeline.
pub(crate) enum Output {
    /// `_bulk`.
    Elasticsearch(Arc<Elasticsearch>),
    /// Nowhere.
    Null,
}

/// What an output has still to deliver.
#[derive(Debug, Default)]
pub(crate) enum Buffer {
    /// Documents for `_bulk`.
    Bulk(Body),
    /// Nothing, ever.
    #[default]
    Null,
}

/// A length of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Length(Mark);

impl Output {
    /// An empty buffer of its kind.
    pub fn buffer(&self) -> Buffer {
        match self {
            Self::Elasticsearch(_) => Buffer::Bulk(Body::default()),
            Self::Null => Buffer::Null,
        }
    }

    /// Delivers a buffer of its kind. Ends when all of it is delivered.
    pub async fn deliver(&self, buffer: Buffer) {
        match (self, buffer) {
            (Self::Elasticsearch(output), Buffer::Bulk(body)) => output.deliver(body).await,
            (Self::Null, _) | (_, Buffer::Null) => {}
        }
    }
}

impl Buffer {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bulk(body) => body.bytes(),
            Self::Null => 0,
        }
    }

    /// Whether there is nothing to deliver.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Bulk(body) => body.is_empty(),
            Self::Null => true,
        }
    }

    /// The present length.
    pub fn length(&self) -> Length {
        match self {
            Self::Bulk(body) => Length(body.mark()),
            Self::Null => Length::default(),
        }
    }

    /// Cuts it back to `length`.
    pub fn truncate(&mut self, length: Length) {
        match self {
            Self::Bulk(body) => body.truncate(length.0),
            Self::Null => {}
        }
    }

    /// Moves what lies behind `length` into a buffer of its own.
    pub fn split_off(&mut self, length: Length) -> Self {
        match self {
            Self::Bulk(body) => Self::Bulk(body.split_off(length.0)),
            Self::Null => Self::Null,
        }
    }
}
