//! A cluster in the indexer's place. No Elasticsearch, OpenSearch or Quickwit is to be had here: what the aggregator writes
//! goes to another weir's indexer behind a proxy that hides that it is one, and cuts connections after what they brought is
//! written; `weir setup-cluster` meets that indexer, and a server that answers as each engine's documentation says and
//! records what it is asked for what differs.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::weir::{Part, Place, bare, run};
use super::support::{http, until};

/// Everything is sent, cut, and sent again.
const LIMIT: Duration = Duration::from_secs(120);
/// Lines of the container.
const LINES: usize = 3_000;

/// A request as it came.
#[derive(Clone, Debug)]
struct Request {
    method: String,
    path: String,
    content_type: String,
    body: Vec<u8>,
}

/// What a server says to a request: status and body; nothing to close the connection without a word.
type Answers = dyn Fn(&Request) -> Option<(u16, String)> + Send + Sync;

/// A server whose answers are made by a function. It lives as long as the tests.
fn server(answers: Box<Answers>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers: Arc<Answers> = answers.into();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = Arc::clone(&answers);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                while let Some(request) = read(&mut reader) {
                    let Some((status, body)) = answers(&request) else { return };
                    let head = format!(
                        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                        body.len()
                    );
                    if reader.get_mut().write_all((head + &body).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut content_type, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-type" => content_type = value.trim().to_owned(),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, content_type, body })
}

/// What the proxy has seen.
#[derive(Default)]
struct Seen {
    bulks: usize,
    cut: usize,
    /// Answers in which documents were there already.
    conflicts: usize,
    with_ends: usize,
}

#[test]
fn lines_come_once_over_connections_that_are_cut_after_writing() {
    let mut place = Place::empty();
    let container = place.docker_root().join("abcd");
    fs::create_dir(&container).unwrap();
    fs::write(
        container.join("config.v2.json"),
        r#"{"ID":"abcd","Name":"/web","Config":{"Image":"web:1","Labels":{}}}"#,
    )
    .unwrap();
    let lines: String = (0..LINES)
        .map(|n| {
            let time = format!("2026-11-20T10:{:02}:{:02}.000000000Z", n / 60 % 60, n % 60);
            format!("{}\n", json!({"log": format!("ERROR: numbered {n}\n"), "stream": "stdout", "time": time}))
        })
        .collect();
    fs::write(container.join("abcd-json.log"), lines).unwrap();

    let seen = Arc::<Mutex<Seen>>::default();
    let (indexer, told) = (place.search, Arc::clone(&seen));
    let proxy = server(Box::new(move |request| {
        let answer = http::ask(indexer, &request.method, &request.path, &request.content_type, &request.body).ok()?;
        let mut body = answer.text();
        if request.path == "/" {
            let mut hello = answer.json();
            hello.as_object_mut().unwrap().remove("weir");
            body = hello.to_string();
        }
        if request.path.starts_with("/_bulk") {
            let mut seen = told.lock().unwrap();
            seen.bulks += 1;
            seen.with_ends += usize::from(request.body.windows(6).any(|bytes| bytes == b"\"_end\""));
            seen.conflicts += usize::from(body.contains("409"));
            if seen.bulks % 3 != 0 {
                // It is written, and nobody is told.
                seen.cut += 1;
                return None;
            }
        }
        Some((answer.status, body))
    }));

    place.start(Part::Indexer);
    place.wait_up();
    let mut aggregator = bare(place.folder());
    aggregator.args(["aggregator", "--listen", &place.beats.to_string(), "--output", &format!("http://{proxy}")]);
    aggregator.args(["--set", &format!("aggregator.admin={}", place.admin(Part::Aggregator))]);
    aggregator.args(["--set", "aggregator.request_documents_max=250", "--set", "aggregator.retry_wait_max=1s"]);
    place.start_as(Part::Aggregator, aggregator);
    place.start(Part::Shipper);
    until("every line", LIMIT, || {
        let count = http::get(place.search, "/logs-weir/_count?ignore_unavailable=true")?.json()["count"].clone();
        if count == json!(LINES) { Ok(()) } else { Err(format!("there are {count}")) }
    });
    // What was sent again is answered before the aggregator says that it is done, and so before it is stopped.
    assert!(place.stop(Part::Shipper).success());
    assert!(place.stop(Part::Aggregator).success());
    let mut times: BTreeMap<usize, u32> = BTreeMap::new();
    let ask = json!({"size": 5_000, "_source": ["message"]});
    let found = http::post(place.search, "/logs-weir/_search", &ask).unwrap();
    for hit in found["hits"]["hits"].as_array().unwrap() {
        let message = hit["_source"]["message"].as_str().unwrap();
        *times.entry(message.rsplit(' ').next().unwrap().parse().unwrap()).or_default() += 1;
    }
    assert_eq!(times.len(), LINES);
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    let seen = seen.lock().unwrap();
    assert!(seen.cut >= 3 && seen.conflicts >= 1, "{} of {} cut, {}", seen.cut, seen.bulks, seen.conflicts);
    assert!(seen.with_ends <= 1, "only before it is known that it is no weir: {} of {}", seen.with_ends, seen.bulks);
}

/// A server with the hello of an engine, which refuses the ledger's index with `refusal`; gives what it was asked.
fn engine(hello: Value, policy: Option<Value>, refusal: &'static str) -> (SocketAddr, Arc<Mutex<Vec<Request>>>) {
    let asked = Arc::<Mutex<Vec<Request>>>::default();
    let kept = Arc::clone(&asked);
    let answers = move |request: &Request| {
        kept.lock().unwrap().push(request.clone());
        Some(match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/" | "/api/v1/_elastic/") => (200, hello.to_string()),
            ("GET", _) => policy.as_ref().map_or((404, "{}".to_owned()), |policy| (200, policy.to_string())),
            ("POST", _) if request.body.windows(6).any(|bytes| bytes == b"ledger") => (400, refusal.to_owned()),
            _ => (200, "{\"acknowledged\":true}".to_owned()),
        })
    };
    (server(Box::new(answers)), asked)
}

fn set_up(url: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &[&["setup-cluster", url, "--retention", "14", "--shards", "3"], more].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn bodies(asked: &Mutex<Vec<Request>>) -> Vec<(String, Value)> {
    let asked = asked.lock().unwrap();
    let changes = asked.iter().filter(|request| request.method != "GET");
    changes
        .map(|request| {
            let body = serde_json::from_slice(&request.body).unwrap();
            (format!("{} {}", request.method, request.path), body)
        })
        .collect()
}

#[test]
fn clusters_are_set_up_as_their_engines_want_it() {
    let elastic = json!({"version": {"number": "8.19.3", "build_flavor": "default"}});
    let (address, asked) = engine(elastic, None, "");
    let printed = set_up(&format!("http://{address}"), &["--dry-run"]);
    assert!(bodies(&asked).is_empty() && printed.contains("Elasticsearch 8.19.3"), "{printed}");
    assert!(printed.contains("PUT /_ilm/policy/weir") && printed.contains("\"min_age\": \"14d\""), "{printed}");
    set_up(&format!("http://{address}"), &["--replicas", "2"]);
    let sent = bodies(&asked);
    assert_eq!((&*sent[0].0, &*sent[1].0), ("PUT /_ilm/policy/weir", "PUT /_index_template/weir"));
    let template = &sent[1].1;
    let settings = &template["template"]["settings"]["index"];
    assert_eq!((&settings["number_of_shards"], &settings["number_of_replicas"]), (&json!(3), &json!(2)), "{template}");
    assert_eq!((&settings["lifecycle.name"], &template["data_stream"]), (&json!("weir"), &json!({})), "{template}");

    let open = json!({"version": {"number": "2.19.0", "distribution": "opensearch"}});
    let (address, asked) = engine(open, Some(json!({"_seq_no": 7, "_primary_term": 2})), "");
    set_up(&format!("http://{address}"), &[]);
    let sent = bodies(&asked);
    assert_eq!(sent[0].0, "PUT /_plugins/_ism/policies/weir?if_seq_no=7&if_primary_term=2");
    let deleted = &sent[0].1["policy"]["states"][0]["transitions"][0];
    assert_eq!(deleted["conditions"]["min_rollover_age"], "14d", "{deleted}");
    assert!(sent[1].1["template"]["settings"]["index"].get("lifecycle.name").is_none());

    let quickwit = json!({"version": {"number": "0.8.2", "distribution": "quickwit"}});
    let there = r#"{"message":"index `logs-weir-ledger` already exists"}"#;
    let (address, asked) = engine(quickwit.clone(), None, there);
    let said = set_up(&format!("http://{address}/api/v1/_elastic"), &[]);
    assert!(said.contains("was there already"), "{said}");
    let sent = bodies(&asked);
    assert_eq!(sent.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>(), ["POST /api/v1/indexes"; 3]);
    assert_eq!(sent[0].1["retention"]["period"], "14 days", "{}", sent[0].1);

    for (hello, refusal, reason) in [
        (quickwit, "unknown tokenizer `raw`", "was answered 400: unknown tokenizer `raw`"),
        (json!({"hello": "world"}), "", "none of Elasticsearch, OpenSearch and Quickwit"),
    ] {
        let (address, _) = engine(hello, None, refusal);
        let folder = tempfile::tempdir().unwrap();
        let output = run(folder.path(), &["setup-cluster", &format!("http://{address}/api/v1/_elastic")]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(reason), "{said}");
    }
}

#[test]
fn the_template_is_one_that_is_taken_and_counts() {
    let mut place = Place::empty();
    place.start(Part::Indexer);
    place.wait_up();
    let said = set_up(&format!("http://{}", place.search), &[]);
    assert!(said.contains("indexer.retention_days"), "{said}");
    let line = json!({"@timestamp": "2026-11-20T10:00:00Z", "message": "a line", "service": {"name": "my web"},
        "labels": {"team": "dark blue"}, "log": {"level": "error", "offset": 7}});
    let made = http::ask(place.search, "POST", "/logs-weir/_doc", "application/json", line.to_string().as_bytes());
    assert_eq!(made.unwrap().status, 201);
    let mapping = http::get(place.search, "/logs-weir/_mapping").unwrap().json();
    let fields = &mapping["logs-weir"]["mappings"]["properties"];
    for (field, kind) in [
        (&fields["@timestamp"], "date"),
        (&fields["message"], "text"),
        (&fields["service"]["properties"]["name"], "keyword"),
        (&fields["log"]["properties"]["offset"], "long"),
        (&fields["labels"]["properties"]["team"], "keyword"),
    ] {
        assert_eq!(field["type"], kind, "{mapping}");
    }
    place.check_alive();
}
