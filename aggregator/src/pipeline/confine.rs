//! Which files of this machine a pipeline's options name, and which of them it may name.

use super::ast::{Branch, Literal, Plugin, Value};
use super::diagnostic::{Diagnostic, Source};
use super::options::scalar;

/// Options of filters whose values are files or folders that are read.
const FILE_OPTIONS: [&str; 5] = ["database", "dictionary_path", "network_path", "patterns_dir", "regexes"];

/// A diagnostic for each file that `plugin` names and that is not among `allowed`.
pub(super) fn foreign(plugin: &Plugin, allowed: &[String]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    each(plugin, &mut |value, path| {
        if !allowed.contains(&path) {
            let message = format!("`{path}` is not read for a trial");
            let hint = "only files that the running pipelines name are";
            found.push(Diagnostic::error(&value.span, message, hint));
        }
    });
    found
}

/// Every file that the filters of a pipeline text name. What cannot be read of a text names none.
pub fn file_options(name: &str, text: &str) -> Vec<String> {
    let source = std::sync::Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
    let mut found = Vec::new();
    for section in super::grammar::parse(&source).0 {
        branches(&section.body, &mut found);
    }
    found
}

fn branches(body: &[Branch], found: &mut Vec<String>) {
    for branch in body {
        match branch {
            Branch::Plugin(plugin) => each(plugin, &mut |_, path| found.push(path)),
            Branch::If(condition) => {
                condition.arms.iter().for_each(|arm| branches(&arm.body, found));
                condition.otherwise.iter().for_each(|body| branches(body, found));
            }
        }
    }
}

fn each(plugin: &Plugin, see: &mut dyn FnMut(&Value, String)) {
    for attribute in plugin.attributes.iter().filter(|attribute| FILE_OPTIONS.contains(&attribute.name.as_str())) {
        let values = match &attribute.value.literal {
            Literal::Array(items) => &items[..],
            _ => std::slice::from_ref(&attribute.value),
        };
        for value in values {
            if let Some(path) = scalar(value) {
                see(value, path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::pipeline::{LoadOptions, Program};

    #[test]
    fn a_trial_reads_no_file_that_the_running_pipelines_do_not_name() {
        let text = |path: &str| {
            format!(
                "filter {{ if [a] {{ translate {{ source => \"a\" target => \"b\" dictionary_path => \"{path}\" }} }} }}"
            )
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.json");
        std::fs::write(&path, "{}").unwrap();
        let path = path.display().to_string();
        let running = super::file_options("running", &text(&path));
        assert_eq!(running, std::slice::from_ref(&path));
        let options = LoadOptions { files: Some(running), ..LoadOptions::default() };
        assert!(Program::parse(vec![("a".into(), text(&path))], &options).is_ok());
        let refused = Program::parse(vec![("a".into(), text("/etc/passwd"))], &options).unwrap_err();
        assert!(refused[0].message.contains("/etc/passwd"), "{refused:?}");
    }
}
