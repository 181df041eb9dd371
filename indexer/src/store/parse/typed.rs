//! Values as the type of their field wants them; `None` where they do not fit.

use super::super::date;
use super::super::document::Scalar;
use super::Parser;
use crate::mapping::Seen;

impl Parser<'_> {
    /// A string in lower case, in the text itself where it is that already.
    pub(super) fn lowered(&mut self, scalar: Scalar) -> Scalar {
        let text = self.text_of(scalar);
        let lower = text.to_lowercase();
        if lower == text {
            return scalar;
        }
        let start = self.values.unescaped.len();
        self.values.unescaped.push_str(&lower);
        Scalar::Unescaped { start: start as u32, len: lower.len() as u32 }
    }

    pub(super) fn text_of(&self, scalar: Scalar) -> &str {
        match scalar {
            Scalar::Text { start, len } => &self.text[start as usize..(start + len) as usize],
            Scalar::Unescaped { start, len } => &self.values.unescaped[start as usize..(start + len) as usize],
            _ => "",
        }
    }

    pub(super) fn seen(&self, scalar: Scalar) -> Seen {
        match scalar {
            Scalar::Bool(_) => Seen::Boolean,
            Scalar::I64(_) | Scalar::U64(_) => Seen::Long,
            Scalar::F64(_) => Seen::Double,
            text => {
                let text = self.text_of(text);
                if date::parse_iso(text).is_some() {
                    Seen::Date
                } else if !text.is_empty() && text.parse::<i64>().is_ok() {
                    Seen::IntegerText
                } else {
                    Seen::String
                }
            }
        }
    }

    pub(super) fn whole_number(&self, scalar: Scalar) -> Option<Scalar> {
        match scalar {
            Scalar::I64(_) | Scalar::U64(_) => Some(scalar),
            // Elasticsearch cuts the fraction off.
            Scalar::F64(n) if n.abs() < 9e18 => Some(Scalar::I64(n as i64)),
            Scalar::Text { .. } | Scalar::Unescaped { .. } => {
                let text = self.text_of(scalar).trim();
                text.parse()
                    .ok()
                    .map(Scalar::I64)
                    .or_else(|| text.parse::<f64>().ok().filter(|n| n.abs() < 9e18).map(|n| Scalar::I64(n as i64)))
            }
            _ => None,
        }
    }

    pub(super) fn any_number(&self, scalar: Scalar) -> Option<Scalar> {
        let number = match scalar {
            Scalar::I64(n) => n as f64,
            Scalar::U64(n) => n as f64,
            Scalar::F64(n) => n,
            Scalar::Text { .. } | Scalar::Unescaped { .. } => self.text_of(scalar).trim().parse().ok()?,
            _ => return None,
        };
        number.is_finite().then_some(Scalar::F64(number))
    }

    pub(super) fn boolean(&self, scalar: Scalar) -> Option<Scalar> {
        match scalar {
            Scalar::Bool(_) => Some(scalar),
            Scalar::Text { .. } | Scalar::Unescaped { .. } => match self.text_of(scalar) {
                "true" => Some(Scalar::Bool(true)),
                "false" | "" => Some(Scalar::Bool(false)),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn moment(&self, scalar: Scalar, as_text: Scalar, format: Option<&str>) -> Option<Scalar> {
        if let Some(format) = format {
            return date::parse_by(format, self.text_of(as_text)).map(Scalar::Date);
        }
        match scalar {
            Scalar::I64(millis) => millis.checked_mul(1_000_000).map(Scalar::Date),
            Scalar::Text { .. } | Scalar::Unescaped { .. } => {
                let text = self.text_of(scalar);
                date::parse_iso(text).or_else(|| text.parse::<i64>().ok()?.checked_mul(1_000_000)).map(Scalar::Date)
            }
            _ => None,
        }
    }
}
