//! `date`: reads a written time into `@timestamp`, or into a target field.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::json::tags_on_failure;
use super::time::format::Format;
use super::time::locale::{self, Names};
use super::time::parse;
use super::{Filter, Outcome, Scratch};
use crate::event::{Event, FieldPath, Value, ValueRef};
use crate::pipeline::options::{Options, Placed};
use crate::pipeline::template::Template;

#[derive(Debug)]
struct Date {
    source: FieldPath,
    forms: Vec<Form>,
    target: FieldPath,
    zone: Zone,
    names: &'static Names,
    /// Whether digits of a second after the third are kept.
    nanoseconds: bool,
    tags: Vec<String>,
}

/// One way a time may be written.
#[derive(Debug)]
enum Form {
    Iso8601,
    Unix,
    UnixMs,
    Tai64n,
    Pattern(Format),
}

#[derive(Debug)]
enum Zone {
    Fixed(TimeZone),
    Changing(Template),
}

/// `UNIX` takes seconds up to here; what is larger is meant for `UNIX_MS`, as in Logstash.
const UNIX_SECONDS_MAX: f64 = i32::MAX as f64;
/// TAI64 counts seconds from here, and was 10 seconds ahead of UTC when the format was made.
const TAI_ORIGIN: u64 = (1 << 62) + 10;

pub(super) fn build(options: &mut Options<'_>) -> Option<Box<dyn Filter>> {
    if !options.has("match") {
        let span = options.span();
        options.error(span, "`date` needs the option `match`", "write `match => [ \"field\", \"ISO8601\" ]`");
    }
    let mut list = list_or_hash(options).into_iter();
    let source = list.next();
    let forms: Vec<Placed> = list.collect();
    if let (Some((field, span)), true) = (&source, forms.is_empty()) {
        options.error(
            span,
            "`match` needs at least one form of time after the field",
            format!("write `match => [ \"{field}\", \"ISO8601\" ]`"),
        );
    }
    let target = options.field("target").unwrap_or_else(|| FieldPath::of(&["@timestamp"]));
    let zone = zone(options);
    let names = names(options);
    let nanoseconds = options.choice("precision", &["ms", "ns"], "ms") == "ns";
    let tags = tags_on_failure(options, "_dateparsefailure");
    let mut read = Vec::new();
    for (form, span) in &forms {
        match form_of(form) {
            Ok(form) => read.push(form),
            Err(problem) => {
                options.error(
                    span,
                    format!("`{form}` is no form of time: {problem}"),
                    "text that is not a letter code goes into single quotes",
                );
            }
        }
    }
    let source = source.and_then(|placed| options.path(&placed))?;
    if read.is_empty() || read.len() < forms.len() {
        return None;
    }
    Some(Box::new(Date { source, forms: read, target, zone: zone?, names: names?, nanoseconds, tags }))
}

/// `match` as a list, or as the hash that some people write.
fn list_or_hash(options: &mut Options<'_>) -> Vec<Placed> {
    use crate::pipeline::ast::Literal;
    let is_hash = options.value("match").is_some_and(|value| matches!(value.literal, Literal::Hash(_)));
    if is_hash {
        return options.text_pairs("match").into_iter().flat_map(|(field, form)| [field, form]).collect();
    }
    options.list("match")
}

fn form_of(text: &str) -> Result<Form, String> {
    Ok(match text {
        "ISO8601" => Form::Iso8601,
        "UNIX" => Form::Unix,
        "UNIX_MS" => Form::UnixMs,
        "TAI64N" => Form::Tai64n,
        pattern => Form::Pattern(Format::parse(pattern)?),
    })
}

fn zone(options: &mut Options<'_>) -> Option<Zone> {
    let Some((name, span)) = options.text("timezone") else { return Some(Zone::Fixed(TimeZone::system())) };
    let template = Template::parse(&name);
    if template.fixed().is_none() {
        return Some(Zone::Changing(template));
    }
    let zone = parse::zone(&name);
    if zone.is_none() {
        options.error(
            &span,
            format!("there is no time zone `{name}`"),
            "write it as `Europe/Berlin`, `UTC` or `+02:00`",
        );
    }
    zone.map(Zone::Fixed)
}

fn names(options: &mut Options<'_>) -> Option<&'static Names> {
    let Some((name, span)) = options.text("locale") else { return Some(&locale::ENGLISH) };
    let names = locale::find(&name);
    if names.is_none() {
        let known = locale::LANGUAGES.iter().map(|(code, _)| *code).collect::<Vec<_>>().join(", ");
        options.error(
            &span,
            format!("the names of months in `{name}` are not known here"),
            format!("there are {known}"),
        );
    }
    names
}

impl Date {
    fn read(&self, form: &Form, text: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        match form {
            Form::Iso8601 => parse::iso8601(text, zone),
            Form::Unix => unix(text),
            Form::UnixMs => Timestamp::from_millisecond(text.parse().ok()?).ok(),
            Form::Tai64n => tai64n(text),
            Form::Pattern(format) => format.read(text, self.names, zone, now),
        }
    }
}

fn unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if text.parse::<f64>().ok()? > UNIX_SECONDS_MAX {
        return None;
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        // An exponent; rare, and then exact to a microsecond or so.
        return Timestamp::from_microsecond((text.parse::<f64>().ok()? * 1e6) as i64).ok();
    }
    let seconds: i64 = seconds.parse().ok()?;
    let digits = &fraction[..fraction.len().min(9)];
    let nanos = if digits.is_empty() {
        0
    } else {
        digits.parse::<i32>().ok()? * 10i32.pow(9 - u32::try_from(digits.len()).ok()?)
    };
    Timestamp::new(seconds, if text.starts_with('-') { -nanos } else { nanos }).ok()
}

fn tai64n(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('@').unwrap_or(text);
    let seconds = u64::from_str_radix(digits.get(..16)?, 16).ok()?.checked_sub(TAI_ORIGIN)?;
    let nanos = u32::from_str_radix(digits.get(16..24)?, 16).ok()?;
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
}

impl Filter for Date {
    fn apply(&self, event: &mut Event, scratch: &mut Scratch) -> Outcome {
        let text = match event.get(&self.source) {
            None | Some(ValueRef::Null) => return Outcome::Unmatched,
            Some(ValueRef::Array([first, ..])) => first.to_text(),
            Some(value) => value.to_text(),
        };
        let changing;
        let zone = match &self.zone {
            Zone::Fixed(zone) => Some(zone),
            Zone::Changing(template) => {
                changing = parse::zone(&template.render(event));
                changing.as_ref()
            }
        };
        let time = zone.and_then(|zone| self.forms.iter().find_map(|form| self.read(form, &text, zone, scratch.now)));
        match time {
            Some(time) => {
                let time = if self.nanoseconds { Some(time) } else { Timestamp::from_millisecond(floor_ms(time)).ok() };
                event.set(&self.target, time.map_or(Value::Null, Value::Time));
                Outcome::Matched
            }
            None => {
                for tag in &self.tags {
                    event.add_tag(tag.as_str());
                }
                Outcome::Failed
            }
        }
    }
}

/// Milliseconds since 1970, rounded down also before.
fn floor_ms(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond().div_euclid(1_000_000)).unwrap_or(i64::MAX)
}
