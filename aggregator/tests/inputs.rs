//! The inputs besides Beats, as a whole `logstash.conf` has them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use weir_aggregator::Settings;

use crate::bulk_server::{BulkServer, Deed};
use crate::harness::{Aggregator, free_port, settings};

async fn start(server: &BulkServer, text: &str) -> (Aggregator, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("logstash.conf");
    std::fs::write(&file, text).unwrap();
    let pipelines = vec![file.to_string_lossy().into_owned()];
    let aggregator = Aggregator::start(Settings { pipelines, ..settings(server) }).await;
    (aggregator, folder)
}

async fn connect(port: u16) -> TcpStream {
    loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
            return stream;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn documents(server: &BulkServer, count: usize) -> Vec<serde_json::Value> {
    while server.documents().len() < count {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    server.documents().into_values().map(|stored| stored.document).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syslog_comes_over_tcp_and_udp() {
    let server = BulkServer::start(true).await;
    let port = free_port().await;
    let (aggregator, _folder) =
        start(&server, &format!("input {{ syslog {{ port => {port} type => \"sys\" }} }}")).await;
    let mut stream = connect(port).await;
    stream
        .write_all(b"<30>1 2024-05-01T12:00:00Z node web 812 - - lines\n26 <13>May  1 12:00:00 h t: c")
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.send_to(b"<11>May  1 12:00:00 host app[7]: datagram", ("127.0.0.1", port)).await.unwrap();
    let mut got: Vec<String> = documents(&server, 3)
        .await
        .iter()
        .map(|document| {
            assert_eq!(document["type"], "sys");
            format!("{} {}", document["log"]["syslog"]["severity"]["code"], document["message"])
        })
        .collect();
    got.sort();
    assert_eq!(got, ["3 \"datagram\"", "5 \"c\"", "6 \"lines\""]);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_lines_are_joined_by_a_multiline_codec() {
    let server = BulkServer::start(true).await;
    let port = free_port().await;
    let text = format!(
        "input {{ tcp {{ port => {port} codec => multiline {{ pattern => \"^\\s\" what => \"previous\" }} tags => [\"t\"] \
         add_field => {{ \"[labels][via]\" => \"tcp\" }} }} }}"
    );
    let (aggregator, _folder) = start(&server, &text).await;
    let mut stream = connect(port).await;
    stream.write_all(b"error\n  at a\n  at b\nnext\n").await.unwrap();
    stream.shutdown().await.unwrap();
    documents(&server, 2).await;
    assert_eq!(server.messages("logs-weir"), ["error\n  at a\n  at b", "next"]);
    let first = &documents(&server, 2).await[0];
    assert_eq!((&first["labels"]["via"], &first["tags"]), (&"tcp".into(), &serde_json::json!(["multiline", "t"])));
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_tcp_and_udp_say_whom_they_are_from() {
    let server = BulkServer::start(true).await;
    let (tcp, udp) = (free_port().await, free_port().await);
    let source = "[@metadata][input][tcp][source]";
    let text = format!(
        "input {{ tcp {{ port => {tcp} codec => json add_field => {{ \"[labels][from]\" => \"%{{{source}[ip]}}\" }} }} \
         udp {{ port => {udp} codec => line }} }}"
    );
    let (aggregator, _folder) = start(&server, &text).await;
    let mut stream = connect(tcp).await;
    stream.write_all(b"{\"message\":\"a\"}\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"b", ("127.0.0.1", udp)).await.unwrap();
    for document in documents(&server, 2).await {
        let from = if document["message"] == "a" { &document["labels"]["from"] } else { &document["host"]["ip"] };
        assert_eq!(from, "127.0.0.1", "{document}");
    }
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_multiline_codec_knows_the_patterns_of_grok() {
    let server = BulkServer::start(true).await;
    let port = free_port().await;
    let codec = "multiline { pattern => \"^%{TIMESTAMP_ISO8601} \" negate => true what => \"previous\" }";
    let (aggregator, _folder) = start(&server, &format!("input {{ tcp {{ port => {port} codec => {codec} }} }}")).await;
    let mut stream = connect(port).await;
    stream.write_all(b"2024-05-01 12:00:00 a\nTraceback\nEnd\n2024-05-01T12:00:01Z b\n").await.unwrap();
    stream.shutdown().await.unwrap();
    documents(&server, 2).await;
    assert_eq!(server.messages("logs-weir"), ["2024-05-01 12:00:00 a\nTraceback\nEnd", "2024-05-01T12:00:01Z b"]);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_request_is_answered_when_its_events_are_delivered() {
    let server = BulkServer::start(true).await;
    let port = free_port().await;
    let (aggregator, _folder) =
        start(&server, &format!("input {{ http {{ port => {port} user => \"u\" password => \"p\" }} }}")).await;
    let post = async |kind: &str, body: &str, authorization: &str| {
        let mut stream = connect(port).await;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\nAuthorization: {authorization}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(post("text/plain", "x", "Basic bm86bm8=").await, "HTTP/1.1 401 Unauthorized");
    server.will([Deed::Status(503), Deed::CutBefore]);
    let right = "Basic dTpw";
    assert_eq!(post("application/json", r#"[{"message":"a"},{"message":"b"}]"#, right).await, "HTTP/1.1 200 OK");
    assert_eq!(server.messages("logs-weir"), ["a", "b"], "stored before the answer");
    assert_eq!(
        post("application/x-ndjson", "{\"message\":\"c\"}\n{\"message\":\"d\"}\n", right).await,
        "HTTP/1.1 200 OK"
    );
    assert_eq!(post("text/plain", "e\nf", right).await, "HTTP/1.1 200 OK");
    assert_eq!(server.messages("logs-weir"), ["a", "b", "c", "d", "e\nf"]);
    let first = &documents(&server, 5).await[0];
    assert_eq!((&first["url"]["path"], &first["http"]["method"]), (&"/".into(), &"POST".into()));
    assert_eq!(first["host"]["ip"], "127.0.0.1");
    assert_eq!(post("application/json", &" ".repeat((16 << 20) + 1), right).await, "HTTP/1.1 413 Payload Too Large");
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_read_to_its_end_and_the_aggregator_ends_with_it() {
    let server = BulkServer::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("sample.log");
    std::fs::write(&log, (0..5000).map(|n| format!("{{\"message\":\"{n}\"}}\n")).collect::<String>()).unwrap();
    let text = format!(
        "input {{ file {{ path => \"{}/*.log\" mode => read exit_after_read => true codec => json }} }}",
        folder.path().display()
    );
    let (aggregator, _folder) = start(&server, &text).await;
    aggregator.ended().await;
    let documents = server.documents();
    assert_eq!(documents.len(), 5000);
    let first = documents.values().next().unwrap();
    assert_eq!(first.document["log"]["file"]["path"], log.to_str().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beats_input_of_a_file_takes_windows_too() {
    let server = BulkServer::start(true).await;
    let port = free_port().await;
    let (aggregator, _folder) =
        start(&server, &format!("input {{ beats {{ port => {port} tags => [\"second\"] }} }}")).await;
    drop(connect(port).await);
    let mut client = crate::lumberjack_client::Client::connect(([127, 0, 0, 1], port).into()).await;
    client.send(&crate::lumberjack_client::window(&[crate::lumberjack_client::document(5, 0, "x")])).await;
    assert_eq!(client.ack().await, Some(1));
    assert_eq!(documents(&server, 1).await[0]["tags"], serde_json::json!(["second"]));
    aggregator.stop().await;
}
