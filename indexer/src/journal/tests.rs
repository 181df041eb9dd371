//! The journal against torn tails, garbage, damage, and a disk that forgets what was not synced.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use super::disk::{Disk, Folder, Out};
use super::*;

/// A disk whose power can be cut: only synced bytes and synced names are left, and some of the others, at random.
#[derive(Clone, Default)]
struct Forgetful(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<String, Contents>,
    durable_names: BTreeMap<String, usize>,
    next_id: usize,
    /// Writes fail from now on: 1 after half of the bytes, 2 at the sync.
    fails: u8,
    by_id: BTreeMap<usize, Contents>,
}

#[derive(Clone, Default)]
struct Contents {
    id: usize,
    bytes: Vec<u8>,
    synced: usize,
}

struct Writing(Forgetful, String);

impl Disk for Forgetful {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().files.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Out>> {
        let mut state = self.0.lock().unwrap();
        state.next_id += 1;
        let id = state.next_id;
        assert!(
            state.files.insert(name.to_owned(), Contents { id, ..Contents::default() }).is_none(),
            "{name} is there"
        );
        drop(state);
        Ok(Box::new(Writing(self.clone(), name.to_owned())))
    }

    fn read(&self, name: &str) -> io::Result<(Box<dyn Read>, u64)> {
        let bytes = self.0.lock().unwrap().files[name].bytes.clone();
        let len = bytes.len() as u64;
        Ok((Box::new(io::Cursor::new(bytes)), len))
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let file = state.files.get_mut(name).unwrap();
        file.bytes.truncate(len as usize);
        file.synced = file.bytes.len();
        let file = file.clone();
        state.by_id.insert(file.id, file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().unwrap().files.remove(name);
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.durable_names = state.files.iter().map(|(name, file)| (name.clone(), file.id)).collect();
        Ok(())
    }
}

impl Out for Writing {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.0.lock().unwrap();
        let fails = state.fails == 1;
        let wanted = if fails { &bytes[..bytes.len() / 2] } else { bytes };
        state.files.get_mut(&self.1).unwrap().bytes.extend_from_slice(wanted);
        if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.0.lock().unwrap();
        if state.fails == 2 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(file) = state.files.get_mut(&self.1) {
            file.synced = file.bytes.len();
            let file = file.clone();
            state.by_id.insert(file.id, file);
        }
        Ok(())
    }
}

impl Forgetful {
    /// The power goes. Removed names may come back, unsynced bytes are gone, half gone, or garbage.
    fn cut(&self, random: &mut Random) {
        let mut state = self.0.lock().unwrap();
        let live = std::mem::take(&mut state.files);
        let durable = state.durable_names.clone();
        for (name, id) in durable {
            let Some(kept) = state.by_id.get(&id).cloned() else {
                state.files.insert(name, Contents { id, ..Contents::default() });
                continue;
            };
            let mut file = kept;
            if let Some(now) = live.get(&name).filter(|now| now.id == id) {
                file.bytes = now.bytes[..now.synced].to_vec();
                let unsynced = &now.bytes[now.synced..];
                match random.below(4) {
                    0 => file.bytes.extend_from_slice(&unsynced[..random.below(unsynced.len() as u64 + 1) as usize]),
                    1 => file.bytes.extend(vec![0; random.below(unsynced.len() as u64 + 1) as usize]),
                    2 => file.bytes.extend(unsynced.iter().map(|byte| byte ^ 0x55)),
                    _ => {}
                }
            }
            file.synced = file.bytes.len();
            state.by_id.insert(id, file.clone());
            state.files.insert(name, file);
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

fn recover(disk: Arc<dyn Disk>) -> (Journal, Found, Vec<(u64, Vec<u8>)>) {
    let mut records = Vec::new();
    let (journal, found) = Journal::recover(disk, 4_000, &mut |number, payload| {
        records.push((number, payload));
        Ok(())
    })
    .unwrap();
    (journal, found, records)
}

#[test]
fn records_come_back_in_order_and_trimmed_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Folder(folder.path().to_owned()));
    let (mut journal, ..) = recover(Arc::clone(&disk));
    for n in 0..100u8 {
        journal.append(&[n; 50], &[n; 100]).unwrap();
    }
    journal.sync().unwrap();
    assert!(std::fs::read_dir(folder.path()).unwrap().count() > 3);
    let (mut journal, found, records) = recover(Arc::clone(&disk));
    assert_eq!((found.torn_bytes, found.damaged_bytes), (0, 0));
    assert_eq!(records.len(), 100);
    assert!(
        records
            .iter()
            .enumerate()
            .all(|(n, (number, payload))| *number == n as u64 + 1 && *payload == vec![n as u8; 150])
    );
    journal.trim(60).unwrap();
    let (_, _, records) = recover(Arc::clone(&disk));
    assert!(records[0].0 <= 61 && records[0].0 > 30 && records.last().unwrap().0 == 100);
    journal.trim(100).unwrap();
    assert_eq!(journal.bytes(), 0);
    assert_eq!(journal.append(b"x", b"").unwrap(), 101);
}

/// A tail cut at every byte, and then every kind of garbage behind a good part: whole records stay, the rest goes.
#[test]
fn a_torn_tail_is_cut_at_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Folder(folder.path().to_owned()));
    let (mut journal, ..) = recover(Arc::clone(&disk));
    let mut ends = vec![SEGMENT_HEADER_BYTES as usize];
    for n in 0..6usize {
        journal.append(&vec![n as u8; n * 7], &[b'a'; 3]).unwrap();
        ends.push(ends[n] + RECORD_HEADER_BYTES as usize + n * 7 + 3);
    }
    journal.sync().unwrap();
    let path = folder.path().join(segment_name(1));
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(whole.len(), *ends.last().unwrap());
    for cut in 0..=whole.len() {
        for garbage in [&b""[..], &[0; 40], &[0xff; 40], &whole[..20]] {
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, [&whole[..cut], garbage].concat()).unwrap();
            let (journal, found, records) = recover(Arc::clone(&disk));
            let good = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);
            assert_eq!(records.len(), good, "cut at {cut}");
            assert_eq!(found.damaged_bytes, 0, "cut at {cut}");
            assert_eq!(journal.next(), good as u64 + 1, "cut at {cut}");
            let (_, again, records) = recover(Arc::clone(&disk));
            assert_eq!((again.torn_bytes, records.len()), (0, good), "second start, cut at {cut}");
        }
    }
}

/// Every single byte flipped: at most the record that it lies in is lost, and what is given back is right.
#[test]
fn damage_costs_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Folder(folder.path().to_owned()));
    let (mut journal, ..) = recover(Arc::clone(&disk));
    for n in 0..8u8 {
        journal.append(&[n; 20], b"text").unwrap();
    }
    journal.sync().unwrap();
    let path = folder.path().join(segment_name(1));
    let whole = std::fs::read(&path).unwrap();
    let (_, _, expected) = recover(Arc::clone(&disk));
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        let (_, found, records) = recover(Arc::clone(&disk));
        assert!(records.len() >= expected.len() - 1, "byte {at}: {} records", records.len());
        assert!(records.iter().all(|record| expected.contains(record)), "byte {at}: a wrong record");
        assert_eq!(found.damaged_bytes + found.torn_bytes > 0, records.len() < expected.len(), "byte {at}");
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
}

/// Thousands of power cuts at random moments: what was synced is there, in order and unchanged.
#[test]
fn nothing_synced_is_forgotten() {
    for seed in 1..=3_000u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let disk = Forgetful::default();
        let mut promised: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let mut written: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let mut trimmed = 0;
        for _life in 0..4 {
            let (mut journal, _, records) = recover(Arc::new(disk.clone()));
            let got: BTreeMap<u64, Vec<u8>> = records.iter().cloned().collect();
            for (number, payload) in &promised {
                if *number > trimmed {
                    assert_eq!(got.get(number), Some(payload), "seed {seed}: record {number} is lost");
                }
            }
            for (number, payload) in &got {
                assert_eq!(written.get(number), Some(payload), "seed {seed}: record {number} was never written so");
            }
            assert!(records.windows(2).all(|pair| pair[0].0 < pair[1].0), "seed {seed}: order");
            written.retain(|number, _| got.contains_key(number));
            promised = got;
            journal.start_at(trimmed + 1);
            for _ in 0..random.below(30) {
                match random.below(8) {
                    0..=4 => {
                        let payload = vec![random.below(256) as u8; 1 + random.below(1_500) as usize];
                        let number = journal.append(&payload, b"").unwrap();
                        written.insert(number, payload);
                    }
                    5 | 6 => {
                        journal.sync().unwrap();
                        promised.extend(written.clone());
                    }
                    _ => {
                        let upto = random.below(journal.next());
                        if promised.keys().last().is_some_and(|last| *last >= upto) {
                            journal.trim(upto).unwrap();
                            trimmed = trimmed.max(upto);
                        }
                    }
                }
            }
            disk.cut(&mut random);
        }
    }
}

/// A disk that is full for a while: what was refused is not there later, and the rest goes on.
#[test]
fn a_failed_write_is_taken_back() {
    for kind in [1, 2] {
        for before in [0u8, 3] {
            let disk = Forgetful::default();
            let (mut journal, ..) = recover(Arc::new(disk.clone()));
            for n in 0..before {
                journal.append(&[n; 100], b"").unwrap();
            }
            journal.sync().unwrap();
            disk.0.lock().unwrap().fails = kind;
            let failed = journal.append(b"refused", b"refused").and_then(|_| journal.sync());
            assert!(failed.is_err() && journal.is_broken());
            assert!(journal.append(b"also", b"").is_err());
            disk.0.lock().unwrap().fails = 0;
            journal.roll_back().unwrap();
            journal.append(b"later", b"").unwrap();
            journal.sync().unwrap();
            let (_, found, records) = recover(Arc::new(disk));
            assert_eq!((found.torn_bytes, found.damaged_bytes), (0, 0), "{kind} {before}");
            assert_eq!(records.len(), usize::from(before) + 1, "{kind} {before}");
            assert_eq!(records.last().unwrap().1, b"later");
        }
    }
}
