//! From a received document to the buffers of the outputs: decode, run the pipeline, name what it leaves.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use jiff::Timestamp;

use crate::batch::Batch;
use crate::engine::{Engine, Pipeline, PipelineCount};
use crate::event::{Event, EventDecoder, FieldPath, Text, Value};
use crate::input::Additions;
use crate::ledger::{Dropped, Part, minute_of};
use crate::level::Level;
use crate::output::id::ForeignIds;
use crate::pipeline::Tally;
use crate::recent::Original;
use crate::service_budget;
use crate::slow::WATCHED_BYTES;

/// Events of an input that are copied before the pipeline in each window, in case that they are dropped and make an
/// example. Peers' documents need no copy.
const COPIES_MAX: u32 = 64;

/// The working state of one connection or input.
pub(crate) struct Worker {
    engine: Arc<Engine>,
    pipeline: Arc<Pipeline>,
    /// The one of its program's pipelines that takes all events; none where each is asked.
    only: Option<usize>,
    additions: Arc<Additions>,
    decoder: EventDecoder,
    tally: Tally,
    ledger: Option<Part>,
    foreign: ForeignIds,
    fields: Fields,
    /// `_id` of the event at hand; its buffer is used again, as are the following.
    id: String,
    kept: Vec<Event>,
    /// What became of the events, by pipeline of the program.
    counts: Vec<PipelineCount>,
    /// Copies of events that may still be made before the next window.
    copies_left: u32,
    /// When the batch at hand was begun.
    now: Instant,
}

struct Fields {
    timestamp: FieldPath,
    message: FieldPath,
    version: FieldPath,
    beat: FieldPath,
    service: FieldPath,
    level: FieldPath,
}

impl Worker {
    /// A worker of the present pipeline, which adds `additions` to each event.
    pub fn new(engine: &Arc<Engine>, additions: &Arc<Additions>) -> Self {
        let mut worker = Self {
            engine: engine.clone(),
            pipeline: engine.pipeline(),
            only: None,
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
                service: FieldPath::of(&["service", "name"]),
                level: FieldPath::of(&["log", "level"]),
            },
            id: String::new(),
            kept: Vec::new(),
            counts: Vec::new(),
            copies_left: COPIES_MAX,
            now: Instant::now(),
        };
        worker.adopt();
        worker
    }

    /// Gets ready for the pipeline at hand.
    fn adopt(&mut self) {
        let program = &self.pipeline.program;
        let wanted = self.additions.pipeline.as_deref();
        self.only = match program.pipelines().len() {
            1 => Some(0),
            _ => wanted.and_then(|wanted| program.pipelines().position(|name| name == wanted)),
        };
        self.counts = vec![PipelineCount::default(); program.pipelines().len()];
        self.tally = Tally::new();
        self.tally.note_slow(self.engine.slow.min);
    }

    /// An empty batch for the outputs of the newest pipeline, which runs from now on. All batches made before must have
    /// been filled as far as they ever will be.
    pub fn new_batch(&mut self) -> Batch {
        if self.engine.generation() != self.pipeline.generation {
            self.hand_over();
            self.pipeline = self.engine.pipeline();
            self.adopt();
        }
        self.tally.scratch.now = Timestamp::now();
        self.now = Instant::now();
        Batch::new(&self.pipeline)
    }

    /// Takes a document as it came from a peer through the pipeline.
    pub fn document(&mut self, document: Bytes, batch: &mut Batch) {
        let original = Original::Document(document.clone());
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
        self.additions.apply(&mut event);
        self.take(event, Some(&original), batch);
    }

    /// Takes an event through the pipeline.
    pub fn event(&mut self, mut event: Event, batch: &mut Batch) {
        self.additions.apply(&mut event);
        // A copy of each event would cost more than the examples are worth; those at the begin of a window do.
        let original = (self.copies_left > 0).then(|| Original::Event(event.clone().into()));
        self.copies_left = self.copies_left.saturating_sub(1);
        self.take(event, original.as_ref(), batch);
    }

    fn take(&mut self, mut event: Event, original: Option<&Original>, batch: &mut Batch) {
        let identity = event.identity();
        self.id.clear();
        if identity.is_none() {
            self.foreign.write(&event, &mut self.id);
            event.ensure_timestamp(Timestamp::now());
        }
        // For the ledger: a dropped event is gone when it is known to be one.
        let minute = minute_of(event.get_str(&self.fields.timestamp).unwrap_or_default());
        let bytes = event.get_str(&self.fields.message).map_or(0, str::len);
        if bytes >= WATCHED_BYTES {
            self.tally.watch();
        }
        self.kept.clear();
        let pipeline = self.only.unwrap_or_else(|| self.pipeline.program.choose(&event));
        self.pipeline.program.run_pipeline(pipeline, event, &mut self.kept, &mut self.tally);
        self.counts[pipeline].events_in += 1;
        if self.kept.is_empty() {
            self.counts[pipeline].dropped += 1;
            let sample = self.tally.take_sample();
            if let Some(last) = self.tally.last_dropped() {
                let rule = self.pipeline.rule_id(last.rule);
                let (service, level) = (&last.service, &last.level);
                if let (true, Some(original)) = (sample.is_some(), original) {
                    self.engine.recent.add(service, rule, original);
                }
                if let Some(ledger) = &mut self.ledger {
                    ledger.note(Dropped { service, level, rule, minute, bytes, sample: sample.as_deref() });
                }
            }
            return;
        }
        if let Some(budgets) = &self.engine.budgets {
            let fields = &self.fields;
            let ledger = &mut self.ledger;
            self.kept.retain(|event| {
                let service = event.get_str(&fields.service).unwrap_or_default();
                let level = event.get_str(&fields.level).unwrap_or_default();
                let message = event.get_str(&fields.message).unwrap_or_default();
                let has_room = budgets.take(service, Level::from_name(level), message.len(), self.now);
                if let (false, Some(ledger)) = (has_room, &mut *ledger) {
                    let (bytes, sample) = (message.len(), Some(message));
                    ledger.note(Dropped { service, level, rule: service_budget::RULE, minute, bytes, sample });
                }
                has_room
            });
            if self.kept.is_empty() {
                self.counts[pipeline].dropped += 1;
                return;
            }
        }
        if let Some(identity) = &identity {
            use std::fmt::Write as _;
            // Writing to a String cannot fail.
            let _ = write!(self.id, "{:016x}-{}", identity.source, identity.start);
        }
        for event in &mut self.kept {
            event.ensure_timestamp(Timestamp::now());
        }
        self.counts[pipeline].out += u64::try_from(self.kept.len()).unwrap_or(0);
        batch.append(pipeline, &self.kept, &self.id, identity);
    }

    /// To be called now and then, such as at the end of a window: hands over what was counted.
    pub fn end_window(&mut self) {
        self.copies_left = COPIES_MAX;
        if let Some(ledger) = &mut self.ledger {
            ledger.tick();
        }
        self.hand_over();
    }

    fn hand_over(&mut self) {
        let counts = &self.engine.counts;
        for count in &self.counts {
            counts.received.add(count.events_in);
            counts.dropped.add(count.dropped);
            counts.kept.add(count.out);
        }
        self.pipeline.count(&self.tally.take_filters(), &self.counts);
        self.counts.fill(PipelineCount::default());
        if let Some(slow) = self.tally.take_slowest() {
            self.engine.slow.note(self.pipeline.rule_id(slow.rule), &slow);
        }
        // The ledger counts by minute and with samples; this count is for those who run programs without one.
        drop(self.tally.take_dropped());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.hand_over();
    }
}
