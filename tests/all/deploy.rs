//! The files of `deploy/` are true: the units are locked down, the metrics that rules and dashboards ask for are counted,
//! and a real Prometheus scrapes the roles and fires the rules that are shipped.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::support::docker::which;
use super::support::weir::{Part, Place, ROLES, free_address};
use super::support::{http, repository, say, until};

/// Prometheus is up, has scraped, and has seen a rule hold for long enough, on a busy machine.
const PROMETHEUS: Duration = Duration::from_secs(90);
/// What `systemd-analyze security` calls OK, and better than what we promise.
const EXPOSURE_MAX: f64 = 3.0;

fn deploy(path: &str) -> PathBuf {
    repository().join("deploy").join(path)
}

#[test]
fn the_units_are_locked_down() {
    if which("systemd-analyze").is_none() {
        return say::left_out("the exposure of the systemd units", "systemd-analyze is not installed");
    }
    let units: Vec<_> = fs::read_dir(deploy("systemd")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(units.len(), 4, "{units:?}");
    for unit in units {
        let output = Command::new("systemd-analyze")
            .args(["security", "--no-pager", "--offline=true"])
            .arg(&unit)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(exposure) = text.split("exposure level for").nth(1).and_then(|rest| rest.split_whitespace().nth(1))
        else {
            // Before version 250 there is no --offline.
            let said = String::from_utf8_lossy(&output.stderr);
            return say::left_out("the exposure of the systemd units", said.trim());
        };
        let exposure: f64 = exposure.parse().unwrap();
        assert!(exposure < EXPOSURE_MAX, "{}: {exposure}\n{text}", unit.display());
    }
}

#[test]
fn an_upgrade_of_the_package_leaves_what_its_owner_has_changed() {
    let manifest: toml::Table = fs::read_to_string(repository().join("Cargo.toml")).unwrap().parse().unwrap();
    let listed = manifest["package"]["metadata"]["deb"]["conf-files"].as_array().unwrap();
    let listed: BTreeSet<_> = listed.iter().map(|file| file.as_str().unwrap().to_owned()).collect();
    let pipelines = fs::read_dir(repository().join("pipelines")).unwrap();
    let pipelines = pipelines.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut there: BTreeSet<_> =
        pipelines.filter(|name| name.ends_with(".conf")).map(|name| format!("/etc/weir/pipelines/{name}")).collect();
    there.insert("/etc/weir/weir.toml".to_owned());
    assert_eq!(listed, there);
}

/// Every `weir_…` name in `text` that is a metric's.
fn metrics(text: &str) -> BTreeSet<String> {
    let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    names
        .filter(|name| ROLES.iter().any(|role| name.starts_with(&format!("weir_{}_", role.name()))))
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_rules_and_dashboards_ask_for_is_counted() {
    let mut counted = BTreeSet::new();
    for role in ROLES {
        for file in sources(&repository().join(role.name()).join("src")) {
            counted.extend(metrics(&fs::read_to_string(file).unwrap()));
        }
    }
    assert!(counted.len() > 30, "{counted:?}");
    for file in ["prometheus/rules.yml", "grafana/pipeline.json"] {
        let asked = metrics(&fs::read_to_string(deploy(file)).unwrap());
        assert!(asked.len() > 5, "{file}: {asked:?}");
        let unknown: Vec<_> = asked.difference(&counted).collect();
        assert!(unknown.is_empty(), "{file} asks for what nobody counts: {unknown:?}");
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(sources(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn dashboards_are_json_with_panels_of_known_sources() {
    let sources = fs::read_to_string(deploy("grafana/datasource.yml")).unwrap();
    for file in ["grafana/pipeline.json", "grafana/logs.json"] {
        let dashboard: serde_json::Value = serde_json::from_slice(&fs::read(deploy(file)).unwrap()).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        assert!(panels.len() >= 5, "{file}");
        for panel in panels {
            let uid = panel["datasource"]["uid"].as_str().unwrap();
            assert!(sources.contains(&format!("uid: {uid}\n")), "{file}: no source {uid}");
        }
    }
}

/// A running Prometheus; ended when dropped.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn prometheus_scrapes_the_roles_and_fires_the_rules() {
    let (Some(prometheus), Some(promtool)) = (which("prometheus"), which("promtool")) else {
        return say::left_out("Prometheus", "prometheus is not installed");
    };
    let checked = Command::new(promtool).args(["check", "rules"]).arg(deploy("prometheus/rules.yml")).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let mut weir = Place::empty();
    ROLES.into_iter().for_each(|role| weir.start(role));
    weir.wait_up();
    // The shipped files, with the roles' addresses here instead of the swarm's names, and without the long waits.
    let mut config = fs::read_to_string(deploy("prometheus/prometheus.yml")).unwrap().replace("15s", "1s");
    for (name, port, part) in
        [("shipper", 5066, Part::Shipper), ("aggregator", 9600, Part::Aggregator), ("indexer", 9200, Part::Indexer)]
    {
        let found = format!("dns_sd_configs: [{{names: [{name}], type: A, port: {port}}}]");
        assert!(config.contains(&found), "prometheus.yml has no {found}");
        config = config.replace(&found, &format!("static_configs: [{{targets: [\"{}\"]}}]", weir.admin(part)));
    }
    let rules = fs::read_to_string(deploy("prometheus/rules.yml")).unwrap();
    assert!(rules.contains("        for: 2m\n"));
    let folder = weir.folder().join("prometheus");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("rules.yml"), rules.replace("        for: 2m\n", "        for: 2s\n")).unwrap();
    fs::write(folder.join("prometheus.yml"), config).unwrap();
    let address = free_address();
    let log = fs::File::create(folder.join("log")).unwrap();
    let _running = Prometheus(
        Command::new(prometheus)
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    until("Prometheus to scrape the three roles", PROMETHEUS, || {
        let up = ask(address, "sum(up)")?;
        if up == "3" { Ok(()) } else { Err(format!("{up:?} are up")) }
    });
    assert_eq!(ask(address, "count(weir_indexer_documents_total)").unwrap(), "1");
    weir.kill(Part::Aggregator);
    until("the shipped rule to fire", PROMETHEUS, || {
        let firing = ask(address, "count(ALERTS{alertname=\"WeirRoleDown\",alertstate=\"firing\"})")?;
        if firing == "1" { Ok(()) } else { Err(format!("{firing:?} fire")) }
    });
}

/// The value of a query with one result; empty without one.
fn ask(prometheus: SocketAddr, query: &str) -> Result<String, String> {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = http::get(prometheus, &format!("/api/v1/query?query={encoded}"))?;
    if answer.status != 200 {
        return Err(answer.text());
    }
    Ok(answer.json()["data"]["result"][0]["value"][1].as_str().unwrap_or_default().to_owned())
}
