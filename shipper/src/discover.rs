//! Which logs exist: the folders of Docker's root (whether or not their container runs), and files by glob.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
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
    /// Its rotated files were asked for as well, also those from before it was known.
    pub(crate) history: bool,
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
            found.push(FoundLog { kind: Kind::Docker, key: id, live, history: true });
        }
    }
    Ok(())
}

/// Every log whose live file fits a glob, in which `*` stands for any text within one name. Links are followed, so that
/// a file that two names lead to is one log. What a rotation left behind belongs to the log whose name it extends.
pub(crate) fn files(patterns: &[String], found: &mut Vec<FoundLog>) {
    let mut names: BTreeSet<PathBuf> = BTreeSet::new();
    for pattern in patterns {
        for path in matching(pattern) {
            // A name that vanishes meanwhile is found at the next scan, if it is there again.
            if let Ok(path) = resolved(&path)
                && path.is_file()
            {
                names.insert(path);
            }
        }
    }
    for path in &names {
        if found.len() >= LOGS_MAX {
            return;
        }
        if original(path).is_some_and(|live| names.contains(&live)) {
            continue;
        }
        // The next names in order are those that this one begins.
        let after = (std::ops::Bound::Excluded(path), std::ops::Bound::Unbounded);
        let extends = |other: &&PathBuf| other.as_os_str().as_bytes().starts_with(path.as_os_str().as_bytes());
        let history =
            names.range::<PathBuf, _>(after).take_while(extends).any(|name| original(name).as_ref() == Some(path));
        let key = path.to_string_lossy().into_owned();
        found.push(FoundLog { kind: Kind::Plain, key, live: path.clone(), history });
    }
}

fn matching(pattern: &str) -> Vec<PathBuf> {
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
    paths
}

/// The path without links in it.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    std::fs::canonicalize(path)
}

/// The name that a rotated file had while it was written: `x.log` for `x.log.2`, `x.log.3.gz`, `x.log-20240501` and
/// `x.log.20240501-120000`.
pub(crate) fn original(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    let live = plain.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let live = live.strip_suffix('.').unwrap_or(live);
    // `x.log-2024…`: the dash was taken away with the digits; a name of digits alone is no rotation.
    let cut = plain.len() > live.len() && plain[live.len()..].starts_with(['.', '-']) && !live.is_empty();
    cut.then(|| path.with_file_name(live))
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
        assert_eq!(found, [FoundLog { kind: Kind::Docker, key: "abc".to_owned(), live, history: true }]);
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
        let patterns = ["*/*.log", "a/x.log"].map(|pattern| format!("{}/{pattern}", root.path().display()));
        files(&patterns, &mut found);
        let mut names: Vec<_> = found.iter().map(|log| log.live.file_name().unwrap().to_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["x.log", "y.log"]);
    }

    #[test]
    fn row_26_a_link_and_its_target_are_one_log() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("target.log"), "").unwrap();
        std::os::unix::fs::symlink(root.path().join("target.log"), root.path().join("link.log")).unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("folder")).unwrap();
        let patterns = ["*.log", "folder/*.log"].map(|pattern| format!("{}/{pattern}", root.path().display()));
        let mut found = Vec::new();
        files(&patterns, &mut found);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].live, root.path().join("target.log").canonicalize().unwrap());
    }

    #[test]
    fn what_a_rotation_left_belongs_to_its_log() {
        for (name, live) in [
            ("x.log.1", Some("x.log")),
            ("x.log.12.gz", Some("x.log")),
            ("x.log-20240501", Some("x.log")),
            ("x.log-20240501.gz", Some("x.log")),
            ("0.log.20240501-120000", Some("0.log")),
            ("x.log", None),
            ("0.log", None),
            ("20240501", None),
        ] {
            assert_eq!(original(Path::new(name)), live.map(PathBuf::from), "{name}");
        }
        let root = tempfile::tempdir().unwrap();
        for name in ["x.log", "x.log.1", "x.log-y", "y.log", "z.log.1"] {
            std::fs::write(root.path().join(name), "").unwrap();
        }
        let mut found = Vec::new();
        files(&[format!("{}/*", root.path().display())], &mut found);
        let told: Vec<_> =
            found.iter().map(|log| (log.live.file_name().unwrap().to_str().unwrap(), log.history)).collect();
        assert_eq!(told, [("x.log", true), ("x.log-y", false), ("y.log", false), ("z.log.1", false)]);
    }
}
