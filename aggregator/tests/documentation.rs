//! docs/pipelines.md lists what pipeline files may use; these tests compare it with the code, so that it cannot go stale.

use std::collections::BTreeSet;
use std::path::Path;

use weir_aggregator::Settings;
use weir_aggregator::filter::{FILTERS, REFUSED};
use weir_aggregator::pipeline::{LoadOptions, Program};

fn text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pipelines.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of the table under a heading: each one's cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = text();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no part {heading}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The words of a cell between back quotes.
fn words(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The first word of each row.
fn first_words(heading: &str) -> BTreeSet<String> {
    table(heading).iter().flat_map(|row| words(&row[0])).collect()
}

/// What is told of an option that is not there: the list of those that are.
fn options(hint: &str) -> BTreeSet<String> {
    let list = hint.strip_prefix("it takes ").unwrap_or_else(|| panic!("{hint:?} lists no options"));
    list.split(", ").map(str::to_owned).collect()
}

const NO_OPTION: &str = "xyzzy_xyzzy_xyzzy_xyzzy";

#[test]
fn every_filter_is_listed_with_its_options() {
    let common = words(text().lines().find(|line| line.starts_with("Every filter also takes")).unwrap());
    let rows = table("Filters");
    let mut wrong = Vec::new();
    for (name, _) in FILTERS {
        let Some(row) = rows.iter().find(|row| words(&row[0]).contains(*name)) else {
            wrong.push(format!("`{name}` is not listed"));
            continue;
        };
        let source = format!("filter {{ {name} {{ {NO_OPTION} => 1 }} }}");
        let told = Program::parse(vec![("x".to_owned(), source)], &LoadOptions::default()).unwrap_err();
        let mistake = told.iter().find(|mistake| mistake.message.contains(NO_OPTION)).unwrap();
        let own: BTreeSet<String> = options(&mistake.hint).difference(&common).cloned().collect();
        if own != words(&row[1]) {
            let list: Vec<String> = own.iter().map(|option| format!("`{option}`")).collect();
            wrong.push(format!("`{name}` takes {}", list.join(" ")));
        }
    }
    let listed = first_words("Filters");
    let known: BTreeSet<String> = FILTERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    wrong.extend(listed.difference(&known).map(|name| format!("`{name}` is listed and not there")));
    assert!(wrong.is_empty(), "docs/pipelines.md:\n{}", wrong.join("\n"));
}

#[test]
fn every_refused_filter_is_listed_with_what_to_use_instead() {
    let rows = table("What is refused");
    for (name, instead) in REFUSED {
        let row = rows.iter().find(|row| words(&row[0]).contains(*name));
        let row = row.unwrap_or_else(|| panic!("docs/pipelines.md does not list `{name}`: {instead}"));
        assert_eq!(row[1], *instead, "`{name}`");
    }
    assert_eq!(rows.len(), REFUSED.len());
}

#[test]
fn every_input_and_output_is_listed_with_its_options() {
    let (inputs, outputs) = weir_aggregator::inputs_and_outputs();
    let mut wrong = Vec::new();
    for (heading, section, names) in [("Inputs", "input", inputs), ("Outputs", "output", outputs)] {
        let known: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let listed = first_words(heading);
        wrong.extend(listed.symmetric_difference(&known).map(|name| format!("{section} `{name}`")));
        for row in table(heading) {
            for name in words(&row[0]) {
                let told = mistakes(&format!("{section} {{ {name} {{ {NO_OPTION} => 1 }} }}"));
                let Some(hint) = told.iter().find(|(message, _)| message.contains(NO_OPTION)).map(|(_, hint)| hint)
                else {
                    wrong.push(format!("{section} `{name}` says nothing of an option that is not there"));
                    continue;
                };
                let unknown: Vec<_> = words(&row[1]).difference(&options(hint)).cloned().collect();
                if !unknown.is_empty() {
                    wrong.push(format!("{section} `{name}` has no {unknown:?}; {hint}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "docs/pipelines.md:\n{}", wrong.join("\n"));
}

/// Message and hint of every mistake in a file.
fn mistakes(text: &str) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.conf");
    std::fs::write(&file, text).unwrap();
    let settings = Settings { pipelines: vec![file.to_string_lossy().into_owned()], ..Settings::default() };
    let config = settings.check().map_err(|mistakes| format!("{mistakes:?}")).unwrap();
    weir_aggregator::check(&config).into_iter().map(|mistake| (mistake.message, mistake.hint)).collect()
}

#[test]
fn every_example_is_right() {
    let text = text();
    let mut count = 0;
    for block in text.split("```conf\n").skip(1) {
        let example = block.split("```").next().unwrap();
        let told = Program::parse(vec![("docs/pipelines.md".to_owned(), example.to_owned())], &LoadOptions::default());
        if let Err(mistakes) = told {
            panic!("{}", mistakes[0]);
        }
        count += 1;
    }
    assert!(count > 0, "no example is found");
}
