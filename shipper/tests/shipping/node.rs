//! What the shipper tells of its node and of itself.

use crate::container::Container;
use crate::shipper::Shipper;
use crate::sink::Sink;

fn limits(container: &Container, options: &str) {
    let config = format!(r#"{{"LogConfig":{{"Type":"json-file","Config":{{{options}}}}}}}"#);
    std::fs::write(container.folder.join("hostconfig.json"), config).unwrap();
}

#[test]
fn row_29_a_container_without_max_size_is_warned_of_once() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address).with_admin();
    let mut old = Container::open(&shipper.root(), "old");
    limits(&old, "");
    let mut new = Container::open(&shipper.root(), "new");
    limits(&new, r#""max-size":"10m","max-file":"3""#);
    for container in [&mut old, &mut new] {
        let name = &container.id;
        let config = format!(r#"{{"Name":"/{name}","Config":{{"Image":"i","Labels":{{}}}}}}"#);
        std::fs::write(container.folder.join("config.v2.json"), config).unwrap();
        container.count(0..3);
    }
    shipper.start();
    sink.wait("a warning", |sink| !sink.warnings().is_empty());
    // Two more looks at the node.
    std::thread::sleep(std::time::Duration::from_secs(11));
    let warnings: Vec<_> =
        sink.warnings().into_iter().filter(|value| value["message"].as_str().unwrap().contains("max-size")).collect();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0]["container"]["name"], "old");
    assert_eq!(warnings[0]["log"]["level"], "warn");
    assert_eq!(shipper.metric("weir_shipper_unlimited_logs"), 1);
    assert!(shipper.metric("weir_shipper_docker_root_free_bytes") > 0);
    let headroom = shipper.metric("weir_shipper_rotation_headroom_bytes");
    assert_eq!(headroom, 20_000_000, "all is read, so two whole files may be written");
}

#[test]
fn status_tells_of_every_log() {
    let sink = Sink::start();
    let mut shipper = Shipper::new(sink.address).with_admin().set("exclude=name:name-of-hidden");
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..100);
    Container::create(&shipper.root(), "hidden").count(0..5);
    assert!(!shipper.status().0, "nothing answers yet");
    shipper.start();
    sink.wait_for(100);
    let size = container.size();
    sink.wait("an acknowledgement", |_| {
        let answer: serde_json::Value = serde_json::from_str(&shipper.get("/status")).unwrap();
        let logs = answer["logs"].as_array().unwrap();
        let log = logs.iter().find(|log| log["name"] == "name-of-abc").unwrap();
        let hidden = logs.iter().find(|log| log["name"] == "name-of-hidden").unwrap();
        assert_eq!(hidden["state"], "excluded");
        assert_eq!((&log["offset"], &log["size"], &log["lag_bytes"]), (&size.into(), &size.into(), &0.into()));
        log["unacknowledged_bytes"] == 0
    });
    let (well, text) = shipper.status();
    assert!(well && text.contains("HEADROOM") && text.contains("name-of-abc"), "{text}");
}
