//! The page and the API on a cluster (`indexer.upstream`). No Elasticsearch, OpenSearch or Quickwit is to be had for these
//! tests: the cluster is another weir indexer, which speaks the same API, and knows nothing of the one in front of it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use weir_indexer::access::book::{Book, FILE, Grant, Token};
use weir_indexer::access::{Reach, Role, token};
use weir_indexer::{Settings, base64};

use crate::support::{Server, eventually, statuses};

/// A cluster of one.
fn cluster() -> Server {
    let server = Server::start();
    let mut bulk = String::new();
    for n in 0..40 {
        let service = if n % 4 == 3 { "db" } else { "web" };
        let (index, level) =
            (if n < 36 { "logs-weir" } else { "logs-other" }, if n % 2 == 0 { "error" } else { "warn" });
        // Two lines a second, so that their order is told by the offset.
        let time = format!("2026-11-20T10:00:{:02}Z", n / 2);
        bulk.push_str(&json!({"create": {"_index": index, "_id": format!("line-{n}")}}).to_string());
        bulk.push('\n');
        bulk.push_str(
            &json!({"@timestamp": time, "message": format!("request {n} of {service} timed out"),
                "log": {"level": level, "offset": 100 * n}, "service": {"name": service}, "container": {"id": service},
                "status": 500 + n})
            .to_string(),
        );
        bulk.push('\n');
    }
    let created = statuses(server.post("/_bulk", &bulk));
    assert!(created.iter().all(|status| *status == 201), "{created:?}");
    server
}

fn in_front_of(cluster: &Server, change: impl FnOnce(&mut Settings)) -> Server {
    let mut settings = Settings { upstream: vec![format!("http://{}", cluster.address)], ..Settings::default() };
    change(&mut settings);
    Server::start_with(settings)
}

fn ids(answer: &Value) -> Vec<&str> {
    answer.as_array().unwrap().iter().map(|hit| hit["_id"].as_str().unwrap()).collect()
}

#[test]
fn searches_are_passed_on_and_our_own_api_is_served_from_them() {
    let cluster = cluster();
    let front = in_front_of(&cluster, |settings| {
        // The first host is one where nobody listens.
        settings.upstream.insert(0, "http://127.0.0.1:9".to_owned());
    });

    // As the page asks, with KQL, which other engines do not know.
    let query = json!({"bool": {"filter": [{"kql": {"query": "service.name: web and not log.level: warn"}}]}});
    let ask = json!({"query": query, "track_total_hits": true, "aggs": {"s": {"terms": {"field": "service.name"}}}});
    let found = front.post("/logs-weir/_search?ignore_unavailable=true", &ask.to_string()).expect(200);
    assert_eq!(found["hits"]["total"]["value"], 18, "{found}");
    assert_eq!(found["aggregations"]["s"]["buckets"][0]["doc_count"], 18, "{found}");
    assert_eq!(front.get("/_count?q=service.name:db").expect(200)["count"], 10);
    let many = "{\"index\":\"logs-other\"}\n{\"query\":{\"kql\":{\"query\":\"timed\"}}}\n{}\n{\"size\":0}\n";
    let answers = front.post("/logs-weir/_msearch", many).expect(200);
    let totals: Vec<_> =
        answers["responses"].as_array().unwrap().iter().map(|a| &a["hits"]["total"]["value"]).collect();
    assert_eq!(totals, [4, 36], "{answers}");
    let rows = front.get("/_cat/indices?format=json&bytes=b").expect(200);
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
    assert!(front.get("/_cat/count/logs-weir").text().contains(" 36"));
    assert_eq!(front.get("/logs-weir/_doc/line-5").expect(200)["_source"]["status"], 505);
    assert_eq!(front.get("/no-such/_search").status, 404);
    let caps = front.get("/logs-weir/_field_caps?fields=*").expect(200);
    assert!(caps["fields"]["service.name"].get("keyword").is_some() || caps["fields"].get("service.name").is_some());
    let page = front.post("/logs-weir/_search?scroll=1m", r#"{"size":30,"sort":["_doc"]}"#).expect(200);
    let next = json!({"scroll": "1m", "scroll_id": page["_scroll_id"]});
    let next = front.post("/_search/scroll", &next.to_string()).expect(200);
    assert_eq!(next["hits"]["hits"].as_array().unwrap().len(), 6, "{next}");

    // Our own.
    let values = front.get("/api/fields/service.name/values?index=logs-*&q=log.level:error").expect(200);
    assert_eq!(values["total"], 20, "{values}");
    assert_eq!(values["values"], json!([{"value": "web", "count": 20}]), "{values}");
    let lines = front.get("/api/context/line-13?index=logs-weir&within=container.id&before=3&after=2").expect(200);
    assert_eq!(ids(&lines["before"]), ["line-9", "line-10", "line-12"], "{lines}");
    assert_eq!(lines["hit"]["_id"], "line-13");
    assert_eq!(ids(&lines["after"]), ["line-14", "line-16"], "{lines}");
    front.get("/api/context/nowhere?index=logs-weir").error(404, "resource_not_found_exception");
    let patterns = front.post("/api/patterns", r#"{"index":"logs-weir","size":5}"#).expect(200);
    let ours = cluster.post("/api/patterns", r#"{"index":"logs-weir","size":5}"#).expect(200);
    for key in ["total", "sampled", "new_since"] {
        assert_eq!(patterns[key], ours[key], "{key}: {patterns}\n{ours}");
    }
    for (a, b) in patterns["patterns"].as_array().unwrap().iter().zip(ours["patterns"].as_array().unwrap()) {
        for key in ["template", "count", "first_seen", "last_seen", "trend", "new", "levels", "services"] {
            assert_eq!(a[key], b[key], "{key}: {a}\n{b}");
        }
        assert!(a["sample"]["_source"]["status"].is_number(), "{a}");
    }
    let status = front.get("/api/status").expect(200);
    assert_eq!((&status["indices"][0]["documents"], &status["disk"]["budget"]), (&json!(4), &json!(null)), "{status}");

    // Saved searches stay here.
    front.put("/api/searches/mine", "{\"screen\":\"#/logs?q=a\"}").expect(200);
    assert_eq!(front.get("/api/searches").expect(200)["searches"][0]["name"], "mine");
    assert_eq!(cluster.get("/api/searches").expect(200)["searches"], json!([]));

    // What changes something is refused.
    for (method, path, body) in [
        ("POST", "/_bulk", "{\"create\":{\"_index\":\"logs-weir\"}}\n{\"a\":1}\n"),
        ("POST", "/logs-weir/_doc", "{\"a\":1}"),
        ("DELETE", "/logs-weir", ""),
        ("PUT", "/_cluster/settings", "{}"),
        ("POST", "/logs-weir/_delete_by_query", "{\"query\":{\"match_all\":{}}}"),
    ] {
        front.client().send(method, path, body, &[]).error(403, "cluster_block_exception");
    }
    assert_eq!(cluster.count("logs-*"), 40);
    assert_eq!(front.get("/health").status, 200);

    // A query that the cluster refuses is refused with its words; what is no query never gets there.
    let refused = front.post("/logs-weir/_search", r#"{"query":{"range":{"status":{"gte":"x"}}}}"#);
    assert_eq!(refused.status, 400, "{}", refused.text());
    front.get("/api/tail?q=a:(").error(400, "parsing_exception");
}

#[test]
fn a_tail_shows_what_comes_to_the_cluster() {
    let cluster = cluster();
    let front = in_front_of(&cluster, |_| {});
    let mut stream = TcpStream::connect(front.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET /api/tail?index=logs-weir&q=service.name:web HTTP/1.1\r\nhost: weir\r\n\r\n").unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    let mut until = |what: &str, text: &mut String| {
        while !text.contains(what) {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "it ended before {what:?}: {text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    };
    until("text/event-stream", &mut text);
    // The second is a little older than the newest: it was on its way for longer.
    for (id, time, service) in [("a", "10:00:30", "web"), ("b", "10:00:28", "web"), ("c", "10:00:31", "db")] {
        let line = json!({"@timestamp": format!("2026-11-20T{time}Z"), "message": format!("news {id}"), "service": {"name": service}});
        cluster.put(&format!("/logs-weir/_create/{id}"), &line.to_string()).expect(201);
        if service == "web" {
            until(&format!("news {id}"), &mut text);
        }
    }
    cluster
        .put(
            "/logs-weir/_create/d",
            r#"{"@timestamp":"2026-11-20T10:00:31Z","message":"news d","service":{"name":"web"}}"#,
        )
        .expect(201);
    until("news d", &mut text);
    assert!(!text.contains("news c") && !text.contains("timed out") && !text.contains("missed"), "{text}");
    assert_eq!(text.matches("news a").count(), 1, "{text}");
}

#[test]
fn alert_rules_ask_the_cluster() {
    let cluster = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    std::fs::write(
        &rules,
        "[[rule]]\nname = \"pay\"\nquery = 'log.level : error and service.name : pay*'\nwindow = \"1h\"\n\
         group_by = \"service.name\"\nabove = 2\nlevel = \"critical\"\ntext = \"{group} {value} {sample}\"\n\
         [[rule]]\nname = \"nothing comes\"\nquery = ''\nwindow = \"1h\"\nbelow = 1\nlevel = \"warning\"\n",
    )
    .unwrap();
    let front = in_front_of(&cluster, |settings| {
        settings.alerts = vec![rules.display().to_string()];
        settings.alerts_builtin = false;
        settings.alerts_interval = weir_daemon::settings::Span(Duration::from_secs(1));
    });
    let firing = |name: &str| {
        let shown = front.get("/api/alerts").expect(200);
        let alerts = shown["alerts"].as_array().unwrap().clone();
        alerts.into_iter().find(|alert| alert["rule"] == name && alert["state"] == "firing")
    };
    eventually("the empty cluster to be told of", || firing("nothing comes").is_some());
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    for (n, service) in ["payments", "payments", "payments", "other", "other", "other"].iter().enumerate() {
        let line =
            json!({"@timestamp": now, "message": "declined", "log": {"level": "error"}, "service": {"name": service}});
        cluster.put(&format!("/logs-weir/_create/{n}"), &line.to_string()).expect(201);
    }
    eventually("the payments to be told of", || firing("pay").is_some());
    let alert = firing("pay").unwrap();
    assert_eq!((&alert["group"], &alert["text"]), (&json!("payments"), &json!("payments 3 declined")), "{alert}");
    eventually("the other to have ended", || firing("nothing comes").is_none());
}

#[test]
fn readers_see_of_the_cluster_what_is_theirs() {
    let cluster = cluster();
    let folder = tempfile::tempdir().unwrap();
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let reach = |indices, services| Reach { indices: list(indices), services: list(services) };
    let mut keys = Vec::new();
    Book::change(&folder.path().join(FILE), |book| {
        for (name, reach) in
            [("db", reach(&[], &["d*"])), ("other", reach(&["logs-o*"], &[])), ("all", Reach::default())]
        {
            let made = token::make()?;
            let may = Grant { role: Role::Read, reach };
            book.tokens.insert(made.id, Token { name: name.into(), hash: made.hash, may, made: 0, ends: None });
            keys.push((name, format!("ApiKey {}", made.encoded)));
        }
        Ok(())
    })
    .unwrap();
    let upstream = vec![format!("http://{}", cluster.address)];
    let settings = Settings { data_dir: folder.path().to_owned(), upstream, ..Settings::default() };
    let front = Server::with(settings).owning(folder);
    let ask = |who: &str, method: &str, path: &str, body: &str| {
        let key = &keys.iter().find(|(name, _)| *name == who).unwrap().1;
        front.client().send(method, path, body, &[("authorization", key), ("content-type", "application/json")])
    };
    let total =
        |who: &str, path: &str, body: &str| ask(who, "POST", path, body).expect(200)["hits"]["total"]["value"].clone();

    front.get("/logs-weir/_search").error(401, "security_exception");
    assert_eq!(total("all", "/_search", "{}"), 40);
    // By service: in a query, without one, in the address, one of many.
    assert_eq!(total("db", "/_search", "{}"), 10);
    assert_eq!(total("db", "/logs-weir/_search", r#"{"query":{"match_all":{}}}"#), 9);
    assert_eq!(ask("db", "GET", "/_count?q=timed&default_operator=AND", "").expect(200)["count"], 10);
    let many = ask("db", "POST", "/_msearch", "{}\n{\"query\":{\"match\":{\"message\":\"web\"}}}\n").expect(200);
    assert_eq!(many["responses"][0]["hits"]["total"]["value"], 0, "{many}");
    let values = ask("db", "GET", "/api/fields/service.name/values", "").expect(200);
    assert_eq!(values["values"], json!([{"value": "db", "count": 10}]), "{values}");
    ask("db", "GET", "/api/context/line-0?index=logs-weir", "").error(404, "resource_not_found_exception");
    let lines = ask("db", "GET", "/api/context/line-7?index=logs-weir&within=nothing&before=2&after=1", "").expect(200);
    assert_eq!((ids(&lines["before"]), ids(&lines["after"])), (vec!["line-3"], vec!["line-11"]), "{lines}");
    let patterns = ask("db", "POST", "/api/patterns", "{}").expect(200);
    assert_eq!(patterns["total"], 10, "{patterns}");
    // By index.
    assert_eq!(total("other", "/_search", "{}"), 4);
    assert_eq!(total("other", "/logs-*/_search", "{}"), 4);
    ask("other", "POST", "/logs-weir/_search", "{}").error(403, "security_exception");
    ask("other", "POST", "/_msearch", "{\"index\":\"logs-weir\"}\n{}\n").error(403, "security_exception");
    let rows = ask("other", "GET", "/_cat/indices?format=json", "").expect(200);
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    // What looks past a query.
    for (path, body) in [
        ("/_search", r#"{"aggs":{"all":{"global":{}}}}"#),
        ("/_search", r#"{"suggest":{"a":{"text":"b","term":{"field":"message"}}}}"#),
        ("/_search", r#"{"pit":{"id":"x"}}"#),
        ("/_search?scroll=1m", "{}"),
        ("/_mget", r#"{"docs":[{"_index":"logs-weir","_id":"line-0"}]}"#),
        ("/logs-weir/_pit?keep_alive=1m", ""),
    ] {
        ask("db", "POST", path, body).error(403, "security_exception");
    }
    ask("db", "GET", "/logs-weir/_doc/line-0", "").error(403, "security_exception");
}

#[test]
fn a_cluster_that_is_away_or_does_not_know_us_is_told_of() {
    let cluster = Server::start_with(Settings {
        username: Some("root".to_owned()),
        password: Some("the cluster's".to_owned()),
        ..Settings::default()
    });
    let stranger = in_front_of(&cluster, |_| {});
    let reason = stranger.get("/_search").error(502, "upstream_exception");
    assert!(reason.contains("401") && reason.contains("indexer.upstream_user"), "{reason}");
    let front = in_front_of(&cluster, |settings| {
        settings.upstream_user = "root".to_owned();
        settings.upstream_password = "the cluster's".to_owned();
    });
    front.get("/_search").expect(200);
    let wrong = Settings { upstream: vec!["ftp://x".to_owned()], ..Settings::default() };
    assert_eq!(wrong.check().err().unwrap()[0].key, "upstream");
    let basic = format!("Basic {}", base64::encode(b"root:the cluster's"));
    cluster.client().send("PUT", "/logs", "", &[("authorization", &basic)]).expect(200);
    drop(cluster);
    eventually("the cluster to be away", || front.get("/_search").status == 503);
    let reason = front.get("/api/fields/a/values").error(503, "upstream_exception");
    assert!(reason.contains("does not answer"), "{reason}");
    let health = front.get("/health");
    assert!(health.status == 503 && health.text().contains("trouble"), "{}", health.text());
    // What needs no cluster is there.
    front.get("/api/searches").expect(200);
}
