//! From paths to pipelines: which files belong to which, and what they say.
//!
//! A file is part of the pipeline `main`, as are the `*.conf` of a folder, in order of name. A folder inside of that is
//! a pipeline of its own, named after the folder. A `*.yml` lists pipelines as Logstash's `pipelines.yml` does, and may
//! say with `condition` which events each of them takes:
//!
//! ```yaml
//! - pipeline.id: main
//!   path.config: "/etc/weir/main/*.conf"
//! - pipeline.id: web
//!   path.config: "/etc/weir/web.conf"
//!   condition: '[service][name] == "web"'
//! ```

use std::path::{Path, PathBuf};

use yaml_rust2::{Yaml, YamlLoader};

use super::diagnostic::{Diagnostic, nearest};
use super::options::Ecs;
use super::program::MAIN;
use crate::glob;

/// A pipeline file larger than this is not one, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Pipelines side by side; each event is asked for them one after the other.
const PIPELINES_MAX: usize = 1_000;

/// What is Logstash's to set for a pipeline and has no meaning here.
const WITHOUT_EFFECT: [&str; 16] = [
    "config.debug",
    "config.reload.automatic",
    "config.reload.interval",
    "dead_letter_queue.enable",
    "dead_letter_queue.max_bytes",
    "path.dead_letter_queue",
    "path.queue",
    "pipeline.batch.delay",
    "pipeline.batch.size",
    "pipeline.ordered",
    "pipeline.plugin_classloaders",
    "pipeline.unsafe_shutdown",
    "pipeline.workers",
    "queue.checkpoint.writes",
    "queue.max_bytes",
    "queue.type",
];
const KEYS: [&str; 5] = ["condition", "config.string", "path.config", "pipeline.ecs_compatibility", "pipeline.id"];

/// The files of one pipeline.
#[derive(Debug, Default)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// Which events it takes besides those whose label names it, and where that is written.
    pub condition: Option<(String, String)>,
    /// The mode of its filters, where it differs from that of all.
    pub ecs: Option<Ecs>,
    /// Name and text of each file.
    pub texts: Vec<(String, String)>,
}

impl Group {
    /// A pipeline of these texts.
    pub fn new(name: &str, texts: Vec<(String, String)>) -> Self {
        Self { name: name.to_owned(), texts, ..Self::default() }
    }
}

/// Reads what `paths` stand for.
pub fn read(paths: &[PathBuf], mistakes: &mut Vec<Diagnostic>) -> Vec<Group> {
    let mut groups = vec![Group::new(MAIN, Vec::new())];
    for path in paths {
        if is_list(path) {
            match text(path) {
                Ok(text) => list(path, &text, &mut groups, mistakes),
                Err(mistake) => mistakes.push(*mistake),
            }
        } else if path.is_dir() {
            let (files, folders) = entries(path, mistakes);
            add(MAIN, &files, &mut groups, mistakes);
            for folder in folders {
                let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let (files, _) = entries(&folder, mistakes);
                if !files.is_empty() {
                    add(&name, &files, &mut groups, mistakes);
                }
            }
        } else {
            add(MAIN, std::slice::from_ref(path), &mut groups, mistakes);
        }
    }
    // Without a `main` the first one listed takes what no other does.
    if groups.len() > 1 && groups[0].texts.is_empty() {
        groups.remove(0);
    }
    groups
}

/// The names and texts of the first pipeline's files, and what cannot be read of all.
pub fn texts(paths: &[PathBuf]) -> (Vec<(String, String)>, Vec<Diagnostic>) {
    let mut mistakes = Vec::new();
    let first = read(paths, &mut mistakes).into_iter().next();
    (first.map(|group| group.texts).unwrap_or_default(), mistakes)
}

/// Every file and folder whose change may change what [`read`] answers, or what lies beside them, such as patterns and
/// dictionaries.
pub fn watched(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut watched = Vec::new();
    for path in paths {
        watched.push(path.clone());
        for entry in listed(path) {
            watched.extend(listed(&entry));
            watched.push(entry);
        }
        if is_list(path)
            && let Ok(text) = text(path)
            && let Ok(documents) = YamlLoader::load_from_str(&text)
        {
            for pipeline in documents.first().and_then(Yaml::as_vec).into_iter().flatten() {
                watched.extend(pipeline["path.config"].as_str().into_iter().flat_map(|pattern| config(path, pattern)));
            }
        }
    }
    watched
}

/// What is in a folder now, in order of name; nothing in what is none.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn is_list(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
}

/// The `*.conf` of a folder, and its folders, each in order of name.
fn entries(folder: &Path, mistakes: &mut Vec<Diagnostic>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    let listed = std::fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    match listed {
        Ok(listed) => {
            for path in listed.into_iter().map(|entry| entry.path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "conf") {
                    files.push(path);
                }
            }
        }
        Err(error) => {
            let shown = folder.display().to_string();
            mistakes.push(Diagnostic::of_file(shown, format!("cannot read the folder: {error}"), ""));
        }
    }
    files.sort();
    folders.sort();
    (files, folders)
}

/// Adds files to the pipeline of this name.
fn add(name: &str, files: &[PathBuf], groups: &mut Vec<Group>, mistakes: &mut Vec<Diagnostic>) {
    let mut texts = Vec::new();
    for file in files {
        match text(file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(mistake) => mistakes.push(*mistake),
        }
    }
    match groups.iter().position(|group| group.name == name) {
        Some(at) => groups[at].texts.extend(texts),
        None if groups.len() < PIPELINES_MAX => groups.push(Group::new(name, texts)),
        None => {
            let message = format!("`{name}` is one more than {PIPELINES_MAX} pipelines");
            mistakes.push(Diagnostic::of_file(name, message, ""));
        }
    }
}

fn text(file: &Path) -> Result<String, Box<Diagnostic>> {
    let shown = file.display().to_string();
    let fail =
        |error: std::io::Error| Box::new(Diagnostic::of_file(&shown, format!("cannot read the file: {error}"), ""));
    let size = std::fs::metadata(file).map_err(fail)?.len();
    if size > FILE_BYTES_MAX {
        let message = format!("the file has {size} bytes; a pipeline file has at most {FILE_BYTES_MAX}");
        return Err(Box::new(Diagnostic::of_file(&shown, message, "")));
    }
    std::fs::read_to_string(file).map_err(fail)
}

/// The files of a `path.config`; a relative one counts from the folder of the list.
fn config(list: &Path, pattern: &str) -> Vec<PathBuf> {
    let path = list.parent().unwrap_or(Path::new("")).join(pattern);
    // A folder stands for all files in it.
    let path = if path.is_dir() { path.join("*") } else { path };
    if path.to_string_lossy().contains(['*', '?']) { glob::files(&path.to_string_lossy()) } else { vec![path] }
}

/// Reads a list of pipelines.
fn list(path: &Path, text: &str, groups: &mut Vec<Group>, mistakes: &mut Vec<Diagnostic>) {
    let shown = path.display().to_string();
    let mut wrong = |message: String, hint: &str| mistakes.push(Diagnostic::of_file(&shown, message, hint));
    let documents = match YamlLoader::load_from_str(text) {
        Ok(documents) => documents,
        Err(error) => return wrong(format!("this is no YAML: {error}"), ""),
    };
    let Some(pipelines) = documents.first().and_then(Yaml::as_vec) else {
        return wrong(
            "a list of pipelines was expected".to_owned(),
            "each begins with `- pipeline.id: NAME` and names its files in `path.config`",
        );
    };
    let mut found: Vec<(Group, Vec<PathBuf>)> = Vec::new();
    for (index, pipeline) in pipelines.iter().enumerate() {
        let Some(name) = pipeline["pipeline.id"].as_str() else {
            wrong(format!("pipeline {} has no `pipeline.id`", index + 1), "");
            continue;
        };
        for key in pipeline.as_hash().into_iter().flat_map(|hash| hash.keys()).filter_map(Yaml::as_str) {
            if !KEYS.contains(&key) && !WITHOUT_EFFECT.contains(&key) {
                let hint = nearest(key, KEYS).map(|near| format!("did you mean `{near}`?"));
                wrong(format!("pipeline `{name}` has an unknown `{key}`"), &hint.unwrap_or_default());
            }
        }
        let ecs = match pipeline["pipeline.ecs_compatibility"].as_str() {
            None => None,
            Some("disabled") => Some(Ecs::Disabled),
            Some("v1" | "v8") => Some(Ecs::V8),
            Some(other) => {
                wrong(format!("pipeline `{name}`: ecs_compatibility cannot be `{other}`"), "disabled, v1 or v8");
                None
            }
        };
        let condition =
            pipeline["condition"].as_str().map(|text| (format!("{shown}, condition of {name}"), text.to_owned()));
        let mut group = Group { name: name.to_owned(), condition, ecs, texts: Vec::new() };
        if let Some(text) = pipeline["config.string"].as_str() {
            group.texts.push((format!("{shown}, config.string of {name}"), text.to_owned()));
        }
        let files = match pipeline["path.config"].as_str() {
            Some(pattern) => {
                let files = config(path, pattern);
                if files.is_empty() {
                    wrong(format!("pipeline `{name}`: no file is named {pattern}"), "");
                }
                files
            }
            None => {
                if group.texts.is_empty() {
                    wrong(format!("pipeline `{name}` has neither `path.config` nor `config.string`"), "");
                }
                Vec::new()
            }
        };
        found.push((group, files));
    }
    for (group, files) in found {
        let name = group.name.clone();
        match groups.iter_mut().find(|other| other.name == name) {
            Some(other) if other.texts.is_empty() && other.condition.is_none() => *other = group,
            Some(_) => {
                mistakes.push(Diagnostic::of_file(&shown, format!("there are two pipelines `{name}`"), ""));
                continue;
            }
            None => groups.push(group),
        }
        add(&name, &files, groups, mistakes);
    }
}
