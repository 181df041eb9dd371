//! A batch: what some windows of one connection have become after the pipeline, one buffer for each output, and the
//! windows that may be acknowledged when all of it is delivered.

use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};
use weir_lumberjack::Version;

use crate::engine::Pipeline;
use crate::event::{Event, Identity};
use crate::output::{Buffer, Length, Name, Output};

/// What one window counts against the bound of a batch: many empty windows must not grow it without end.
const WINDOW_BYTES: usize = 16;

/// A window whose events are all in the batch, and the acknowledgement that it will get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowMark {
    /// Version of the acknowledgement.
    pub version: Version,
    /// Sequence number of the last event.
    pub sequence: u32,
}

/// See the module.
pub(crate) struct Batch {
    pipeline: Arc<Pipeline>,
    /// Used again for each event.
    places: Vec<usize>,
    buffers: Vec<Buffer>,
    windows: Vec<WindowMark>,
    /// Length of each buffer at the end of the last window; what lies behind belongs to an open window.
    whole: Vec<Length>,
}

impl Batch {
    /// An empty batch for these outputs.
    pub fn new(pipeline: &Arc<Pipeline>) -> Self {
        Self {
            pipeline: pipeline.clone(),
            places: Vec::new(),
            buffers: pipeline.outputs().iter().map(Output::buffer).collect(),
            windows: Vec::new(),
            whole: vec![Length::default(); pipeline.outputs().len()],
        }
    }

    /// Appends the documents of one event of one of the program's pipelines to the buffers of the outputs that each of
    /// them goes to.
    pub fn append(&mut self, pipeline: usize, events: &[Event], id: &str, identity: Option<Identity>) {
        if let [event] = events {
            let name = Name { id, identity, nth: 0, is_first: true, is_last: true };
            return self.pipeline.append(pipeline, event, name, &mut self.places, &mut self.buffers);
        }
        // Which of them is an output's first and last is known only when all have been sent their way.
        for output in 0..self.buffers.len() {
            let goes_there = |event: &Event, places: &mut Vec<usize>| {
                self.pipeline.places(pipeline, event, places);
                places.contains(&output)
            };
            let mut places = std::mem::take(&mut self.places);
            let these: Vec<usize> = (0..events.len()).filter(|n| goes_there(&events[*n], &mut places)).collect();
            self.places = places;
            for nth in &these {
                let (is_first, is_last) = (these.first() == Some(nth), these.last() == Some(nth));
                let name = Name { id, identity, nth: *nth, is_first, is_last };
                self.pipeline.outputs()[output].append(&events[*nth], name, &mut self.buffers[output]);
            }
        }
    }

    /// Which pipeline filled it.
    pub fn generation(&self) -> u64 {
        self.pipeline.generation
    }

    /// Says that the events of one more window are complete.
    pub fn end_window(&mut self, mark: WindowMark) {
        self.windows.push(mark);
        self.note_whole();
    }

    fn note_whole(&mut self) {
        for (length, buffer) in self.whole.iter_mut().zip(&self.buffers) {
            *length = buffer.length();
        }
    }

    /// Windows that are complete and not taken.
    pub fn windows(&self) -> &[WindowMark] {
        &self.windows
    }

    /// Takes the windows, to acknowledge them when this batch is delivered.
    pub fn take_windows(&mut self) -> Vec<WindowMark> {
        std::mem::take(&mut self.windows)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.buffers.iter().map(Buffer::bytes).sum::<usize>() + self.windows.len() * WINDOW_BYTES
    }

    /// Whether no output has anything to deliver.
    pub fn is_empty(&self) -> bool {
        self.buffers.iter().all(Buffer::is_empty)
    }

    /// Whether nothing was ever put into it, windows neither.
    pub fn is_untouched(&self) -> bool {
        self.windows.is_empty() && self.is_empty()
    }

    /// Takes all whole windows and their events. The open window's events stay, in a batch like this one; if there are
    /// none, `next` takes this one's place.
    pub fn take_whole_windows(&mut self, next: Self) -> Self {
        let has_tail = self.whole.iter().zip(&self.buffers).any(|(length, buffer)| buffer.length() != *length);
        if !has_tail {
            return std::mem::replace(self, next);
        }
        let mut tail = Self::new(&self.pipeline);
        tail.buffers =
            self.buffers.iter_mut().zip(&self.whole).map(|(buffer, whole)| buffer.split_off(*whole)).collect();
        std::mem::replace(self, tail)
    }

    /// Forgets the events of the open window.
    pub fn drop_open_window(&mut self) {
        for (buffer, whole) in self.buffers.iter_mut().zip(&self.whole) {
            buffer.truncate(*whole);
        }
    }

    /// Delivers everything, to all outputs at once. Ends when all of it is delivered.
    ///
    /// # Errors
    /// When an output broke down (a defect): nothing of this batch may be acknowledged then.
    pub async fn deliver(self) -> Result<(), JoinError> {
        let mut filled: Vec<usize> = (0..self.buffers.len()).filter(|n| !self.buffers[*n].is_empty()).collect();
        let last = filled.pop();
        let mut buffers = self.buffers;
        let mut others = JoinSet::new();
        for n in filled {
            let buffer = std::mem::take(&mut buffers[n]);
            let pipeline = self.pipeline.clone();
            others.spawn(async move { pipeline.outputs()[n].deliver(buffer).await });
        }
        if let Some(n) = last {
            self.pipeline.outputs()[n].deliver(std::mem::take(&mut buffers[n])).await;
        }
        while let Some(result) = others.join_next().await {
            result?;
        }
        Ok(())
    }
}
