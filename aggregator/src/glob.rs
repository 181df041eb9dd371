//! Paths with `*`, `?` and `**`, as the `file` input takes them.

use std::path::{Path, PathBuf};

/// Folders that are looked into for one pattern; keeps `/**` from walking a whole machine for ever.
const FOLDERS_MAX: usize = 10_000;

/// The files that match `pattern` now, sorted.
pub(crate) fn files(pattern: &str) -> Vec<PathBuf> {
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let start = if pattern.starts_with('/') { PathBuf::from("/") } else { PathBuf::from(".") };
    let mut found = Vec::new();
    let mut folders_left = FOLDERS_MAX;
    walk(&start, &parts, &mut found, &mut folders_left);
    found.sort();
    found.dedup();
    found
}

fn walk(folder: &Path, parts: &[&str], found: &mut Vec<PathBuf>, folders_left: &mut usize) {
    let Some((part, rest)) = parts.split_first() else { return };
    if *folders_left == 0 {
        return;
    }
    *folders_left -= 1;
    if *part == "**" {
        walk(folder, rest, found, folders_left);
    } else if !part.contains(['*', '?']) {
        return visit(&folder.join(part), rest, found, folders_left);
    }
    // A folder that cannot be read has no files for us.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if *part == "**" {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                walk(&entry.path(), parts, found, folders_left);
            }
        } else if matches(part.as_bytes(), name.as_encoded_bytes()) {
            visit(&entry.path(), rest, found, folders_left);
        }
    }
}

fn visit(path: &Path, rest: &[&str], found: &mut Vec<PathBuf>, folders_left: &mut usize) {
    if !rest.is_empty() {
        walk(path, rest, found, folders_left);
    } else if path.is_file() {
        found.push(path.to_owned());
    }
}

/// Whether `name` fits a pattern of `*` and `?`. Linear but for one step back to the last star.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    n = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, fits) in [
            ("*.log", "a.log", true),
            ("*.log", "a.log.1", false),
            ("a*b*c", "a-b-b-c", true),
            ("?", "ab", false),
            ("*", "", true),
            ("a", "a", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn folders_are_walked() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/x.log", "a/b/y.log", "a/b/z.txt"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| {
            let files = files(&format!("{}/{pattern}", folder.path().display()));
            files.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("**/*.log"), ["y.log", "x.log"]);
        assert_eq!(found("a/*/?.txt"), ["z.txt"]);
        assert_eq!(found("a/x.log"), ["x.log"]);
        assert!(found("nothing/*").is_empty());
    }
}
