//! From a received document to the buffers of the outputs: decode, run the pipeline, name the result.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use weir_daemon::{Counter, Metrics};

use crate::batch::Batch;
use crate::output::bulk::{Action, Target};
use crate::output::{Buffer, Output};
use crate::stand_in::Event;

/// What all connections run.
pub(crate) struct Engine {
    outputs: Arc<[Output]>,
    index: String,
    events_in: Counter,
    undecodable: Counter,
}

impl Engine {
    pub fn new(outputs: Arc<[Output]>, index: String, metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self {
            outputs,
            index,
            events_in: metrics.counter("weir_aggregator_events_total", "Events received.", &[]),
            undecodable: metrics.counter(
                "weir_aggregator_undecodable_events_total",
                "Events that were no JSON object; kept as text.",
                &[],
            ),
        })
    }
}

/// The working state of one connection.
pub(crate) struct Worker {
    engine: Arc<Engine>,
    id: String,
}

impl Worker {
    pub fn new(engine: &Arc<Engine>, _peer: IpAddr) -> Self {
        Self { engine: engine.clone(), id: String::new() }
    }

    pub fn new_batch(&self) -> Batch {
        Batch::new(&self.engine.outputs)
    }

    pub fn is_replaced(&self) -> bool {
        false
    }

    pub fn event(&mut self, document: Bytes, batch: &mut Batch) {
        self.engine.events_in.inc();
        let event = match Event::from_json(&document) {
            Ok(event) => event,
            Err(_) => {
                self.engine.undecodable.inc();
                Event::from_text(&String::from_utf8_lossy(&document), "_jsonparsefailure")
            }
        };
        let identity = event.identity();
        let (outputs, buffers) = batch.parts();
        for (output, buffer) in outputs.iter().zip(buffers) {
            match (output, buffer) {
                (Output::Elasticsearch(output), Buffer::Bulk(body)) => {
                    self.id.clear();
                    if let Some(identity) = &identity {
                        use std::fmt::Write as _;
                        let _ = write!(self.id, "{:016x}-{}", identity.source, identity.start);
                    }
                    let target = Target {
                        index: &self.engine.index,
                        id: identity.as_ref().map(|_| self.id.as_str()),
                        end: identity.as_ref().map(|i| i.end).filter(|_| output.writes_ends()),
                        source: identity.as_ref().map_or(0, |i| i.source),
                        action: Action::Create,
                        joined: false,
                    };
                    body.push(target, |out| event.write_json(out));
                }
                _ => {}
            }
        }
    }

    pub fn end_window(&mut self) {}
}
