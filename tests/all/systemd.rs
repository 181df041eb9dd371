//! The shipped units start under a real systemd: one that `systemd-nspawn` boots on this machine's own files, with an overlay
//! for what it writes and a network of its own. There a line of a container is found, a role that hangs is killed by the
//! watchdog and comes back, and all is stopped in good order.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::support::docker::which;
use super::support::{repository, say};

/// Seconds after which the machine is ended, whatever it does: it is there within 2 and done within 30 on an idle machine.
const LIMIT_SECONDS: &str = "240";
const UNITS: [&str; 4] = ["weir", "weir-shipper", "weir-aggregator", "weir-indexer"];

/// The only thing that the machine is booted for, with nothing that this one would start.
const TARGET: &str = "[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=weir-test.service\n";
const SERVICE: &str = "[Unit]\nAfter=basic.target\n[Service]\nType=oneshot\nTimeoutStartSec=infinity\n\
    ExecStart=/bin/sh /tried/script\nExecStopPost=/bin/systemctl exit --force 0\n";
/// A watchdog for people who do not want to wait for a minute.
const SHORT: &str = "[Service]\nWatchdogSec=4\n";

const SCRIPT: &str = r#"exec > /tried/report 2>&1
folder=/var/lib/docker/containers/abcd
mkdir -p $folder
echo '{"ID":"abcd","Name":"/web","Config":{"Image":"web:1","Labels":{"com.docker.swarm.service.name":"shop_web"}}}' > $folder/config.v2.json
line() { printf '{"log":"ERROR: %s\\n","stream":"stdout","time":"%s"}\n' "$1" "$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)" >> $folder/abcd-json.log; }
found() { for i in $(seq 60); do weir search "$1" 2>/dev/null | grep -q "$1" && echo "found $1" && return; sleep 0.5; done; echo "no $1"; }
states() { for unit in "$@"; do echo "$unit: $(systemctl is-active $unit), restarts $(systemctl show -p NRestarts --value $unit), $(systemctl show -p Result --value $unit)"; done; }
line cheese
chmod -R go-rwx /var/lib/docker
systemctl start weir-indexer weir-aggregator weir-shipper
found cheese
states weir-indexer weir-aggregator weir-shipper
kill -STOP $(systemctl show -p MainPID --value weir-shipper)
line bread
found bread
states weir-shipper
systemctl stop weir-shipper weir-aggregator weir-indexer
states weir-indexer weir-aggregator
systemctl start weir
found cheese
states weir
systemctl stop weir
states weir
journalctl --no-pager -u 'weir*' > /tried/journal
echo end
"#;

/// A file system that shows this machine's files, and keeps what is written in memory; unmounted when dropped.
struct Overlay(PathBuf);

impl Overlay {
    fn mount(folder: &Path) -> Result<Self, String> {
        let at = folder.join("overlay");
        fs::create_dir(&at).map_err(|error| error.to_string())?;
        step(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&at))?;
        let overlay = Self(at);
        for made in ["upper", "work", "root"] {
            fs::create_dir(overlay.0.join(made)).map_err(|error| error.to_string())?;
        }
        let (upper, work) = (overlay.0.join("upper"), overlay.0.join("work"));
        let options = format!("lowerdir=/,upperdir={},workdir={}", upper.display(), work.display());
        step(Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(overlay.root()))?;
        Ok(overlay)
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        for mounted in [self.root(), self.0.clone()] {
            // It may never have been mounted.
            let _ = Command::new("umount").arg("-l").arg(mounted).stderr(Stdio::null()).status();
        }
    }
}

fn step(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

#[test]
fn the_units_start_under_systemd_and_the_watchdog_bites() {
    let what = "the units under a real systemd";
    if !rustix::process::geteuid().is_root() {
        return say::left_out(what, "booting a machine in a container needs root");
    }
    let systemd = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"].iter().any(|path| Path::new(path).exists());
    if which("systemd-nspawn").is_none() || !systemd {
        return say::left_out(what, "systemd-nspawn or systemd is not installed (Debian: systemd-container)");
    }
    let folder = tempfile::tempdir().unwrap();
    let overlay = match Overlay::mount(folder.path()) {
        Ok(overlay) => overlay,
        Err(why) => return say::left_out(what, &why),
    };
    let tried = folder.path().join("tried");
    let settings = folder.path().join("etc");
    fs::create_dir_all(&settings).unwrap();
    fs::create_dir(&tried).unwrap();
    fs::write(tried.join("script"), SCRIPT).unwrap();
    fs::copy(repository().join("deploy/weir.toml"), settings.join("weir.toml")).unwrap();
    let weir = Path::new(env!("CARGO_BIN_EXE_weir"));
    let mut binds = vec![
        (repository().join("pipelines"), "/etc/weir/pipelines".to_owned()),
        (settings.join("weir.toml"), "/etc/weir/weir.toml".to_owned()),
        (weir.to_owned(), "/usr/bin/weir".to_owned()),
        (weir.with_file_name("weir-shipper"), "/usr/bin/weir-shipper".to_owned()),
    ];
    for unit in UNITS {
        let file = format!("{unit}.service");
        binds.push((repository().join("deploy/systemd").join(&file), format!("/etc/systemd/system/{file}")));
    }
    for (name, text) in [("weir-test.target", TARGET), ("weir-test.service", SERVICE), ("short.conf", SHORT)] {
        fs::write(settings.join(name), text).unwrap();
        let folder = if name == "short.conf" { "weir-shipper.service.d/" } else { "" };
        binds.push((settings.join(name), format!("/etc/systemd/system/{folder}{name}")));
    }
    let mut machine = Command::new("timeout");
    machine.args(["--signal=KILL", LIMIT_SECONDS, "systemd-nspawn", "--quiet", "--private-network", "--register=no"]);
    machine.args(["--keep-unit", "--console=pipe", "--link-journal=no", "--machine=weir-units", "--directory"]);
    machine.arg(overlay.root()).arg(format!("--bind={}:/tried", tried.display()));
    machine.args(binds.iter().map(|(from, to)| format!("--bind-ro={}:{to}", from.display())));
    machine.args(["--boot", "--", "--unit=weir-test.target"]);
    let ended = machine.stdin(Stdio::null()).output().unwrap();
    let Ok(report) = fs::read_to_string(tried.join("report")) else {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        return say::left_out(what, said.lines().next_back().unwrap_or("it does not boot"));
    };
    let journal = fs::read_to_string(tried.join("journal")).unwrap_or_default();
    let scene = format!("{report}\n{journal}");
    let expected = [
        "found cheese",
        "weir-indexer: active, restarts 0, success",
        "weir-aggregator: active, restarts 0, success",
        "weir-shipper: active, restarts 0, success",
        "found bread",
        "weir-shipper: active, restarts 1, success",
        "weir-indexer: inactive, restarts 0, success",
        "weir-aggregator: inactive, restarts 0, success",
        "found cheese",
        "weir: active, restarts 0, success",
        "weir: inactive, restarts 0, success",
        "end",
    ];
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines, expected, "{scene}");
}
