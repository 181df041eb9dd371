//! Several machines on this one: each node has a network namespace with a cable to one switch, a name, and a Docker engine
//! of its own; together they are a swarm. The switch is a namespace too, so that no firewall of this machine is in the way.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::docker::Engine;
use super::until;

/// A node that joins is ready within this time.
const JOIN: Duration = Duration::from_secs(60);
/// Nodes of a cluster at most.
const NODES_MAX: usize = 9;

/// A swarm of nodes `PREFIX1`, `PREFIX2`, …; the first one manages it.
pub struct Cluster {
    prefix: &'static str,
    folder: PathBuf,
    nodes: Vec<Option<Engine>>,
}

impl Cluster {
    /// A swarm of `nodes` machines with their files under `folder`.
    ///
    /// # Errors
    /// Why this machine cannot have one.
    pub fn start(folder: &Path, prefix: &'static str, nodes: usize) -> Result<Self, String> {
        let mut cluster = Self { prefix, folder: folder.to_owned(), nodes: Vec::new() };
        // Left by a run that was killed.
        for name in [cluster.switch()].into_iter().chain((1..=NODES_MAX).map(|node| cluster.name(node))) {
            let _ = ip(&["netns", "del", &name]);
        }
        ip(&["netns", "add", &cluster.switch()])?;
        ip(&["-n", &cluster.switch(), "link", "add", "switch", "type", "bridge"])?;
        ip(&["-n", &cluster.switch(), "link", "set", "switch", "up"])?;
        for _ in 0..nodes {
            cluster.add()?;
        }
        Ok(cluster)
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.prefix)
    }

    /// Name of a node and of its network namespace; nodes count from 1.
    pub fn name(&self, node: usize) -> String {
        format!("{}{node}", self.prefix)
    }

    fn node_folder(&self, node: usize) -> PathBuf {
        self.folder.join(node.to_string())
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Adds a machine to the swarm, and gives its number.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn add(&mut self) -> Result<usize, String> {
        let node = self.nodes.len() + 1;
        let (name, switch, port) = (self.name(node), self.switch(), format!("port{node}"));
        ip(&["netns", "add", &name])?;
        // Counted from now on, so that dropping the cluster removes the namespace.
        self.nodes.push(None);
        ip(&["link", "add", &port, "netns", &switch, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
        ip(&["-n", &switch, "link", "set", &port, "master", "switch"])?;
        ip(&["-n", &switch, "link", "set", &port, "up"])?;
        ip(&["-n", &name, "addr", "add", &format!("10.77.0.{node}/24"), "dev", "eth0"])?;
        ip(&["-n", &name, "link", "set", "eth0", "up"])?;
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        self.power_on(node)?;
        if node == 1 {
            self.engine(1).docker(&["swarm", "init", "--advertise-addr", "10.77.0.1", "--task-history-limit", "50"]);
        } else {
            let token = self.engine(1).docker(&["swarm", "join-token", "-q", "worker"]);
            self.engine(node).docker(&["swarm", "join", "--token", &token, "10.77.0.1:2377"]);
        }
        until(&format!("{name} to be ready"), JOIN, || {
            match self.engine(1).try_docker(&["node", "inspect", "-f", "{{.Status.State}}", &name])?.as_str() {
                "ready" => Ok(()),
                state => Err(state.to_owned()),
            }
        });
        Ok(node)
    }

    /// Starts a node's engine.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn power_on(&mut self, node: usize) -> Result<(), String> {
        self.nodes[node - 1] = Some(Engine::start_node(&self.node_folder(node), &self.name(node))?);
        Ok(())
    }

    /// Kills everything that runs on a node, at once.
    pub fn power_off(&mut self, node: usize) {
        self.nodes[node - 1] = None;
    }

    /// Pulls a node's cable, or plugs it in again.
    pub fn cable(&self, node: usize, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        ip(&["-n", &self.switch(), "link", "set", &format!("port{node}"), state]).unwrap();
    }

    /// A node's engine; the node must be on.
    pub fn engine(&self, node: usize) -> &Engine {
        self.nodes[node - 1].as_ref().expect("the node is on")
    }

    /// Docker's `containers` folder of a node, whether it is on or not.
    pub fn containers(&self, node: usize) -> PathBuf {
        self.node_folder(node).join("data/containers")
    }

    /// Runs `ask` in the network of a container of `node`, where 127.0.0.1 is the container's own.
    ///
    /// # Errors
    /// The container's network is not to be had, or what `ask` says.
    pub fn inside<T: Send>(
        &self,
        node: usize,
        container: &str,
        ask: impl FnOnce() -> Result<T, String> + Send,
    ) -> Result<T, String> {
        let engine = self.engine(node);
        let key = engine.try_docker(&["inspect", "-f", "{{.NetworkSettings.SandboxKey}}", container])?;
        let path = engine.root().join(key.trim_start_matches('/'));
        let network = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        // A thread of its own: the network is the thread's, and it ends with it.
        std::thread::scope(|scope| {
            let asking = scope.spawn(move || {
                use std::os::fd::AsFd as _;
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|error| format!("cannot enter {}: {error}", path.display()))?;
                ask()
            });
            asking.join().map_err(|_| "the asking thread panicked".to_owned())?
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in (1..=self.nodes.len()).rev() {
            self.power_off(node);
            // A namespace that was never made cannot be removed, and that is fine.
            let _ = ip(&["netns", "del", &self.name(node)]);
            let _ = fs::remove_dir_all(self.node_folder(node));
        }
        let _ = ip(&["netns", "del", &self.switch()]);
    }
}

/// `ip ARGS`.
fn ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|error| format!("ip does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
