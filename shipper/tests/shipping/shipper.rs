//! The shipper's process: started, stopped, killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A Docker root, a data folder, and a shipper that may run on them.
pub struct Shipper {
    folder: TempDir,
    address: SocketAddr,
    more: Vec<String>,
    child: Option<Child>,
}

impl Shipper {
    /// A shipper for a sink, not yet started.
    pub fn new(sink: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("containers")).unwrap();
        Self { folder, address: sink, more: Vec::new(), child: None }
    }

    /// A further `key=value`.
    pub fn set(mut self, pair: &str) -> Self {
        self.more.push(pair.to_owned());
        self
    }

    /// The Docker root.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("containers")
    }

    /// A folder for plain files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The registry's file.
    pub fn registry(&self) -> PathBuf {
        self.folder.path().join("data/registry")
    }

    /// Starts it.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-shipper"));
        let mut set = |key: &str, value: &str| {
            command.args(["--set", &format!("{key}={value}")]);
        };
        set("docker_root", self.root().to_str().unwrap());
        set("data_dir", self.folder.path().join("data").to_str().unwrap());
        set("aggregators", &self.address.to_string());
        set("admin", "");
        set("linger", "20ms");
        set("backoff_max", "200ms");
        set("scan_interval", "200ms");
        for pair in &self.more {
            command.args(["--set", pair]);
        }
        command.env("WEIR_LOG", "error").stdin(Stdio::null());
        self.child = Some(command.spawn().unwrap());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; answers whether it ended well.
    pub fn stop(&mut self) -> bool {
        let mut child = self.child.take().expect("it runs");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap().success()
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}
