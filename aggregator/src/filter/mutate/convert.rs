//! `convert`: values to another type, as Ruby does it: what a text begins with counts, commas between digits are
//! passed over, hexadecimal numbers are read.

use crate::event::{Text, Value};

/// The types to convert to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number of any size.
    Integer,
    /// The same where a stop stands between thousands and a comma before the fraction.
    IntegerEu,
    /// A floating-point number.
    Float,
    /// The same with stop and comma the other way round.
    FloatEu,
    /// Text.
    String,
    /// true or false; what is neither stays.
    Boolean,
}

impl Kind {
    /// Their names.
    pub const NAMES: [&'static str; 6] = ["integer", "integer_eu", "float", "float_eu", "string", "boolean"];

    /// The type of a name.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "integer" => Kind::Integer,
            "integer_eu" => Kind::IntegerEu,
            "float" => Kind::Float,
            "float_eu" => Kind::FloatEu,
            "string" => Kind::String,
            "boolean" => Kind::Boolean,
            _ => return None,
        })
    }

    /// Whether `mutate` converts a value: as in Logstash since 8.14, a text must be a number as a whole to become a float,
    /// and to become an integer if there is an `e` in it.
    pub fn takes(self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Array(items)) => items.iter().all(|item| self.takes(item)),
            (Kind::Float | Kind::FloatEu | Kind::Integer | Kind::IntegerEu, Value::Text(text)) => {
                let text = plain(text, matches!(self, Kind::FloatEu | Kind::IntegerEu));
                let text = text.trim();
                let body = text.strip_prefix(['-', '+']).unwrap_or(text);
                let hex = body.starts_with("0x") || body.starts_with("0X");
                let loose = matches!(self, Kind::Integer | Kind::IntegerEu) && !text.contains('e');
                loose || hex && number(text).is_some() || is_number(body)
            }
            _ => true,
        }
    }

    /// Converts a value, or every value of a list. Null and hashes stay.
    pub fn convert(self, value: Value) -> Value {
        match value {
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.convert(item)).collect()),
            value @ (Value::Null | Value::Object(_)) => value,
            value => match self {
                Kind::String => Value::Text(value.to_text()),
                Kind::Boolean => boolean(value),
                Kind::Integer => integer(value, false),
                Kind::IntegerEu => integer(value, true),
                Kind::Float => float(value, false),
                Kind::FloatEu => float(value, true),
            },
        }
    }
}

fn boolean(value: Value) -> Value {
    let word = match &value {
        // As Ruby's `to_s` of nothing.
        Value::Text(text) if text.is_empty() => return Value::Bool(false),
        Value::Text(text) => text.to_ascii_lowercase(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => value_of_float(*number),
        _ => return value,
    };
    match word.as_str() {
        "true" | "t" | "yes" | "y" | "1" | "1.0" => Value::Bool(true),
        "false" | "f" | "no" | "n" | "0" | "0.0" => Value::Bool(false),
        _ => value,
    }
}

fn value_of_float(number: f64) -> String {
    format!("{number:?}")
}

/// Digits, at will a stop and digits, an exponent, and `_` between digits; nothing before or behind.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| {
        let inner = text.as_bytes();
        !text.is_empty()
            && inner.iter().all(|byte| byte.is_ascii_digit() || *byte == b'_')
            && inner[0] != b'_'
            && inner[inner.len() - 1] != b'_'
            && !text.contains("__")
    };
    let (mantissa, exponent) =
        text.split_once(['e', 'E']).map_or((text, None), |(before, after)| (before, Some(after)));
    let exponent = exponent.is_none_or(|text| digits(text.strip_prefix(['-', '+']).unwrap_or(text)));
    exponent
        && match mantissa.split_once('.') {
            Some((before, after)) => (before.is_empty() || digits(before)) && digits(after),
            None => digits(mantissa),
        }
}

/// Whether a text is a decimal number as Java's `BigDecimal` reads it.
pub fn is_decimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) && text.parse::<f64>().is_ok()
}

/// The text with the signs between thousands taken out.
fn plain(text: &str, european: bool) -> String {
    if european { text.replace('.', "").replace(',', ".") } else { text.replace(',', "") }
}

fn integer(value: Value, european: bool) -> Value {
    match value {
        Value::Bool(value) => Value::Int(i64::from(value)),
        Value::Float(number) => whole(number),
        Value::Text(text) => match short_integer(&text) {
            Some(value) => Value::Int(value),
            None => number(&plain(&text, european)).map_or(Value::Int(0), |number| number.whole()),
        },
        Value::Time(time) => Value::Int(time.as_second()),
        value => value,
    }
}

/// The value of a text that is nothing but a few digits.
pub fn short_integer(text: &str) -> Option<i64> {
    /// So many fit an `i64`.
    const DIGITS_MAX: usize = 18;
    let is_short = text.len() <= DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
    is_short.then(|| text.bytes().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

fn float(value: Value, european: bool) -> Value {
    match value {
        Value::Bool(value) => Value::Float(if value { 1.0 } else { 0.0 }),
        // Beyond 2^53 the nearest float is what is asked for.
        Value::Int(number) => Value::Float(number as f64),
        Value::Big(digits) => digits.parse().map_or(Value::Big(digits), Value::Float),
        Value::Text(text) => Value::Float(number(&plain(&text, european)).map_or(0.0, |number| number.float())),
        value => value,
    }
}

/// The part of a float before the stop, whatever its size.
fn whole(number: f64) -> Value {
    let number = number.trunc();
    // Within these bounds the cast is exact.
    if number.abs() < 9.2e18 { Value::Int(number as i64) } else { Value::Big(Text::from(format!("{number:.0}"))) }
}

/// A number at the begin of a text.
enum Number<'a> {
    Decimal { digits: &'a str, exact: bool },
    Hex(f64),
}

impl Number<'_> {
    fn whole(&self) -> Value {
        match self {
            Number::Hex(value) => whole(*value),
            Number::Decimal { digits, exact } => {
                let before = digits.split_once('.').map_or(*digits, |(before, _)| before);
                if !*exact {
                    return digits.parse().map_or(Value::Int(0), whole);
                }
                let before = before.strip_prefix('+').unwrap_or(before);
                match before.parse() {
                    Ok(number) => Value::Int(number),
                    Err(_) if before.bytes().any(|byte| byte.is_ascii_digit()) => Value::Big(before.into()),
                    Err(_) => Value::Int(0),
                }
            }
        }
    }

    fn float(&self) -> f64 {
        match self {
            Number::Hex(value) => *value,
            Number::Decimal { digits, .. } => digits.parse().unwrap_or(0.0),
        }
    }
}

fn number(text: &str) -> Option<Number<'_>> {
    let text = text.trim();
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if let Some(hex) = body.strip_prefix("0x").or_else(|| body.strip_prefix("0X")) {
        let value = hexadecimal(hex)?;
        return Some(Number::Hex(if negative { -value } else { value }));
    }
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let sign = text.len() - body.len();
    let mut end = digits(body);
    let mut exact = true;
    if body[end..].starts_with('.') {
        let fraction = digits(&body[end + 1..]);
        if fraction > 0 {
            end += 1 + fraction;
        }
    }
    if end == 0 {
        return None;
    }
    if body[end..].starts_with(['e', 'E']) {
        let after = &body[end + 1..];
        let sign = usize::from(after.starts_with(['+', '-']));
        let exponent = digits(&after[sign..]);
        if exponent > 0 {
            end += 1 + sign + exponent;
            exact = false;
        }
    }
    Some(Number::Decimal { digits: &text[..sign + end], exact })
}

/// `1.edcdp6`: hexadecimal digits, at will a fraction and a power of two.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, power) = match text.split_once(['p', 'P']) {
        Some((mantissa, power)) => (mantissa, power.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut value = 0.0;
    let mut scale = 0;
    let mut any = false;
    for (letters, fraction) in [(before, false), (after, true)] {
        for digit in letters.chars() {
            let Some(digit) = digit.to_digit(16) else { break };
            value = value * 16.0 + f64::from(digit);
            any = true;
            if fraction {
                scale += 4;
            }
        }
    }
    any.then(|| value * f64::from(power - scale).exp2())
}
