//! Which files of a log lie in its folder, oldest first.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::discover::original;
use crate::identity::{Stat, stat_file, stat_path};
use crate::registry::Kind;

use super::chain::Chain;

/// Rotated files that are looked at: Docker's `max-file` is a handful. A folder with more is not Docker's doing.
const ROTATED_MAX: u32 = 1_000;

/// Names of rotated files: numbers as Docker and logrotate give them (`.1` is the newest), and dates as logrotate's
/// `dateext` and the kubelet give them.
#[derive(Default)]
struct Rotated {
    highest: u32,
    dated: Vec<PathBuf>,
}

/// A file that was found in the folder.
pub(super) struct Met {
    pub(super) stat: Stat,
    pub(super) file: File,
    pub(super) gzip: bool,
    pub(super) live: bool,
}

impl Chain {
    /// All files of the log, oldest first, together with those that an earlier listing met and this one did not.
    pub(super) fn list(&self, before: Vec<Met>) -> io::Result<Vec<Met>> {
        let mut newest_first: Vec<Met> = Vec::new();
        let mut add = |file: io::Result<File>, gzip: bool, live: bool| -> io::Result<bool> {
            let file = match file {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            };
            let stat = stat_file(&file)?;
            if !newest_first.iter().any(|met| met.stat.inode == stat.inode) {
                newest_first.push(Met { stat, file, gzip, live });
            }
            Ok(true)
        };
        add(File::open(&self.live), false, true)?;
        // Of a plain file that is new to us, only the live one was asked for.
        if self.history || !self.parts.is_empty() {
            let base = self.live.as_os_str().to_owned();
            let name = |suffix: String| {
                let mut name = base.clone();
                name.push(suffix);
                PathBuf::from(name)
            };
            let rotated = self.rotated()?;
            // A rotation that happens now may add one more than the folder shows.
            for number in 1..=rotated.highest + 1 {
                if !add(File::open(name(format!(".{number}"))), false, false)? {
                    add(File::open(name(format!(".{number}.gz"))), true, false)?;
                }
            }
            for dated in rotated.dated {
                // Older ones lie about for weeks: only a file that is being followed counts.
                let known = |stat: Stat| self.parts.iter().any(|part| part.inode == stat.inode);
                if self.history || stat_path(&dated).is_ok_and(known) {
                    let gzip = dated.extension().is_some_and(|extension| extension == "gz");
                    add(File::open(&dated), gzip, false)?;
                }
            }
        }
        // A file that an earlier listing met is older than all that were made since.
        let mut oldest_first = before;
        oldest_first.retain(|met| !newest_first.iter().any(|new| new.stat.inode == met.stat.inode));
        for met in &mut oldest_first {
            met.live = false;
        }
        oldest_first.extend(newest_first.into_iter().rev());
        Ok(oldest_first)
    }

    /// The rotated files that lie beside the live one, by their names.
    fn rotated(&self) -> io::Result<Rotated> {
        let mut rotated = Rotated::default();
        let (Some(folder), Some(name)) = (self.live.parent(), self.live.file_name()) else { return Ok(rotated) };
        let name = name.as_encoded_bytes();
        for entry in std::fs::read_dir(folder)? {
            let file = entry?.file_name();
            let Some(rest) = file.as_encoded_bytes().strip_prefix(name) else { continue };
            let number = rest.strip_prefix(b".").map(|rest| rest.strip_suffix(b".gz").unwrap_or(rest));
            let number = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
            match number.filter(|number| *number < ROTATED_MAX) {
                Some(number) => rotated.highest = rotated.highest.max(number),
                None if self.kind == Kind::Plain
                    && original(Path::new(&file)).is_some_and(|live| self.live.ends_with(live)) =>
                {
                    rotated.dated.push(folder.join(file));
                }
                None => {}
            }
        }
        // Newest first, which their dates are in the order of names.
        rotated.dated.sort_unstable_by(|a, b| b.cmp(a));
        rotated.dated.truncate(ROTATED_MAX as usize);
        Ok(rotated)
    }
}
