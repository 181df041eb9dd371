//! Several pipelines side by side: folders in the folder, a `pipelines.yml`, the label `weir.pipeline`, conditions.

use std::path::Path;

use weir_aggregator::Settings;
use weir_aggregator::event::Event;
use weir_aggregator::pipeline::{LoadOptions, Program, Tally};

use crate::bulk_server::BulkServer;
use crate::harness::{Aggregator, settings};
use crate::lumberjack_client::{Client, window};

fn tagging(tag: &str) -> String {
    format!("filter {{ mutate {{ add_tag => [\"{tag}\"] }} }}")
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// An event of a service, whose container may have the label.
fn event(service: &str, label: Option<&str>) -> String {
    let label = label.map_or_else(String::new, |label| format!(",\"pipeline\":\"{label}\""));
    format!(
        "{{\"message\":\"{service} {}\",\"@metadata\":{{\"weir\":{{\"source\":\"05\",\"start\":1,\"end\":2{label}}}}},\
         \"service\":{{\"name\":\"{service}\"}}}}",
        label.len()
    )
}

/// The tags that a program gives an event.
fn tags(program: &Program, event: &str) -> String {
    let mut kept = Vec::new();
    program.run(Event::from_json(event.to_owned().into()).unwrap(), &mut kept, &mut Tally::new());
    let mut json = Vec::new();
    kept[0].write_json(&mut json);
    serde_json::from_slice::<serde_json::Value>(&json).unwrap()["tags"].to_string()
}

#[test]
fn a_folder_in_the_folder_is_a_pipeline_chosen_by_label() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            ("10-one.conf", &tagging("one")),
            ("20-two.conf", &tagging("two")),
            ("web/a.conf", &tagging("web")),
            ("notes/readme.txt", "no pipeline"),
        ],
    );
    let program = Program::load(&[folder.path().to_owned()], &LoadOptions::default()).unwrap();
    assert_eq!(program.pipelines().collect::<Vec<_>>(), ["main", "web"]);
    assert_eq!(tags(&program, &event("shop", None)), r#"["one","two"]"#);
    assert_eq!(tags(&program, &event("shop", Some("web"))), r#"["web"]"#);
    assert_eq!(tags(&program, &event("shop", Some("nothere"))), r#"["one","two"]"#);
}

#[test]
fn a_list_of_pipelines_chooses_by_condition_and_sets_the_mode() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            (
                "pipelines.yml",
                "- pipeline.id: rest\n  pipeline.workers: 3\n  config.string: \"filter { mutate { add_tag => rest } }\"\n\
                 - pipeline.id: web\n  path.config: \"web/*.conf\"\n  condition: '[service][name] in [\"web\", \"api\"]'\n\
                 - pipeline.id: old\n  path.config: old.conf\n  pipeline.ecs_compatibility: disabled\n",
            ),
            ("web/1.conf", &tagging("web")),
            ("old.conf", "filter { grok { match => { message => \"%{SYSLOGPROG}\" } add_tag => \"%{program}\" } }"),
        ],
    );
    let program = Program::load(&[folder.path().join("pipelines.yml")], &LoadOptions::default()).unwrap();
    assert_eq!(program.pipelines().collect::<Vec<_>>(), ["rest", "web", "old"]);
    assert_eq!(tags(&program, &event("api", None)), r#"["web"]"#);
    assert_eq!(tags(&program, &event("db", None)), r#"["rest"]"#);
    assert_eq!(tags(&program, &event("api", Some("rest"))), r#"["rest"]"#, "the label is stronger");
    assert_eq!(tags(&program, &event("cron", Some("old"))), r#"["cron"]"#);
}

#[test]
fn mistakes_in_a_list_are_told_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[(
            "pipelines.yml",
            "- path.config: x.conf\n- pipeline.id: a\n  path.confg: b\n- pipeline.id: b\n  config.string: \"filter { mutat { } }\"\n  \
             condition: '[x] = 1'\n- pipeline.id: b\n  config.string: \"\"\n",
        )],
    );
    let told = Program::load(&[folder.path().join("pipelines.yml")], &LoadOptions::default()).unwrap_err();
    let told: Vec<String> = told.iter().map(|mistake| format!("{} {}", mistake.message, mistake.hint)).collect();
    for expected in [
        "pipeline 1 has no `pipeline.id`",
        "unknown `path.confg` did you mean `path.config`?",
        "pipeline `a` has neither",
        "there is no filter `mutat`",
        "write `==` to compare",
        "there are two pipelines `b`",
    ] {
        assert!(told.iter().any(|mistake| mistake.contains(expected)), "{expected} is not in {told:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_has_its_outputs_and_its_counts_and_a_changed_one_is_taken() {
    let (first, second) = (BulkServer::start(true).await, BulkServer::start(true).await);
    let folder = tempfile::tempdir().unwrap();
    let output = format!("output {{ elasticsearch {{ hosts => [\"http://{}\"] index => \"web\" }} }}", second.address);
    write(folder.path(), &[("main.conf", &tagging("main")), ("web/out.conf", &output)]);
    let settings = Settings {
        pipelines: vec![folder.path().to_string_lossy().into_owned()],
        pipelines_reload: weir_daemon::settings::Span(std::time::Duration::from_millis(20)),
        ..settings(&first)
    };
    let aggregator = Aggregator::start(settings).await;
    let mut client = Client::connect(aggregator.address).await;
    let plain = |text: &str, label: &str| {
        format!("{{\"message\":\"{text}\",\"@metadata\":{{\"weir\":{{\"pipeline\":\"{label}\"}}}}}}")
    };
    client.send(&window(&[plain("a", "web"), plain("b", "none"), plain("c", "web")])).await;
    assert_eq!(client.ack().await, Some(3));
    let stored = |server: &BulkServer, index: &str| {
        let mut messages = server.messages(index);
        messages.sort();
        messages
    };
    assert_eq!(stored(&first, "logs-weir"), ["b"]);
    assert_eq!(stored(&second, "web"), ["a", "c"]);
    assert_eq!(aggregator.metric("weir_aggregator_pipeline_events_total{pipeline=\"web\"}"), 2);
    assert_eq!(aggregator.metric("weir_aggregator_pipeline_events_out_total{pipeline=\"main\"}"), 1);
    write(folder.path(), &[("web/drop.conf", "filter { drop { } }")]);
    aggregator.metric_reaches("weir_aggregator_pipeline_generation", 2).await;
    client.send(&window(&[plain("d", "web"), plain("e", "")])).await;
    assert_eq!(client.ack().await, Some(2));
    assert_eq!(stored(&first, "logs-weir"), ["b", "e"]);
    assert_eq!(stored(&second, "web"), ["a", "c"]);
    assert_eq!(aggregator.metric("weir_aggregator_pipeline_dropped_total{pipeline=\"web\"}"), 1);
    aggregator.stop().await;
}
