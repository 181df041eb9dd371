//! Marks: for each source the highest end that was accepted. They make a delivery that comes twice show up once.

use std::collections::HashMap;
use std::time::Duration;

/// Bytes of one mark when saved: source, end, and when it was last moved (minutes since 1970).
const SAVED_BYTES: usize = 20;

/// The marks of one index.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Marks {
    by_source: HashMap<u64, Mark>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Mark {
    end: u64,
    /// Minutes since 1970.
    moved: u32,
}

/// What is to be done with documents that stand for `[start, end)` of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// New.
    Accept,
    /// Everything up to its end is there already: 409.
    Known,
    /// It was grouped differently before: documents that start in `from..to` go, this one comes.
    Regrouped { from: u64, to: u64 },
}

impl Marks {
    /// Decides by the mark of `source`, without changing it.
    pub(crate) fn judge(&self, source: u64, start: u64, end: u64) -> Verdict {
        let Some(mark) = self.by_source.get(&source).map(|mark| mark.end) else { return Verdict::Accept };
        if start >= mark {
            Verdict::Accept
        } else if end <= mark {
            Verdict::Known
        } else {
            Verdict::Regrouped { from: start, to: mark }
        }
    }

    /// Everything of `source` before `end` is accepted.
    pub(crate) fn raise(&mut self, source: u64, end: u64, now_ms: u64) {
        let moved = minutes(now_ms);
        let mark = self.by_source.entry(source).or_insert(Mark { end, moved });
        mark.end = mark.end.max(end);
        mark.moved = moved;
    }

    /// Forgets sources that were silent for longer than `silence`, and the most silent ones beyond `max`.
    pub(crate) fn forget(&mut self, now_ms: u64, silence: Duration, max: usize) {
        let oldest = minutes(now_ms).saturating_sub(u32::try_from(silence.as_secs() / 60).unwrap_or(u32::MAX));
        self.by_source.retain(|_, mark| mark.moved >= oldest);
        if self.by_source.len() > max {
            let mut moved: Vec<u32> = self.by_source.values().map(|mark| mark.moved).collect();
            moved.sort_unstable();
            let mut surplus = moved.len() - max;
            let border = moved[surplus - 1];
            self.by_source.retain(|_, mark| {
                let goes = surplus > 0 && mark.moved <= border;
                surplus -= usize::from(goes);
                !goes
            });
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_source.len()
    }

    /// As bytes, for the commit payload.
    pub(crate) fn save(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.by_source.len() * SAVED_BYTES);
        for (source, mark) in &self.by_source {
            bytes.extend_from_slice(&source.to_le_bytes());
            bytes.extend_from_slice(&mark.end.to_le_bytes());
            bytes.extend_from_slice(&mark.moved.to_le_bytes());
        }
        bytes
    }

    /// From what [`save`](Self::save) gave; `None` for anything else.
    pub(crate) fn load(bytes: &[u8]) -> Option<Self> {
        let by_source = bytes.chunks(SAVED_BYTES).map(|saved| {
            let source = u64::from_le_bytes(saved.get(..8)?.try_into().ok()?);
            let end = u64::from_le_bytes(saved.get(8..16)?.try_into().ok()?);
            let moved = u32::from_le_bytes(saved.get(16..20)?.try_into().ok()?);
            Some((source, Mark { end, moved }))
        });
        Some(Self { by_source: by_source.collect::<Option<_>>()? })
    }
}

fn minutes(ms: u64) -> u32 {
    u32::try_from(ms / 60_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_decides() {
        let mut marks = Marks::default();
        assert_eq!(marks.judge(1, 0, 10), Verdict::Accept);
        marks.raise(1, 10, 0);
        assert_eq!(marks.judge(1, 0, 10), Verdict::Known);
        assert_eq!(marks.judge(1, 10, 20), Verdict::Accept);
        assert_eq!(marks.judge(1, 5, 20), Verdict::Regrouped { from: 5, to: 10 });
        assert_eq!(marks.judge(1, 10, 10), Verdict::Accept);
        assert_eq!(marks.judge(1, 9, 9), Verdict::Known);
        assert_eq!(marks.judge(2, 0, 10), Verdict::Accept);
        marks.raise(1, 5, 0);
        assert_eq!(marks.judge(1, 9, 10), Verdict::Known);
    }

    #[test]
    fn marks_are_bounded_and_survive_saving() {
        let mut marks = Marks::default();
        for n in 0..100u64 {
            marks.raise(n, 10, n * 60_000);
        }
        assert_eq!(Marks::load(&marks.save()), Some(marks.clone()));
        assert_eq!(Marks::load(b"short"), None);
        marks.forget(100 * 60_000, Duration::from_secs(50 * 60), 1_000);
        assert_eq!(marks.len(), 50);
        marks.forget(100 * 60_000, Duration::from_secs(50 * 60), 7);
        assert_eq!(marks.len(), 7);
        assert_eq!(marks.judge(99, 0, 10), Verdict::Known);
        let mut same = Marks::default();
        for n in 0..100u64 {
            same.raise(n, 10, 0);
        }
        same.forget(0, Duration::from_secs(60), 7);
        assert_eq!(same.len(), 7);
    }
}
