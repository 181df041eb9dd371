//! A Go gateway: `log/slog` with its JSON handler, and now and then a panic, which is plain text.

use jiff::Timestamp;

use super::{Line, Mood, Service, err, out, time};
use crate::demo::rng::Rng;

pub const SERVICE: Service = Service {
    name: "gateway",
    image: "registry.example/shop/gateway:2026.11",
    pause_millis: 160,
    trouble_sign: "\\\"level\\\":\\\"ERROR\\\"",
    speak,
};

fn speak(rng: &mut Rng, at: Timestamp, mood: Mood, lines: &mut Vec<Line>) {
    let stamp = time(at, "%Y-%m-%dT%H:%M:%S%.9fZ");
    let trace = rng.hex(32);
    let trouble = rng.chance(if mood == Mood::Trouble { 50 } else { 1 });
    if trouble && rng.chance(10) {
        for line in [
            "panic: runtime error: invalid memory address or nil pointer dereference",
            "[signal SIGSEGV: segmentation violation code=0x1 addr=0x8 pc=0x6f2c41]",
            "",
            "goroutine 214 [running]:",
            "example/shop/gateway/payment.(*Client).Capture(0x0, {0xc0001a2000, 0x24})",
            "\t/src/payment/client.go:87 +0x41",
            "created by net/http.(*Server).Serve in goroutine 1",
            "\t/usr/local/go/src/net/http/server.go:3360 +0x485",
        ] {
            err(lines, line.to_owned());
        }
        return;
    }
    let (level, text, more) = match rng.below(10) {
        _ if trouble => (
            "ERROR",
            "capture failed",
            format!(",\"error\":\"context deadline exceeded\",\"attempt\":{}", rng.below(4)),
        ),
        0..=4 => ("INFO", "request handled", format!(",\"status\":200,\"duration_ms\":{}", rng.below(200))),
        5..=8 => ("DEBUG", "token refreshed", format!(",\"expires_in\":{}", rng.below(3_600))),
        _ => ("WARN", "payment provider is slow", format!(",\"duration_ms\":{}", 1_000 + rng.below(5_000))),
    };
    out(
        lines,
        format!("{{\"time\":\"{stamp}\",\"level\":\"{level}\",\"msg\":\"{text}\",\"trace_id\":\"{trace}\"{more}}}"),
    );
}
