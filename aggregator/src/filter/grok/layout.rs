//! The fields of a pattern as a tree, so that an event that has none of them gets each object once and whole, and not field
//! by field along its path.

use super::{Target, value};
use crate::event::{Event, FieldPath, Object, Text, Value};
use crate::filter::mutate::convert::Kind;

/// The fields of a pattern.
#[derive(Debug)]
pub(super) struct Layout {
    /// The path of each is its name alone.
    roots: Vec<(FieldPath, Branch)>,
}

#[derive(Debug)]
enum Branch {
    /// A group, by its number.
    Group(usize, Option<Kind>),
    /// Names, in the order of the groups.
    Names(Vec<(Text, Branch)>),
}

impl Layout {
    /// The tree of these groups; none where a field comes twice or is a part of another, or lies in `[@metadata]`: there
    /// each has to look at what is there before it.
    pub fn of(captures: &[Target]) -> Option<Self> {
        let mut all = Vec::new();
        for (index, capture) in captures.iter().enumerate() {
            let Some((path, kind)) = capture else { continue };
            let names: Vec<&Text> = path.segments().iter().map(|segment| &segment.name).collect();
            if path.is_metadata() || !add(&mut all, &names, Branch::Group(index, *kind)) {
                return None;
            }
        }
        Some(Self {
            roots: all.into_iter().map(|(name, branch)| (FieldPath::of(&[&name]).lasting(), branch)).collect(),
        })
    }

    /// Whether an event has nothing in any of their places.
    pub fn is_free(&self, event: &Event) -> bool {
        self.roots.iter().all(|(root, _)| event.get(root).is_none())
    }

    /// Sets the fields of an event that has none of them.
    pub fn put<'t>(&self, event: &mut Event, found: &Found<'_, impl Fn(usize) -> Option<&'t str>>) {
        for (root, branch) in &self.roots {
            let value = match branch {
                Branch::Group(index, kind) => found.value(*index, *kind),
                Branch::Names(names) => grow(names, found).map(Value::Object),
            };
            if let Some(value) = value {
                event.append(root.root().clone(), value);
            }
        }
    }
}

/// What a pattern found in a text.
pub(super) struct Found<'a, F> {
    pub text: &'a Text,
    /// Groups that found nothing become null.
    pub keep_empty: bool,
    /// What of the text a group matched.
    pub part: F,
}

impl<'t, F: Fn(usize) -> Option<&'t str>> Found<'_, F> {
    /// What the field of a group becomes; none where it is not set.
    #[inline]
    pub fn value(&self, group: usize, kind: Option<Kind>) -> Option<Value> {
        match (self.part)(group) {
            Some(part) => Some(value(self.text, part, kind)),
            None if self.keep_empty => Some(Value::Null),
            None => None,
        }
    }
}

/// Adds a branch; false where there is one in its place or on its way.
fn add(level: &mut Vec<(Text, Branch)>, names: &[&Text], branch: Branch) -> bool {
    let Some((first, rest)) = names.split_first() else { return false };
    let have = level.iter().position(|(name, _)| name == *first);
    match (have.map(|index| &mut level[index].1), rest.is_empty()) {
        (None, true) => {
            level.push(((*first).clone(), branch));
            true
        }
        (None, false) => {
            let mut inner = Vec::new();
            let added = add(&mut inner, rest, branch);
            level.push(((*first).clone(), Branch::Names(inner)));
            added
        }
        (Some(Branch::Names(inner)), false) => add(inner, rest, branch),
        (Some(_), _) => false,
    }
}

fn grow<'t>(names: &[(Text, Branch)], found: &Found<'_, impl Fn(usize) -> Option<&'t str>>) -> Option<Object> {
    let mut object = Object::new();
    for (name, branch) in names {
        let value = match branch {
            Branch::Group(index, kind) => found.value(*index, *kind),
            Branch::Names(names) => grow(names, found).map(Value::Object),
        };
        if let Some(value) = value {
            if object.is_empty() {
                object.reserve(names.len());
            }
            object.push(name.clone(), value);
        }
    }
    (!object.is_empty()).then_some(object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::filter::testing::run;

    #[test]
    fn objects_are_built_at_once_or_beside_what_is_there() {
        let grok = r#"grok { match => { m => "%{WORD:[a][x]} (?:%{WORD:[a][b][y]} )?%{INT:[a][z]:int}%{WORD:c}?" } }"#;
        let whole = json!({"m": "one two 3", "a": {"x": "one", "b": {"y": "two"}, "z": 3}});
        assert_eq!(run(grok, json!({"m": "one two 3"})), whole);
        assert_eq!(run(grok, json!({"m": "one 3"})), json!({"m": "one 3", "a": {"x": "one", "z": 3}}));
        let beside = run(grok, json!({"m": "one two 3", "a": {"x": "old", "q": 1}}));
        assert_eq!(beside["a"], json!({"x": ["old", "one"], "q": 1, "b": {"y": "two"}, "z": 3}));
        assert_eq!(run(grok, json!({"m": "one two 3", "a": "text"}))["a"], "text");
    }

    #[test]
    fn a_field_that_comes_twice_becomes_a_list() {
        let grok = r#"grok { match => { m => "%{WORD:a} %{WORD:a}" } }"#;
        assert_eq!(run(grok, json!({"m": "one two"}))["a"], json!(["one", "two"]));
        let empty = r#"grok { match => { m => "%{WORD:[a][b]}(?: %{WORD:[a][c]})?" } keep_empty_captures => true }"#;
        assert_eq!(run(empty, json!({"m": "one"}))["a"], json!({"b": "one", "c": null}));
    }
}
