//! The inputs `tcp` and `syslog` over TCP: frames until the peer is done.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use weir_daemon::Shutdown;

use crate::event::{Event, FieldPath, Value};
use crate::input::accept;
use crate::input::codec::{Codec, Decoder};
use crate::input::feed::{Chunk, Sender};
use crate::input::frames::{Frame, Frames, Framing};
use crate::input::listener::ServerTls;
use crate::input::syslog_event;

/// Bytes of one line. Syslog's are far shorter; what is longer is cut and tagged.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;
/// Lines held back by a multiline codec are sent when nothing more came for this long.
pub(crate) const MULTILINE_WAIT: Duration = Duration::from_secs(2);
/// A peer that sends nothing for this long is let go.
const IDLE_TIME_MAX: Duration = Duration::from_secs(3600);
/// How frames become events.
#[derive(Clone, Debug)]
pub(crate) enum Dialect {
    /// By a codec, and what an event then says of its peer.
    Codec(Codec, Option<Origin>),
    /// As syslog lines.
    Syslog,
}

/// Where an event says whom it came from, unless it says so itself.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The field of the address.
    pub ip: FieldPath,
    /// The field of the port.
    pub port: Option<FieldPath>,
}

impl Dialect {
    /// The same with the peer in each event.
    pub fn from(self, origin: Origin) -> Self {
        match self {
            Self::Codec(codec, _) => Self::Codec(codec, Some(origin)),
            Self::Syslog => Self::Syslog,
        }
    }
}

/// Accepts and reads until shutdown.
pub(crate) async fn serve(listener: TcpListener, dialect: Dialect, tls: ServerTls, sender: Sender, shutdown: Shutdown) {
    accept::serve(listener, tls, shutdown.clone(), |stream, peer| {
        let (dialect, sender, shutdown) = (dialect.clone(), sender.clone(), shutdown.clone());
        async move {
            let mut stream = stream;
            tokio::select! {
                () = shutdown.cancelled() => {}
                result = read(&mut stream, peer, &dialect, &sender) => if let Err(error) = result {
                    tracing::debug!(%peer, %error, "connection lost");
                }
            }
            // A TLS peer is told that this is the end. It may be gone, and nothing more is owed to it.
            let _ = stream.shutdown().await;
        }
    })
    .await;
}

async fn read(
    mut stream: impl AsyncRead + Unpin,
    peer: SocketAddr,
    dialect: &Dialect,
    sender: &Sender,
) -> std::io::Result<()> {
    let framing = if matches!(dialect, Dialect::Syslog) { Framing::Syslog } else { Framing::Lines };
    let mut frames = Frames::new(framing, LINE_BYTES_MAX);
    let mut reader = Reader::new(dialect, peer);
    loop {
        let wait = if reader.holds() { MULTILINE_WAIT } else { IDLE_TIME_MAX };
        let mut events = Vec::new();
        let mut is_over = false;
        match tokio::time::timeout(wait, stream.read_buf(frames.space())).await {
            Ok(read) => {
                is_over = read? == 0;
                while let Some(frame) = frames.next() {
                    reader.frame(&frame, &mut events);
                }
                if is_over {
                    if let Some(frame) = frames.last() {
                        reader.frame(&frame, &mut events);
                    }
                    reader.flush(&mut events);
                }
            }
            Err(_) if reader.holds() => reader.flush(&mut events),
            Err(error) => return Err(error.into()),
        }
        if !events.is_empty() && sender.send(Chunk { events, delivered: None }).await.is_err() {
            return Ok(());
        }
        if is_over {
            return Ok(());
        }
    }
}

/// Makes events of the frames of one peer.
pub(crate) struct Reader {
    decoder: Option<Decoder>,
    about: Vec<(FieldPath, Value)>,
    peer: SocketAddr,
}

impl Reader {
    /// A reader in this dialect.
    pub fn new(dialect: &Dialect, peer: SocketAddr) -> Self {
        let (decoder, origin) = match dialect {
            Dialect::Codec(codec, origin) => (Some(codec.decoder()), origin.as_ref()),
            Dialect::Syslog => (None, None),
        };
        let mut about = Vec::new();
        if let Some(origin) = origin {
            about.push((origin.ip.clone(), Value::Text(peer.ip().to_string().into())));
            about.extend(origin.port.clone().map(|port| (port, Value::Int(peer.port().into()))));
        }
        Self { decoder, about, peer }
    }

    /// Appends the events of a frame.
    pub fn frame(&mut self, frame: &Frame, events: &mut Vec<Event>) {
        let before = events.len();
        match &mut self.decoder {
            Some(decoder) => decoder.frame(&frame.bytes, events),
            None if frame.bytes.is_empty() => {}
            None => events.push(syslog_event::event(&frame.bytes, self.peer.ip())),
        }
        if frame.cut
            && let Some(event) = events.last_mut()
        {
            event.add_tag("_truncated");
        }
        self.tell_origin(&mut events[before..]);
    }

    fn tell_origin(&self, events: &mut [Event]) {
        for event in events {
            for (path, value) in &self.about {
                if event.get(path).is_none() {
                    event.set(path, value.clone());
                }
            }
        }
    }

    /// Whether lines are held back.
    pub fn holds(&self) -> bool {
        self.decoder.as_ref().is_some_and(Decoder::holds)
    }

    /// Appends what is held back.
    pub fn flush(&mut self, events: &mut Vec<Event>) {
        let before = events.len();
        if let Some(decoder) = &mut self.decoder {
            decoder.flush(events);
        }
        self.tell_origin(&mut events[before..]);
    }
}
