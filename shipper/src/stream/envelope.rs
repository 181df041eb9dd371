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
