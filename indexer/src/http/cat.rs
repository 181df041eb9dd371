//! `_cat`: tables for people (text, with `?v` a head line) and for programs (`?format=json`).

use serde_json::{Map, Value};

use super::indices::chosen;
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::mapping::wildcard;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET"], path: "/_cat/indices", params: PARAMS, run: |call| Box::pin(indices(call)) },
    Endpoint { methods: &["GET"], path: "/_cat/indices/{index}", params: PARAMS, run: |call| Box::pin(indices(call)) },
    Endpoint { methods: &["GET"], path: "/_cat/health", params: PARAMS, run: |call| Box::pin(health(call)) },
    Endpoint { methods: &["GET"], path: "/_cat/count", params: PARAMS, run: |call| Box::pin(count(call)) },
    Endpoint { methods: &["GET"], path: "/_cat/count/{index}", params: PARAMS, run: |call| Box::pin(count(call)) },
    Endpoint { methods: &["GET"], path: "/_cat/aliases", params: PARAMS, run: |call| Box::pin(aliases(call)) },
    Endpoint { methods: &["GET"], path: "/_cat/aliases/{name}", params: PARAMS, run: |call| Box::pin(aliases(call)) },
    Endpoint { methods: &["GET"], path: "/_cat/templates", params: PARAMS, run: |call| Box::pin(templates(call)) },
    Endpoint {
        methods: &["GET"],
        path: "/_cat/templates/{name}",
        params: PARAMS,
        run: |call| Box::pin(templates(call)),
    },
];

pub(super) const PARAMS: &[&str] = &[
    "v",
    "h",
    "s",
    "help",
    "bytes",
    "time",
    "ts",
    "local",
    "master_timeout",
    "health",
    "pri",
    "expand_wildcards",
    "include_unloaded_segments",
];

/// A column: name, short names, what it says.
pub(super) struct Column {
    name: &'static str,
    short: &'static [&'static str],
    about: &'static str,
    right: bool,
    /// Shown when `h` does not say which.
    usual: bool,
    /// Left out of a text where no row says anything in it.
    spare: bool,
}

pub(super) const fn left(name: &'static str, short: &'static [&'static str], about: &'static str) -> Column {
    Column { name, short, about, right: false, usual: true, spare: false }
}

const fn spare(name: &'static str, short: &'static [&'static str], about: &'static str) -> Column {
    Column { name, short, about, right: false, usual: true, spare: true }
}

const fn hidden(name: &'static str, short: &'static [&'static str], about: &'static str) -> Column {
    Column { name, short, about, right: true, usual: false, spare: false }
}

pub(super) const fn right(name: &'static str, short: &'static [&'static str], about: &'static str) -> Column {
    Column { name, short, about, right: true, usual: true, spare: false }
}

/// Rows of cells, in the order of the columns.
pub(super) fn table(call: &Call, columns: &[Column], mut rows: Vec<Vec<String>>) -> Result<Reply> {
    if call.query.flag("help")? == Some(true) {
        let name = columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
        let short = columns.iter().map(|column| column.short.join(",").len()).max().unwrap_or(0);
        let line =
            |column: &Column| format!("{:name$} | {:short$} | {}\n", column.name, column.short.join(","), column.about);
        return Ok(Reply::text(columns.iter().map(line).collect()));
    }
    let position =
        |wanted: &str| columns.iter().position(|column| column.name == wanted || column.short.contains(&wanted));
    if let Some(keys) = call.query.list("s") {
        for key in keys.iter().rev() {
            let (key, descending) = match key.rsplit_once(':') {
                Some((key, "desc")) => (key, true),
                Some((key, "asc")) => (key, false),
                _ => (*key, false),
            };
            let at = position(key).ok_or_else(|| {
                Error::new(
                    400,
                    "unsupported_operation_exception",
                    format!("Unable to sort by unknown sort key `{key}`"),
                )
            })?;
            let number = |cell: &str| cell.parse::<f64>().ok();
            rows.sort_by(|one, other| {
                let order = match (number(&one[at]), number(&other[at])) {
                    (Some(one), Some(other)) => one.total_cmp(&other),
                    _ => one[at].cmp(&other[at]),
                };
                if descending { order.reverse() } else { order }
            });
        }
    }
    let mut shown: Vec<usize> = match call.query.list("h") {
        None => (0..columns.len()).filter(|at| columns[*at].usual).collect(),
        Some(wanted) => wanted
            .iter()
            .flat_map(|wanted| match position(wanted) {
                Some(at) => vec![at],
                None => (0..columns.len())
                    .filter(|at| wanted.contains('*') && wildcard(wanted, columns[*at].name))
                    .collect(),
            })
            .collect(),
    };
    match call.query.text("format") {
        Some("json") => {
            let object = |row: &Vec<String>| -> Value {
                shown
                    .iter()
                    .map(|at| (columns[*at].name.to_owned(), Value::from(row[*at].as_str())))
                    .collect::<Map<_, _>>()
                    .into()
            };
            return Ok(Reply::json(&rows.iter().map(object).collect()));
        }
        Some("yaml") => {
            let mut out = String::from("---\n");
            for row in &rows {
                for (n, at) in shown.iter().enumerate() {
                    let dash = if n == 0 { "- " } else { "  " };
                    // A JSON string is a YAML string.
                    out.push_str(&format!("{dash}{}: {}\n", columns[*at].name, Value::from(row[*at].as_str())));
                }
            }
            let mut reply = Reply::text(out);
            reply.content_type = "application/yaml";
            return Ok(reply);
        }
        // A table is text until `format` says otherwise, whatever the client accepts.
        None | Some("text" | "txt") => {}
        Some(other) => {
            return Err(Error::illegal_argument(format!("format [{other}] is not supported: text, json or yaml")));
        }
    }
    if call.query.list("h").is_none() {
        shown.retain(|at| !columns[*at].spare || rows.iter().any(|row| !matches!(row[*at].as_str(), "" | "-")));
    }
    if call.query.flag("v")? == Some(true) {
        let titled: Vec<String> = match call.query.list("h") {
            // Columns bear the names that they were asked for by.
            Some(wanted) => columns
                .iter()
                .map(|column| {
                    let short = wanted.iter().find(|name| column.short.contains(name));
                    short.map_or(column.name, |name| name).to_owned()
                })
                .collect(),
            None => columns.iter().map(|column| column.name.to_owned()).collect(),
        };
        rows.insert(0, titled);
    }
    let mut out = String::new();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = shown.iter().map(|at| width(*at)).collect();
    for row in &rows {
        let cells: Vec<String> = shown
            .iter()
            .zip(&widths)
            .map(|(at, width)| match (columns[*at].right, Some(at) == shown.last()) {
                (true, _) => format!("{:>width$}", row[*at]),
                (false, false) => format!("{:width$}", row[*at]),
                (false, true) => row[*at].clone(),
            })
            .collect();
        out.push_str(&cells.join(" "));
        out.push('\n');
    }
    Ok(Reply::text(out))
}

/// Bytes as `_cat` shows them: `1.2mb`, or a number in the unit that `bytes` asks for.
pub(super) fn bytes(call: &Call, bytes: u64) -> Result<String> {
    let unit = |unit: u64| Ok((bytes / unit).to_string());
    match call.query.text("bytes") {
        Some("b") => unit(1),
        Some("k" | "kb") => unit(1 << 10),
        Some("m" | "mb") => unit(1 << 20),
        Some("g" | "gb") => unit(1 << 30),
        Some(other) => Err(Error::illegal_argument(format!("unknown unit [{other}]: b, kb, mb or gb"))),
        None => {
            let scaled = |size: u64, name: &str| {
                let text = format!("{:.1}", bytes as f64 / size as f64);
                Ok(format!("{}{name}", text.trim_end_matches(".0")))
            };
            match bytes {
                0..1_024 => scaled(1, "b"),
                1_024..1_048_576 => scaled(1 << 10, "kb"),
                1_048_576..1_073_741_824 => scaled(1 << 20, "mb"),
                _ => scaled(1 << 30, "gb"),
            }
        }
    }
}

async fn indices(call: Call) -> Result<Reply> {
    static COLUMNS: [Column; 12] = [
        left("health", &["h"], "current health status"),
        left("status", &["s"], "open/close status"),
        left("index", &["i", "idx"], "index name"),
        left("uuid", &["id"], "index uuid"),
        right("pri", &["p", "shards.primary", "shardsPrimary"], "number of primary shards"),
        right("rep", &["r", "shards.replica", "shardsReplica"], "number of replica shards"),
        right("docs.count", &["dc", "docsCount"], "available docs"),
        right("docs.deleted", &["dd", "docsDeleted"], "deleted docs"),
        right("store.size", &["ss", "storeSize"], "store size of primaries & replicas"),
        right("pri.store.size", &[], "store size of primaries"),
        hidden("creation.date", &["cd"], "index creation date (millisecond value)"),
        hidden("creation.date.string", &["cds"], "index creation date (as string)"),
    ];
    let wanted = call.query.text("health");
    let mut rows = Vec::new();
    for index in chosen(&call)? {
        if wanted.is_some_and(|wanted| wanted != "green") {
            continue;
        }
        let (docs, deleted) = index.counts();
        let size = bytes(&call, index.bytes())?;
        rows.push(vec![
            "green".to_owned(),
            "open".to_owned(),
            index.name.to_string(),
            index.uuid(),
            "1".to_owned(),
            "0".to_owned(),
            docs.to_string(),
            deleted.to_string(),
            size.clone(),
            size,
            index.created_ms.to_string(),
            crate::time::format::iso(
                i128::from(index.created_ms) * crate::time::NANOS_PER_MILLI,
                &crate::time::zone::Zone::utc(),
                false,
            ),
        ]);
    }
    table(&call, &COLUMNS, rows)
}

/// Seconds since 1970 and the time of day.
fn clock() -> (String, String) {
    let seconds = crate::store::now_ms() / 1000;
    let day = seconds % 86_400;
    (seconds.to_string(), format!("{:02}:{:02}:{:02}", day / 3600, day / 60 % 60, day % 60))
}

async fn health(call: Call) -> Result<Reply> {
    static COLUMNS: [Column; 14] = [
        left("epoch", &["t", "time"], "seconds since 1970-01-01 00:00:00"),
        left("timestamp", &["ts", "hms", "hhmmss"], "time in HH:MM:SS"),
        left("cluster", &["cl"], "cluster name"),
        left("status", &["st"], "health status"),
        right("node.total", &["nt", "nodeTotal"], "total number of nodes"),
        right("node.data", &["nd", "nodeData"], "number of nodes that can store data"),
        right("shards", &["t", "sh", "shards.total", "shardsTotal"], "total number of shards"),
        right("pri", &["p", "shards.primary", "shardsPrimary"], "number of primary shards"),
        right("relo", &["r", "shards.relocating", "shardsRelocating"], "number of relocating nodes"),
        right("init", &["i", "shards.initializing", "shardsInitializing"], "number of initializing nodes"),
        right("unassign", &["u", "shards.unassigned", "shardsUnassigned"], "number of unassigned shards"),
        right("pending_tasks", &["pt", "pendingTasks"], "number of pending tasks"),
        right("max_task_wait_time", &["mtwt", "maxTaskWaitTime"], "wait time of longest task pending"),
        right("active_shards_percent", &["asp", "activeShardsPercent"], "active number of shards in percent"),
    ];
    let (epoch, time) = clock();
    let status = if call.context.health.troubles().is_empty() { "green" } else { "yellow" };
    let shards = call.context.store.indices().len().to_string();
    let row = [&epoch, &time, "weir", status, "1", "1", &shards, &shards, "0", "0", "0", "0", "-", "100.0%"];
    let row = row.map(str::to_owned).to_vec();
    // `ts=false` leaves the two columns of the time out.
    let from = if call.query.flag("ts")? == Some(false) { 2 } else { 0 };
    table(&call, &COLUMNS[from..], vec![row[from..].to_vec()])
}

async fn count(call: Call) -> Result<Reply> {
    static COLUMNS: [Column; 3] = [
        left("epoch", &["t", "time"], "seconds since 1970-01-01 00:00:00"),
        left("timestamp", &["ts", "hms", "hhmmss"], "time in HH:MM:SS"),
        left("count", &["dc", "docs.count", "docsCount"], "the document count"),
    ];
    let (store, indices) = (std::sync::Arc::clone(&call.context.store), chosen(&call)?);
    let count: u64 = tokio::task::spawn_blocking(move || {
        let view = store.view(&indices)?;
        let all = crate::query::Query::all();
        let budget = crate::search::budget::Budget::new(None, None);
        Ok::<_, Error>(crate::search::run::count(&view, &all, None, None, crate::time::now(), &budget)?)
    })
    .await
    .map_err(Error::internal)??;
    let (epoch, time) = clock();
    table(&call, &COLUMNS, vec![vec![epoch, time, count.to_string()]])
}

async fn aliases(call: Call) -> Result<Reply> {
    static COLUMNS: [Column; 6] = [
        left("alias", &["a"], "alias name"),
        left("index", &["i", "idx"], "index alias points to"),
        left("filter", &["f", "fi"], "filter"),
        left("routing.index", &["ri", "routingIndex"], "index routing"),
        left("routing.search", &["rs", "routingSearch"], "search routing"),
        spare("is_write_index", &["w", "isWriteIndex"], "write index"),
    ];
    let wanted = call.part("name").unwrap_or("*");
    let mut rows = Vec::new();
    for index in call.context.store.indices() {
        for (alias, options) in index.aliases() {
            if wanted.split(',').any(|pattern| wildcard(pattern, &alias)) {
                let write = options.get("is_write_index").map_or("-".to_owned(), Value::to_string);
                let filter = if options.get("filter").is_some() { "*" } else { "-" };
                let routing = |key: &str| options.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
                let (to, from) = (routing("index_routing"), routing("search_routing"));
                rows.push(vec![alias, index.name.to_string(), filter.to_owned(), to, from, write]);
            }
        }
    }
    table(&call, &COLUMNS, rows)
}

async fn templates(call: Call) -> Result<Reply> {
    static COLUMNS: [Column; 5] = [
        left("name", &["n"], "template name"),
        left("index_patterns", &["t"], "template index patterns"),
        left("order", &["o", "p"], "template application order/priority number"),
        left("version", &["v"], "version"),
        spare("composed_of", &["c"], "component templates comprising index template"),
    ];
    let wanted = call.part("name").unwrap_or("*");
    let mut rows = Vec::new();
    let legacy = call.context.store.legacy_templates().into_iter().map(|(name, template)| (name, template, "order"));
    let all = call.context.store.templates().into_iter().map(|(name, template)| (name, template, "priority"));
    for (name, template, rank) in all.chain(legacy) {
        if wildcard(wanted, &name) {
            let text = |key: &str| {
                template.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            };
            let patterns = match template.get("index_patterns") {
                Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
                Some(Value::String(one)) => one.clone(),
                _ => String::new(),
            };
            let patterns = format!("[{patterns}]");
            rows.push(vec![
                name,
                patterns,
                text(rank).unwrap_or_default(),
                text("version").unwrap_or_default(),
                if rank == "order" { String::new() } else { "[]".to_owned() },
            ]);
        }
    }
    table(&call, &COLUMNS, rows)
}
