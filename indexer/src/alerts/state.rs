//! What fires since when, and who was told: kept in `alerts.json`,
//! `{"version":1,"alerts":[…],"silences":[…]}`, written as a whole when it has changed.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weir_daemon::files::write_durably;

use super::load::Loaded;
use super::measure::Reading;
use super::rule::{Level, Rule, When};
use super::send::{Kind, Notice};
use super::silence::{SILENCES_MAX, Silence};
use crate::time::format::iso;
use crate::time::zone::Zone;

const VERSION: u32 = 1;
/// Most alerts at once: groups come from logs. Further ones are not taken up until others end.
const ALERTS_MAX: usize = 1_000;
/// How long an alert that has ended is shown, and its end is tried to be told.
const ENDED_KEPT_MS: i64 = 3_600_000;
/// A group that is absent this long will not come back: its alert ends.
const ABSENT_MAX_MS: i64 = 7 * 86_400_000;

/// One alert: a rule, and a group of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The rule's name.
    pub rule: String,
    /// The field that groups are values of.
    pub group_by: Option<String>,
    /// The group.
    pub group: Option<String>,
    /// How bad it is.
    pub level: Level,
    /// What the message says.
    pub text: String,
    /// The number that was compared.
    pub value: f64,
    /// Since when it holds, in milliseconds since 1970.
    pub since: i64,
    /// Since when it fires; `None` while it is pending.
    pub fires: Option<i64>,
    /// When it ended.
    pub ended: Option<i64>,
    /// Who was told that it fires, and when last.
    pub told: BTreeMap<String, i64>,
}

impl Alert {
    /// For the page.
    pub fn show(&self, silence: Option<&str>) -> Value {
        let state = match (self.fires, self.ended) {
            (_, Some(_)) => "resolved",
            (Some(_), None) => "firing",
            (None, None) => "pending",
        };
        json!({
            "rule": self.rule, "group_by": self.group_by, "group": self.group, "level": self.level, "state": state,
            "text": self.text, "value": self.value, "since": self.since, "ended": self.ended, "silence": silence,
        })
    }
}

/// What was told to a receiver: rule, group, when, and whether it was the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The rule's name.
    pub rule: String,
    /// The group.
    pub group: Option<String>,
    /// When the notice was made, in milliseconds since 1970.
    pub at: i64,
    /// It told that the alert has ended.
    pub ended: bool,
}

/// The whole file.
#[derive(Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// Alerts that pend, fire or ended lately.
    pub alerts: Vec<Alert>,
    /// See [`Silence`].
    pub silences: Vec<Silence>,
    #[serde(skip)]
    saved: Vec<u8>,
}

impl State {
    /// Reads the file; one that is not there is empty.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn load(path: &Path) -> Result<Self, String> {
        let unusable = |what: String| format!("{} {what}; move it away", path.display());
        match std::fs::read(path) {
            Ok(bytes) => {
                let state: Self =
                    serde_json::from_slice(&bytes).map_err(|e| unusable(format!("cannot be read: {e}")))?;
                if state.version != VERSION {
                    return Err(unusable(format!("is of version {}", state.version)));
                }
                Ok(Self { saved: bytes, ..state })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Self { version: VERSION, alerts: Vec::new(), silences: Vec::new(), saved: Vec::new() })
            }
            Err(error) => Err(unusable(format!("cannot be read: {error}"))),
        }
    }

    /// Writes the file, durably.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn save(&mut self, path: &Path) -> Result<(), String> {
        let bytes = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        write_durably(path, &bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        self.saved = bytes;
        Ok(())
    }

    /// The same, if something has changed.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn save_if_changed(&mut self, path: &Path) -> Result<(), String> {
        let changed = serde_json::to_vec(self).is_ok_and(|bytes| bytes != self.saved);
        if changed && !(self.alerts.is_empty() && self.silences.is_empty() && self.saved.is_empty()) {
            return self.save(path);
        }
        Ok(())
    }

    /// Adds a silence.
    ///
    /// # Errors
    /// There are too many.
    pub fn add_silence(&mut self, silence: Silence, now: i64) -> Result<(), String> {
        self.silences.retain(|silence| now < silence.until);
        if self.silences.len() >= SILENCES_MAX {
            return Err(format!("there are {SILENCES_MAX} silences already; end some"));
        }
        self.silences.push(silence);
        Ok(())
    }

    /// How many fire.
    pub fn firing(&self) -> usize {
        self.alerts.iter().filter(|alert| alert.fires.is_some() && alert.ended.is_none()).count()
    }

    /// Takes in what a rule's evaluation found.
    pub fn note(&mut self, rule: &Rule, found: Vec<Reading>, now: i64) {
        let mut held = Vec::new();
        for reading in &found {
            let room = self.alerts.len() < ALERTS_MAX;
            let known = self
                .alerts
                .iter_mut()
                .find(|alert| alert.ended.is_none() && alert.rule == rule.name && alert.group == reading.group);
            match known {
                Some(alert) if reading.holds => {
                    (alert.value, alert.level) = (reading.value, rule.level);
                    alert.text.clone_from(&reading.text);
                    held.push(reading.group.clone());
                }
                Some(_) => {}
                None if reading.holds && room => {
                    held.push(reading.group.clone());
                    self.alerts.push(Alert {
                        rule: rule.name.clone(),
                        group_by: rule.group_by.clone(),
                        group: reading.group.clone(),
                        level: rule.level,
                        text: reading.text.clone(),
                        value: reading.value,
                        since: now,
                        fires: None,
                        ended: None,
                        told: BTreeMap::new(),
                    });
                }
                None => {}
            }
        }
        let absence = matches!(rule.when, When::Absent(_));
        for alert in self.alerts.iter_mut().filter(|alert| alert.ended.is_none() && alert.rule == rule.name) {
            let spoke = found.iter().any(|reading| reading.group == alert.group && !reading.holds);
            // Whoever is silent long enough is not found any more: that is no recovery.
            let still_silent = absence && !spoke && now - alert.since < ABSENT_MAX_MS;
            if held.contains(&alert.group) || still_silent {
                if alert.fires.is_none() && now - alert.since >= rule.hold.as_millis() as i64 {
                    alert.fires = Some(now);
                }
            } else {
                alert.ended = Some(now);
            }
        }
        // What never fired needs no end.
        self.alerts.retain(|alert| alert.ended.is_none() || alert.fires.is_some());
    }

    /// Ends what no rule is there for any more, and forgets what has ended long ago.
    pub fn forget(&mut self, rules: &[Rule], now: i64) {
        for alert in &mut self.alerts {
            if alert.ended.is_none() && !rules.iter().any(|rule| rule.name == alert.rule) {
                alert.ended = Some(now);
            }
        }
        let before = |ended: i64| now - ended < ENDED_KEPT_MS;
        self.alerts.retain(|alert| alert.ended.is_none_or(before) && (alert.ended.is_none() || alert.fires.is_some()));
        self.silences.retain(|silence| now < silence.until);
    }

    /// What each receiver is to be told now.
    pub fn notices(&self, loaded: &Loaded, now: i64, every: Duration) -> Vec<(String, Vec<Notice>)> {
        let mut all = Vec::new();
        for receiver in &loaded.receivers {
            let mut notices = Vec::new();
            for alert in &self.alerts {
                let Some(fires) = alert.fires else { continue };
                let rule = loaded.rules.iter().find(|rule| rule.name == alert.rule);
                if rule.is_some_and(|rule| !rule.to.is_empty() && !rule.to.contains(&receiver.name)) {
                    continue;
                }
                let told = alert.told.get(&receiver.name);
                let due = match (alert.ended, told) {
                    // Whoever heard of it hears of its end, silenced or not.
                    (Some(_), told) => told.is_some(),
                    (None, _) if self.silences.iter().any(|silence| silence.covers(alert, now)) => false,
                    (None, None) => true,
                    // Alertmanager takes what is not said again for ended, and does the repeating itself.
                    (None, Some(_)) if receiver.kind == Kind::Alertmanager => true,
                    (None, Some(at)) => rule.is_some_and(|rule| now - at >= rule.repeat.as_millis() as i64),
                };
                if due {
                    // Longer than a few evaluations that fail.
                    let lasts = now + (every.as_millis() as i64 * 4).max(180_000);
                    notices.push(Notice {
                        rule: alert.rule.clone(),
                        group_by: alert.group_by.clone(),
                        group: alert.group.clone(),
                        level: alert.level,
                        text: alert.text.clone(),
                        value: alert.value,
                        starts: stamp(fires),
                        ends: stamp(alert.ended.unwrap_or(lasts)),
                        ended: alert.ended.is_some(),
                        at: now,
                    });
                }
            }
            if !notices.is_empty() {
                all.push((receiver.name.clone(), notices));
            }
        }
        all
    }

    /// Takes in what a receiver was told.
    pub fn told(&mut self, receiver: &str, what: &[Told]) {
        for told in what {
            let fits = |alert: &&mut Alert| {
                alert.rule == told.rule && alert.group == told.group && alert.ended.is_some() == told.ended
            };
            for alert in self.alerts.iter_mut().filter(fits) {
                if told.ended {
                    alert.told.remove(receiver);
                } else {
                    alert.told.insert(receiver.to_owned(), told.at);
                }
            }
        }
    }
}

fn stamp(ms: i64) -> String {
    iso(i128::from(ms) * 1_000_000, &Zone::utc(), false)
}

#[cfg(test)]
mod tests {
    use super::super::send::Receiver;
    use super::*;
    use crate::query::Query;

    fn rule(when: When, hold: u64) -> Rule {
        Rule {
            name: "r".into(),
            text: String::new(),
            query: Query::all(),
            json: serde_json::Value::Null,
            index: "i".into(),
            window: Duration::from_secs(300),
            group_by: Some("service.name".into()),
            when,
            hold: Duration::from_secs(hold),
            level: Level::Warning,
            to: Vec::new(),
            repeat: Duration::from_secs(3600),
        }
    }

    fn loaded(rule: &Rule, kind: Kind) -> Loaded {
        let mut loaded = super::super::load::load(&[], false).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        loaded.rules.push(rule.clone());
        loaded.receivers.push(Receiver { name: "ops".into(), kind, url: "http://x".into(), ..Receiver::default() });
        loaded
    }

    fn reading(group: &str, holds: bool) -> Reading {
        Reading { group: Some(group.into()), value: 1.0, holds, text: "t".into() }
    }

    fn empty() -> State {
        State::load(Path::new("/nowhere/at/all")).unwrap_or_else(|problem| panic!("{problem}"))
    }

    const EVERY: Duration = Duration::from_secs(30);

    /// Tells everything that is due; what was told, as group and whether it had ended.
    fn tell(state: &mut State, loaded: &Loaded, now: i64) -> Vec<(String, bool)> {
        let mut said = Vec::new();
        for (receiver, notices) in state.notices(loaded, now, EVERY) {
            said.extend(notices.iter().map(|notice| (notice.group.clone().unwrap(), notice.ended)));
            state.told(&receiver, &notices.iter().map(Notice::told).collect::<Vec<_>>());
        }
        said
    }

    #[test]
    fn an_alert_is_told_once_again_after_a_while_and_its_end_once() {
        let rule = rule(When::Above(0), 60);
        let (mut state, loaded) = (empty(), loaded(&rule, Kind::Webhook));
        state.note(&rule, vec![reading("web", true)], 0);
        assert!(tell(&mut state, &loaded, 0).is_empty(), "it must hold for a minute");
        state.note(&rule, vec![reading("web", true)], 60_000);
        assert_eq!(tell(&mut state, &loaded, 60_000), [("web".to_owned(), false)]);
        assert!(tell(&mut state, &loaded, 90_000).is_empty());
        assert_eq!(tell(&mut state, &loaded, 3_700_000), [("web".to_owned(), false)], "it is told again");
        state.note(&rule, vec![], 3_800_000);
        assert_eq!(tell(&mut state, &loaded, 3_800_000), [("web".to_owned(), true)]);
        assert!(tell(&mut state, &loaded, 3_900_000).is_empty());
        // It may come back while its end is still shown.
        state.note(&rule, vec![reading("web", true)], 3_900_000);
        assert_eq!(state.alerts.len(), 2);
        state.forget(&[rule], 3_900_000 + ENDED_KEPT_MS);
        assert_eq!(state.alerts.len(), 1);
    }

    #[test]
    fn what_was_not_delivered_is_told_later_and_a_restart_forgets_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.json");
        let rule = rule(When::Above(0), 0);
        let (mut state, loaded) = (empty(), loaded(&rule, Kind::Slack));
        state.note(&rule, vec![reading("web", true), reading("db", true)], 0);
        let notices = state.notices(&loaded, 0, EVERY);
        assert_eq!(notices[0].1.len(), 2);
        state.save_if_changed(&path).unwrap();
        let mut state = State::load(&path).unwrap();
        assert_eq!(tell(&mut state, &loaded, 1_000).len(), 2, "the first attempt failed");
        state.save_if_changed(&path).unwrap();
        let mut state = State::load(&path).unwrap();
        assert!(tell(&mut state, &loaded, 2_000).is_empty());
        state.note(&rule, vec![], 3_000);
        assert_eq!(tell(&mut state, &loaded, 3_000).len(), 2);
    }

    #[test]
    fn silenced_alerts_wait_and_ends_are_told_to_those_who_heard() {
        let rule = rule(When::Above(0), 0);
        let (mut state, loaded) = (empty(), loaded(&rule, Kind::Webhook));
        let silence = |group: &str, until| Silence {
            id: group.into(),
            rule: "*".into(),
            group: group.into(),
            until,
            by: "me".into(),
            why: "works".into(),
        };
        state.add_silence(silence("we*", 10_000), 0).unwrap();
        state.note(&rule, vec![reading("web", true), reading("db", true)], 1_000);
        assert_eq!(tell(&mut state, &loaded, 1_000), [("db".to_owned(), false)]);
        assert_eq!(tell(&mut state, &loaded, 10_000), [("web".to_owned(), false)]);
        state.add_silence(silence("db", 99_000), 10_000).unwrap();
        state.note(&rule, vec![], 11_000);
        assert_eq!(tell(&mut state, &loaded, 11_000).len(), 2);
    }

    #[test]
    fn who_fell_silent_does_not_recover_by_being_forgotten() {
        let rule = rule(When::Absent(Duration::from_secs(300)), 0);
        let mut state = empty();
        state.note(&rule, vec![reading("node-1", true), reading("node-2", false)], 0);
        assert_eq!(state.firing(), 1);
        state.note(&rule, vec![reading("node-2", false)], 3_600_000);
        assert_eq!(state.firing(), 1, "it is out of the window, and still silent");
        state.note(&rule, vec![reading("node-1", false)], 3_700_000);
        assert_eq!(state.firing(), 0, "it spoke");
    }

    #[test]
    fn alertmanager_hears_of_what_fires_each_time() {
        let rule = rule(When::Above(0), 0);
        let (mut state, loaded) = (empty(), loaded(&rule, Kind::Alertmanager));
        state.note(&rule, vec![reading("web", true)], 0);
        assert_eq!(tell(&mut state, &loaded, 0).len(), 1);
        assert_eq!(tell(&mut state, &loaded, 30_000).len(), 1);
    }
}
