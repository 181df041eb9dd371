//! `config.v2.json`: name, image and labels of a container, read without the Docker socket. It is still there when
//! the container has stopped.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::escape::push_json_string;

/// Largest `config.v2.json` that is read: labels and environment of a container are far below it.
const CONFIG_BYTES_MAX: u64 = 4 << 20;

/// What is known of a container. What is not known is left out of its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Name without the leading `/`.
    pub(crate) name: Option<String>,
    /// Image as it was asked for, such as `nginx:1.27`.
    pub(crate) image: Option<String>,
    /// All labels.
    pub(crate) labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "Name")]
    name: Option<String>,
    #[serde(rename = "Config")]
    config: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(rename = "Image")]
    image: Option<String>,
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Metadata {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not there, too long, or not (yet) a whole JSON document.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let length = std::fs::metadata(path)?.len();
        if length > CONFIG_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{length} bytes")));
        }
        let document: Document = serde_json::from_slice(&std::fs::read(path)?)?;
        let (image, labels) = document.config.map_or((None, None), |config| (config.image, config.labels));
        Ok(Self {
            name: document.name.map(|name| name.trim_start_matches('/').to_owned()).filter(|name| !name.is_empty()),
            image,
            labels: labels.unwrap_or_default(),
        })
    }

    /// The value of a label.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// The Swarm service, else the Compose service, else the container's name.
    pub(crate) fn service(&self) -> Option<&str> {
        self.label("com.docker.swarm.service.name")
            .or_else(|| self.label("com.docker.compose.service"))
            .or(self.name.as_deref())
    }

    /// The stack, else the Compose project.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.label("com.docker.stack.namespace").or_else(|| self.label("com.docker.compose.project"))
    }

    /// Appends the constant end of every event of this container: `"host":{…},"container":{…},…` without braces
    /// around it. `labels` names the container labels that are sent along.
    pub(crate) fn push_fields(&self, id: &str, host: &str, labels: &[String], out: &mut Vec<u8>) {
        let field = |out: &mut Vec<u8>, before: &str, value: &str, after: &str| {
            out.extend_from_slice(before.as_bytes());
            push_json_string(value.as_bytes(), out);
            out.extend_from_slice(after.as_bytes());
        };
        field(out, "\"host\":{\"name\":", host, "},\"container\":{\"id\":");
        push_json_string(id.as_bytes(), out);
        if let Some(name) = &self.name {
            field(out, ",\"name\":", name, "");
        }
        if let Some(image) = &self.image {
            field(out, ",\"image\":{\"name\":", image, "}");
        }
        let mut opened = false;
        for key in labels {
            if let Some(value) = self.label(key) {
                field(out, if opened { "," } else { ",\"labels\":{" }, key, ":");
                push_json_string(value.as_bytes(), out);
                opened = true;
            }
        }
        out.extend_from_slice(if opened { b"}}" } else { b"}" });
        if let Some(service) = self.service() {
            field(out, ",\"service\":{\"name\":", service, "}");
        }
        let task = self.label("com.docker.swarm.task.name");
        let node = self.label("com.docker.swarm.node.id");
        if self.namespace().is_some() || task.is_some() || node.is_some() {
            out.extend_from_slice(b",\"orchestrator\":{");
            let mut comma = "";
            if let Some(namespace) = self.namespace() {
                field(out, "\"namespace\":", namespace, "");
                comma = ",";
            }
            if let Some(task) = task {
                field(out, &format!("{comma}\"resource\":{{\"name\":"), task, "}");
                comma = ",";
            }
            if let Some(node) = node {
                field(out, &format!("{comma}\"node\":{{\"id\":"), node, "}");
            }
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swarm_task_gives_service_stack_and_task() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.v2.json");
        let document = r#"{"State":{"Running":true},"Name":"/shop_web.1.x7","Config":{"Image":"nginx:1@sha256:0","Env":["A=b"],
            "Labels":{"com.docker.swarm.service.name":"shop_web","com.docker.stack.namespace":"shop","com.docker.swarm.task.name":"shop_web.1.x7","team":"a\"b"}}}"#;
        std::fs::write(&path, document).unwrap();
        let metadata = Metadata::read(&path).unwrap();
        let mut out = b"{".to_vec();
        metadata.push_fields("abc", "node-1", &["team".to_owned()], &mut out);
        out.push(b'}');
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["service"]["name"], "shop_web");
        assert_eq!(value["orchestrator"]["namespace"], "shop");
        assert_eq!(value["orchestrator"]["resource"]["name"], "shop_web.1.x7");
        assert_eq!(value["container"]["labels"]["team"], "a\"b");
        assert_eq!(value["container"]["name"], "shop_web.1.x7");
        assert_eq!(value["host"]["name"], "node-1");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut out = b"{".to_vec();
        Metadata::default().push_fields("abc", "h", &[], &mut out);
        out.push(b'}');
        assert_eq!(out, br#"{"host":{"name":"h"},"container":{"id":"abc"}}"#);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("half"), "{\"Name\":").unwrap();
        assert!(Metadata::read(&folder.path().join("half")).is_err());
    }

    #[test]
    fn compose_and_plain_containers_have_a_service_too() {
        let mut metadata = Metadata { name: Some("db".to_owned()), ..Metadata::default() };
        assert_eq!(metadata.service(), Some("db"));
        metadata.labels.insert("com.docker.compose.service".to_owned(), "database".to_owned());
        metadata.labels.insert("com.docker.compose.project".to_owned(), "shop".to_owned());
        assert_eq!((metadata.service(), metadata.namespace()), (Some("database"), Some("shop")));
    }
}
