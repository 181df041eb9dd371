//! Indices: made, looked at, deleted, refreshed; their mappings, settings and aliases; templates.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::mapping::wildcard;
use crate::store::{Choice, Index, alias_options};

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["PUT"], path: "/{index}", params: CREATE, run: |call| Box::pin(create(call)) },
    Endpoint { methods: &["GET"], path: "/{index}", params: READ, run: |call| Box::pin(get(call)) },
    Endpoint { methods: &["DELETE"], path: "/{index}", params: READ, run: |call| Box::pin(delete(call)) },
    Endpoint { methods: &["GET", "POST"], path: "/_refresh", params: READ, run: |call| Box::pin(refresh(call)) },
    Endpoint {
        methods: &["GET", "POST"],
        path: "/{index}/_refresh",
        params: READ,
        run: |call| Box::pin(refresh(call)),
    },
    Endpoint { methods: &["GET", "POST"], path: "/_flush", params: READ, run: |call| Box::pin(refresh(call)) },
    Endpoint { methods: &["GET", "POST"], path: "/{index}/_flush", params: READ, run: |call| Box::pin(refresh(call)) },
    Endpoint { methods: &["GET"], path: "/_mapping", params: READ, run: |call| Box::pin(mapping(call)) },
    Endpoint { methods: &["GET"], path: "/{index}/_mapping", params: READ, run: |call| Box::pin(mapping(call)) },
    Endpoint {
        methods: &["PUT", "POST"],
        path: "/{index}/_mapping",
        params: CREATE,
        run: |call| Box::pin(put_mapping(call)),
    },
    Endpoint { methods: &["GET"], path: "/_mappings", params: READ, run: |call| Box::pin(mapping(call)) },
    Endpoint { methods: &["GET"], path: "/{index}/_mappings", params: READ, run: |call| Box::pin(mapping(call)) },
    Endpoint {
        methods: &["PUT", "POST"],
        path: "/{index}/_mappings",
        params: CREATE,
        run: |call| Box::pin(put_mapping(call)),
    },
    Endpoint { methods: &["GET"], path: "/_settings", params: READ, run: |call| Box::pin(settings(call)) },
    Endpoint { methods: &["GET"], path: "/_settings/{name}", params: READ, run: |call| Box::pin(settings(call)) },
    Endpoint { methods: &["PUT"], path: "/_settings", params: CREATE, run: |call| Box::pin(put_settings(call)) },
    Endpoint { methods: &["GET"], path: "/{index}/_settings", params: READ, run: |call| Box::pin(settings(call)) },
    Endpoint {
        methods: &["GET"],
        path: "/{index}/_settings/{name}",
        params: READ,
        run: |call| Box::pin(settings(call)),
    },
    Endpoint {
        methods: &["PUT"],
        path: "/{index}/_settings",
        params: CREATE,
        run: |call| Box::pin(put_settings(call)),
    },
    Endpoint { methods: &["GET"], path: "/_alias", params: READ, run: |call| Box::pin(aliases(call)) },
    Endpoint { methods: &["GET"], path: "/_alias/{name}", params: READ, run: |call| Box::pin(aliases(call)) },
    Endpoint { methods: &["GET"], path: "/_aliases", params: READ, run: |call| Box::pin(aliases(call)) },
    Endpoint { methods: &["GET"], path: "/{index}/_alias", params: READ, run: |call| Box::pin(aliases(call)) },
    Endpoint { methods: &["GET"], path: "/{index}/_alias/{name}", params: READ, run: |call| Box::pin(aliases(call)) },
    Endpoint {
        methods: &["PUT", "POST"],
        path: "/{index}/_alias/{name}",
        params: CREATE,
        run: |call| Box::pin(put_alias(call)),
    },
    Endpoint {
        methods: &["DELETE"],
        path: "/{index}/_alias/{name}",
        params: CREATE,
        run: |call| Box::pin(delete_alias(call)),
    },
    Endpoint { methods: &["POST"], path: "/_aliases", params: CREATE, run: |call| Box::pin(change_aliases(call)) },
    Endpoint { methods: &["GET"], path: "/_index_template", params: READ, run: |call| Box::pin(templates(call)) },
    Endpoint {
        methods: &["GET"],
        path: "/_index_template/{name}",
        params: READ,
        run: |call| Box::pin(templates(call)),
    },
    Endpoint {
        methods: &["PUT", "POST"],
        path: "/_index_template/{name}",
        params: CREATE,
        run: |call| Box::pin(put_template(call)),
    },
    Endpoint {
        methods: &["DELETE"],
        path: "/_index_template/{name}",
        params: CREATE,
        run: |call| Box::pin(delete_template(call)),
    },
];

const CREATE: &[&str] = &[
    "timeout",
    "master_timeout",
    "wait_for_active_shards",
    "include_type_name",
    "ignore_unavailable",
    "allow_no_indices",
    "expand_wildcards",
    "write_index_only",
    "preserve_existing",
    "create",
    "cause",
    "update_all_types",
];
const READ: &[&str] = &[
    "timeout",
    "master_timeout",
    "include_type_name",
    "include_defaults",
    "flat_settings",
    "local",
    "ignore_unavailable",
    "allow_no_indices",
    "expand_wildcards",
    "features",
    "force",
    "wait_if_ongoing",
];

pub(super) fn choice(call: &Call) -> Result<Choice> {
    Ok(Choice {
        ignore_unavailable: call.query.flag("ignore_unavailable")?.unwrap_or(false),
        allow_no_indices: call.query.flag("allow_no_indices")?.unwrap_or(true),
    })
}

pub(super) fn chosen(call: &Call) -> Result<Vec<Arc<Index>>> {
    call.context.store.resolve(call.part("index").unwrap_or("_all"), choice(call)?)
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

pub(super) fn acknowledged() -> Reply {
    Reply::json(&json!({"acknowledged": true}))
}

async fn create(call: Call) -> Result<Reply> {
    let name = call.part("index").unwrap_or("").to_owned();
    let mut given = call.json()?.unwrap_or_else(|| json!({}));
    let Some(options) = given.as_object_mut() else {
        return Err(Error::parsing("the body of an index is an object"));
    };
    if let Some(other) = options.keys().find(|key| !matches!(key.as_str(), "settings" | "mappings" | "aliases")) {
        return Err(Error::new(400, "parse_exception", format!("unknown key [{other}] for create index")));
    }
    if call.query.flag("include_type_name")? == Some(true)
        && let Some(typed) = options.get("mappings").and_then(Value::as_object).filter(|mappings| mappings.len() == 1)
        && let Some(inner) = typed.values().next().cloned()
    {
        options.insert("mappings".to_owned(), inner);
    }
    let store = Arc::clone(&call.context.store);
    let made = blocking(move || store.create_index(&name, &given)).await?;
    Ok(Reply::json(&json!({"acknowledged": true, "shards_acknowledged": true, "index": &*made.name})))
}

async fn get(call: Call) -> Result<Reply> {
    let mut answer = Map::new();
    let (human, flat) = (call.query.flag("human")?, call.query.flag("flat_settings")?.unwrap_or(false));
    for index in chosen(&call)? {
        let mut settings = shown_settings(&index, None, flat);
        if human == Some(true) && !flat {
            let created = i128::from(index.created_ms) * crate::time::NANOS_PER_MILLI;
            settings["index"]["creation_date_string"] =
                crate::time::format::iso(created, &crate::time::zone::Zone::utc(), false).into();
            settings["index"]["version"]["created_string"] = super::root::ES_VERSION.into();
        }
        let about = json!({
            "aliases": index.aliases(), "mappings": index.mapping().render(), "settings": settings
        });
        answer.insert(index.name.to_string(), about);
    }
    Ok(Reply::json(&Value::Object(answer)))
}

async fn delete(call: Call) -> Result<Reply> {
    let name = call.part("index").unwrap_or("");
    let indices = chosen(&call)?;
    for part in name.split(',').filter(|part| !part.contains('*') && *part != "_all") {
        if indices.iter().any(|index| index.aliases().contains_key(part))
            && !indices.iter().any(|index| *index.name == *part)
        {
            return Err(Error::illegal_argument(format!(
                "The provided expression [{part}] matches an alias, specify the corresponding concrete indices instead."
            )));
        }
    }
    let store = Arc::clone(&call.context.store);
    blocking(move || indices.iter().try_for_each(|index| store.delete_index(index))).await?;
    Ok(acknowledged())
}

async fn refresh(call: Call) -> Result<Reply> {
    let indices = chosen(&call)?;
    let count = indices.len();
    let store = Arc::clone(&call.context.store);
    blocking(move || store.refresh(&indices)).await?;
    Ok(Reply::json(&json!({"_shards": {"total": count, "successful": count, "failed": 0}})))
}

async fn mapping(call: Call) -> Result<Reply> {
    let indices = chosen(&call)?;
    let answer: Map<String, Value> =
        indices.iter().map(|index| (index.name.to_string(), json!({"mappings": index.mapping().render()}))).collect();
    Ok(Reply::json(&Value::Object(answer)))
}

async fn put_mapping(call: Call) -> Result<Reply> {
    let Some(given) = call.json()? else {
        return Err(Error::new(400, "parse_exception", "request body is required"));
    };
    let indices = chosen(&call)?;
    blocking(move || indices.iter().try_for_each(|index| index.put_mapping(&given))).await?;
    Ok(acknowledged())
}

/// The settings of an index with what Elasticsearch always shows, values as text; of those named, if some are.
fn shown_settings(index: &Index, named: Option<&str>, flat: bool) -> Value {
    let mut shown = Map::new();
    for (key, value) in index.settings() {
        let value = match value {
            Value::String(_) | Value::Array(_) => value,
            other => other.to_string().into(),
        };
        shown.insert(key, value);
    }
    for (key, value) in [
        ("index.number_of_shards", json!("1")),
        ("index.number_of_replicas", json!("0")),
        ("index.uuid", json!(index.uuid())),
        ("index.provided_name", json!(&*index.name)),
        ("index.creation_date", json!(index.created_ms.to_string())),
        ("index.version.created", json!("8190399")),
    ] {
        shown.entry(key.to_owned()).or_insert(value);
    }
    if let Some(named) = named.filter(|named| *named != "_all") {
        shown.retain(|key, _| named.split(',').any(|pattern| wildcard(pattern, key)));
    }
    if flat { Value::Object(shown) } else { nested(shown) }
}

/// Dotted keys as a tree.
pub(super) fn nested(flat: Map<String, Value>) -> Value {
    let mut tree = json!({});
    for (key, value) in flat {
        let mut at = &mut tree;
        for part in key.split('.') {
            if !at.is_object() {
                *at = json!({});
            }
            at = &mut at[part];
        }
        *at = value;
    }
    tree
}

async fn settings(call: Call) -> Result<Reply> {
    let flat = call.query.flag("flat_settings")?.unwrap_or(false);
    let mut answer = Map::new();
    for index in chosen(&call)? {
        let shown = shown_settings(&index, call.part("name"), flat);
        if shown.as_object().is_some_and(|shown| !shown.is_empty()) {
            answer.insert(index.name.to_string(), json!({"settings": shown}));
        }
    }
    Ok(Reply::json(&Value::Object(answer)))
}

async fn put_settings(call: Call) -> Result<Reply> {
    let given = call.json()?.unwrap_or_else(|| json!({}));
    let given = given.get("settings").cloned().unwrap_or(given);
    let Some(given) = given.as_object().cloned() else {
        return Err(Error::parsing("settings are an object"));
    };
    let preserve = call.query.flag("preserve_existing")?.unwrap_or(false);
    let (store, indices) = (Arc::clone(&call.context.store), chosen(&call)?);
    blocking(move || {
        indices.iter().try_for_each(|index| {
            let mut given = crate::mapping::flat(&given);
            if preserve {
                let there = index.settings();
                given.retain(|key, _| !there.contains_key(key));
            }
            store.put_settings(index, &given)
        })
    })
    .await?;
    Ok(acknowledged())
}

async fn aliases(call: Call) -> Result<Reply> {
    let wanted: Option<Vec<&str>> = call.part("name").map(|names| names.split(',').collect());
    let fits = |alias: &str| {
        wanted.as_ref().is_none_or(|names| names.iter().any(|name| *name == "_all" || wildcard(name, alias)))
    };
    let (mut answer, mut seen) = (Map::new(), Vec::new());
    for index in chosen(&call)? {
        let aliases: Map<String, Value> = index.aliases().into_iter().filter(|(alias, _)| fits(alias)).collect();
        seen.extend(aliases.keys().cloned());
        if wanted.is_none() || !aliases.is_empty() {
            answer.insert(index.name.to_string(), json!({"aliases": aliases}));
        }
    }
    let mut missing: Vec<&str> = wanted
        .iter()
        .flatten()
        .copied()
        .filter(|name| !name.contains('*') && *name != "_all" && !seen.iter().any(|alias| alias == name))
        .collect();
    if missing.is_empty() {
        return Ok(Reply::json(&Value::Object(answer)));
    }
    missing.sort_unstable();
    let what = if missing.len() == 1 { "alias" } else { "aliases" };
    answer.insert("error".to_owned(), json!(format!("{what} [{}] missing", missing.join(","))));
    answer.insert("status".to_owned(), json!(404));
    Ok(Reply::json(&Value::Object(answer)).with_status(404))
}

async fn put_alias(call: Call) -> Result<Reply> {
    let options = alias_options(&call.json()?.unwrap_or_else(|| json!({})))?;
    let (store, indices) = (Arc::clone(&call.context.store), chosen(&call)?);
    let names: Vec<String> = call.part("name").unwrap_or("").split(',').map(str::to_owned).collect();
    blocking(move || {
        for (index, name) in indices.iter().flat_map(|index| names.iter().map(move |name| (index, name))) {
            store.set_alias(index, name, Some(options.clone()))?;
        }
        Ok(())
    })
    .await?;
    Ok(acknowledged())
}

async fn delete_alias(call: Call) -> Result<Reply> {
    let (store, indices) = (Arc::clone(&call.context.store), chosen(&call)?);
    let name = call.part("name").unwrap_or("").to_owned();
    remove_aliases(store, indices, name).await?;
    Ok(acknowledged())
}

async fn remove_aliases(store: Arc<crate::store::Narrow>, indices: Vec<Arc<Index>>, name: String) -> Result<()> {
    blocking(move || {
        let mut found = false;
        for index in &indices {
            let aliases = index.aliases();
            for alias in
                aliases.keys().filter(|alias| name.split(',').any(|name| wildcard(name, alias) || name == "_all"))
            {
                store.set_alias(index, alias, None)?;
                found = true;
            }
        }
        if found {
            Ok(())
        } else {
            Err(Error::new(404, "aliases_not_found_exception", format!("aliases [{name}] missing")))
        }
    })
    .await
}

async fn change_aliases(call: Call) -> Result<Reply> {
    let body = call.json()?.unwrap_or_else(|| json!({}));
    let Some(actions) = body.get("actions").and_then(Value::as_array) else {
        return Err(Error::illegal_argument("[actions] is missing"));
    };
    for action in actions {
        let Some((what, options)) = action.as_object().and_then(|action| action.iter().next()) else {
            return Err(Error::illegal_argument("an action is an object"));
        };
        let strings = |one: &str, many: &str| -> Vec<String> {
            match options.get(one).or(options.get(many)) {
                Some(Value::String(text)) => vec![text.clone()],
                Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => Vec::new(),
            }
        };
        let (index, alias) = (strings("index", "indices").join(","), strings("alias", "aliases"));
        if index.is_empty() {
            return Err(Error::illegal_argument("One of [index] or [indices] is required"));
        }
        let store = Arc::clone(&call.context.store);
        let indices = store.resolve(&index, Choice::default())?;
        match what.as_str() {
            "add" => {
                let kept = alias_options(options)?;
                blocking(move || {
                    for (index, name) in indices.iter().flat_map(|index| alias.iter().map(move |name| (index, name))) {
                        store.set_alias(index, name, Some(kept.clone()))?;
                    }
                    Ok(())
                })
                .await?;
            }
            "remove" => remove_aliases(store, indices, alias.join(",")).await?,
            "remove_index" => blocking(move || indices.iter().try_for_each(|index| store.delete_index(index))).await?,
            other => return Err(Error::illegal_argument(format!("alias action [{other}] is not supported"))),
        }
    }
    Ok(acknowledged())
}

async fn templates(call: Call) -> Result<Reply> {
    let pattern = call.part("name").unwrap_or("*");
    let all = call.context.store.templates();
    let found: Vec<Value> = all
        .into_iter()
        .filter(|(name, _)| pattern.split(',').any(|pattern| wildcard(pattern, name)))
        .map(|(name, template)| json!({"name": name, "index_template": template}))
        .collect();
    if found.is_empty() && !pattern.contains('*') {
        return Err(Error::new(
            404,
            "resource_not_found_exception",
            format!("index template matching [{pattern}] not found"),
        ));
    }
    Ok(Reply::json(&json!({"index_templates": found})))
}

async fn put_template(call: Call) -> Result<Reply> {
    let name = call.part("name").unwrap_or("").to_owned();
    let Some(template) = call.json()? else {
        return Err(Error::new(400, "parse_exception", "request body is required"));
    };
    if !template.get("index_patterns").is_some_and(|patterns| patterns.is_array() || patterns.is_string()) {
        return Err(Error::new(
            400,
            "action_request_validation_exception",
            "Validation Failed: 1: index patterns are missing;",
        ));
    }
    let composed = template.get("composed_of").and_then(Value::as_array).is_some_and(|parts| !parts.is_empty());
    if composed || template.get("data_stream").is_some() {
        let what = if composed { "composed_of" } else { "data_stream" };
        return Err(Error::illegal_argument(format!("[{what}] in an index template is not supported")));
    }
    if call.query.flag("create")? == Some(true) && call.context.store.templates().contains_key(&name) {
        return Err(Error::illegal_argument(format!("index template [{name}] already exists")));
    }
    if let Some(mappings) = template.pointer("/template/mappings") {
        crate::mapping::Mapping::default()
            .declare(mappings)
            .map_err(|error| Error::mapper_parsing(error.to_string()))?;
    }
    let store = Arc::clone(&call.context.store);
    blocking(move || store.set_template(&name, Some(template))).await?;
    Ok(acknowledged())
}

async fn delete_template(call: Call) -> Result<Reply> {
    let name = call.part("name").unwrap_or("").to_owned();
    let store = Arc::clone(&call.context.store);
    let fits = |known: &&String| name.split(',').any(|pattern| wildcard(pattern, known));
    let wanted: Vec<String> = store.templates().keys().filter(fits).cloned().collect();
    if wanted.is_empty() && !name.contains('*') {
        let reason = format!("index template matching [{name}] not found");
        return Err(Error::new(404, "resource_not_found_exception", reason));
    }
    blocking(move || wanted.iter().try_for_each(|name| store.set_template(name, None).map(|_| ()))).await?;
    Ok(acknowledged())
}
