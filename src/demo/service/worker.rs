//! A Python worker: the `logging` module on standard error, with tracebacks.

use jiff::Timestamp;

use super::{Line, Mood, Service, err, time};
use crate::demo::rng::Rng;

pub const SERVICE: Service = Service {
    name: "worker",
    image: "registry.example/shop/worker:2026.11",
    pause_millis: 330,
    trouble_sign: "Traceback (most recent call last):",
    speak,
};

fn speak(rng: &mut Rng, at: Timestamp, mood: Mood, lines: &mut Vec<Line>) {
    let task = format!("send_receipt[{}]", rng.hex(8));
    if rng.chance(if mood == Mood::Trouble { 50 } else { 1 }) {
        log(lines, at, "ERROR", &format!("Task {task} failed after {} attempts", 1 + rng.below(5)));
        for line in [
            "Traceback (most recent call last):",
            "  File \"/app/worker/tasks.py\", line 58, in send_receipt",
            "    smtp.send_message(receipt)",
            "  File \"/usr/local/lib/python3.13/smtplib.py\", line 402, in getreply",
            "    raise SMTPServerDisconnected(\"Connection unexpectedly closed\")",
            "smtplib.SMTPServerDisconnected: Connection unexpectedly closed",
        ] {
            err(lines, line.to_owned());
        }
        return;
    }
    match rng.below(10) {
        0..=3 => log(lines, at, "INFO", &format!("Task {task} succeeded in {}.{}s", rng.below(3), rng.below(10))),
        4..=8 => log(lines, at, "DEBUG", &format!("Task {task} fetched, {} waiting", rng.below(40))),
        _ => log(lines, at, "WARNING", &format!("Task {task} is being retried in {}s", 1 << rng.below(6))),
    }
}

fn log(lines: &mut Vec<Line>, at: Timestamp, level: &str, text: &str) {
    err(lines, format!("{},{} {level} worker.tasks: {text}", time(at, "%Y-%m-%d %H:%M:%S"), time(at, "%3f")));
}
