//! Docker's own `syslog` log driver, from a real container into a whole `logstash.conf` run by `weir aggregator -f`.

use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::support::docker::{BUSYBOX, Engine};
use super::support::weir::{Place, bare, terminate};
use super::support::{alone, say, until};

/// Lines of one container.
const LINES: usize = 50;
/// Time that they have to arrive in; far more than they need.
const ARRIVAL: Duration = Duration::from_secs(60);

/// Ways that the driver can be told to write in.
const FORMS: [(&str, &str); 3] = [("tcp", "rfc5424micro"), ("udp", "rfc5424"), ("tcp", "rfc3164")];

/// An aggregator, ended by its process id.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        terminate(&self.0);
        // It fails only when it has ended.
        let _ = self.0.wait();
    }
}

#[test]
fn docker_s_syslog_driver_delivers_every_line_of_a_container() {
    let _turn = alone();
    let folder = tempfile::Builder::new().prefix("weir-s-").tempdir().unwrap();
    let engine = match Engine::start(folder.path()) {
        Ok(engine) => engine,
        Err(why) => return say::left_out("syslog_driver", &why),
    };
    engine.busybox();
    let place = Place::empty();
    let port = place.search.port();
    let config = format!(
        "input {{ syslog {{ port => {port} }} }}\n\
         filter {{ if [process][name] == \"noise\" {{ drop {{ }} }} }}\n\
         output {{ stdout {{ codec => json_lines }} }}\n"
    );
    fs::write(place.folder().join("logstash.conf"), config).unwrap();
    let printed = place.folder().join("printed.jsonl");
    let child = bare(place.folder())
        .args(["aggregator", "-f", "logstash.conf", "--listen", &place.beats.to_string()])
        .args(["--set", "aggregator.admin="])
        .stdin(Stdio::null())
        .stdout(File::create(&printed).unwrap())
        .stderr(File::create(place.folder().join("aggregator.log")).unwrap())
        .spawn()
        .unwrap();
    let _aggregator = Running(child);
    until("the syslog port", ARRIVAL, || {
        std::net::TcpStream::connect(place.search).map(drop).map_err(|error| error.to_string())
    });
    for (protocol, format) in FORMS {
        let address = format!("syslog-address={protocol}://127.0.0.1:{port}");
        let format_option = format!("syslog-format={format}");
        let tag = format!("shop-{protocol}-{format}");
        let script = format!("for n in $(seq {LINES}); do echo \"out $n\"; done; echo 'it failed' >&2");
        for (tag, script) in [("noise", "echo dropped"), (tag.as_str(), script.as_str())] {
            let tag_option = format!("tag={tag}");
            let mut args = vec!["run", "--rm", "--network=none", "--log-driver=syslog"];
            for option in [address.as_str(), &format_option, &tag_option] {
                args.extend(["--log-opt", option]);
            }
            args.extend([BUSYBOX, "sh", "-c", script]);
            engine.docker(&args);
        }
        let events = until(&format!("the lines of {tag}"), ARRIVAL, || {
            let text = fs::read_to_string(&printed).map_err(|error| error.to_string())?;
            // The last line may be written still.
            let events: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            let own: Vec<Value> = events.into_iter().filter(|event| event["process"]["name"] == *tag).collect();
            if own.len() > LINES { Ok(own) } else { Err(format!("{} of {} are there", own.len(), LINES + 1)) }
        });
        let mut messages: Vec<&str> = events.iter().filter_map(|event| event["message"].as_str()).collect();
        messages.sort_unstable();
        messages.dedup();
        assert_eq!((events.len(), messages.len()), (LINES + 1, LINES + 1), "each line once: {messages:?}");
        let failure = events.iter().find(|event| event["message"] == "it failed").expect("the line of stderr");
        assert_eq!(failure["log"]["syslog"]["severity"]["name"], "Error", "{failure}");
        assert_eq!(failure["log"]["syslog"]["facility"]["name"], "system", "{failure}");
        assert!(failure["process"]["pid"].is_number(), "{failure}");
    }
    let text = fs::read_to_string(&printed).unwrap();
    assert!(!text.contains("dropped"), "what the filter drops is not printed");
}
