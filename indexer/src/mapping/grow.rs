//! Growing a mapping by what documents hold: Elasticsearch's dynamic mapping.

use serde_json::{Value, json};

use super::{DEPTH_MAX, Dynamic, EsType, FIELDS_MAX, Leaf, Mapping, PATH_BYTES_MAX, ROOT, declare};

/// The first value met under a path, which decides the type of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A string.
    String,
    /// A string that reads as an ISO date.
    Date,
    /// A string that reads as an integer, where `numeric_detection` is on.
    IntegerText,
    /// A number without a fraction.
    Long,
    /// A number with one.
    Double,
    /// `true` or `false`.
    Boolean,
}

impl Seen {
    fn es_type(self, mapping: &Mapping) -> EsType {
        match self {
            Self::Date if mapping.date_detection => EsType::Date,
            Self::IntegerText if mapping.numeric_detection => EsType::Long,
            Self::String | Self::Date | Self::IntegerText => EsType::Text,
            Self::Long => EsType::Long,
            Self::Double => EsType::Double,
            Self::Boolean => EsType::Boolean,
        }
    }

    /// As `match_mapping_type` of a dynamic template calls it.
    fn template_type(self, mapping: &Mapping) -> &'static str {
        match self.es_type(mapping) {
            EsType::Text => "string",
            other => other.name(),
        }
    }
}

/// Why a value has no field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmapped {
    /// A limit was reached: the value stays in `_source` only.
    Limit,
    /// The mapping says `dynamic: false`, or `enabled: false` above it.
    NotWanted,
    /// The mapping says `dynamic: strict`: the document is to be refused.
    Strict,
}

impl Mapping {
    /// Adds the object `key` beneath `parent`. `key` has no dots.
    ///
    /// # Errors
    /// Why there cannot be one.
    pub fn grow_object(&mut self, parent: u32, key: &str) -> Result<u32, Unmapped> {
        if let Some(child) = self.child(parent, key) {
            return Ok(child);
        }
        self.room_for(parent, key)?;
        // Objects are bounded with the fields: each one was made for a field that follows, or counts as one.
        if self.nodes.len() >= FIELDS_MAX * 4 {
            return Err(Unmapped::Limit);
        }
        self.generation += 1;
        Ok(self.child_or_new(parent, key))
    }

    /// Adds the field `key` beneath `parent`, or marks a typed one as seen. `key` has no dots.
    ///
    /// # Errors
    /// Why there cannot be one.
    pub fn grow_field(&mut self, parent: u32, key: &str, seen: Seen) -> Result<u32, Unmapped> {
        let known = self.child(parent, key);
        if let Some(leaf) = known.and_then(|child| self.nodes[child as usize].leaf.as_mut()) {
            if !leaf.seen {
                leaf.seen = true;
                self.fields += 1;
                self.generation += 1;
            }
            return Ok(known.unwrap_or(ROOT));
        }
        self.room_for(parent, key)?;
        if self.fields >= FIELDS_MAX || self.nodes.len() >= FIELDS_MAX * 4 {
            return Err(Unmapped::Limit);
        }
        let path = if parent == ROOT { key.to_owned() } else { format!("{}.{key}", self.nodes[parent as usize].path) };
        let leaf = self.templated(&path, key, seen).unwrap_or_else(|| Leaf::of(seen.es_type(self)));
        let child = self.child_or_new(parent, key);
        self.nodes[child as usize].leaf = Some(leaf);
        self.fields += 1;
        self.generation += 1;
        Ok(child)
    }

    fn room_for(&self, parent: u32, key: &str) -> Result<(), Unmapped> {
        let above = &self.nodes[parent as usize];
        if above.disabled {
            return Err(Unmapped::NotWanted);
        }
        match self.dynamic_at(parent) {
            Dynamic::True => {}
            Dynamic::False => return Err(Unmapped::NotWanted),
            Dynamic::Strict => return Err(Unmapped::Strict),
        }
        // Bytes 0 and 1 are separators in tantivy's JSON paths.
        let fits = above.depth < DEPTH_MAX
            && above.path.len() + 1 + key.len() <= PATH_BYTES_MAX
            && !key.is_empty()
            && !key.bytes().any(|byte| byte <= 1);
        if fits { Ok(()) } else { Err(Unmapped::Limit) }
    }

    /// The field that the first matching dynamic template makes, if one matches.
    fn templated(&self, path: &str, key: &str, seen: Seen) -> Option<Leaf> {
        let kind = seen.template_type(self);
        for template in &self.templates {
            let rule = template.as_object()?.values().next()?;
            let matches = |option: &str, text: &str, default: bool| match rule.get(option) {
                None => default,
                Some(Value::String(pattern)) => wildcard(pattern, text),
                Some(Value::Array(patterns)) => {
                    patterns.iter().filter_map(Value::as_str).any(|pattern| wildcard(pattern, text))
                }
                Some(_) => false,
            };
            let wanted = matches("match", key, true)
                && !matches("unmatch", key, false)
                && matches("path_match", path, true)
                && !matches("path_unmatch", path, false)
                && matches("match_mapping_type", kind, true);
            if !wanted {
                continue;
            }
            let mut definition = rule.get("mapping").cloned().unwrap_or_else(|| json!({}));
            if let Some(options) = definition.as_object_mut() {
                let dynamic = if kind == "string" { "text" } else { kind };
                match options.get("type").and_then(Value::as_str) {
                    None | Some("{dynamic_type}") => options.insert("type".to_owned(), json!(dynamic)),
                    Some(_) => None,
                };
            }
            return declare::leaf(path, &definition, &self.normalizers).ok();
        }
        None
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any run of characters.
pub fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_decides_the_type() {
        let mut mapping = Mapping::default();
        let http = mapping.grow_object(ROOT, "http").unwrap();
        let status = mapping.grow_field(http, "status", Seen::Long).unwrap();
        assert_eq!(mapping.node(status).path.as_ref(), "http.status");
        assert_eq!(mapping.node(status).leaf.as_ref().unwrap().es_type, EsType::Long);
        assert_eq!(mapping.grow_field(http, "status", Seen::String).unwrap(), status);
        assert_eq!(mapping.node(status).leaf.as_ref().unwrap().es_type, EsType::Long);
        assert_eq!(mapping.len(), 1);
    }

    #[test]
    fn fields_depth_and_keys_are_limited() {
        let mut mapping = Mapping::default();
        for n in 0..FIELDS_MAX {
            mapping.grow_field(ROOT, &format!("f{n}"), Seen::Long).unwrap();
        }
        assert_eq!(mapping.grow_field(ROOT, "one more", Seen::Long), Err(Unmapped::Limit));
        let mut mapping = Mapping::default();
        let mut node = ROOT;
        for n in 0..DEPTH_MAX {
            node = mapping.grow_object(node, &format!("o{n}")).unwrap();
        }
        assert_eq!(mapping.grow_object(node, "deeper"), Err(Unmapped::Limit));
        assert_eq!(mapping.grow_field(ROOT, &"k".repeat(PATH_BYTES_MAX + 1), Seen::Long), Err(Unmapped::Limit));
        assert_eq!(mapping.grow_field(ROOT, "a\u{1}b", Seen::Long), Err(Unmapped::Limit));
    }

    #[test]
    fn wildcards() {
        assert!(wildcard("*", "x") && wildcard("a*c", "abc") && wildcard("abc", "abc") && wildcard("*_id", "a_id"));
        assert!(!wildcard("a*c", "abd") && !wildcard("abc", "abcd") && !wildcard("*x*y", "yx"));
        assert!(wildcard("a*b*b", "abb") && !wildcard("a*b*b", "ab"));
    }
}
