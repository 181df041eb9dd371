//! Alerts from a line to people: a webhook, a Slack-compatible webhook, a real SMTP server (aiosmtpd) and a real
//! Alertmanager are told that something fires, once, also over a restart, and that it has ended.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::real_client::python_with;
use super::support::docker::which;
use super::support::say::left_out;
use super::support::weir::{Part, Place, run};
use super::support::{http, repository, until};

/// The window of the rule is 10 s, and it is evaluated each second; a busy machine adds to that.
const LIMIT: Duration = Duration::from_secs(90);

/// A server that takes JSON and keeps it, by path.
struct Sink {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Sink {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, taken) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<_>>>::default());
        let kept = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || while take(&stream, &kept).is_some() {});
            }
        });
        Self { address, taken }
    }

    fn of(&self, path: &str) -> Vec<Value> {
        self.taken.lock().unwrap().iter().filter(|(at, _)| at == path).map(|(_, body)| body.clone()).collect()
    }
}

fn take(stream: &TcpStream, kept: &Mutex<Vec<(String, Value)>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(given) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = given.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    kept.lock().unwrap().push((path, serde_json::from_slice(&body).ok()?));
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A real SMTP server that appends what it gets to a file; its port, or why there is none.
fn mail_server(file: &Path) -> Result<(Ends, u16), String> {
    let python = python_with("aiosmtpd", "1.4")?;
    let mut child = Command::new(python)
        .arg(repository().join("tests/all/mail_sink.py"))
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut line = String::new();
    let read = BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line);
    let ends = Ends(child);
    read.map_err(|error| error.to_string())?;
    Ok((ends, line.trim().parse().map_err(|_| format!("it said {line:?}"))?))
}

/// A real Alertmanager; its address, or why there is none.
fn alertmanager(folder: &Path) -> Result<(Ends, SocketAddr), String> {
    let program = which("prometheus-alertmanager").or_else(|| which("alertmanager"));
    let program = program.ok_or("prometheus-alertmanager is not installed")?;
    let config = folder.join("alertmanager.yml");
    fs::write(&config, "route:\n  receiver: none\nreceivers:\n  - name: none\n").map_err(|error| error.to_string())?;
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = address.map_err(|error| error.to_string())?;
    let log = fs::File::create(folder.join("alertmanager.log")).map_err(|error| error.to_string())?;
    let child = Command::new(program)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .stdout(log.try_clone().map_err(|error| error.to_string())?)
        .stderr(log)
        .spawn()
        .map_err(|error| error.to_string())?;
    let ends = Ends(child);
    until("Alertmanager", LIMIT, || http::get(address, "/-/ready").map(|_| ()));
    Ok((ends, address))
}

fn rules(sink: SocketAddr, mail: Option<u16>, manager: Option<SocketAddr>) -> String {
    let mut text = format!(
        "[[rule]]\nname = \"payments fail\"\nquery = 'log.level : error and service.name : pay*'\nindex = \"logs-*\"\n\
         window = \"10s\"\ngroup_by = \"service.name\"\nabove = 2\nlevel = \"critical\"\n\
         text = \"{{group}} failed {{value}} times: {{sample}}\"\n\
         [[receiver]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://{sink}/hook\"\n\
         [[receiver]]\nname = \"chat\"\nkind = \"slack\"\nurl = \"http://{sink}/slack\"\n"
    );
    if let Some(port) = mail {
        text.push_str(&format!(
            "[[receiver]]\nname = \"mail\"\nkind = \"smtp\"\nurl = \"smtp://127.0.0.1:{port}\"\nuser = \"weir\"\n\
             password_file = \"mail-password\"\nfrom = \"weir@example.org\"\nto = [\"ops@example.org\"]\n"
        ));
    }
    if let Some(address) = manager {
        text.push_str(&format!("[[receiver]]\nname = \"am\"\nkind = \"alertmanager\"\nurl = \"http://{address}\"\n"));
    }
    text
}

/// The indexer with the rules. Its own rules are off: this test is about one.
fn start(place: &mut Place) {
    let mut command = place.command(Part::Indexer);
    for set in ["alerts=rules.toml", "alerts_builtin=false", "alerts_interval=1s", "public_url=http://logs.example"] {
        command.args(["--set", &format!("indexer.{set}")]);
    }
    place.start_as(Part::Indexer, command);
    place.wait_up();
}

fn fail(place: &Place, service: &str, times: usize) {
    let now = http::ask(place.search, "GET", "/_cat/count?h=epoch", "", b"").unwrap().text();
    let mut bulk = String::new();
    for n in 0..times {
        bulk.push_str("{\"create\":{\"_index\":\"logs-weir\"}}\n");
        let epoch: i64 = now.trim().parse().unwrap();
        bulk.push_str(&format!(
            "{}\n",
            json!({"@timestamp": epoch * 1000 + n as i64, "message": "card <declined>", "log": {"level": "error"},
                "service": {"name": service}})
        ));
    }
    let answer = http::ask(place.search, "POST", "/_bulk", "application/x-ndjson", bulk.as_bytes()).unwrap().json();
    assert_eq!(answer["errors"], false, "{answer}");
}

#[test]
fn people_are_told_once_and_told_of_the_end() {
    let mut place = Place::empty();
    let folder = place.folder().to_owned();
    let sink = Sink::start();
    let mails = folder.join("mails");
    fs::write(folder.join("mail-password"), "the mail's password\n").unwrap();
    let mail = mail_server(&mails).inspect_err(|why| left_out("alerts by mail to a real SMTP server", why)).ok();
    let manager = alertmanager(&folder).inspect_err(|why| left_out("alerts to a real Alertmanager", why)).ok();
    let text = rules(sink.address, mail.as_ref().map(|(_, port)| *port), manager.as_ref().map(|(_, at)| *at));
    fs::write(folder.join("rules.toml"), text).unwrap();
    start(&mut place);

    fail(&place, "payments", 5);
    fail(&place, "other", 5);
    let hook =
        until("the webhook", LIMIT, || sink.of("/hook").first().cloned().ok_or_else(|| "nothing came".to_owned()));
    assert_eq!((&hook["status"], &hook["service"]), (&json!("firing"), &json!("payments")), "{hook}");
    let alert = &hook["alerts"][0];
    assert_eq!(alert["text"], "payments failed 5 times: card <declined>", "{hook}");
    assert_eq!((&alert["level"], &alert["rule"]), (&json!("critical"), &json!("payments fail")), "{hook}");
    let slack =
        until("Slack's webhook", LIMIT, || sink.of("/slack").first().cloned().ok_or_else(|| "nothing".to_owned()));
    assert!(slack["text"].as_str().unwrap().contains("card &lt;declined&gt;"), "{slack}");
    let shown = http::get(place.search, "/api/alerts").unwrap().json();
    assert_eq!(
        (&shown["alerts"][0]["state"], &shown["alerts"][0]["group"]),
        (&json!("firing"), &json!("payments")),
        "{shown}"
    );
    if mail.is_some() {
        let text = until("the mail", LIMIT, || {
            fs::read_to_string(&mails).ok().filter(|text| text.contains("END OF MAIL")).ok_or_else(|| "none".to_owned())
        });
        assert!(text.contains("user: weir the mail's password"), "{text}");
        assert!(
            text.contains("to: ops@example.org") && text.contains("payments failed 5 times: card <declined>"),
            "{text}"
        );
        assert!(text.contains("subject: weir: payments: 1 firing"), "{text}");
    }
    let in_manager = |address: SocketAddr| {
        let alerts = http::get(address, "/api/v2/alerts?active=true").unwrap().json();
        let all = alerts.as_array().unwrap().clone();
        all.into_iter().find(|alert| alert["labels"]["alertname"] == "payments fail")
    };
    if let Some((_, address)) = &manager {
        let alert =
            until("Alertmanager to have it", LIMIT, || in_manager(*address).ok_or_else(|| "not there".to_owned()));
        assert_eq!(
            (&alert["labels"]["service"], &alert["labels"]["severity"]),
            (&json!("payments"), &json!("critical"))
        );
    }

    // Over a restart, nobody is told again, and everybody is told of the end.
    assert!(place.stop(Part::Indexer).success());
    start(&mut place);
    let end = until("the recovery", LIMIT, || {
        sink.of("/hook").into_iter().find(|body| body["status"] == "resolved").ok_or_else(|| "not yet".to_owned())
    });
    assert_eq!(end["alerts"][0]["status"], "resolved", "{end}");
    let firing = sink.of("/hook").iter().filter(|body| body["status"] == "firing").count();
    assert_eq!(firing, 1, "{:?}", sink.of("/hook"));
    until("the recovery in Slack", LIMIT, || {
        sink.of("/slack")
            .iter()
            .find(|b| b["text"].as_str().unwrap_or("").contains("[recovered]"))
            .map(|_| ())
            .ok_or_else(|| "not yet".to_owned())
    });
    if let Some((_, address)) = &manager {
        until("Alertmanager to let it go", LIMIT, || {
            in_manager(*address).map_or(Ok(()), |alert| Err(alert.to_string()))
        });
    }

    // Silenced, and shown all the same.
    let silence = json!({"rule": "payments*", "group": "payments", "for": "1h", "why": "works"});
    let silence = http::post(place.search, "/api/silences", &silence).unwrap();
    let before = sink.of("/hook").len();
    fail(&place, "payments", 5);
    until("it to be shown as silenced", LIMIT, || {
        let shown = http::get(place.search, "/api/alerts").unwrap().json();
        let fires =
            shown["alerts"].as_array().unwrap().iter().any(|a| a["state"] == "firing" && a["silence"] == silence["id"]);
        if fires { Ok(()) } else { Err(shown.to_string()) }
    });
    assert_eq!(sink.of("/hook").len(), before, "it is silenced");

    // A wrong rule file leaves the rules before in use, and says what is wrong.
    fs::write(folder.join("rules.toml"), "[[rule]]\nname = \"x\"\nlevel = \"critical\"\nquery = \"\"\nabov = 3\n")
        .unwrap();
    until("the mistake to be told", LIMIT, || {
        let shown = http::get(place.search, "/api/alerts").unwrap().json();
        let told =
            shown["problems"].to_string().contains("rules.toml:5:1") && shown["rules"][0]["name"] == "payments fail";
        if told { Ok(()) } else { Err(shown.to_string()) }
    });
    let checked = run(&folder, &["check", "--set", "indexer.alerts=rules.toml"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(!checked.status.success() && said.contains("rules.toml:5:1") && said.contains("hint: "), "{said}");
    place.check_alive();
}
