//! Which logs exist: the folders of Docker's root (whether or not their container runs), and files by glob.

use std::io;
use std::path::{Path, PathBuf};

use crate::choose::matches_pattern;
use crate::registry::Kind;

/// Logs that are followed at most; a folder with more is something else than a machine's containers.
const LOGS_MAX: usize = 20_000;

/// A log that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundLog {
    pub(crate) kind: Kind,
    pub(crate) key: String,
    pub(crate) live: PathBuf,
}

/// Every container folder under Docker's root.
///
/// # Errors
/// When the root cannot be read, which says nothing about the containers.
pub(crate) fn containers(root: &Path, found: &mut Vec<FoundLog>) -> io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if let (true, Ok(id)) = (folder, entry.file_name().into_string())
            && found.len() < LOGS_MAX
        {
            let live = entry.path().join(format!("{id}-json.log"));
            found.push(FoundLog { kind: Kind::Docker, key: id, live });
        }
    }
    Ok(())
}

/// Every file that fits a glob: `*` stands for any text within one name.
pub(crate) fn files(pattern: &str, found: &mut Vec<FoundLog>) {
    let mut paths = vec![PathBuf::from("/")];
    for piece in pattern.split('/').filter(|piece| !piece.is_empty()) {
        if !piece.contains('*') {
            for path in &mut paths {
                path.push(piece);
            }
            continue;
        }
        let mut next = Vec::new();
        for folder in &paths {
            // A folder that cannot be read has nothing that fits.
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name();
                if name.to_str().is_some_and(|name| matches_pattern(piece, name)) && next.len() < LOGS_MAX {
                    next.push(entry.path());
                }
            }
        }
        paths = next;
    }
    for path in paths {
        if path.is_file() && found.len() < LOGS_MAX && !found.iter().any(|log| log.live == path) {
            found.push(FoundLog { kind: Kind::Plain, key: path.to_string_lossy().into_owned(), live: path });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_14_containers_are_found_by_folder() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("abc")).unwrap();
        std::fs::write(root.path().join("stray"), "").unwrap();
        let mut found = Vec::new();
        containers(root.path(), &mut found).unwrap();
        let live = root.path().join("abc/abc-json.log");
        assert_eq!(found, [FoundLog { kind: Kind::Docker, key: "abc".to_owned(), live }]);
        assert!(containers(&root.path().join("nowhere"), &mut found).is_err());
    }

    #[test]
    fn globs_fit_names_and_folders() {
        let root = tempfile::tempdir().unwrap();
        for path in ["a/x.log", "a/x.txt", "b/y.log", "b/c/z.log"] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let mut found = Vec::new();
        files(&format!("{}/*/*.log", root.path().display()), &mut found);
        files(&format!("{}/a/x.log", root.path().display()), &mut found);
        let mut names: Vec<_> = found.iter().map(|log| log.live.file_name().unwrap().to_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["x.log", "y.log"]);
    }
}
