//! The bytes around every message of a log: built when something about it becomes known, copied with every line.

use crate::batch::{Envelope, SENDER};
use crate::cri::Pod;
use crate::docker::Metadata;
use crate::escape::push_json_string;
use crate::registry::Kind;

use super::{Rules, Stream};

impl Stream {
    pub(super) fn build_envelopes(&mut self, rules: &Rules) {
        if self.id == 0 {
            return;
        }
        let mut close = b",\"file\":{\"path\":".to_vec();
        push_json_string(self.chain.path().as_os_str().as_encoded_bytes(), &mut close);
        close.extend_from_slice(b"}},");
        match (self.kind, &self.metadata) {
            (Kind::Docker, Some(metadata)) => {
                metadata.push_fields(&self.key, &rules.host_name, &rules.labels, &mut close)
            }
            (Kind::Docker, None) => Metadata::default().push_fields(&self.key, &rules.host_name, &[], &mut close),
            (Kind::Plain, _) => {
                close.extend_from_slice(b"\"host\":{\"name\":");
                push_json_string(rules.host_name.as_bytes(), &mut close);
                close.push(b'}');
                if let Some(pod) = Pod::of(self.chain.path()) {
                    pod.push_fields(&mut close);
                }
            }
        }
        if !self.attrs.is_empty() {
            close.extend_from_slice(b",\"docker\":{\"attrs\":");
            close.extend_from_slice(&self.attrs);
            close.push(b'}');
        }
        close.push(b'}');
        let pipeline = self.metadata.as_ref().and_then(|metadata| metadata.label("weir.pipeline"));
        for (index, name) in [(0, "stdout"), (1, "stderr"), (2, "")] {
            let mut open = b"\"".to_vec();
            if (self.kind == Kind::Docker || self.cri) && !name.is_empty() {
                open.extend_from_slice(format!(",\"stream\":\"{name}\"").as_bytes());
            }
            open.extend_from_slice(b",\"@metadata\":{\"weir\":{\"start\":");
            let mut middle = format!(",\"source\":\"{:016x}\"", self.id | index).into_bytes();
            if let Some(pipeline) = pipeline {
                middle.extend_from_slice(b",\"pipeline\":");
                push_json_string(pipeline.as_bytes(), &mut middle);
            }
            middle.extend_from_slice(format!("}},{SENDER}}},\"log\":{{\"offset\":").as_bytes());
            self.envelopes[index as usize] = Envelope::new(open, middle, close.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, Event, Flags};
    use crate::docker::Metadata;
    use crate::multiline::Grouping;
    use crate::stream::Format;
    use weir_lumberjack::{Decoder, Item, Limits};

    /// An event as it is on the wire, which the aggregator's tests read too: its quick way depends on the very bytes.
    const EVENT: &str = include_str!("../../../common/lumberjack/tests/event.json");

    #[test]
    fn an_event_has_the_bytes_that_the_aggregator_knows() {
        let rules = Rules {
            line_bytes_max: 10_000,
            window_events: 20,
            window_bytes: 100_000,
            host_name: "node-1".to_owned(),
            node: "n".to_owned(),
            labels: Vec::new(),
            grouping: Grouping::Off,
            strip_ansi: false,
            format: Format::Auto,
        };
        let labels = [
            ("com.docker.stack.namespace", "shop"),
            ("com.docker.swarm.service.name", "shop_web"),
            ("weir.pipeline", "nginx"),
        ];
        let metadata = Metadata {
            name: Some("shop_web.1.x1y2z3".to_owned()),
            image: Some("shop/web:1.4".to_owned()),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        let live = "/var/lib/docker/containers/f66c/f66c-json.log".into();
        let mut stream = Stream::new(Kind::Docker, "f66c".to_owned(), live);
        stream.id = 0xabc;
        stream.describe(Some(metadata), &rules);
        let mut batch = Batch::default();
        let event = Event {
            time: b"2026-03-01T12:00:00.123456789Z",
            text: br#"said \"no\""#,
            start: 1234,
            end: 1300,
            offset: 34,
            flags: Flags::default(),
        };
        assert!(batch.push(&event, &stream.envelopes[1]));
        let mut decoder = Decoder::new(Limits::default());
        decoder.space().extend_from_slice(batch.window.plain());
        let mut documents = Vec::new();
        while let Some(item) = decoder.next().unwrap() {
            if let Item::Event { document, .. } = item {
                documents.push(String::from_utf8(document.to_vec()).unwrap());
            }
        }
        assert_eq!(documents, [EVENT.trim_end().replace("0.1.0", env!("CARGO_PKG_VERSION"))]);
    }
}
