//! From a field's name in a query to the terms and columns that hold it.

use std::sync::Arc;

use serde_json::Value;
use tantivy::schema::Field;

use super::grow::wildcard;
use super::{EsType, Leaf, Mapping, Node, ROOT, Typed};
use crate::schema::{Fields, KEYWORDS, schema};

/// Where terms are: a field of the schema and, for the JSON fields, the dotted path inside (built with expanded dots).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The schema's field.
    pub field: Field,
    /// The path, for `_kw` and `_txt`.
    pub path: Option<Arc<str>>,
}

/// A field as queries, sorts and aggregations see it.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldRef {
    /// The dotted path, without the name of a subfield.
    pub path: Arc<str>,
    /// Its type; for `x.keyword` of a text field `x` this is keyword.
    pub es_type: EsType,
    /// Set for fields with a place of their own in the schema.
    pub typed: Option<Typed>,
    /// Words, where strings are split.
    pub text: Option<Place>,
    /// Exact terms: strings, and for dynamic fields also numbers, booleans and dates.
    pub exact: Option<Place>,
    /// Name of the column, as tantivy's fast field readers and aggregations take it.
    pub column: Option<String>,
    /// Date formats of the mapping.
    pub format: Option<String>,
    /// Whether anything was ever indexed under it.
    pub seen: bool,
    /// Whether its values can be searched; a field that is only kept in `_source` cannot.
    pub indexed: bool,
    /// Exact values are kept in lower case (a `normalizer`), and asked for so.
    pub lowercase: bool,
}

impl Mapping {
    /// The field of that name: `service.name`, `user.keyword`. `None` when the index has no such field.
    pub fn resolve(&self, name: &str) -> Option<FieldRef> {
        let (fields, dot) = (handles(), name.rfind('.'));
        if let Some(node) = self.find(name)
            && let Some(leaf) = &node.leaf
        {
            // An alias of an alias is refused when it is declared.
            if let Some(target) = leaf.alias.as_ref().and_then(|target| self.find(target)) {
                return Some(reference(target, target.leaf.as_ref()?, &fields, None));
            }
            return Some(reference(node, leaf, &fields, None));
        }
        let (parent, sub) = (&name[..dot?], &name[dot? + 1..]);
        let node = self.find(parent)?;
        let leaf = node.leaf.as_ref()?;
        let exact = sub == "keyword" && leaf.typed.is_some_and(|typed| matches!(typed, Typed::Keyword(_)))
            || leaf.exact_subfields.iter().any(|known| known == sub)
            || sub == "keyword" && leaf.es_type == EsType::Keyword;
        if exact {
            return Some(reference(node, leaf, &fields, Some(EsType::Keyword)));
        }
        leaf.word_subfields.iter().any(|known| known == sub).then(|| reference(node, leaf, &fields, Some(EsType::Text)))
    }

    /// The fields that were seen or declared and whose path fits `pattern` (`*` stands for any run), by path.
    pub fn matching(&self, pattern: &str) -> Vec<FieldRef> {
        let fields = handles();
        let mut found: Vec<FieldRef> = self
            .nodes
            .iter()
            .filter(|node| wildcard(pattern, &node.path))
            .filter_map(|node| Some(reference(node, node.leaf.as_ref().filter(|leaf| leaf.seen)?, &fields, None)))
            .collect();
        found.sort_by(|one, other| one.path.cmp(&other.path));
        found
    }

    /// Every name under which `path` can be asked for beside itself: its subfields, with their types.
    pub fn subfields(&self, path: &str) -> Vec<(String, EsType)> {
        let Some(leaf) = self.find(path).and_then(|node| node.leaf.as_ref()) else { return Vec::new() };
        let exact = leaf.exact_subfields.iter().map(|sub| (format!("{path}.{sub}"), EsType::Keyword));
        exact.chain(leaf.word_subfields.iter().map(|sub| (format!("{path}.{sub}"), EsType::Text))).collect()
    }

    /// Whether `path` was declared with `store: true`.
    pub fn is_stored(&self, path: &str) -> bool {
        let declared = self.find(path).and_then(|node| node.leaf.as_ref()?.declared.as_ref());
        declared.and_then(|given| given.get("store")).is_some_and(|store| store == true || store == "true")
    }

    /// Whether the field or subfield of that name was declared so that Elasticsearch knows where its words stand.
    pub fn has_offsets(&self, name: &str) -> bool {
        let says = |definition: &Value| {
            definition.get("index_options").is_some_and(|options| options == "offsets")
                || definition.get("term_vector").is_some_and(|vector| vector != "no")
        };
        let declared = |path: &str| self.find(path)?.leaf.as_ref()?.declared.clone();
        if let Some(definition) = declared(name) {
            return says(&definition);
        }
        let sub = name.rsplit_once('.').and_then(|(parent, sub)| Some((declared(parent)?, sub)));
        sub.is_some_and(|(definition, sub)| definition.get("fields").and_then(|f| f.get(sub)).is_some_and(says))
    }

    /// Whether `path` has fields beneath it.
    pub fn is_object(&self, path: &str) -> bool {
        self.find(path).is_some_and(|node| !node.children.is_empty() || node.declared_object.is_some())
    }

    fn find(&self, path: &str) -> Option<&Node> {
        let number = path.split('.').try_fold(ROOT, |node, key| self.child(node, key))?;
        Some(&self.nodes[number as usize])
    }
}

fn handles() -> Fields {
    static FIELDS: std::sync::OnceLock<Fields> = std::sync::OnceLock::new();
    *FIELDS.get_or_init(|| schema().1)
}

fn reference(node: &Node, leaf: &Leaf, fields: &Fields, as_type: Option<EsType>) -> FieldRef {
    let path = Arc::clone(&node.path);
    let es_type = as_type.unwrap_or(leaf.es_type);
    let own = |field| Some(Place { field, path: None });
    let json = |field| Some(Place { field, path: Some(Arc::clone(&path)) });
    let (text, exact, column) = match leaf.typed {
        Some(Typed::Timestamp) => (None, None, Some("@timestamp".to_owned())),
        Some(Typed::Message) => (own(fields.message), None, None),
        Some(Typed::Keyword(n)) => (None, own(fields.keywords[n as usize]), Some(KEYWORDS[n as usize].to_owned())),
        Some(Typed::Offset) => (None, None, Some("log.offset".to_owned())),
        None if !leaf.indexed => (None, None, None),
        None => {
            // Values that do not fit their type are searchable as words, whatever the type.
            let words =
                as_type != Some(EsType::Keyword) && (leaf.words || !matches!(es_type, EsType::Keyword | EsType::Ip));
            let text = if words { json(fields.txt) } else { None };
            let exact = leaf.exact || leaf.es_type != EsType::Text;
            let column = exact || (leaf.fielddata && as_type.is_none());
            (text, if exact { json(fields.kw) } else { None }, column.then(|| format!("_kw.{path}")))
        }
    };
    FieldRef {
        path,
        es_type,
        typed: leaf.typed,
        text,
        exact,
        column,
        format: leaf.format.clone(),
        seen: leaf.seen,
        indexed: leaf.indexed,
        lowercase: leaf.lowercase && as_type.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Seen;

    #[test]
    fn names_lead_to_terms_and_columns() {
        let mut mapping = Mapping::default();
        mapping.grow_field(ROOT, "user", Seen::String).unwrap();
        let fields = handles();
        let level = mapping.resolve("log.level").unwrap();
        assert_eq!((level.column.as_deref(), level.seen), (Some("log.level"), false));
        assert_eq!(mapping.resolve("log.level.keyword").unwrap().column, level.column);
        let user = mapping.resolve("user").unwrap();
        assert_eq!((user.es_type, user.text.as_ref().unwrap().field), (EsType::Text, fields.txt));
        let keyword = mapping.resolve("user.keyword").unwrap();
        assert_eq!(
            (keyword.es_type, keyword.text, keyword.column.as_deref()),
            (EsType::Keyword, None, Some("_kw.user"))
        );
        assert!(mapping.resolve("nothing").is_none() && mapping.resolve("user.other").is_none());
        assert!(mapping.is_object("log") && !mapping.is_object("user"));
        assert_eq!(mapping.matching("*").len(), 1);
    }
}
