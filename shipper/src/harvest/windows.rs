//! What goes out and what comes back: batches are closed and offered to the sender, positions move when they are
//! acknowledged, and the registry is written.

use std::time::Instant;

use tokio::sync::mpsc::error::TrySendError;

use crate::batch::Mark;
use crate::registry::{Entry, State};
use crate::spool::CopyOf;

use super::{Harvester, POLL_MIN};

impl Harvester {
    /// Sends the open batch when its oldest event has waited long enough, and the one that found the queue full.
    pub(super) fn flush(&mut self) {
        self.offer();
        if self.ready.is_none() && self.batch.born.is_some_and(|born| born.elapsed() >= self.config.linger) {
            self.close_batch();
        }
        if self.batch.window.is_empty() && !self.touched.is_empty() && self.outstanding == 0 && self.ready.is_none() {
            // Nothing to send and nothing under way: what was read without giving an event is done.
            let marks = self.marks();
            for mark in &marks {
                self.apply(mark);
            }
        }
    }

    fn marks(&mut self) -> Vec<Mark> {
        let mut marks = Vec::with_capacity(self.touched.len());
        for index in std::mem::take(&mut self.touched) {
            if let Some(slot) = &mut self.slots[index] {
                slot.touched = false;
                slot.stream.in_flight += 1;
                marks.push(Mark { slot: index, serial: slot.serial, safe: slot.stream.safe() });
            }
        }
        marks
    }

    /// Closes the open batch and offers it to the sender.
    pub(super) fn close_batch(&mut self) {
        if self.batch.window.is_empty() || self.ready.is_some() {
            return;
        }
        let unsaved = |slot: &usize| self.slots[*slot].as_ref().is_some_and(|slot| slot.stream.unsaved);
        let must_save = self.touched.iter().any(unsaved);
        self.batch.marks = self.marks();
        if must_save {
            // Positions of these events hang on files that the registry does not know yet: it goes first.
            self.save();
        }
        let next = self.spare.pop().unwrap_or_default();
        self.ready = Some(std::mem::replace(&mut self.batch, next));
        self.offer();
    }

    fn offer(&mut self) {
        let Some(batch) = self.ready.take() else { return };
        match self.batches.try_send(batch) {
            Ok(()) => {
                self.outstanding += 1;
                self.stuck = None;
            }
            Err(TrySendError::Full(batch) | TrySendError::Closed(batch)) => {
                self.ready = Some(batch);
                self.stuck.get_or_insert_with(Instant::now);
            }
        }
    }

    pub(super) fn take_acks(&mut self) {
        while let Ok(mut batch) = self.acked.try_recv() {
            self.outstanding -= 1;
            for mark in &batch.marks {
                self.apply(mark);
            }
            batch.clear();
            self.spare.push(batch);
        }
    }

    fn apply(&mut self, mark: &Mark) {
        if let Some(Some(slot)) = self.slots.get_mut(mark.slot)
            && slot.serial == mark.serial
        {
            slot.stream.acknowledge(mark.safe);
            slot.stream.in_flight -= 1;
            for base in slot.stream.chain.take_spool_done() {
                self.spool.remove(CopyOf::new(&slot.stream.key, base));
            }
            self.unsaved = true;
        }
    }

    /// Writes the registry: it survives a kill from here on, if this answers `true`.
    pub(super) fn save(&mut self) -> bool {
        let streams = self.slots.iter_mut().flatten().map(|slot| {
            slot.stream.unsaved = false;
            slot.stream.entry()
        });
        let mut entries: Vec<Entry> = streams.filter(|entry| entry.id != 0 || !entry.files.is_empty()).collect();
        entries.extend(self.unclaimed.values().cloned());
        let written = self.registry.write(&State { entries });
        self.unsaved = false;
        self.judge(written)
    }

    /// Writes the registry and waits until it survives a power cut.
    pub(super) fn save_durably(&mut self) {
        if self.save() {
            let synced = self.registry.sync();
            self.judge(synced);
        }
    }

    pub(super) fn judge(&mut self, written: std::io::Result<()>) -> bool {
        match &written {
            Ok(()) => self.health.well("registry"),
            Err(error) => {
                self.counters.registry_failures.inc();
                self.health.trouble("registry", format!("cannot write the registry: {error}"));
                tracing::error!(%error, "cannot write the registry");
            }
        }
        written.is_ok()
    }

    /// Sends what is in the open batch, waits for acknowledgements, and writes the registry for the last time.
    pub(super) fn drain(&mut self) {
        let deadline = Instant::now() + self.config.drain;
        self.close_batch();
        while (self.outstanding > 0 || self.ready.is_some()) && Instant::now() < deadline {
            self.take_acks();
            self.offer();
            self.close_batch();
            if self.outstanding > 0 {
                self.watch.wait(&self.bell, POLL_MIN);
            }
        }
        self.take_acks();
        self.save_durably();
        if self.outstanding > 0 {
            tracing::info!(
                windows = self.outstanding,
                "not acknowledged in time; they are sent again at the next start"
            );
        }
    }
}
