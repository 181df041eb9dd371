//! Mappings given by people: `PUT _mapping` in, `GET _mapping` out, and the same JSON in an index's `meta.json`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    DEPTH_MAX, Dynamic, EsType, FIELDS_MAX, KEYWORD_BYTES_MAX, Leaf, Mapping, Node, PATH_BYTES_MAX, ROOT, Typed,
};

/// What is wrong with a mapping that was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// It cannot be read, or asks for what weir does not have. Elasticsearch's `mapper_parsing_exception`.
    #[error("{0}")]
    Parsing(String),
    /// It contradicts what is there. Elasticsearch's `illegal_argument_exception`.
    #[error("{0}")]
    Conflict(String),
}

/// Options of a field definition that change nothing here, or only how scores come out; kept and shown.
const HARMLESS: [&str; 20] = [
    "norms",
    "doc_values",
    "store",
    "eager_global_ordinals",
    "index_options",
    "similarity",
    "boost",
    "split_queries_on_whitespace",
    "time_series_dimension",
    "time_series_metric",
    "scaling_factor",
    "coerce",
    "ignore_malformed",
    "meta",
    "fielddata",
    "locale",
    "position_increment_gap",
    "index_phrases",
    "index_prefixes",
    "term_vector",
];
/// Options that are understood.
const KNOWN: [&str; 9] =
    ["type", "index", "fields", "ignore_above", "format", "properties", "dynamic", "enabled", "normalizer"];
/// Types of Elasticsearch that weir does not search. Their values are kept in `_source`, `exists` finds them, `_mapping`
/// shows them as declared, and any other query on them is refused; so an index that has them can be restored.
const KEPT: [&str; 22] = [
    "geo_point",
    "geo_shape",
    "point",
    "shape",
    "binary",
    "completion",
    "join",
    "percolator",
    "token_count",
    "murmur3",
    "rank_feature",
    "rank_features",
    "dense_vector",
    "sparse_vector",
    "histogram",
    "integer_range",
    "float_range",
    "long_range",
    "double_range",
    "date_range",
    "ip_range",
    "aggregate_metric_double",
];
/// Options of the top of a mapping that are kept and shown.
const TOP: [&str; 8] = [
    "_meta",
    "dynamic_date_formats",
    "_source",
    "_routing",
    "_data_stream_timestamp",
    "runtime",
    "_field_names",
    "subobjects",
];

impl Mapping {
    /// Adds what `given` declares (the object that holds `properties`).
    ///
    /// # Errors
    /// When it cannot be read, or a field would change its type; the mapping is then unchanged.
    pub fn declare(&self, given: &Value) -> Result<Self, MappingError> {
        let mut next = self.clone();
        let Some(given) = given.as_object() else {
            return Err(MappingError::Parsing("Failed to parse mapping: expected an object".to_owned()));
        };
        for (option, value) in given {
            match option.as_str() {
                "properties" => next.declare_properties(ROOT, value)?,
                "dynamic" => next.nodes[ROOT as usize].dynamic = Some(dynamic(value)?),
                "date_detection" => next.date_detection = flag(option, value)?,
                "numeric_detection" => next.numeric_detection = flag(option, value)?,
                "dynamic_templates" => next.templates = templates(value)?,
                known if TOP.contains(&known) => {
                    if known == "runtime" && value.as_object().is_some_and(|fields| !fields.is_empty()) {
                        return Err(MappingError::Parsing("runtime fields are not supported".to_owned()));
                    }
                    if known == "_source" && value.get("enabled").is_some_and(|on| on == &json!(false)) {
                        return Err(MappingError::Parsing("[_source] cannot be disabled".to_owned()));
                    }
                }
                other => {
                    return Err(MappingError::Parsing(format!(
                        "Root mapping definition has unsupported parameters:  [{other} : {value}]"
                    )));
                }
            }
            if !matches!(option.as_str(), "properties" | "dynamic") {
                next.extras.insert(option.clone(), value.clone());
            }
        }
        next.generation = self.generation + 1;
        Ok(next)
    }

    /// Takes over what an index's settings (flat) say of fields and searches.
    ///
    /// # Errors
    /// For a value that cannot be, or a normalizer that weir does not have.
    pub fn take_settings(&mut self, settings: &Map<String, Value>) -> Result<(), MappingError> {
        self.normalizers = super::limits::normalizers(settings)?;
        self.limits = super::Limits::read(settings)?;
        Ok(())
    }

    fn declare_properties(&mut self, parent: u32, properties: &Value) -> Result<(), MappingError> {
        let Some(properties) = properties.as_object() else {
            return Err(MappingError::Parsing("Expected map for property [properties]".to_owned()));
        };
        for (name, definition) in properties {
            let mut node = parent;
            for key in name.split('.') {
                if key.is_empty() || key.bytes().any(|byte| byte <= 1) {
                    return Err(MappingError::Conflict(format!(
                        "field name [{name}] cannot be an empty string or hold a control character"
                    )));
                }
                node = self.child_or_new(node, key);
            }
            let here = &self.nodes[node as usize];
            if here.depth > DEPTH_MAX || here.path.len() > PATH_BYTES_MAX || self.nodes.len() > FIELDS_MAX * 4 {
                return Err(MappingError::Conflict(format!(
                    "Limit of mapping depth [{DEPTH_MAX}] or of total fields [{FIELDS_MAX}] has been exceeded"
                )));
            }
            self.declare_node(node, definition)?;
        }
        Ok(())
    }

    fn declare_node(&mut self, node: u32, definition: &Value) -> Result<(), MappingError> {
        let path = Arc::clone(&self.nodes[node as usize].path);
        let Some(options) = definition.as_object() else {
            return Err(MappingError::Parsing(format!("Expected map for property [{path}]")));
        };
        let name = options.get("type").and_then(Value::as_str);
        let is_object =
            matches!(name, Some("object" | "nested")) || (name.is_none() && options.contains_key("properties"));
        if is_object || (name.is_none() && options.keys().all(|key| matches!(key.as_str(), "dynamic" | "enabled"))) {
            if self.nodes[node as usize].leaf.as_ref().is_some_and(|leaf| leaf.seen) {
                return Err(MappingError::Conflict(format!(
                    "can't merge a non object mapping [{path}] with an object mapping"
                )));
            }
            for (option, value) in options {
                match option.as_str() {
                    "type" | "include_in_parent" | "include_in_root" | "subobjects" => {}
                    "properties" => self.declare_properties(node, value)?,
                    "dynamic" => self.nodes[node as usize].dynamic = Some(dynamic(value)?),
                    "enabled" => self.nodes[node as usize].disabled = !flag(option, value)?,
                    other => {
                        return Err(MappingError::Parsing(format!(
                            "unknown parameter [{other}] on mapper [{path}] of type [object]"
                        )));
                    }
                }
            }
            self.nodes[node as usize].declared_object = Some(name.unwrap_or("object").into());
            return Ok(());
        }
        let mut fresh = leaf(&path, definition, &self.normalizers)?;
        if let Some(target) = &fresh.alias
            && self.alias_target(target).is_none()
        {
            return Err(MappingError::Parsing(format!(
                "Invalid [path] value [{target}] for field alias [{path}]: an alias must refer to an existing field in the mappings."
            )));
        }
        let here = &mut self.nodes[node as usize];
        // What lies beneath a value that is not searched is not looked at either.
        here.disabled = KEPT.contains(&name.unwrap_or(""));
        if let Some(old) = &here.leaf {
            if old.seen && (old.es_type != fresh.es_type || old.words != fresh.words) {
                return Err(MappingError::Conflict(format!(
                    "mapper [{path}] cannot be changed from type [{}] to [{}]",
                    old.type_name(),
                    fresh.type_name()
                )));
            }
            let fits = match old.typed {
                Some(Typed::Keyword(_)) => fresh.es_type == EsType::Keyword && fresh.word_subfields.is_empty(),
                Some(Typed::Message) => fresh.es_type == EsType::Text && fresh.exact_subfields.is_empty(),
                Some(Typed::Timestamp) => fresh.es_type == EsType::Date,
                Some(Typed::Offset) => fresh.es_type == EsType::Long,
                None => false,
            };
            // A seen field keeps its place: documents already lie there.
            if fits || old.seen {
                fresh.typed = old.typed;
            }
        }
        if !here.leaf.as_ref().is_some_and(|old| old.seen) {
            if self.fields >= FIELDS_MAX {
                return Err(MappingError::Conflict(format!("Limit of total fields [{FIELDS_MAX}] has been exceeded")));
            }
            self.fields += 1;
        }
        here.leaf = Some(fresh);
        Ok(())
    }

    /// The field that an alias of this path would stand for.
    fn alias_target(&self, path: &str) -> Option<&Leaf> {
        let node = path.split('.').try_fold(ROOT, |node, key| self.child(node, key))?;
        self.nodes[node as usize].leaf.as_ref().filter(|leaf| leaf.alias.is_none())
    }

    /// As `GET _mapping` shows it: the object that holds `properties`.
    pub fn render(&self) -> Value {
        let mut shown = Map::new();
        if let Some(dynamic) = self.nodes[ROOT as usize].dynamic {
            shown.insert("dynamic".to_owned(), json!(dynamic.name()));
        }
        shown.extend(self.extras.clone());
        if let Some(properties) = self.render_children(&self.nodes[ROOT as usize]) {
            shown.insert("properties".to_owned(), properties);
        }
        Value::Object(shown)
    }

    fn render_children(&self, node: &Node) -> Option<Value> {
        let mut names: BTreeMap<&str, Value> = BTreeMap::new();
        for child in node.children.values() {
            let child = &self.nodes[*child as usize];
            let shown = match &child.leaf {
                Some(leaf) if leaf.seen => Some(leaf.render()),
                _ => {
                    let beneath = self.render_children(child);
                    if beneath.is_none() && child.declared_object.is_none() {
                        None
                    } else {
                        let mut object = Map::new();
                        if let Some(name) =
                            child.declared_object.as_deref().filter(|name| *name == "nested" || beneath.is_none())
                        {
                            object.insert("type".to_owned(), json!(name));
                        }
                        if let Some(dynamic) = child.dynamic {
                            object.insert("dynamic".to_owned(), json!(dynamic.name()));
                        }
                        if child.disabled {
                            object.insert("enabled".to_owned(), json!(false));
                        }
                        if let Some(beneath) = beneath {
                            object.insert("properties".to_owned(), beneath);
                        }
                        Some(Value::Object(object))
                    }
                }
            };
            if let Some(shown) = shown {
                names.insert(&child.key, shown);
            }
        }
        if names.is_empty() {
            None
        } else {
            Some(Value::Object(names.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()))
        }
    }
}

impl Dynamic {
    fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Strict => "strict",
        }
    }
}

impl Leaf {
    /// The type as declared, else as weir calls it.
    pub fn type_name(&self) -> &str {
        self.declared
            .as_ref()
            .and_then(|given| given.get("type"))
            .and_then(Value::as_str)
            .unwrap_or(self.es_type.name())
    }

    fn render(&self) -> Value {
        if let Some(declared) = &self.declared {
            return declared.as_ref().clone();
        }
        if self.es_type == EsType::Text && self.typed.is_none() {
            return json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": KEYWORD_BYTES_MAX}}});
        }
        json!({"type": self.es_type.name()})
    }
}

/// Reads the definition of one field.
pub(super) fn leaf(path: &str, definition: &Value, normalizers: &BTreeMap<String, bool>) -> Result<Leaf, MappingError> {
    let Some(options) = definition.as_object() else {
        return Err(MappingError::Parsing(format!("Expected map for property [{path}]")));
    };
    let Some(name) = options.get("type").and_then(Value::as_str) else {
        return Err(MappingError::Parsing(format!("No type specified for field [{path}]")));
    };
    if name == "alias" {
        let target = options.get("path").and_then(Value::as_str).ok_or_else(|| {
            MappingError::Parsing(format!("The [path] property must be specified for field [{path}]."))
        })?;
        let declared = Some(Arc::new(definition.clone()));
        return Ok(Leaf {
            declared,
            alias: Some(target.into()),
            exact_subfields: Vec::new(),
            ..Leaf::of(EsType::Keyword)
        });
    }
    if KEPT.contains(&name) {
        let declared = Some(Arc::new(definition.clone()));
        return Ok(Leaf { declared, indexed: false, exact_subfields: Vec::new(), ..Leaf::of(EsType::Keyword) });
    }
    let es_type = es_type(name)
        .ok_or_else(|| MappingError::Parsing(format!("No handler for type [{name}] declared on field [{path}]")))?;
    for option in options.keys() {
        let analyzer = matches!(option.as_str(), "analyzer" | "search_analyzer" | "search_quote_analyzer");
        if analyzer && options[option] != "standard" && options[option] != "default" {
            return Err(MappingError::Parsing(format!(
                "analyzer {} of [{path}] is not supported; there is [standard]",
                options[option]
            )));
        }
        if !analyzer && !KNOWN.contains(&option.as_str()) && !HARMLESS.contains(&option.as_str()) {
            return Err(MappingError::Parsing(format!(
                "unknown parameter [{option}] on mapper [{path}] of type [{name}]"
            )));
        }
    }
    let mut leaf =
        Leaf { declared: Some(Arc::new(definition.clone())), exact_subfields: Vec::new(), ..Leaf::of(es_type) };
    leaf.exact = es_type != EsType::Text;
    // Where there are columns, they answer queries also without terms, as in Elasticsearch since 8.1.
    let on = |option: &str| options.get(option).is_none_or(|on| on != &json!(false) && on != "false");
    leaf.indexed = on("index") || (es_type != EsType::Text && on("doc_values"));
    leaf.lowercase = match options.get("normalizer").and_then(Value::as_str) {
        None => false,
        Some(normalizer) if es_type == EsType::Keyword => *normalizers
            .get(normalizer)
            .ok_or_else(|| MappingError::Parsing(format!("normalizer [{normalizer}] not found for field [{path}]")))?,
        Some(_) => {
            return Err(MappingError::Parsing(format!(
                "unknown parameter [normalizer] on mapper [{path}] of type [{name}]"
            )));
        }
    };
    leaf.format = options.get("format").and_then(Value::as_str).map(str::to_owned);
    if let Some(limit) = options.get("ignore_above").and_then(Value::as_u64) {
        leaf.ignore_above = u32::try_from(limit).unwrap_or(u32::MAX).min(KEYWORD_BYTES_MAX);
    }
    if let Some(fields) = options.get("fields").and_then(Value::as_object) {
        for (sub, definition) in fields {
            let inner = self::leaf(&format!("{path}.{sub}"), definition, normalizers)?;
            if inner.words {
                leaf.words = true;
                leaf.word_subfields.push(sub.clone());
            } else {
                leaf.exact = true;
                if es_type == EsType::Text {
                    leaf.ignore_above = leaf.ignore_above.min(inner.ignore_above);
                }
                leaf.exact_subfields.push(sub.clone());
            }
        }
    }
    // The column of a text with exact subfields holds its exact values.
    leaf.fielddata = es_type == EsType::Text
        && leaf.exact_subfields.is_empty()
        && options.get("fielddata").is_some_and(|on| on == &json!(true) || on == "true");
    Ok(leaf)
}

fn es_type(name: &str) -> Option<EsType> {
    Some(match name {
        "text" | "match_only_text" | "search_as_you_type" | "annotated_text" | "string" => EsType::Text,
        "keyword" | "constant_keyword" | "wildcard" | "version" | "flattened" => EsType::Keyword,
        "long" | "integer" | "short" | "byte" | "unsigned_long" => EsType::Long,
        "double" | "float" | "half_float" | "scaled_float" => EsType::Double,
        "boolean" => EsType::Boolean,
        "date" | "date_nanos" => EsType::Date,
        "ip" => EsType::Ip,
        _ => return None,
    })
}

fn dynamic(value: &Value) -> Result<Dynamic, MappingError> {
    match value {
        Value::Bool(true) => Ok(Dynamic::True),
        Value::Bool(false) => Ok(Dynamic::False),
        Value::String(text) if text == "true" || text == "runtime" => Ok(Dynamic::True),
        Value::String(text) if text == "false" => Ok(Dynamic::False),
        Value::String(text) if text == "strict" => Ok(Dynamic::Strict),
        other => Err(MappingError::Parsing(format!("dynamic cannot be {other}: true, false or strict"))),
    }
}

fn flag(option: &str, value: &Value) -> Result<bool, MappingError> {
    match value {
        Value::Bool(on) => Ok(*on),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        other => Err(MappingError::Parsing(format!("[{option}] is true or false, not {other}"))),
    }
}

fn templates(value: &Value) -> Result<Vec<Value>, MappingError> {
    let wrong =
        || MappingError::Parsing("Dynamic template syntax error. An array of named objects is expected.".to_owned());
    let templates = value.as_array().ok_or_else(wrong)?;
    for template in templates {
        let rule = template
            .as_object()
            .filter(|named| named.len() == 1)
            .and_then(|named| named.values().next())
            .ok_or_else(wrong)?;
        let rule = rule.as_object().ok_or_else(wrong)?;
        const RULES: [&str; 6] = ["match", "unmatch", "path_match", "path_unmatch", "match_mapping_type", "mapping"];
        if let Some(other) = rule.keys().find(|key| !RULES.contains(&key.as_str())) {
            return Err(MappingError::Parsing(format!("dynamic template option [{other}] is not supported")));
        }
    }
    Ok(templates.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Seen;

    #[test]
    fn what_was_declared_is_shown_again_and_survives_saving() {
        let given = json!({"dynamic": "strict", "_meta": {"a": 1}, "properties": {
            "code": {"type": "integer"}, "name": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
            "at": {"properties": {"day": {"type": "date", "format": "yyyy-MM-dd"}}}, "blob": {"type": "object", "enabled": false}}});
        let mapping = Mapping::default().declare(&given).unwrap();
        let shown = mapping.render();
        assert_eq!(shown["properties"]["code"], json!({"type": "integer"}));
        assert_eq!(shown["properties"]["at"]["properties"]["day"]["format"], "yyyy-MM-dd");
        assert_eq!(shown["properties"]["blob"], json!({"type": "object", "enabled": false}));
        assert_eq!(shown["dynamic"], "strict");
        let again = Mapping::default().declare(&shown).unwrap();
        assert_eq!(again.render(), shown);
        assert_eq!(again.len(), mapping.len());
    }

    #[test]
    fn dynamic_fields_survive_saving() {
        let mut mapping = Mapping::default();
        mapping.grow_field(ROOT, "note", Seen::String).unwrap();
        mapping.grow_field(ROOT, "message", Seen::String).unwrap();
        let shown = mapping.render();
        assert_eq!(shown["properties"]["message"], json!({"type": "text"}));
        let again = Mapping::default().declare(&shown).unwrap();
        assert_eq!(again.resolve("note.keyword").unwrap().es_type, EsType::Keyword);
        assert!(again.resolve("message").unwrap().typed.is_some());
    }

    #[test]
    fn a_type_does_not_change_and_the_unsupported_is_named() {
        let mapping = Mapping::default().declare(&json!({"properties": {"a": {"type": "long"}}})).unwrap();
        let error = mapping.declare(&json!({"properties": {"a": {"type": "keyword"}}})).unwrap_err();
        assert!(error.to_string().contains("mapper [a] cannot be changed from type [long] to [keyword]"), "{error}");
        let error = mapping.declare(&json!({"properties": {"g": {"type": "nothing"}}})).unwrap_err();
        assert!(error.to_string().contains("[nothing]"), "{error}");
        assert!(mapping.declare(&json!({"properties": {"b": {"type": "long", "wrong": 1}}})).is_err());
    }

    #[test]
    fn templates_decide_new_fields() {
        let given = json!({"dynamic_templates": [{"strings": {"match": "*_id", "match_mapping_type": "string", "mapping": {"type": "keyword"}}}]});
        let mut mapping = Mapping::default().declare(&given).unwrap();
        mapping.grow_field(ROOT, "user_id", Seen::String).unwrap();
        mapping.grow_field(ROOT, "user", Seen::String).unwrap();
        assert_eq!(mapping.resolve("user_id").unwrap().es_type, EsType::Keyword);
        assert_eq!(mapping.resolve("user").unwrap().es_type, EsType::Text);
    }
}
