//! Who may do what, over HTTP: users, tokens, sessions, what a reader sees, and what every answer carries.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use weir_indexer::access::book::{Book, FILE, Grant, Token, User};
use weir_indexer::access::rights::{self, Right};
use weir_indexer::access::{Reach, Role, password, token};
use weir_indexer::http::ENDPOINTS;
use weir_indexer::{Settings, base64};

use crate::support::{Answer, Server};

const ADMIN: &str = "the admin's password";

/// An indexer with users and tokens, and documents of two services in two indices.
struct Scene {
    server: Server,
    /// Who, and the value of their `Authorization`.
    tokens: Vec<(&'static str, String)>,
}

impl Scene {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let reach = |indices: &[&str], services: &[&str]| Reach {
            indices: indices.iter().map(|s| (*s).to_owned()).collect(),
            services: services.iter().map(|s| (*s).to_owned()).collect(),
        };
        let grants = [
            ("ingest", Role::Ingest, Reach::default()),
            ("reader", Role::Read, Reach::default()),
            ("web", Role::Read, reach(&[], &["web", "cart-*"])),
            ("one index", Role::Read, reach(&["logs-a*"], &[])),
        ];
        let mut tokens = Vec::new();
        Book::change(&folder.path().join(FILE), |book| {
            for (name, role, reach) in grants {
                let made = token::make()?;
                let may = Grant { role, reach };
                book.tokens.insert(made.id, Token { name: name.into(), hash: made.hash, may, made: 0, ends: None });
                tokens.push((name, format!("ApiKey {}", made.encoded)));
            }
            let may = Grant { role: Role::Read, reach: Reach::default() };
            book.users.insert("alice".into(), User { password: password::hash("alice's password")?, may });
            Ok(())
        })
        .unwrap();
        let mut settings = Settings {
            data_dir: folder.path().to_owned(),
            username: Some("root".to_owned()),
            password: Some(ADMIN.to_owned()),
            ..Settings::default()
        };
        change(&mut settings);
        tokens.push(("admin", format!("Basic {}", base64::encode(format!("root:{ADMIN}").as_bytes()))));
        let scene = Self { server: Server::with(settings).owning(folder), tokens };
        let mut bulk = String::new();
        for (index, service, message) in [
            ("logs-a", "web", "GET / 200 seen"),
            ("logs-a", "db", "SECRETWORD of the database"),
            ("logs-b", "cart-eu", "cart emptied seen"),
            ("logs-b", "db", "another SECRETWORD"),
        ] {
            bulk.push_str(&json!({"create": {"_index": index, "_id": format!("{service}-1")}}).to_string());
            bulk.push('\n');
            bulk.push_str(
                &json!({"@timestamp": "2026-11-20T00:00:00Z", "service": {"name": service}, "message": message,
                    "log": {"level": "error"}, "secret_of": format!("tag-{service}")})
                .to_string(),
            );
            bulk.push('\n');
        }
        let written = scene.ask("ingest", "POST", "/_bulk", &bulk).expect(200);
        assert_eq!(written["errors"], false, "{written}");
        scene
    }

    fn ask(&self, who: &str, method: &str, path: &str, body: &str) -> Answer {
        let (_, value) = self.tokens.iter().find(|(name, _)| *name == who).unwrap();
        self.server.client().send(method, path, body, &[("authorization", value), ("content-type", "application/json")])
    }
}

#[test]
fn every_role_may_do_what_it_is_for_and_nothing_else() {
    let scene = Scene::new(|_| {});
    let server = &scene.server;
    let missing = server.get("/logs-a/_search");
    let challenge = missing.head.clone();
    let reason = missing.error(401, "security_exception");
    assert_eq!(reason, "missing authentication credentials for REST request [/logs-a/_search]");
    assert!(challenge.contains("www-authenticate: Basic realm=\"weir\", charset=\"UTF-8\""), "{challenge}");
    assert!(challenge.contains("www-authenticate: ApiKey"), "{challenge}");
    let body = server.get("/_no/such/endpoint").expect(401);
    assert_eq!(body["error"]["header"]["WWW-Authenticate"][1], "ApiKey");
    let wrong = [("authorization", "ApiKey bm9zdWNoOnRva2Vu")];
    server.client().send("GET", "/", "", &wrong).error(401, "security_exception");
    server.client().send("GET", "/", "", &[("authorization", "nonsense")]).error(401, "security_exception");

    // Open to everybody, and silent about what is wrong.
    assert_eq!(server.get("/health").expect(200), json!({"status": "ok"}));

    // Ingestion adds, and does nothing else.
    let create = "{\"create\":{\"_index\":\"logs-a\",\"_id\":\"x\"}}\n{\"service\":{\"name\":\"web\"}}\n";
    scene.ask("ingest", "POST", "/_bulk", create).expect(200);
    scene.ask("ingest", "GET", "/", "").expect(200);
    for (method, path, body) in [
        ("POST", "/_bulk", "{\"delete\":{\"_index\":\"logs-a\",\"_id\":\"web-1\"}}\n"),
        ("POST", "/_bulk", "{\"index\":{\"_index\":\"logs-a\",\"_id\":\"web-1\"}}\n{\"a\":1}\n"),
        ("GET", "/logs-a/_search", ""),
        ("GET", "/logs-a/_doc/web-1", ""),
        ("DELETE", "/logs-a", ""),
        ("PUT", "/logs-a/_doc/web-1", "{\"a\":1}"),
        ("GET", "/_cat/indices", ""),
        ("GET", "/metrics", ""),
        ("GET", "/api/tail", ""),
    ] {
        scene.ask("ingest", method, path, body).error(403, "security_exception");
    }
    // Readers read.
    assert_eq!(scene.ask("reader", "GET", "/_count", "").expect(200)["count"], 5);
    for (method, path, body) in [
        ("POST", "/_bulk", create),
        ("DELETE", "/logs-a", ""),
        ("POST", "/logs-a/_delete_by_query", "{\"query\":{\"match_all\":{}}}"),
        ("PUT", "/_cluster/settings", "{}"),
    ] {
        let reason = scene.ask("reader", method, path, body).error(403, "security_exception");
        assert!(reason.contains("unauthorized for user [token:reader] with effective roles [read]"), "{reason}");
    }
    scene.ask("admin", "DELETE", "/logs-a/_doc/x", "").expect(200);
    scene.ask("admin", "PUT", "/made", "").expect(200);
    let me = scene.ask("reader", "GET", "/_security/_authenticate", "").expect(200);
    assert_eq!((&me["username"], &me["roles"][0]), (&json!("token:reader"), &json!("read")));

    let audit = fs::read_to_string(server.folder.join("audit.jsonl")).unwrap();
    let entries: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |event: &str, user: &str, what: &str| {
        entries.iter().any(|e| e["event"] == event && e["user"] == user && e["what"].as_str().unwrap().contains(what))
    };
    assert!(has("login_failed", "", "no such token"), "{audit}");
    assert!(has("denied", "token:reader", "DELETE /logs-a"), "{audit}");
    assert!(has("login", "root", "password"), "{audit}");
    assert!(has("changed", "root", "PUT /made"), "{audit}");
    assert!(!audit.contains(ADMIN) && scene.tokens.iter().all(|(_, value)| !audit.contains(&value[7..])), "{audit}");
}

#[test]
fn a_reader_of_some_services_sees_nothing_of_others_by_any_path() {
    let scene = Scene::new(|_| {});
    let ask = |method: &str, path: &str, body: &Value| scene.ask("web", method, path, &body.to_string());
    let hidden = |text: &str| text.contains("SECRETWORD") || text.contains("tag-db") || text.contains("db-1");

    // Each thing that a search can be asked.
    let search = json!({
        "query": {"match_all": {}},
        "aggs": {
            "by": {"terms": {"field": "service.name", "min_doc_count": 0}},
            "tags": {"terms": {"field": "secret_of", "min_doc_count": 0}},
            "all": {"global": {}, "aggs": {"n": {"value_count": {"field": "service.name"}},
                "by": {"terms": {"field": "service.name"}}, "top": {"top_hits": {}}}},
            "db": {"filter": {"term": {"service.name": "db"}}},
        },
        "post_filter": {"match_all": {}},
    });
    let answer = ask("POST", "/_search", &search);
    assert!(!hidden(&answer.text()), "{}", answer.text());
    let answer = answer.expect(200);
    assert_eq!(answer["hits"]["total"]["value"], 2);
    assert_eq!(answer["aggregations"]["all"]["n"]["value"], 2);
    assert_eq!(answer["aggregations"]["db"]["doc_count"], 0);
    for query in
        [json!({"match": {"message": "SECRETWORD"}}), json!({"bool": {"must_not": {"term": {"service.name": "web"}}}})]
    {
        let found = ask("POST", "/logs-a/_search", &json!({"query": query})).expect(200);
        assert_eq!(found["hits"]["total"]["value"], 0, "{query}");
    }
    let lookup = json!({"query": {"terms": {"message": {"index": "logs-a", "id": "db-1", "path": "message"}}}});
    assert_eq!(ask("POST", "/_search", &lookup).expect(200)["hits"]["total"]["value"], 0);
    assert_eq!(ask("GET", "/_count", &json!({})).expect(200)["count"], 2);
    assert_eq!(ask("GET", "/_cat/count?format=json", &json!({})).expect(200)[0]["count"], "2");
    for path in ["/logs-a/_doc/db-1", "/logs-a/_source/db-1", "/api/context/db-1?index=logs-a"] {
        assert_eq!(scene.ask("web", "GET", path, "").status, 404, "{path}");
    }
    let many = ask("POST", "/logs-a/_mget", &json!({"ids": ["web-1", "db-1"]})).expect(200);
    assert_eq!((&many["docs"][0]["found"], &many["docs"][1]["found"]), (&json!(true), &json!(false)));
    let around = scene.ask("web", "GET", "/api/context/web-1?index=logs-a", "").text();
    assert!(around.contains("seen") && !hidden(&around), "{around}");

    // Pages after the first, and those of others.
    let scroll = ask("POST", "/_search?scroll=1m", &json!({"size": 1})).expect(200);
    let id = scroll["_scroll_id"].as_str().unwrap().to_owned();
    let next = json!({"scroll_id": id, "scroll": "1m"});
    assert_eq!(scene.ask("reader", "POST", "/_search/scroll", &next.to_string()).status, 404, "it is another's");
    for _ in 0..3 {
        let page = ask("POST", "/_search/scroll", &next);
        assert!(page.status == 200 && !hidden(&page.text()), "{}", page.text());
    }
    let pit = scene.ask("reader", "POST", "/logs-a/_pit?keep_alive=1m", "").expect(200)["id"].clone();
    assert_eq!(ask("POST", "/_search", &json!({"pit": {"id": pit}})).status, 404, "it sees more");
    let pit = scene.ask("web", "POST", "/logs-a/_pit?keep_alive=1m", "").expect(200)["id"].clone();
    let page = ask("POST", "/_search", &json!({"pit": {"id": pit}, "sort": ["_shard_doc"]})).expect(200);
    assert_eq!(page["hits"]["total"]["value"], 1);

    // Every endpoint that readers have, with whatever it takes.
    let all = json!({"query": {"match_all": {}}, "size": 100}).to_string();
    let many = format!("{{}}\n{all}\n{{\"index\":\"logs-a\"}}\n{all}\n");
    let mut asked = 0;
    for endpoint in ENDPOINTS.iter().copied().flatten() {
        for method in endpoint.methods {
            if rights::of(method, endpoint.path) != Right::Read || endpoint.path == "/api/tail" {
                continue;
            }
            for (index, id) in [("logs-a", "db-1"), ("*", "web-1"), ("_all", "*")] {
                let path = endpoint
                    .path
                    .replace("{index}", index)
                    .replace("{name}", "service.name")
                    .replace("{id}", id)
                    .replace("{which}", "_all")
                    .replace("{what}", "stats")
                    .replace("{scroll_id}", "none");
                let body = match path.contains("_msearch") {
                    true => many.as_str(),
                    false if *method == "GET" => "",
                    false => "{}",
                };
                for query in ["", "?explain=true", "?q=*"] {
                    let answer = scene.ask("web", method, &format!("{path}{query}"), body);
                    assert!(answer.status != 403 && answer.status < 500, "{method} {path}: {}", answer.text());
                    // Some answers repeat the id that was asked for.
                    let text = answer.text().replace("db-1", "");
                    assert!(!hidden(&text), "{method} {path}{query}: {text}");
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 300, "only {asked} requests were made");

    // The live tail: what comes while it is open.
    let (_, value) = scene.tokens.iter().find(|(name, _)| *name == "web").unwrap();
    let mut stream = TcpStream::connect(scene.server.address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    write!(stream, "GET /api/tail HTTP/1.1\r\nhost: weir\r\nauthorization: {value}\r\n\r\n").unwrap();
    let mut read = vec![0; 64 * 1024];
    let mut got = stream.read(&mut read).unwrap();
    let document = |service: &str, message: &str| {
        format!(
            "{}\n{}\n",
            json!({"create": {"_index": "logs-a"}}),
            json!({"service": {"name": service}, "message": message})
        )
    };
    let bulk = document("db", "SECRETWORD again") + &document("web", "now seen");
    scene.ask("ingest", "POST", "/_bulk", &bulk).expect(200);
    while !String::from_utf8_lossy(&read[..got]).contains("now seen") {
        got += stream.read(&mut read[got..]).unwrap();
    }
    let tailed = String::from_utf8_lossy(&read[..got]);
    assert!(!hidden(&tailed), "{tailed}");
}

#[test]
fn a_reader_of_some_indices_does_not_see_the_others() {
    let scene = Scene::new(|_| {});
    let ask = |path: &str| scene.ask("one index", "GET", path, "");
    assert_eq!(ask("/_count").expect(200)["count"], 2);
    assert_eq!(ask("/logs-*/_count").expect(200)["count"], 2);
    ask("/logs-b/_count").error(403, "security_exception");
    ask("/logs-b/_doc/db-1").error(403, "security_exception");
    // Whether there is such an index is not told either.
    ask("/logs-none/_count").error(403, "security_exception");
    assert_eq!(ask("/logs-b/_count?ignore_unavailable=true").expect(200)["count"], 0);
    for path in ["/_cat/indices", "/_mapping", "/_stats", "/_resolve/index/*", "/_field_caps?fields=*", "/_settings"] {
        let text = ask(path).text();
        assert!(text.contains("logs-a") && !text.contains("logs-b"), "{path}: {text}");
    }
    let many = scene.ask("one index", "POST", "/_msearch", "{\"index\":\"logs-b\"}\n{}\n{\"index\":\"logs-a\"}\n{}\n");
    let many = many.expect(200);
    assert_eq!((&many["responses"][0]["status"], &many["responses"][1]["status"]), (&json!(403), &json!(200)));
    scene.ask("admin", "POST", "/_aliases", r#"{"actions":[{"add":{"index":"logs-a","alias":"mine"}}]}"#).expect(200);
    assert_eq!(ask("/mine/_count").expect(200)["count"], 2);
}

#[test]
fn the_page_logs_in_with_a_session_that_other_pages_cannot_use() {
    let scene = Scene::new(|_| {});
    let client = scene.server.client();
    let about = client.send("GET", "/api/session", "", &[]).expect(200);
    assert_eq!((&about["required"], &about["user"]), (&json!(true), &Value::Null));
    assert_eq!(
        client.send("GET", "/", "", &[("accept", "text/html")]).status / 100,
        if weir_indexer::ui::missing().is_some() { 4 } else { 2 }
    );
    let log_in = |password: &str| {
        let body = json!({"user": "alice", "password": password}).to_string();
        client.send("POST", "/api/session", &body, &[("sec-fetch-site", "same-origin")])
    };
    let refused = log_in("a guess");
    assert!(!refused.head.contains("www-authenticate"), "a browser would show a window of its own: {}", refused.head);
    refused.error(401, "security_exception");
    let opened = log_in("alice's password");
    let set = opened.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().to_owned();
    assert!(set.contains("; HttpOnly; SameSite=Strict; ") && !set.contains("Secure"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let opened = opened.expect(200);
    let csrf = opened["csrf"].as_str().unwrap().to_owned();
    assert_eq!((&opened["user"], &opened["role"]), (&json!("alice"), &json!("read")));
    let page = |method: &str, path: &str, more: &[(&str, &str)]| {
        let mut headers = vec![("cookie", cookie.as_str())];
        headers.extend(more);
        client.send(method, path, if method == "POST" { "{}" } else { "" }, &headers)
    };
    assert_eq!(page("GET", "/_count", &[]).expect(200)["count"], 4);
    assert_eq!(page("GET", "/api/session", &[]).expect(200)["csrf"], csrf.as_str());
    page("POST", "/_search", &[]).error(403, "security_exception");
    page("POST", "/_search", &[("x-weir-csrf", "wrong")]).error(403, "security_exception");
    page("POST", "/_search", &[("x-weir-csrf", &csrf)]).expect(200);
    page("DELETE", "/logs-a", &[("x-weir-csrf", &csrf)]).error(403, "security_exception");
    // Another site's page, whose request the browser sends with the cookie.
    page("GET", "/_count", &[("sec-fetch-site", "cross-site")]).error(403, "security_exception");
    page("GET", "/_count", &[("origin", "http://evil.example")]).error(403, "security_exception");
    page("DELETE", "/api/session", &[]).error(403, "security_exception");
    let left = page("DELETE", "/api/session", &[("x-weir-csrf", &csrf)]);
    assert!(left.head.contains("max-age=0") || left.head.contains("Max-Age=0"), "{}", left.head);
    page("GET", "/_count", &[]).error(401, "security_exception");

    // All at once: one after the other, a slow machine would take as long as the limiter gives a new attempt in.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..40).map(|_| scope.spawn(|| log_in("a guess").status)).collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    assert!(statuses.contains(&429), "{statuses:?}");
    let limited = log_in("alice's password");
    assert!(limited.status == 200 || limited.head.contains("retry-after: "), "{}", limited.head);
    // Whoever is in stays in, and tokens are not guessed.
    assert_eq!(scene.ask("reader", "GET", "/_count", "").status, 200);
}

#[test]
fn other_sites_are_closed_out_unless_they_are_invited() {
    let scene = Scene::new(|settings| settings.cors_origins = vec!["https://grafana.example".to_owned()]);
    let client = scene.server.client();
    let (_, reader) = scene.tokens.iter().find(|(name, _)| *name == "reader").unwrap();
    let from = |origin: &'static str, method: &str| {
        let headers = [("origin", origin), ("sec-fetch-site", "cross-site"), ("authorization", reader)];
        client.send(method, "/_count", "", &headers)
    };
    let invited = from("https://grafana.example", "GET");
    assert!(invited.head.contains("access-control-allow-origin: https://grafana.example"), "{}", invited.head);
    invited.expect(200);
    let before = client.send("OPTIONS", "/_count", "", &[("origin", "https://grafana.example")]);
    assert!(
        before.status == 204 && before.head.contains("access-control-allow-headers: authorization"),
        "{}",
        before.head
    );
    for method in ["GET", "OPTIONS"] {
        let other = from("https://evil.example", method);
        assert!(!other.head.contains("access-control-"), "{}", other.head);
        other.error(403, "security_exception");
    }
    // An invited page has no part in a session.
    let body = json!({"user": "root", "password": ADMIN}).to_string();
    let opened = client.send("POST", "/api/session", &body, &[]);
    let cookie = opened.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    client.send("GET", "/_count", "", &[("cookie", &cookie)]).expect(200);
    let lent = [("cookie", cookie.as_str()), ("origin", "https://grafana.example"), ("sec-fetch-site", "same-site")];
    client.send("GET", "/_count", "", &lent).error(401, "security_exception");
}

#[test]
fn answers_carry_what_keeps_browsers_safe_and_requests_are_bounded() {
    let scene = Scene::new(|settings| {
        settings.connections_per_peer_max = 5;
        settings.max_body_bytes = weir_daemon::settings::Bytes(100_000);
    });
    let client = scene.server.client();
    let head = scene.ask("reader", "GET", "/_count", "").head;
    for line in
        ["x-content-type-options: nosniff", "x-frame-options: DENY", "content-security-policy: default-src 'none'"]
    {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    assert!(!head.contains("access-control-") && !head.contains("server:"), "{head}");
    let long = "x".repeat(200_000);
    let answer = client.try_send("GET", "/", b"", &[("x-long", &long)]).unwrap();
    assert_eq!(answer.status, 431);
    let names: Vec<String> = (0..200).map(|n| format!("x-{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    assert_eq!(client.try_send("GET", "/", b"", &many).unwrap().status, 431);
    assert_eq!(scene.ask("ingest", "POST", "/_bulk", &"x".repeat(100_001)).status, 413);
    // Whoever is not known yet has a name and a password to say, and no more.
    assert_eq!(client.send("POST", "/api/session", &"x".repeat(20_000), &[]).status, 413);

    let held: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(scene.server.address).unwrap()).collect();
    crate::support::eventually("a connection too many is closed", || {
        let mut one = TcpStream::connect(scene.server.address).unwrap();
        // It may be reset before it is written.
        let _ = one.write_all(b"GET /health HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n");
        let mut answer = Vec::new();
        let _ = one.read_to_end(&mut answer);
        answer.is_empty()
    });
    drop(held);
    crate::support::eventually("there is room again", || {
        client.try_send("GET", "/health", b"", &[]).is_ok_and(|answer| answer.status == 200)
    });
}
