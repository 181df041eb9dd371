//! `%{NAME:field:type}` to a regular expression: patterns in patterns are put in their places, named captures become
//! groups.

use super::Refused;
use super::library::Library;
use crate::pipeline::diagnostic::nearest;

/// Patterns may nest this deep; deeper ones contain themselves.
const DEPTH_MAX: usize = 100;
/// The expression that comes of it has at most so many bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// An expression and what its groups mean.
#[derive(Debug)]
pub struct Expanded {
    /// The expression.
    pub regex: String,
    /// Its captures.
    pub captures: Vec<Capture>,
}

/// A group of an expression.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The group's name in the expression.
    pub group: String,
    /// The field it goes to.
    pub field: String,
    /// The type it is converted to.
    pub kind: Option<String>,
}

/// Puts the patterns in their places.
///
/// # Errors
/// A pattern that is not known, or contains itself.
pub fn expand(text: &str, library: &Library, named_only: bool) -> Result<Expanded, Refused> {
    let mut expanded = Expanded { regex: String::new(), captures: Vec::new() };
    put(text, library, named_only, &mut expanded, 0)?;
    Ok(expanded)
}

fn put(text: &str, library: &Library, named_only: bool, out: &mut Expanded, depth: usize) -> Result<(), Refused> {
    if depth > DEPTH_MAX {
        return Err(("a pattern contains itself".to_owned(), String::new()));
    }
    let mut rest = text;
    while let Some(at) = rest.find("%{") {
        out.regex.push_str(&rest[..at]);
        let Some((name, field, kind, own, len)) = reference(&rest[at..]) else {
            out.regex.push_str("%{");
            rest = &rest[at + 2..];
            continue;
        };
        let definition = own.or_else(|| library.get(name)).ok_or_else(|| unknown(name, library))?;
        let field = field.or_else(|| (!named_only).then_some(name));
        match field {
            Some(field) => {
                let group = format!("_{}", out.captures.len());
                out.regex.push_str("(?<");
                out.regex.push_str(&group);
                out.regex.push('>');
                out.captures.push(Capture { group, field: field.to_owned(), kind: kind.map(str::to_owned) });
            }
            None => out.regex.push_str("(?:"),
        }
        put(definition, library, named_only, out, depth + 1)?;
        out.regex.push(')');
        if out.regex.len() > REGEX_BYTES_MAX {
            return Err(("the pattern becomes too large".to_owned(), String::new()));
        }
        rest = &rest[at + len..];
    }
    out.regex.push_str(rest);
    Ok(())
}

fn unknown(name: &str, library: &Library) -> Refused {
    let hint = nearest(name, library.names()).map(|near| format!("did you mean `%{{{near}}}`?"));
    (
        format!("there is no grok pattern `{name}`"),
        hint.unwrap_or_else(|| "define it in `pattern_definitions`".to_owned()),
    )
}

/// `%{NAME}`, `%{NAME:field}`, `%{NAME:field:type}`, each with `=definition` at will: name, field, type, definition,
/// length.
#[allow(clippy::type_complexity, reason = "five parts of one short syntax, read in one place")]
fn reference(text: &str) -> Option<(&str, Option<&str>, Option<&str>, Option<&str>, usize)> {
    let inner = &text[2..];
    let name_len = inner.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let (name, mut rest) = inner.split_at(name_len);
    if name.is_empty() {
        return None;
    }
    let (mut field, mut kind, mut own) = (None, None, None);
    if let Some(after) = rest.strip_prefix(':') {
        let len = after.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"_@[].-: ".contains(byte)).count();
        let (word, left) = after.split_at(len);
        rest = left;
        // A type stands behind the last colon; a field's name has none.
        match word.split_once(':') {
            Some((name, wanted)) => (field, kind) = (Some(name.trim()), Some(wanted.trim())),
            None => field = Some(word.trim()),
        }
        field = field.filter(|field| !field.is_empty());
    }
    if let Some(after) = rest.strip_prefix('=') {
        let end = after.find('}')?;
        own = Some(&after[..end]);
        rest = &after[end..];
    }
    let rest = rest.trim_start_matches(' ').strip_prefix('}')?;
    Some((name, field, kind, own, text.len() - rest.len()))
}
