//! A running indexer and a small HTTP client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use weir_daemon::{Metrics, Shutdown};
use weir_indexer::Settings;

/// An indexer in this process; stopped when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) folder: PathBuf,
    shutdown: Shutdown,
    runtime: Option<Runtime>,
    running: Option<tokio::task::JoinHandle<()>>,
    _own_folder: Option<tempfile::TempDir>,
}

impl Server {
    /// On a folder of its own.
    pub(crate) fn start() -> Self {
        Self::start_with(Settings::default())
    }

    /// On a folder of its own, with other settings.
    pub(crate) fn start_with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::with(Settings { data_dir: folder.path().to_owned(), ..settings });
        server._own_folder = Some(folder);
        server
    }

    pub(crate) fn on(folder: &Path) -> Self {
        Self::with(Settings { data_dir: folder.to_owned(), ..Settings::default() })
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let settings = Settings { refresh_interval: weir_daemon::settings::Span(Duration::ZERO), ..settings };
        let folder = settings.data_dir.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let config = settings.check().unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let told = shutdown.clone();
        let running = runtime.spawn(async move {
            weir_indexer::run(config, listener, Metrics::new(), told).await.unwrap();
        });
        let server =
            Self { address, folder, shutdown, runtime: Some(runtime), running: Some(running), _own_folder: None };
        server.get("/");
        server
    }

    /// The same, with its folder, which goes when the server does.
    pub(crate) fn owning(mut self, folder: tempfile::TempDir) -> Self {
        self._own_folder = Some(folder);
        self
    }

    /// Stops cleanly and waits for it.
    pub(crate) fn stop(mut self) -> Option<tempfile::TempDir> {
        self.end();
        self._own_folder.take()
    }

    fn end(&mut self) {
        self.shutdown.cancel();
        if let (Some(runtime), Some(running)) = (self.runtime.take(), self.running.take()) {
            runtime.block_on(running).unwrap();
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client { address: self.address }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.client().send("GET", path, "", &[])
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.client().send("POST", path, body, &[])
    }

    pub(crate) fn put(&self, path: &str, body: &str) -> Answer {
        self.client().send("PUT", path, body, &[])
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.client().send("DELETE", path, "", &[])
    }

    /// How many documents a search sees.
    pub(crate) fn count(&self, index: &str) -> u64 {
        self.client().count(index)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The answer, when its status is as expected.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() { json!(null) } else { self.json() }
    }

    #[track_caller]
    pub(crate) fn error(self, status: u16, kind: &str) -> String {
        let body = self.expect(status);
        assert_eq!(body["error"]["type"], kind, "{body}");
        assert_eq!(body["error"]["root_cause"][0]["type"], kind, "{body}");
        assert_eq!(body["status"], status, "{body}");
        body["error"]["reason"].as_str().unwrap().to_owned()
    }
}

impl Client {
    /// One request on a connection of its own.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        self.send_bytes(method, path, body.as_bytes(), headers)
    }

    pub(crate) fn send_bytes(&self, method: &str, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        self.try_send(method, path, body, headers).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        headers: &[(&str, &str)],
    ) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: weir\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        // A server that answers before it has read everything may close first.
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                sent?;
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line == "\r\n" {
                break;
            }
            // Names in lower case; values may be secrets, letter by letter.
            match line.split_once(':') {
                Some((name, value)) => head.push_str(&format!("{}:{value}", name.to_ascii_lowercase())),
                None => head.push_str(&line),
            }
        }
        let status =
            head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
        let mut body = Vec::new();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        match length {
            Some(length) if method != "HEAD" => {
                body.resize(length, 0);
                reader.read_exact(&mut body)?;
            }
            _ => {}
        }
        Ok(Answer { status, head, body })
    }

    pub(crate) fn count(&self, index: &str) -> u64 {
        let rows = self.send("GET", &format!("/_cat/count/{index}?format=json"), "", &[]).expect(200);
        rows[0]["count"].as_str().unwrap().parse().unwrap()
    }
}

/// Where random numbers begin: as the variable says, else somewhere new. Printed, so that a failure can be had again.
pub(crate) fn random_seed(variable: &str) -> u64 {
    let seed = match std::env::var(variable) {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(),
    };
    println!("{variable}={seed}");
    seed
}

/// Copies a folder and all beneath it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Waits until something holds; panics with the scene when it never does.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "still not so after 30 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A `_bulk` body of positioned documents: source, start, end, message.
pub(crate) fn positioned(index: &str, documents: &[(u64, u64, u64, &str)]) -> String {
    documents
        .iter()
        .map(|(source, start, end, message)| {
            format!(
                "{{\"create\":{{\"_index\":\"{index}\",\"_id\":\"{source:016x}-{start}\",\"_end\":{end}}}}}\n{}\n",
                json!({"@timestamp": "2026-11-20T00:00:00.000Z", "message": message})
            )
        })
        .collect()
}

/// The statuses of a `_bulk` answer.
pub(crate) fn statuses(answer: Answer) -> Vec<u64> {
    let body = answer.expect(200);
    let items = body["items"].as_array().unwrap();
    items.iter().map(|item| item.as_object().unwrap().values().next().unwrap()["status"].as_u64().unwrap()).collect()
}
