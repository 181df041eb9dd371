//! A real client: the `elasticsearch` package for Python from PyPI, 8.x and 9.x, against weir.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::docker::which;
use super::support::weir::{Part, Place};
use super::support::{kept, repository, say};

#[test]
fn elasticsearch_py_8() {
    run(8);
}

#[test]
fn elasticsearch_py_9() {
    run(9);
}

fn run(major: u32) {
    let python = match python_with("elasticsearch", &major.to_string()) {
        Ok(python) => python,
        Err(why) => return say::left_out(&format!("real_client {major}.x"), &why),
    };
    let mut weir = Place::empty();
    weir.start(Part::Indexer);
    weir.wait_up();
    let output = Command::new(python)
        .arg(repository().join("tests/all/real_client.py"))
        .arg(format!("http://{}", weir.search))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with(&format!("elasticsearch {major}.")), "{said}");
    weir.check_alive();
}

/// The Python of an environment that has a package of PyPI in a version that begins so; made when it is not there.
pub fn python_with(package: &str, version: &str) -> Result<PathBuf, String> {
    let folder = kept().join(format!("python-{package}-{version}"));
    let python = folder.join("bin/python");
    let works = |python: &Path| {
        let check = format!("import importlib.metadata as m; assert m.version('{package}').startswith('{version}.')");
        Command::new(python).args(["-c", &check]).output().is_ok_and(|output| output.status.success())
    };
    if works(&python) {
        return Ok(python);
    }
    if which("python3").is_none() {
        return Err("there is no python3".to_owned());
    }
    say::progress("python", &format!("pip install {package} {version}"));
    step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let wanted = format!("{package}=={version}.*");
    step(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &wanted]))?;
    if works(&python) { Ok(python) } else { Err(format!("the installed {package} is not {version}")) }
}

fn step(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed: {}", said.lines().next_back().unwrap_or("it said nothing")))
}
