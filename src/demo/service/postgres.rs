//! PostgreSQL: everything on standard error, with DETAIL and STATEMENT lines after an ERROR.

use jiff::Timestamp;

use super::{Line, Mood, Service, err, time};
use crate::demo::rng::Rng;

pub const SERVICE: Service =
    Service { name: "postgres", image: "postgres:17", pause_millis: 330, trouble_sign: "ERROR:  ", speak };

fn speak(rng: &mut Rng, at: Timestamp, mood: Mood, lines: &mut Vec<Line>) {
    let process = 60 + rng.below(40);
    let order = 1_000 + rng.below(9_000);
    if rng.chance(if mood == Mood::Trouble { 60 } else { 1 }) {
        log(lines, at, process, "ERROR", "duplicate key value violates unique constraint \"payments_order_id_key\"");
        log(lines, at, process, "DETAIL", &format!("Key (order_id)=({order}) already exists."));
        log(lines, at, process, "STATEMENT", &format!("INSERT INTO payments (order_id) VALUES ({order})"));
        return;
    }
    match rng.below(20) {
        0 => log(lines, at, 27, "LOG", "checkpoint starting: time"),
        1 => log(lines, at, 27, "LOG", "checkpoint complete: wrote 45 buffers (0.3%); 0 WAL file(s) added"),
        2 => log(lines, at, process, "WARNING", "there is already a transaction in progress"),
        _ => {
            let duration = format!("{}.{:03}", rng.below(90), rng.below(1_000));
            let text = format!("duration: {duration} ms  statement: SELECT * FROM orders WHERE id = {order}");
            log(lines, at, process, "LOG", &text);
        }
    }
}

fn log(lines: &mut Vec<Line>, at: Timestamp, process: u64, level: &str, text: &str) {
    err(lines, format!("{} UTC [{process}] {level}:  {text}", time(at, "%Y-%m-%d %H:%M:%S%.3f")));
}
