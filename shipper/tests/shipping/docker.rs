//! Real containers, written by Docker's own json-file driver: fast rotation, compression, removal, kills, a restart of
//! the engine, and a Docker root that is full.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::engine::{BUSYBOX, Engine};
use crate::shipper::Shipper;
use crate::sink::Sink;

/// A loop device's size: it is full after some thousand lines.
const SMALL_DISK_BYTES: u64 = 60 << 20;

/// An engine of our own with its image, or why there is none.
fn engine(folder: &Path) -> Option<Engine> {
    match Engine::start(folder) {
        Ok(engine) => {
            engine.busybox();
            Some(engine)
        }
        Err(why) => {
            println!("left out: the shipper on real Docker because {why}");
            None
        }
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("weir-s-").tempdir().unwrap()
}

fn shipper(sink: &Sink, engine: &Engine) -> Shipper {
    Shipper::new(sink.address).set(&format!("docker_root={}", engine.containers().display()))
}

/// Starts a container that writes lines `n=<number> xxx…` of some `bytes` each, and answers its id.
fn writer(engine: &Engine, options: &[&str], lines: usize, bytes: usize, pause: &str) -> String {
    let program = format!(
        "pad=$(awk 'BEGIN{{for(i=0;i<{bytes};i++)printf \"x\"}}'); awk -v pad=$pad 'BEGIN{{for(i=0;i<{lines};i++){{printf \"n=%09d %s\\n\",i,pad; {pause}}}}}'"
    );
    let mut args = vec!["run", "-d", "--network=none"];
    args.extend(options);
    args.extend([BUSYBOX, "sh", "-c", &program]);
    engine.docker(&args)
}

fn interval(value: &Value) -> (u64, u64) {
    let weir = &value["@metadata"]["weir"];
    (weir["start"].as_u64().unwrap(), weir["end"].as_u64().unwrap())
}

/// Checks that the numbered lines of a container are there once and in order, and missing only where a gap record
/// stands. Answers the number behind the last line, and how many are missing before it.
fn check(sink: &Sink, id: &str) -> (usize, usize) {
    let of_container = |value: &Value| value["container"]["id"] == id;
    let gaps: Vec<_> = sink.gaps().iter().filter(|value| of_container(value)).map(interval).collect();
    let mut lines = sink.documents();
    lines.retain(|value| of_container(value) && value.get("event").is_none());
    lines.sort_by_key(|value| interval(value).0);
    let (mut next, mut missing, mut before) = (0, 0, 0);
    for value in lines {
        let Some(number) = value["message"].as_str().and_then(|text| text.strip_prefix("n=")?.get(..9)) else {
            continue;
        };
        let n: usize = number.parse().unwrap();
        let (start, end) = interval(&value);
        let accounted = || gaps.iter().any(|gap| gap.0 < start && before < gap.1);
        assert!(n == next || (n > next && accounted()), "{n} follows {next} with no gap record: {gaps:?}");
        missing += n - next;
        (next, before) = (n + 1, end);
    }
    (next, missing)
}

/// The number behind the last whole line of a container's live log.
fn last_on_disk(engine: &Engine, id: &str) -> usize {
    let path = engine.containers().join(id).join(format!("{id}-json.log"));
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let mut numbers = text.lines().filter_map(|line| line.split("n=").nth(1)?.get(..9)?.parse::<usize>().ok());
    numbers.next_back().map_or(0, |last| last + 1)
}

#[test]
fn real_docker_rotation_compression_removal_and_kill() {
    let folder = folder();
    let Some(engine) = engine(folder.path()) else { return };
    let sink = Sink::start();
    let mut shipper = shipper(&sink, &engine);
    shipper.start();
    // As fast as Docker can: a file of 64 KB is full in some milliseconds.
    let fast = writer(&engine, &["--log-opt", "max-size=64k", "--log-opt", "max-file=5"], 60_000, 500, "");
    engine.docker(&["wait", &fast]);
    sink.wait("the last fast line", |sink| sink.ends_with("n=000059999"));
    let (lines, missing) = check(&sink, &fast);
    assert_eq!(lines, 60_000);
    println!("max-size 64k, max-file 5: {missing} of 60000 lines rotated away unread, each in a gap record");

    let options = ["--log-opt", "max-size=64k", "--log-opt", "max-file=8", "--log-opt", "compress=true"];
    let packed = writer(&engine, &options, 5_000, 400, "if(i%50==0)system(\"usleep 20000\")");
    engine.docker(&["wait", &packed]);
    sink.wait("the last compressed line", |sink| sink.ends_with("n=000004999"));
    let (lines, missing) = check(&sink, &packed);
    println!("compress=true: {missing} of 5000 lines rotated away unread");
    assert_eq!(lines, 5_000);

    let killed = writer(&engine, &["--log-opt", "max-size=10m"], 1_000_000, 200, "if(i%100==0)system(\"usleep 5000\")");
    sink.wait("lines of the one to be killed", |sink| sink.count_of(&killed) > 1000);
    engine.docker(&["kill", &killed]);
    let on_disk = last_on_disk(&engine, &killed);
    sink.wait("its last line", |sink| sink.count_of(&killed) >= on_disk);
    assert_eq!(check(&sink, &killed), (on_disk, 0));

    let removed =
        writer(&engine, &["--log-opt", "max-size=10m"], 1_000_000, 200, "if(i%100==0)system(\"usleep 5000\")");
    sink.wait("lines of the one to be removed", |sink| sink.count_of(&removed) > 1000);
    let on_disk = last_on_disk(&engine, &removed);
    engine.docker(&["rm", "-f", &removed]);
    sink.wait("its last lines", |sink| sink.count_of(&removed) >= on_disk);
    assert_eq!(check(&sink, &removed).1, 0, "a container that is removed is read to its end");
    assert_eq!(sink.repeated(), 0);
}

#[test]
fn real_docker_restarts_and_everything_is_read_once() {
    let folder = folder();
    let Some(before) = engine(folder.path()) else { return };
    let sink = Sink::start();
    let mut shipper = shipper(&sink, &before);
    shipper.start();
    let options = ["--restart=always", "--log-opt", "max-size=1m", "--log-opt", "max-file=3"];
    let id = writer(&before, &options, 1_000_000, 200, "if(i%100==0)system(\"usleep 10000\")");
    sink.wait("lines before", |sink| sink.count_of(&id) > 1000);
    let pid_file = folder.path().join("pid");
    let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    // dockerd takes its file away when it ends.
    sink.wait("the end of dockerd", |_| !pid_file.exists());
    let engine = Engine::start(folder.path()).unwrap();
    // This one has ended; dropping it would remove the containers of the other.
    std::mem::forget(before);
    // The container begins to count again.
    let starts = |sink: &Sink| sink.messages(&id).iter().filter(|text| text.starts_with("n=000000000")).count();
    sink.wait("lines after", |sink| {
        std::thread::sleep(Duration::from_millis(500));
        starts(sink) == 2
    });
    engine.docker(&["kill", &id]);
    let on_disk = last_on_disk(&engine, &id);
    let last = format!("n={:09}", on_disk - 1);
    sink.wait("the last line", |sink| sink.ends_with(&last));
    let mut expected = 0;
    let mut restarts = 0;
    for text in sink.messages(&id) {
        let n: usize = text[2..11].parse().unwrap();
        if n == 0 && expected != 0 {
            restarts += 1;
            expected = 0;
        }
        assert_eq!(n, expected);
        expected += 1;
    }
    assert_eq!((restarts, expected, sink.gaps().len(), sink.repeated()), (1, on_disk, 0, 0));
}

#[test]
fn real_docker_with_a_full_root_loses_nothing_that_was_written_and_warns() {
    let folder = folder();
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{program}: {told}")) }
    };
    let (image, data) = (folder.path().join("disk"), folder.path().join("data"));
    std::fs::File::create(&image).unwrap().set_len(SMALL_DISK_BYTES).unwrap();
    std::fs::create_dir(&data).unwrap();
    let mounted = run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()])
        .and_then(|()| run("mount", &["-o", "loop", image.to_str().unwrap(), data.to_str().unwrap()]));
    if let Err(why) = mounted {
        println!("left out: a full Docker root because {why}");
        return;
    }
    // It is unmounted with everything else under the folder when the engine is dropped.
    let Some(engine) = engine(folder.path()) else {
        run("umount", &[data.to_str().unwrap()]).unwrap();
        return;
    };
    let sink = Sink::start();
    let mut shipper = shipper(&sink, &engine);
    shipper.start();
    let id = writer(&engine, &[], 1_000_000, 1_000, "if(i%200==0)system(\"usleep 2000\")");
    sink.wait("a warning of the disk", |sink| {
        sink.warnings().iter().any(|value| value["message"].as_str().unwrap().contains("the disk of"))
    });
    let size =
        || std::fs::metadata(engine.containers().join(&id).join(format!("{id}-json.log"))).map_or(0, |m| m.len());
    // Until nothing fits any more.
    let mut before = 0;
    sink.wait("a full disk", |_| {
        std::thread::sleep(Duration::from_secs(1));
        let full = size() == before && before > 10_000_000;
        before = size();
        full
    });
    engine.docker(&["kill", &id]);
    // Docker goes on with the next line when one does not fit: the numbers in the file have holes.
    let file = std::fs::read(engine.containers().join(&id).join(format!("{id}-json.log"))).unwrap();
    let on_disk = file.split(|byte| *byte == b'\n').filter(|line| line.windows(2).any(|two| two == b"n=")).count();
    sink.wait("what was written", |sink| sink.count_of(&id) >= on_disk);
    // The driver leaves half a record where the disk was full: such a line is kept, flagged.
    let numbered = sink.messages(&id).iter().filter(|text| text.contains("n=")).count();
    assert!(numbered >= on_disk, "{numbered} of {on_disk}");
    assert_eq!((sink.gaps().len(), sink.repeated()), (0, 0));
    shipper.stop();
}
