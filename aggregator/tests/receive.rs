//! The Beats port: the recorded streams, and peers that misbehave.

use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use weir_daemon::settings::{Bytes, Span};
use weir_lumberjack::Window;

use crate::bulk_server::{BulkServer, Deed};
use crate::harness::{Aggregator, settings, shared};
use crate::lumberjack_client::{Client, document, window};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recorded_streams_get_their_answers() {
    let Some(shared) = shared() else {
        println!("LEFT OUT: no cases/lumberjack_vectors.json under ../shared (set WEIR_SHARED)");
        return;
    };
    let text = std::fs::read_to_string(shared.join("cases/lumberjack_vectors.json")).unwrap();
    let vectors: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(vectors.len() >= 17);
    for mut vector in vectors {
        let name = vector["name"].as_str().unwrap().to_owned();
        if name == "not JSON" {
            // Logstash closes, and the peer sends the same batch for ever. Here it is kept as text and acknowledged.
            vector["events"] = serde_json::json!([{"message": "nope"}]);
            vector["acks"] = serde_json::json!([1]);
            vector["server_closes"] = false.into();
        }
        let server = BulkServer::start(true).await;
        let aggregator = Aggregator::start(settings(&server)).await;
        let mut client = Client::connect(aggregator.address).await;
        client.send(&hex(vector["sent_hex"].as_str().unwrap())).await;
        let expected: Vec<Value> = vector["acks"].as_array().unwrap().clone();
        let mut acks: Vec<Value> = Vec::new();
        if vector["server_closes"] == true {
            while let Some(ack) = client.any_ack().await {
                acks.push(ack.into());
            }
        } else {
            while acks.len() < expected.len() {
                acks.push(client.any_ack().await.unwrap_or_else(|| panic!("{name}: closed")).into());
            }
            client.stream.shutdown().await.unwrap();
            assert_eq!(client.any_ack().await, None, "{name}: nothing more, and it closes after us");
        }
        assert_eq!(acks, expected, "{name}");
        let documents: Vec<Value> = server.documents().into_values().map(|stored| stored.document).collect();
        let events = vector["events"].as_array().unwrap();
        assert_eq!(documents.len(), events.len(), "{name}: {documents:?}");
        for (document, event) in documents.iter().zip(events) {
            for (field, value) in event.as_object().unwrap() {
                assert_eq!(&document[field], value, "{name}");
            }
        }
        aggregator.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_1_window_gets_a_version_1_acknowledgement() {
    let server = BulkServer::start(true).await;
    let aggregator = Aggregator::start(settings(&server)).await;
    let mut client = Client::connect(aggregator.address).await;
    client.send(b"1W\0\0\0\x011D\0\0\0\x07\0\0\0\x01\0\0\0\x04line\0\0\0\x02hi").await;
    let mut answer = [0; 6];
    tokio::io::AsyncReadExt::read_exact(&mut client.stream, &mut answer).await.unwrap();
    assert_eq!(&answer, b"1A\0\0\0\x07");
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shipper_that_sends_events_in_parts_is_offered_to_and_no_other() {
    let server = BulkServer::start(true).await;
    let aggregator = Aggregator::start(settings(&server)).await;
    let mut other = Client::connect(aggregator.address).await;
    other.send(&window(&[document(5, 0, "of another program")])).await;
    assert_eq!((other.ack().await, other.offers.is_empty()), (Some(1), true));

    let mut client = Client::connect(aggregator.address).await;
    let asking = document(6, 0, "whole").replace("\"beat\":\"weir\",", "\"beat\":\"weir\",\"parts\":1,");
    client.send(&window(&[asking])).await;
    assert_eq!(client.ack().await, Some(1));
    assert_eq!(client.offers, [1], "it stands before the acknowledgement");
    let mut parts = Window::new();
    let whole = document(6, 1, "VALUE");
    let (before, after) = whole.split_once("VALUE").unwrap();
    let template = parts.template(&[before.as_bytes(), after.as_bytes()]).unwrap();
    parts.parts(template, &[b"in parts"]).unwrap();
    client.send(parts.plain()).await;
    assert_eq!(client.ack().await, Some(1));
    assert_eq!(client.offers, [1], "once");
    assert_eq!(server.messages("logs-weir"), ["of another program", "whole", "in parts"]);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_event_does_not_block_its_window() {
    let server = BulkServer::start(true).await;
    let aggregator = Aggregator::start(settings(&server)).await;
    let mut client = Client::connect(aggregator.address).await;
    let torn = "{\"message\":\"torn".to_owned();
    client.send(&window(&[document(5, 0, "a"), torn.clone(), "[1,2]".to_owned(), document(5, 1, "b")])).await;
    assert_eq!(client.ack().await, Some(4));
    assert_eq!(server.messages("logs-weir"), ["a", "b", torn.as_str(), "[1,2]"]);
    let documents = server.documents();
    let kept = documents.values().find(|stored| stored.document["message"] == torn).unwrap();
    assert_eq!(kept.document["tags"], serde_json::json!(["_jsonparsefailure"]));
    assert_eq!(aggregator.metric("weir_aggregator_undecodable_events_total"), 2);
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_closes_its_connection_with_a_counted_reason_and_harms_no_other() {
    let server = BulkServer::start(true).await;
    let aggregator = Aggregator::start(settings(&server)).await;
    let mut good = Client::connect(aggregator.address).await;
    good.send(&window(&[document(5, 0, "a")])).await;
    assert_eq!(good.ack().await, Some(1));
    let mut bad = Client::connect(aggregator.address).await;
    bad.send(b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(bad.any_ack().await, None);
    let mut after_good = Client::connect(aggregator.address).await;
    let mut bytes = window(&[document(6, 0, "a")]);
    bytes.extend_from_slice(b"2Z");
    after_good.send(&bytes).await;
    assert_eq!(after_good.ack().await, Some(1), "what came whole before it is delivered and acknowledged");
    assert_eq!(after_good.any_ack().await, None);
    let ended = |reason| format!("weir_aggregator_connections_ended_total{{reason=\"{reason}\"}}");
    aggregator.metric_reaches(&ended("unknown_version"), 1).await;
    aggregator.metric_reaches(&ended("unknown_type"), 1).await;
    good.send(&window(&[document(5, 1, "a")])).await;
    assert_eq!(good.ack().await, Some(1));
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_is_never_completed_times_out_and_delivers_nothing() {
    let server = BulkServer::start(true).await;
    let aggregator = Aggregator::start(weir_aggregator::Settings {
        window_timeout: Span(Duration::from_secs(1)),
        ..settings(&server)
    })
    .await;
    let mut client = Client::connect(aggregator.address).await;
    client.send(b"2W\0\0\0\x022J\0\0\0\x01\0\0\0\x02{}").await;
    assert_eq!(client.ack().await, None);
    aggregator.metric_reaches("weir_aggregator_connections_ended_total{reason=\"window_timeout\"}", 1).await;
    assert!(server.documents().is_empty());
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_in_all_and_of_each_peer() {
    let server = BulkServer::start(true).await;
    let settings = weir_aggregator::Settings { connections_per_peer_max: 2, ..settings(&server) };
    let aggregator = Aggregator::start(settings).await;
    let mut first = Client::connect(aggregator.address).await;
    let mut second = Client::connect(aggregator.address).await;
    for client in [&mut first, &mut second] {
        client.send(b"2W\0\0\0\0").await;
        assert_eq!(client.any_ack().await, Some(0));
    }
    let mut third = Client::connect(aggregator.address).await;
    assert_eq!(third.any_ack().await, None);
    aggregator.metric_reaches("weir_aggregator_connections_ended_total{reason=\"too_many_of_peer\"}", 1).await;
    drop(first);
    aggregator.metric_reaches("weir_aggregator_connections_ended_total{reason=\"closed\"}", 1).await;
    let mut fourth = Client::connect(aggregator.address).await;
    fourth.send(b"2W\0\0\0\0").await;
    assert_eq!(fourth.any_ack().await, Some(0));
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_not_read_beyond_its_bound_while_nothing_can_be_delivered() {
    let server = BulkServer::start(true).await;
    server.will([Deed::Hold]);
    let settings = weir_aggregator::Settings { connection_bytes_max: Bytes(100_000), ..settings(&server) };
    let aggregator = Aggregator::start(settings).await;
    let mut client = Client::connect(aggregator.address).await;
    client.send(&window(&[document(5, 0, "first")])).await;
    server.requests(1).await;
    // 20 windows of 20 kB: about five fit.
    for n in 1..21 {
        client.send(&window(&[document(5, n, &"x".repeat(20_000))])).await;
    }
    assert_eq!(client.any_ack().await, Some(0), "a sign of life");
    let windows = aggregator.metric("weir_aggregator_windows_total");
    assert!((2..12).contains(&windows), "{windows} windows were taken");
    server.release();
    for _ in 0..21 {
        assert_eq!(client.ack().await, Some(1));
    }
    assert_eq!(server.documents().len(), 21);
    aggregator.stop().await;
}
