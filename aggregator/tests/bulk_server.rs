//! A `_bulk` server that keeps documents by `_id`, and misbehaves as it is told.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What the server does with one `_bulk` request.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Answers this status, stores nothing.
    Status(u16),
    /// Closes the connection, stores nothing.
    CutBefore,
    /// Stores, then closes the connection without an answer.
    CutAfter,
    /// Answers these statuses for the first items and stores the others.
    Items(Vec<u16>),
    /// Stores, and answers with one item too few.
    OneItemTooFew,
    /// Waits for [`BulkServer::release`], then stores.
    Hold,
}

/// One document as it was stored.
#[derive(Clone, Debug)]
pub struct Stored {
    pub index: String,
    pub end: Option<u64>,
    pub document: Value,
}

#[derive(Default)]
struct State {
    deeds: VecDeque<Deed>,
    documents: BTreeMap<String, Stored>,
    nameless: usize,
    /// Items of each `_bulk` request.
    requests: Vec<Vec<String>>,
    /// Highest end of each source, and documents that came before the one in front of them was there.
    marks: BTreeMap<String, u64>,
    holes: Vec<String>,
    bytes_max: Option<usize>,
    refused_text: Option<String>,
}

#[derive(Clone)]
pub struct BulkServer {
    pub address: SocketAddr,
    is_weir: bool,
    state: Arc<Mutex<State>>,
    arrived: Arc<Notify>,
    released: Arc<Notify>,
}

impl BulkServer {
    pub async fn start(is_weir: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            is_weir,
            state: Arc::default(),
            arrived: Arc::default(),
            released: Arc::default(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = accepting.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        server
    }

    /// The next requests are treated so, one each; later ones well.
    pub fn will(&self, deeds: impl IntoIterator<Item = Deed>) {
        self.state.lock().unwrap().deeds.extend(deeds);
    }

    /// Requests of more bytes get 413.
    pub fn take_at_most(&self, bytes: usize) {
        self.state.lock().unwrap().bytes_max = Some(bytes);
    }

    /// Requests that hold this text get 400 as a whole.
    pub fn refuse(&self, text: &str) {
        self.state.lock().unwrap().refused_text = Some(text.to_owned());
    }

    /// Ends one [`Deed::Hold`].
    pub fn release(&self) {
        self.released.notify_one();
    }

    /// Waits until `n` requests have arrived, and answers the ids in each.
    pub async fn requests(&self, n: usize) -> Vec<Vec<String>> {
        loop {
            let arrived = self.arrived.notified();
            let requests = self.state.lock().unwrap().requests.clone();
            if requests.len() >= n {
                return requests;
            }
            arrived.await;
        }
    }

    pub fn documents(&self) -> BTreeMap<String, Stored> {
        self.state.lock().unwrap().documents.clone()
    }

    /// Documents that came before the one in front of them in their source was stored: there must never be any, as long
    /// as all of a source is sent and its first position is 0.
    pub fn holes(&self) -> Vec<String> {
        self.state.lock().unwrap().holes.clone()
    }

    /// Messages of the documents of an index, in order of id.
    pub fn messages(&self, index: &str) -> Vec<String> {
        let documents = self.documents();
        let of_index = documents.values().filter(|stored| stored.index == index);
        of_index.map(|stored| stored.document["message"].as_str().unwrap_or("").to_owned()).collect()
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        loop {
            let Some((path, body)) = request(&mut stream, &mut bytes).await else { return };
            let (status, answer) = if path.starts_with("/_bulk") {
                match self.bulk(&body).await {
                    Some(answer) => answer,
                    None => return,
                }
            } else if self.is_weir {
                (200, json!({"weir": {"version": "0.1.0"}, "version": {"number": "8.17.0"}}))
            } else {
                (200, json!({"version": {"number": "8.17.0"}, "tagline": "You Know, for Search"}))
            };
            let answer = answer.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\nX-Elastic-Product: Elasticsearch\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            if stream.write_all(format!("{head}{answer}").as_bytes()).await.is_err() {
                return;
            }
        }
    }

    async fn bulk(&self, body: &[u8]) -> Option<(u16, Value)> {
        let text = std::str::from_utf8(body).unwrap();
        assert!(text.ends_with('\n'), "the last line of a _bulk body ends with a line break");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let items: Vec<(&Value, &Value)> = lines.chunks(2).map(|pair| (action(&pair[0]), &pair[1])).collect();
        let deed = {
            let mut state = self.state.lock().unwrap();
            let name = |n: usize, action: &Value| action["_id"].as_str().map_or(format!("#{n}"), str::to_owned);
            let ids = items.iter().enumerate().map(|(n, (action, _))| name(n, action)).collect();
            state.requests.push(ids);
            if state.bytes_max.is_some_and(|max| body.len() > max) {
                Some(Deed::Status(413))
            } else if state.refused_text.as_ref().is_some_and(|refused| {
                // A dead letter quotes the text; it is taken.
                items.iter().any(|(_, doc)| doc["message"].as_str().is_some_and(|message| message == refused))
            }) {
                Some(Deed::Status(400))
            } else {
                state.deeds.pop_front()
            }
        };
        self.arrived.notify_waiters();
        let mut given = Vec::new();
        match &deed {
            Some(Deed::Status(status)) => return Some((*status, json!({"error": {"type": "x", "reason": "told to"}}))),
            Some(Deed::CutBefore) => return None,
            Some(Deed::Items(statuses)) => given.clone_from(statuses),
            Some(Deed::Hold) => self.released.notified().await,
            _ => {}
        }
        let mut answers = Vec::new();
        let mut has_errors = false;
        let mut state = self.state.lock().unwrap();
        for (n, (action, document)) in items.iter().enumerate() {
            let status = match given.get(n) {
                Some(status) => *status,
                None => {
                    state.nameless += usize::from(action["_id"].is_null());
                    let id = action["_id"].as_str().map_or(format!("nameless-{:05}", state.nameless), str::to_owned);
                    let stored = Stored {
                        index: action["_index"].as_str().unwrap().to_owned(),
                        end: action["_end"].as_u64(),
                        document: (*document).clone(),
                    };
                    if let (Some((source, start)), Some(end)) = (id.rsplit_once('-'), stored.end) {
                        let start: u64 = start.parse().unwrap();
                        let mark = state.marks.entry(source.to_owned()).or_default();
                        let leaves_hole = start > *mark;
                        *mark = end.max(*mark);
                        if leaves_hole {
                            state.holes.push(id.clone());
                        }
                    }
                    match state.documents.entry(id) {
                        Entry::Occupied(_) => 409,
                        Entry::Vacant(place) => {
                            place.insert(stored);
                            201
                        }
                    }
                }
            };
            has_errors |= status >= 400;
            answers.push(if status >= 400 {
                json!({"create": {"status": status, "error": {"type": "told", "reason": "told to"}}})
            } else {
                json!({"create": {"status": status}})
            });
        }
        if matches!(deed, Some(Deed::OneItemTooFew)) {
            answers.pop();
        }
        if matches!(deed, Some(Deed::CutAfter)) {
            return None;
        }
        Some((200, json!({"errors": has_errors, "items": answers})))
    }
}

/// What an action line says, whichever action it is.
fn action(line: &Value) -> &Value {
    line.as_object().unwrap().values().next().unwrap()
}

/// Path and body of the next request on a connection.
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
                .unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let mut body = bytes[end + 4..end + 4 + length].to_vec();
                if head.to_ascii_lowercase().contains("content-encoding: gzip") {
                    let mut plain = Vec::new();
                    flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
                    body = plain;
                }
                bytes.drain(..end + 4 + length);
                return Some((head.split(' ').nth(1)?.to_owned(), body));
            }
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}
