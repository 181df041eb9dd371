//! The shipper's process: started, stopped, killed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A Docker root, a data folder, and a shipper that may run on them.
pub struct Shipper {
    folder: TempDir,
    address: SocketAddr,
    more: Vec<String>,
    variables: Vec<(String, String)>,
    admin: Option<SocketAddr>,
    child: Option<Child>,
}

impl Shipper {
    /// A shipper for a sink, not yet started.
    pub fn new(sink: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("containers")).unwrap();
        Self { folder, address: sink, more: Vec::new(), variables: Vec::new(), admin: None, child: None }
    }

    /// A further `key=value`.
    pub fn set(mut self, pair: &str) -> Self {
        self.more.push(pair.to_owned());
        self
    }

    /// A variable of its environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With an admin port.
    pub fn with_admin(mut self) -> Self {
        // Free when it was asked for; nobody else on the machine asks for a given one.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.admin = Some(listener.local_addr().unwrap());
        self
    }

    /// The value of a metric, by its name.
    pub fn metric(&self, name: &str) -> i64 {
        let text = self.get("/metrics");
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// The body of a page of the admin port.
    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin.unwrap()).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// `weir-shipper status` with these settings: exit well or not, and what it printed.
    pub fn status(&self) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-shipper"));
        command.args(["--set", &format!("admin={}", self.admin.unwrap()), "status"]);
        let output = command.output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(told).unwrap())
    }

    /// The process id of the running shipper.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
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
        set("admin", &self.admin.map_or_else(String::new, |address| address.to_string()));
        set("linger", "20ms");
        set("backoff_max", "200ms");
        set("scan_interval", "200ms");
        for pair in &self.more {
            command.args(["--set", pair]);
        }
        for (name, value) in &self.variables {
            command.env(name, value);
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
