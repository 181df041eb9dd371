//! Pipelines as they run in the aggregator: dropping, the ledger, reloading, several outputs and conditions.

use std::path::Path;
use std::time::Duration;

use weir_aggregator::Settings;
use weir_daemon::settings::Span;

use crate::bulk_server::{BulkServer, Deed};
use crate::harness::{Aggregator, settings};
use crate::lumberjack_client::{Client, document, id, window};

fn with_pipeline(server: &BulkServer, folder: &Path, text: &str) -> Settings {
    std::fs::write(folder.join("pipeline.conf"), text).unwrap();
    Settings {
        pipelines: vec![folder.to_string_lossy().into_owned()],
        pipelines_reload: Span(Duration::from_millis(20)),
        ..settings(server)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pipeline_drops_is_acknowledged_and_stands_in_the_ledger() {
    let server = BulkServer::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        drop_ledger: true,
        ..with_pipeline(
            &server,
            folder.path(),
            "filter {\n level { }\n if [log][level] == \"info\" {\n drop { id => \"policy\" }\n }\n}",
        )
    };
    let aggregator = Aggregator::start(settings).await;
    let mut client = Client::connect(aggregator.address).await;
    let text = |n: u64| if n.is_multiple_of(3) { format!("ERROR {n}") } else { format!("INFO {n}") };
    client.send(&window(&(0..9).map(|n| document(5, n, &text(n))).collect::<Vec<_>>())).await;
    assert_eq!(client.ack().await, Some(9));
    client.send(&window(&[document(5, 9, "INFO 9")])).await;
    assert_eq!(client.ack().await, Some(1));
    assert_eq!(server.messages("logs-weir"), ["ERROR 0", "ERROR 3", "ERROR 6"]);
    assert_eq!(aggregator.metric("weir_aggregator_events_total"), 10);
    assert_eq!(aggregator.metric("weir_aggregator_events_dropped_total"), 7);
    assert_eq!(aggregator.metric("weir_aggregator_filter_dropped_total{pipeline=\"main\",filter=\"policy\"}"), 7);
    drop(client);
    aggregator.stop().await;
    let documents = server.documents();
    let ledger: Vec<_> = documents.values().filter(|stored| stored.index == "logs-weir-ledger").collect();
    assert_eq!(ledger.len(), 1, "{ledger:?}");
    let line = &ledger[0].document;
    assert_eq!(line["weir"]["dropped"]["events"], 7);
    assert_eq!(line["weir"]["dropped"]["samples"], serde_json::json!(["INFO 1", "INFO 9"]));
    assert_eq!((&line["service"]["name"], &line["log"]["level"]), (&"web".into(), &"info".into()));
    assert_eq!((&line["rule"]["name"], &line["@timestamp"]), (&"policy".into(), &"2024-05-01T12:00:00.000Z".into()));
}

/// Puts a new file in the old one's place at once, so that nobody can read half of it.
fn replace(folder: &Path, text: &str) {
    std::fs::write(folder.join("new"), text).unwrap();
    std::fs::rename(folder.join("new"), folder.join("pipeline.conf")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_pipeline_is_swapped_in_and_a_wrong_one_is_not() {
    let server = BulkServer::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let tagging = |tag: &str| format!("filter {{ mutate {{ add_tag => [\"{tag}\"] }} }}");
    let aggregator = Aggregator::start(with_pipeline(&server, folder.path(), &tagging("one"))).await;
    let mut client = Client::connect(aggregator.address).await;
    client.send(&window(&[document(5, 0, "a")])).await;
    assert_eq!(client.ack().await, Some(1));
    replace(folder.path(), "filter { mutaet { } } # longer than before, to be seen");
    aggregator.metric_reaches("weir_aggregator_pipeline_reload_failures_total", 1).await;
    client.send(&window(&[document(5, 1, "b")])).await;
    assert_eq!(client.ack().await, Some(1));
    replace(folder.path(), &tagging("two"));
    aggregator.metric_reaches("weir_aggregator_pipeline_generation", 2).await;
    client.send(&window(&[document(5, 2, "c")])).await;
    assert_eq!(client.ack().await, Some(1));
    let documents = server.documents();
    let tags: Vec<_> = (0..3).map(|n| documents[&id(5, n)].document["tags"][0].clone()).collect();
    assert_eq!(tags, ["one", "one", "two"]);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_go_where_conditions_send_them_and_are_acknowledged_when_all_outputs_have_them() {
    let (first, second) = (BulkServer::start(true).await, BulkServer::start(false).await);
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("lines.txt");
    let text = format!(
        "output {{
           if [message] =~ /^b/ {{
             elasticsearch {{ hosts => [\"{}\"] http_compression => true index => \"b-%{{[service][name]}}-%{{+yyyy.MM.dd}}\" }}
             file {{ path => \"{}\" codec => line {{ format => \"%{{message}}!\" }} }}
           }} else if \"c\" in [message] {{
             null {{ }}
           }} else {{
             elasticsearch {{ hosts => [\"http://{}\"] }}
           }}
         }}",
        second.address,
        lines.display(),
        first.address
    );
    let aggregator = Aggregator::start(with_pipeline(&first, folder.path(), &text)).await;
    second.will([Deed::Hold]);
    let mut client = Client::connect(aggregator.address).await;
    client
        .send(&window(
            &["a1", "b1", "c1", "b2"].iter().zip(0..).map(|(text, n)| document(5, n, text)).collect::<Vec<_>>(),
        ))
        .await;
    second.requests(1).await;
    assert_eq!(client.any_ack().await, Some(0), "one output still works on it");
    second.release();
    assert_eq!(client.ack().await, Some(4));
    assert_eq!(first.messages("logs-weir"), ["a1"]);
    assert_eq!(second.messages("b-web-2024.05.01"), ["b1", "b2"]);
    assert_eq!(std::fs::read_to_string(&lines).unwrap(), "b1!\nb2!\n");
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregator_feeds_another_and_nothing_is_acknowledged_before_its_end() {
    let server = BulkServer::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let last = Aggregator::start(settings(&server)).await;
    let text = format!("output {{ lumberjack {{ hosts => [\"127.0.0.1\"] port => {} }} }}", last.address.port());
    let first = Aggregator::start(with_pipeline(&server, folder.path(), &text)).await;
    server.will([Deed::CutAfter, Deed::Status(503)]);
    let mut client = Client::connect(first.address).await;
    let documents: Vec<String> = (0..5000).map(|n| document(5, n, &format!("line {n}"))).collect();
    client.send(&window(&documents)).await;
    assert_eq!(client.ack().await, Some(5000));
    let stored = server.documents();
    assert_eq!(stored.len(), 5000);
    assert_eq!(stored[&id(5, 4999)].end, Some(500_000), "the identity has come through");
    first.stop().await;
    last.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_filebeat_gets_an_id_that_it_gets_again() {
    let server = BulkServer::start(false).await;
    let aggregator = Aggregator::start(Settings { beats_fields: true, ..settings(&server) }).await;
    let event = |offset: u64| {
        format!(
            "{{\"@timestamp\":\"2024-05-01T12:00:00.000Z\",\"@metadata\":{{\"beat\":\"filebeat\",\"type\":\"_doc\",\
             \"version\":\"8.17.0\"}},\"message\":\"same\",\"log\":{{\"offset\":{offset},\"file\":{{\"path\":\"/x\"}}}},\
             \"host\":{{\"name\":\"h\"}}}}"
        )
    };
    let batch = window(&[event(0), event(5), "{\"message\":\"no place\"}".to_owned()]);
    for _ in 0..2 {
        let mut client = Client::connect(aggregator.address).await;
        client.send(&batch).await;
        assert_eq!(client.ack().await, Some(3));
    }
    let documents = server.documents();
    assert_eq!(documents.len(), 4, "two with an id, once each, and two without: {:?}", documents.keys());
    let filebeats = documents.values().find(|stored| stored.document["log"]["offset"] == 5).unwrap();
    assert_eq!(filebeats.document["@version"], "1");
    assert_eq!(filebeats.document["tags"], serde_json::json!(["beats_input_codec_plain_applied"]));
    aggregator.stop().await;
}

#[tokio::test]
async fn every_mistake_in_inputs_and_outputs_is_told_with_its_place() {
    let server = BulkServer::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let text = "input {\n beats { }\n kafka { }\n tcp { port => 1 host => \"0.0.0.0\" }\n}\n\
                output {\n elasticsearch { host => \"x\" ssl_verification_mode => none }\n stdout { codec => rubydebg }\n}\n";
    let config =
        with_pipeline(&server, folder.path(), text).check().map_err(|mistakes| format!("{mistakes:?}")).unwrap();
    let told = weir_aggregator::check(&config);
    let at: Vec<(usize, &str)> = told.iter().map(|mistake| (mistake.line, mistake.message.as_str())).collect();
    for (line, message) in [
        (2, "`beats` needs the option `port`"),
        (3, "there is no input `kafka`"),
        (4, "0.0.0.0:1 can be reached from other machines, and TLS and credentials are not set"),
        (7, "weir does not connect without checking the certificate"),
        (7, "`elasticsearch` has no option `host`"),
        (8, "there is no codec `rubydebg` for an output"),
    ] {
        assert!(at.contains(&(line, message)), "{line}: {message} is not in {at:#?}");
    }
}
