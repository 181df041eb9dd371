//! The rules of this repository that can be checked: every source file says its job, what the documents list is there,
//! and what is there is listed.

use std::fs;
use std::path::{Path, PathBuf};

use super::support::repository;
use super::support::weir::run;

/// Folders that are not ours to judge.
const NOT_OURS: [&str; 4] = ["target", ".git", "weir-data", "node_modules"];

/// Every file below `folder` with this extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_source_file_opens_with_its_job() {
    let sources = files(repository(), "rs");
    assert!(sources.len() > 20, "only {} source files are found", sources.len());
    let silent: Vec<_> = sources.iter().filter(|path| !fs::read_to_string(path).unwrap().starts_with("//! ")).collect();
    assert!(silent.is_empty(), "no `//!` line: {silent:?}");
}

#[test]
fn nothing_is_left_to_be_done_or_ignored() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore"), concat!("dbg", "!(")];
    for path in files(repository(), "rs") {
        let text = fs::read_to_string(&path).unwrap();
        for word in words {
            assert!(!text.contains(word), "{} contains {word}", path.display());
        }
    }
}

#[test]
fn every_crate_is_on_the_map() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let map = read("ARCHITECTURE.md");
    for member in manifest["workspace"]["members"].as_array().unwrap() {
        let member = member.as_str().unwrap();
        assert!(map.contains(&format!("{member}/")), "ARCHITECTURE.md does not name {member}/");
    }
    for folder in ["pipelines/", "tests/", "deploy/", "benches/"] {
        assert!(map.contains(folder), "ARCHITECTURE.md does not name {folder}");
        assert!(repository().join(folder).is_dir(), "{folder} is not there");
    }
}

#[test]
fn what_the_documents_link_to_is_there() {
    for path in files(repository(), "md") {
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let elsewhere = link.is_empty() || link.contains("://") || link.starts_with("mailto:");
            let target = path.parent().unwrap().join(link);
            assert!(elsewhere || target.exists(), "{}: no {link}", path.display());
        }
    }
}

#[test]
fn the_readmes_commands_exist() {
    let folder = tempfile::tempdir().unwrap();
    let help = String::from_utf8(run(folder.path(), &["--help"]).stdout).unwrap();
    let subcommands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(subcommands.contains(&"shipper"), "{help}");
    let readme = read("README.md");
    // The lines of every fenced block of shell.
    let commands: Vec<&str> =
        readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).flat_map(str::lines).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().take_while(|word| *word != "#").collect();
        let (Some(first), rest) = (words.first(), words.get(1..).unwrap_or_default()) else { continue };
        if first.ends_with("weir") {
            let second = rest.first().copied().unwrap_or("--help");
            if let Some(flag) = second.strip_prefix("--") {
                assert!(help.contains(&format!("--{flag}")), "`{command}`: no {second}");
                continue;
            }
            assert!(subcommands.contains(&second), "`{command}`: no subcommand {second}");
            let help = String::from_utf8(run(folder.path(), &[second, "--help"]).stdout).unwrap();
            for flag in rest.iter().filter(|word| word.starts_with("--")) {
                assert!(help.contains(flag), "`{command}`: weir {second} has no {flag}");
            }
        } else if first.contains('/') && !first.contains("://") && !first.starts_with("target/") {
            assert!(repository().join(first).is_file(), "`{command}`: no {first}");
        }
    }
}

#[test]
fn every_pipeline_has_its_sample_and_its_result() {
    let pipelines = files(&repository().join("pipelines"), "conf");
    assert!(!pipelines.is_empty(), "there are no pipelines");
    for conf in pipelines {
        for beside in ["in", "out"] {
            assert!(conf.with_extension(beside).is_file(), "{} has no .{beside}", conf.display());
        }
    }
}
