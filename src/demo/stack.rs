//! When each service of the make-believe stack writes, and into which log.

use std::io;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::json_file::{Container, JsonFile, Limits};
use super::rng::Rng;
use super::service::{self, Line, Mood, Service};

/// Small enough to see a rotation every few minutes, large enough that three files hold the opening backlog.
const LIMITS: Limits = Limits { size_bytes_max: Some(256 * 1024), files_max: 3 };

/// What is skipped rather than caught up with when the clock jumps ahead or the machine slept.
const CATCH_UP_MAX: SignedDuration = SignedDuration::from_secs(600);

/// In trouble a service writes this many times as much.
const TROUBLE_FACTOR: u64 = 10;
/// How long trouble lasts.
const TROUBLE: SignedDuration = SignedDuration::from_secs(2);
/// Trouble returns after this long at the earliest, and at the latest after twice as long.
const TROUBLE_PAUSE_MILLIS: u64 = 45_000;

/// Lines of one message follow each other at this distance.
const LINE_GAP: SignedDuration = SignedDuration::from_micros(40);

/// All services, each with its log, its dice and its next appointment.
pub struct Stack {
    voices: Vec<Voice>,
    lines: Vec<Line>,
}

struct Voice {
    service: &'static Service,
    log: JsonFile,
    rng: Rng,
    due: Timestamp,
    trouble: Timestamp,
}

impl Stack {
    /// Makes a container for every service under `root`; the first message is due soon after `start`.
    pub fn create(root: &Path, seed: u64, start: Timestamp) -> io::Result<Self> {
        let voices = service::ALL
            .iter()
            .enumerate()
            .map(|(n, service)| {
                let mut rng = Rng::new(seed.wrapping_mul(1_000_003).wrapping_add(n as u64));
                let log = JsonFile::create(root, &container(service, &mut rng), LIMITS, start)?;
                let trouble = start + millis(rng.below(TROUBLE_PAUSE_MILLIS));
                let due = start + pause(service, Mood::Calm, &mut rng);
                Ok(Voice { service, log, rng, due, trouble })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { voices, lines: Vec::new() })
    }

    /// Writes every message that is due up to `now`.
    pub fn advance(&mut self, now: Timestamp) -> io::Result<()> {
        for voice in &mut self.voices {
            voice.due = voice.due.max(now - CATCH_UP_MAX);
            while voice.due <= now {
                voice.speak(&mut self.lines)?;
            }
        }
        Ok(())
    }
}

impl Voice {
    fn speak(&mut self, lines: &mut Vec<Line>) -> io::Result<()> {
        if self.due > self.trouble + TROUBLE {
            self.trouble = self.due + millis(TROUBLE_PAUSE_MILLIS + self.rng.below(TROUBLE_PAUSE_MILLIS));
        }
        let mood = if self.due >= self.trouble { Mood::Trouble } else { Mood::Calm };
        lines.clear();
        (self.service.speak)(&mut self.rng, self.due, mood, lines);
        for (n, line) in lines.iter().enumerate() {
            self.log.write(line.stream, line.text.as_bytes(), self.due + LINE_GAP * n as i32)?;
        }
        // Not before the last line of this message, so that a log's times grow.
        self.due += pause(self.service, mood, &mut self.rng).max(LINE_GAP * lines.len() as i32);
        Ok(())
    }
}

fn pause(service: &Service, mood: Mood, rng: &mut Rng) -> SignedDuration {
    let mean_millis = match mood {
        Mood::Calm => service.pause_millis,
        Mood::Trouble => service.pause_millis / TROUBLE_FACTOR,
    };
    // Evenly spread around the mean; microseconds, so that times do not look made up.
    SignedDuration::from_micros((mean_millis * 200 + rng.below(mean_millis * 1_600)) as i64)
}

fn millis(millis: u64) -> SignedDuration {
    SignedDuration::from_millis(millis as i64)
}

fn container(service: &Service, rng: &mut Rng) -> Container {
    let task = rng.hex(25);
    let name = format!("shop_{}", service.name);
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Container {
        id: rng.hex(64),
        name: format!("{name}.1.{task}"),
        image: service.image.to_owned(),
        labels: vec![
            label("com.docker.stack.namespace", "shop"),
            label("com.docker.swarm.node.id", "demodemodemodemodemodemod"),
            label("com.docker.swarm.service.id", &rng.hex(25)),
            label("com.docker.swarm.service.name", &name),
            label("com.docker.swarm.task", ""),
            label("com.docker.swarm.task.id", &task),
            label("com.docker.swarm.task.name", &format!("{name}.1.{task}")),
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;

    /// Every file under `root` with its content.
    fn files(root: &Path) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for folder in fs::read_dir(root).unwrap() {
            for file in fs::read_dir(folder.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let name = path.strip_prefix(root).unwrap().display().to_string();
                // Where the log lies is part of its metadata, and differs between two temporary folders.
                found.insert(name, fs::read_to_string(&path).unwrap().replace(&root.display().to_string(), ""));
            }
        }
        found
    }

    fn written(seed: u64) -> BTreeMap<String, String> {
        let root = tempfile::tempdir().unwrap();
        let start = "2026-03-01T10:00:00Z".parse().unwrap();
        let mut stack = Stack::create(root.path(), seed, start).unwrap();
        stack.advance(start + crate::demo::BACKLOG).unwrap();
        files(root.path())
    }

    #[test]
    fn a_seed_fixes_every_byte() {
        assert_eq!(written(7), written(7));
        assert_ne!(written(7), written(8));
    }

    #[test]
    fn the_backlog_rotates_shows_every_services_trouble_and_loses_nothing() {
        let files = written(crate::demo::SEED);
        assert!(files.keys().any(|name| name.ends_with(".log.1")), "{:?}", files.keys());
        assert!(!files.keys().any(|name| name.ends_with(".log.2")), "close to losing a file: {:?}", files.keys());
        for service in service::ALL {
            let folder = files
                .iter()
                .find(|(name, text)| {
                    name.ends_with("config.v2.json") && text.contains(&format!("shop_{}", service.name))
                })
                .map(|(name, _)| name.split('/').next().unwrap())
                .unwrap();
            let text: String =
                files.iter().filter(|(name, _)| name.starts_with(folder)).map(|(_, text)| text.as_str()).collect();
            assert!(text.contains(service.trouble_sign), "{} never says {}", service.name, service.trouble_sign);
        }
    }

    #[test]
    fn times_in_a_log_grow() {
        for (name, text) in written(3) {
            if !name.contains("-json.log") {
                continue;
            }
            let times: Vec<Timestamp> = text
                .lines()
                .map(|line| {
                    serde_json::from_str::<serde_json::Value>(line).unwrap()["time"].as_str().unwrap().parse().unwrap()
                })
                .collect();
            assert!(times.is_sorted(), "{name}");
        }
    }
}
