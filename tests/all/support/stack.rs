//! weir's stack on a cluster: the real stack files with TLS deployed on it, its tasks found, its indexer asked as people ask it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::repository;

/// Makes authority, certificates, tokens and the password in `folder`, and gives where.
pub fn secrets(folder: &Path) -> PathBuf {
    let secrets = folder.join("secret");
    let made = Command::new(repository().join("deploy/secrets"))
        .args(["--weir", env!("CARGO_BIN_EXE_weir"), "--dir"])
        .arg(&secrets)
        .output()
        .unwrap();
    assert!(made.status.success(), "deploy/secrets: {}", String::from_utf8_lossy(&made.stderr));
    secrets
}

/// Brings the images to a node.
pub fn load(swarm: &Cluster, node: usize, images: &Path) {
    swarm.engine(node).busybox();
    swarm.engine(node).docker(&["load", "-q", "-i", &images.display().to_string()]);
}

/// `docker stack deploy` of the real files.
pub fn deploy(swarm: &Cluster, variables: &[(&str, &str)]) {
    let output = Command::new("docker")
        .args([
            "stack",
            "deploy",
            "--resolve-image=never",
            "-c",
            "deploy/stack.yml",
            "-c",
            "deploy/stack.tls.yml",
            "weir",
        ])
        .current_dir(repository())
        .env("DOCKER_HOST", swarm.engine(1).host())
        .envs([("WEIR_IMAGE", "weir:test"), ("WEIR_SHIPPER_IMAGE", "weir-shipper:test")])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "docker stack deploy: {}", String::from_utf8_lossy(&output.stderr));
}

/// The container of `service` that runs on `node`.
pub fn container(swarm: &Cluster, node: usize, service: &str) -> Result<String, String> {
    let filter = format!("name={service}");
    let ids = swarm.engine(node).try_docker(&["ps", "-q", "--no-trunc", "-f", &filter, "-f", "status=running"])?;
    ids.lines().next().map(str::to_owned).ok_or_else(|| format!("no {service} runs on node {node}"))
}

/// Whether every task that the services want is there, and says of itself that it is well.
pub fn healthy(swarm: &Cluster, roles: &[&str]) -> Result<(), String> {
    for role in roles {
        let service = format!("weir_{role}");
        let filter = format!("name={service}");
        let replicas = swarm.engine(1).try_docker(&["service", "ls", "-f", &filter, "--format", "{{.Replicas}}"])?;
        let (there, wanted) = replicas.split_once('/').ok_or_else(|| format!("{service}: {replicas:?}"))?;
        if there != wanted || there == "0" {
            let tasks = swarm.engine(1).try_docker(&["service", "ps", "--no-trunc", &service])?;
            return Err(format!("{service} has {replicas}\n{tasks}"));
        }
    }
    Ok(())
}

/// The indexer's container on node 1, asked as people ask it: with TLS, its authority, and the password.
pub struct Indexer<'a> {
    pub swarm: &'a Cluster,
    pub container: String,
    /// The folder of the secrets.
    pub secrets: PathBuf,
}

impl Indexer<'_> {
    /// POST of JSON, by curl in the container's network.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let password = fs::read_to_string(self.secrets.join("password")).map_err(|error| error.to_string())?;
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--cacert",
            &self.secrets.join("ca.pem").display().to_string(),
        ]);
        curl.args(["--user", &format!("weir:{}", password.trim_end()), "--header", "Content-Type: application/json"]);
        curl.args(["--data", &body.to_string(), &format!("https://localhost:9200{path}")]);
        let output = self.swarm.inside(1, &self.container, || curl.output().map_err(|error| error.to_string()))?;
        if !output.status.success() {
            let said = [output.stderr, output.stdout].concat();
            return Err(format!("POST {path}: {}", String::from_utf8_lossy(&said)));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("POST {path}: {error}"))
    }

    /// Calls `each` for the message of every document of `logs-weir` that matches `word`, page by page.
    pub fn messages(&self, word: &str, mut each: impl FnMut(&str)) -> Result<(), String> {
        let query =
            json!({"size": 10_000, "sort": ["_doc"], "_source": ["message"], "query": {"match": {"message": word}}});
        let mut page = self.post("/logs-weir/_search?scroll=1m", &query)?;
        loop {
            let hits = page["hits"]["hits"].as_array().ok_or("no hits in the answer")?;
            if hits.is_empty() {
                return Ok(());
            }
            hits.iter().for_each(|hit| each(hit["_source"]["message"].as_str().unwrap_or_default()));
            page = self.post("/_search/scroll", &json!({"scroll": "1m", "scroll_id": page["_scroll_id"]}))?;
        }
    }
}
