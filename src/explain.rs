//! `weir explain`: each line's way through the pipelines, with what every filter changed, coloured on a terminal.

use std::io::{self, BufRead, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use hyper::Method;
use weir_aggregator::event::Event;
use weir_aggregator::pipeline::explain;

use crate::cli::{Common, PipelineFlags};
use crate::http::{self, AccessFlags};
use crate::settings::Typed;

/// Longest line that is explained; the rest of a longer one is taken for the next.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Pipelines are told from the sample by their names.
const PIPELINE_EXTENSIONS: [&str; 3] = ["conf", "yml", "yaml"];

/// Reads lines from the sample among `files`, or standard input, and prints their ways through the pipelines among
/// them, or those of the settings.
///
/// # Errors
/// Pipelines that are wrong, or a sample that cannot be read.
pub fn run(common: &Common, flags: &PipelineFlags, files: &[PathBuf]) -> Result<(), String> {
    let is_pipeline = |path: &Path| {
        let extension = path.extension().unwrap_or_default();
        path.is_dir() || PIPELINE_EXTENSIONS.iter().any(|known| extension == *known)
    };
    let (pipelines, samples): (Vec<PathBuf>, Vec<PathBuf>) = files.iter().cloned().partition(|path| is_pipeline(path));
    if let [_, second, ..] = &samples[..] {
        return Err(format!("{} is one sample too many; pipelines end with .conf", second.display()));
    }
    let mut flags = flags.clone();
    flags.pipelines.extend(pipelines);
    let mut typed = Typed::read(common).map_err(crate::told)?;
    typed.pipeline_flags(&flags);
    let program = typed.aggregator().map_err(crate::told)?.program();
    let program = program
        .checked()
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let unreadable = |error: io::Error| format!("the sample cannot be read: {error}");
    let mut input: Box<dyn BufRead> = match samples.first() {
        Some(path) => Box::new(io::BufReader::new(std::fs::File::open(path).map_err(unreadable)?)),
        None => Box::new(io::stdin().lock()),
    };
    let colours = io::stdout().is_terminal();
    loop {
        let mut line = Vec::new();
        let read = io::Read::take(&mut input, LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(unreadable)?;
        if read == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        let event = Event::from_message(text.trim_end_matches(['\n', '\r']).to_owned());
        if !print(&format!("{}\n", explain(&program, event).show(colours)))? {
            return Ok(());
        }
    }
}

/// Prints what the aggregator whose admin port is `url` has dropped of a service lately, and the ways there.
///
/// # Errors
/// When it does not answer, or has dropped nothing.
pub async fn last_dropped(service: &str, access: &AccessFlags, url: &str) -> Result<(), String> {
    let name: String = service.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let url = format!("{}/dropped?service={name}&colours={}", url.trim_end_matches('/'), io::stdout().is_terminal());
    let (status, body) = http::ask(access, Method::GET, &url, None).await?;
    let text = String::from_utf8_lossy(&body);
    if !status.is_success() {
        return Err(text.trim_end().to_owned());
    }
    print(&text).map(drop)
}

/// False when the reader went away, as `head` does.
fn print(text: &str) -> Result<bool, String> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("cannot print: {error}")),
        Ok(()) => Ok(true),
    }
}
