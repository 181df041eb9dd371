//! An aggregator and an indexer in one: a Lumberjack server that stores events by their identity, by the rules of the
//! indexer (one mark for each source), and acknowledges what it stored.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use weir_lumberjack::{Decoder, Item, Limits, encode_ack, encode_offer};

/// Time in which what must happen has happened, or the test has failed: far above what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(240);

/// What is stored of one source: documents by their start, and the highest end.
#[derive(Default)]
struct Source {
    documents: BTreeMap<u64, Value>,
    mark: u64,
    /// Events of all sources that were stored before the first of this one.
    before_first: u64,
}

#[derive(Default)]
struct Shared {
    sources: Mutex<BTreeMap<String, Source>>,
    peers: Mutex<Vec<TcpStream>>,
    /// Events that were stored.
    stored: AtomicU64,
    /// Events that came again.
    repeated: AtomicU64,
    silent: AtomicBool,
    /// Connections so far: every other one is offered to take events in parts.
    connections: AtomicU64,
    /// Cut every connection after this many bytes read, when it is not 0.
    cut_after: AtomicU64,
    stop: AtomicBool,
}

/// The running sink.
pub struct Sink {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Sink {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let inner = shared.clone();
        std::thread::spawn(move || {
            for peer in listener.incoming() {
                if inner.stop.load(Ordering::Relaxed) {
                    return;
                }
                let peer = peer.unwrap();
                inner.peers.lock().unwrap().push(peer.try_clone().unwrap());
                let inner = inner.clone();
                std::thread::spawn(move || serve(peer, &inner));
            }
        });
        Self { address, shared }
    }

    /// Acknowledges nothing (and stores nothing) while `silent`.
    pub fn silence(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::Relaxed);
    }

    /// Breaks every connection there is.
    pub fn hang_up(&self) {
        for peer in self.shared.peers.lock().unwrap().drain(..) {
            // It may be closed already.
            let _ = peer.shutdown(Shutdown::Both);
        }
    }

    /// Cuts every further connection when it has brought this many bytes.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.cut_after.store(bytes, Ordering::Relaxed);
    }

    /// Events that were sent although they were stored already.
    pub fn repeated(&self) -> u64 {
        self.shared.repeated.load(Ordering::Relaxed)
    }

    /// Everything that is stored, source by source in the order of positions.
    pub fn documents(&self) -> Vec<Value> {
        self.documents_where(|_| true)
    }

    /// What is stored and wanted, in the same order.
    pub fn documents_where(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let sources = self.shared.sources.lock().unwrap();
        let documents = sources.values().flat_map(|source| source.documents.values());
        documents.filter(|value| wanted(value)).cloned().collect()
    }

    /// The messages of one container (all when empty), without our own records, source by source.
    pub fn messages(&self, container: &str) -> Vec<String> {
        let of_container = |value: &Value| container.is_empty() || value["container"]["id"] == container;
        let documents = self.documents_where(|value| of_container(value) && value.get("event").is_none());
        documents.into_iter().map(|value| value["message"].as_str().unwrap().to_owned()).collect()
    }

    /// How many messages are stored, without our own records.
    pub fn count(&self) -> usize {
        let sources = self.shared.sources.lock().unwrap();
        let ours = |name: &str| matches!(name.as_bytes().last(), Some(b'2' | b'6' | b'a' | b'e'));
        sources.iter().filter(|(name, _)| !ours(name)).map(|(_, source)| source.documents.len()).sum()
    }

    /// Whether the newest message of a source begins like this.
    pub fn ends_with(&self, beginning: &str) -> bool {
        let sources = self.shared.sources.lock().unwrap();
        let mut newest = sources.values().filter_map(|source| source.documents.values().next_back());
        newest.any(|value| value["message"].as_str().is_some_and(|text| text.starts_with(beginning)))
    }

    /// How many messages of one container are stored, without our own records.
    pub fn count_of(&self, container: &str) -> usize {
        let sources = self.shared.sources.lock().unwrap();
        let ours = |source: &&Source| {
            let first = source.documents.values().next();
            first.is_some_and(|value| value["container"]["id"] == container && value.get("event").is_none())
        };
        sources.values().filter(ours).map(|source| source.documents.len()).sum()
    }

    /// How many events of all containers were stored before the first of this one; `None`: there is none of it.
    pub fn before_first(&self, container: &str) -> Option<u64> {
        let sources = self.shared.sources.lock().unwrap();
        let of_container =
            |source: &&Source| source.documents.values().any(|value| value["container"]["id"] == container);
        sources.values().filter(of_container).map(|source| source.before_first).min()
    }

    /// What the node watch has warned of.
    pub fn warnings(&self) -> Vec<Value> {
        self.documents_where(|value| value["event"]["dataset"] == "weir.node")
    }

    /// Our own records of losses.
    pub fn gaps(&self) -> Vec<Value> {
        self.documents_where(|value| value["event"]["dataset"] == "weir.gap")
    }

    /// Waits until `wanted` holds for the sink.
    pub fn wait(&self, what: &str, mut wanted: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !wanted(self) {
            let scene = || {
                let messages = self.messages("");
                let tail = &messages[messages.len().saturating_sub(3)..];
                format!("{} messages, the last {tail:?}, {} gaps", messages.len(), self.gaps().len())
            };
            assert!(Instant::now() < end, "waited in vain for {what}: {}", scene());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until this many messages are stored.
    pub fn wait_for(&self, messages: usize) {
        self.wait(&format!("{messages} messages"), |sink| sink.count() >= messages);
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.hang_up();
        // Wakes the listener, so that its thread ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut peer: TcpStream, shared: &Shared) {
    let mut decoder = Decoder::new(Limits::default());
    let mut window = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut brought = 0;
    let mut offer = shared.connections.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
    loop {
        let Ok(read @ 1..) = peer.read(&mut buffer) else { return };
        brought += read as u64;
        decoder.space().extend_from_slice(&buffer[..read]);
        while let Some(item) = decoder.next().expect("the shipper speaks Lumberjack") {
            match item {
                Item::Window { .. } => {}
                Item::Event { document, .. } => window.push(document),
                Item::WindowEnd { version, sequence, missing } => {
                    assert_eq!(missing, 0, "a window is sent whole");
                    while shared.silent.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(5));
                        if shared.stop.load(Ordering::Relaxed) || peer.write_all(&encode_ack(version, 0)).is_err() {
                            return;
                        }
                    }
                    for document in window.drain(..) {
                        store(&document, shared);
                    }
                    let cut = shared.cut_after.load(Ordering::Relaxed);
                    if cut > 0 && brought >= cut {
                        // Stored, and the acknowledgement is lost.
                        let _ = peer.shutdown(Shutdown::Both);
                        return;
                    }
                    let mut answer = Vec::new();
                    if std::mem::take(&mut offer) {
                        answer.extend_from_slice(&encode_offer());
                    }
                    answer.extend_from_slice(&encode_ack(version, sequence));
                    if peer.write_all(&answer).is_err() {
                        return;
                    }
                }
            }
        }
    }
}

fn store(document: &[u8], shared: &Shared) {
    let value: Value = serde_json::from_slice(document).unwrap_or_else(|error| {
        panic!("not a JSON document ({error}): {}", String::from_utf8_lossy(document));
    });
    let weir = &value["@metadata"]["weir"];
    let (start, end) = (weir["start"].as_u64().unwrap(), weir["end"].as_u64().unwrap());
    let name = weir["source"].as_str().unwrap().to_owned();
    assert!(start < end, "an event is longer than nothing: {value}");
    assert_eq!(name.len(), 16);
    let mut sources = shared.sources.lock().unwrap();
    let before_first = shared.stored.fetch_add(1, Ordering::Relaxed);
    let source = sources.entry(name).or_insert_with(|| Source { before_first, ..Source::default() });
    if end <= source.mark {
        shared.repeated.fetch_add(1, Ordering::Relaxed);
        return;
    }
    if start < source.mark {
        let regrouped: Vec<u64> = source.documents.range(start..).map(|(start, _)| *start).collect();
        for start in regrouped {
            source.documents.remove(&start);
        }
    }
    source.mark = end;
    source.documents.insert(start, value);
}
