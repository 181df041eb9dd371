//! Starts the built `weir`, in one process or role by role, in a folder and on ports of its own, and ends it by its
//! process id. When a test fails, the whole scene is told: commands, folder, and the end of every log.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use weir::demo::rng::Rng;

use super::{http, say, seed, until};

/// A role that is up answers within this time, recovery included, on a machine that is busy.
pub const START: Duration = Duration::from_secs(60);
/// A clean shutdown drains with a deadline of its own, far below this.
const STOP: Duration = Duration::from_secs(60);
/// Log lines that a failing test shows of each process.
const SCENE_LINES: usize = 25;

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `weir` without a command: all roles in one process.
    All,
    Shipper,
    Aggregator,
    Indexer,
}

/// The roles, each in a process of its own, in the order in which a line meets them.
pub const ROLES: [Part; 3] = [Part::Shipper, Part::Aggregator, Part::Indexer];

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "weir",
            Self::Shipper => "shipper",
            Self::Aggregator => "aggregator",
            Self::Indexer => "indexer",
        }
    }
}

/// A folder, addresses, and the processes that run there.
pub struct Place {
    folder: Option<tempfile::TempDir>,
    docker_root: PathBuf,
    /// The Beats port.
    pub beats: SocketAddr,
    /// The search port.
    pub search: SocketAddr,
    shipper_admin: SocketAddr,
    aggregator_admin: SocketAddr,
    running: Vec<(Part, Child)>,
}

impl Place {
    /// A place for weir on the containers under `docker_root`; nothing runs yet.
    pub fn new(docker_root: &Path) -> Self {
        Self {
            folder: Some(tempfile::Builder::new().prefix("weir-test-").tempdir().unwrap()),
            docker_root: docker_root.to_owned(),
            beats: free_address(),
            search: free_address(),
            shipper_admin: free_address(),
            aggregator_admin: free_address(),
            running: Vec::new(),
        }
    }

    /// A place without containers: an empty folder stands for Docker's.
    pub fn empty() -> Self {
        let mut place = Self::new(Path::new(""));
        place.docker_root = place.folder().join("containers");
        fs::create_dir(&place.docker_root).unwrap();
        place
    }

    /// The folder of this place.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("it is taken only by drop").path()
    }

    /// Docker's `containers` folder here.
    pub fn docker_root(&self) -> &Path {
        &self.docker_root
    }

    /// Where `part` answers `/metrics` and `/health`.
    pub fn admin(&self, part: Part) -> SocketAddr {
        match part {
            Part::Shipper => self.shipper_admin,
            Part::Aggregator => self.aggregator_admin,
            Part::Indexer | Part::All => self.search,
        }
    }

    /// Where weir keeps its data.
    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    fn log(&self, part: Part) -> PathBuf {
        self.folder().join(format!("{}.log", part.name()))
    }

    /// The command that runs `part` here.
    pub fn command(&self, part: Part) -> Command {
        self.command_on(part, &self.data())
    }

    /// The same with another data folder.
    pub fn command_on(&self, part: Part, data: &Path) -> Command {
        let mut command = bare(self.folder());
        let set = |command: &mut Command, key: &str, value: SocketAddr| {
            command.args(["--set", &format!("{key}={value}")]);
        };
        match part {
            Part::All => {
                command.arg("--docker-root").arg(&self.docker_root).arg("--data-dir").arg(data);
                set(&mut command, "aggregator.listen", self.beats);
                set(&mut command, "shipper.aggregators", self.beats);
                set(&mut command, "indexer.listen", self.search);
                command.args(["--set", &format!("aggregator.output=http://{}", self.search)]);
                set(&mut command, "shipper.admin", self.shipper_admin);
                set(&mut command, "aggregator.admin", self.aggregator_admin);
            }
            Part::Shipper => {
                command.arg("shipper").arg("--docker-root").arg(&self.docker_root).arg("--data-dir").arg(data);
                command.args(["--aggregator", &self.beats.to_string()]);
                set(&mut command, "shipper.admin", self.shipper_admin);
            }
            Part::Aggregator => {
                command.args(["aggregator", "--listen", &self.beats.to_string()]);
                command.args(["--set", &format!("aggregator.output=http://{}", self.search)]);
                set(&mut command, "aggregator.admin", self.aggregator_admin);
            }
            Part::Indexer => {
                command.args(["indexer", "--listen", &self.search.to_string()]).arg("--data-dir").arg(data);
            }
        }
        command
    }

    /// Starts `part`; its output is appended to its log. Does not wait until it is up.
    pub fn start(&mut self, part: Part) {
        let command = self.command(part);
        self.start_as(part, command);
    }

    /// The same with a command of one's own.
    pub fn start_as(&mut self, part: Part, mut command: Command) {
        assert!(!self.running.iter().any(|(other, _)| *other == part), "{} runs already", part.name());
        let log = File::options().create(true).append(true).open(self.log(part)).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", part.name()));
        self.running.push((part, child));
    }

    /// Kills `part` with SIGKILL, in the middle of whatever it does.
    pub fn kill(&mut self, part: Part) {
        let mut child = self.take(part);
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{} was to be killed and had ended by itself: {status}", part.name());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks `part` to end with SIGTERM and waits until it has.
    pub fn stop(&mut self, part: Part) -> ExitStatus {
        let mut child = self.take(part);
        terminate(&child);
        until(&format!("{} to end", part.name()), STOP, || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        })
    }

    fn take(&mut self, part: Part) -> Child {
        let at = self.running.iter().position(|(other, _)| *other == part).expect("it was started");
        self.running.remove(at).1
    }

    /// Waits until searches are answered.
    pub fn wait_up(&mut self) {
        let search = self.search;
        let running = &mut self.running;
        until("the search port", START, || {
            for (part, child) in running.iter_mut() {
                if let Ok(Some(status)) = child.try_wait() {
                    panic!("{} ended by itself: {status}", part.name());
                }
            }
            let answer = http::get(search, "/")?;
            if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
        });
    }

    /// Fails when a process that should run has ended by itself.
    pub fn check_alive(&mut self) {
        for (part, child) in &mut self.running {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{} ended by itself: {status}", part.name());
            }
        }
    }

    /// The process id of `part`.
    pub fn pid(&self, part: Part) -> u32 {
        self.running.iter().find(|(other, _)| *other == part).expect("it was started").1.id()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            // Both fail only when it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
        if !std::thread::panicking() {
            return;
        }
        let folder = self.folder.take().expect("drop comes once").keep();
        say::line(&format!("the scene is kept in {}", folder.display()));
        for part in [Part::All].into_iter().chain(ROLES) {
            let Ok(log) = fs::read(folder.join(format!("{}.log", part.name()))) else { continue };
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            say::line(&format!("--- {}, the last of {} lines", part.name(), lines.len()));
            for line in lines.iter().skip(lines.len().saturating_sub(SCENE_LINES)) {
                say::line(line);
            }
        }
    }
}

/// `weir` with `folder` as its working folder and none of this process's settings.
pub fn bare(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.current_dir(folder);
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("WEIR_") {
            command.env_remove(key);
        }
    }
    command
}

/// Runs `weir ARGS` to its end.
pub fn run(folder: &Path, args: &[&str]) -> Output {
    bare(folder).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Sends SIGTERM.
pub fn terminate(child: &Child) {
    let pid = rustix::process::Pid::from_raw(child.id() as i32).expect("a child has a process id");
    // It may have ended already.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
}

/// An address on which nothing listens, below the ports that the system hands out to clients: it stays free while the
/// role that uses it is down.
pub fn free_address() -> SocketAddr {
    static DICE: std::sync::Mutex<Option<Rng>> = std::sync::Mutex::new(None);
    let mut dice = DICE.lock().unwrap();
    let dice = dice.get_or_insert_with(|| Rng::new(seed() ^ u64::from(std::process::id())));
    let start = Instant::now();
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 15_000 + dice.below(15_000) as u16));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
        assert!(start.elapsed() < START, "no free port");
    }
}
