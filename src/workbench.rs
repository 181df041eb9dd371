//! What the web page tries pipelines with: the files in use, and any text run on any lines, by the engine of
//! `weir explain`, without touching what runs.
//!
//! Whoever may use the page may write any pipeline here. So a trial sees no environment, reads no file but those that the
//! running pipelines name, and is limited in size.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};
use weir_aggregator::PipelineFiles;
use weir_aggregator::event::{self, Event, json as event_json};
use weir_aggregator::pipeline::{
    Diagnostic, LoadOptions, Program, RuleInfo, Severity, Step, Trace, explain, file_options,
};
use weir_indexer::Workbench;

/// Most bytes of pipeline text in a trial.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most events in a trial: what a person looks through.
const EVENTS_MAX: usize = 100;
/// Largest event of a trial, in bytes of JSON.
const EVENT_BYTES_MAX: usize = 64 << 10;
/// Longest value shown of a change, in bytes of JSON; the rest is left out.
const SHOWN_BYTES_MAX: usize = 2_000;
/// Most steps told of one event: a program of more is looked through file by file.
const STEPS_MAX: usize = 1_000;

/// The pipelines of this process, for the page.
pub struct Bench(pub PipelineFiles);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trial {
    files: Vec<File>,
    events: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    text: String,
}

impl Workbench for Bench {
    fn files(&self) -> Value {
        let texts = self.0.texts();
        let files: Vec<Value> = texts.iter().map(|(name, text)| json!({"name": name, "text": text})).collect();
        let mistakes = match Program::parse(texts, &self.0.options()) {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.iter().map(mistake).collect(),
        };
        json!({ "files": files, "mistakes": mistakes })
    }

    fn explain(&self, trial: &Value) -> Result<Value, String> {
        let trial = Trial::deserialize(trial).map_err(|error| format!("a trial has files and events: {error}"))?;
        if trial.files.iter().map(|file| file.text.len()).sum::<usize>() > TEXT_BYTES_MAX {
            return Err(format!("the pipelines of a trial have at most {TEXT_BYTES_MAX} bytes"));
        }
        if trial.events.len() > EVENTS_MAX {
            return Err(format!("a trial has at most {EVENTS_MAX} events"));
        }
        let events = trial.events.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let running = self.0.texts();
        let named = running.iter().flat_map(|(name, text)| file_options(name, text)).collect();
        let environment = trial.files.iter().flat_map(|file| variables(&file.text)).collect();
        let options = LoadOptions { environment, files: Some(named), ..self.0.options() };
        let texts = trial.files.into_iter().map(|file| (file.name, file.text)).collect();
        let program = match Program::parse(texts, &options) {
            Ok(program) => program,
            Err(mistakes) => return Ok(json!({ "mistakes": mistakes.iter().map(mistake).collect::<Vec<_>>() })),
        };
        let rules: HashMap<&str, &RuleInfo> = program.rules().map(|rule| (rule.id.as_str(), rule)).collect();
        let lines: Vec<Value> = events.into_iter().map(|event| told(&explain(&program, event), &rules)).collect();
        let warnings: Vec<Value> = program.diagnostics().iter().map(mistake).collect();
        Ok(json!({ "mistakes": warnings, "lines": lines }))
    }
}

fn read(value: &Value) -> Result<Event, String> {
    let text = value.to_string();
    if text.len() > EVENT_BYTES_MAX {
        return Err(format!("an event of a trial has at most {EVENT_BYTES_MAX} bytes"));
    }
    Event::from_json(text.into()).map_err(|error| error.to_string())
}

/// The variables that a text names. Their values are not the page's business: their names stand for them.
fn variables(text: &str) -> Vec<(String, String)> {
    let names = text.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next());
    names.map(|name| (name.to_owned(), format!("‹{name}›"))).collect()
}

fn mistake(diagnostic: &Diagnostic) -> Value {
    json!({
        "severity": if diagnostic.severity == Severity::Error { "error" } else { "warning" },
        "file": diagnostic.file,
        "line": diagnostic.line,
        "column": diagnostic.column,
        "width": diagnostic.width,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
    })
}

fn told(trace: &Trace, rules: &HashMap<&str, &RuleInfo>) -> Value {
    let steps: Vec<Value> = trace.steps.iter().take(STEPS_MAX).map(|step| step_told(step, rules)).collect();
    let events: Vec<Value> = trace
        .events
        .iter()
        .map(|event| {
            let mut bytes = Vec::new();
            event.write_json(&mut bytes);
            serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into())
        })
        .collect();
    json!({ "steps": steps, "events": events })
}

fn step_told(step: &Step, rules: &HashMap<&str, &RuleInfo>) -> Value {
    match step {
        Step::Branch { condition, taken, depth } => json!({"condition": condition, "taken": taken, "depth": depth}),
        Step::Filter { id, changes, dropped, made, took, depth } => {
            let changes: Vec<Value> = changes
                .iter()
                .map(|(field, before, after)| {
                    json!({"field": field, "before": before.as_ref().map(shown), "after": after.as_ref().map(shown)})
                })
                .collect();
            let rule = rules.get(id.as_str());
            json!({
                "filter": id,
                "file": rule.map(|rule| &rule.file),
                "line": rule.map(|rule| rule.line),
                "changes": changes,
                "dropped": dropped,
                "made": made,
                "microseconds": took.as_secs_f64() * 1e6,
                "depth": depth,
            })
        }
    }
}

fn shown(value: &event::Value) -> String {
    let mut json = Vec::new();
    event_json::write(&mut json, value.as_ref());
    let mut text = String::from_utf8_lossy(&json).into_owned();
    if text.len() > SHOWN_BYTES_MAX {
        let end = (0..=SHOWN_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipelines::BUILT_IN;

    fn bench() -> Bench {
        let settings = weir_aggregator::Settings { pipelines: Vec::new(), ..Default::default() };
        Bench(settings.check().ok().unwrap().with_built_in_pipelines(BUILT_IN).pipeline_files())
    }

    fn trial(text: &str, message: &str) -> Value {
        json!({"files": [{"name": "try.conf", "text": text}], "events": [{"message": message}]})
    }

    #[test]
    fn a_trial_tells_what_each_filter_did() {
        let text =
            "filter {\n  mutate { add_field => { \"seen\" => \"yes\" } }\n  if [message] =~ /bye/ { drop {} }\n}";
        let answer = bench().explain(&trial(text, "hello")).unwrap();
        let steps = &answer["lines"][0]["steps"];
        assert_eq!(steps[0]["line"], 2);
        assert_eq!(steps[0]["changes"][0]["field"], "[seen]");
        assert_eq!(steps[1]["taken"], false);
        assert_eq!(answer["lines"][0]["events"][0]["seen"], "yes");
        let answer = bench().explain(&trial(text, "bye")).unwrap();
        assert_eq!(answer["lines"][0]["events"], json!([]));
    }

    #[test]
    fn mistakes_have_a_place_and_secrets_stay() {
        let answer = bench().explain(&trial("filter { mutat {} }", "x")).unwrap();
        assert_eq!((&answer["mistakes"][0]["line"], &answer["mistakes"][0]["column"]), (&json!(1), &json!(10)));
        let answer =
            bench().explain(&trial("filter { mutate { add_field => { \"a\" => \"${PATH}\" } } }", "x")).unwrap();
        assert_eq!(answer["lines"][0]["events"][0]["a"], "‹PATH›");
        let text = "filter { translate { source => a target => b dictionary_path => \"/etc/passwd\" } }";
        let answer = bench().explain(&trial(text, "x")).unwrap();
        assert!(answer["mistakes"][0]["message"].as_str().unwrap().contains("is not read"), "{answer}");
    }

    #[test]
    fn the_built_in_files_are_shown_and_run() {
        let shown = bench().files();
        let files = shown["files"].as_array().unwrap();
        assert_eq!((files.len(), &shown["mistakes"]), (BUILT_IN.len(), &json!([])));
        let events = [json!({"message": "INFO: calm"}), json!({"message": "ERROR: broken"})];
        let answer = bench().explain(&json!({"files": files, "events": events})).unwrap();
        assert_eq!(answer["lines"][0]["events"], json!([]), "{answer}");
        assert_eq!(answer["lines"][1]["events"][0]["log"]["level"], "error", "{answer}");
        assert!(bench().explain(&json!({"files": [], "events": vec![json!({}); EVENTS_MAX + 1]})).is_err());
    }
}
