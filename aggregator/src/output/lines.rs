//! The outputs `stdout` and `file`: events as text, one after the other.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::event::{Event, Text};
use crate::output::backoff::Backoff;
use crate::output::rubydebug;
use crate::pipeline::template::Template;

/// Longest wait before a file that cannot be written is tried again.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How an event becomes text.
#[derive(Clone, Debug)]
pub(crate) enum Codec {
    /// One JSON object a line.
    JsonLines,
    /// JSON objects without line breaks between them, as Logstash's `json` codec writes them.
    Json,
    /// A template and a line break.
    Line(Template),
    /// A template and nothing.
    Plain(Template),
    /// One dot an event.
    Dots,
    /// For people; with `[@metadata]` if the flag is set.
    RubyDebug(bool),
}

impl Codec {
    /// Appends an event.
    pub fn write(&self, event: &Event, out: &mut Vec<u8>) {
        match self {
            Self::JsonLines => {
                event.write_json(out);
                out.push(b'\n');
            }
            Self::Json => event.write_json(out),
            Self::Line(template) => {
                out.extend_from_slice(template.render(event).as_bytes());
                out.push(b'\n');
            }
            Self::Plain(template) => out.extend_from_slice(template.render(event).as_bytes()),
            Self::Dots => out.push(b'.'),
            Self::RubyDebug(with_metadata) => rubydebug::write(event, *with_metadata, out),
        }
    }
}

/// Text that is still to be written, and where each stretch of it belongs.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// File name and end of each stretch; standard output has no stretches.
    stretches: Vec<(Text, usize)>,
}

impl Lines {
    /// Appends an event to be written to `file`.
    pub fn push(&mut self, codec: &Codec, event: &Event, file: Option<Text>) {
        codec.write(event, &mut self.bytes);
        let end = self.bytes.len();
        if let Some(file) = file {
            match self.stretches.last_mut() {
                Some((last, last_end)) if *last == file => *last_end = end,
                _ => self.stretches.push((file, end)),
            }
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Cuts it back to `bytes`.
    pub fn truncate(&mut self, bytes: usize) {
        self.bytes.truncate(bytes);
        let before = self.stretches.iter().take_while(|(_, end)| *end < bytes).count();
        self.stretches.truncate(before + 1);
        if let Some((_, end)) = self.stretches.last_mut() {
            *end = bytes.min(*end);
        }
        if bytes == 0 {
            self.stretches.clear();
        }
    }

    /// Moves what lies behind `bytes` into lines of its own.
    pub fn split_off(&mut self, bytes: usize) -> Self {
        let tail = self.bytes[bytes..].to_vec();
        let after = self.stretches.iter().filter(|(_, end)| *end > bytes);
        let stretches = after.map(|(file, end)| (file.clone(), end - bytes)).collect();
        self.truncate(bytes);
        Self { bytes: tail, stretches }
    }

    /// Writes it all to standard output.
    pub async fn print(self) {
        let writing = tokio::task::spawn_blocking(move || {
            let mut out = std::io::stdout().lock();
            out.write_all(&self.bytes).and_then(|()| out.flush())
        });
        match writing.await {
            Ok(Ok(())) => {}
            // A reader such as `head` has gone: nobody is there to be told.
            Ok(Err(error)) => tracing::warn!(%error, "standard output"),
            Err(error) => tracing::error!(%error, "standard output"),
        }
    }

    /// Appends it all to its files, making folders on the way. Tries again for as long as it takes.
    pub async fn append_to_files(self) {
        let mut backoff = Backoff::new(WAIT_MAX);
        let mut start = 0;
        for (file, end) in &self.stretches {
            let mut stretch = self.bytes[start..*end].to_vec();
            start = *end;
            loop {
                let path = file.clone();
                let writing = tokio::task::spawn_blocking(move || append(Path::new(&*path), stretch));
                // It ends early only with the process, and then nothing is acknowledged any more.
                let Ok((rest, result)) = writing.await else { return std::future::pending().await };
                let Err(error) = result else { break };
                stretch = rest;
                let wait = backoff.wait(None);
                tracing::warn!(file = &**file, %error, "cannot write; trying again");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// Appends bytes to a file. Answers those that are not written, and why.
fn append(path: &Path, bytes: Vec<u8>) -> (Vec<u8>, std::io::Result<()>) {
    let mut written = 0;
    let result = (|| {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        while written < bytes.len() {
            match file.write(&bytes[written..]) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // What is acknowledged must be there after a power cut too.
        file.sync_data()
    })();
    (bytes[written..].to_vec(), result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[(&str, &str)]) -> Lines {
        let mut lines = Lines::default();
        for (file, text) in texts {
            let codec = Codec::Line(Template::parse("%{message}"));
            lines.push(&codec, &Event::from_message(*text), Some((*file).into()));
        }
        lines
    }

    #[tokio::test]
    async fn stretches_go_to_their_files_and_parts_keep_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let name = |file: &str| folder.path().join("new").join(file).to_string_lossy().into_owned();
        let (a, b) = (name("a"), name("b"));
        let mut all = lines(&[(&a, "1"), (&a, "2"), (&b, "3"), (&a, "4")]);
        let tail = all.split_off(4);
        assert_eq!((all.bytes(), tail.bytes()), (4, 4));
        all.append_to_files().await;
        tail.append_to_files().await;
        let mut cut = lines(&[(&a, "5"), (&b, "6")]);
        cut.truncate(2);
        cut.append_to_files().await;
        assert_eq!(std::fs::read_to_string(&a).unwrap(), "1\n2\n4\n5\n");
        assert_eq!(std::fs::read_to_string(&b).unwrap(), "3\n");
    }

    #[test]
    fn codecs() {
        let event = Event::from_json(r#"{"message":"hi","n":1}"#.into()).unwrap();
        let text = |codec: &Codec| {
            let mut out = Vec::new();
            codec.write(&event, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(&Codec::JsonLines), "{\"message\":\"hi\",\"n\":1}\n");
        assert_eq!(text(&Codec::Json), "{\"message\":\"hi\",\"n\":1}");
        assert_eq!(text(&Codec::Line(Template::parse("%{message}-%{n}"))), "hi-1\n");
        assert_eq!(text(&Codec::Plain(Template::parse("%{message}"))), "hi");
        assert_eq!(text(&Codec::Dots), ".");
    }
}
