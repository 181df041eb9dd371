//! `fingerprint`: one short value for some fields, such as a document id that is the same whenever they are.

mod murmur3;

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use ring::digest::{self, Algorithm};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Value, ValueRef};
use crate::pipeline::options::{Ecs, Options};
use weir_daemon::base64;

const METHODS: [&str; 9] =
    ["SHA1", "SHA256", "SHA384", "SHA512", "MD5", "MURMUR3", "IPV4_NETWORK", "UUID", "PUNCTUATION"];
/// Tag of an event for which there can be none, such as the network of what is no address.
const FAILURE_TAG: &str = "_fingerprintfailure";

#[derive(Debug)]
struct Fingerprint {
    /// Each as it was written, and what it means.
    sources: Vec<(String, FieldPath)>,
    target: FieldPath,
    method: Method,
    concatenate: Concatenate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concatenate {
    No,
    Sources,
    AllFields,
}

#[derive(Debug)]
enum Method {
    Digest { hash: Hash, key: Option<Vec<u8>>, base64: bool },
    Murmur3,
    Network { bits: u32 },
    Uuid,
    Punctuation,
}

#[derive(Clone, Copy, Debug)]
enum Hash {
    Md5,
    Ring(&'static Algorithm),
}

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    let before = options.diagnostics.len();
    let mut sources = options.list("source");
    if sources.is_empty() {
        sources.push(("message".to_owned(), options.span().clone()));
    }
    let ecs = options.ecs();
    let default = if ecs == Ecs::V8 { FieldPath::of(&["event", "hash"]) } else { FieldPath::of(&["fingerprint"]) };
    let target = options.field("target").unwrap_or(default);
    let base64 = options.bool("base64encode", false);
    let concatenate = match (options.bool("concatenate_sources", false), options.bool("concatenate_all_fields", false))
    {
        (_, true) => Concatenate::AllFields,
        (true, false) => Concatenate::Sources,
        (false, false) => Concatenate::No,
    };
    let method = method(options, base64);
    if concatenate != Concatenate::No || matches!(method, Some(Method::Punctuation)) {
        sources.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    let sources: Vec<_> = sources.iter().filter_map(|placed| Some((placed.0.clone(), options.path(placed)?))).collect();
    let method = method.filter(|_| options.diagnostics.len() == before)?;
    Some(Box::new(Fingerprint { sources, target, method, concatenate }))
}

fn method(options: &mut Options<'_>, base64: bool) -> Option<Method> {
    let key = options.text("key");
    let hash = match options.choice("method", &METHODS, "SHA1") {
        "SHA1" => Hash::Ring(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        "SHA256" => Hash::Ring(&digest::SHA256),
        "SHA384" => Hash::Ring(&digest::SHA384),
        "SHA512" => Hash::Ring(&digest::SHA512),
        "MD5" => Hash::Md5,
        "MURMUR3" => return Some(Method::Murmur3),
        "UUID" => return Some(Method::Uuid),
        "PUNCTUATION" => return Some(Method::Punctuation),
        _ => {
            let bits = key.as_ref().and_then(|(key, _)| key.parse().ok()).filter(|bits| *bits <= 32);
            if bits.is_none() {
                let span = key.map_or_else(|| options.span().clone(), |(_, span)| span);
                options.error(&span, "`IPV4_NETWORK` needs the prefix length in `key`", "such as `key => 24`");
            }
            return bits.map(|bits| Method::Network { bits });
        }
    };
    Some(Method::Digest { hash, key: key.map(|(key, _)| key.into_bytes()), base64 })
}

impl Hash {
    fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => md5::compute(bytes).0.to_vec(),
            Self::Ring(algorithm) => digest::digest(algorithm, bytes).as_ref().to_vec(),
        }
    }

    fn block_bytes(self) -> usize {
        match self {
            Self::Md5 => 64,
            Self::Ring(algorithm) => algorithm.block_len(),
        }
    }

    /// HMAC (RFC 2104), here because ring has none with MD5.
    fn keyed(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        let mut block = if key.len() > self.block_bytes() { self.of(key) } else { key.to_vec() };
        block.resize(self.block_bytes(), 0);
        let pad = |byte: u8| block.iter().map(move |key| key ^ byte);
        let inner: Vec<u8> = pad(0x36).chain(bytes.iter().copied()).collect();
        let outer: Vec<u8> = pad(0x5c).chain(self.of(&inner)).collect();
        self.of(&outer)
    }
}

impl Method {
    fn of(&self, value: ValueRef<'_>) -> Option<Value> {
        if let (Self::Murmur3, ValueRef::Int(number)) = (self, value) {
            return Some(Value::Int(i64::from(murmur3::hash(&number.to_le_bytes()))));
        }
        let mut text = String::new();
        write_ruby(value, &mut text);
        match self {
            Self::Digest { hash, key, base64: encode } => {
                let bytes = match key {
                    Some(key) => hash.keyed(key, text.as_bytes()),
                    None => hash.of(text.as_bytes()),
                };
                let shown = if *encode { base64::encode(&bytes) } else { hex(&bytes) };
                Some(Value::Text(shown.into()))
            }
            Self::Murmur3 => Some(Value::Int(i64::from(murmur3::hash(text.as_bytes())))),
            Self::Network { bits } => {
                let address: Ipv4Addr = text.trim().parse().ok()?;
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                Some(Value::Text(Ipv4Addr::from_bits(address.to_bits() & mask).to_string().into()))
            }
            Self::Uuid => uuid().map(|uuid| Value::Text(uuid.into())),
            Self::Punctuation => {
                let kept: String = text.chars().filter(|c| is_punctuation(*c)).collect();
                Some(Value::Text(kept.into()))
            }
        }
    }
}

impl Filter for Fingerprint {
    fn apply(&self, event: &mut Event, _: &mut Scratch) -> Outcome {
        let mut failed = false;
        let mut put = |event: &mut Event, value: Option<Value>| match value {
            Some(value) => {
                event.set(&self.target, value);
            }
            None => failed = true,
        };
        let alone = matches!(self.method, Method::Uuid | Method::Punctuation);
        match self.concatenate {
            _ if matches!(self.method, Method::Uuid) => put(event, self.method.of(ValueRef::Null)),
            Concatenate::Sources | Concatenate::AllFields if !alone => {
                let text = self.concatenated(event);
                put(event, self.method.of(ValueRef::Text(&text.into())));
            }
            _ => {
                for (_, source) in &self.sources {
                    let Some(value) = event.get_owned(source) else { continue };
                    let print = match &value {
                        Value::Array(items) if !alone => {
                            let prints: Option<Vec<_>> =
                                items.iter().map(|item| self.method.of(item.as_ref())).collect();
                            prints.map(Value::Array)
                        }
                        value => self.method.of(value.as_ref()),
                    };
                    put(event, print);
                }
            }
        }
        if failed {
            event.add_tag(FAILURE_TAG);
            return Outcome::Failed;
        }
        Outcome::Matched
    }
}

impl Fingerprint {
    /// `|name|value|name|value|`.
    fn concatenated(&self, event: &Event) -> String {
        let mut text = String::new();
        let mut push = |name: &str, value: Option<ValueRef<'_>>| {
            text.push('|');
            text.push_str(name);
            text.push('|');
            if let Some(value) = value {
                write_ruby(value, &mut text);
            }
        };
        if self.concatenate == Concatenate::AllFields {
            let mut names = event.names();
            names.sort_unstable();
            for name in names {
                let value = event.get_owned(&FieldPath::of(&[&name]));
                push(&name, value.as_ref().map(Value::as_ref));
            }
        } else {
            for (name, path) in &self.sources {
                let value = event.get_owned(path);
                push(name, value.as_ref().map(Value::as_ref));
            }
        }
        text.push('|');
        text
    }
}

/// A value as Ruby writes it (`to_s`), hashes in order of their names: fingerprints are the same as Logstash's.
fn write_ruby(value: ValueRef<'_>, out: &mut String) {
    match value {
        ValueRef::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                inspect(item.as_ref(), out);
            }
            out.push(']');
        }
        ValueRef::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            out.push('{');
            for (index, (name, value)) in entries.into_iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                inspect(ValueRef::Text(name), out);
                out.push_str("=>");
                inspect(value.as_ref(), out);
            }
            out.push('}');
        }
        other => other.write_text(out),
    }
}

/// As it stands inside of an array or a hash.
fn inspect(value: ValueRef<'_>, out: &mut String) {
    match value {
        ValueRef::Null => out.push_str("nil"),
        ValueRef::Text(text) => {
            // Writing to a String cannot fail.
            let _ = write!(out, "{:?}", &**text);
        }
        other => write_ruby(other, out),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A random one (RFC 9562, version 4).
fn uuid() -> Option<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex(&bytes);
    Some([&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-"))
}

/// What Unicode calls punctuation or a symbol: all that is neither letter, digit, mark, blank nor control.
fn is_punctuation(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_punctuation() } else { !c.is_alphanumeric() && !c.is_whitespace() && !c.is_control() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::filter::testing::run;

    /// What `[event][hash]` is, for options and an event.
    fn print(options: &str, event: Json) -> Json {
        run(&format!("fingerprint {{ {options} }}"), event)["event"]["hash"].clone()
    }

    #[test]
    fn the_values_of_logstash() {
        let address = || json!({ "clientip": "123.123.123.123" });
        for (options, expected) in [
            ("", "3a5076c520b4b463f43806896ea0b3978d09dcae"),
            ("method => SHA1 key => longencryptionkey", "fdc60acc4773dc5ac569ffb78fcb93c9630797f4"),
            ("key => longencryptionkey base64encode => true", "/cYKzEdz3FrFaf+3j8uTyWMHl/Q="),
            ("base64encode => true", "OlB2xSC0tGP0OAaJbqCzl40J3K4="),
            ("method => SHA256", "4dabcab210766e35f03e77120e6986d6e6d4752b2a9ff22980b9253d026080d8"),
            (
                "method => SHA256 key => longencryptionkey",
                "345bec3eff242d53b568916c2610b3e393d885d6b96d643f38494fd74bf4a9ca",
            ),
            (
                "method => SHA384 key => longencryptionkey base64encode => true",
                "ItTA6MT7zcSIfSA4/KdlDw4uDiRX/0HAbrKpgN3tZ0lWHIFP4YKv+T4lONGFk5R6",
            ),
            ("method => MD5", "ccdd8d3d940a01b2fb3258c059924c0d"),
            ("method => MD5 key => longencryptionkey", "9336c879e305c9604a3843fc3e75948f"),
            ("method => IPV4_NETWORK key => 24", "123.123.123.0"),
        ] {
            assert_eq!(print(&format!("source => clientip {options}"), address()), expected, "{options}");
        }
        assert_eq!(print("source => clientip method => MURMUR3", address()), 4_013_733_395_u64);
        assert_eq!(print("source => n method => MURMUR3", json!({ "n": 123 })), 823_512_154);
    }

    #[test]
    fn several_sources() {
        let two = || json!({ "field1": "test1", "field2": "test2" });
        let last = "109f4b3c50d7b0df729d299bc6f8e9ef9066971f";
        assert_eq!(print("source => [\"field1\", \"field2\"]", two()), last);
        let joined = "e3b6b71eedc656f1d29408264e8a75535db985cb";
        assert_eq!(print("source => [\"field2\", \"field1\"] concatenate_sources => true", two()), joined);
        let list = json!({ "ip": ["123.123.123.123", "223.223.223.223"] });
        let each = json!(["3a5076c520b4b463f43806896ea0b3978d09dcae", "47bbc4e06edebbace047fed35abeceec64968b81"]);
        assert_eq!(print("source => ip", list), each);
        let one = print("source => a", json!({ "a": { "x": 1, "y": ["b", null] } }));
        assert_eq!(one, print("source => a", json!({ "a": { "y": ["b", null], "x": 1 } })), "in whatever order");
        let all = json!({
            "@timestamp": "2017-07-26T14:44:27.064Z", "clientip": "123.123.123.123",
            "message": "This is a test message", "log_level": "INFO", "offset": 123_456_789, "type": "test",
        });
        assert_eq!(
            run("fingerprint { concatenate_all_fields => true }", all.clone())["event"]["hash"].as_str().unwrap().len(),
            40
        );
        assert_eq!(print("source => nothere", two()), Json::Null);
    }

    #[test]
    fn punctuation_uuids_and_what_cannot_be() {
        let event = json!({ "message": "Warning: json_encode() [<a href='x.y'>] é ¿" });
        assert_eq!(print("method => PUNCTUATION", event), ":_()[<='.'>]¿");
        let one = print("method => UUID", json!({}));
        assert_eq!(one.as_str().unwrap().len(), 36);
        assert_ne!(one, print("method => UUID", json!({})));
        let failed = run("fingerprint { method => IPV4_NETWORK key => 16 add_tag => ok }", json!({ "message": "x" }));
        assert_eq!(failed["tags"], json!(["_fingerprintfailure"]));
        let legacy = run("fingerprint { ecs_compatibility => disabled }", json!({ "message": "x" }));
        assert_eq!(legacy["fingerprint"], "11f6ad8ec52a2984abaafd7c3b516503785c2072");
    }
}
