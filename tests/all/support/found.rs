//! Compares what the index holds with what it must hold: every tag once, none missing, none too many.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::corpus::{Load, Tag};
use super::{http, say};

/// A prefix query asks for a thousand neighbouring numbers, and an event has at least one of them.
const PER_QUERY: usize = 1_000;
/// No new documents for this long, and the set is still not right: it will not become right.
const STUCK: Duration = Duration::from_secs(45);
/// Time for a late duplicate to arrive after the set was right.
const AFTERMATH: Duration = Duration::from_secs(4);

/// Waits until the index at `search` holds exactly what `load` must leave there, and fails when it does not.
pub fn expect_exactly(test: &str, search: SocketAddr, load: &Load) {
    let mut count = 0;
    let mut changed = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(1_500));
        let now = count_all(search);
        if now != count {
            count = now;
            changed = Instant::now();
            continue;
        }
        match compare(search, load) {
            Ok(text) => {
                std::thread::sleep(AFTERMATH);
                let after =
                    compare(search, load).unwrap_or_else(|wrong| panic!("{test}: at first right, then {wrong}"));
                assert_eq!(text, after, "{test}: documents still arrive");
                say::progress(test, &text);
                return;
            }
            Err(wrong) => assert!(changed.elapsed() < STUCK, "{test}: {wrong}"),
        }
    }
}

/// Every document of the index but what weir says of the node itself, whose disk may well be filling.
pub fn count_all(search: SocketAddr) -> u64 {
    let query = json!({"bool": {"must_not": [{"term": {"event.dataset": "weir.node"}}]}});
    http::post(search, "/logs-weir/_count", &json!({"query": query}))
        .ok()
        .and_then(|answer| answer["count"].as_u64())
        .unwrap_or(0) // Nothing was indexed yet, or the indexer is just being restarted.
}

/// One comparison. The text says how much was found, the error what is wrong with it.
fn compare(search: SocketAddr, load: &Load) -> Result<String, String> {
    let mut documents: BTreeMap<String, Vec<Tag>> = BTreeMap::new();
    for container in 0..load.containers.len() {
        for thousand in 0..load.containers[container].len().div_ceil(PER_QUERY) {
            let prefix = format!("wt{container}x{thousand:03}");
            let query = json!({"size": PER_QUERY, "query": {"prefix": {"message": prefix}}});
            let answer = http::post(search, "/logs-weir/_search", &query)?;
            let hits = answer["hits"]["hits"].as_array().ok_or("no hits in the answer")?;
            for hit in hits {
                let id = format!("{} {}", hit["_index"], hit["_id"]);
                documents.insert(id, tags(&hit["_source"]));
            }
            let total = answer["hits"]["total"]["value"].as_u64().unwrap_or(0);
            if total as usize != hits.len() {
                return Err(format!("{prefix}: {total} documents for {PER_QUERY} lines"));
            }
        }
    }
    let mut found: BTreeMap<Tag, u32> = BTreeMap::new();
    for tag in documents.values().flatten() {
        *found.entry(*tag).or_default() += 1;
    }
    let twice: Vec<Tag> = found.iter().filter(|(_, times)| **times > 1).map(|(tag, _)| *tag).collect();
    let missing: Vec<Tag> = load.kept().filter(|tag| !found.contains_key(tag)).collect();
    let too_many: Vec<Tag> = found.keys().filter(|tag| !load.is_kept(**tag)).copied().collect();
    let others = count_all(search).abs_diff(documents.len() as u64);
    if twice.is_empty() && missing.is_empty() && too_many.is_empty() && others == 0 {
        return Ok(format!("{} lines in {} documents, exactly those expected", found.len(), documents.len()));
    }
    let shown = |what: &str, tags: &[Tag]| {
        let some: Vec<String> = tags.iter().take(4).map(|tag| format!("{tag} {:?}", load.text(*tag))).collect();
        if tags.is_empty() { String::new() } else { format!("\n  {} {what}, such as {}", tags.len(), some.join(", ")) }
    };
    let mut wrong = format!("of {} expected lines {} are in the index", load.kept().count(), found.len());
    wrong += &shown("missing", &missing);
    wrong += &shown("more than once", &twice);
    wrong += &shown("that should have been dropped", &too_many);
    if others > 0 {
        wrong += &format!("\n  {others} documents that are not of this test");
        wrong += &strangers(search).unwrap_or_else(|error| format!(" ({error})"));
    }
    Err(wrong)
}

/// A few documents without a tag.
fn strangers(search: SocketAddr) -> Result<String, String> {
    let query = json!({"size": 3, "query": {"bool": {"must_not": [{"prefix": {"message": "wt"}}]}}});
    Ok(format!(", such as {}", http::post(search, "/logs-weir/_search", &query)?["hits"]["hits"]))
}

/// Every tag in any string of a document.
fn tags(source: &Value) -> Vec<Tag> {
    Tag::all_in(&source.to_string())
}
