//! Tells systemd that we are ready, alive, stopping: the datagrams of sd_notify(3), when `NOTIFY_SOCKET` asks for them.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::Shutdown;

/// Says `READY=1`, then `WATCHDOG=1` as often as the unit's `WatchdogSec` asks for, until `shutdown`; then `STOPPING=1`.
/// Does nothing where no service manager listens. It runs among everything else on purpose: a runtime that is stuck
/// does not say that it lives.
pub async fn notify(shutdown: Shutdown) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let manager = match Manager::connect(socket.as_bytes()) {
        Ok(manager) => manager,
        Err(error) => {
            tracing::warn!(%error, ?socket, "systemd cannot be told that we are ready");
            return;
        }
    };
    manager.say("READY=1");
    match watchdog(std::env::var("WATCHDOG_USEC").ok().as_deref(), std::env::var("WATCHDOG_PID").ok().as_deref()) {
        Some(interval) => {
            let mut due = tokio::time::interval(interval);
            loop {
                tokio::select! {
                    _ = due.tick() => manager.say("WATCHDOG=1"),
                    () = shutdown.cancelled() => break,
                }
            }
        }
        None => shutdown.cancelled().await,
    }
    manager.say("STOPPING=1");
}

/// How often to say that we live: half of what the unit allows, if it is us who are watched.
fn watchdog(microseconds: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    let ours = pid.is_none_or(|pid| pid == std::process::id().to_string());
    let limit = microseconds?.parse::<u64>().ok().filter(|limit| *limit > 0)?;
    ours.then(|| Duration::from_micros(limit) / 2)
}

struct Manager(UnixDatagram);

impl Manager {
    /// A path, or `@` and a name without one.
    fn connect(name: &[u8]) -> std::io::Result<Self> {
        let address = match name.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    fn say(&self, state: &str) {
        if let Err(error) = self.0.send(state.as_bytes()) {
            tracing::debug!(%error, state, "systemd was not told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_it_asks() {
        let us = std::process::id().to_string();
        assert_eq!(watchdog(Some("30000000"), Some(&us)), Some(Duration::from_secs(15)));
        assert_eq!(watchdog(Some("30000000"), None), Some(Duration::from_secs(15)));
        assert_eq!(watchdog(Some("30000000"), Some("1")), None);
        assert_eq!(watchdog(Some("0"), None), None);
        assert_eq!(watchdog(None, None), None);
    }

    #[test]
    fn a_manager_hears_what_is_said_by_path_and_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("weir-test-{}", std::process::id());
        let listeners = [
            (path.as_os_str().as_bytes().to_vec(), UnixDatagram::bind(&path).unwrap()),
            (
                format!("@{name}").into_bytes(),
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
            ),
        ];
        for (address, listener) in listeners {
            Manager::connect(&address).unwrap().say("READY=1");
            let mut heard = [0; 16];
            let length = listener.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1");
        }
        assert!(Manager::connect(b"/nowhere/at/all").is_err());
    }
}
