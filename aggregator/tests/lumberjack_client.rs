//! A Lumberjack client: sends bytes, reads acknowledgements.

use std::collections::VecDeque;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_lumberjack::{AckDecoder, Answer, Compressor, Window};

pub struct Client {
    pub stream: TcpStream,
    decoder: AckDecoder,
    acks: VecDeque<u32>,
    /// Versions of events in parts that the server has offered to take.
    pub offers: Vec<u32>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self { stream, decoder: AckDecoder::new(), acks: VecDeque::new(), offers: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next acknowledgement, signs of life too; `None` when the server has closed.
    pub async fn any_ack(&mut self) -> Option<u32> {
        loop {
            if let Some(ack) = self.acks.pop_front() {
                return Some(ack);
            }
            let mut bytes = [0; 600];
            let read = self.stream.read(&mut bytes).await.unwrap_or(0);
            if read == 0 {
                return None;
            }
            let mut input = &bytes[..read];
            while let Some(answer) = self.decoder.next(&mut input).unwrap() {
                match answer {
                    Answer::Ack(ack) => self.acks.push_back(ack),
                    Answer::Offer(version) => self.offers.push(version),
                }
            }
        }
    }

    /// The next acknowledgement that is no sign of life; `None` when the server has closed.
    pub async fn ack(&mut self) -> Option<u32> {
        loop {
            match self.any_ack().await {
                Some(0) => {}
                ack => return ack,
            }
        }
    }
}

/// A window of documents, compressed as Filebeat does.
pub fn window(documents: &[String]) -> Vec<u8> {
    let mut window = Window::new();
    for document in documents {
        let mut slot = window.event();
        slot.buffer().extend_from_slice(document.as_bytes());
        slot.commit().unwrap();
    }
    let mut bytes = Vec::new();
    window.compress(&mut Compressor::new(3), &mut bytes).unwrap();
    bytes
}

/// Document `n` of source `source` as weir's shipper writes it: 100 positions each.
pub fn document(source: u64, n: u64, message: &str) -> String {
    let (start, end) = (n * 100, n * 100 + 100);
    format!(
        "{{\"@timestamp\":\"2024-05-01T12:00:00.000000001Z\",\"message\":\"{message}\",\"stream\":\"stdout\",\
         \"@metadata\":{{\"weir\":{{\"start\":{start},\"end\":{end},\"source\":\"{source:016x}\"}},\
         \"beat\":\"weir\",\"type\":\"_doc\",\"version\":\"0.1.0\"}},\"log\":{{\"offset\":{start},\
         \"file\":{{\"path\":\"/var/lib/docker/containers/abc/abc-json.log\"}}}},\"host\":{{\"name\":\"node\"}},\
         \"container\":{{\"id\":\"abc\",\"name\":\"web.1\",\"image\":{{\"name\":\"web:1\"}}}},\
         \"service\":{{\"name\":\"web\"}}}}"
    )
}

/// `_id` of that document.
pub fn id(source: u64, n: u64) -> String {
    format!("{source:016x}-{}", n * 100)
}

/// Sends a window over any stream and reads the acknowledgement that is no sign of life; `None` when the server closes.
pub async fn exchange(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    window: &[u8],
) -> std::io::Result<Option<u32>> {
    stream.write_all(window).await?;
    stream.flush().await?;
    let mut decoder = AckDecoder::new();
    let mut bytes = [0; 600];
    loop {
        let read = stream.read(&mut bytes).await?;
        if read == 0 {
            return Ok(None);
        }
        let mut input = &bytes[..read];
        while let Some(answer) = decoder.next(&mut input).map_err(std::io::Error::other)? {
            if let Answer::Ack(ack @ 1..) = answer {
                return Ok(Some(ack));
            }
        }
    }
}
