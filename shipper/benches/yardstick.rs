//! How fast this machine is just now: finds the fields of a Docker log by position, copies them into Lumberjack frames with
//! a container's metadata, and throws the windows away, or compresses them at level 1 first. Where the aims of the benches
//! come from, a program like it does 2,270 MB of log per CPU-second, and 212 with compression. Nothing is checked.
//!
//!     cargo bench --workspace --bench yardstick -- FILE [zlib]

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use memchr::{memchr_iter, memrchr};

const READ_BYTES: usize = 256 << 10;
const WINDOW_EVENTS: u32 = 2_048;
/// Before the text of a line, and behind it: what Docker's driver writes.
const BEFORE_TEXT: usize = r#"{"log":""#.len();
const BEHIND_TEXT: usize = r#"","stream":"stdout","time":"2024-05-01T12:00:00.000000001Z"}"#.len();
const TIME: usize = r#"2024-05-01T12:00:00.000000001Z"}"#.len();

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Some(path) = arguments.first() else {
        println!("left out: the yardstick, because no log was named: -- FILE [zlib]");
        return Ok(());
    };
    let zlib = arguments.get(1).is_some_and(|argument| argument == "zlib");
    let id = "0123456789abcdef".repeat(4);
    let close = format!(
        r#","file":{{"path":"/var/lib/docker/containers/{id}/{id}-json.log"}}}},"host":{{"name":"node-1.example.internal"}},"container":{{"id":"{id}","name":"shop_api.1.abcdefghijklmnopqrstuvwxy","image":{{"name":"registry.example/shop/api:1.2.3"}}}},"service":{{"name":"shop_api"}},"stream":"stdout","ecs":{{"version":"8.0.0"}},"input":{{"type":"container"}}}}"#
    );
    let (mut file, mut sink) = (File::open(path)?, OpenOptions::new().write(true).open("/dev/null")?);
    let (mut buffer, mut kept, mut window) = (vec![0; READ_BYTES], 0, Vec::new());
    let (mut offset, mut events, mut sent) = (0, 0_u32, 0);
    let begun = cpu_seconds()?;
    loop {
        let read = file.read(&mut buffer[kept..])?;
        let filled = kept + read;
        let Some(last) = memrchr(b'\n', &buffer[..filled]).filter(|_| read > 0) else { break };
        let mut at = 0;
        for end in memchr_iter(b'\n', &buffer[..=last]) {
            let line = &buffer[at..end];
            let time = line.len().saturating_sub(TIME);
            let text =
                BEFORE_TEXT.min(line.len())..line.len().saturating_sub(BEHIND_TEXT).max(BEFORE_TEXT.min(line.len()));
            events += 1;
            let header = window.len();
            window.extend_from_slice(b"2J");
            window.extend_from_slice(&events.to_be_bytes());
            window.extend_from_slice(&[0; 4]);
            window.extend_from_slice(br#"{"@timestamp":""#);
            window.extend_from_slice(&line[time..line.len().saturating_sub(2).max(time)]);
            window.extend_from_slice(br#"","message":""#);
            window.extend_from_slice(&line[text]);
            write!(window, r#"","log":{{"offset":{}"#, offset + at)?;
            window.extend_from_slice(close.as_bytes());
            let length = (window.len() - header - 10) as u32;
            window[header + 6..header + 10].copy_from_slice(&length.to_be_bytes());
            at = end + 1;
            if events.is_multiple_of(WINDOW_EVENTS) {
                if zlib {
                    let mut encoder = ZlibEncoder::new(Vec::with_capacity(window.len()), Compression::new(1));
                    encoder.write_all(&window)?;
                    window = encoder.finish()?;
                }
                sink.write_all(&window)?;
                sent += window.len();
                window.clear();
            }
        }
        offset += at;
        buffer.copy_within(at..filled, 0);
        kept = filled - at;
    }
    let (seconds, megabytes) = (cpu_seconds()? - begun, offset as f64 / 1e6);
    println!(
        "{megabytes:.0} MB of log, {:.0} MB of windows: {:.0} MB of log per CPU-second",
        sent as f64 / 1e6,
        megabytes / seconds
    );
    Ok(())
}

/// Processor time of this process, user and system.
fn cpu_seconds() -> io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    // Linux counts in hundredths of a second for programs, whatever its own clock does.
    Ok((ticks(11) + ticks(12)) / 100.0)
}
