//! What is kept for how long: by age and by bytes, for everything, for indices by pattern, and for services.
//!
//! Partitions are cut by arrival, so what is too old or too much goes partition by partition. Where a service is to be
//! kept shorter than the rest, its documents are taken out of closed partitions, and where longer, the others are; the
//! partition is then written anew without them (see `sieve`). The bytes of a service are estimated from its part of a
//! partition's documents.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};
use weir_daemon::settings::{Bytes, Span};

use crate::mapping::wildcard;

/// A rule of the settings: `NAME=AGE`, `NAME=BYTES` or `NAME=AGE,BYTES`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Name or pattern.
    pub(crate) name: String,
    /// `Some(None)`: for ever; `None`: the rule does not say.
    pub(crate) keep: Option<Option<Duration>>,
    pub(crate) bytes: Option<u64>,
}

/// All rules.
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// For everything that no rule names; `None` is for ever.
    pub(crate) keep: Option<Duration>,
    pub(crate) indices: Vec<Rule>,
    pub(crate) services: Vec<Rule>,
}

impl Rule {
    /// Reads a rule; `0` as an age is for ever.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, amounts) = text.split_once('=').ok_or("there is no =")?;
        let mut rule = Self { name: name.trim().to_owned(), keep: None, bytes: None };
        if rule.name.is_empty() {
            return Err("there is no name before =".to_owned());
        }
        for amount in amounts.split(',').map(str::trim) {
            let deserializer = || -> StrDeserializer<'_, ValueError> { amount.into_deserializer() };
            if amount.ends_with(['b', 'B']) {
                rule.bytes = Some(Bytes::deserialize(deserializer()).map_err(|error| error.to_string())?.get());
            } else {
                let span = Span::deserialize(deserializer()).map_err(|error| error.to_string())?.get();
                rule.keep = Some((!span.is_zero()).then_some(span));
            }
        }
        Ok(rule)
    }
}

impl Retention {
    fn rule(&self, index: &str) -> Option<&Rule> {
        self.indices.iter().find(|rule| wildcard(&rule.name, index))
    }

    /// How long documents of an index are kept that no service's rule names; `None` is for ever.
    pub(crate) fn keep(&self, index: &str) -> Option<Duration> {
        self.rule(index).and_then(|rule| rule.keep).unwrap_or(self.keep)
    }

    /// Most bytes of an index.
    pub(crate) fn bytes(&self, index: &str) -> Option<u64> {
        self.rule(index).and_then(|rule| rule.bytes)
    }

    /// Services whose documents of that age go, although the others stay.
    pub(crate) fn gone(&self, age: Duration) -> impl Iterator<Item = &str> {
        let is_gone = move |rule: &&Rule| rule.keep.flatten().is_some_and(|keep| age >= keep);
        self.services.iter().filter(is_gone).map(|rule| rule.name.as_str())
    }

    /// Services whose documents of that age stay, although the others go.
    pub(crate) fn survivors(&self, age: Duration) -> impl Iterator<Item = &str> {
        let stays = move |rule: &&Rule| rule.keep.is_some_and(|keep| keep.is_none_or(|keep| age < keep));
        self.services.iter().filter(stays).map(|rule| rule.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let day = Duration::from_secs(86_400);
        let rule = |text: &str| Rule::parse(text).unwrap();
        assert_eq!(rule("web=3d"), Rule { name: "web".to_owned(), keep: Some(Some(3 * day)), bytes: None });
        assert_eq!(rule("a-*=7d, 5GB").bytes, Some(5_000_000_000));
        assert_eq!(rule("audit=0").keep, Some(None));
        assert_eq!(rule("x=500MB"), Rule { name: "x".to_owned(), keep: None, bytes: Some(500_000_000) });
        for bad in ["web", "=3d", "web=soon", "web=", "web=3d;4GB"] {
            assert!(Rule::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn who_goes_and_who_stays() {
        let day = Duration::from_secs(86_400);
        let rules = |texts: &[&str]| texts.iter().map(|text| Rule::parse(text).unwrap()).collect();
        let retention = Retention {
            keep: Some(30 * day),
            indices: rules(&["audit-*=0", "debug-*=3d,1GB"]),
            services: rules(&["chatty=2d", "payments=365d", "ledger=0", "big=1GB"]),
        };
        assert_eq!((retention.keep("logs"), retention.keep("audit-x")), (Some(30 * day), None));
        assert_eq!((retention.keep("debug-x"), retention.bytes("debug-x")), (Some(3 * day), Some(1_000_000_000)));
        assert_eq!(retention.gone(3 * day).collect::<Vec<_>>(), ["chatty"]);
        assert_eq!(retention.survivors(31 * day).collect::<Vec<_>>(), ["payments", "ledger"]);
        assert_eq!(retention.survivors(400 * day).collect::<Vec<_>>(), ["ledger"]);
    }
}
