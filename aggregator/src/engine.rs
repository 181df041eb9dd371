//! The pipeline that runs now: loaded from files, swapped for a newer one between two batches.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use weir_daemon::{Counter, Gauge, Health, Metrics, Shutdown};

use crate::event::Event;
use crate::input::build::{Input, inputs};
use crate::ledger::Ledger;
use crate::output::build::{Surroundings, outputs};
use crate::output::bulk::Action;
use crate::output::elasticsearch::Elasticsearch;
use crate::output::{Buffer, BulkOutput, Name, Output};
use crate::pipeline::ast::{Attribute, Literal, Value};
use crate::pipeline::diagnostic::{Diagnostic, Severity};
use crate::pipeline::template::Template;
use crate::pipeline::{Ecs, FilterCount, LoadOptions, Program, RuleInfo, texts, watched};
use crate::recent::Recent;
use crate::service_budget::ServiceBudgets;
use crate::slow::SlowFilters;

/// Where pipelines come from.
#[derive(Clone, Debug)]
pub struct PipelineFiles {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Names and texts that are used when none of the paths is there.
    pub built_in: Vec<(String, String)>,
    /// The mode of filters that do not say theirs.
    pub ecs: Ecs,
    /// Escapes in texts mean something.
    pub escapes: bool,
}

impl PipelineFiles {
    /// Reads them. Mistakes are in what comes of it.
    pub fn read(&self) -> Program {
        let options = self.options();
        if self.uses_built_in() {
            return Program::read_texts(self.built_in.clone(), &options);
        }
        Program::read(&self.paths, &options)
    }

    /// How they are read.
    pub fn options(&self) -> LoadOptions {
        LoadOptions { ecs: self.ecs, escapes: self.escapes, ..LoadOptions::default() }
    }

    /// The name and text of each file as it is now; what cannot be read is left out.
    pub fn texts(&self) -> Vec<(String, String)> {
        if self.uses_built_in() { self.built_in.clone() } else { texts(&self.paths).0 }
    }

    /// Whether the built-in pipelines are used.
    pub fn uses_built_in(&self) -> bool {
        !self.built_in.is_empty() && !self.paths.iter().any(|path| path.exists())
    }

    /// What changes when a file does.
    fn state(&self) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
        let state = |path: PathBuf| {
            let metadata = path.metadata().ok();
            let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
            (path, modified, metadata.map_or(0, |metadata| metadata.len()))
        };
        watched(&self.paths).into_iter().map(state).collect()
    }
}

/// A pipeline and its outputs.
pub(crate) struct Pipeline {
    /// The filters, and the conditions around outputs.
    pub program: Program,
    outputs: Box<[Output]>,
    /// The output of pipelines that name none; the last one, if there are such.
    default: Option<usize>,
    /// Counts the pipelines of this process.
    pub generation: u64,
    rules: Box<[RuleCounters]>,
    pipelines: Box<[PipelineCounters]>,
    rule_ids: Box<[String]>,
}

/// What became of the events of one pipeline.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PipelineCount {
    /// Events it was given.
    pub events_in: u64,
    /// Events that left it for an output.
    pub out: u64,
    /// Events that it dropped.
    pub dropped: u64,
}

struct PipelineCounters {
    events: Counter,
    out: Counter,
    dropped: Counter,
}

struct RuleCounters {
    events: Counter,
    out: Counter,
    dropped: Counter,
    failed: Counter,
    cut_off: Counter,
    nanoseconds: Counter,
}

impl Pipeline {
    /// All outputs.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Appends an event of one of the program's pipelines to the buffers of the outputs that it goes to; `buffers` has
    /// one for each output.
    pub fn append(
        &self,
        pipeline: usize,
        event: &Event,
        name: Name<'_>,
        places: &mut Vec<usize>,
        buffers: &mut [Buffer],
    ) {
        self.places(pipeline, event, places);
        for place in places {
            self.outputs[*place].append(event, name, &mut buffers[*place]);
        }
    }

    /// Puts the places of the outputs that an event goes to into `places`.
    pub fn places(&self, pipeline: usize, event: &Event, places: &mut Vec<usize>) {
        places.clear();
        match self.default {
            Some(default) if !self.program.has_outputs(pipeline) => places.push(default),
            _ => self.program.route(pipeline, event, places),
        }
    }

    /// The name of a rule, by its place in the program.
    pub fn rule_id(&self, rule: usize) -> &str {
        self.rule_ids.get(rule).map_or("", |id| id)
    }

    /// Adds what a worker has counted, in order of the program's rules and pipelines.
    pub fn count(&self, filters: &[FilterCount], pipelines: &[PipelineCount]) {
        for (counters, count) in self.rules.iter().zip(filters) {
            counters.events.add(count.events_in);
            counters.out.add((count.events_in + count.made).saturating_sub(count.dropped));
            counters.dropped.add(count.dropped);
            counters.failed.add(count.failed);
            counters.cut_off.add(count.cut_off);
            counters.nanoseconds.add(count.nanoseconds);
        }
        for (counters, count) in self.pipelines.iter().zip(pipelines) {
            counters.events.add(count.events_in);
            counters.out.add(count.out);
            counters.dropped.add(count.dropped);
        }
    }
}

/// What is needed to build a pipeline besides its files.
pub(crate) struct Builder {
    /// What outputs need.
    pub surroundings: Surroundings,
    /// The cluster of events for which the files name no output.
    pub cluster: Arc<Elasticsearch>,
    /// Plain ports beyond this machine are allowed.
    pub insecure: bool,
}

impl Builder {
    /// A pipeline and its inputs from loaded files, and what is suspicious in them.
    ///
    /// # Errors
    /// All mistakes in inputs and outputs.
    pub fn build(
        &self,
        program: Program,
        generation: u64,
    ) -> Result<(Pipeline, Vec<Input>, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut diagnostics = program.diagnostics().to_vec();
        let inputs = inputs(&program, self.insecure, &mut diagnostics);
        let mut outputs = outputs(&program, &self.surroundings, &mut diagnostics);
        if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            return Err(diagnostics);
        }
        let needs_default = (0..program.pipelines().len()).any(|pipeline| !program.has_outputs(pipeline));
        let default = needs_default.then_some(outputs.len());
        if needs_default {
            outputs.push(Output::Bulk(BulkOutput {
                cluster: self.cluster.clone(),
                index: Template::parse(&self.surroundings.index),
                document_id: None,
                action: Action::Create,
            }));
        }
        let metrics = &self.surroundings.metrics;
        let rules = program.rules().map(|rule| RuleCounters::new(metrics, rule)).collect();
        let pipelines = program.pipelines().map(|name| PipelineCounters::new(metrics, name)).collect();
        let rule_ids = program.rules().map(|rule| rule.id.clone()).collect();
        let outputs = outputs.into();
        let pipeline = Pipeline { program, outputs, default, generation, rules, pipelines, rule_ids };
        Ok((pipeline, inputs, diagnostics))
    }
}

impl RuleCounters {
    fn new(metrics: &Metrics, rule: &RuleInfo) -> Self {
        let labels = [("pipeline", rule.pipeline.as_str()), ("filter", rule.id.as_str())];
        let counter = |name, help| metrics.counter(name, help, &labels);
        Self {
            events: counter("weir_aggregator_filter_events_total", "Events that a filter was given."),
            out: counter("weir_aggregator_filter_events_out_total", "Events that came out of a filter."),
            dropped: counter("weir_aggregator_filter_dropped_total", "Events that a filter dropped."),
            failed: counter("weir_aggregator_filter_failed_total", "Events that a filter could not work on."),
            cut_off: counter(
                "weir_aggregator_filter_cut_off_total",
                "Events that were made of one and cut off, because they were too many.",
            ),
            nanoseconds: counter(
                "weir_aggregator_filter_nanoseconds_total",
                "Time that a filter took; an estimate, one event in 64 is timed.",
            ),
        }
    }
}

impl PipelineCounters {
    fn new(metrics: &Metrics, name: &str) -> Self {
        let counter = |series, help| metrics.counter(series, help, &[("pipeline", name)]);
        Self {
            events: counter("weir_aggregator_pipeline_events_total", "Events that a pipeline was given."),
            out: counter("weir_aggregator_pipeline_events_out_total", "Events that left a pipeline for an output."),
            dropped: counter("weir_aggregator_pipeline_dropped_total", "Events that a pipeline dropped."),
        }
    }
}

/// What all connections run.
pub(crate) struct Engine {
    pipeline: RwLock<Arc<Pipeline>>,
    generation: AtomicU64,
    /// The drop ledger, if it is kept.
    pub ledger: Option<Arc<Ledger>>,
    /// What Logstash's beats input adds is added to events of real Beats.
    pub beats_fields: bool,
    /// Runs of filters that take this long are told.
    pub slow: SlowFilters,
    /// What services may have kept, if that is limited.
    pub budgets: Option<Arc<ServiceBudgets>>,
    /// Examples of what was dropped lately.
    pub recent: Recent,
    /// What is counted.
    pub counts: Counts,
}

/// What workers count.
pub(crate) struct Counts {
    /// Events received.
    pub received: Counter,
    /// Events that were no JSON objects.
    pub undecodable: Counter,
    /// Events that a pipeline dropped.
    pub dropped: Counter,
    /// Events that go to an output, those made by `clone` and `split` too.
    pub kept: Counter,
    reloads: Counter,
    failed_reloads: Counter,
    generation: Gauge,
}

impl Engine {
    /// An engine that runs `pipeline` for now.
    pub fn new(
        pipeline: Pipeline,
        ledger: Option<Arc<Ledger>>,
        budgets: Option<Arc<ServiceBudgets>>,
        beats_fields: bool,
        slow_filter: Duration,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let counter = |name, help| metrics.counter(name, help, &[]);
        let counts = Counts {
            received: counter("weir_aggregator_events_total", "Events received."),
            undecodable: counter(
                "weir_aggregator_undecodable_events_total",
                "Events that were no JSON object; kept as text.",
            ),
            dropped: counter("weir_aggregator_events_dropped_total", "Events that a pipeline dropped on purpose."),
            kept: counter("weir_aggregator_events_kept_total", "Events that went from the pipeline to an output."),
            reloads: counter("weir_aggregator_pipeline_reloads_total", "Pipelines that took another one's place."),
            failed_reloads: counter(
                "weir_aggregator_pipeline_reload_failures_total",
                "Changed pipeline files that could not be used.",
            ),
            generation: metrics.gauge("weir_aggregator_pipeline_generation", "Which pipeline runs, from 1.", &[]),
        };
        counts.generation.set(i64::try_from(pipeline.generation).unwrap_or(i64::MAX));
        Arc::new(Self {
            generation: AtomicU64::new(pipeline.generation),
            pipeline: RwLock::new(Arc::new(pipeline)),
            ledger,
            beats_fields,
            slow: SlowFilters::new(slow_filter, metrics),
            budgets,
            recent: Recent::default(),
            counts,
        })
    }

    /// The pipeline that runs now.
    pub fn pipeline(&self) -> Arc<Pipeline> {
        self.pipeline.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its number; cheap to ask.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The first cluster that events go to.
    pub fn cluster(&self) -> Option<Arc<Elasticsearch>> {
        self.pipeline().outputs().iter().find_map(|output| match output {
            Output::Bulk(bulk) => Some(bulk.cluster.clone()),
            _ => None,
        })
    }

    fn swap(&self, pipeline: Pipeline) {
        let generation = pipeline.generation;
        *self.pipeline.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pipeline);
        self.generation.store(generation, Ordering::Release);
        self.counts.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.counts.reloads.inc();
    }

    /// Looks at the files every `interval`, builds aside what has changed and then stayed the same for that long, and
    /// swaps it in if it is right.
    pub async fn reload(
        self: Arc<Self>,
        files: PipelineFiles,
        builder: Builder,
        interval: Duration,
        health: Health,
        shutdown: Shutdown,
    ) {
        let mut state = files.state();
        let mut seen = state.clone();
        let mut inputs = written_inputs(&self.pipeline().program);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let now = files.state();
            // What changed since the last look may be written still: half a file could be a whole program.
            let is_settled = now == seen;
            seen = now;
            if !is_settled || seen == state {
                continue;
            }
            state.clone_from(&seen);
            match builder.build(files.read(), self.generation() + 1) {
                Ok((pipeline, _, warnings)) => {
                    let now = written_inputs(&pipeline.program);
                    if now != inputs {
                        tracing::warn!("inputs have changed: they are started anew only when weir is");
                        inputs = now;
                    }
                    for warning in warnings {
                        tracing::warn!("{warning}");
                    }
                    self.swap(pipeline);
                    health.well("pipelines");
                    tracing::info!(generation = self.generation(), "changed pipelines are in use");
                }
                Err(mistakes) => {
                    self.counts.failed_reloads.inc();
                    let text: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
                    let text = text.join("\n");
                    tracing::error!("changed pipelines cannot be used; the old ones go on\n{text}");
                    health.trouble("pipelines", format!("changed files cannot be used; the old ones go on\n{text}"));
                }
            }
        }
    }
}

/// The inputs of a program as text without places, to see whether they have changed.
fn written_inputs(program: &Program) -> Vec<String> {
    program.inputs().iter().map(|input| format!("{} {}", input.name(), attributes(&input.plugin.attributes))).collect()
}

fn attributes(list: &[Attribute]) -> String {
    list.iter().map(|attribute| format!("{} => {}; ", attribute.name, written(&attribute.value))).collect()
}

/// The depth of a value is bounded by the grammar.
fn written(value: &Value) -> String {
    match &value.literal {
        Literal::Bareword(text) | Literal::Text(text) | Literal::Number(text) => format!("{text:?}"),
        Literal::Array(items) => items.iter().map(|item| written(item) + ",").collect(),
        Literal::Hash(entries) => entries.iter().map(|(key, value)| written(key) + "=" + &written(value)).collect(),
        Literal::Plugin(plugin) => format!("{}({})", plugin.name, attributes(&plugin.attributes)),
    }
}
