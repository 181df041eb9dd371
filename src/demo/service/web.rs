//! A Ruby web application: Ruby's `Logger`, with `Exception#full_message` as its stack traces.

use jiff::Timestamp;

use super::{Line, Mood, Service, out, time};
use crate::demo::rng::Rng;

pub const SERVICE: Service = Service {
    name: "web",
    image: "registry.example/shop/web:2026.11",
    pause_millis: 160,
    trouble_sign: "ERROR -- :",
    speak,
};

fn speak(rng: &mut Rng, at: Timestamp, mood: Mood, lines: &mut Vec<Line>) {
    let order = 1_000 + rng.below(9_000);
    if rng.chance(if mood == Mood::Trouble { 50 } else { 1 }) {
        let what = rng.pick(&[
            "undefined method 'price' for nil (NoMethodError)",
            "could not obtain a connection from the pool within 5.000 seconds (ActiveRecord::ConnectionTimeoutError)",
            "Net::ReadTimeout with #<TCPSocket:(closed)> (Net::ReadTimeout)",
        ]);
        log(lines, at, 'E', "ERROR", &format!("/app/models/order.rb:42:in 'Order#total': {what}"));
        for frame in [
            "/app/models/order.rb:37:in 'block in Order#items'",
            "/app/routes/orders.rb:19:in 'Shop::Orders#show'",
            "/usr/local/bundle/gems/sinatra-4.1.1/lib/sinatra/base.rb:1804:in 'Sinatra::Base#call!'",
            "/usr/local/bundle/gems/puma-6.5.0/lib/puma/thread_pool.rb:167:in 'Puma::ThreadPool#spawn_thread'",
        ] {
            out(lines, format!("\tfrom {frame}"));
        }
        return;
    }
    match rng.below(10) {
        0..=4 => log(lines, at, 'I', "INFO", &format!("GET /orders/{order} 200 {}ms", rng.below(300))),
        5..=7 => {
            let sql = format!("SELECT * FROM orders WHERE id = {order} LIMIT 1");
            log(lines, at, 'D', "DEBUG", &format!("Order Load ({}.{}ms)  {sql}", rng.below(9), rng.below(10)));
        }
        8 => log(lines, at, 'I', "INFO", &format!("Order {order} paid by card")),
        _ => log(lines, at, 'W', "WARN", &format!("slow request: GET /search took {}ms", 1_000 + rng.below(4_000))),
    }
}

fn log(lines: &mut Vec<Line>, at: Timestamp, letter: char, level: &str, text: &str) {
    out(lines, format!("{letter}, [{} #1] {level:>5} -- : {text}", time(at, "%Y-%m-%dT%H:%M:%S%.6f")));
}
