//! A checked program: files are read, every plugin is built, every mistake of every file is told at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ast::{self, Branch, Literal, Plugin, Section, SectionKind, Value};
use super::condition::Condition;
use super::confine;
use super::diagnostic::{Diagnostic, Severity, Source, Span, nearest};
use super::grammar;
use super::options::{Ecs, Options};
use crate::event::Event;
use crate::filter::{Common, FILTERS, Filter, REFUSED};

/// A pipeline file larger than this is not one, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

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
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { ecs: Ecs::V8, environment: std::env::vars().collect(), files: None }
    }
}

/// A program: what pipeline files say, checked and complete.
#[derive(Debug)]
pub struct Program {
    pub(super) filters: Vec<Node>,
    pub(super) rules: Vec<Rule>,
    inputs: Vec<PluginSettings>,
    outputs: Vec<PluginSettings>,
    routes: Vec<Route>,
    warnings: Vec<Diagnostic>,
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
}

/// An input or output as it was written, for the part of the aggregator that runs it.
#[derive(Clone, Debug)]
pub struct PluginSettings {
    /// The plugin, with `${…}` filled in. Read it with [`PluginSettings::options`].
    pub plugin: Plugin,
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
    /// Loads files and folders; of a folder, its `*.conf` in order of name. What they say counts as if it stood in one
    /// file.
    ///
    /// # Errors
    /// All mistakes in all files; with warnings among them.
    pub fn load(paths: &[PathBuf], options: &LoadOptions) -> Result<Self, Vec<Diagnostic>> {
        let (texts, mistakes) = texts(paths);
        Self::build(texts, options, mistakes)
    }

    /// Loads texts, each with the name of its file.
    ///
    /// # Errors
    /// As [`Program::load`].
    pub fn parse(texts: Vec<(String, String)>, options: &LoadOptions) -> Result<Self, Vec<Diagnostic>> {
        Self::build(texts, options, Vec::new())
    }

    fn build(
        texts: Vec<(String, String)>,
        options: &LoadOptions,
        mistakes: Vec<Diagnostic>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut builder =
            Builder { options, diagnostics: mistakes, rules: Vec::new(), inputs: Vec::new(), outputs: Vec::new() };
        let (mut filters, mut routes) = (Vec::new(), Vec::new());
        for (name, text) in texts {
            let source = Arc::new(Source { name, text });
            match grammar::parse(&source) {
                Ok(sections) => {
                    for section in sections {
                        builder.section(section, &mut filters, &mut routes);
                    }
                }
                Err(mistake) => builder.diagnostics.push(*mistake),
            }
        }
        if builder.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
            return Err(builder.diagnostics);
        }
        Ok(Self {
            filters,
            rules: builder.rules,
            inputs: builder.inputs,
            outputs: builder.outputs,
            routes,
            warnings: builder.diagnostics,
        })
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

    /// What is suspicious in the files.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Appends the places of the outputs that `event` goes to.
    pub fn route(&self, event: &Event, outputs: &mut Vec<usize>) {
        route(&self.routes, event, outputs);
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

/// The names and texts of files and folders, and what cannot be read of them.
pub(crate) fn texts(paths: &[PathBuf]) -> (Vec<(String, String)>, Vec<Diagnostic>) {
    let (mut texts, mut mistakes) = (Vec::new(), Vec::new());
    for path in paths {
        for file in files(path, &mut mistakes) {
            match read(&file) {
                Ok(text) => texts.push((file.display().to_string(), text)),
                Err(mistake) => mistakes.push(*mistake),
            }
        }
    }
    (texts, mistakes)
}

/// The files a path stands for.
fn files(path: &Path, mistakes: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let mut found = Vec::new();
    let shown = path.display().to_string();
    match std::fs::read_dir(path) {
        Ok(entries) => {
            for entry in entries {
                match entry {
                    Ok(entry) => found.push(entry.path()),
                    Err(error) => {
                        mistakes.push(Diagnostic::of_file(&shown, format!("cannot read the folder: {error}"), ""))
                    }
                }
            }
        }
        Err(error) => mistakes.push(Diagnostic::of_file(&shown, format!("cannot read the folder: {error}"), "")),
    }
    found.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
    found.sort();
    found
}

fn read(file: &Path) -> Result<String, Box<Diagnostic>> {
    let shown = file.display().to_string();
    let fail =
        |error: std::io::Error| Box::new(Diagnostic::of_file(&shown, format!("cannot read the file: {error}"), ""));
    let size = std::fs::metadata(file).map_err(fail)?.len();
    if size > FILE_BYTES_MAX {
        let message = format!("the file has {size} bytes; a pipeline file has at most {FILE_BYTES_MAX}");
        return Err(Box::new(Diagnostic::of_file(&shown, message, "")));
    }
    std::fs::read_to_string(file).map_err(fail)
}

struct Builder<'a> {
    options: &'a LoadOptions,
    diagnostics: Vec<Diagnostic>,
    rules: Vec<Rule>,
    inputs: Vec<PluginSettings>,
    outputs: Vec<PluginSettings>,
}

impl Builder<'_> {
    fn section(&mut self, section: Section, filters: &mut Vec<Node>, routes: &mut Vec<Route>) {
        match section.kind {
            SectionKind::Filter => {
                let nodes = self.nodes(section.body);
                filters.extend(nodes);
            }
            SectionKind::Output => {
                let steps = self.routes(section.body);
                routes.extend(steps);
            }
            SectionKind::Input => {
                for branch in section.body {
                    match branch {
                        Branch::Plugin(mut plugin) => {
                            self.fill_in(&mut plugin);
                            self.inputs.push(PluginSettings { plugin, ecs: self.options.ecs });
                        }
                        Branch::If(condition) => {
                            if let Some(arm) = condition.arms.first() {
                                let message = "there are no conditions around inputs";
                                self.diagnostics.push(Diagnostic::error(
                                    &arm.span,
                                    message,
                                    "put the condition around filters",
                                ));
                            }
                        }
                    }
                }
            }
        }
    }

    fn condition(&mut self, arm: &ast::Arm) -> Option<Condition> {
        Condition::build(&arm.condition, &mut self.diagnostics)
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
                Branch::Plugin(mut plugin) => {
                    self.fill_in(&mut plugin);
                    routes.push(Route::Output(self.outputs.len()));
                    self.outputs.push(PluginSettings { plugin, ecs: self.options.ecs });
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
            self.diagnostics.push(Diagnostic::error(&plugin.span, message, hint));
            return None;
        };
        if let Some(allowed) = &self.options.files {
            let foreign = confine::foreign(&plugin, allowed);
            if !foreign.is_empty() {
                self.diagnostics.extend(foreign);
                return None;
            }
        }
        let mut options = Options::new(&plugin, self.options.ecs);
        let common = Common::build(&mut options);
        let filter = build(&mut options);
        self.diagnostics.extend(options.finish());
        let (file, line) = (plugin.span.source.name.clone(), plugin.span.line());
        let id = common.id.clone().unwrap_or_else(|| {
            let file = Path::new(&file).file_name().map_or_else(|| file.clone().into(), |name| name.to_string_lossy());
            format!("{}@{file}:{line}", plugin.name)
        });
        let info = RuleInfo { name: plugin.name, id, file, line };
        self.rules.push(Rule { filter: filter?, common, info });
        Some(self.rules.len() - 1)
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
                    self.diagnostics.push(Diagnostic::error(span, message, hint));
                }
            }
            rest = &tail[len..];
        }
        out.push_str(rest);
        *text = out;
    }
}
