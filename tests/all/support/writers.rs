//! Six real containers that write a load at a steady rate, through Docker's json-file driver with small limits.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::corpus::{CONTAINERS, Load};
use super::docker::{BUSYBOX, Engine};
use super::until;

/// Lines a second of all containers together.
pub const RATE: usize = 2_000;
/// A container may be this much slower than it was asked to be, on a busy machine.
const SLOWNESS: u64 = 4;

/// Writes the lines of the file with the container's number. `usleep` sets the pace, in steps of 20 lines; the clock
/// corrects it, so that the rate holds on a busy machine.
const SCRIPT: &str = r#"exec awk -v rate="$2" '
BEGIN { start = systime() }
{
    if (substr($0, 1, 1) == "2") print substr($0, 3) > "/dev/stderr"; else print substr($0, 3)
    if (NR % 20 == 0) { fflush(); if (NR > rate * (systime() - start)) system("usleep 50000") }
}' "/load/$1"
"#;

/// The running containers.
pub struct Writers<'a> {
    engine: &'a Engine,
    lines_each: usize,
}

impl<'a> Writers<'a> {
    /// Starts a container `wt-N` for each part of `load`, whose lines are put into `folder`.
    pub fn start(engine: &'a Engine, load: &Load, folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        load.save(folder);
        fs::write(folder.join("write"), SCRIPT).unwrap();
        let volume = format!("{}:/load:ro", folder.display());
        for n in 0..load.containers.len() {
            let (name, number, rate) = (format!("wt-{n}"), n.to_string(), (RATE / CONTAINERS).to_string());
            let mut args = vec!["run", "--detach", "--network=none", "--name", &name, "--volume", &volume];
            args.extend(["--log-driver=json-file", "--log-opt=max-size=1m", "--log-opt=max-file=3"]);
            if load.access_logs[n] {
                args.push("--label=weir.pipeline=access");
            }
            args.extend([BUSYBOX, "sh", "/load/write", &number, &rate]);
            engine.docker(&args);
        }
        Self { engine, lines_each: load.containers[0].len() }
    }

    /// Whether all have written everything and ended; fails the test when one ended in another way.
    pub fn are_done(&self) -> bool {
        (0..CONTAINERS).all(|n| {
            let state =
                self.engine.docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", &format!("wt-{n}")]);
            assert!(state == "running 0" || state == "exited 0", "wt-{n} is {state}");
            state == "exited 0"
        })
    }

    /// Waits until all have written everything.
    pub fn wait_done(&self) {
        let limit = Duration::from_secs(60 + SLOWNESS * (self.lines_each * CONTAINERS / RATE) as u64);
        until("the containers to write everything", limit, || {
            std::thread::sleep(Duration::from_millis(400));
            if self.are_done() { Ok(()) } else { Err("they still write".to_owned()) }
        });
    }
}
