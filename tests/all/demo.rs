//! `weir --demo`, as a newcomer runs it, on ports of its own: within a minute a search finds the trouble of every
//! service, on the terminal as well; and `weir check` says what is wrong before anything runs.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use super::support::weir::{Place, bare, run, terminate};
use super::support::{http, until};

/// What a newcomer is promised.
const MINUTE: Duration = Duration::from_secs(60);

/// Each service, and words of an error that it writes sooner or later.
const TROUBLE: [(&str, &str); 5] = [
    ("shop_nginx", "connect() failed (111: Connection refused)"),
    ("shop_web", "in 'Order#total'"),
    ("shop_postgres", "duplicate key value violates unique constraint"),
    ("shop_worker", "Connection unexpectedly closed"),
    ("shop_gateway", "capture failed"),
];

#[test]
fn a_search_finds_every_services_trouble_within_a_minute() {
    let place = Place::empty();
    let log = fs::File::create(place.folder().join("demo.log")).unwrap();
    let mut demo = bare(place.folder())
        .arg("--demo")
        .args(["--set", &format!("indexer.listen={}", place.search)])
        .args(["--set", &format!("aggregator.listen={}", place.beats)])
        .args(["--set", "shipper.admin=", "--set", "aggregator.admin="])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let outcome = std::panic::catch_unwind(|| {
        for (service, words) in TROUBLE {
            until(&format!("an error of {service}"), MINUTE, || found(&place, service, words));
        }
        let url = format!("http://{}", place.search);
        let output = run(place.folder(), &["search", "--url", &url, "log.level:error AND service.name:shop_web"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("Order#total"), "weir search printed {text:?}: {output:?}");
        let output = run(place.folder(), &["health", &format!("{url}/health")]);
        assert!(output.status.success(), "weir health: {output:?}");
    });
    terminate(&demo);
    let status = demo.wait().unwrap();
    if let Err(panic) = outcome {
        eprintln!("{}", fs::read_to_string(place.folder().join("demo.log")).unwrap_or_default());
        std::panic::resume_unwind(panic);
    }
    assert!(status.success(), "weir --demo ended with {status}");
}

fn found(place: &Place, service: &str, words: &str) -> Result<(), String> {
    let query = json!({"query": {"bool": {
        "filter": [{"term": {"service.name": service}}, {"terms": {"log.level": ["error", "critical"]}}],
        "must": [{"match_phrase": {"message": words}}],
    }}});
    let answer = http::post(place.search, "/logs-weir/_search", &query)?;
    let first = &answer["hits"]["hits"][0]["_source"];
    if first["message"].as_str().is_some_and(|message| message.contains(words)) {
        return Ok(());
    }
    Err(format!("nothing is found; {answer}"))
}

#[test]
fn check_refuses_what_is_wrong_and_says_where() {
    let place = Place::empty();
    let good = run(place.folder(), &["check"]);
    assert!(good.status.success(), "the built-in pipelines and defaults are right: {good:?}");

    let pipelines = place.folder().join("mine");
    fs::create_dir(&pipelines).unwrap();
    fs::write(pipelines.join("mine.conf"), "filter {\n  mutate { renme => { \"a\" => \"b\" } }\n}\n").unwrap();
    let bad = run(place.folder(), &["check", "-f", "mine", "--set", "shipper.windows=1"]);
    let text = format!("{}{}", String::from_utf8_lossy(&bad.stdout), String::from_utf8_lossy(&bad.stderr));
    assert!(!bad.status.success(), "{text}");
    for part in ["mine.conf", "2", "renme", "rename", "^", "windows"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}
