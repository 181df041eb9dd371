//! Which containers are shipped: include and exclude lists over name, image, service, stack and labels, and the
//! container's own label `weir.enabled`.

use crate::docker::Metadata;

/// One rule: what it looks at, and the pattern (with `*` for any text) that it must match.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Name(String),
    Image(String),
    Service(String),
    Stack(String),
    Label(String, String),
}

/// The include and exclude lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    include: Vec<Rule>,
    exclude: Vec<Rule>,
}

impl Choice {
    /// Reads both lists; on a mistake answers the key and the problem.
    pub(crate) fn parse(include: &[String], exclude: &[String]) -> Result<Self, (&'static str, String)> {
        let read = |key: &'static str, rules: &[String]| -> Result<Vec<Rule>, (&'static str, String)> {
            rules.iter().map(|text| Rule::parse(text).ok_or_else(|| (key, format!("`{text}` is not a rule")))).collect()
        };
        Ok(Self { include: read("include", include)?, exclude: read("exclude", exclude)? })
    }

    /// Whether the container is shipped. Its own label has the last word, then `exclude`, then `include`.
    pub(crate) fn takes(&self, metadata: &Metadata) -> bool {
        match metadata.label("weir.enabled") {
            Some("false") => return false,
            Some("true") => return true,
            _ => {}
        }
        if self.exclude.iter().any(|rule| rule.matches(metadata)) {
            return false;
        }
        self.include.is_empty() || self.include.iter().any(|rule| rule.matches(metadata))
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let (kind, pattern) = text.split_once(':')?;
        if pattern.is_empty() {
            return None;
        }
        Some(match kind {
            "name" => Self::Name(pattern.to_owned()),
            "image" => Self::Image(pattern.to_owned()),
            "service" => Self::Service(pattern.to_owned()),
            "stack" => Self::Stack(pattern.to_owned()),
            "label" => match pattern.split_once('=') {
                Some((key, value)) => Self::Label(key.to_owned(), value.to_owned()),
                None => Self::Label(pattern.to_owned(), "*".to_owned()),
            },
            _ => return None,
        })
    }

    fn matches(&self, metadata: &Metadata) -> bool {
        let fits = |pattern: &str, value: Option<&str>| value.is_some_and(|value| matches_pattern(pattern, value));
        match self {
            Self::Name(pattern) => fits(pattern, metadata.name.as_deref()),
            Self::Image(pattern) => fits(pattern, metadata.image.as_deref()),
            Self::Service(pattern) => fits(pattern, metadata.service()),
            Self::Stack(pattern) => fits(pattern, metadata.namespace()),
            Self::Label(key, pattern) => fits(pattern, metadata.label(key)),
        }
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any text. Linear in both: a greedy match per piece.
pub(crate) fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(first) = pieces.next() else { return text.is_empty() };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(labels: &[(&str, &str)]) -> Metadata {
        Metadata {
            name: Some("shop_web.1".to_owned()),
            image: Some("nginx:1.27".to_owned()),
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        }
    }

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("web", "web", true),
            ("web", "web1", false),
            ("web*", "web1", true),
            ("*web", "shop-web", true),
            ("*w*b*", "shop-web-1", true),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches_pattern(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn labels_beat_exclude_beats_include() {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        let choice = Choice::parse(&list(&["name:shop_*", "label:team"]), &list(&["image:nginx*"])).unwrap();
        assert!(!choice.takes(&container(&[])));
        assert!(choice.takes(&container(&[("weir.enabled", "true")])));
        let choice = Choice::parse(&list(&["label:team=blue"]), &[]).unwrap();
        assert!(choice.takes(&container(&[("team", "blue")])));
        assert!(!choice.takes(&container(&[("team", "red")])));
        assert!(!choice.takes(&container(&[("team", "blue"), ("weir.enabled", "false")])));
        assert!(Choice::parse(&list(&["colour:red"]), &[]).is_err());
    }
}
