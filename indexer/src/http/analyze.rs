//! `_analyze`: the words that a text comes to, by an analyzer, a field's mapping, or a tokenizer with filters.

use serde_json::{Map, Value, json};
use tantivy::tokenizer::Token;

use super::{Call, Endpoint, Reply};
use crate::error::{Error, Result};
use crate::mapping::EsType;
use crate::query::plan::tokens;

/// This file's endpoints.
pub static ENDPOINTS: &[Endpoint] = &[
    Endpoint { methods: &["GET", "POST"], path: "/_analyze", params: &["index"], run: |call| Box::pin(analyze(call)) },
    Endpoint { methods: &["GET", "POST"], path: "/{index}/_analyze", params: &[], run: |call| Box::pin(analyze(call)) },
];

/// Positions between the texts of a list, as Elasticsearch's `position_increment_gap`.
const GAP: usize = 100;

/// A filter over words.
enum Filter {
    Lowercase,
    Uppercase,
    Stop(Vec<String>),
}

impl Filter {
    fn parse(given: &Value) -> Result<(String, Self)> {
        let unknown = || {
            Error::illegal_argument(format!(
                "failed to find filter under [{given}]: there are lowercase, uppercase and stop"
            ))
        };
        let words = |options: &Map<String, Value>| match options.get("stopwords") {
            Some(Value::Array(words)) => Some(words.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            _ => None,
        };
        match given {
            Value::String(name) => {
                let filter = match name.as_str() {
                    "lowercase" => Self::Lowercase,
                    "uppercase" => Self::Uppercase,
                    _ => return Err(unknown()),
                };
                Ok((name.clone(), filter))
            }
            Value::Object(options) => {
                let filter = match options.get("type").and_then(Value::as_str) {
                    Some("lowercase") => Self::Lowercase,
                    Some("uppercase") => Self::Uppercase,
                    Some("stop") => Self::Stop(words(options).ok_or_else(unknown)?),
                    _ => return Err(unknown()),
                };
                Ok(("_anonymous_tokenfilter".to_owned(), filter))
            }
            _ => Err(unknown()),
        }
    }

    fn apply(&self, words: Vec<Word>) -> Vec<Word> {
        let each = |change: fn(&str) -> String| {
            words.iter().map(|word| Word { text: change(&word.text), ..word.clone() }).collect::<Vec<_>>()
        };
        match self {
            Self::Lowercase => each(str::to_lowercase),
            Self::Uppercase => each(str::to_uppercase),
            Self::Stop(stop) => words.into_iter().filter(|word| !stop.contains(&word.text)).collect(),
        }
    }
}

#[derive(Clone)]
struct Word {
    text: String,
    kind: &'static str,
    start: usize,
    end: usize,
    position: usize,
}

/// What a request asks for.
#[derive(Default)]
struct Wanted {
    texts: Vec<String>,
    analyzer: Option<String>,
    tokenizer: Option<String>,
    filters: Option<Vec<(String, Filter)>>,
    field: Option<String>,
    explain: bool,
}

impl Wanted {
    fn parse(body: &Map<String, Value>) -> Result<Self> {
        let mut wanted = Self::default();
        for (key, value) in body {
            match (key.as_str(), value) {
                ("text", Value::String(text)) => wanted.texts.push(text.clone()),
                ("text", Value::Array(list)) => {
                    wanted.texts.extend(list.iter().filter_map(Value::as_str).map(str::to_owned));
                }
                ("analyzer", Value::String(name)) => wanted.analyzer = Some(name.clone()),
                ("tokenizer", Value::String(name)) => wanted.tokenizer = Some(name.clone()),
                ("normalizer", Value::String(name)) if name == "lowercase" => {
                    wanted.filters = Some(vec![(name.clone(), Filter::Lowercase)]);
                }
                ("field", Value::String(name)) => wanted.field = Some(name.clone()),
                ("explain", Value::Bool(on)) => wanted.explain = *on,
                ("filter", Value::Array(list)) => {
                    wanted.filters = Some(list.iter().map(Filter::parse).collect::<Result<_>>()?);
                }
                ("char_filter", Value::Array(list)) if list.is_empty() => {}
                ("char_filter", Value::Array(list)) if !body.contains_key("tokenizer") => {
                    let names: Vec<String> =
                        list.iter().map(|name| name.as_str().map_or_else(|| name.to_string(), str::to_owned)).collect();
                    let reason = format!("Custom normalizer may not use char filter [{}]", names.join(", "));
                    return Err(Error::illegal_argument(reason));
                }
                _ => {
                    return Err(Error::illegal_argument(format!("[_analyze] [{key}] with [{value}] is not supported")));
                }
            }
        }
        if wanted.texts.is_empty() {
            return Err(crate::query::Refusal::validation("text is missing").into());
        }
        Ok(wanted)
    }

    /// Words before any filter.
    fn words(&self, analyzer: &str) -> Result<Vec<Word>> {
        let (mut words, mut before, mut position) = (Vec::new(), 0, 0);
        // An analyzer puts words into lower case, a tokenizer leaves them.
        let (name, keep_case) = match &self.tokenizer {
            Some(name) if matches!(name.as_str(), "standard" | "whitespace" | "keyword") => (name.as_str(), true),
            Some(name) => {
                return Err(Error::illegal_argument(format!("failed to find global tokenizer under [{name}]")));
            }
            None => (analyzer, analyzer == "keyword"),
        };
        for text in &self.texts {
            let found = tokens(text, Some(name))
                .map_err(|_| Error::illegal_argument(format!("failed to find global analyzer [{name}]")))?;
            // Offsets count UTF-16 units, as in Java.
            let units = |end: usize| text.get(..end).map_or(end, |part| part.encode_utf16().count());
            let mut last = 0;
            for Token { offset_from, offset_to, position: at, text: word, .. } in found {
                let kind = match name {
                    "keyword" | "whitespace" | "simple" => "word",
                    _ if word.bytes().all(|byte| byte.is_ascii_digit()) => "<NUM>",
                    _ => "<ALPHANUM>",
                };
                let spelled = if keep_case { text.get(offset_from..offset_to).unwrap_or("").to_owned() } else { word };
                let (start, end) = (before + units(offset_from), before + units(offset_to));
                words.push(Word { text: spelled, kind, start, end, position: position + at });
                last = at;
            }
            before += text.encode_utf16().count() + 1;
            position += last + GAP + 1;
        }
        Ok(words)
    }
}

fn shown(words: &[Word]) -> Value {
    let one = |word: &Word| {
        json!({"token": word.text, "start_offset": word.start, "end_offset": word.end, "type": word.kind,
            "position": word.position})
    };
    words.iter().map(one).collect()
}

async fn analyze(call: Call) -> Result<Reply> {
    let body = call
        .json()?
        .ok_or_else(|| Error::new(400, "parse_exception", "request body or source parameter is required"))?;
    let wanted = Wanted::parse(body.as_object().ok_or_else(|| Error::parsing("Expected [START_OBJECT]"))?)?;
    let index = call.part("index").or(call.query.text("index"));
    let mut analyzer = wanted.analyzer.clone().unwrap_or_else(|| {
        // Filters alone are a normalizer, which takes the text as it is.
        let whole = wanted.filters.is_some() && wanted.tokenizer.is_none();
        if whole { "keyword" } else { "standard" }.to_owned()
    });
    if let Some(index) = index {
        let indices = call.context.store.resolve(index, crate::store::Choice::default())?;
        if let Some(field) = &wanted.field {
            let kind = indices.first().and_then(|index| index.mapping().resolve(field)).map(|field| field.es_type);
            if kind.is_some_and(|kind| kind != EsType::Text) {
                analyzer = "keyword".into();
            }
        }
    }
    let words = wanted.words(&analyzer)?;
    let custom = wanted.tokenizer.is_some() || wanted.filters.is_some();
    let tokenizer = json!({"name": wanted.tokenizer.as_deref().unwrap_or("keyword"), "tokens": shown(&words)});
    let (mut last, mut steps) = (words, Vec::new());
    for (name, filter) in wanted.filters.iter().flatten() {
        last = filter.apply(last);
        steps.push(json!({"name": name, "tokens": shown(&last)}));
    }
    if !wanted.explain {
        return Ok(Reply::json(&json!({"tokens": shown(&last)})));
    }
    let detail = if custom {
        json!({"custom_analyzer": true, "charfilters": [], "tokenizer": tokenizer, "tokenfilters": steps})
    } else {
        json!({"custom_analyzer": false, "analyzer": {"name": analyzer, "tokens": shown(&last)}})
    };
    Ok(Reply::json(&json!({"detail": detail})))
}
