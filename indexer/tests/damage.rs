//! Damage: bits flipped, files cut, zeroed, lengthened and taken away, all over a data folder. weir starts, serves the
//! rest, says what it lost, and never gives a wrong document.
//!
//! `WEIR_DAMAGE_ROUNDS` sets how often (default 100), `WEIR_DAMAGE_SEED` where the random numbers begin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tantivy::DocAddress;
use weir_daemon::{Health, Metrics};
use weir_indexer::Settings;
use weir_indexer::store::{Choice, OpenError, Store};

use crate::support::{copy_folder, random_seed};

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Hurts one file in one place; says how.
fn hurt(path: &Path, random: &mut Random) -> String {
    let mut bytes = std::fs::read(path).unwrap();
    let at = random.below(bytes.len());
    let how = match random.below(10) {
        0..=4 if !bytes.is_empty() => {
            bytes[at] ^= 1 << random.below(8);
            format!("a bit flipped at {at}")
        }
        5 | 6 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        7 => {
            let end = bytes.len().min(at + 1 + random.below(600));
            bytes[at..end].fill(0);
            format!("zeros from {at} to {end}")
        }
        8 => {
            let tail: Vec<u8> = (0..1 + random.below(40)).map(|_| random.below(256) as u8).collect();
            bytes.extend(tail);
            "lengthened".to_owned()
        }
        _ => {
            std::fs::remove_file(path).unwrap();
            return "removed".to_owned();
        }
    };
    std::fs::write(path, &bytes).unwrap();
    how
}

/// What was overwritten or deleted in the folder. Where the journal lost the record of that, and the partition is lost
/// too, the document comes back as it was before; it is still one that was written.
const EARLIER: [(&str, &str, &str); 2] =
    [("notes", "one", r#"{"size":1,"text":"first"}"#), ("notes", "gone", r#"{"size":3}"#)];

type Documents = BTreeMap<(String, String), String>;

/// Every document of a data folder, by index and id; and what weir said about damage.
fn read(folder: &Path) -> Result<(Documents, bool), OpenError> {
    let settings = Settings {
        data_dir: folder.to_owned(),
        retention_days: 0,
        // What the folder was made with; else a small partition would count as large.
        max_bytes: Some(weir_daemon::settings::Bytes(500_000_000)),
        writer_heap_bytes: weir_daemon::settings::Bytes(15_000_000),
        ..Settings::default()
    };
    let (metrics, health) = (Metrics::new(), Health::new());
    let store = Store::open(&settings.check().unwrap_or_else(|mistakes| panic!("{mistakes:?}")), &metrics, &health)?;
    let mut documents = Documents::new();
    for part in &store.search_view("_all", Choice::default()).unwrap().parts {
        let mut addresses = Vec::new();
        for (ord, segment) in part.searcher.segment_readers().iter().enumerate() {
            addresses.extend(segment.doc_ids_alive().map(|doc| DocAddress::new(ord as u32, doc)));
        }
        let (ids, sources) = (part.ids(&addresses).unwrap(), part.sources(&addresses).unwrap());
        for (id, source) in ids.into_iter().zip(sources) {
            let twice = documents.insert((part.index_name.to_string(), id.clone()), source);
            assert!(twice.is_none(), "{id} is there twice");
        }
    }
    let said = metrics.render();
    let told = folder.join("damaged").exists()
        || said.lines().any(|line| {
            let counts = line.starts_with("weir_indexer_damaged_total")
                || line.starts_with("weir_indexer_journal_torn_bytes_total");
            counts && !line.ends_with(" 0")
        });
    Ok((documents, told))
}

#[test]
fn damage_is_set_aside_and_the_rest_is_served() {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format-1");
    let rounds: usize = std::env::var("WEIR_DAMAGE_ROUNDS").map_or(100, |rounds| rounds.parse().unwrap());
    let seed = random_seed("WEIR_DAMAGE_SEED");
    let expected = {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&whole, folder.path());
        read(folder.path()).unwrap().0
    };
    let mut all = Vec::new();
    files(&whole, &mut all);
    all.sort();
    let (mut served, mut lost, mut hurt_files) = (0, 0, std::collections::BTreeSet::new());
    for round in 0..rounds {
        let mut random = Random((seed + round as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&whole, folder.path());
        // In the first rounds each file in turn, so that none is left out; later any, and up to three.
        let mut scene = format!("seed {}:", seed + round as u64);
        let mut hurt_here = Vec::new();
        for n in 0..1 + usize::from(round >= all.len()) * random.below(3) {
            let path = if n == 0 && round < all.len() { &all[round] } else { &all[random.below(all.len())] };
            let relative = path.strip_prefix(&whole).unwrap();
            let target = folder.path().join(relative);
            if target.exists() {
                let how = hurt(&target, &mut random);
                scene.push_str(&format!(" {} {how};", relative.display()));
                hurt_here.push(relative.to_owned());
                hurt_files.insert(relative.to_owned());
            }
        }
        let (documents, told) = match std::panic::catch_unwind(|| read(folder.path())) {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => panic!("{scene} weir does not start: {error}"),
            Err(_) => panic!("{scene} weir panics"),
        };
        let before = documents
            .iter()
            .filter(|((index, id), source)| EARLIER.contains(&(index.as_str(), id.as_str(), source.as_str())));
        let before: Vec<_> = before.map(|(key, _)| key.clone()).collect();
        for (key, source) in documents.iter().filter(|(key, _)| !before.contains(key)) {
            assert_eq!(expected.get(key), Some(source), "{scene} a wrong document {key:?}");
        }
        let missing = expected.keys().filter(|key| !documents.contains_key(*key)).count();
        // A journal that ends early looks as after a crash in the middle of a write, which is nothing to tell.
        let ends_early = hurt_here.iter().any(|path| path.starts_with("journal"))
            && (scene.contains("cut") || scene.contains("removed"));
        assert!(missing == 0 || told || ends_early, "{scene} {missing} documents are missing, and nothing was said");
        // Each index stands by itself: only the journal is common to all.
        let touched = |part: &str| hurt_here.iter().any(|path| path.iter().any(|name| name == part));
        for index in ["logs-old", "notes"] {
            if !touched(index) && !touched("journal") {
                let whole = expected.keys().filter(|(name, _)| name == index).count();
                let here = documents
                    .keys()
                    .filter(|key| expected.contains_key(*key))
                    .filter(|(name, _)| name == index)
                    .count();
                assert_eq!(here, whole, "{scene} {index} was not touched");
            }
        }
        served += documents.len();
        lost += missing;
    }
    println!(
        "{rounds} damaged data folders from seed {seed} on, {} of {} files hurt: {served} documents served, none of them wrong; {lost} lost with what was set aside",
        hurt_files.len(),
        all.len()
    );
    assert!(served > 0);
}
