//! A checked program: one or more pipelines side by side, every plugin built, every mistake of every file told at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use super::ast::{self, Branch, Literal, Plugin, SectionKind, Value};
use super::condition::Condition;
use super::confine;
use super::diagnostic::{Diagnostic, Severity, Source, Span, nearest};
use super::files::{self, Group};
use super::options::{Ecs, Options};
use super::{escapes, grammar, lint};
use crate::event::{Event, FieldPath};
use crate::filter::{Common, FILTERS, Filter, REFUSED};

/// The pipeline that takes what no other does.
pub const MAIN: &str = "main";

/// The label `weir.pipeline` of a container, as the shipper sends it: the name of the pipeline that is wanted.
static LABEL: LazyLock<FieldPath> = LazyLock::new(|| FieldPath::of(&["@metadata", "weir", "pipeline"]));

/// How programs are loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The names that filters use by default.
    pub ecs: Ecs,
    /// What `${NAME}` stands for; the process's environment unless a test says otherwise.
    pub environment: HashMap<String, String>,
    /// The only files of this machine that options may name; `None`: any. For texts from people who may see logs, but
    /// not whatever this process can read.
    pub files: Option<Vec<String>>,
    /// `\n`, `\t` and the like mean something in texts, as with Logstash's `config.support_escapes`.
    pub escapes: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { ecs: Ecs::V8, environment: std::env::vars().collect(), files: None, escapes: false }
    }
}

/// A program: what pipeline files say, checked and complete.
#[derive(Debug)]
pub struct Program {
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) rules: Vec<Rule>,
    inputs: Vec<PluginSettings>,
    outputs: Vec<PluginSettings>,
    diagnostics: Vec<Diagnostic>,
}

/// One of the pipelines of a program.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub name: String,
    /// Which events it takes besides those whose label names it.
    condition: Option<Condition>,
    pub filters: Vec<Node>,
    routes: Vec<Route>,
}

/// One step of a program.
#[derive(Debug)]
pub(super) enum Node {
    /// A filter, by its place in the list.
    Rule(usize),
    /// Conditions in order, each with its steps; `else` has none.
    If(Vec<(Option<Condition>, String, Vec<Node>)>),
}

/// Where an event goes.
#[derive(Debug)]
enum Route {
    Output(usize),
    If(Vec<(Option<Condition>, Vec<Route>)>),
}

/// One filter of a program.
#[derive(Debug)]
pub(super) struct Rule {
    pub filter: Box<dyn Filter>,
    pub common: Common,
    pub info: RuleInfo,
}

/// What a filter is called and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// The filter's name, such as `mutate`.
    pub name: String,
    /// Its `id`, or the name, file and line.
    pub id: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The pipeline that it is a part of.
    pub pipeline: String,
}

/// An input or output as it was written, for the part of the aggregator that runs it.
#[derive(Clone, Debug)]
pub struct PluginSettings {
    /// The plugin, with `${…}` filled in. Read it with [`PluginSettings::options`].
    pub plugin: Plugin,
    /// The pipeline that it is a part of, by its place.
    pub pipeline: usize,
    ecs: Ecs,
}

impl PluginSettings {
    /// The plugin's name.
    pub fn name(&self) -> &str {
        &self.plugin.name
    }

    /// A reader of its options; end with [`Options::finish`], which refuses what was not asked for.
    pub fn options(&self) -> Options<'_> {
        Options::new(&self.plugin, self.ecs)
    }
}

impl Program {
    /// Loads files, folders and lists of pipelines, see [`super::files`].
    ///
    /// # Errors
    /// All mistakes in all files; with warnings among them.
    pub fn load(paths: &[PathBuf], options: &LoadOptions) -> Result<Self, Vec<Diagnostic>> {
        Self::read(paths, options).checked()
    }

    /// Loads texts, each with the name of its file.
    ///
    /// # Errors
    /// As [`Program::load`].
    pub fn parse(texts: Vec<(String, String)>, options: &LoadOptions) -> Result<Self, Vec<Diagnostic>> {
        Self::read_texts(texts, options).checked()
    }

    /// As [`Program::load`], but with mistakes it is what could be made of the files: to be checked further, not run.
    pub fn read(paths: &[PathBuf], options: &LoadOptions) -> Self {
        let mut mistakes = Vec::new();
        let groups = files::read(paths, &mut mistakes);
        Self::build(groups, options, mistakes)
    }

    /// As [`Program::parse`], but with mistakes it is what could be made of the texts: to be checked further, not run.
    pub fn read_texts(texts: Vec<(String, String)>, options: &LoadOptions) -> Self {
        Self::build(vec![Group::new(MAIN, texts)], options, Vec::new())
    }

    /// Itself, if nothing is wrong with it.
    ///
    /// # Errors
    /// All mistakes, with warnings among them.
    pub fn checked(self) -> Result<Self, Vec<Diagnostic>> {
        let wrong = self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        if wrong { Err(self.diagnostics) } else { Ok(self) }
    }

    fn build(groups: Vec<Group>, options: &LoadOptions, diagnostics: Vec<Diagnostic>) -> Self {
        let program =
            Self { pipelines: Vec::new(), rules: Vec::new(), inputs: Vec::new(), outputs: Vec::new(), diagnostics };
        let mut builder = Builder { options, ecs: options.ecs, pipeline: String::new(), program };
        for group in groups {
            builder.group(group);
        }
        builder.program
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> &[PluginSettings] {
        &self.inputs
    }

    /// The outputs, in order; which of them an event goes to says [`Program::route`].
    pub fn outputs(&self) -> &[PluginSettings] {
        &self.outputs
    }

    /// The filters, in order; rules are counted by their place here.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &RuleInfo> {
        self.rules.iter().map(|rule| &rule.info)
    }

    /// What is wrong and what is suspicious in the files.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The names of the pipelines, in order; they are counted by their place here.
    pub fn pipelines(&self) -> impl ExactSizeIterator<Item = &str> {
        self.pipelines.iter().map(|pipeline| pipeline.name.as_str())
    }

    /// The pipeline of an event: the one that its container's label names, else the first whose condition holds, else
    /// the first.
    pub fn choose(&self, event: &Event) -> usize {
        if self.pipelines.len() < 2 {
            return 0;
        }
        let label = event.get_str(&LABEL);
        let named = label.and_then(|label| self.pipelines.iter().position(|pipeline| pipeline.name == label));
        let meant = |pipeline: &Pipeline| pipeline.condition.as_ref().is_some_and(|condition| condition.holds(event));
        named.or_else(|| self.pipelines.iter().position(meant)).unwrap_or(0)
    }

    /// Whether a pipeline names outputs of its own.
    pub fn has_outputs(&self, pipeline: usize) -> bool {
        !self.pipelines[pipeline].routes.is_empty()
    }

    /// Appends the places of the outputs that `event` goes to in its pipeline.
    pub fn route(&self, pipeline: usize, event: &Event, outputs: &mut Vec<usize>) {
        route(&self.pipelines[pipeline].routes, event, outputs);
    }
}

fn route(routes: &[Route], event: &Event, outputs: &mut Vec<usize>) {
    for step in routes {
        match step {
            Route::Output(index) => outputs.push(*index),
            Route::If(arms) => {
                if let Some((_, body)) =
                    arms.iter().find(|(condition, _)| condition.as_ref().is_none_or(|condition| condition.holds(event)))
                {
                    route(body, event, outputs);
                }
            }
        }
    }
}

struct Builder<'a> {
    options: &'a LoadOptions,
    /// The mode of the pipeline at hand.
    ecs: Ecs,
    /// Its name.
    pipeline: String,
    program: Program,
}

impl Builder<'_> {
    fn group(&mut self, group: Group) {
        self.ecs = group.ecs.unwrap_or(self.options.ecs);
        self.pipeline.clone_from(&group.name);
        let mut sections = Vec::new();
        for (name, text) in group.texts {
            let source = Arc::new(Source { name, text });
            let (read, mistakes) = grammar::parse(&source);
            sections.extend(read);
            self.program.diagnostics.extend(mistakes);
        }
        if self.options.escapes {
            sections.iter_mut().for_each(|section| escapes::resolve(&mut section.body));
        }
        lint::check(&sections, &mut self.program.diagnostics);
        let condition = group.condition.and_then(|(name, text)| {
            let source = Arc::new(Source { name, text });
            match grammar::condition(&source) {
                Ok(expression) => Condition::build(&expression, &mut self.program.diagnostics),
                Err(mistake) => {
                    self.program.diagnostics.push(*mistake);
                    None
                }
            }
        });
        let (mut filters, mut routes) = (Vec::new(), Vec::new());
        for section in sections {
            match section.kind {
                SectionKind::Filter => filters.extend(self.nodes(section.body)),
                SectionKind::Output => routes.extend(self.routes(section.body)),
                SectionKind::Input => self.inputs(section.body),
            }
        }
        self.program.pipelines.push(Pipeline { name: group.name, condition, filters, routes });
    }

    fn inputs(&mut self, branches: Vec<Branch>) {
        for branch in branches {
            match branch {
                Branch::Plugin(plugin) => {
                    let settings = self.settings(plugin);
                    self.program.inputs.push(settings);
                }
                Branch::If(condition) => {
                    if let Some(arm) = condition.arms.first() {
                        let message = "there are no conditions around inputs";
                        let hint = "put the condition around filters";
                        self.program.diagnostics.push(Diagnostic::error(&arm.span, message, hint));
                    }
                }
            }
        }
    }

    fn settings(&mut self, mut plugin: Plugin) -> PluginSettings {
        self.fill_in(&mut plugin);
        PluginSettings { plugin, pipeline: self.program.pipelines.len(), ecs: self.ecs }
    }

    fn condition(&mut self, arm: &ast::Arm) -> Option<Condition> {
        Condition::build(&arm.condition, &mut self.program.diagnostics)
    }

    fn nodes(&mut self, branches: Vec<Branch>) -> Vec<Node> {
        let mut nodes = Vec::new();
        for branch in branches {
            match branch {
                Branch::Plugin(plugin) => nodes.extend(self.rule(plugin).map(Node::Rule)),
                Branch::If(condition) => {
                    let mut arms = Vec::new();
                    for arm in condition.arms {
                        let check = self.condition(&arm);
                        let text = arm.span.text().to_owned();
                        arms.push((check, text, self.nodes(arm.body)));
                    }
                    if let Some(body) = condition.otherwise {
                        arms.push((None, "else".to_owned(), self.nodes(body)));
                    }
                    nodes.push(Node::If(arms));
                }
            }
        }
        nodes
    }

    fn routes(&mut self, branches: Vec<Branch>) -> Vec<Route> {
        let mut routes = Vec::new();
        for branch in branches {
            match branch {
                Branch::Plugin(plugin) => {
                    let settings = self.settings(plugin);
                    routes.push(Route::Output(self.program.outputs.len()));
                    self.program.outputs.push(settings);
                }
                Branch::If(condition) => {
                    let mut arms = Vec::new();
                    for arm in condition.arms {
                        let check = self.condition(&arm);
                        arms.push((check, self.routes(arm.body)));
                    }
                    if let Some(body) = condition.otherwise {
                        arms.push((None, self.routes(body)));
                    }
                    routes.push(Route::If(arms));
                }
            }
        }
        routes
    }

    fn rule(&mut self, mut plugin: Plugin) -> Option<usize> {
        self.fill_in(&mut plugin);
        let Some((_, build)) = FILTERS.iter().find(|(name, _)| *name == plugin.name) else {
            let message = format!("there is no filter `{}`", plugin.name);
            let hint = match REFUSED.iter().find(|(name, _)| *name == plugin.name) {
                Some((_, instead)) => (*instead).to_owned(),
                None => match nearest(&plugin.name, FILTERS.iter().map(|(name, _)| *name)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => {
                        format!("there are {}", FILTERS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "))
                    }
                },
            };
            self.program.diagnostics.push(Diagnostic::error(&plugin.span, message, hint));
            return None;
        };
        if let Some(allowed) = &self.options.files {
            let foreign = confine::foreign(&plugin, allowed);
            if !foreign.is_empty() {
                self.program.diagnostics.extend(foreign);
                return None;
            }
        }
        let mut options = Options::new(&plugin, self.ecs);
        let common = Common::build(&mut options);
        let filter = build(&mut options);
        self.program.diagnostics.extend(options.finish());
        let (file, line) = (plugin.span.source.name.clone(), plugin.span.line());
        let id = common.id.clone().unwrap_or_else(|| {
            let file = Path::new(&file).file_name().map_or_else(|| file.clone().into(), |name| name.to_string_lossy());
            format!("{}@{file}:{line}", plugin.name)
        });
        let info = RuleInfo { name: plugin.name, id, file, line, pipeline: self.pipeline.clone() };
        self.program.rules.push(Rule { filter: filter?, common, info });
        Some(self.program.rules.len() - 1)
    }

    /// Puts the environment's values in the places of `${NAME}` and `${NAME:default}`.
    fn fill_in(&mut self, plugin: &mut Plugin) {
        for attribute in &mut plugin.attributes {
            self.fill_in_value(&mut attribute.value);
        }
    }

    fn fill_in_value(&mut self, value: &mut Value) {
        let span = value.span.clone();
        match &mut value.literal {
            Literal::Bareword(text) | Literal::Text(text) | Literal::Number(text) => self.fill_in_text(text, &span),
            Literal::Array(items) => items.iter_mut().for_each(|item| self.fill_in_value(item)),
            Literal::Hash(entries) => {
                for (key, value) in entries {
                    self.fill_in_value(key);
                    self.fill_in_value(value);
                }
            }
            Literal::Plugin(plugin) => self.fill_in(plugin),
        }
    }

    fn fill_in_text(&mut self, text: &mut String, span: &Span) {
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some(start) = rest.find("${") {
            out.push_str(&rest[..start]);
            let tail = &rest[start..];
            let name_len = tail[2..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(tail.len() - 2);
            let (name, after) = tail[2..].split_at(name_len);
            let default = after.strip_prefix(':').and_then(|after| after.split_once('}')).map(|(default, _)| default);
            let len = match default {
                Some(default) => 2 + name_len + 1 + default.len() + 1,
                None if after.starts_with('}') && !name.is_empty() => 2 + name_len + 1,
                None => {
                    out.push_str("${");
                    rest = &tail[2..];
                    continue;
                }
            };
            match (self.options.environment.get(name), default) {
                (Some(value), _) => out.push_str(value),
                (None, Some(default)) => out.push_str(default),
                (None, None) => {
                    let message = format!("the environment has no variable `{name}`");
                    let hint = format!("set it, or give a default: `${{{name}:default}}`");
                    self.program.diagnostics.push(Diagnostic::error(span, message, hint));
                }
            }
            rest = &tail[len..];
        }
        out.push_str(rest);
        *text = out;
    }
}
