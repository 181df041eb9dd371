//! A swarm of three real engines, the stack files with TLS, and a service on every node that logs 100,000 numbered lines, while a
//! worker loses its power and returns, a cable is pulled for 30 s, the indexer's task is killed, everything is updated to
//! another image, a pipeline is changed, and a fourth node joins. In the end the index holds exactly the lines that the
//! nodes' log files hold and the policy keeps, and what each role took is printed beside its limits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::cluster::Cluster;
use super::support::docker::BUSYBOX;
use super::support::stack::{self, Indexer, container, deploy, healthy, load};
use super::support::{alone, images, say, until};

/// Every task is scheduled, started and found healthy.
const HEALTHY: Duration = Duration::from_secs(240);
/// Nothing new for this long, and the set is still not right: it will not become right.
const STUCK: Duration = Duration::from_secs(90);
/// How long the cable is out.
const CUT: Duration = Duration::from_secs(30);
/// Lines that each node's service writes.
const LINES: u32 = 100_000;
/// Lines a second that it is asked for.
const RATE: u32 = 1_500;
/// Every so many lines one is an error, which is kept; the others are debug lines, which are not.
const KEPT_EVERY: u32 = 5;
/// A line's own mark stands behind this word.
const WORD: &str = "numbered";

/// Writes numbered lines, each with the container's name; remembers on a volume how far it came, so that the task that
/// follows a killed one goes on there. Then it sleeps, so that it does not end, and remembers on: of two tasks that ran side
/// by side for a while (a node that came back), the one behind may have been the last to say how far it was.
const SERVICE: &str = r#"exec awk -v name="$HOSTNAME" '
function save() { print n > new; close(new); system("busybox mv " new " /state/n") }
BEGIN {
    new = "/state/new-" name
    getline n < "/state/n"; close("/state/n")
    begun = n; start = systime()
    while (n < LINES) {
        n++
        printf "%s: numbered %sx%06d\n", (n % KEPT_EVERY == 0 ? "ERROR" : "DEBUG"), name, n
        if (n % 100 == 0) {
            fflush(); save()
            if (n - begun > RATE * (systime() - start)) system("usleep 60000")
        }
    }
    fflush()
    while (1) { save(); system("sleep 1") }
}'"#;

/// Which line: the container that wrote it, and its number there.
type Tag = (String, u32);

#[test]
fn three_nodes_lose_nothing_and_double_nothing() {
    let _turn = alone();
    let folder = tempfile::Builder::new().prefix("weir-n-").tempdir().unwrap();
    let mut swarm = match Cluster::start(folder.path(), "weirn", 3) {
        Ok(swarm) => swarm,
        Err(why) => return say::left_out("three_nodes", &why),
    };
    let images = images::save(swarm.engine(1), folder.path());
    let mut usage = Usage::default();
    (1..=3).for_each(|node| load(&swarm, node, &images));
    swarm.engine(1).docker(&["node", "update", "--label-add", "weir.indexer=true", &swarm.name(1)]);
    let secrets = stack::secrets(folder.path());
    let secrets_dir = secrets.display().to_string();
    let first = [("WEIR_SECRETS_DIR", &*secrets_dir)];
    deploy(&swarm, &first);
    say::progress("three_nodes", "three engines are a swarm; docker stack deploy");
    until("every role to be healthy on every node", HEALTHY, || healthy(&swarm, &["shipper", "aggregator", "indexer"]));
    let script = SERVICE
        .replace("KEPT_EVERY", &KEPT_EVERY.to_string())
        .replace("LINES", &LINES.to_string())
        .replace("RATE", &RATE.to_string());
    swarm.engine(1).docker(&[
        "service",
        "create",
        "--detach",
        "--no-resolve-image",
        "--name",
        "talker",
        "--mode",
        "global",
        "--mount",
        "type=volume,source=talker,target=/state",
        BUSYBOX,
        "sh",
        "-c",
        &script,
    ]);
    written(&swarm, 1, 5_000);

    say::progress("three_nodes", "node 3 loses its power, and returns");
    swarm.power_off(3);
    std::thread::sleep(Duration::from_secs(8));
    swarm.power_on(3).unwrap();
    usage.look(&swarm);

    say::progress("three_nodes", "node 2 is cut off for 30 s");
    swarm.cable(2, false);
    std::thread::sleep(CUT);
    swarm.cable(2, true);
    until("node 2 to be back", HEALTHY, || ready(&swarm, 2));

    say::progress("three_nodes", "the indexer's task is killed");
    let indexer = container(&swarm, 1, "weir_indexer").unwrap();
    swarm.engine(1).docker(&["kill", "-s", "KILL", &indexer]);
    until("another indexer", HEALTHY, || match container(&swarm, 1, "weir_indexer")? {
        other if other != indexer => Ok(()),
        _ => Err("the old one is still there".to_owned()),
    });
    usage.look(&swarm);

    say::progress("three_nodes", "a rolling update to a second image");
    let second = [&first[..], &[("WEIR_IMAGE", "weir:test2"), ("WEIR_SHIPPER_IMAGE", "weir-shipper:test2")]].concat();
    deploy(&swarm, &second);
    updated(&swarm, &["shipper", "aggregator", "indexer"]);

    say::progress("three_nodes", "a changed pipeline: one command");
    let own_file = folder.path().join("own.conf");
    fs::write(&own_file, "filter { mutate { add_field => { \"[labels][pipeline]\" => \"second\" } } }\n").unwrap();
    let own_file = own_file.display().to_string();
    deploy(&swarm, &[&second[..], &[("WEIR_PIPELINES", "2"), ("WEIR_PIPELINES_FILE", &own_file)]].concat());
    updated(&swarm, &["aggregator"]);
    usage.look(&swarm);

    say::progress("three_nodes", "a fourth node joins");
    let fourth = swarm.add().unwrap();
    load(&swarm, fourth, &images);
    (1..=fourth).for_each(|node| written(&swarm, node, LINES));
    usage.look(&swarm);

    until("every role to be healthy at the end", HEALTHY, || healthy(&swarm, &["shipper", "aggregator", "indexer"]));
    let (kept, numbers) = truth(&swarm);
    for (node, numbers) in (1..).zip(&numbers) {
        assert!(numbers.contains(&LINES), "node {node} has not written its last number");
        // What was on its way to the log file when the power went never got there.
        assert!(node == 3 || numbers.len() == LINES as usize, "node {node} has not written every number");
    }
    let indexer = container(&swarm, 1, "weir_indexer").unwrap();
    let indexer = Indexer { swarm: &swarm, container: indexer, secrets };
    expect_exactly(&indexer, &kept);
    let changed =
        indexer.post("/logs-weir/_count", &json!({"query": {"term": {"labels.pipeline": "second"}}})).unwrap();
    assert!(changed["count"].as_u64() > Some(0), "no line has met the changed pipeline: {changed}");
    println!("{}", usage.table());
}

/// Whether the manager thinks that a node is well.
fn ready(swarm: &Cluster, node: usize) -> Result<(), String> {
    let name = swarm.name(node);
    match swarm.engine(1).try_docker(&["node", "inspect", "-f", "{{.Status.State}}", &name])?.as_str() {
        "ready" => Ok(()),
        state => Err(format!("{name} is {state}")),
    }
}

/// Waits until the update of each role is complete.
fn updated(swarm: &Cluster, roles: &[&str]) {
    for role in roles {
        let service = format!("weir_{role}");
        until(&format!("the update of {service}"), HEALTHY, || {
            let format = "{{with .UpdateStatus}}{{.State}} {{.Message}}{{end}}";
            match swarm.engine(1).try_docker(&["service", "inspect", "-f", format, &service])?.as_str() {
                state if state.starts_with("completed") => Ok(()),
                state => Err(state.to_owned()),
            }
        });
    }
}

/// Waits until the service on `node` has written `lines`.
fn written(swarm: &Cluster, node: usize, lines: u32) {
    let limit = Duration::from_secs(u64::from(60 + 5 * LINES / RATE));
    until(&format!("{lines} lines on node {node}"), limit, || {
        std::thread::sleep(Duration::from_millis(500));
        let talker = container(swarm, node, "talker")?;
        let state = swarm.engine(node).try_docker(&["exec", &talker, "busybox", "cat", "/state/n"])?;
        let written: u32 = state.parse().unwrap_or(0); // The file is just being made.
        if written >= lines { Ok(()) } else { Err(format!("{written} are written")) }
    });
}

/// What the nodes' log files hold: the lines that the policy keeps, and which numbers each node has written.
fn truth(swarm: &Cluster) -> (BTreeSet<Tag>, Vec<BTreeSet<u32>>) {
    let (mut kept, mut numbers) = (BTreeSet::new(), vec![BTreeSet::new(); swarm.len()]);
    for node in 1..=swarm.len() {
        for entry in fs::read_dir(swarm.containers(node)).unwrap().flatten() {
            let file = entry.path().join(format!("{}-json.log", entry.file_name().to_string_lossy()));
            let Ok(text) = fs::read_to_string(&file) else { continue };
            for line in text.lines().filter(|line| line.starts_with(r#"{"log":"ERROR: "#) || line.contains("DEBUG: ")) {
                let Some(tag) = tag(line) else { continue };
                numbers[node - 1].insert(tag.1);
                if tag.1 % KEPT_EVERY == 0 {
                    kept.insert(tag);
                }
            }
        }
    }
    (kept, numbers)
}

/// The mark of a line.
fn tag(line: &str) -> Option<Tag> {
    let (_, mark) = line.split_once(WORD)?;
    let (name, number) = mark.trim_start().split_once('x')?;
    let number = number.get(..6)?.parse().ok()?;
    Some((name.to_owned(), number))
}

/// Waits until the index holds exactly `kept`.
fn expect_exactly(indexer: &Indexer<'_>, kept: &BTreeSet<Tag>) {
    let (mut count, mut changed) = (0, Instant::now());
    loop {
        let found = everything(indexer).unwrap();
        let twice: Vec<_> = found.iter().filter(|(_, times)| **times > 1).take(3).collect();
        assert!(twice.is_empty(), "more than once: {twice:?}");
        let strange: Vec<_> = found.keys().filter(|tag| !kept.contains(*tag)).take(3).collect();
        assert!(strange.is_empty(), "never written, or to be dropped: {strange:?}");
        if found.len() == kept.len() {
            say::progress("three_nodes", &format!("{} lines are in the index, exactly those expected", kept.len()));
            return;
        }
        if found.len() != count {
            (count, changed) = (found.len(), Instant::now());
        }
        let missing: Vec<_> = kept.iter().filter(|tag| !found.contains_key(*tag)).collect();
        let some = &missing[..missing.len().min(3)];
        assert!(changed.elapsed() < STUCK, "{} of {} lines are missing, such as {some:?}", missing.len(), kept.len());
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Every numbered line of the index, and how often it is there.
fn everything(indexer: &Indexer<'_>) -> Result<BTreeMap<Tag, u32>, String> {
    let (mut found, mut strange) = (BTreeMap::new(), None);
    indexer.messages(WORD, |message| match tag(message) {
        Some(tag) => *found.entry(tag).or_default() += 1,
        None => strange = Some(message.to_owned()),
    })?;
    strange.map_or(Ok(found), |message| Err(format!("a line without its mark: {message:?}")))
}

/// The most that each role took, as its engine says.
#[derive(Default)]
struct Usage(BTreeMap<String, (f64, f64, String)>);

impl Usage {
    /// Looks at every container of the stack once.
    fn look(&mut self, swarm: &Cluster) {
        for node in 1..=swarm.len() {
            // Three columns of `docker stats`: a name, CPU in percent of a core, memory as "12.5MiB / 64MiB".
            let stats = ["stats", "--no-stream", "--format", "{{.Name}}|{{.CPUPerc}}|{{.MemUsage}}"];
            for line in swarm.engine(node).try_docker(&stats).unwrap_or_default().lines() {
                let Some((name, [cpu, memory])) = line.split_once('|').and_then(|(name, rest)| {
                    Some((name, <[&str; 2]>::try_from(rest.split('|').collect::<Vec<_>>()).ok()?))
                }) else {
                    continue;
                };
                let Some(role) = name.strip_prefix("weir_").and_then(|name| name.split('.').next()) else { continue };
                let cpu = cpu.trim_end_matches('%').parse().unwrap_or(0.0);
                let (used, limit) = memory.split_once(" / ").unwrap_or((memory, "?"));
                let most = self.0.entry(role.to_owned()).or_default();
                *most = (most.0.max(cpu), most.1.max(mebibytes(used)), limit.to_owned());
            }
        }
    }

    fn table(&self) -> String {
        let mut table = format!("{:<12} {:>12} {:>14} {:>12}\n", "role", "most CPU %", "most memory", "limit");
        for (role, (cpu, memory, limit)) in &self.0 {
            writeln!(table, "{role:<12} {cpu:>12.1} {memory:>10.1} MiB {limit:>12}").unwrap();
        }
        table
    }
}

/// `12.5MiB` and its kin as a number of MiB.
fn mebibytes(text: &str) -> f64 {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().unwrap_or(0.0);
    match &text[end..] {
        "GiB" => number * 1024.0,
        "KiB" => number / 1024.0,
        "B" => number / 1_048_576.0,
        _ => number,
    }
}

#[test]
fn a_line_has_a_mark() {
    let line = r#"{"log":"ERROR: numbered 0a1b2c3d4e5fx000105\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}"#;
    assert_eq!(tag(line), Some(("0a1b2c3d4e5f".to_owned(), 105)));
    let _: Value = serde_json::from_str(line).unwrap();
}
