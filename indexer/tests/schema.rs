//! Fields: whatever a line brings, it is kept; limits hold; `_mapping` and `_field_caps` tell what is there.

use serde_json::{Map, Value, json};

use crate::support::{Server, statuses};

fn bulk(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("{{\"create\":{{\"_index\":\"logs\"}}}}\n{document}\n")).collect()
}

fn found(server: &Server, query: &Value) -> u64 {
    let body = json!({"query": query, "size": 0, "track_total_hits": true}).to_string();
    server.post("/logs/_search", &body).expect(200)["hits"]["total"]["value"].as_u64().unwrap()
}

#[test]
fn a_value_of_another_type_costs_no_line() {
    let server = Server::start();
    let first = json!({"@timestamp": "2026-11-20T00:00:00Z", "n": 1, "f": 1.5, "b": true, "at": "2026-11-20", "o": {"x": 1}, "s": "word"});
    server.post("/_bulk", &bulk(&[first])).expect(200);
    let odd = [
        json!({"n": "seventeen"}),
        json!({"n": {"deep": "object where a number was"}}),
        json!({"n": [1, "two", null, [3]]}),
        json!({"n": 1e300}),
        json!({"n": u64::MAX}),
        json!({"f": "half"}),
        json!({"b": "perhaps"}),
        json!({"at": "some day"}),
        json!({"o": "text where an object was"}),
        json!({"o": [1, {"x": "two"}]}),
        json!({"s": 5, "o.x": "dotted"}),
        json!({"@timestamp": "not a time at all", "s": "odd time"}),
        json!({"@timestamp": {"a": 1}, "s": "object time"}),
        json!({"message": {"a": "an object for a message"}}),
        json!({"message": ["several", "messages"]}),
        json!({"log": "a string for log", "service": ["a", "b"]}),
        json!({"": "no name", " ": 1, "a..b": 2, ".": 3}),
        json!({"_id": "inside", "_source": 1, "_seq": "x"}),
    ];
    let answered = statuses(server.post("/_bulk", &bulk(&odd)));
    for (document, status) in odd.iter().zip(&answered) {
        assert_eq!(*status, 201, "{document}");
    }
    assert_eq!(server.count("logs"), 1 + odd.len() as u64);
    // The odd value is kept as it was, and can be found as text.
    assert_eq!(found(&server, &json!({"match": {"n": {"query": "seventeen", "lenient": true}}})), 1);
    assert_eq!(found(&server, &json!({"query_string": {"query": "n:seventeen"}})), 1);
    assert_eq!(found(&server, &json!({"simple_query_string": {"query": "seventeen"}})), 1);
    assert_eq!(found(&server, &json!({"range": {"n": {"gte": 1, "lte": 3}}})), 2);
    let hits = server.post("/logs/_search?size=100", "").expect(200)["hits"]["hits"].as_array().unwrap().clone();
    for document in &odd {
        assert!(hits.iter().any(|hit| hit["_source"] == *document), "{document} does not come back as it was");
    }
    // Types are those of the first values.
    let properties = server.get("/logs/_mapping").expect(200)["logs"]["mappings"]["properties"].clone();
    assert_eq!(properties["n"]["type"], "long");
    assert_eq!(properties["b"]["type"], "boolean");
    let caps = server.get("/logs/_field_caps?fields=n,f,b,s,missing").expect(200)["fields"].clone();
    assert_eq!(caps["n"]["long"]["searchable"], true);
    assert_eq!(caps["n"]["long"]["aggregatable"], true);
    assert!(caps.get("missing").is_none() && caps["s"].get("text").is_some(), "{caps}");
}

#[test]
fn fields_are_limited_in_depth_number_and_length() {
    let server = Server::start();
    let mut deep = json!("bottom");
    for level in (0..100).rev() {
        deep = json!({ format!("level{level}"): deep });
    }
    let wide: Map<String, Value> =
        (0..3_000).map(|n| (format!("field{n:05}"), json!(format!("value{n:05}")))).collect();
    let long = "x".repeat(200_000);
    let documents = [
        json!({"message": "deep", "deep": deep}),
        json!({"message": "wide", "wide": wide}),
        json!({"message": "long", "long": long, long.clone(): 1}),
        json!({"message": "after", "late": "still searchable by its message"}),
    ];
    assert_eq!(statuses(server.post("/_bulk", &bulk(&documents))), [201, 201, 201, 201]);
    for word in ["deep", "wide", "long", "after"] {
        assert_eq!(found(&server, &json!({"match": {"message": word}})), 1, "{word}");
    }
    let hits = server.post("/logs/_search?size=10", "").expect(200)["hits"]["hits"].as_array().unwrap().clone();
    for document in &documents {
        assert!(hits.iter().any(|hit| hit["_source"] == *document), "a document does not come back as it was");
    }
    fn count(properties: &Value) -> usize {
        let fields = properties.as_object().map(|fields| fields.values().collect::<Vec<_>>()).unwrap_or_default();
        // Objects are no fields: they have a limit of their own.
        fields.iter().map(|field| if field["properties"].is_object() { count(&field["properties"]) } else { 1 }).sum()
    }
    let properties = server.get("/logs/_mapping").expect(200)["logs"]["mappings"]["properties"].clone();
    assert!(count(&properties) <= 1_000, "{} fields", count(&properties));
    // What `_mapping` shows can be searched, and what it does not show is told as ignored.
    assert_eq!(found(&server, &json!({"term": {"wide.field00001.keyword": "value00001"}})), 1);
    // Too deep, too many, too long, and too late: the fields are used up by then.
    assert_eq!(found(&server, &json!({"exists": {"field": "_ignored"}})), 4);
    assert!(properties["wide"]["properties"].get("field02999").is_none());
    // A restart gives the same mapping.
    let folder = server.stop().unwrap();
    let server = Server::on(folder.path());
    assert_eq!(server.get("/logs/_mapping").expect(200)["logs"]["mappings"]["properties"], properties);
}
