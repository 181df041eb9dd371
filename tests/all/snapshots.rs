//! Snapshots in S3-compatible storage, by a real server of it (moto, from PyPI), and `weir export`.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::docker::which;
use super::support::weir::{Part, Place, run};
use super::support::{http, kept, say, until};

/// The storage; ended when dropped.
struct Storage {
    child: Child,
    address: SocketAddr,
}

impl Drop for Storage {
    fn drop(&mut self) {
        // Nothing of it is needed any more, however it ends.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Storage {
    fn start() -> Result<Self, String> {
        let python = environment()?;
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(|e| e.to_string())?;
        let child = Command::new(python.with_file_name("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("moto_server does not start: {error}"))?;
        let storage = Self { child, address };
        until("the storage", Duration::from_secs(120), || http::get(address, "/").map(drop));
        let made = http::ask(address, "PUT", "/weir-backup", "", b"")?;
        assert_eq!(made.status, 200, "{}", made.text());
        Ok(storage)
    }

    /// How many objects there are below a prefix.
    fn objects(&self, prefix: &str) -> usize {
        let listed = http::get(self.address, &format!("/weir-backup?list-type=2&prefix={prefix}")).unwrap();
        listed.text().matches("<Key>").count()
    }
}

fn environment() -> Result<PathBuf, String> {
    let folder = kept().join("python-moto");
    let python = folder.join("bin/python");
    let works = |python: &Path| {
        Command::new(python).args(["-c", "import moto.server"]).output().is_ok_and(|output| output.status.success())
    };
    if works(&python) {
        return Ok(python);
    }
    if which("python3").is_none() {
        return Err("there is no python3".to_owned());
    }
    say::progress("snapshots", "pip install moto[s3,server]");
    let step = |command: &mut Command| -> Result<(), String> {
        let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(said.lines().next_back().unwrap_or("no reason").to_owned()) }
    };
    step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    step(Command::new(&python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "moto[s3,server]",
    ]))?;
    if works(&python) { Ok(python) } else { Err("moto cannot be imported".to_owned()) }
}

fn indexer(storage: &Storage) -> Place {
    let mut weir = Place::empty();
    let settings = format!(
        "[indexer]\nsnapshot_s3_endpoint = \"http://{}\"\nsnapshot_s3_access_key = \"key\"\nsnapshot_s3_secret_key = \"secret\"\n",
        storage.address
    );
    std::fs::write(weir.folder().join("weir.toml"), settings).unwrap();
    weir.start(Part::Indexer);
    weir.wait_up();
    weir
}

fn send(weir: &Place, method: &str, path: &str, body: &str) -> Value {
    let answer = http::ask(weir.search, method, path, "application/json", body.as_bytes()).unwrap();
    assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.text());
    answer.json()
}

fn fill(weir: &Place, from: u64, to: u64) {
    let lines: String = (from..to)
        .map(|n| {
            // Long enough that one file of it is more than one part of an upload.
            let noise: String =
                (0..60).map(|k| format!("{:x} ", (n * 61 + k).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
            let document =
                json!({"@timestamp": 1_795_000_000_000u64 + n, "message": format!("number {n} {noise}"), "n": n});
            format!("{{\"create\":{{\"_id\":\"{n}\"}}}}\n{document}\n")
        })
        .collect();
    assert_eq!(send(weir, "POST", "/logs/_bulk?refresh=true", &lines)["errors"], false);
}

fn documents(weir: &Place) -> Vec<Value> {
    let page = json!({"size": 10_000, "sort": ["n"], "query": {"range": {"n": {"gte": 0}}}}).to_string();
    let found = send(weir, "POST", "/logs/_search", &page);
    let hits = found["hits"]["hits"].as_array().unwrap();
    hits.iter().map(|hit| json!([hit["_id"], hit["_source"]])).collect()
}

#[test]
fn a_bucket_keeps_snapshots() {
    let storage = match Storage::start() {
        Ok(storage) => storage,
        Err(why) => return say::left_out("snapshots in S3-compatible storage", &why),
    };
    let weir = indexer(&storage);
    let repository = json!({"type": "s3", "settings": {"bucket": "weir-backup", "base_path": "deep/er"}}).to_string();
    send(&weir, "PUT", "/_snapshot/cloud", &repository);
    for from in (0..9_000).step_by(3_000) {
        fill(&weir, from, from + 3_000);
    }
    let taken = send(&weir, "PUT", "/_snapshot/cloud/one?wait_for_completion=true", "");
    assert_eq!(taken["snapshot"]["state"], "SUCCESS", "{taken}");
    let first = storage.objects("deep/er/objects/");
    assert!(first > 3, "{first} objects");
    fill(&weir, 9_000, 9_100);
    send(&weir, "PUT", "/_snapshot/cloud/two?wait_for_completion=true", "");
    let second = storage.objects("deep/er/objects/");
    assert!(second > first, "the second copied something");

    let other = indexer(&storage);
    send(&other, "PUT", "/_snapshot/cloud", &repository);
    send(&other, "POST", "/_snapshot/cloud/two/_restore?wait_for_completion=true", "{}");
    let (before, after) = (documents(&weir), documents(&other));
    assert_eq!(before.len(), 9_100);
    assert!(before == after, "documents differ");
    send(&weir, "DELETE", "/_snapshot/cloud/two", "");
    assert_eq!(storage.objects("deep/er/objects/"), first);
    assert_eq!(storage.objects("deep/er/snapshots/"), 1);
    // Somebody else's endpoint gets none of our signatures.
    let elsewhere = json!({"type": "s3", "settings": {"bucket": "b", "endpoint": "http://127.0.0.1:1"}}).to_string();
    let refused = http::ask(weir.search, "PUT", "/_snapshot/x", "application/json", elsewhere.as_bytes()).unwrap();
    assert_eq!(refused.status, 400, "{}", refused.text());
}

#[test]
fn export_writes_each_document_once() {
    let mut weir = Place::empty();
    weir.start(Part::Indexer);
    weir.wait_up();
    for from in (0..2_500).step_by(500) {
        fill(&weir, from, from + 500);
    }
    let url = format!("http://{}", weir.search);
    let file = weir.folder().join("all.ndjson.gz");
    let export = |arguments: &[&str]| {
        let output = run(weir.folder(), &[&["export", "--url", &url, "--index", "logs"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    };
    export(&["-o", file.to_str().unwrap()]);
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(&file).unwrap()).read_to_string(&mut text).unwrap();
    let numbers: Vec<u64> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..2_500).collect::<Vec<_>>(), "each once, oldest first");
    assert!(!weir.folder().join("all.ndjson.gz.partial").exists());
    // A range and a query, with actions, straight back into another index.
    let output =
        export(&["-o", "-", "--bulk", "--since", "2026-11-18T11:06:41Z", "--until", "2026-11-18T11:06:42Z", "number"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 2_000, "a thousand milliseconds, two lines each");
    let moved = text.replace("\"_index\":\"logs\"", "\"_index\":\"moved\"");
    assert_eq!(send(&weir, "POST", "/_bulk?refresh=true", &moved)["errors"], false);
    assert_eq!(send(&weir, "GET", "/moved/_count", "")["count"], 1_000);
    // Nobody there: a reason, and no file.
    let nowhere = weir.folder().join("nothing");
    let output = run(weir.folder(), &["export", "--url", "http://127.0.0.1:1", "-o", nowhere.to_str().unwrap()]);
    assert!(!output.status.success() && !nowhere.exists());
}
