//! Byte budgets of services, and the examples of what was dropped, from outside.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use weir_aggregator::Settings;

use crate::bulk_server::BulkServer;
use crate::harness::{Aggregator, settings};
use crate::lumberjack_client::{Client, document, window};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_its_budget_a_service_loses_its_least_severe_lines_and_a_record_says_so() {
    let server = BulkServer::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("level.conf");
    std::fs::write(&file, "filter { level { } }").unwrap();
    let settings = Settings {
        drop_ledger: true,
        pipelines: vec![file.to_string_lossy().into_owned()],
        // The documents below are of the service `web`.
        service_budgets: vec!["web=1000/1h".to_owned(), "*=1GB".to_owned()],
        ..settings(&server)
    };
    let aggregator = Aggregator::start(settings).await;
    let mut client = Client::connect(aggregator.address).await;
    let lines = |level: &str, from: u64, count: u64| -> Vec<String> {
        (from..from + count).map(|n| document(5, n, &format!("{level}: {n:0>0$}", 98 - level.len()))).collect()
    };
    client.send(&window(&[lines("INFO", 0, 20), lines("ERROR", 20, 5)].concat())).await;
    assert_eq!(client.ack().await, Some(25), "what is over the budget is acknowledged: it was dropped on purpose");
    let kept = server.messages("logs-weir");
    let errors = kept.iter().filter(|message| message.starts_with("ERROR")).count();
    assert_eq!((kept.len() - errors, errors), (5, 3), "half of it for info, all but an eighth for errors");
    assert_eq!(aggregator.metric("weir_aggregator_budget_dropped_total"), 17);
    drop(client);
    aggregator.stop().await;
    let documents = server.documents();
    let record = documents.values().find(|stored| stored.document["event"]["dataset"] == "weir.budget").unwrap();
    assert_eq!(record.index, "logs-weir");
    assert_eq!(record.document["service"]["name"], "web");
    assert_eq!(record.document["weir"]["dropped"]["events"], 17);
    let message = record.document["message"].as_str().unwrap();
    assert!(message.contains("15 info") && message.contains("2 error"), "{message}");
    let ledger: u64 = documents
        .values()
        .filter(|stored| stored.document["rule"]["name"] == "service_budget")
        .map(|stored| stored.document["weir"]["dropped"]["events"].as_u64().unwrap())
        .sum();
    assert_eq!(ledger, 17);
}

/// The answer to a `GET` on a port of this machine.
async fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_dropped_lately_is_shown_with_its_way_there() {
    let server = BulkServer::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.conf");
    let text = "filter {\n level { }\n if [log][level] == \"info\" {\n drop { id => \"policy\" }\n }\n}";
    std::fs::write(&file, text).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let settings = Settings {
        admin: format!("127.0.0.1:{port}"),
        pipelines: vec![file.to_string_lossy().into_owned()],
        ..settings(&server)
    };
    let aggregator = Aggregator::start(settings).await;
    let mut client = Client::connect(aggregator.address).await;
    client.send(&window(&[document(5, 0, "INFO: hello"), document(5, 1, "ERROR: kept")])).await;
    assert_eq!(client.ack().await, Some(2));
    let answer = get(port, "/dropped?service=web").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for expected in ["by policy", "INFO: hello", "+ [log]", "yes if [log][level] == \"info\"", "dropped"] {
        assert!(answer.contains(expected), "{expected} is not in {answer}");
    }
    assert!(!answer.contains("ERROR: kept") && !answer.contains('\u{1b}'), "{answer}");
    assert!(get(port, "/dropped?service=web&colours=true").await.contains('\u{1b}'));
    let nothing = get(port, "/dropped?service=db").await;
    assert!(nothing.starts_with("HTTP/1.1 404") && nothing.contains("of these something was: web"), "{nothing}");
    assert!(get(port, "/health").await.starts_with("HTTP/1.1 200"));
    aggregator.stop().await;
}
