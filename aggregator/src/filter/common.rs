//! The options that every filter has: `add_field`, `remove_field`, `add_tag`, `remove_tag`, `id`, `enable_metric`.

use crate::event::{Event, Value};
use crate::pipeline::ast::Literal;
use crate::pipeline::options::{Options, Target, scalar};
use crate::pipeline::template::Template;

/// What is done to an event when its filter did its work.
#[derive(Debug, Default)]
pub struct Common {
    /// The filter's name of its own, for metrics.
    pub id: Option<String>,
    add_field: Vec<(Target, Vec<Template>)>,
    remove_field: Vec<Target>,
    add_tag: Vec<Template>,
    remove_tag: Vec<Template>,
}

impl Common {
    /// Reads them.
    pub fn build(options: &mut Options<'_>) -> Self {
        let id = options.text("id").map(|(id, _)| id);
        options.bool("enable_metric", true);
        options.bool("periodic_flush", false);
        let mut add_field = Vec::new();
        for (key, value) in options.pairs("add_field") {
            let values = match &value.literal {
                Literal::Array(items) => items.iter().map(scalar).collect::<Option<Vec<_>>>(),
                _ => scalar(value).map(|text| vec![text]),
            };
            let Some(values) = values else {
                options.error(&value.span, "`add_field` adds texts, or lists of texts", "");
                continue;
            };
            let target = options.target(&key);
            add_field.push((target, values.iter().map(|value| Template::parse(value)).collect()));
        }
        let remove_field = options.list("remove_field").iter().map(|placed| options.target(placed)).collect();
        let templates = |list: Vec<(String, _)>| list.iter().map(|(text, _)| Template::parse(text)).collect();
        let add_tag = templates(options.list("add_tag"));
        let remove_tag = templates(options.list("remove_tag"));
        Self { id, add_field, remove_field, add_tag, remove_tag }
    }

    /// Applies them.
    pub fn apply(&self, event: &mut Event) {
        for (target, templates) in &self.add_field {
            for template in templates {
                let value = Value::Text(template.render(event));
                let Some(path) = target.path(event) else { continue };
                add(event, &path, value);
            }
        }
        for target in &self.remove_field {
            if let Some(path) = target.path(event) {
                event.remove(&path);
            }
        }
        for tag in &self.add_tag {
            event.add_tag(tag.render(event));
        }
        for tag in &self.remove_tag {
            event.remove_tag(&tag.render(event));
        }
    }
}

/// Sets a field; where it is there already, the value is put behind what is in it.
pub fn add(event: &mut Event, path: &crate::event::FieldPath, value: Value) {
    let new = match event.get_owned(path) {
        None | Some(Value::Null) => value,
        Some(Value::Array(mut items)) => {
            items.push(value);
            Value::Array(items)
        }
        Some(old) => Value::Array(vec![old, value]),
    };
    event.set(path, new);
}
