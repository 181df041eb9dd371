//! The model test: random writes, rotations, truncations, compressions, kills and lost acknowledgements against one log,
//! held against a small model of what was written.
//!
//! What must hold after every sequence: each line is stored once and in order; a line is missing only where a gap record
//! covers its place; and where nothing was taken away unseen, nothing is missing and there is no gap record.
//!
//! `WEIR_MODEL_SEEDS=10000` runs more sequences, `WEIR_MODEL_SEED=n` replays one.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use weir_daemon::Metrics;
use weir_lumberjack::{Decoder, Item, Limits, Window};

use crate::batch::Batch;
use crate::counters::Counters;
use crate::multiline::Grouping;
use crate::registry::{Entry, Kind};
use crate::stream::{Format, Out, Rules, Stream};
use crate::watch::Watch;

/// Sequences that the test runs when it is not told otherwise.
const SEEDS: u64 = 300;
/// Sequences that run at once.
const THREADS: usize = 8;
/// Actions of one sequence.
const ACTIONS: usize = 120;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// The writing side, as Docker does it, and what it knows of losses.
struct Writer {
    live: PathBuf,
    file: Option<File>,
    /// Lines written so far: standard output, standard error.
    written: [u64; 2],
    /// Pieces of a line that is not over.
    open: [bool; 2],
    /// A record that is written only in part.
    rest: Vec<u8>,
    /// Whether the shipper has looked since the live file was made: then it holds it.
    seen: bool,
    /// Bytes may have gone away that the shipper could not have read.
    lossy: bool,
    /// Bytes were cut off that the shipper may never have seen, which nothing on disk tells.
    truncated: bool,
    clock: u64,
    /// Every file that was ever made, so that no inode comes back within one tick of the file system's clock: nothing
    /// could tell the two files apart then.
    kept: Vec<File>,
}

impl Writer {
    fn new(live: PathBuf) -> Self {
        let file = Some(File::create(&live).unwrap());
        Self {
            live,
            file,
            written: [0; 2],
            open: [false; 2],
            rest: Vec::new(),
            seen: false,
            lossy: false,
            truncated: false,
            clock: 0,
            kept: Vec::new(),
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        let live = &self.live;
        let open = || OpenOptions::new().append(true).create(true).open(live).unwrap();
        self.file.get_or_insert_with(open).write_all(bytes).unwrap();
    }

    fn complete(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        self.raw(&rest);
    }

    fn record(&mut self, output: usize, text: &str) -> Vec<u8> {
        self.clock += 1;
        let (name, clock) = (["stdout", "stderr"][output], self.clock);
        format!("{{\"log\":\"{text}\",\"stream\":\"{name}\",\"time\":\"2024-05-01T12:00:00.{clock:09}Z\"}}\n")
            .into_bytes()
    }

    fn line(&mut self, random: &mut Random) {
        self.complete();
        let output = random.below(2) as usize;
        let n = self.written[output];
        if self.open[output] {
            let record = self.record(output, "-end\\n");
            self.raw(&record);
            self.open[output] = false;
            self.written[output] += 1;
        } else if random.below(6) == 0 {
            let record = self.record(output, &format!("<{n}>"));
            self.raw(&record);
            self.open[output] = true;
        } else {
            let padding = "x".repeat(random.below(60) as usize);
            let record = self.record(output, &format!("<{n}> {padding}\\n"));
            self.raw(&record);
            self.written[output] += 1;
        }
    }

    /// A record of which only the beginning is on disk.
    fn half(&mut self, random: &mut Random) {
        self.complete();
        let n = self.written[0];
        if self.open[0] {
            return;
        }
        let mut record = self.record(0, &format!("<{n}> half\\n"));
        self.written[0] += 1;
        self.rest = record.split_off(1 + random.below(record.len() as u64 - 1) as usize);
        self.raw(&record);
    }

    fn named(&self, suffix: &str) -> PathBuf {
        let mut name = self.live.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    }

    /// Something that the shipper has not seen goes away: it cannot be blamed.
    fn loses(&mut self, path: &Path) {
        if path.exists() && !self.seen {
            self.lossy = true;
        }
    }

    fn rotate(&mut self, max_file: u32) {
        self.complete();
        self.kept.extend(self.file.take());
        if max_file == 1 {
            self.loses(&self.live.clone());
            std::fs::remove_file(&self.live).unwrap();
        } else {
            for suffix in ["", ".gz"] {
                let oldest = self.named(&format!(".{}{suffix}", max_file - 1));
                self.loses(&oldest);
                // Only when there have been so many rotations.
                let _ = std::fs::remove_file(oldest);
                for number in (1..max_file - 1).rev() {
                    let (from, to) =
                        (self.named(&format!(".{number}{suffix}")), self.named(&format!(".{}{suffix}", number + 1)));
                    let _ = std::fs::rename(from, to);
                }
            }
            std::fs::rename(&self.live, self.named(".1")).unwrap();
        }
        self.file = Some(OpenOptions::new().append(true).create_new(true).open(&self.live).unwrap());
        self.seen = false;
    }

    fn compress(&mut self, leave_source: bool) {
        let (from, to) = (self.named(".1"), self.named(".1.gz"));
        let Ok(plain) = std::fs::read(&from) else { return };
        let mut encoder = GzEncoder::new(File::create(to).unwrap(), Compression::fast());
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap();
        if !leave_source {
            self.kept.push(File::open(&from).unwrap());
            std::fs::remove_file(from).unwrap();
        }
    }

    fn truncate(&mut self) {
        self.complete();
        self.lossy = true;
        self.truncated = true;
        OpenOptions::new().write(true).open(&self.live).unwrap().set_len(0).unwrap();
    }
}

/// The reading side: a shipper without its threads, and the index behind it.
struct Reader {
    live: PathBuf,
    watch: Watch,
    stream: Stream,
    registry: Option<Entry>,
    batch: Batch,
    flying: VecDeque<(Vec<Value>, [u64; 3])>,
    stored: BTreeMap<String, (u64, BTreeMap<u64, Value>)>,
    rules: Rules,
    counters: Counters,
    buffer: Vec<u8>,
}

impl Reader {
    fn new(live: PathBuf) -> Self {
        let rules = Rules {
            line_bytes_max: 10_000,
            window_events: 20,
            window_bytes: 100_000,
            host_name: "h".to_owned(),
            node: "n".to_owned(),
            labels: Vec::new(),
            grouping: Grouping::Off,
            strip_ansi: false,
            format: Format::Plain,
        };
        let mut reader = Self {
            stream: Stream::new(Kind::Docker, "c".to_owned(), live.clone()),
            live,
            watch: Watch::new(),
            registry: None,
            batch: Batch::default(),
            flying: VecDeque::new(),
            stored: BTreeMap::new(),
            rules,
            counters: Counters::new(&Metrics::new()),
            buffer: vec![0; 2_000],
        };
        reader.start();
        reader
    }

    fn start(&mut self) {
        self.stream = match self.registry.clone() {
            Some(entry) => Stream::resume(entry, self.live.clone()),
            None => Stream::new(Kind::Docker, "c".to_owned(), self.live.clone()),
        };
        self.stream.describe(None, &self.rules);
        self.watch = Watch::new();
        self.watch.log(0, &self.live);
        self.batch.clear();
        self.flying.clear();
    }

    fn look(&mut self) {
        let watch = &mut self.watch;
        if self.stream.chain.look(&mut || watch.created(0)).unwrap() == crate::tail::Look::Changed {
            self.stream.unsaved = true;
        }
    }

    /// Reads a little and closes the window. Answers whether anything moved.
    fn read(&mut self) -> bool {
        let turn = {
            let mut out = Out { batch: &mut self.batch, rules: &self.rules, counters: &self.counters };
            self.stream.read(&mut self.buffer, 5_000, &mut out).unwrap()
        };
        if !turn.moved {
            return false;
        }
        if self.stream.unsaved {
            self.stream.unsaved = false;
            self.registry = Some(self.stream.entry());
        }
        let mut decoder = Decoder::new(Limits::default());
        // An aggregator of ours takes the window as it is; every other one gets whole documents.
        let mut whole = Window::new();
        self.batch.window.whole(&mut whole).unwrap();
        let window = if self.flying.len().is_multiple_of(2) { &mut whole } else { &mut self.batch.window };
        decoder.space().extend_from_slice(window.plain());
        let mut documents = Vec::new();
        while let Some(item) = decoder.next().unwrap() {
            if let Item::Event { document, .. } = item {
                documents.push(serde_json::from_slice(&document).unwrap());
            }
        }
        self.flying.push_back((documents, self.stream.safe()));
        self.batch.clear();
        true
    }

    /// The oldest window reaches the index; its acknowledgement may be lost.
    fn deliver(&mut self, acknowledged: bool) {
        let Some((documents, safe)) = self.flying.front() else { return };
        for value in documents {
            let weir = &value["@metadata"]["weir"];
            let (start, end) = (weir["start"].as_u64().unwrap(), weir["end"].as_u64().unwrap());
            let (mark, stored) = self.stored.entry(weir["source"].as_str().unwrap().to_owned()).or_default();
            if end <= *mark {
                continue;
            }
            // A kill between a gap record and its acknowledgement, and more is lost: one wider record takes its place.
            assert!(start >= *mark || value.get("event").is_some(), "lines are not regrouped here: {value}");
            stored.retain(|known, _| !(start..*mark).contains(known));
            *mark = end;
            stored.insert(start, value.clone());
        }
        if acknowledged {
            self.stream.acknowledge(*safe);
            self.flying.pop_front();
        }
    }

    fn save(&mut self) {
        self.registry = Some(self.stream.entry());
    }

    /// Half a second of quiet: everything is read and acknowledged.
    fn finish(&mut self) {
        loop {
            self.look();
            let moved = self.read();
            while !self.flying.is_empty() {
                self.deliver(true);
            }
            if !moved {
                break;
            }
        }
    }
}

fn run(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("c-json.log");
    let mut writer = Writer::new(live.clone());
    let mut reader = Reader::new(live);
    let max_file = 1 + random.below(4) as u32;
    let compress = random.below(4) == 0 && max_file > 2;
    let truncate = random.below(4) == 0;
    let mut story = vec![format!("max-file {max_file}, compress {compress}, truncate {truncate}")];
    let mut tell = |what: String| story.push(what);
    for _ in 0..ACTIONS {
        match random.below(20) {
            0..=5 => {
                let lines = random.below(12);
                (0..lines).for_each(|_| writer.line(&mut random));
                tell(format!("{lines} lines"));
            }
            6 => {
                writer.half(&mut random);
                tell("half a record".to_owned());
            }
            7 | 8 => {
                writer.rotate(max_file);
                tell("rotate".to_owned());
            }
            9 if compress => {
                let leave_source = random.below(3) == 0;
                writer.compress(leave_source);
                tell(format!("compress, leave source {leave_source}"));
            }
            10 if truncate => {
                writer.truncate();
                tell("truncate".to_owned());
            }
            11 | 12 => {
                reader.look();
                writer.seen = true;
                tell("look".to_owned());
            }
            13..=15 => {
                reader.look();
                writer.seen = true;
                let moved = reader.read();
                tell(format!("look and read: {moved}"));
            }
            16 => {
                reader.deliver(false);
                tell("deliver, acknowledgement lost or late".to_owned());
            }
            17 => {
                reader.deliver(true);
                tell("deliver".to_owned());
            }
            18 => {
                reader.save();
                tell("save".to_owned());
            }
            _ if random.below(3) == 0 => {
                // What was only held open is gone with the process.
                reader.start();
                writer.seen = false;
                writer.lossy = true;
                tell("kill and start".to_owned());
            }
            _ => {}
        }
    }
    for output in [0, 1] {
        while writer.open[output] {
            writer.line(&mut random);
        }
    }
    writer.complete();
    reader.finish();
    check(seed, &writer, &reader, &story);
}

fn check(seed: u64, writer: &Writer, reader: &Reader, story: &[String]) {
    let interval = |value: &Value| {
        let weir = &value["@metadata"]["weir"];
        (weir["start"].as_u64().unwrap(), weir["end"].as_u64().unwrap())
    };
    let all: Vec<&Value> = reader.stored.values().flat_map(|(_, stored)| stored.values()).collect();
    let gaps: Vec<_> = all.iter().filter(|value| value.get("event").is_some()).map(|value| interval(value)).collect();
    let fail = |what: String| -> ! {
        let lines: Vec<_> =
            all.iter().map(|value| format!("{:?} {} {}", interval(value), value["stream"], value["message"])).collect();
        panic!("seed {seed}: {what}\nstory: {story:?}\nstored: {lines:#?}\n(WEIR_MODEL_SEED={seed} replays it)");
    };
    for (output, name) in ["stdout", "stderr"].into_iter().enumerate() {
        let mut lines: Vec<&&Value> = all.iter().filter(|value| value["stream"] == name).collect();
        lines.sort_by_key(|value| interval(value).0);
        let (mut next, mut before, mut torn) = (0, 0, false);
        // What was taken away before the first look is not on record: nobody knows that it was there.
        let unseen = |before: u64| writer.truncated || (writer.lossy && before == 0);
        let accounted =
            |before: u64, start: u64| unseen(before) || gaps.iter().any(|gap| gap.0 < start && before < gap.1);
        for value in lines {
            let text = value["message"].as_str().unwrap();
            let (start, end) = interval(value);
            // Pieces that a loss has brought together make one text of two lines; the later one counts.
            let number = text.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
            let number = number.map_or("", |(number, _)| number).parse::<u64>();
            match number {
                Ok(n) if n == next || (n > next && (torn || accounted(before, start))) => (next, torn) = (n + 1, false),
                // The end of a line whose beginning is lost: which one it was, the next number tells.
                Err(_) if accounted(before, start) => torn = true,
                _ => fail(format!("{name}: {text:?} where {next} is due")),
            }
            before = end;
        }
        if next != writer.written[output] && !torn && !writer.truncated && !gaps.iter().any(|gap| gap.1 >= before) {
            fail(format!("{name}: {next} of {} lines", writer.written[output]));
        }
    }
    if !writer.lossy && !gaps.is_empty() {
        fail(format!("gap records although nothing went away unseen: {gaps:?}"));
    }
}

#[test]
fn random_actions_against_the_model() {
    if let Ok(seed) = std::env::var("WEIR_MODEL_SEED") {
        run(seed.parse().expect("WEIR_MODEL_SEED is a number"));
        return;
    }
    let seeds = std::env::var("WEIR_MODEL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    // Most of a sequence is waiting for the kernel to take down inotify instances.
    let next = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        return;
                    }
                    run(seed);
                }
            });
        }
    });
    println!("{seeds} sequences of {ACTIONS} actions hold");
}

/// Writes lines, lets the shipper look and read `turns` times, truncates, writes more, and has `rotate` take the file away
/// before the next look.
fn truncated_unseen(turns: usize, rotate: impl Fn(&mut Writer)) {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("c-json.log");
    let (mut writer, mut reader) = (Writer::new(live.clone()), Reader::new(live));
    let mut random = Random(5);
    (0..12).for_each(|_| writer.line(&mut random));
    reader.look();
    for _ in 0..turns {
        reader.read();
    }
    writer.truncate();
    (0..40).for_each(|_| writer.line(&mut random));
    rotate(&mut writer);
    (0..12).for_each(|_| writer.line(&mut random));
    while writer.open != [false; 2] {
        writer.line(&mut random);
    }
    reader.finish();
    check(0, &writer, &reader, &[]);
    assert_eq!(reader.counters.corrupt.get(), 0, "old offsets in new bytes");
}

#[test]
fn what_was_truncated_renamed_and_compressed_between_two_looks_is_read_once() {
    let compressed = |writer: &mut Writer| {
        writer.rotate(3);
        writer.compress(false);
    };
    for turns in [0, 1] {
        truncated_unseen(turns, compressed);
    }
}

#[test]
fn what_was_truncated_and_deleted_between_two_looks_is_read_from_its_new_beginning() {
    truncated_unseen(1, |writer| writer.rotate(1));
}

#[test]
fn what_is_done_with_is_not_read_again_when_nothing_tells_the_last_file_from_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("c-json.log");
    let (mut writer, mut reader) = (Writer::new(live.clone()), Reader::new(live));
    let mut random = Random(5);
    (0..12).for_each(|_| writer.line(&mut random));
    while writer.open != [false; 2] {
        writer.line(&mut random);
    }
    reader.finish();
    writer.rotate(4);
    reader.finish();
    reader.save();
    // The last file is empty when it is compressed, so that its copy could be anybody's: a loss cannot be ruled out.
    writer.rotate(4);
    writer.compress(false);
    writer.lossy = true;
    (0..12).for_each(|_| writer.line(&mut random));
    while writer.open != [false; 2] {
        writer.line(&mut random);
    }
    for killed in [false, true] {
        if killed {
            reader.start();
        }
        reader.finish();
        check(0, &writer, &reader, &[]);
    }
}

#[test]
fn what_was_truncated_while_nobody_looked_is_read_once_although_nothing_was_read_of_it_before() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("c-json.log");
    let (mut writer, mut reader) = (Writer::new(live.clone()), Reader::new(live));
    let mut random = Random(5);
    reader.look();
    (0..40).for_each(|_| writer.line(&mut random));
    reader.look();
    reader.save();
    writer.truncate();
    (0..20).for_each(|_| writer.line(&mut random));
    while writer.open != [false; 2] {
        writer.line(&mut random);
    }
    reader.start();
    reader.finish();
    check(0, &writer, &reader, &[]);
}
