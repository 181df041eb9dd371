//! Reading the options of a plugin: each by name and type; what is wrong, missing or not known becomes a diagnostic.

use super::ast::{Attribute, Literal, Plugin, Value};
use super::diagnostic::{Diagnostic, Span, nearest};
use super::template::Template;
use crate::event::FieldPath;

/// Which names `grok` and other filters give to what they find, when they are not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ecs {
    /// The names from before the Elastic Common Schema.
    Disabled,
    /// Version 1 or 8; the filters here do the same for both.
    V8,
}

/// A text with its place.
pub type Placed = (String, Span);

/// The options of one plugin while they are read.
#[derive(Debug)]
pub struct Options<'a> {
    plugin: &'a Plugin,
    known: Vec<&'static str>,
    ecs: Ecs,
    /// What was found wrong so far.
    pub diagnostics: Vec<Diagnostic>,
}

impl<'a> Options<'a> {
    /// The options of `plugin`; `ecs` is the default for all filters.
    pub fn new(plugin: &'a Plugin, ecs: Ecs) -> Self {
        Self { plugin, known: Vec::new(), ecs, diagnostics: Vec::new() }
    }

    /// Where the plugin's name stands.
    pub fn span(&self) -> &'a Span {
        &self.plugin.span
    }

    /// The plugin's name.
    pub fn name(&self) -> &'a str {
        &self.plugin.name
    }

    /// Notes an error.
    pub fn error(&mut self, span: &Span, message: impl Into<String>, hint: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(span, message, hint));
    }

    fn all(&mut self, name: &'static str) -> Vec<&'a Attribute> {
        self.known.push(name);
        self.plugin.attributes.iter().filter(|attribute| attribute.name == name).collect()
    }

    /// The value of an option that may be given once; the last one counts, as in Logstash.
    pub fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.all(name).last().map(|attribute| &attribute.value)
    }

    /// Names options that are read only where they are given.
    pub fn known(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// Whether an option is given.
    pub fn has(&self, name: &str) -> bool {
        self.plugin.attributes.iter().any(|attribute| attribute.name == name)
    }

    fn wrong(&mut self, value: &Value, name: &str, expected: &str) {
        self.error(&value.span, format!("`{name}` must be {expected}, this is {}", kind(&value.literal)), "");
    }

    /// A text. Words, numbers and text in quotes are all text.
    pub fn text(&mut self, name: &'static str) -> Option<Placed> {
        let value = self.value(name)?;
        match scalar(value) {
            Some(text) => Some((text, value.span.clone())),
            None => {
                self.wrong(value, name, "a text");
                None
            }
        }
    }

    /// A text that is not missing.
    pub fn required_text(&mut self, name: &'static str) -> Option<Placed> {
        if !self.has(name) {
            self.known.push(name);
            let message = format!("`{}` needs the option `{name}`", self.name());
            self.error(self.span(), message, "");
            return None;
        }
        self.text(name)
    }

    /// One of some words.
    pub fn choice(&mut self, name: &'static str, words: &[&'static str], default: &'static str) -> &'static str {
        let Some((text, span)) = self.text(name) else { return default };
        match words.iter().find(|word| **word == text) {
            Some(word) => word,
            None => {
                let hint = nearest(&text, words.iter().copied()).map(|word| format!("did you mean `{word}`?"));
                let list = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
                self.error(&span, format!("`{name}` must be one of {list}"), hint.unwrap_or_default());
                default
            }
        }
    }

    /// true or false.
    pub fn bool(&mut self, name: &'static str, default: bool) -> bool {
        let Some((text, span)) = self.text(name) else { return default };
        match text.as_str() {
            "true" => true,
            "false" => false,
            _ => {
                self.error(&span, format!("`{name}` must be true or false"), "");
                default
            }
        }
    }

    /// A number.
    pub fn number(&mut self, name: &'static str) -> Option<(f64, Span)> {
        let (text, span) = self.text(name)?;
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Some((number, span)),
            _ => {
                self.error(&span, format!("`{name}` must be a number"), "");
                None
            }
        }
    }

    /// A whole number that is not negative.
    pub fn whole(&mut self, name: &'static str) -> Option<(u64, Span)> {
        let (number, span) = self.number(name)?;
        // Below 2^53 every whole f64 is exact.
        if number.fract() == 0.0 && (0.0..9e15).contains(&number) {
            return Some((number as u64, span));
        }
        self.error(&span, format!("`{name}` must be a whole number"), "");
        None
    }

    /// A list of texts; a single one counts as a list of one.
    pub fn list(&mut self, name: &'static str) -> Vec<Placed> {
        let mut list = Vec::new();
        for attribute in self.all(name) {
            match &attribute.value.literal {
                Literal::Array(items) => {
                    for item in items {
                        match scalar(item) {
                            Some(text) => list.push((text, item.span.clone())),
                            None => self.wrong(item, name, "a list of texts"),
                        }
                    }
                }
                _ => match scalar(&attribute.value) {
                    Some(text) => list.push((text, attribute.value.span.clone())),
                    None => self.wrong(&attribute.value, name, "a list of texts"),
                },
            }
        }
        list
    }

    /// Names with values: a hash, or a list of names and values in turn, as older files have it.
    pub fn pairs(&mut self, name: &'static str) -> Vec<(Placed, &'a Value)> {
        let mut pairs = Vec::new();
        for attribute in self.all(name) {
            let entries: Vec<(&Value, &Value)> = match &attribute.value.literal {
                Literal::Hash(entries) => entries.iter().map(|(key, value)| (key, value)).collect(),
                Literal::Array(items) if items.len() % 2 == 0 => {
                    items.chunks(2).map(|pair| (&pair[0], &pair[1])).collect()
                }
                Literal::Array(_) => {
                    self.wrong(&attribute.value, name, "a hash, or a list of names and values in turn");
                    continue;
                }
                _ => {
                    self.wrong(&attribute.value, name, "a hash such as `{ \"name\" => \"value\" }`");
                    continue;
                }
            };
            for (key, value) in entries {
                match scalar(key) {
                    Some(text) => pairs.push(((text, key.span.clone()), value)),
                    None => self.wrong(key, name, "a hash with texts as names"),
                }
            }
        }
        pairs
    }

    /// Names with texts.
    pub fn text_pairs(&mut self, name: &'static str) -> Vec<(Placed, Placed)> {
        let mut pairs = Vec::new();
        for (key, value) in self.pairs(name) {
            match scalar(value) {
                Some(text) => pairs.push((key, (text, value.span.clone()))),
                None => self.wrong(value, name, "a hash of texts"),
            }
        }
        pairs
    }

    /// Reads a field reference.
    pub fn path(&mut self, (text, span): &Placed) -> Option<FieldPath> {
        match FieldPath::parse(text) {
            Ok(path) => Some(path.lasting()),
            Err(error) => {
                self.error(span, error.to_string(), "a field is written `name` or `[outer][inner]`");
                None
            }
        }
    }

    /// An option that is a field reference.
    pub fn field(&mut self, name: &'static str) -> Option<FieldPath> {
        let placed = self.text(name)?;
        self.path(&placed)
    }

    /// A field reference that may have places to fill in.
    pub fn target(&mut self, placed: &Placed) -> Target {
        let template = Template::parse(&placed.0);
        match template.fixed() {
            Some(_) => self.path(placed).map_or(Target::Template(template), Target::Path),
            None => Target::Template(template),
        }
    }

    /// The mode of this filter: its own option, or the default.
    pub fn ecs(&mut self) -> Ecs {
        let default = if self.ecs == Ecs::V8 { "v8" } else { "disabled" };
        if self.choice("ecs_compatibility", &["disabled", "v1", "v8"], default) == "disabled" {
            Ecs::Disabled
        } else {
            Ecs::V8
        }
    }

    /// Refuses what was not asked for; `refused` are options that exist in Logstash and have no meaning here.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        for attribute in &self.plugin.attributes {
            if self.known.contains(&attribute.name.as_str()) {
                continue;
            }
            let hint = match nearest(&attribute.name, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let mut known = self.known.clone();
                    known.sort_unstable();
                    known.dedup();
                    format!("it takes {}", known.join(", "))
                }
            };
            let message = format!("`{}` has no option `{}`", self.plugin.name, attribute.name);
            self.diagnostics.push(Diagnostic::error(&attribute.span, message, hint));
        }
        self.diagnostics
    }
}

/// A field to write to.
#[derive(Clone, Debug)]
pub enum Target {
    /// Always the same.
    Path(FieldPath),
    /// Named by the event.
    Template(Template),
}

impl Target {
    /// The field for this event; none where what was filled in makes no field reference.
    pub fn path(&self, event: &crate::event::Event) -> Option<std::borrow::Cow<'_, FieldPath>> {
        match self {
            Target::Path(path) => Some(std::borrow::Cow::Borrowed(path)),
            Target::Template(template) => FieldPath::parse(&template.render(event)).ok().map(std::borrow::Cow::Owned),
        }
    }
}

/// The text of a value that is no list and no hash.
pub fn scalar(value: &Value) -> Option<String> {
    match &value.literal {
        Literal::Bareword(text) | Literal::Text(text) | Literal::Number(text) => Some(text.clone()),
        _ => None,
    }
}

fn kind(literal: &Literal) -> &'static str {
    match literal {
        Literal::Bareword(_) => "a word",
        Literal::Text(_) => "a text",
        Literal::Number(_) => "a number",
        Literal::Array(_) => "a list",
        Literal::Hash(_) => "a hash",
        Literal::Plugin(_) => "a plugin",
    }
}
