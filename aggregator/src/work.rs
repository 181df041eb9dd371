//! From a received document to the buffers of the outputs: decode, run the pipeline, name what it leaves.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::batch::Batch;
use crate::engine::{Engine, Pipeline};
use crate::event::{Event, EventDecoder, FieldPath, Text, Value};
use crate::input::Additions;
use crate::ledger::{Dropped, Part, minute_of};
use crate::output::id::ForeignIds;
use crate::pipeline::Tally;

/// The working state of one connection or input.
pub(crate) struct Worker {
    engine: Arc<Engine>,
    pipeline: Arc<Pipeline>,
    additions: Arc<Additions>,
    decoder: EventDecoder,
    tally: Tally,
    ledger: Option<Part>,
    foreign: ForeignIds,
    fields: Fields,
    /// `_id` of the event at hand; its buffer is used again, as are the following.
    id: String,
    kept: Vec<Event>,
    received: u64,
    dropped: u64,
    passed: u64,
}

struct Fields {
    timestamp: FieldPath,
    message: FieldPath,
    version: FieldPath,
    beat: FieldPath,
}

impl Worker {
    /// A worker of the present pipeline, which adds `additions` to each event.
    pub fn new(engine: &Arc<Engine>, additions: &Arc<Additions>) -> Self {
        Self {
            engine: engine.clone(),
            pipeline: engine.pipeline(),
            additions: additions.clone(),
            decoder: EventDecoder::new(),
            tally: Tally::new(),
            ledger: engine.ledger.as_ref().map(Part::new),
            foreign: ForeignIds::new(),
            fields: Fields {
                timestamp: FieldPath::of(&["@timestamp"]),
                message: FieldPath::of(&["message"]),
                version: FieldPath::of(&["@version"]),
                beat: FieldPath::of(&["@metadata", "beat"]),
            },
            id: String::new(),
            kept: Vec::new(),
            received: 0,
            dropped: 0,
            passed: 0,
        }
    }

    /// An empty batch for the outputs of the newest pipeline, which runs from now on. All batches made before must have
    /// been filled as far as they ever will be.
    pub fn new_batch(&mut self) -> Batch {
        if self.engine.generation() != self.pipeline.generation {
            self.hand_over();
            self.tally = Tally::new();
            self.pipeline = self.engine.pipeline();
        }
        self.tally.scratch.now = Timestamp::now();
        Batch::new(&self.pipeline)
    }

    /// Takes a document as it came from a peer through the pipeline.
    pub fn document(&mut self, document: Bytes, batch: &mut Batch) {
        let mut event = self.decoder.decode(document);
        if event.identity().is_none() {
            if event.has_tag("_jsonparsefailure") {
                self.engine.counts.undecodable.inc();
            }
            if self.engine.beats_fields && event.get(&self.fields.beat).is_some() {
                event.set(&self.fields.version, Value::fixed("1"));
                let tag = if event.get(&self.fields.message).is_some() {
                    "beats_input_codec_plain_applied"
                } else {
                    "beats_input_raw_event"
                };
                event.add_tag(Text::from_static(tag));
            }
        }
        self.event(event, batch);
    }

    /// Takes an event through the pipeline.
    pub fn event(&mut self, mut event: Event, batch: &mut Batch) {
        self.received += 1;
        self.additions.apply(&mut event);
        let identity = event.identity();
        self.id.clear();
        if identity.is_none() {
            self.foreign.write(&event, &mut self.id);
            event.ensure_timestamp(Timestamp::now());
        }
        // For the ledger: a dropped event is gone when it is known to be one.
        let minute = minute_of(event.get_str(&self.fields.timestamp).unwrap_or_default());
        let bytes = event.get_str(&self.fields.message).map_or(0, str::len);
        self.kept.clear();
        self.pipeline.program.run(event, &mut self.kept, &mut self.tally);
        if self.kept.is_empty() {
            self.dropped += 1;
            let sample = self.tally.take_sample();
            if let (Some(ledger), Some(last)) = (&mut self.ledger, self.tally.last_dropped()) {
                let rule = self.pipeline.rule_id(last.rule);
                let (service, level) = (&last.service, &last.level);
                ledger.note(Dropped { service, level, rule, minute, bytes, sample: sample.as_deref() });
            }
            return;
        }
        if let Some(identity) = &identity {
            use std::fmt::Write as _;
            // Writing to a String cannot fail.
            let _ = write!(self.id, "{:016x}-{}", identity.source, identity.start);
        }
        for event in &mut self.kept {
            event.ensure_timestamp(Timestamp::now());
        }
        self.passed += u64::try_from(self.kept.len()).unwrap_or(0);
        batch.append(&self.kept, &self.id, identity);
    }

    /// To be called now and then, such as at the end of a window: hands over what was counted.
    pub fn end_window(&mut self) {
        if let Some(ledger) = &mut self.ledger {
            ledger.tick();
        }
        self.hand_over();
    }

    fn hand_over(&mut self) {
        let counts = &self.engine.counts;
        counts.received.add(std::mem::take(&mut self.received));
        counts.dropped.add(std::mem::take(&mut self.dropped));
        counts.kept.add(std::mem::take(&mut self.passed));
        self.pipeline.count(&self.tally.take_filters());
        // The ledger counts by minute and with samples; this count is for those who run programs without one.
        drop(self.tally.take_dropped());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.hand_over();
    }
}
