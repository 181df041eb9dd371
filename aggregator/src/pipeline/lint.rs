//! What is right by the grammar and yet hardly meant: conditions that can never be true, and captures that are taken out
//! again before anything reads them. It warns where it is sure, and is silent where it is not.

mod captures;
mod never;

use super::ast::{Branch, Literal, Operand, Plugin, Section, SectionKind, Value};
use super::diagnostic::Diagnostic;

/// Warns of what is suspicious in one pipeline's sections.
pub(super) fn check(sections: &[Section], diagnostics: &mut Vec<Diagnostic>) {
    let normalised = level_is_normalised(sections);
    for section in sections {
        never::check(&section.body, normalised, diagnostics);
    }
    captures::check(sections, diagnostics);
}

/// Whether `[log][level]` holds what the filter `level` writes and nothing else.
fn level_is_normalised(sections: &[Section]) -> bool {
    let filters = sections.iter().filter(|section| section.kind == SectionKind::Filter);
    let (mut finds, mut others) = (false, false);
    for section in filters {
        each_plugin(&section.body, &mut |plugin| match plugin.name.as_str() {
            "level" => finds |= plugin.attributes.is_empty(),
            _ => plugin.attributes.iter().for_each(|attribute| {
                each_text(&attribute.value, &mut |text| others |= text.contains("[log][level]"));
            }),
        });
    }
    finds && !others
}

fn each_plugin<'a>(branches: &'a [Branch], visit: &mut impl FnMut(&'a Plugin)) {
    for branch in branches {
        match branch {
            Branch::Plugin(plugin) => visit(plugin),
            Branch::If(condition) => {
                condition.arms.iter().for_each(|arm| each_plugin(&arm.body, visit));
                condition.otherwise.iter().for_each(|body| each_plugin(body, visit));
            }
        }
    }
}

/// Every text in a value, names of hashes too.
fn each_text<'a>(value: &'a Value, visit: &mut impl FnMut(&'a str)) {
    match &value.literal {
        Literal::Bareword(text) | Literal::Text(text) | Literal::Number(text) => visit(text),
        Literal::Array(items) => items.iter().for_each(|item| each_text(item, visit)),
        Literal::Hash(entries) => entries.iter().for_each(|(key, value)| {
            each_text(key, visit);
            each_text(value, visit);
        }),
        Literal::Plugin(plugin) => plugin.attributes.iter().for_each(|attribute| each_text(&attribute.value, visit)),
    }
}

/// What an operand says, as it was written.
fn written(operand: &Operand) -> &str {
    operand.span.text()
}

#[cfg(test)]
mod tests {
    use crate::pipeline::{LoadOptions, Program};

    /// What is told of some filters: line, and message.
    fn told(filters: &str) -> Vec<(usize, String)> {
        let text = format!("filter {{\n{filters}\n}}");
        let program = Program::parse(vec![("test.conf".into(), text)], &LoadOptions::default())
            .unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
        program.diagnostics().iter().map(|warning| (warning.line - 1, warning.message.clone())).collect()
    }

    #[test]
    fn conditions_that_can_never_be_true() {
        for condition in [
            "[x] == \"a\" and [x] == \"b\"",
            "[x] == \"a\" and [y] and [x] != \"a\"",
            "[x] > 5 and [x] < 3",
            "[x] >= 5 and 5 > [x]",
            "[x] == 7 and [x] <= 6.5",
            "[x] in [\"a\", \"b\"] and [x] == \"c\"",
            "[x] in [\"a\"] and [x] in [\"b\"]",
            "[x] in []",
            "![x] and [x] == \"a\"",
            "![x] and [x]",
            "![x] and [x] =~ /a/",
            "\"a\" == \"b\"",
            "1 > 2",
            "\"a\" == \"b\" or ([x] == 1 and [x] == 2)",
        ] {
            let warnings = told(&format!("if {condition} {{ drop {{ }} }}"));
            assert_eq!(warnings.len(), 1, "{condition}: {warnings:?}");
            assert!(warnings[0].1.contains("never true"), "{condition}: {warnings:?}");
        }
    }

    #[test]
    fn conditions_that_can_be_true() {
        for condition in [
            "[x] == \"a\" and [y] == \"b\"",
            "[x] == \"a\" or [x] == \"b\"",
            "[x] > 3 and [x] < 5",
            "[x] >= 5 and [x] <= 5",
            "[x] in [\"a\", \"b\"] and [x] == \"b\"",
            "\"a\" in [x] and \"b\" in [x]",
            "![x] and [x] == \"\"",
            "![x] and [x] == false",
            "!([x] == \"a\" and [x] == \"b\")",
            "[x] != \"a\" and [x] != \"b\"",
            "[x] in [y] and [x] == \"c\"",
            "[x] =~ /a/ and [x] =~ /b/",
            "[log][level] == \"WARN\"",
        ] {
            assert_eq!(told(&format!("if {condition} {{ drop {{ }} }}")), [], "{condition}");
        }
    }

    #[test]
    fn a_branch_that_is_never_reached_and_a_level_that_is_never_written() {
        let twice = told("if [x] == 1 { drop { } }\nelse if [y] { drop { } }\nelse if [x]   ==  1 { drop { } }");
        assert_eq!(twice.len(), 1, "{twice:?}");
        assert!(twice[0].0 == 3 && twice[0].1.contains("stands before"), "{twice:?}");
        let level = told(
            "level { }\nif [log][level] == \"WARNING\" { drop { } }\nif [log][level] in [\"warn\", \"err\"] { drop { } }",
        );
        assert_eq!(level.len(), 2, "{level:?}");
        assert!(level[0].1.contains("`WARNING`") && level[1].1.contains("`err`"), "{level:?}");
    }

    #[test]
    fn captures_that_nothing_reads() {
        let unread = told(
            "grok { match => { \"message\" => \"%{WORD:verb} %{INT:n:int} (?<rest>.*)\" } }\n\
             if [verb] == \"get\" { mutate { add_field => { \"size\" => \"%{n}\" } } }\n\
             mutate { remove_field => [\"verb\", \"n\", \"[rest]\"] }",
        );
        assert_eq!(unread.len(), 1, "{unread:?}");
        assert!(unread[0].0 == 1 && unread[0].1.contains("`rest`"), "{unread:?}");
        let pruned = told(
            "dissect { mapping => { \"message\" => \"%{a} %{b->} %{?skipped} %{+a} %{[c][d]}\" } }\n\
             prune { whitelist_names => [\"^message$\", \"^c\"] }",
        );
        let names: Vec<_> = pruned.iter().map(|(_, message)| message.split('`').nth(1).unwrap_or_default()).collect();
        assert_eq!(names, ["a", "b"], "{pruned:?}");
        // Removed only sometimes, or read by a filter: it may well be meant.
        let meant = told(
            "grok { match => { \"message\" => \"%{WORD:verb} %{GREEDYDATA:ts}\" } remove_field => [\"message\"] }\n\
             if [x] { mutate { remove_field => [\"verb\"] } }\n\
             date { match => [\"ts\", \"ISO8601\"] remove_field => [\"ts\"] }",
        );
        assert_eq!(meant, []);
    }
}
