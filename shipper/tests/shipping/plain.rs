//! Plain files: containerd's lines, rotation by date, globs that fit rotated files as well.

use crate::shipper::Shipper;
use crate::sink::Sink;

#[test]
fn lines_of_containerd_are_taken_apart_and_rejoined() {
    let sink = Sink::start();
    let shipper = Shipper::new(sink.address);
    let pods = shipper.folder().join("pods/shop_web-7d_0f-1/nginx");
    std::fs::create_dir_all(&pods).unwrap();
    let glob = format!("paths={}/pods/*/*/*.log", shipper.folder().display());
    let mut shipper = shipper.set(&glob);
    let lines = "2024-05-01T12:00:00.1Z stdout P half a \n2024-05-01T12:00:00.2Z stderr F an error \"quoted\"\n2024-05-01T12:00:00.3Z stdout F line\nno such line\n";
    std::fs::write(pods.join("0.log"), lines).unwrap();
    shipper.start();
    sink.wait_for(3);
    let documents = sink.documents();
    let told: Vec<_> = documents
        .iter()
        .map(|value| {
            (
                value["stream"].as_str().unwrap(),
                value["message"].as_str().unwrap(),
                value["@timestamp"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(told[0], ("stdout", "half a line", "2024-05-01T12:00:00.1Z"));
    assert_eq!((told[1].0, told[1].1), ("stdout", "no such line"));
    assert_eq!(told[2], ("stderr", "an error \"quoted\"", "2024-05-01T12:00:00.2Z"));
    assert_eq!(documents[0]["kubernetes"]["pod"]["name"], "web-7d");
    assert_eq!(documents[0]["service"]["name"], "nginx");
    // As the kubelet rotates.
    std::fs::rename(pods.join("0.log"), pods.join("0.log.20240501-120001")).unwrap();
    std::fs::write(pods.join("0.log"), "2024-05-01T12:00:02Z stdout F after\n").unwrap();
    sink.wait_for(4);
    assert_eq!((sink.gaps().len(), sink.repeated()), (0, 0));
}

#[test]
fn what_is_not_a_line_of_containerd_is_flagged_when_those_are_asked_for() {
    let sink = Sink::start();
    let shipper = Shipper::new(sink.address).set("format=cri");
    let path = shipper.folder().join("0.log");
    let mut shipper = shipper.set(&format!("paths={}", path.display()));
    std::fs::write(&path, "2024-05-01T12:00:00Z stdout F fine\n{\"log\":\"other\"}\n").unwrap();
    shipper.start();
    sink.wait_for(2);
    let documents = sink.documents();
    assert_eq!((&documents[0]["message"], &documents[1]["message"]), (&"fine".into(), &"{\"log\":\"other\"}".into()));
    assert_eq!(documents[1]["log"]["flags"][0], "corrupt");
}

#[test]
fn a_glob_that_fits_rotated_files_reads_each_line_once() {
    let sink = Sink::start();
    let shipper = Shipper::new(sink.address);
    let folder = shipper.folder().join("nginx");
    std::fs::create_dir(&folder).unwrap();
    let path = |name: &str| folder.join(name);
    let mut shipper = shipper.set(&format!("paths={}/*", folder.display()));
    std::fs::write(path("access.log.1"), "one\n").unwrap();
    std::fs::write(path("access.log"), "two\n").unwrap();
    shipper.start();
    sink.wait_for(2);
    std::fs::rename(path("access.log.1"), path("access.log.2")).unwrap();
    std::fs::rename(path("access.log"), path("access.log.1")).unwrap();
    std::fs::write(path("access.log"), "three\n").unwrap();
    sink.wait_for(3);
    assert!(shipper.stop());
    shipper.start();
    std::fs::write(path("access.log"), "three\nfour\n").unwrap();
    sink.wait_for(4);
    assert_eq!(sink.messages(""), ["one", "two", "three", "four"]);
    assert_eq!(sink.repeated(), 0);
}

#[test]
fn a_file_that_was_renamed_by_date_while_it_was_away_is_read_to_its_end() {
    let sink = Sink::start();
    let shipper = Shipper::new(sink.address);
    let folder = shipper.folder().join("log");
    std::fs::create_dir(&folder).unwrap();
    let path = |name: &str| folder.join(name);
    let mut shipper = shipper.set(&format!("paths={}/app.log", folder.display()));
    std::fs::write(path("app.log-20240401"), "old\n").unwrap();
    std::fs::write(path("app.log"), "one\n").unwrap();
    shipper.start();
    sink.wait_for(1);
    assert!(shipper.stop());
    std::fs::write(path("app.log"), "one\ntwo\n").unwrap();
    std::fs::rename(path("app.log"), path("app.log-20240501")).unwrap();
    std::fs::write(path("app.log"), "three\n").unwrap();
    shipper.start();
    sink.wait_for(3);
    assert_eq!(sink.messages(""), ["one", "two", "three"]);
    assert_eq!((sink.gaps().len(), sink.repeated()), (0, 0));
}
