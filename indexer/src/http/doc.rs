//! One document: `_doc`, `_create`, `_source`, and several by id: `_mget`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::bulk::{document, make_visible, put, quote, refresh};
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::store::{Condition, Got, Index, Kind};

/// Most ids in one `_mget`.
const MGET_MAX: usize = 10_000;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["POST"], path: "/{index}/_doc", params: WRITE, run: |call| Box::pin(write(call)) },
    Endpoint {
        methods: &["PUT", "POST"],
        path: "/{index}/_doc/{id}",
        params: WRITE,
        run: |call| Box::pin(write(call)),
    },
    Endpoint {
        methods: &["PUT", "POST"],
        path: "/{index}/_create/{id}",
        params: WRITE,
        run: |call| Box::pin(create(call)),
    },
    Endpoint { methods: &["DELETE"], path: "/{index}/_doc/{id}", params: WRITE, run: |call| Box::pin(delete(call)) },
    Endpoint { methods: &["GET"], path: "/{index}/_doc/{id}", params: READ, run: |call| Box::pin(get(call)) },
    Endpoint { methods: &["GET"], path: "/{index}/_source/{id}", params: READ, run: |call| Box::pin(source(call)) },
    Endpoint { methods: &["GET", "POST"], path: "/_mget", params: READ, run: |call| Box::pin(mget(call)) },
    Endpoint { methods: &["GET", "POST"], path: "/{index}/_mget", params: READ, run: |call| Box::pin(mget(call)) },
];

const WRITE: &[&str] = &[
    "refresh",
    "op_type",
    "if_seq_no",
    "if_primary_term",
    "version",
    "version_type",
    "timeout",
    "routing",
    "wait_for_active_shards",
    "require_alias",
    "pipeline",
];
const READ: &[&str] = &[
    "_source",
    "_source_includes",
    "_source_excludes",
    "_source_include",
    "_source_exclude",
    "realtime",
    "refresh",
    "version",
    "version_type",
    "preference",
    "routing",
    "stored_fields",
];

async fn write(call: Call) -> Result<Reply> {
    let kind = match call.query.text("op_type") {
        Some("create") => Kind::Create,
        None | Some("index") => Kind::Index,
        Some(other) => {
            return Err(Error::illegal_argument(format!("opType must be 'create' or 'index', found: [{other}]")));
        }
    };
    change(call, kind).await
}

async fn create(call: Call) -> Result<Reply> {
    change(call, Kind::Create).await
}

async fn delete(call: Call) -> Result<Reply> {
    if let Some(index) = existing(&call)? {
        let id = call.part("id").unwrap_or("").to_owned();
        let made_here = crate::store::is_made_here(&index, &id);
        let routed = index.mapping().limits.shards > 1;
        if made_here || routed {
            // An id that weir made is looked up in the files: what was just accepted must be there.
            let (store, at) = (Arc::clone(&call.context.store), Arc::clone(&index));
            tokio::task::spawn_blocking(move || store.refresh(&[at])).await.map_err(Error::internal)??;
        }
        // Where there would be several shards, the routing value leads to the one that is looked at.
        if routed && look_up(&call, &index, &id, call.query.text("routing")).await?.is_none() {
            let body = json!({"_index": &*index.name, "_id": id, "_version": 1, "result": "not_found",
                "_shards": {"total": 1, "successful": 1, "failed": 0}});
            return Ok(Reply::raw(404, body.to_string()));
        }
    }
    change(call, Kind::Delete).await
}

fn existing(call: &Call) -> Result<Option<Arc<Index>>> {
    let name = call.part("index").unwrap_or("");
    match call.context.store.resolve(name, crate::store::Choice::default()) {
        Ok(indices) => Ok(indices.first().cloned()),
        Err(error) if error.status == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

async fn change(call: Call, kind: Kind) -> Result<Reply> {
    if kind != Kind::Delete && call.body.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::new(400, "parse_exception", "request body is required"));
    }
    if call.query.text("require_alias") == Some("true") {
        return Err(Error::illegal_argument("[require_alias] is not supported"));
    }
    if let Some(pipeline) = call.query.text("pipeline").filter(|pipeline| !pipeline.is_empty() && *pipeline != "_none")
    {
        return Err(Error::illegal_argument(format!("pipeline with id [{pipeline}] does not exist")));
    }
    let refresh = refresh(&call)?;
    let condition = condition(&call, kind)?;
    let index = call.part("index").unwrap_or("").to_owned();
    let id = call.part("id").map(str::to_owned);
    let routing = call.query.text("routing").filter(|routing| !routing.is_empty()).map(str::to_owned);
    let written = call.context.store.single(call.body.clone(), index, kind, id, routing, condition).await?;
    let (Some(action), Some(outcome)) = (written.actions.first(), written.outcomes.first()) else {
        return Err(Error::internal("a request without an outcome"));
    };
    if let Some(error) = &outcome.error {
        return Err(error.as_ref().clone());
    }
    if refresh {
        make_visible(&call.context, &written).await?;
    }
    let mut out = String::from("{\"_index\":");
    quote(&mut out, written.index_name(action));
    out.push_str(",\"_id\":");
    quote(&mut out, &written.id(action, outcome).unwrap_or_default());
    document(&mut out, outcome);
    if refresh && call.query.text("refresh") != Some("wait_for") {
        put(&mut out, format_args!(",\"forced_refresh\":true"));
    }
    out.push('}');
    Ok(Reply::raw(outcome.status, out))
}

pub(super) fn condition(call: &Call, kind: Kind) -> Result<Condition> {
    let positive = |name: &str| {
        call.query
            .number(name)?
            .map(|n| u64::try_from(n).map_err(|_| Error::illegal_argument(format!("[{name}] must not be negative"))))
            .transpose()
    };
    let validation = |reason: &str| {
        Error::new(400, "action_request_validation_exception", format!("Validation Failed: 1: {reason};"))
    };
    let if_seq = match (positive("if_seq_no")?, positive("if_primary_term")?) {
        (Some(seq), Some(term)) => Some((seq, term)),
        (None, None) => None,
        (Some(seq), None) => return Err(validation(&format!("ifSeqNo is set to [{seq}], but primary term is [0]"))),
        (None, Some(term)) => return Err(validation(&format!("ifSeqNo is unassigned, but primary term is [{term}]"))),
    };
    if kind == Kind::Create {
        let reason = match (call.query.text("version"), call.query.text("version_type")) {
            (_, Some("external" | "external_gte")) => {
                Some("create operations only support internal versioning. use index instead")
            }
            (Some(_), _) => Some("create operations do not support explicit versions. use index instead"),
            _ if if_seq.is_some() => Some("create operations do not support compare and set. use index instead"),
            _ => None,
        };
        if let Some(reason) = reason {
            return Err(validation(reason));
        }
    }
    let (external, version) = match (positive("version")?, call.query.text("version_type")) {
        (None, _) => (None, None),
        (Some(version), Some("external")) => (Some((version, false)), None),
        (Some(version), Some("external_gte")) => (Some((version, true)), None),
        // As Elasticsearch did before `if_seq_no`: what it means is plain, so it is done.
        (Some(version), None | Some("internal")) => (None, Some(version)),
        (Some(_), Some(other)) => return Err(Error::illegal_argument(format!("No version type match [{other}]"))),
    };
    Ok(Condition { if_seq, external, version })
}

/// The one index of a read.
pub(super) fn readable(call: &Call, name: &str) -> Result<Arc<Index>> {
    let indices = call.context.store.resolve(name, crate::store::Choice::default())?;
    match indices.as_slice() {
        [one] => Ok(Arc::clone(one)),
        [] => Err(Error::index_not_found(name)),
        several => {
            let names: Vec<&str> = several.iter().map(|index| &*index.name).collect();
            Err(Error::illegal_argument(format!(
                "Alias [{name}] has more than one indices associated with it [[{}]], can't execute a single index op",
                names.join(", ")
            )))
        }
    }
}

/// The document of that id, where the routing value (else the id) leads to it.
pub(super) async fn look_up(call: &Call, index: &Arc<Index>, id: &str, routing: Option<&str>) -> Result<Option<Got>> {
    let (store, index, id) = (Arc::clone(&call.context.store), Arc::clone(index), id.to_owned());
    let routing = routing.map(str::to_owned);
    let newest = call.query.flag("realtime")?.unwrap_or(true) || call.query.flag("refresh")?.unwrap_or(false);
    tokio::task::spawn_blocking(move || {
        if newest {
            store.refresh(std::slice::from_ref(&index))?;
        }
        Ok(store.get(&index, &id)?.filter(|got| on_shard(&index, &id, routing.as_deref(), got)))
    })
    .await
    .map_err(Error::internal)?
}

/// Whether a look-up with this routing value would have come to the shard of the document. With one shard it always
/// does; with several, weir answers as if there were several.
pub(super) fn on_shard(index: &Index, id: &str, routing: Option<&str>, got: &Got) -> bool {
    let shards = index.mapping().limits.shards;
    let shard = |value: &str| crate::store::shard_of(value, shards);
    shards <= 1 || shard(routing.unwrap_or(id)) == shard(got.routing.as_deref().unwrap_or(id))
}

async fn get(call: Call) -> Result<Reply> {
    let filter = SourceFilter::of_query(&call)?;
    let stored = StoredFields::of_query(&call);
    let (name, id) = (call.part("index").unwrap_or(""), call.part("id").unwrap_or(""));
    let index = readable(&call, name)?;
    let Some(got) = look_up(&call, &index, id, call.query.text("routing")).await? else {
        return Ok(Reply::raw(404, json!({"_index": &*index.name, "_id": id, "found": false}).to_string()));
    };
    expect_version(&call, id, got.version)?;
    Ok(Reply::json(&found(&index, id, &got, &filter, stored.as_ref())?))
}

fn found(index: &Index, id: &str, got: &Got, filter: &SourceFilter, stored: Option<&StoredFields>) -> Result<Value> {
    let mut answer = json!({
        "_index": &*index.name, "_id": id, "_version": got.version, "_seq_no": got.seq, "_primary_term": 1, "found": true
    });
    if let Some(routing) = &got.routing {
        answer["_routing"] = routing.as_str().into();
    }
    let with_source = stored.is_none_or(|stored| stored.source || filter.asked || !filter.is_all());
    if with_source && let Some(source) = filter.apply(&got.source)? {
        answer["_source"] = source;
    }
    if let Some(stored) = stored {
        let fields = stored.of(index, &got.source)?;
        if !fields.is_empty() {
            answer["fields"] = Value::Object(fields);
        }
    }
    Ok(answer)
}

async fn source(call: Call) -> Result<Reply> {
    let filter = SourceFilter::of_query(&call)?;
    let (name, id) = (call.part("index").unwrap_or(""), call.part("id").unwrap_or(""));
    let index = readable(&call, name)?;
    let got = look_up(&call, &index, id, call.query.text("routing")).await?;
    let missing = || Error::new(404, "resource_not_found_exception", format!("Document not found [{name}]/[{id}]"));
    let got = got.ok_or_else(missing)?;
    expect_version(&call, id, got.version)?;
    Ok(Reply::json(&filter.apply(&got.source)?.unwrap_or(Value::Null)))
}

fn expect_version(call: &Call, id: &str, version: u64) -> Result<()> {
    match call.query.number("version")? {
        Some(wanted) if u64::try_from(wanted) != Ok(version) => Err(Error::new(
            409,
            "version_conflict_engine_exception",
            format!(
                "[{id}]: version conflict, current version [{version}] is different than the one provided [{wanted}]"
            ),
        )),
        _ => Ok(()),
    }
}

/// `stored_fields`: fields that the mapping declares with `store: true`. They are read from `_source` all the same.
#[derive(Clone, Debug)]
struct StoredFields {
    names: Vec<String>,
    /// `_source` is among them.
    source: bool,
}

impl StoredFields {
    fn new(names: impl Iterator<Item = String>) -> Self {
        let (source, names): (Vec<String>, Vec<String>) = names.partition(|name| name == "_source");
        Self { names, source: !source.is_empty() }
    }

    fn of_query(call: &Call) -> Option<Self> {
        let names = call.query.list("stored_fields")?;
        Some(Self::new(names.into_iter().map(str::to_owned)))
    }

    fn of_json(given: &Value) -> Result<Self> {
        match given {
            Value::String(name) => Ok(Self::new(std::iter::once(name.clone()))),
            Value::Array(names) => Ok(Self::new(names.iter().filter_map(Value::as_str).map(str::to_owned))),
            other => Err(Error::parsing(format!("[stored_fields] takes fields, not {other}"))),
        }
    }

    fn of(&self, index: &Index, source: &str) -> Result<Map<String, Value>> {
        let (mapping, source): (_, Value) = (index.mapping(), serde_json::from_str(source).map_err(Error::internal)?);
        let mut fields = Map::new();
        for name in self.names.iter().filter(|name| mapping.is_stored(name)) {
            let value = name.split('.').try_fold(&source, |at, key| at.get(key)).or(source.get(name));
            match value {
                None | Some(Value::Null) => {}
                Some(Value::Array(values)) => {
                    fields.insert(name.clone(), values.clone().into());
                }
                Some(one) => {
                    fields.insert(name.clone(), json!([one]));
                }
            }
        }
        Ok(fields)
    }
}

async fn mget(call: Call) -> Result<Reply> {
    let default_filter = SourceFilter::of_query(&call)?;
    let Some(body) = call.json()? else {
        return Err(Error::new(400, "parse_exception", "request body is required"));
    };
    let wanted: Vec<Value> = match (body.get("docs"), body.get("ids")) {
        (Some(Value::Array(docs)), None) => docs.clone(),
        (None, Some(Value::Array(ids))) => ids.iter().map(|id| json!({"_id": id})).collect(),
        _ => {
            return Err(Error::new(
                400,
                "action_request_validation_exception",
                "Validation Failed: 1: no documents to get;",
            ));
        }
    };
    if wanted.is_empty() {
        return Err(Error::new(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: no documents to get;",
        ));
    }
    if wanted.len() > MGET_MAX {
        return Err(Error::illegal_argument(format!("no more than {MGET_MAX} documents at once")));
    }
    let mut problems = String::new();
    for (n, item) in wanted.iter().enumerate() {
        if item.get("_index").or(item.get("index")).is_none() && call.part("index").is_none() {
            put(&mut problems, format_args!("{}: index is missing for doc {n};", n + 1));
        } else if item.get("_id").or(item.get("id")).is_none() {
            put(&mut problems, format_args!("{}: id is missing for doc {n};", n + 1));
        }
    }
    if !problems.is_empty() {
        return Err(Error::new(400, "action_request_validation_exception", format!("Validation Failed: {problems}")));
    }
    let mut docs = Vec::with_capacity(wanted.len());
    for item in wanted {
        let text = |name: &str, short: &str| match item.get(name).or(item.get(short)) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let name = text("_index", "index").or(call.part("index").map(str::to_owned)).unwrap_or_default();
        let id = text("_id", "id").unwrap_or_default();
        let routing = text("routing", "_routing").or_else(|| call.query.text("routing").map(str::to_owned));
        let stored = match item.get("stored_fields") {
            Some(given) => Some(StoredFields::of_json(given)?),
            None => StoredFields::of_query(&call),
        };
        let filter = match item.get("_source") {
            Some(given) => SourceFilter::of_json(given)?,
            None => default_filter.clone(),
        };
        let answer = match readable(&call, &name) {
            Err(error) => json!({"_index": name, "_id": id, "error": error.value()}),
            Ok(index) => match look_up(&call, &index, &id, routing.as_deref()).await? {
                None => json!({"_index": &*index.name, "_id": id, "found": false}),
                Some(got) => found(&index, &id, &got, &filter, stored.as_ref())?,
            },
        };
        docs.push(answer);
    }
    Ok(Reply::json(&json!({"docs": docs})))
}

/// Which parts of `_source` are wanted.
#[derive(Clone, Debug, Default)]
pub struct SourceFilter {
    /// `_source` itself was said, if only to be `true`.
    asked: bool,
    none: bool,
    includes: Vec<String>,
    excludes: Vec<String>,
}

impl SourceFilter {
    /// From `_source`, `_source_includes` and `_source_excludes` of a query.
    ///
    /// # Errors
    /// Never at present; a value that is neither true nor false is a list of fields.
    pub fn of_query(call: &Call) -> Result<Self> {
        let list = |names: [&str; 2]| {
            let given = names.iter().find_map(|name| call.query.list(name));
            given.unwrap_or_default().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let mut filter = Self {
            asked: call.query.text("_source").is_some(),
            none: false,
            includes: list(["_source_includes", "_source_include"]),
            excludes: list(["_source_excludes", "_source_exclude"]),
        };
        match call.query.text("_source") {
            None | Some("true" | "") => {}
            Some("false") => filter.none = true,
            Some(fields) => filter.includes.extend(fields.split(',').map(str::to_owned)),
        }
        Ok(filter)
    }

    /// From `_source` of a body: a boolean, a field, a list, or `{includes, excludes}`.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn of_json(given: &Value) -> Result<Self> {
        let strings = |value: &Value| -> Result<Vec<String>> {
            match value {
                Value::String(one) => Ok(vec![one.clone()]),
                Value::Array(many) if many.iter().all(Value::is_string) => {
                    Ok(many.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                }
                other => Err(Error::parsing(format!("[_source] takes fields, not {other}"))),
            }
        };
        match given {
            Value::Bool(wanted) => Ok(Self { asked: true, none: !wanted, ..Self::default() }),
            Value::String(_) | Value::Array(_) => Ok(Self { includes: strings(given)?, ..Self::default() }),
            Value::Object(options) => {
                let mut filter = Self::default();
                for (option, value) in options {
                    match option.as_str() {
                        "includes" | "include" => filter.includes = strings(value)?,
                        "excludes" | "exclude" => filter.excludes = strings(value)?,
                        other => return Err(Error::parsing(format!("Unknown key for [_source]: [{other}]"))),
                    }
                }
                Ok(filter)
            }
            other => Err(Error::parsing(format!("[_source] takes a boolean, fields or an object, not {other}"))),
        }
    }

    /// Nothing is to be taken away.
    pub fn is_all(&self) -> bool {
        !self.none && self.includes.is_empty() && self.excludes.is_empty()
    }

    /// Nothing is wanted.
    pub fn is_none(&self) -> bool {
        self.none
    }

    /// The wanted parts of a document; `None` when none are.
    ///
    /// # Errors
    /// 500 when the document is not JSON.
    pub fn apply(&self, source: &str) -> Result<Option<Value>> {
        if self.none {
            return Ok(None);
        }
        let value: Value = serde_json::from_str(source).map_err(Error::internal)?;
        if self.is_all() {
            return Ok(Some(value));
        }
        Ok(Some(self.keep("", &value).unwrap_or_else(|| Value::Object(Map::new()))))
    }

    fn keep(&self, path: &str, value: &Value) -> Option<Value> {
        match value {
            Value::Object(object) => {
                let mut kept = Map::new();
                for (name, inner) in object {
                    let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    if self.excludes.iter().any(|pattern| covers(pattern, &here)) {
                        continue;
                    }
                    if let Some(inner) = self.keep(&here, inner) {
                        kept.insert(name.clone(), inner);
                    }
                }
                let wanted = !kept.is_empty() || (object.is_empty() && self.includes(path));
                wanted.then_some(Value::Object(kept))
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                let kept: Vec<Value> = items.iter().filter_map(|item| self.keep(path, item)).collect();
                (!kept.is_empty()).then_some(Value::Array(kept))
            }
            other => self.includes(path).then(|| other.clone()),
        }
    }

    fn includes(&self, path: &str) -> bool {
        self.includes.is_empty() || self.includes.iter().any(|pattern| covers(pattern, path))
    }
}

/// Whether a pattern names a path or something above it.
fn covers(pattern: &str, path: &str) -> bool {
    crate::mapping::wildcard(pattern, path)
        || path.match_indices('.').any(|(dot, _)| crate::mapping::wildcard(pattern, &path[..dot]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_document() {
        let source = r#"{"a":{"b":1,"c":2},"d":[{"e":1,"f":2}],"g":"x"}"#;
        let keep = |given: Value| SourceFilter::of_json(&given).unwrap().apply(source).unwrap();
        assert_eq!(keep(json!(false)), None);
        assert_eq!(keep(json!("a")), Some(json!({"a": {"b": 1, "c": 2}})));
        assert_eq!(keep(json!(["a.b", "d.e"])), Some(json!({"a": {"b": 1}, "d": [{"e": 1}]})));
        assert_eq!(keep(json!({"includes": ["a.*"], "excludes": ["a.c"]})), Some(json!({"a": {"b": 1}})));
        assert_eq!(keep(json!({"excludes": ["a", "d.f"]})), Some(json!({"d": [{"e": 1}], "g": "x"})));
        assert_eq!(keep(json!("nothing")), Some(json!({})));
        assert!(SourceFilter::of_json(&json!(5)).is_err());
    }
}
