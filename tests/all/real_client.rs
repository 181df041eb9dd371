//! Real clients against weir, each as it comes from its registry: the `elasticsearch` packages 8 and 9 for Python with
//! their DSL, opensearch-py, ElastAlert 2, elasticdump; what Grafana's data source asks, as it was recorded; and
//! schemathesis, which asks everything that the OpenAPI document allows.
//!
//! What a client does and expects stands in `clients/with_<client>.py`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::docker::which;
use super::support::weir::{Part, Place};
use super::support::{kept, repository, say, shared};

#[test]
fn elasticsearch_py_8() {
    elasticsearch(8);
}

#[test]
fn elasticsearch_py_9() {
    elasticsearch(9);
}

fn elasticsearch(major: u32) {
    let python = match python_with("elasticsearch", &major.to_string()) {
        Ok(python) => python,
        Err(why) => return say::left_out(&format!("real_client {major}.x"), &why),
    };
    let said = against_weir(&python, "with_elasticsearch.py", &[]);
    assert!(said.starts_with(&format!("elasticsearch {major}.")), "{said}");
}

#[test]
fn opensearch_py() {
    let Some(python) = python("opensearch", &["opensearch-py"], "import opensearchpy") else { return };
    let said = against_weir(&python, "with_opensearch.py", &[]);
    assert!(said.starts_with("opensearch-py "), "{said}");
}

#[test]
fn elastalert_raises_an_alert() {
    // The newest needs a newer Python than some systems have; it imports packages that it does not name.
    let packages = ["elastalert2==2.19.0", "pytz", "setuptools<81"];
    let Some(python) = python("elastalert", &packages, "import elastalert.elastalert") else { return };
    let folder = tempfile::tempdir().unwrap();
    against_weir(&python, "with_elastalert.py", &[folder.path().to_str().unwrap()]);
}

#[test]
fn elasticdump_copies_an_index() {
    let folder = kept().join("npm-elasticdump");
    let program = folder.join("node_modules/.bin/elasticdump");
    if !program.exists() {
        if which("npm").is_none() {
            return say::left_out("elasticdump_copies_an_index", "there is no npm");
        }
        say::progress("real_client", "npm install elasticdump");
        std::fs::create_dir_all(&folder).unwrap();
        let mut install = Command::new("npm");
        install.args(["install", "--no-audit", "--no-fund", "--silent", "elasticdump@6.125.1"]).current_dir(&folder);
        if let Err(why) = step(&mut install) {
            return say::left_out("elasticdump_copies_an_index", &why);
        }
    }
    let files = tempfile::tempdir().unwrap();
    let arguments = [program.to_str().unwrap(), files.path().to_str().unwrap()];
    against_weir(Path::new("python3"), "with_elasticdump.py", &arguments);
}

#[test]
fn what_grafana_asks() {
    let Some(requests) = shared().map(|shared| shared.join("cases/grafana_requests.json")).filter(|file| file.exists())
    else {
        return say::left_out("what_grafana_asks", "the recorded requests are not here");
    };
    if which("python3").is_none() {
        return say::left_out("what_grafana_asks", "there is no python3");
    }
    against_weir(Path::new("python3"), "with_grafana.py", &[requests.to_str().unwrap()]);
}

#[test]
fn schemathesis_finds_no_server_error() {
    let Some(python) = python("schemathesis", &["schemathesis>=4,<5"], "import schemathesis") else { return };
    let mut weir = Place::empty();
    weir.start(Part::Indexer);
    weir.wait_up();
    // How many requests each endpoint gets; more for a longer search.
    let examples = std::env::var("WEIR_TEST_SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| "4".to_owned());
    let output = Command::new(python.with_file_name("schemathesis"))
        .args(["run", &format!("http://{}/api/openapi.json", weir.search), "--checks", "not_a_server_error"])
        .args(["--phases", "examples,fuzzing", "--max-examples", &examples, "--seed", "1", "--no-color"])
        // A live tail does not end.
        .args(["--exclude-path", "/api/tail", "--request-timeout", "30", "--suppress-health-check", "all"])
        .env("HYPOTHESIS_STORAGE_DIRECTORY", weir.folder())
        .env("PYTHONPATH", repository().join("tests/all/clients"))
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(weir.folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    weir.check_alive();
}

/// Runs a client's script against an indexer of its own; gives back what it printed.
fn against_weir(python: &Path, script: &str, arguments: &[&str]) -> String {
    let mut weir = Place::empty();
    weir.start(Part::Indexer);
    weir.wait_up();
    let output = Command::new(python)
        .arg(repository().join("tests/all/clients").join(script))
        .arg(format!("http://{}", weir.search))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script}: {said}{}", String::from_utf8_lossy(&output.stderr));
    weir.check_alive();
    said
}

/// The Python of an environment that has a package of PyPI in a version that begins so; made when it is not there.
pub fn python_with(package: &str, version: &str) -> Result<PathBuf, String> {
    let check = format!("import importlib.metadata as m; assert m.version('{package}').startswith('{version}.')");
    environment(&format!("{package}-{version}"), &[&format!("{package}=={version}.*")], &check)
}

/// The Python of an environment in which `check` runs. `None`, and said to be left out, where it cannot be made.
fn python(name: &str, packages: &[&str], check: &str) -> Option<PathBuf> {
    environment(name, packages, check).map_err(|why| say::left_out(name, &why)).ok()
}

/// The Python of an environment in which `check` runs, made with `packages` where it is not there.
fn environment(name: &str, packages: &[&str], check: &str) -> Result<PathBuf, String> {
    let folder = kept().join(format!("python-{name}"));
    let python = folder.join("bin/python");
    let works =
        |python: &Path| Command::new(python).args(["-c", check]).output().is_ok_and(|output| output.status.success());
    if works(&python) {
        return Ok(python);
    }
    if which("python3").is_none() {
        return Err("there is no python3".to_owned());
    }
    say::progress("python", &format!("pip install {}", packages.join(" ")));
    step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    step(Command::new(&python).args(pip).args(packages))?;
    if works(&python) { Ok(python) } else { Err(format!("the installed packages do not pass `{check}`")) }
}

fn step(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed: {}", said.lines().next_back().unwrap_or("it said nothing")))
}
