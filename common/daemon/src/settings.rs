//! Settings as typed (`weir.toml`, then `WEIR_…` variables, then flags) become one table a section, and their mistakes
//! are told all at once.

use std::fmt;
use std::time::Duration;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// One thing that is wrong with the settings, said so that a person can mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key within its section, such as `listen`.
    pub key: String,
    /// What is wrong, with the value where that helps.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

impl Mistake {
    /// A mistake from its three parts.
    pub fn new(key: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into(), hint: hint.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

/// The sections of a settings file, overlaid by the environment and by flags. Sections are flat tables, so that every
/// key has one name everywhere: `[shipper] max_line_bytes`, `WEIR_SHIPPER_MAX_LINE_BYTES`.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    table: toml::Table,
    origin: String,
}

impl Sources {
    /// Reads the text of a settings file; `origin` names it in mistakes.
    ///
    /// # Errors
    /// The first syntax error, or a section that is not one of `sections`, with its line.
    pub fn parse(text: &str, origin: &str, sections: &[&str]) -> Result<Self, Mistake> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Mistake::new(origin, error.to_string().trim_end().to_owned(), "see the settings in the README")
        })?;
        for (name, value) in &table {
            if !sections.contains(&name.as_str()) || !value.is_table() {
                let known = sections.iter().map(|name| format!("[{name}]")).collect::<Vec<_>>().join(", ");
                return Err(Mistake::new(format!("{origin}: {name}"), "no such section", format!("there are {known}")));
            }
        }
        Ok(Self { table, origin: origin.to_owned() })
    }

    /// Lays `WEIR_<SECTION>_<KEY>` variables over the file. `WEIR_<SECTION>_<KEY>_FILE` names a file that holds the
    /// value, as Docker's secrets come; a line end at its end is not part of it.
    ///
    /// # Errors
    /// Every named file that cannot be read.
    pub fn overlay_environment(
        &mut self,
        sections: &[&str],
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<(), Vec<Mistake>> {
        let mut mistakes = Vec::new();
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix("WEIR_") else { continue };
            let rest = rest.to_ascii_lowercase();
            let found = sections.iter().find_map(|s| rest.strip_prefix(s)?.strip_prefix('_').map(|key| (*s, key)));
            match found {
                Some((section, key)) if key.ends_with("_file") => match std::fs::read_to_string(&value) {
                    Ok(text) => {
                        self.set_text(section, key.trim_end_matches("_file"), text.trim_end_matches(['\r', '\n']))
                    }
                    Err(error) => mistakes.push(Mistake::new(
                        name,
                        format!("{value} cannot be read: {error}"),
                        "it names a file that holds the value, such as a Docker secret under /run/secrets",
                    )),
                },
                Some((section, key)) => self.set(section, key, &value),
                None => {}
            }
        }
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    /// Sets one key from text: a TOML value where it reads as one (`true`, `5`, `["a"]`), else a string.
    pub fn set(&mut self, section: &str, key: &str, text: &str) {
        let value = format!("v = {text}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("v"));
        let value = match value {
            Some(
                value @ (toml::Value::Boolean(_)
                | toml::Value::Integer(_)
                | toml::Value::Float(_)
                | toml::Value::Array(_)),
            ) => value,
            Some(value @ toml::Value::String(_)) => value,
            _ => toml::Value::String(text.to_owned()),
        };
        self.put(section, key, value);
    }

    /// Sets one key to this string, whatever it looks like.
    pub fn set_text(&mut self, section: &str, key: &str, text: &str) {
        self.put(section, key, toml::Value::String(text.to_owned()));
    }

    /// Sets one key to a list of strings.
    pub fn set_list<S: AsRef<str>>(&mut self, section: &str, key: &str, items: &[S]) {
        let items = items.iter().map(|item| toml::Value::String(item.as_ref().to_owned())).collect();
        self.put(section, key, toml::Value::Array(items));
    }

    /// Whether file, environment or a flag has set this key.
    pub fn has(&self, section: &str, key: &str) -> bool {
        self.table.get(section).is_some_and(|section| section.get(key).is_some())
    }

    fn put(&mut self, section: &str, key: &str, value: toml::Value) {
        let section = self.table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let Some(section) = section.as_table_mut() {
            section.insert(key.to_owned(), value);
        }
    }

    /// One section as its settings type. A list may be given as one string with commas.
    ///
    /// # Errors
    /// The first unknown key or value of a wrong type.
    pub fn section<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, Mistake> {
        let Some(value) = self.table.get(name) else { return Ok(T::default()) };
        value.clone().try_into().map_err(|error: toml::de::Error| {
            let origin = if self.origin.is_empty() { String::new() } else { format!("{}: ", self.origin) };
            Mistake::new(format!("{origin}[{name}]"), error.message().to_owned(), "`weir check` lists every key")
        })
    }
}

/// A number of bytes, written as a number or with a unit: `512`, `"64KB"`, `"10MB"`, `"1.5GiB"`. KB is 1,000 and KiB 1,024.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// The number of bytes.
    pub fn get(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        const UNITS: [(&str, u64); 14] = [
            ("b", 1),
            ("", 1),
            ("k", 1_000),
            ("kb", 1_000),
            ("m", 1_000_000),
            ("mb", 1_000_000),
            ("g", 1_000_000_000),
            ("gb", 1_000_000_000),
            ("t", 1_000_000_000_000),
            ("tb", 1_000_000_000_000),
            ("kib", 1 << 10),
            ("mib", 1 << 20),
            ("gib", 1 << 30),
            ("tib", 1 << 40),
        ];
        let (number, unit) = split_unit(text)?;
        let unit = unit.to_ascii_lowercase();
        let scale = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let bytes = number * scale as f64;
        (bytes.is_finite() && (0.0..1e18).contains(&bytes)).then_some(Self(bytes as u64))
    }
}

/// A length of time, written with a unit: `"500ms"`, `"30s"`, `"5m"`, `"1h"`, `"7d"`; a bare number is seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// The length of time.
    pub fn get(self) -> Duration {
        self.0
    }

    fn parse(text: &str) -> Option<Self> {
        const UNITS: [(&str, f64); 6] =
            [("ms", 0.001), ("s", 1.0), ("", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
        let (number, unit) = split_unit(text)?;
        let seconds = number * UNITS.iter().find(|(name, _)| *name == unit)?.1;
        // A thousand years: past it the arithmetic of clocks overflows.
        (seconds.is_finite() && (0.0..3.2e10).contains(&seconds)).then(|| Self(Duration::from_secs_f64(seconds)))
    }
}

fn split_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

struct UnitVisitor<T> {
    parse: fn(&str) -> Option<T>,
    expected: &'static str,
}

impl<T> Visitor<'_> for UnitVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnitVisitor { parse: Self::parse, expected: "a number of bytes such as \"10MB\"" })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnitVisitor { parse: Self::parse, expected: "a length of time such as \"30s\"" })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1_000_000_000 => write!(f, "{:.1} GB", n as f64 / 1e9),
            n if n >= 1_000_000 => write!(f, "{:.1} MB", n as f64 / 1e6),
            n if n >= 1_000 => write!(f, "{:.1} KB", n as f64 / 1e3),
            n => write!(f, "{n} B"),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}ms", self.0.as_millis()))
    }
}

/// For `#[serde(deserialize_with = "…::list")]`: a list of strings, or one string with commas, as a variable gives it.
///
/// # Errors
/// When the value is neither.
pub fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::Many(items) => items,
        OneOrMany::One(text) => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Example {
        size: Bytes,
        wait: Span,
        #[serde(deserialize_with = "list")]
        hosts: Vec<String>,
        name: String,
    }

    #[test]
    fn file_environment_and_flags_lie_over_each_other() {
        let mut sources =
            Sources::parse("[shipper]\nsize = \"10MB\"\nwait = 3\nname = \"a\"", "weir.toml", &["shipper"]).unwrap();
        let variables = [("WEIR_SHIPPER_HOSTS", "a:1, b:2"), ("WEIR_SHIPPER_WAIT", "500ms"), ("HOME", "/")];
        sources
            .overlay_environment(&["shipper"], variables.iter().map(|(k, v)| (k.to_string(), v.to_string())))
            .unwrap();
        sources.set("shipper", "name", "b");
        let example: Example = sources.section("shipper").unwrap();
        assert_eq!(
            example,
            Example {
                size: Bytes(10_000_000),
                wait: Span(Duration::from_millis(500)),
                hosts: vec!["a:1".into(), "b:2".into()],
                name: "b".into()
            }
        );
    }

    #[test]
    fn a_secret_is_read_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("name");
        std::fs::write(&path, "5\n").unwrap();
        let mut sources = Sources::default();
        let variable = |path: &str| [("WEIR_SHIPPER_NAME_FILE".to_owned(), path.to_owned())].into_iter();
        sources.overlay_environment(&["shipper"], variable(&path.display().to_string())).unwrap();
        assert_eq!(sources.section::<Example>("shipper").unwrap().name, "5");
        let mistakes = sources.overlay_environment(&["shipper"], variable("/nowhere")).unwrap_err();
        assert!(mistakes[0].to_string().contains("WEIR_SHIPPER_NAME_FILE: /nowhere cannot be read"), "{mistakes:?}");
    }

    #[test]
    fn mistakes_name_the_place() {
        let unknown = Sources::parse("[shiper]\n", "weir.toml", &["shipper"]).unwrap_err();
        assert_eq!(unknown.to_string(), "weir.toml: shiper: no such section (there are [shipper])");
        let sources = Sources::parse("[shipper]\nsize = \"10 apples\"", "weir.toml", &["shipper"]).unwrap();
        let wrong = sources.section::<Example>("shipper").unwrap_err();
        assert!(wrong.to_string().contains("10 apples") && wrong.key.contains("[shipper]"), "{wrong}");
    }

    #[test]
    fn units() {
        for (text, bytes) in [("512", 512), ("64KB", 64_000), ("1.5GiB", 1_610_612_736), ("10 mb", 10_000_000)] {
            assert_eq!(Bytes::parse(text), Some(Bytes(bytes)), "{text}");
        }
        for text in ["", "MB", "-1", "1XB", "1e99"] {
            assert_eq!(Bytes::parse(text), None, "{text}");
        }
        assert_eq!(Span::parse("7d"), Some(Span(Duration::from_secs(604_800))));
        assert_eq!(Span::parse("x"), None);
    }
}
