//! Alerts of our own: rules over what was logged, and messages to people. In the order in which they meet: `load` reads
//! rule files into `rule`s and receivers, `measure` asks the store what each rule wants to know (`disk` knows how fast our
//! own disk fills), `state` remembers what fires since when and who was told, `silence` says what nobody wants to hear
//! now, and `send` tells the receivers.
//!
//! One task evaluates everything, every `alerts_interval`. State is in `alerts.json` in the data folder and survives a
//! restart: nobody is told twice, and a recovery is told even when it came while the indexer was down.

mod disk;
pub mod load;
pub mod measure;
pub mod rule;
pub mod send;
pub mod silence;
pub mod state;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Shared;
use crate::time::{now, to_millis};
use load::Loaded;
use silence::Silence;
use state::State;

/// The state in the data folder.
const FILE: &str = "alerts.json";

/// What the task and the endpoints share.
pub struct Alerts {
    inner: Mutex<Inner>,
    files: Vec<PathBuf>,
    builtin: bool,
    path: PathBuf,
}

struct Inner {
    loaded: Arc<Loaded>,
    state: State,
    /// Why rule files, or some of the rules, could not be used at the last evaluation.
    problems: Vec<String>,
}

impl Alerts {
    /// Reads rules and state.
    ///
    /// # Errors
    /// The first rule file that is wrong, with its line; or a state file that cannot be read.
    pub fn open(files: &[PathBuf], builtin: bool, data_dir: &std::path::Path) -> Result<Self, String> {
        let loaded = load::load(files, builtin)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        let path = data_dir.join(FILE);
        let state = State::load(&path)?;
        let inner = Inner { loaded: Arc::new(loaded), state, problems: Vec::new() };
        Ok(Self { inner: Mutex::new(inner), files: files.to_vec(), builtin, path })
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What fires, pends, or has ended lately, and what is silenced. `seen`: whether an alert of this group is to be shown.
    pub fn show(&self, seen: impl Fn(Option<&str>, Option<&str>) -> bool) -> Value {
        let inner = self.locked();
        let now = to_millis(now());
        let alerts: Vec<Value> = inner
            .state
            .alerts
            .iter()
            .filter(|alert| seen(alert.group_by.as_deref(), alert.group.as_deref()))
            .map(|alert| {
                let silence = inner.state.silences.iter().find(|silence| silence.covers(alert, now));
                alert.show(silence.map(|silence| silence.id.as_str()))
            })
            .collect();
        let rules: Vec<Value> = inner.loaded.rules.iter().map(rule::Rule::show).collect();
        json!({"alerts": alerts, "rules": rules, "silences": inner.state.silences, "problems": inner.problems})
    }

    /// Adds a silence, durably. Blocks.
    ///
    /// # Errors
    /// There are too many, or the state cannot be written.
    pub fn silence(&self, silence: Silence) -> Result<(), String> {
        let mut inner = self.locked();
        inner.state.add_silence(silence, to_millis(now()))?;
        inner.state.save(&self.path)
    }

    /// Ends a silence, durably; says whether there was one. Blocks.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn unsilence(&self, id: &str) -> Result<bool, String> {
        let mut inner = self.locked();
        let before = inner.state.silences.len();
        inner.state.silences.retain(|silence| silence.id != id);
        let was_there = inner.state.silences.len() < before;
        if was_there {
            inner.state.save(&self.path)?
        }
        Ok(was_there)
    }
}

/// Evaluates rules and tells receivers, until shutdown.
pub(crate) async fn run(shared: Arc<Shared>) {
    let every = shared.config.alerts_interval;
    let help = "Evaluations of alert rules that failed.";
    let failures = shared.metrics.counter("weir_indexer_alert_failures_total", help, &[]);
    let firing = shared.metrics.gauge("weir_indexer_alerts_firing", "Alerts that fire now.", &[]);
    let mut disk = disk::Trend::default();
    loop {
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let alerts = &shared.alerts;
        let mut problems = reload(&shared);
        let loaded = Arc::clone(&alerts.locked().loaded);
        disk.note(shared.all.disk().free);
        let mut readings = Vec::new();
        for rule in &loaded.rules {
            match measure::measure(&shared, rule, disk.full_in()).await {
                Ok(found) => readings.push((rule, found)),
                Err(reason) => {
                    failures.inc();
                    problems.push(format!("rule {:?} could not be evaluated: {reason}", rule.name));
                }
            }
        }
        let notices = {
            let mut inner = alerts.locked();
            let now = to_millis(now());
            for (rule, found) in readings {
                inner.state.note(rule, found, now);
            }
            inner.state.forget(&loaded.rules, now);
            firing.set(inner.state.firing() as i64);
            inner.state.notices(&loaded, now, every)
        };
        let told = tell(&shared, &loaded, notices, &mut problems).await;
        let path = alerts.path.clone();
        let shared_then = Arc::clone(&shared);
        let saved = tokio::task::spawn_blocking(move || {
            let mut inner = shared_then.alerts.locked();
            for (receiver, keys) in told {
                inner.state.told(&receiver, &keys);
            }
            inner.state.save_if_changed(&path)
        });
        if let Err(reason) = saved.await.unwrap_or_else(|error| Err(error.to_string())) {
            problems.push(reason);
        }
        match problems.first() {
            Some(first) => shared.health.trouble("alerts", first.clone()),
            None => shared.health.well("alerts"),
        }
        let mut inner = alerts.locked();
        if inner.problems != problems {
            for problem in &problems {
                tracing::warn!(problem, "alerts");
            }
            inner.problems = problems;
        }
    }
}

/// Takes changed rule files into use. Wrong ones leave the ones before.
fn reload(shared: &Shared) -> Vec<String> {
    let alerts = &shared.alerts;
    if alerts.locked().loaded.is_current(&alerts.files) {
        return Vec::new();
    }
    match load::load(&alerts.files, alerts.builtin) {
        Ok(loaded) => {
            tracing::info!(rules = loaded.rules.len(), "alert rules have changed and are in use");
            alerts.locked().loaded = Arc::new(loaded);
            Vec::new()
        }
        Err(mistakes) => mistakes.iter().map(|mistake| mistake.to_string()).collect(),
    }
}

/// Tells each receiver what concerns it; answers who was told of what.
async fn tell(
    shared: &Arc<Shared>,
    loaded: &Arc<Loaded>,
    notices: Vec<(String, Vec<send::Notice>)>,
    problems: &mut Vec<String>,
) -> Vec<(String, Vec<state::Told>)> {
    let mut told = Vec::new();
    let tasks = notices.into_iter().filter_map(|(name, notices)| {
        let receiver = loaded.receivers.iter().find(|receiver| receiver.name == name)?.clone();
        let link = shared.config.public_url.clone();
        Some(tokio::spawn(async move {
            // A receiver that hangs must not keep the others from hearing.
            let sending = send::send(&receiver, &notices, &link);
            let outcome = tokio::time::timeout(SEND_TIME_MAX, sending).await;
            let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer within {} s", SEND_TIME_MAX.as_secs())));
            (receiver, notices, outcome)
        }))
    });
    for task in tasks.collect::<Vec<_>>() {
        let Ok((receiver, notices, outcome)) = task.await else { continue };
        let (help, outcome_name) = ("Messages about alerts.", if outcome.is_ok() { "sent" } else { "failed" });
        let labels = [("kind", receiver.kind.name()), ("outcome", outcome_name)];
        shared.metrics.counter("weir_indexer_alert_messages_total", help, &labels).inc();
        match outcome {
            Ok(()) => told.push((receiver.name.clone(), notices.iter().map(send::Notice::told).collect())),
            Err(reason) => problems.push(format!("receiver {:?} could not be told: {reason}", receiver.name)),
        }
    }
    told
}

/// Longest time to tell one receiver.
const SEND_TIME_MAX: Duration = Duration::from_secs(20);
