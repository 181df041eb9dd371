//! Real clients of the syslog input: `logger` of util-linux, and rsyslogd with a configuration of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use weir_aggregator::Settings;

use crate::bulk_server::{BulkServer, Stored};
use crate::harness::{Aggregator, settings};

/// Time that a client has to start and its lines have to arrive; far more than it takes.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(60);

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // rsyslogd lies where only root looks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A port that was free a moment ago, for TCP and UDP.
fn free_port() -> u16 {
    loop {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        if std::net::UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
}

/// An aggregator with a syslog input on each port, whose number is its tag.
async fn start(server: &BulkServer, folder: &Path, ports: &[u16]) -> Aggregator {
    let inputs: String =
        ports.iter().map(|port| format!("  syslog {{ port => {port} tags => [\"{port}\"] }}\n")).collect();
    let file = folder.join("logstash.conf");
    std::fs::write(&file, format!("input {{\n{inputs}}}\n")).unwrap();
    let pipelines = vec![file.to_string_lossy().into_owned()];
    let aggregator = Aggregator::start(Settings { pipelines, ..settings(server) }).await;
    for port in ports {
        while tokio::net::TcpStream::connect(("127.0.0.1", *port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    aggregator
}

/// The documents, when there are so many that have this tag.
async fn tagged(server: &BulkServer, tag: u16, count: usize) -> Vec<Stored> {
    let tag = serde_json::json!(tag.to_string());
    let found = async {
        loop {
            let documents = server.documents().into_values();
            let has = |stored: &Stored| stored.document["tags"].as_array().is_some_and(|tags| tags.contains(&tag));
            let found: Vec<Stored> = documents.filter(has).collect();
            if found.len() >= count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let all = tokio::time::timeout(ARRIVAL_TIME_MAX, found).await;
    all.unwrap_or_else(|_| panic!("{count} documents with the tag {tag} did not come: {:?}", server.documents()))
}

fn run(program: &Path, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program:?} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logger_speaks_every_form() {
    let Some(logger) = which("logger") else {
        println!("left out: logger against the syslog input because it is not installed");
        return;
    };
    let server = BulkServer::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let forms: [&[&str]; 5] = [
        &["--tcp", "--rfc5424"],
        &["--tcp", "--rfc5424", "--octet-count"],
        &["--tcp", "--rfc3164"],
        &["--udp", "--rfc5424"],
        &["--udp", "--rfc3164"],
    ];
    let ports = forms.map(|_| free_port());
    let aggregator = start(&server, folder.path(), &ports).await;
    for (form, port) in forms.iter().zip(ports) {
        let port_text = port.to_string();
        let fixed = ["--server", "127.0.0.1", "--port", &port_text, "-t", "shop", "--id=4711", "-p", "local3.err"];
        for message in ["payment failed: 500", "ünïcode – and \"quotes\""] {
            let arguments: Vec<&str> = form.iter().chain(&fixed).copied().chain(["--", message]).collect();
            run(&logger, &arguments);
        }
        let documents = tagged(&server, port, 2).await;
        let mut messages: Vec<&str> =
            documents.iter().map(|stored| stored.document["message"].as_str().unwrap()).collect();
        messages.sort_unstable();
        assert_eq!(messages, ["payment failed: 500", "ünïcode – and \"quotes\""], "{form:?}");
        for stored in documents {
            let document = &stored.document;
            assert_eq!(document["process"], serde_json::json!({ "name": "shop", "pid": 4711 }), "{form:?}: {document}");
            assert_eq!(document["log"]["syslog"]["severity"]["name"], "Error", "{form:?}: {document}");
            assert_eq!(document["log"]["syslog"]["facility"]["code"], 19, "{form:?}: {document}");
            assert!(document["host"]["hostname"].is_string(), "{form:?}: {document}");
        }
    }
    aggregator.stop().await;
}

/// rsyslogd, ended by its process id.
struct Rsyslog(Child);

impl Drop for Rsyslog {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rsyslog_forwards_over_tcp_and_udp() {
    let (Some(rsyslogd), Some(logger)) = (which("rsyslogd"), which("logger")) else {
        println!("left out: rsyslog against the syslog input because rsyslogd or logger is not installed");
        return;
    };
    let server = BulkServer::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    let (counted, lines, datagrams) = (free_port(), free_port(), free_port());
    let aggregator = start(&server, folder.path(), &[counted, lines, datagrams]).await;
    let socket = folder.path().join("log.sock");
    let forward = |port: u16, protocol: &str, template: &str, more: &str| {
        format!(
            "action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"{protocol}\" \
             template=\"RSYSLOG_{template}\" {more})\n"
        )
    };
    let config = format!(
        "global(workDirectory=\"{}\")\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n\
         input(type=\"imuxsock\" Socket=\"{}\" RateLimit.Interval=\"0\")\n{}{}{}",
        folder.path().display(),
        socket.display(),
        forward(counted, "tcp", "SyslogProtocol23Format", "TCP_Framing=\"octet-counted\""),
        forward(lines, "tcp", "TraditionalForwardFormat", ""),
        forward(datagrams, "udp", "SyslogProtocol23Format", ""),
    );
    let config_file = folder.path().join("rsyslog.conf");
    std::fs::write(&config_file, config).unwrap();
    let log = std::fs::File::create(folder.path().join("rsyslogd.log")).unwrap();
    let child = Command::new(rsyslogd)
        .arg("-n")
        .arg("-f")
        .arg(&config_file)
        .arg("-i")
        .arg(folder.path().join("rsyslogd.pid"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut rsyslog = Rsyslog(child);
    let ready = async {
        while !socket.exists() {
            assert!(
                rsyslog.0.try_wait().unwrap().is_none(),
                "rsyslogd has ended: {}",
                std::fs::read_to_string(folder.path().join("rsyslogd.log")).unwrap()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(ARRIVAL_TIME_MAX, ready).await.expect("rsyslogd opens its socket");
    const LINES: usize = 200;
    let text: String = (0..LINES).map(|n| format!("order {n} was lost\n")).collect();
    let sample = folder.path().join("sample.txt");
    std::fs::write(&sample, text).unwrap();
    let (socket, sample) = (socket.to_string_lossy(), sample.to_string_lossy());
    run(&logger, &["-u", &socket, "-t", "shop", "-p", "daemon.warning", "-f", &sample]);
    for port in [counted, lines, datagrams] {
        let documents = tagged(&server, port, LINES).await;
        let mut messages: Vec<&str> =
            documents.iter().map(|stored| stored.document["message"].as_str().unwrap()).collect();
        messages.sort_unstable();
        messages.dedup();
        assert_eq!(messages.len(), LINES, "each line once, on {port}");
        let document = &documents[0].document;
        assert!(document["message"].as_str().unwrap().starts_with("order "), "{document}");
        assert_eq!(document["process"]["name"], "shop", "{document}");
        assert_eq!(document["log"]["syslog"]["severity"]["name"], "Warning", "{document}");
    }
    drop(rsyslog);
    aggregator.stop().await;
}
