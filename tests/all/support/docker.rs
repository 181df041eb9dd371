//! A Docker engine of the tests' own, beside any other: own data root, own socket, no bridge, no firewall rules, ended
//! by its process id. And what is needed to make images `FROM scratch` and run containers that write known lines.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::until;

/// dockerd is ready in about three seconds on an idle machine.
const START: Duration = Duration::from_secs(90);
/// It stops its containers first.
const STOP: Duration = Duration::from_secs(30);
/// The image of [`Engine::busybox`].
pub const BUSYBOX: &str = "weir-test/busybox:1";

/// A running dockerd; ended, with its containers, when dropped.
pub struct Engine {
    child: Child,
    folder: PathBuf,
    is_node: bool,
}

impl Engine {
    /// Starts dockerd with its data under `folder`, which must have a short path (its socket lies there).
    ///
    /// # Errors
    /// Why this machine cannot run one.
    pub fn start(folder: &Path) -> Result<Self, String> {
        let mut dockerd = Command::new("dockerd");
        dockerd.arg("--data-root").arg(folder.join("data"));
        Self::start_by(dockerd, folder, false)
    }

    /// Starts the engine of a node with a network of its own: `host` is its name and that of its network namespace. It
    /// has its own processes and mounts as well, so that dropping it is like a cut of
    /// its power, and so that each node's containers lie under `/var/lib/docker`, where the stack file looks for them.
    ///
    /// # Errors
    /// Why this machine cannot run one.
    pub fn start_node(folder: &Path, host: &str) -> Result<Self, String> {
        const SCRIPT: &str = r#"hostname "$1" && mount --bind "$2" /var/lib/docker && shift 2 && exec dockerd "$@""#;
        let data = folder.join("data");
        for made in [&data, Path::new("/var/lib/docker")] {
            fs::create_dir_all(made).map_err(|error| error.to_string())?;
        }
        // What a machine keeps in memory is gone when it starts again.
        for left in ["exec", "pid"] {
            let left = folder.join(left);
            let gone = if left.is_dir() { fs::remove_dir_all(&left) } else { fs::remove_file(&left) };
            match gone {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.to_string()),
                _ => {}
            }
        }
        let mut dockerd = Command::new("nsenter");
        dockerd.arg(format!("--net=/var/run/netns/{host}"));
        dockerd.args(["unshare", "--uts", "--pid", "--kill-child", "--mount-proc", "--propagation", "private"]);
        dockerd.args(["sh", "-c", SCRIPT, "sh", host]).arg(&data);
        dockerd.args(["--data-root", "/var/lib/docker", "--cgroup-parent", host]);
        Self::start_by(dockerd, folder, true)
    }

    fn start_by(mut dockerd: Command, folder: &Path, is_node: bool) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("starting a Docker engine needs root".to_owned());
        }
        for program in ["dockerd", "docker", "busybox"] {
            if which(program).is_none() {
                return Err(format!("{program} is not installed"));
            }
        }
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let log = File::create(folder.join("dockerd.log")).map_err(|error| error.to_string())?;
        let child = dockerd
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--log-level=warn"])
            // Where a containerd of the machine is running dockerd uses that one; these keep our containers apart.
            .args(["--containerd-namespace=weir-test", "--containerd-plugins-namespace=weir-test-plugins"])
            .arg("--exec-root")
            .arg(folder.join("exec"))
            .arg("--pidfile")
            .arg(folder.join("pid"))
            .arg("--host")
            .arg(format!("unix://{}", folder.join("docker.sock").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("dockerd does not start: {error}"))?;
        let mut engine = Self { child, folder: folder.to_owned(), is_node };
        let mut ended = None;
        until("dockerd", START, || {
            if let Ok(Some(status)) = engine.child.try_wait() {
                ended = Some(status);
                return Ok(());
            }
            engine.try_docker(&["version"]).map(drop)
        });
        match ended {
            None => Ok(engine),
            Some(status) => {
                let log = fs::read_to_string(folder.join("dockerd.log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(3).collect();
                Err(format!("dockerd ended at once ({status}): {}", last.join(" | ")))
            }
        }
    }

    /// The files of a node as its own processes see them.
    pub fn root(&self) -> PathBuf {
        let first = self.first_process().expect("the node runs");
        PathBuf::from(format!("/proc/{first}/root"))
    }

    /// The process that all others of a node end with, as this machine counts.
    fn first_process(&self) -> Option<u32> {
        let id = self.child.id();
        fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?.split_whitespace().next()?.parse().ok()
    }

    /// Kills every process of a node at once, as a cut of its power does.
    fn kill_node(&mut self) {
        let first = self.first_process();
        // It may have ended by itself; `wait` says so either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(first) = first {
            // The first one stays until the last one is gone.
            until("the node's processes to end", STOP, || match Path::new(&format!("/proc/{first}")).exists() {
                true => Err("they still run".to_owned()),
                false => Ok(()),
            });
        }
    }

    /// Where the engine keeps its containers' logs.
    pub fn containers(&self) -> PathBuf {
        self.folder.join("data/containers")
    }

    /// The value of DOCKER_HOST for this engine.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.join("docker.sock").display())
    }

    /// Runs `docker ARGS` on this engine and returns its standard output; fails the test when it fails.
    pub fn docker(&self, args: &[&str]) -> String {
        self.try_docker(args).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs `docker ARGS` on this engine and returns its standard output, or what it said.
    pub fn try_docker(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new("docker")
            .env("DOCKER_HOST", self.host())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("docker does not start: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Err(format!("docker {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }

    /// Makes the image [`BUSYBOX`]: the static busybox and nothing else.
    pub fn busybox(&self) {
        let root = self.folder.join("busybox/bin");
        fs::create_dir_all(&root).unwrap();
        fs::copy(which("busybox").unwrap(), root.join("busybox")).unwrap();
        fs::set_permissions(root.join("busybox"), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["sh", "awk", "usleep", "sleep", "seq"] {
            std::os::unix::fs::symlink("busybox", root.join(name)).unwrap();
        }
        let tar = Command::new("tar")
            .args(["--owner=0", "--group=0", "-C"])
            .arg(self.folder.join("busybox"))
            .args(["-c", "."])
            .output()
            .unwrap();
        assert!(tar.status.success(), "tar: {}", String::from_utf8_lossy(&tar.stderr));
        let mut import = Command::new("docker")
            .env("DOCKER_HOST", self.host())
            .args(["import", "--change", "ENV PATH=/bin", "-", BUSYBOX])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        import.stdin.take().unwrap().write_all(&tar.stdout).unwrap();
        assert!(import.wait().unwrap().success(), "docker import failed");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.is_node {
            return self.kill_node();
        }
        if let Ok(ids) = self.try_docker(&["ps", "-aq"]) {
            let mut args = vec!["rm", "-f", "-v"];
            args.extend(ids.split_whitespace());
            if args.len() > 3 {
                // What is left is ended by dockerd itself.
                let _ = self.try_docker(&args);
            }
        }
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = std::time::Instant::now() + STOP;
        while matches!(self.child.try_wait(), Ok(None)) && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        // Both fail when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        unmount(&self.folder);
    }
}

/// Unmounts whatever is still mounted under `folder`, so that it can be deleted.
fn unmount(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|path| Path::new(path).starts_with(folder))
        .collect();
    for path in below.iter().rev() {
        let _ = Command::new("umount").args(["-l", path]).stderr(Stdio::null()).status();
    }
}

/// Where `program` lies on the PATH.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
