//! A soak on a swarm of three: the stack with TLS under a steady number of lines a second from every node, and what each role
//! holds and burns, looked at every ten seconds. It takes hours and is run by `benches/swarm_soak`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::support::cluster::Cluster;
use super::support::docker::BUSYBOX;
use super::support::stack::{self, Indexer, container, deploy, healthy, load};
use super::support::{alone, images, kept, say, until};

/// Every task is scheduled, started and found healthy.
const HEALTHY: Duration = Duration::from_secs(600);
/// The last lines are stored this long after they were written.
const STORED: Duration = Duration::from_secs(120);
/// How often the roles are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Nodes of the swarm, each with a service that writes.
const NODES: u64 = 3;
/// Every so many lines one is an error, which is kept; the others are debug lines, which are not.
const KEPT_EVERY: u64 = 5;
/// A line's own number stands behind this word.
const WORD: &str = "soaked";
/// Kernel's ticks of processor time a second, on every Linux that Docker runs on.
const TICKS: f64 = 100.0;
/// Rows of the table that is printed.
const ROWS: usize = 12;

/// Writes numbered lines of some 120 bytes four times a second, RATE of them each second, and after TOTAL none.
const SERVICE: &str = r#"exec awk -v name="$HOSTNAME" '
BEGIN {
    start = systime()
    while (n < TOTAL) {
        for (i = 0; i < RATE / 4 && n < TOTAL; i++) {
            n++
            printf "%s: soaked %sx%09d request of a customer took %d ms and answered with code %d\n", (n % KEPT_EVERY == 0 ? "ERROR" : "DEBUG"), name, n, n % 977, 200 + n % 5
        }
        fflush(); system("usleep 200000")
        while (n > RATE * (systime() - start)) system("usleep 100000")
    }
    system("sleep 1000000")
}'"#;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

#[test]
fn a_steady_load_leaves_memory_and_descriptors_as_they_are() {
    let (Some(seconds), Some(rate)) = (number("WEIR_SOAK_SECONDS"), number("WEIR_SOAK_RATE")) else {
        return say::left_out("the soak on the swarm", "it takes hours: benches/swarm_soak runs it");
    };
    let _turn = alone();
    let rate = rate / NODES;
    let total = seconds * rate / KEPT_EVERY * KEPT_EVERY;
    let folder = tempfile::Builder::new().prefix("weir-k-").tempdir().unwrap();
    let swarm = match Cluster::start(folder.path(), "weirk", NODES as usize) {
        Ok(swarm) => swarm,
        Err(why) => return say::left_out("the soak on the swarm", &why),
    };
    let images = images::save(swarm.engine(1), folder.path());
    (1..=swarm.len()).for_each(|node| load(&swarm, node, &images));
    swarm.engine(1).docker(&["node", "update", "--label-add", "weir.indexer=true", &swarm.name(1)]);
    let secrets = stack::secrets(folder.path());
    deploy(&swarm, &[("WEIR_SECRETS_DIR", &secrets.display().to_string())]);
    until("every role to be healthy", HEALTHY, || healthy(&swarm, &["shipper", "aggregator", "indexer"]));
    let script = SERVICE
        .replace("KEPT_EVERY", &KEPT_EVERY.to_string())
        .replace("TOTAL", &total.to_string())
        .replace("RATE", &rate.to_string());
    let create = ["service", "create", "--detach", "--no-resolve-image", "--name", "talker", "--mode", "global"];
    let logging = ["--log-opt", "max-size=100m", "--log-opt", "max-file=3"];
    swarm.engine(1).docker(&[&create[..], &logging, &[BUSYBOX, "sh", "-c", &script]].concat());
    say::progress("soak", &format!("{} lines a second for {seconds} s", rate * NODES));

    let mut samples = Samples::new(&kept().join("soak.csv"));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        samples.look(&swarm, begun.elapsed());
        std::thread::sleep(LOOK);
    }
    say::line(&samples.table());
    let container = container(&swarm, 1, "weir_indexer").unwrap();
    let indexer = Indexer { swarm: &swarm, container, secrets };
    let wanted = NODES * total / KEPT_EVERY;
    until(&format!("{wanted} lines in the index"), STORED + Duration::from_secs(seconds / 20), || {
        std::thread::sleep(Duration::from_secs(1));
        let query = json!({"query": {"match": {"message": WORD}}});
        match indexer.post("/logs-weir/_count", &query)?["count"].as_u64() {
            Some(count) if count == wanted => Ok(()),
            count => Err(format!("there are {count:?}")),
        }
    });
    each_once(&indexer, total);
    say::progress(
        "soak",
        &format!("all {wanted} lines are in the index once; samples: {}", kept().join("soak.csv").display()),
    );
    samples.check();
}

/// Every line that is kept is in the index, once.
fn each_once(indexer: &Indexer<'_>, total: u64) {
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut strange = Vec::new();
    indexer
        .messages(WORD, |message| {
            let tag = message.split_once(WORD).and_then(|(_, rest)| rest.trim_start().split_once('x'));
            let number = tag.and_then(|(name, rest)| Some((name, rest.get(..9)?.parse::<u64>().ok()?)));
            match number {
                Some((name, number)) if number % KEPT_EVERY == 0 && number > 0 && number <= total => {
                    let times = found.entry(name.to_owned()).or_insert_with(|| vec![0; (total / KEPT_EVERY) as usize]);
                    let times = &mut times[(number / KEPT_EVERY) as usize - 1];
                    *times = times.saturating_add(1);
                }
                _ => strange.push(message.to_owned()),
            }
        })
        .unwrap();
    assert!(strange.is_empty(), "never written, or to be dropped: {:?}", &strange[..strange.len().min(3)]);
    assert_eq!(found.len() as u64, NODES, "{:?}", found.keys());
    for (name, times) in found {
        assert!(times.iter().all(|times| *times == 1), "{name}: some lines are missing, or there more than once");
    }
}

/// What one process held at one moment.
#[derive(Clone, Copy)]
struct Sample {
    /// Seconds since the load began.
    at: f64,
    /// Resident memory, and the part of it that is no file's, in bytes.
    resident: u64,
    private: u64,
    descriptors: usize,
    /// Processor time since it started, in seconds.
    cpu: f64,
}

impl Sample {
    /// Of the process `id` of a node, whose files are under `root`.
    fn take(root: &Path, id: &str, at: f64) -> Option<Self> {
        let folder = root.join("proc").join(id);
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let kilobytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim_start_matches(':').split_whitespace().next()?.parse::<u64>().ok()
        };
        Some(Self {
            at,
            resident: kilobytes("VmRSS")? * 1024,
            private: kilobytes("RssAnon")? * 1024,
            descriptors: fs::read_dir(folder.join("fd")).ok()?.count(),
            cpu: cpu(&folder)?,
        })
    }
}

/// Processor time of a process, in seconds.
fn cpu(folder: &Path) -> Option<f64> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) / TICKS)
}

/// Samples of every role by its name (and node), and of what Docker itself takes.
struct Samples {
    file: fs::File,
    /// The process of a role as its node counts, until it is gone.
    processes: BTreeMap<(usize, &'static str), String>,
    roles: BTreeMap<String, Vec<Sample>>,
    docker: Vec<(f64, f64)>,
}

impl Samples {
    fn new(path: &Path) -> Self {
        use std::io::Write as _;
        let mut file = fs::File::create(path).unwrap();
        writeln!(file, "seconds,role,resident_bytes,private_bytes,descriptors,cpu_seconds").unwrap();
        Self { file, processes: BTreeMap::new(), roles: BTreeMap::new(), docker: Vec::new() }
    }

    fn look(&mut self, swarm: &Cluster, at: Duration) {
        use std::io::Write as _;
        let at = at.as_secs_f64();
        let mut docker = 0.0;
        for node in 1..=swarm.len() {
            let root = swarm.engine(node).root();
            for role in ["shipper", "aggregator", "indexer"] {
                let sample = self.process(swarm, node, role).and_then(|id| Sample::take(&root, &id, at));
                let Some(sample) = sample else {
                    self.processes.remove(&(node, role));
                    continue;
                };
                let name = if role == "shipper" { format!("{role} {node}") } else { role.to_owned() };
                let Sample { resident, private, descriptors, cpu, .. } = sample;
                writeln!(self.file, "{at:.0},{name},{resident},{private},{descriptors},{cpu:.2}").unwrap();
                self.roles.entry(name).or_default().push(sample);
            }
            docker += engine_cpu(&root);
        }
        self.docker.push((at, docker));
    }

    /// The process of a role on a node, looked up when it is not known.
    fn process(&mut self, swarm: &Cluster, node: usize, role: &'static str) -> Option<String> {
        if let Some(id) = self.processes.get(&(node, role)) {
            return Some(id.clone());
        }
        let container = container(swarm, node, &format!("weir_{role}")).ok()?;
        let id = swarm.engine(node).try_docker(&["inspect", "-f", "{{.State.Pid}}", &container]).ok()?;
        self.processes.insert((node, role), id.clone());
        Some(id)
    }

    /// One row for each part of the time: resident and private memory in MiB, descriptors, CPU in percent of a core.
    fn table(&self) -> String {
        let mut table = format!(
            "{:<12} {:>8} {:>9} {:>12} {:>12} {:>6}\n",
            "role", "seconds", "RSS MiB", "private MiB", "descriptors", "CPU %"
        );
        for (name, samples) in &self.roles {
            for part in samples.chunks(samples.len().div_ceil(ROWS).max(2)) {
                let (first, last) = (part[0], part[part.len() - 1]);
                let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
                let busy = 100.0 * (last.cpu - first.cpu) / (last.at - first.at).max(1.0);
                let most = |of: fn(&Sample) -> u64| part.iter().map(of).max().unwrap_or(0);
                let (resident, private) = (mib(most(|s| s.resident)), mib(most(|s| s.private)));
                let descriptors = most(|s| s.descriptors as u64);
                writeln!(
                    table,
                    "{name:<12} {:>8.0} {resident:>9.1} {private:>12.1} {descriptors:>12} {busy:>6.1}",
                    last.at
                )
                .unwrap();
            }
        }
        if let (Some(first), Some(last)) = (self.docker.first(), self.docker.last()) {
            let busy = 100.0 * (last.1 - first.1) / (last.0 - first.0).max(1.0);
            writeln!(table, "dockerd, containerd and shims of all nodes: {busy:.1} % of a core").unwrap();
        }
        table
    }

    /// In the last quarter nobody holds more descriptors than before, nor a twentieth more memory than in the quarter before.
    fn check(&self) {
        for (name, samples) in &self.roles {
            let quarter = samples.len() / 4;
            let (before, last) = (&samples[quarter * 2..quarter * 3], &samples[quarter * 3..]);
            let most = |part: &[Sample], of: fn(&Sample) -> u64| part.iter().map(of).max().unwrap_or(0);
            // Without a leak the number of a busy indexer's open files goes up and down with its segments.
            let (then, now) = (most(before, |s| s.descriptors as u64), most(last, |s| s.descriptors as u64));
            assert!(now <= then + then / 10 + 5, "{name}: {then} descriptors have become {now}");
            let (then, now) = (most(before, |s| s.private), most(last, |s| s.private));
            assert!(now <= then + then / 20 + (1 << 20), "{name}: {then} bytes of private memory have become {now}");
        }
    }
}

/// Processor time of Docker's own programs on a node, in seconds.
fn engine_cpu(root: &Path) -> f64 {
    let Ok(entries) = fs::read_dir(root.join("proc")) else { return 0.0 };
    let of_docker = entries.flatten().map(|entry| entry.path()).filter(|folder| {
        let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
        name.starts_with("dockerd") || name.starts_with("containerd")
    });
    of_docker.filter_map(|folder| cpu(&folder)).sum()
}
