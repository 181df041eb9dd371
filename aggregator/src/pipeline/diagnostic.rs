//! Mistakes in pipeline files, shown as a person needs them: file, line, column, the line itself, a caret and a hint.

use std::fmt;
use std::sync::Arc;

/// A stretch of a pipeline file.
#[derive(Clone)]
pub struct Span {
    /// The file.
    pub source: Arc<Source>,
    /// Byte offset of its begin.
    pub start: usize,
    /// Byte offset after its end.
    pub end: usize,
}

/// A pipeline file.
#[derive(Debug)]
pub struct Source {
    /// What it is called in messages.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The pipeline is refused.
    Error,
    /// It runs, but probably not as meant.
    Warning,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// Line, from 1; 0 where it concerns the whole file.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line as it stands in the file.
    pub source_line: String,
    /// Characters to underline, at least 1.
    pub width: usize,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl fmt::Debug for Span {
    /// The place alone: the whole file would stand at every node of a tree.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}..{}", self.start, self.end)
    }
}

impl Span {
    /// From the begin of this to the end of `other`, which lies in the same file.
    pub fn to(&self, other: &Span) -> Span {
        Span { source: Arc::clone(&self.source), start: self.start, end: other.end }
    }

    /// The line number, from 1.
    pub fn line(&self) -> usize {
        1 + self.source.text[..self.start].matches('\n').count()
    }

    /// The text it covers.
    pub fn text(&self) -> &str {
        &self.source.text[self.start..self.end]
    }
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(span: &Span, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let text = &span.source.text;
        let line_start = text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[span.start..].find('\n').map_or(text.len(), |newline| span.start + newline);
        let underlined = &text[span.start..span.end.clamp(span.start, line_end)];
        Self {
            severity: Severity::Error,
            file: span.source.name.clone(),
            line: span.line(),
            column: 1 + text[line_start..span.start].chars().count(),
            source_line: text[line_start..line_end].trim_end_matches('\r').to_owned(),
            width: underlined.chars().count().max(1),
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A warning at a place.
    pub fn warning(span: &Span, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message, hint) }
    }

    /// An error that concerns a whole file.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.into(),
            line: 0,
            column: 0,
            source_line: String::new(),
            width: 1,
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.severity == Severity::Error { "error" } else { "warning" };
        writeln!(f, "{severity}: {}", self.message)?;
        if self.line == 0 {
            writeln!(f, " --> {}", self.file)?;
            if !self.hint.is_empty() {
                writeln!(f, "  = hint: {}", self.hint)?;
            }
            return Ok(());
        }
        let gutter = self.line.to_string().len();
        writeln!(f, "{:gutter$}--> {}:{}:{}", "", self.file, self.line, self.column)?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{} | {}", self.line, self.source_line.replace('\t', " "))?;
        writeln!(f, "{:gutter$} | {:skip$}{}", "", "", "^".repeat(self.width), skip = self.column - 1)?;
        if !self.hint.is_empty() {
            writeln!(f, "{:gutter$} = hint: {}", "", self.hint)?;
        }
        Ok(())
    }
}

/// The word of `known` that `typed` was probably meant to be.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    known
        .into_iter()
        .map(|word| (distance(&typed, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= 1.max(word.len().max(typed.len()) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Letters to insert, remove, replace or swap to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    /// Words longer than this are no option names; the table would only grow.
    const LETTERS_MAX: usize = 64;
    let a: Vec<char> = a.chars().take(LETTERS_MAX).collect();
    let b: Vec<char> = b.chars().take(LETTERS_MAX).collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_place() {
        let source =
            Arc::new(Source { name: "a.conf".into(), text: "filter {\n  mutate { remove_fields => x }\n}".into() });
        let start = source.text.find("remove_fields").unwrap();
        let span = Span { source: Arc::clone(&source), start, end: start + 13 };
        let shown = Diagnostic::error(&span, "unknown option", "did you mean `remove_field`?").to_string();
        assert_eq!(
            shown,
            "error: unknown option\n --> a.conf:2:12\n  |\n2 |   mutate { remove_fields => x }\n  |            ^^^^^^^^^^^^^\n  = hint: did you mean `remove_field`?\n"
        );
    }

    #[test]
    fn finds_the_nearest_word() {
        assert_eq!(nearest("remove_fields", ["add_field", "remove_field"]), Some("remove_field"));
        assert_eq!(nearest("mutaet", ["date", "mutate"]), Some("mutate"));
        assert_eq!(nearest("quux", ["date", "mutate"]), None);
    }
}
