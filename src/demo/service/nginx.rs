//! nginx: access lines on standard output, its error log on standard error.

use jiff::Timestamp;

use super::{Line, Mood, Service, err, out, time};
use crate::demo::rng::Rng;

pub const SERVICE: Service =
    Service { name: "nginx", image: "nginx:1.27-alpine", pause_millis: 125, trouble_sign: "[error]", speak };

const PATHS: &[&str] =
    &["/", "/cart", "/orders", "/orders/4711", "/search?q=kettle", "/assets/app.css", "/assets/app.js", "/healthz"];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15",
    "curl/8.9.1",
];

fn speak(rng: &mut Rng, at: Timestamp, mood: Mood, lines: &mut Vec<Line>) {
    let client = rng.address();
    let path = rng.pick(PATHS);
    let failed = rng.chance(if mood == Mood::Trouble { 60 } else { 1 });
    if failed {
        err(
            lines,
            format!(
                "{} [error] 31#31: *{} connect() failed (111: Connection refused) while connecting to upstream, \
                 client: {client}, server: shop.example, request: \"GET {path} HTTP/1.1\", \
                 upstream: \"http://10.0.1.7:3000{path}\", host: \"shop.example\"",
                time(at, "%Y/%m/%d %H:%M:%S"),
                rng.below(100_000),
            ),
        );
    }
    let status = match rng.below(100) {
        _ if failed => 502,
        0..=84 => 200,
        85..=93 => 304,
        _ => 404,
    };
    out(
        lines,
        format!(
            "{client} - - [{}] \"GET {path} HTTP/1.1\" {status} {} \"-\" \"{}\"",
            time(at, "%d/%b/%Y:%H:%M:%S +0000"),
            rng.below(30_000),
            rng.pick(AGENTS),
        ),
    );
}
