//! A swarm of one node: the image of `deploy/image`, the stack of `deploy/stack.yml`, a service that logs, and its
//! lines found by a search inside the indexer's container.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::Duration;

use super::support::docker::{BUSYBOX, Engine};
use super::support::{alone, images, repository, say, until};

/// Ports that a swarm's node listens on; a swarm that runs here already has them.
const SWARM_PORT: u16 = 2377;
/// Three tasks are scheduled, started, and found healthy.
const DEPLOY: Duration = Duration::from_secs(180);
/// The service's lines are tailed, sent, indexed.
const SEARCH: Duration = Duration::from_secs(120);

/// A line that is kept, one that is dropped, then a sleep, so that the service does not end.
const SERVICE: &str = "i=0; while [ $i -lt 50 ]; do echo \"ERROR: swarm-kept-$i\"; echo \"DEBUG: swarm-dropped-$i\"; i=$((i+1)); done; sleep 1000";

#[test]
fn the_stack_is_deployed_and_a_services_lines_are_found() {
    let _turn = alone();
    if let Err(why) = TcpListener::bind((Ipv4Addr::LOCALHOST, SWARM_PORT)) {
        return say::left_out("swarm", &format!("port {SWARM_PORT} is taken ({why}): a swarm runs here already"));
    }
    let _bridge = Bridge { was_there: bridge_is_there() };
    let folder = tempfile::Builder::new().prefix("weir-s-").tempdir().unwrap();
    let engine = match Engine::start(folder.path()) {
        Ok(engine) => engine,
        Err(why) => return say::left_out("swarm", &why),
    };
    engine.busybox();
    say::progress("swarm", "deploy/image");
    images::load(&engine);

    engine.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    let _left = Swarm(&engine);
    let node = engine.docker(&["node", "ls", "-q"]);
    engine.docker(&["node", "update", "--label-add", "weir.indexer=true", &node]);
    let deploy = Command::new("docker")
        .args(["stack", "deploy", "--resolve-image=never", "-c"])
        .arg(repository().join("deploy/stack.yml"))
        .arg("weir")
        .env("DOCKER_HOST", engine.host())
        .env("WEIR_IMAGE", "weir:test")
        .env("WEIR_SHIPPER_IMAGE", "weir-shipper:test")
        .env("WEIR_DOCKER_ROOT", engine.containers())
        .output()
        .unwrap();
    assert!(deploy.status.success(), "docker stack deploy: {}", String::from_utf8_lossy(&deploy.stderr));
    engine.docker(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "talker",
        BUSYBOX,
        "sh",
        "-c",
        SERVICE,
    ]);

    say::progress("swarm", "docker stack deploy; waiting until every role is healthy");
    for role in ["shipper", "aggregator", "indexer"] {
        until(&format!("weir_{role} to be healthy"), DEPLOY, || healthy(&engine, role));
    }
    let container = engine.docker(&["ps", "-q", "-f", "name=weir_indexer"]);
    let search = |query: &str| engine.try_docker(&["exec", &container, "/usr/bin/weir", "search", "-n", "200", query]);
    until("the service's lines", SEARCH, || {
        let text = search("service.name:talker")?;
        let kept = (0..50).filter(|n| text.lines().any(|line| line.ends_with(&format!("swarm-kept-{n}")))).count();
        if kept == 50 { Ok(()) } else { Err(format!("{kept} of 50 lines are found:\n{text}{}", logs(&engine))) }
    });
    let text = search("service.name:talker").unwrap();
    assert!(!text.contains("swarm-dropped"), "{text}");
    assert_eq!(text.matches("swarm-kept").count(), 50, "a line is there twice: {text}");
}

/// Whether the role's one container says of itself that it is well.
fn healthy(engine: &Engine, role: &str) -> Result<(), String> {
    let status = engine.try_docker(&["ps", "-f", &format!("name=weir_{role}"), "--format", "{{.Status}}"])?;
    if status.contains("(healthy)") {
        return Ok(());
    }
    let tasks = engine.try_docker(&["service", "ps", "--no-trunc", &format!("weir_{role}")])?;
    Err(format!("{status:?}\n{tasks}{}", logs(engine)))
}

/// The last words of every container of the stack.
fn logs(engine: &Engine) -> String {
    let mut text = String::new();
    for id in engine.try_docker(&["ps", "-aq", "-f", "name=weir_"]).unwrap_or_default().split_whitespace() {
        let output =
            Command::new("docker").env("DOCKER_HOST", engine.host()).args(["logs", "--tail", "15", id]).output();
        if let Ok(output) = output {
            let name = engine.try_docker(&["inspect", "-f", "{{.Name}}", id]).unwrap_or_default();
            let words = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            text += &format!("\n--- {name}\n{words}");
        }
    }
    text
}

/// Leaves the swarm at the end, so that its networks go too.
struct Swarm<'a>(&'a Engine);

impl Drop for Swarm<'_> {
    fn drop(&mut self) {
        // The engine is ended next in any case.
        let _ = self.0.try_docker(&["service", "rm", "talker"]);
        let _ = self.0.try_docker(&["stack", "rm", "weir"]);
        let _ = self.0.try_docker(&["swarm", "leave", "--force"]);
    }
}

/// The bridge that a swarm makes on its node and leaves there; removed after the engine has ended, if it is ours.
struct Bridge {
    was_there: bool,
}

fn bridge_is_there() -> bool {
    std::path::Path::new("/sys/class/net/docker_gwbridge").exists()
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if !self.was_there && bridge_is_there() {
            // A bridge without members disturbs nobody if it stays.
            let _ = Command::new("ip").args(["link", "delete", "docker_gwbridge"]).status();
        }
    }
}
