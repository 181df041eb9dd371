//! Saved searches of the web page, kept by the indexer so that a team shares them: `GET /api/searches`,
//! `PUT` and `DELETE /api/searches/{name}`.
//!
//! On disk: `saved-searches.json` in the data folder, `weir-searches 2 <crc32 hex of the rest>` on the first line and
//! `{"version":2,"searches":{"<name>":{"screen":"#/logs?…"}}}` behind it, written durably as a whole. Version 1 had no
//! first line. A damaged one is set aside.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;
use weir_daemon::files::write_durably;

use super::call::aside;
use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::store::keep_damaged;

/// Most searches kept: a list that people still read through.
const SEARCHES_MAX: usize = 500;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 100;
/// Longest address of a screen, in bytes; the page itself makes none that long.
const SCREEN_BYTES_MAX: usize = 32 * 1024;
/// Version of the file.
const VERSION: u32 = 2;
const FILE: &str = "saved-searches.json";

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET"], path: "/api/searches", params: &[], run: |call| Box::pin(list(call)) },
    Endpoint { methods: &["PUT"], path: "/api/searches/{name}", params: &[], run: |call| Box::pin(put(call)) },
    Endpoint { methods: &["DELETE"], path: "/api/searches/{name}", params: &[], run: |call| Box::pin(delete(call)) },
];

/// Held from reading the file to writing it, so that two people who save at once both find theirs.
static CHANGING: Mutex<()> = Mutex::const_new(());

#[derive(Deserialize, Serialize)]
struct Kept {
    version: u32,
    searches: BTreeMap<String, Search>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Search {
    /// The part of the page's address behind the host: `#/logs?q=…`.
    screen: String,
}

async fn list(call: Call) -> Result<Reply> {
    let kept = read(&call).await?;
    let searches: Vec<_> =
        kept.searches.iter().map(|(name, search)| json!({"name": name, "screen": search.screen})).collect();
    Ok(Reply::json(&json!({ "searches": searches })))
}

async fn put(call: Call) -> Result<Reply> {
    let name = call.part("name").unwrap_or_default().trim().to_owned();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(Error::illegal_argument(format!("a name has 1 to {NAME_CHARS_MAX} characters that can be shown")));
    }
    let search: Search = serde_json::from_slice(&call.body)
        .map_err(|error| Error::parsing(format!("a saved search is {{\"screen\": \"#/logs?…\"}}: {error}")))?;
    if !search.screen.starts_with("#/") || search.screen.len() > SCREEN_BYTES_MAX {
        return Err(Error::illegal_argument(format!(
            "[screen] begins with #/ and has at most {SCREEN_BYTES_MAX} bytes"
        )));
    }
    let _changing = CHANGING.lock().await;
    let mut kept = read(&call).await?;
    if kept.searches.len() >= SEARCHES_MAX && !kept.searches.contains_key(&name) {
        return Err(Error::illegal_argument(format!("there are {SEARCHES_MAX} saved searches already; delete some")));
    }
    let result = if kept.searches.insert(name, search).is_some() { "updated" } else { "created" };
    write(&call, &kept).await?;
    Ok(Reply::json(&json!({ "result": result })))
}

async fn delete(call: Call) -> Result<Reply> {
    let _changing = CHANGING.lock().await;
    let mut kept = read(&call).await?;
    let name = call.part("name").unwrap_or_default();
    if kept.searches.remove(name).is_none() {
        return Err(Error::new(404, "resource_not_found_exception", format!("no search is saved as [{name}]")));
    }
    write(&call, &kept).await?;
    Ok(Reply::json(&json!({"result": "deleted"})))
}

fn path(call: &Call) -> PathBuf {
    call.context.config.data_dir.join(FILE)
}

async fn read(call: &Call) -> Result<Kept> {
    let path = path(call);
    let shown = path.display().to_string();
    let bytes = match aside(move || std::fs::read(path)).await? {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Kept { version: VERSION, searches: BTreeMap::new() });
        }
        Err(error) => return Err(error.into()),
    };
    match parse(&bytes) {
        Ok(kept) if kept.version <= VERSION => Ok(Kept { version: VERSION, ..kept }),
        Ok(kept) => Err(Error::new(
            500,
            "corrupt_state_exception",
            format!("{shown} is of version {}, and this weir knows {VERSION}: use the newer weir", kept.version),
        )),
        Err(problem) => {
            let data_dir = call.context.config.data_dir.clone();
            let kept_as = aside(move || keep_damaged(&data_dir, &data_dir.join(FILE))).await??;
            let told = format!("{shown}: {problem}; kept as {}; there are no saved searches", kept_as.display());
            tracing::error!("{told}");
            call.context.health.trouble("damage", told);
            Ok(Kept { version: VERSION, searches: BTreeMap::new() })
        }
    }
}

/// Reads both versions.
fn parse(bytes: &[u8]) -> std::result::Result<Kept, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let body = match text.split_once('\n') {
        Some((head, body)) if head.starts_with("weir-searches ") => {
            let crc = head.rsplit(' ').next().unwrap_or_default();
            if u32::from_str_radix(crc, 16) != Ok(crc32fast::hash(body.as_bytes())) {
                return Err("its checksum differs".to_owned());
            }
            body
        }
        _ => text,
    };
    serde_json::from_str(body).map_err(|error| error.to_string())
}

async fn write(call: &Call, kept: &Kept) -> Result<()> {
    let path = path(call);
    let body = serde_json::to_string_pretty(kept)
        .map_err(|error| Error::new(500, "exception", format!("saved searches: {error}")))?;
    let bytes = format!("weir-searches {VERSION} {:08x}\n{body}", crc32fast::hash(body.as_bytes())).into_bytes();
    Ok(aside(move || write_durably(&path, &bytes)).await??)
}
