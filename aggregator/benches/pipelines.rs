//! How many events a CPU-second takes from the decompressed bytes of a window to a decision: decoded, run through a
//! pipeline, kept or dropped. One thread, its CPU time, the best of several rounds.
//!
//!     cargo bench -p weir-aggregator --bench pipelines [-- PART_OF_A_NAME]
//!
//! Prints a table and, as its last line, the same as JSON.
use bytes::Bytes;
use serde_json::json;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use weir_aggregator::event::EventDecoder;
use weir_aggregator::level::detect;
use weir_aggregator::pipeline::{LoadOptions, Program, Tally};

/// Different lines of a corpus: more than a processor's second cache holds.
const LINES: u64 = 20_000;
/// Rounds of which the best counts: the machine does other things too.
const ROUNDS: usize = 5;
/// Runs over the corpus in a round.
const REPEAT: usize = 10;

fn main() {
    // Cargo calls a bench with `--bench`.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines");
    let policy = fs::read_to_string(folder.join("99-policy.conf")).expect("the default pipelines");
    let level_drop_prune = format!("filter {{ level {{ }} }}\n{policy}");
    let grok = r#"filter { grok { match => { "message" => "%{COMBINEDAPACHELOG}" } } }"#;
    let parse = r#"filter {
        json { source => "message" target => "app" }
        if [app][level] == "error" or [app][status] >= 500 { mutate { replace => { "[log][level]" => "error" } } }
        else if [app][path] =~ /^\/health/ or [app][level] in ["debug", "info"] { drop { } }
    }"#;
    let dissect = r#"filter { dissect { mapping => {
        "message" => "%{ip} %{ident} %{user} [%{time}] \"%{method} %{path} %{version}\" %{status} %{bytes} %{rest}" } } }"#;
    let mixed = documents(mixed_line);
    let access = documents(access_line);
    let objects = documents(json_line);

    println!("{:<44} {:>12} {:>9} {:>8}", "", "events/CPU-s", "ns/event", "kept");
    let mut results = serde_json::Map::new();
    let mut report = |name: &str, seconds: f64, events: usize, kept: usize| {
        let rate = events as f64 / seconds;
        let percent = 100.0 * kept as f64 / events as f64;
        println!("{name:<44} {rate:>12.0} {:>9.0} {percent:>7.1}%", 1e9 / rate);
        results.insert(name.to_owned(), json!({"events_per_cpu_second": rate.round(), "kept_percent": percent}));
    };
    if "level".contains(&wanted) {
        let lines: Vec<String> = (0..LINES).map(mixed_line).collect();
        let (seconds, found) = best(|| lines.iter().filter(|line| detect(black_box(line)).is_some()).count());
        report("level alone, mixed lines", seconds, lines.len(), found);
    }
    if "decode".contains(&wanted) {
        let mut decoder = EventDecoder::new();
        let (seconds, kept) = best(|| {
            mixed.iter().for_each(|document| drop(black_box(decoder.decode(document.clone()))));
            mixed.len()
        });
        report("decode alone, mixed lines", seconds, mixed.len(), kept);
    }
    let cases = [
        ("(a) level + drop + prune, mixed lines", vec![("a.conf".to_owned(), level_drop_prune)], &mixed),
        ("(b) grok COMBINEDAPACHELOG", vec![("b.conf".to_owned(), grok.to_owned())], &access),
        ("(c) JSON parse + conditions", vec![("c.conf".to_owned(), parse.to_owned())], &objects),
        ("(d) dissect", vec![("d.conf".to_owned(), dissect.to_owned())], &access),
        ("(e) the whole default folder, mixed lines", texts(&folder), &mixed),
        ("(e) the whole default folder, access log", texts(&folder), &access),
        ("(e) the whole default folder, JSON", texts(&folder), &objects),
    ];
    for (name, texts, documents) in cases {
        if !name.contains(&wanted) {
            continue;
        }
        let program = match Program::parse(texts, &LoadOptions::default()) {
            Ok(program) => program,
            Err(mistakes) => {
                println!("{name:<44} left out: {}", mistakes.first().map(ToString::to_string).unwrap_or_default());
                continue;
            }
        };
        let mut decoder = EventDecoder::new();
        let mut tally = Tally::new();
        let mut kept = Vec::new();
        let (seconds, count) = best(|| {
            let mut count = 0;
            for document in documents {
                program.run(decoder.decode(document.clone()), &mut kept, &mut tally);
                count += kept.len();
                kept.clear();
            }
            count
        });
        report(name, seconds, documents.len(), count);
    }
    println!("{}", serde_json::Value::Object(results));
}

fn texts(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    files.iter().map(|path| (path.display().to_string(), fs::read_to_string(path).expect("a file"))).collect()
}

/// CPU seconds of one run over the corpus, the best of the rounds, and what the run counted.
fn best(mut run: impl FnMut() -> usize) -> (f64, usize) {
    let mut best = f64::MAX;
    let mut counted = run();
    for _ in 0..ROUNDS {
        let start = cpu_seconds();
        for _ in 0..REPEAT {
            counted = run();
        }
        best = best.min((cpu_seconds() - start) / REPEAT as f64);
    }
    (best, counted)
}

/// CPU time of this thread so far, from the scheduler's own count in nanoseconds.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with schedstat");
    text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).expect("nanoseconds") / 1e9
}

/// The documents of a window as our shipper writes them, of eight containers.
fn documents(line: fn(u64) -> String) -> Vec<Bytes> {
    let mut all = Vec::new();
    let mut ends = Vec::new();
    let mut position = 0;
    for n in 0..LINES {
        let line = line(n);
        // Lines of a container come in runs.
        let container = n / 64 % 8;
        let end = position + line.len() as u64 + 90;
        let text = format!(
            r#"{{"@timestamp":"2026-03-01T12:00:{:02}.{:09}Z","message":{},"stream":"stdout","@metadata":{{"weir":{{"start":{position},"end":{end},"source":"00f3a6c2d1e4b{container:02}0"}},"beat":"weir","parts":1,"type":"_doc","version":"0.1.0"}},"log":{{"offset":{position},"file":{{"path":"/var/lib/docker/containers/{container}f66c/{container}f66c-json.log"}}}},"host":{{"name":"node-1"}},"container":{{"id":"{container}f66c","name":"shop_web.{container}.x1y2z3","image":{{"name":"shop/web:1.4"}}}},"service":{{"name":"shop_web"}},"orchestrator":{{"namespace":"shop"}}}}"#,
            n % 60,
            n * 7919 % 1_000_000_000,
            serde_json::to_string(&line).expect("a string"),
        );
        position = end;
        all.extend_from_slice(text.as_bytes());
        ends.push(all.len());
    }
    let all = Bytes::from(all);
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, end)| all.slice(start..*end)).collect()
}

/// Lines of many formats; nine of ten are debug or info.
fn mixed_line(n: u64) -> String {
    let (s, m, i) = (n % 60, n * 7919 % 1000, n * 104_729 % 250);
    let keep = n * 2_654_435_761 % 100 < 10;
    let level = |low: &'static str, high: &'static str| if keep { high } else { low };
    match n % 10 {
        0 => format!(
            "2026-03-01 12:00:{s:02}.{m:03} {:>5} 1 --- [nio-8080-exec-{i}] c.e.shop.Orders : order {i} took {m} ms",
            level("INFO", "ERROR")
        ),
        1 => format!(
            r#"{{"level":"{}","ts":1772366400.{m:03},"caller":"web/log.go:{i}","msg":"request done","took_ms":{m}}}"#,
            level("info", "error")
        ),
        2 => format!(
            r#"{{"level":{},"time":17723664{s:02}{m:03},"pid":1,"hostname":"a{i}","msg":"request completed"}}"#,
            level("30", "50")
        ),
        3 => format!(
            "time=\"2026-03-01T12:00:{s:02}Z\" level={} msg=\"checked {i} items\" took={m}ms",
            level("debug", "warning")
        ),
        4 => {
            format!("2026-03-01 12:00:{s:02},{m:03} - worker.tasks - {} - task {i} finished", level("INFO", "WARNING"))
        }
        5 => format!(
            "{}, [2026-03-01T12:00:{s:02}.{m:06} #12] {:>5} -- : took {m} ms",
            level("I", "E"),
            level("INFO", "ERROR")
        ),
        6 => format!(
            "\x1b[2m2026-03-01T12:00:{s:02}.{m:06}Z\x1b[0m \x1b[32m{:>5}\x1b[0m \x1b[2mapp::web\x1b[0m\x1b[2m:\x1b[0m id={i}",
            level("DEBUG", "WARN")
        ),
        7 => format!("{}0301 12:00:{s:02}.{m:06}       1 controller.go:{i}] synced default/{i}", level("I", "W")),
        8 => format!(
            "2026-03-01 12:00:{s:02}.{m:03} UTC [{i}] app@shop {}  duration: {s}.{m:03} ms  statement: SELECT {i}",
            level("LOG:", "ERROR:")
        ),
        _ if keep => format!("Listening on port {i}, waiting for connections"),
        _ => access_line(n),
    }
}

/// A combined access log; one of ten requests failed.
fn access_line(n: u64) -> String {
    let status = if n * 2_654_435_761 % 100 < 10 { 502 } else { 200 };
    format!(
        "10.0.{}.{} - - [01/Mar/2026:12:00:{:02} +0000] \"GET /api/items/{}?page={} HTTP/1.1\" {status} {} \"https://shop.example/items\" \"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\"",
        n % 256,
        n * 7 % 250,
        n % 60,
        n * 104_729 % 100_000,
        n % 9,
        n * 7919 % 10_000,
    )
}

/// A JSON logger's request log; one of ten requests failed.
fn json_line(n: u64) -> String {
    let failed = n * 2_654_435_761 % 100 < 10;
    format!(
        r#"{{"level":"{}","ts":1772366400.{:03},"caller":"web/log.go:12","msg":"request","method":"GET","path":"/api/items/{}","status":{},"took_ms":{},"user":{{"id":{},"plan":"free"}}}}"#,
        if failed { "error" } else { "info" },
        n % 1000,
        n * 104_729 % 100_000,
        if failed { 502 } else { 200 },
        n * 7919 % 1000,
        n % 5000,
    )
}
