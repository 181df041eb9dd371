//! Real containers through Docker's json-file driver, six of them, 2,000 lines a second for a minute, with rotation
//! every few seconds: the index holds exactly the lines that the policy keeps.

use std::time::Instant;

use super::support::corpus::{CONTAINERS, Load};
use super::support::docker::Engine;
use super::support::weir::{Part, Place};
use super::support::writers::{RATE, Writers};
use super::support::{alone, found, say};

const SECONDS: usize = 60;

#[test]
fn the_index_holds_exactly_what_the_policy_keeps() {
    let _turn = alone();
    let folder = tempfile::Builder::new().prefix("weir-d-").tempdir().unwrap();
    let engine = match Engine::start(folder.path()) {
        Ok(engine) => engine,
        Err(why) => return say::left_out("real_docker", &why),
    };
    engine.busybox();
    let load = Load::new(RATE * SECONDS / CONTAINERS);
    let mut weir = Place::new(&engine.containers());
    weir.start(Part::All);
    weir.wait_up();

    say::progress("real_docker", &format!("{} lines from {CONTAINERS} containers", load.len()));
    let start = Instant::now();
    let writers = Writers::start(&engine, &load, &folder.path().join("load"));
    writers.wait_done();
    let seconds = start.elapsed().as_secs_f64();
    let rate = load.len() as f64 / seconds;
    say::progress("real_docker", &format!("written in {seconds:.0} s, {rate:.0} lines a second"));

    found::expect_exactly("real_docker", weir.search, &load);
    weir.check_alive();
    assert!(weir.stop(Part::All).success(), "weir ends cleanly");
}
