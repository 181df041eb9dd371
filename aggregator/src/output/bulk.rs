//! The body of a `_bulk` request under construction: two lines for each document, and where each of them lies.

use bytes::Bytes;

use crate::event::json;

/// What is to be done with a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Action {
    /// Store it unless there is one of this id: the default, and what makes a second delivery harmless.
    #[default]
    Create,
    /// Store it in place of one of the same id.
    Index,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Index => "index",
        }
    }
}

/// One document of a body: byte offsets, and the order that it must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Where the action line starts.
    pub start: u32,
    /// Where `,"_end":N` starts in the action line and how long it is; 0 when there is none.
    pub end_field: (u32, u8),
    /// Where the document line starts.
    pub document: u32,
    /// Where the line break after the document ends.
    pub end: u32,
    /// The source whose order it keeps; 0: it has none.
    pub source: u64,
    /// It is a dead letter already.
    pub dead: bool,
    /// It was made of the same event as the one before, and goes in the same request.
    pub joined: bool,
}

/// The name and place of one document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// Index name.
    pub index: &'a str,
    /// `_id`; none leaves it to the host.
    pub id: Option<&'a str>,
    /// `_end` for a weir indexer: the position after the event in its source.
    pub end: Option<u64>,
    /// The source whose order it keeps; 0: it has none.
    pub source: u64,
    /// What to do.
    pub action: Action,
    /// It is made of the same event as the document before.
    pub joined: bool,
}

/// Newline-delimited JSON of a `_bulk` request, built in place.
#[derive(Debug, Default)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

/// A length of a [`Body`], to cut it back to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    bytes: usize,
    items: usize,
}

impl Body {
    /// Appends a document: `write` appends its JSON object, of one line.
    pub fn push(&mut self, target: Target<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        let out = &mut self.bytes;
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(target.action.name().as_bytes());
        out.extend_from_slice(b"\":{\"_index\":");
        json::write_string(out, target.index);
        if let Some(id) = target.id {
            out.extend_from_slice(b",\"_id\":");
            json::write_string(out, id);
        }
        let mut end_field = (0, 0);
        if let Some(end) = target.end {
            let at = out.len();
            out.extend_from_slice(b",\"_end\":");
            json::write_u64(out, end);
            // At most 8 bytes of name and 20 digits.
            end_field = (offset(at), u8::try_from(out.len() - at).unwrap_or(0));
        }
        out.extend_from_slice(b"}}\n");
        let document = out.len();
        write(out);
        out.push(b'\n');
        let end = out.len();
        self.items.push(Item {
            start: offset(start),
            end_field,
            document: offset(document),
            end: offset(end),
            source: target.source,
            dead: false,
            joined: target.joined,
        });
    }

    /// Appends a document of another body as it is.
    pub fn copy(&mut self, from: &[u8], item: Item) {
        let start = offset(self.bytes.len());
        self.bytes.extend_from_slice(slice(from, item.start, item.end));
        let moved = |at: u32| if at == 0 { 0 } else { start + (at - item.start) };
        self.items.push(Item {
            start,
            end_field: (if item.end_field.1 == 0 { 0 } else { moved(item.end_field.0) }, item.end_field.1),
            document: start + (item.document - item.start),
            end: start + (item.end - item.start),
            ..item
        });
    }

    /// Marks the last document as a dead letter.
    pub fn last_is_dead(&mut self) {
        if let Some(item) = self.items.last_mut() {
            item.dead = true;
        }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Its present length.
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), items: self.items.len() }
    }

    /// Cuts it back to `mark`.
    pub fn truncate(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.items.truncate(mark.items);
    }

    /// Moves what lies behind `mark` into a body of its own.
    pub fn split_off(&mut self, mark: Mark) -> Self {
        let mut tail = Self::default();
        for item in &self.items[mark.items..] {
            tail.copy(&self.bytes, *item);
        }
        self.truncate(mark);
        tail
    }

    /// The finished bytes and what lies where in them.
    pub fn finish(self) -> Chunk {
        Chunk { bytes: self.bytes.into(), items: self.items }
    }
}

/// Part of a finished body: items that lie side by side in shared bytes.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// The bytes that the items' offsets count in; more than those of the items alone.
    pub bytes: Bytes,
    /// The items, in order.
    pub items: Vec<Item>,
}

impl Chunk {
    /// The bytes to send.
    pub fn payload(&self) -> Bytes {
        match (self.items.first(), self.items.last()) {
            (Some(first), Some(last)) => self.bytes.slice(first.start as usize..last.end as usize),
            _ => Bytes::new(),
        }
    }

    /// The bytes to send to a host that does not know `_end`.
    pub fn payload_without_ends(&self) -> Bytes {
        if self.items.iter().all(|item| item.end_field.1 == 0) {
            return self.payload();
        }
        let mut out = Vec::with_capacity(self.payload().len());
        for item in &self.items {
            let (at, length) = item.end_field;
            if length == 0 {
                out.extend_from_slice(slice(&self.bytes, item.start, item.end));
            } else {
                out.extend_from_slice(slice(&self.bytes, item.start, at));
                out.extend_from_slice(slice(&self.bytes, at + u32::from(length), item.end));
            }
        }
        out.into()
    }

    /// The document of an item, without its line break.
    pub fn document(&self, item: &Item) -> &[u8] {
        slice(&self.bytes, item.document, item.end.saturating_sub(1))
    }

    /// The action line of an item, without its line break.
    pub fn action(&self, item: &Item) -> &[u8] {
        slice(&self.bytes, item.start, item.document.saturating_sub(1))
    }

    /// Cuts off a first part of at most `items` items and about `bytes` bytes, but of one event at least, and only
    /// between events.
    pub fn split_front(&mut self, items: usize, bytes: usize) -> Self {
        let start = self.items.first().map_or(0, |item| item.start) as usize;
        let fits = |n: usize| n < items && self.items[n].end as usize - start <= bytes;
        let mut cut = 0;
        for n in 0..self.items.len() {
            if !fits(n) && cut > 0 {
                break;
            }
            let is_last_of_event = self.items.get(n + 1).is_none_or(|next| !next.joined);
            if is_last_of_event {
                cut = n + 1;
            }
        }
        Self { bytes: self.bytes.clone(), items: self.items.drain(..cut).collect() }
    }

    /// Whether all items are of one event, so that no request can hold fewer.
    pub fn is_one_event(&self) -> bool {
        self.items.iter().skip(1).all(|item| item.joined)
    }
}

fn slice(bytes: &[u8], from: u32, to: u32) -> &[u8] {
    bytes.get(from as usize..to as usize).unwrap_or_default()
}

/// A body stays far under 4 GiB: the settings allow one gigabyte at most.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(documents: &[(&str, Option<u64>)]) -> Body {
        let mut body = Body::default();
        for (id, end) in documents {
            let target =
                Target { index: "logs", id: Some(id), end: *end, source: 1, action: Action::Create, joined: false };
            body.push(target, |out| out.extend_from_slice(format!("{{\"n\":\"{id}\"}}").as_bytes()));
        }
        body
    }

    #[test]
    fn the_lines_are_those_of_the_bulk_api() {
        let chunk = body(&[("a-0", Some(12)), ("b", None)]).finish();
        assert_eq!(
            chunk.payload(),
            "{\"create\":{\"_index\":\"logs\",\"_id\":\"a-0\",\"_end\":12}}\n{\"n\":\"a-0\"}\n\
             {\"create\":{\"_index\":\"logs\",\"_id\":\"b\"}}\n{\"n\":\"b\"}\n"
        );
        assert_eq!(
            chunk.payload_without_ends(),
            "{\"create\":{\"_index\":\"logs\",\"_id\":\"a-0\"}}\n{\"n\":\"a-0\"}\n\
             {\"create\":{\"_index\":\"logs\",\"_id\":\"b\"}}\n{\"n\":\"b\"}\n"
        );
        assert_eq!(chunk.document(&chunk.items[1]), b"{\"n\":\"b\"}");
        let mut quoted = Body::default();
        let target = Target { index: "a\"b", id: None, end: None, source: 0, action: Action::Index, joined: false };
        quoted.push(target, |out| out.extend_from_slice(b"{}"));
        assert_eq!(quoted.finish().payload(), "{\"index\":{\"_index\":\"a\\\"b\"}}\n{}\n");
    }

    #[test]
    fn parts_keep_their_bytes() {
        let documents = [("a", Some(1)), ("b", None), ("c", Some(300)), ("d", Some(u64::MAX))];
        let whole = body(&documents).finish();
        let mut front = body(&documents[..2]);
        let mark = front.mark();
        let mut all = body(&documents);
        let tail = all.split_off(mark);
        assert_eq!(all.finish().payload(), std::mem::take(&mut front).finish().payload());
        let tail = tail.finish();
        assert_eq!(tail.payload(), body(&documents[2..]).finish().payload());
        assert_eq!(tail.payload_without_ends(), body(&[("c", None), ("d", None)]).finish().payload());

        let mut rest = whole.clone();
        let first = rest.split_front(10, 60);
        assert_eq!(first.items.len(), 1, "one item at least, however small the bound");
        let second = rest.split_front(2, 1 << 20);
        assert_eq!((second.items.len(), rest.items.len()), (2, 1));
        let all = [first.payload(), second.payload(), rest.payload()].concat();
        assert_eq!(all, whole.payload());
    }

    #[test]
    fn documents_of_one_event_stay_together() {
        let mut body = Body::default();
        for (id, joined) in [("a", false), ("b", false), ("b.1", true), ("b.2", true), ("c", false)] {
            let target = Target { index: "i", id: Some(id), end: None, source: 1, action: Action::Create, joined };
            body.push(target, |out| out.extend_from_slice(b"{}"));
        }
        let mut rest = body.finish();
        let lengths: Vec<usize> = std::iter::from_fn(|| {
            let part = rest.split_front(2, 1 << 20);
            assert!(part.items.len() < 3 || part.is_one_event());
            Some(part.items.len()).filter(|length| *length > 0)
        })
        .collect();
        assert_eq!(lengths, [1, 3, 1]);
    }
}
