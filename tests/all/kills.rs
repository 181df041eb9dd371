//! The same load on real Docker while each role in turn, and all at once, is killed with SIGKILL at random moments, 20
//! times; then the indexer is away for 30 seconds. Nothing may be missing, nothing may be there twice.

use std::thread::sleep;
use std::time::{Duration, Instant};

use weir::demo::rng::Rng;

use super::support::corpus::{CONTAINERS, Load};
use super::support::docker::Engine;
use super::support::weir::{Part, Place, ROLES};
use super::support::writers::{RATE, Writers};
use super::support::{alone, found, say, seed};

/// Rounds of five kills each: every role, and all at once twice as often as any.
const ROUNDS: usize = 4;
/// Between two kills, in milliseconds: from right after the start to well into its work.
const UP_MILLIS: (u64, u64) = (500, 7_000);
/// Down for this long at most: a supervisor starts it again.
const DOWN_MILLIS_MAX: u64 = 1_500;
/// The indexer's absence.
const AWAY: Duration = Duration::from_secs(30);
/// Twenty kills and the absence take about this long; the containers write for all of it.
const SECONDS: usize = 130;

#[test]
fn kills_at_random_moments_lose_and_double_nothing() {
    let _turn = alone();
    let folder = tempfile::Builder::new().prefix("weir-k-").tempdir().unwrap();
    let engine = match Engine::start(folder.path()) {
        Ok(engine) => engine,
        Err(why) => return say::left_out("kills", &why),
    };
    engine.busybox();
    let seed = seed();
    say::progress("kills", &format!("random moments of WEIR_TEST_SEED={seed}"));
    let mut dice = Rng::new(seed);
    let load = Load::new(RATE * SECONDS / CONTAINERS);
    let mut weir = Place::new(&engine.containers());
    for role in ROLES {
        weir.start(role);
    }
    weir.wait_up();
    let writers = Writers::start(&engine, &load, &folder.path().join("load"));
    let start = Instant::now();

    let mut kills = 0;
    for _ in 0..ROUNDS {
        for victims in [&ROLES[..1], &ROLES[1..2], &ROLES[2..], &ROLES[..], &ROLES[..]] {
            let (least, most) = UP_MILLIS;
            sleep(Duration::from_millis(least + dice.below(most - least)));
            // All at once means within a millisecond, in any order.
            let mut victims = victims.to_vec();
            let order = dice.below(victims.len() as u64) as usize;
            victims.rotate_left(order);
            for victim in &victims {
                weir.kill(*victim);
            }
            sleep(Duration::from_millis(dice.below(DOWN_MILLIS_MAX)));
            for victim in &victims {
                weir.start(*victim);
            }
            kills += 1;
            let names: Vec<&str> = victims.iter().map(|victim| victim.name()).collect();
            say::progress("kills", &format!("{kills} at {} s: {}", start.elapsed().as_secs(), names.join(", ")));
        }
    }
    assert!(!writers.are_done(), "the containers had ended before the last kill");

    weir.kill(Part::Indexer);
    say::progress("kills", &format!("the indexer is away for {} s", AWAY.as_secs()));
    sleep(AWAY);
    weir.start(Part::Indexer);
    weir.wait_up();

    writers.wait_done();
    say::progress("kills", &format!("{} lines written in {} s", load.len(), start.elapsed().as_secs()));
    found::expect_exactly("kills", weir.search, &load);
    weir.check_alive();
}
