//! A request to write, parsed: the actions of a `_bulk` body, or one document's.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::document::{Extent, Values};
use super::index::Index;
use super::parse::Parser;
use crate::error::{Error, Result};
use crate::mapping::Mapping;

/// Longest `_id` in bytes, as in Elasticsearch.
const ID_BYTES_MAX: usize = 512;
/// Most indices in one request; each gets a number of 16 bits.
const TARGETS_MAX: usize = 1_000;

/// What is to be done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Put, over what may be there.
    Index,
    /// Put, if nothing is there.
    Create,
    /// Take away.
    Delete,
    /// Change in part. The HTTP side reads, merges and writes; an action of this kind does not come as far as here.
    Update,
}

impl Kind {
    /// Its name in `_bulk`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Update => "update",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "index" => Self::Index,
            "create" => Self::Create,
            "delete" => Self::Delete,
            "update" => Self::Update,
            _ => return None,
        })
    }
}

/// What must hold of the document that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// `if_seq_no` and `if_primary_term`.
    pub if_seq: Option<(u64, u64)>,
    /// `version` with `version_type=external` (false) or `external_gte` (true).
    pub external: Option<(u64, bool)>,
    /// `version` alone: the version that is there.
    pub version: Option<u64>,
}

/// What holds for the actions of a `_bulk` that do not say it themselves.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// The index.
    pub index: Option<String>,
    /// The routing value.
    pub routing: Option<String>,
}

/// One action.
#[derive(Debug)]
pub struct Action {
    /// What is to be done.
    pub kind: Kind,
    /// Number of its index in [`Request::targets`].
    pub target: u16,
    /// The `_id` that was given.
    pub id: Option<Box<str>>,
    /// `routing`
    pub(crate) routing: Option<Box<str>>,
    /// `_end`: the document stands for a stretch of a source.
    pub(crate) end: Option<u64>,
    pub(crate) condition: Option<Box<Condition>>,
    pub(crate) extent: Extent,
    /// It cannot be done, whatever is there.
    pub(crate) error: Option<Box<Error>>,
}

/// An index that a request writes to.
pub struct Target {
    /// The name as given; `_index` in answers is the index's own.
    pub name: Arc<str>,
    /// The index, or why there is none.
    pub(crate) index: std::result::Result<Arc<Index>, Box<Error>>,
    pub(crate) mapping: Arc<Mapping>,
}

/// A parsed request.
pub struct Request {
    pub(crate) text: Arc<String>,
    pub(crate) values: Values,
    /// In order.
    pub actions: Vec<Action>,
    /// The indices.
    pub targets: Vec<Target>,
}

/// Finds or makes the index of a name.
pub(crate) trait Targets {
    fn target(&self, name: &str) -> Result<Arc<Index>>;
}

/// What a line that announces an action says.
#[derive(Debug, Default, PartialEq)]
struct Head {
    kind: Option<Kind>,
    index: Option<String>,
    id: Option<Box<str>>,
    routing: Option<Box<str>>,
    end: Option<u64>,
    condition: Condition,
    version: Option<u64>,
    version_type: Option<String>,
}

struct Builder<'a> {
    targets: Vec<Target>,
    by_name: HashMap<Box<str>, u16>,
    find: &'a dyn Targets,
}

impl Builder<'_> {
    fn target(&mut self, name: &str) -> Result<u16> {
        if let Some(number) = self.by_name.get(name) {
            return Ok(*number);
        }
        if self.targets.len() >= TARGETS_MAX {
            return Err(Error::illegal_argument(format!("a request can write to no more than {TARGETS_MAX} indices")));
        }
        let number = self.targets.len() as u16;
        let index = self.find.target(name).map_err(Box::new);
        let mapping = index.as_ref().map(|index| index.mapping()).unwrap_or_default();
        self.targets.push(Target { name: name.into(), index, mapping });
        self.by_name.insert(name.into(), number);
        Ok(number)
    }
}

/// Parses a `_bulk` body.
///
/// # Errors
/// 400 where Elasticsearch refuses the whole request: a malformed action line, a missing last newline.
pub(crate) fn bulk(body: Bytes, defaults: &Defaults, find: &dyn Targets) -> Result<Request> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::new(400, "parse_exception", "request body is required"));
    }
    if body.last() != Some(&b'\n') {
        return Err(Error::illegal_argument("The bulk request must be terminated by a newline [\\n]"));
    }
    let text = utf8(body)?;
    let mut values = Values::default();
    // A typical log line has a dozen values and takes a third of a kilobyte.
    values.leaves.reserve(text.len() / 40);
    values.stored.reserve(text.len() * 3 / 4);
    let mut actions: Vec<Action> = Vec::with_capacity(text.len() / 300 + 1);
    let mut builder = Builder { targets: Vec::new(), by_name: HashMap::new(), find };
    let mut last: Option<(&str, Kind, u16)> = None;
    let (mut at, mut line_number) = (0, 0);
    while let Some(line) = line(&text, at) {
        line_number += 1;
        at += line.len() + 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        // Lines that say the same as the one before, which is what collectors without ids send, are not read again.
        let mut action = match last.filter(|(known, ..)| *known == line) {
            Some((_, kind, target)) => Action::new(kind, target),
            None => {
                let mut head = head(line, line_number)?;
                if head.routing.is_none() {
                    head.routing = defaults.routing.as_deref().map(Into::into);
                }
                let kind = head.kind.unwrap_or(Kind::Index);
                let Some(name) = head.index.as_deref().or(defaults.index.as_deref()) else {
                    return Err(Error::new(
                        400,
                        "action_request_validation_exception",
                        "Validation Failed: 1: index is missing;",
                    ));
                };
                let mut action = Action::new(kind, builder.target(name)?);
                let plain = head.id.is_none()
                    && head.end.is_none()
                    && head.routing.is_none()
                    && head.version.is_none()
                    && head.condition == Condition::default();
                if plain && head.version_type.is_none() {
                    last = Some((line, kind, action.target));
                }
                action.take(head);
                action
            }
        };
        if action.kind != Kind::Delete {
            let Some(document) = self::line(&text, at) else {
                return Err(Error::illegal_argument(format!(
                    "Malformed action/metadata line [{line_number}], the document behind it is missing"
                )));
            };
            line_number += 1;
            action.parse(&text, (at, document.len()), &mut builder.targets, &mut values);
            at += document.len() + 1;
        }
        actions.push(action);
    }
    Ok(Request { text, values, actions, targets: builder.targets })
}

/// One document, as `PUT /{index}/_doc/{id}` and its relatives bring it.
///
/// # Errors
/// 400 when the body cannot be read, 404 or 400 when there can be no such index.
pub(crate) fn single(
    body: Bytes,
    index: &str,
    kind: Kind,
    (id, routing): (Option<&str>, Option<&str>),
    condition: Condition,
    find: &dyn Targets,
) -> Result<Request> {
    let text = utf8(body)?;
    let mut values = Values::default();
    let mut builder = Builder { targets: Vec::new(), by_name: HashMap::new(), find };
    let target = builder.target(index)?;
    if let Err(error) = &builder.targets[target as usize].index {
        return Err(error.as_ref().clone());
    }
    let mut action = Action::new(kind, target);
    let routing = routing.map(Into::into);
    action.take(Head { kind: Some(kind), id: id.map(Into::into), routing, condition, ..Head::default() });
    if kind != Kind::Delete {
        action.parse(&text, (0, text.len()), &mut builder.targets, &mut values);
    }
    match action.error {
        Some(error) => Err(*error),
        None => Ok(Request { text, values, actions: vec![action], targets: builder.targets }),
    }
}

fn utf8(body: Bytes) -> Result<Arc<String>> {
    if body.len() > u32::MAX as usize {
        return Err(Error::too_large(u64::from(u32::MAX)));
    }
    // A log line is not refused for a stray byte: it becomes a replacement character.
    let text =
        String::from_utf8(body.into()).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(Arc::new(text))
}

/// The line that begins at `at`, without its newline.
fn line(text: &str, at: usize) -> Option<&str> {
    let rest = text.get(at..)?;
    memchr::memchr(b'\n', rest.as_bytes()).map(|end| &rest[..end])
}

impl Action {
    fn new(kind: Kind, target: u16) -> Self {
        Self {
            kind,
            target,
            id: None,
            routing: None,
            end: None,
            condition: None,
            extent: Extent::default(),
            error: None,
        }
    }

    fn take(&mut self, head: Head) {
        self.error = head.problem(self.kind).map(Box::new);
        self.id = head.id;
        self.routing = head.routing;
        self.end = head.end;
        let external = head
            .version
            .filter(|_| head.version_type.is_some())
            .map(|version| (version, head.version_type.as_deref() == Some("external_gte")));
        let version = head.version.filter(|_| head.version_type.is_none()).or(head.condition.version);
        let condition = Condition { external: head.condition.external.or(external), version, ..head.condition };
        if condition != Condition::default() {
            self.condition = Some(Box::new(condition));
        }
    }

    fn parse(&mut self, text: &str, (start, len): (usize, usize), targets: &mut [Target], values: &mut Values) {
        if self.kind == Kind::Update && self.error.is_none() {
            self.error = Some(Box::new(Error::illegal_argument(
                "[update] is not supported: send the whole document with [index]",
            )));
        }
        let target = &mut targets[self.target as usize];
        let index = match &target.index {
            Ok(index) => Arc::clone(index),
            Err(error) => {
                self.error.get_or_insert_with(|| error.clone());
                return;
            }
        };
        if self.error.is_some() {
            return;
        }
        let mut parser = Parser::new(text, Arc::clone(&target.mapping), index.as_ref(), values);
        let parsed = parser.document(start, start + len);
        target.mapping = parser.mapping;
        match parsed {
            Ok(extent) => self.extent = extent,
            Err(refused) => self.error = Some(Box::new(refused.error())),
        }
    }
}

impl Head {
    /// What makes the action impossible on its own.
    fn problem(&self, kind: Kind) -> Option<Error> {
        if let Some(id) = self.id.as_deref() {
            if id.is_empty() {
                return Some(Error::illegal_argument("if _id is specified it must not be empty"));
            }
            if id.len() > ID_BYTES_MAX {
                return Some(Error::illegal_argument(format!(
                    "id [{id}] is too long, must be no longer than {ID_BYTES_MAX} bytes but was: {}",
                    id.len()
                )));
            }
        } else if kind == Kind::Delete {
            return Some(Error::new(
                400,
                "action_request_validation_exception",
                "Validation Failed: 1: id is missing;",
            ));
        }
        if self.end.is_some() && self.id.as_deref().and_then(super::id::parse_position).is_none() {
            return Some(Error::illegal_argument("_end needs an _id of the form <16 hex digits>-<start>[.<n>]"));
        }
        if let (Some(end), Some((_, start, _))) = (self.end, self.id.as_deref().and_then(super::id::parse_position))
            && end < start
        {
            return Some(Error::illegal_argument(format!("_end [{end}] lies before the start [{start}]")));
        }
        if self.end.is_some() && kind != Kind::Create {
            return Some(Error::illegal_argument("_end goes with [create] only"));
        }
        if kind == Kind::Create && (self.condition.if_seq.is_some() || self.version_type.is_some()) {
            return Some(Error::new(
                400,
                "action_request_validation_exception",
                "Validation Failed: 1: create operations do not support versioning. use index instead;",
            ));
        }
        None
    }
}

/// Reads `{"create":{"_index":"x","_id":"y"}}`.
fn head(line: &str, line_number: usize) -> Result<Head> {
    if let Some(head) = usual_head(line) {
        return Ok(head);
    }
    let malformed =
        |what: &str| Error::illegal_argument(format!("Malformed action/metadata line [{line_number}], {what}"));
    let value: Value =
        serde_json::from_str(line).map_err(|error| malformed(&format!("expected a JSON object: {error}")))?;
    let Value::Object(action) = value else { return Err(malformed("expected [START_OBJECT]")) };
    let mut members = action.into_iter();
    let Some((name, options)) = members.next() else {
        return Err(malformed("expected FIELD_NAME but found [END_OBJECT]"));
    };
    if members.next().is_some() {
        return Err(malformed("expected [END_OBJECT] but found [FIELD_NAME]"));
    }
    let Some(kind) = Kind::of(&name) else {
        return Err(malformed(&format!("expected field [create], [delete], [index] or [update] but found [{name}]")));
    };
    let Value::Object(options) = options else { return Err(malformed("expected [START_OBJECT] behind the action")) };
    let mut head = Head { kind: Some(kind), ..Head::default() };
    let (mut if_seq, mut if_term) = (None, None);
    for (option, value) in options {
        let number = || value.as_u64().or_else(|| value.as_str()?.parse().ok());
        match (option.as_str(), &value) {
            (_, Value::Null) => {}
            ("_index", Value::String(name)) => head.index = Some(name.clone()),
            ("_id", Value::String(id)) => head.id = Some(id.as_str().into()),
            ("_id", Value::Number(id)) => head.id = Some(id.to_string().into()),
            ("_end", Value::Number(_)) if number().is_some() => head.end = number(),
            ("if_seq_no", _) if number().is_some() => if_seq = number(),
            ("if_primary_term", _) if number().is_some() => if_term = number(),
            ("version" | "_version", _) if number().is_some() => head.version = number(),
            ("version_type" | "_version_type", Value::String(name))
                if matches!(name.as_str(), "external" | "external_gte") =>
            {
                head.version_type = Some(name.clone());
            }
            ("version_type" | "_version_type", Value::String(name)) if name == "internal" => {}
            ("routing" | "_routing", Value::String(way)) => head.routing = Some(way.as_str().into()),
            ("routing" | "_routing", Value::Number(way)) => head.routing = Some(way.to_string().into()),
            // Types are gone since Elasticsearch 8; one is all there is, whatever older clients call it. That the index
            // may be an alias changes nothing on one node.
            (
                "_type" | "require_alias" | "require_data_stream" | "dynamic_templates" | "list_executed_pipelines",
                _,
            ) => {}
            ("pipeline", Value::String(name)) if name == "_none" => {}
            ("retry_on_conflict" | "_source", _) if kind == Kind::Update => {}
            (other, _) => {
                return Err(Error::illegal_argument(format!(
                    "Action/metadata line [{line_number}] contains an unknown parameter [{other}]"
                )));
            }
        }
    }
    head.condition.if_seq = if_seq.map(|seq| (seq, if_term.unwrap_or(1)));
    Ok(head)
}

/// The line as collectors write it, without spaces or escapes, and at most index, id and end: read without a tree.
fn usual_head(line: &str) -> Option<Head> {
    let (name, mut rest) = line.strip_prefix("{\"")?.split_once("\":{")?;
    let mut head = Head { kind: Some(Kind::of(name)?), ..Head::default() };
    while let Some(member) = rest.strip_prefix('"') {
        let (option, value) = member.split_once("\":")?;
        let behind = if let Some(text) = value.strip_prefix('"') {
            let (text, behind) = text.split_once('"')?;
            if text.contains('\\') {
                return None;
            }
            match option {
                "_index" => head.index = Some(text.to_owned()),
                "_id" => head.id = Some(text.into()),
                _ => return None,
            }
            behind
        } else {
            let digits = value.bytes().take_while(u8::is_ascii_digit).count();
            if option != "_end" {
                return None;
            }
            head.end = Some(value[..digits].parse().ok()?);
            &value[digits..]
        };
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    (rest == "}}").then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Memory;

    impl Targets for Memory {
        fn target(&self, name: &str) -> Result<Arc<Index>> {
            super::super::index::check_name(name)?;
            Ok(Arc::new(Index::new(name, "/nowhere".into(), 1, 0)))
        }
    }

    fn parse(body: &str) -> Result<Request> {
        bulk(Bytes::from(body.to_owned()), &Defaults::default(), &Memory)
    }

    #[test]
    fn both_readers_of_action_lines_agree() {
        for line in [
            r#"{"create":{"_index":"logs-weir","_id":"00000000000000ff-12","_end":40}}"#,
            r#"{"index":{"_index":"a"}}"#,
            r#"{"delete":{"_index":"a","_id":"b"}}"#,
            r#"{"index":{}}"#,
        ] {
            let spaced = line.replace(':', ": ");
            assert_eq!(usual_head(line).as_ref(), Some(&head(&spaced, 1).unwrap()), "{line}");
        }
        for line in [
            r#"{"index":{"_index":"a\u0041"}}"#,
            r#"{"index":{"_id":1}}"#,
            r#"{"index":{"_index":"a"},}"#,
            r#"{"index":{"_end":}}"#,
        ] {
            assert_eq!(usual_head(line), None, "{line}");
        }
    }

    #[test]
    fn actions_and_documents() {
        let request = parse(concat!(
            "{\"index\":{\"_index\":\"a\"}}\n{\"x\":1}\n\n{\"index\":{\"_index\":\"a\"}}\n{\"x\":2}\n",
            "{\"delete\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{\"create\":{\"_index\":\"B\"}}\n{}\n{\"index\":{\"_index\":\"a\"}}\nnot json\n",
        ))
        .unwrap();
        let kinds: Vec<_> =
            request.actions.iter().map(|action| (action.kind, action.target, action.error.is_some())).collect();
        assert_eq!(
            kinds,
            [
                (Kind::Index, 0, false),
                (Kind::Index, 0, false),
                (Kind::Delete, 0, false),
                (Kind::Create, 1, true),
                (Kind::Index, 0, true)
            ]
        );
        assert_eq!(request.values.leaves.len(), 2);
        assert_eq!(request.actions[4].error.as_ref().unwrap().kind, "mapper_parsing_exception");
    }

    #[test]
    fn whole_requests_are_refused_as_elasticsearch_does() {
        for (body, reason) in [
            ("", "request body is required"),
            ("{\"index\":{\"_index\":\"a\"}}\n{}", "must be terminated by a newline"),
            ("{\"index\":{}}\n{}\n", "index is missing"),
            ("{\"foo\":{}}\n{}\n", "but found [foo]"),
            ("{}\n{}\n", "expected FIELD_NAME but found [END_OBJECT]"),
            ("[]\n{}\n", "Malformed action/metadata line [1]"),
            ("{\"index\":{\"_index\":\"a\",\"foo\":1}}\n{}\n", "unknown parameter [foo]"),
            ("{\"index\":{\"_index\":\"a\"}}\n", "is missing"),
        ] {
            let error = parse(body).err().unwrap();
            assert_eq!(error.status, 400);
            assert!(error.reason.contains(reason), "{body:?}: {}", error.reason);
        }
        let body = Bytes::from_static(b"{\"index\":{\"_index\":\"a\"}}\n{\"x\":\"\xff\"}\n");
        assert!(bulk(body, &Defaults::default(), &Memory).unwrap().actions[0].error.is_none());
    }

    #[test]
    fn positions_are_checked() {
        for (options, good) in [
            (r#""_id":"00000000000000ff-5","_end":9"#, true),
            (r#""_id":"00000000000000ff-5","_end":5"#, true),
            (r#""_id":"00000000000000ff-5","_end":4"#, false),
            (r#""_id":"other","_end":9"#, false),
            (r#""_end":9"#, false),
            (r#""_id":"""#, false),
        ] {
            let request = parse(&format!("{{\"create\":{{\"_index\":\"a\",{options}}}}}\n{{}}\n")).unwrap();
            assert_eq!(request.actions[0].error.is_none(), good, "{options}");
        }
    }
}
