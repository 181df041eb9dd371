//! Elasticsearch date formats: the built-in names, Java patterns, and several of them joined by `||`.

use jiff::civil::DateTime;

use super::pattern::{Fields, Pattern};
use super::zone::{Zone, offset_seconds};
use super::{Nanos, to_millis};

/// The format of a date field without one of its own.
pub const DEFAULT_FORMAT: &str = "strict_date_optional_time||epoch_millis";

/// A date format: alternatives, tried in order when reading; the first one writes.
#[derive(Clone, Debug)]
pub struct DateFormat {
    text: String,
    alternatives: Vec<Kind>,
}

#[derive(Clone, Debug)]
enum Kind {
    Iso { strict: bool, nanos: bool },
    EpochMillis,
    EpochSecond,
    Pattern(Pattern),
}

impl Default for DateFormat {
    fn default() -> Self {
        DateFormat {
            text: DEFAULT_FORMAT.into(),
            alternatives: vec![Kind::Iso { strict: true, nanos: false }, Kind::EpochMillis],
        }
    }
}

impl DateFormat {
    /// Reads a format. The error is Elasticsearch's reason.
    pub fn parse(text: &str) -> Result<DateFormat, String> {
        let mut alternatives = Vec::new();
        for part in text.split("||") {
            let bad = |why: &str| format!("Invalid format: [{text}]: {why}");
            if part.is_empty() {
                return Err(bad("No date pattern provided"));
            }
            alternatives.push(match part {
                "strict_date_optional_time" | "iso8601" | "strict_date_time_optional" => {
                    Kind::Iso { strict: true, nanos: false }
                }
                "strict_date_optional_time_nanos" => Kind::Iso { strict: true, nanos: true },
                "date_optional_time" | "dateOptionalTime" => Kind::Iso { strict: false, nanos: false },
                "epoch_millis" => Kind::EpochMillis,
                "epoch_second" => Kind::EpochSecond,
                _ => Kind::Pattern(Pattern::parse(named(part).unwrap_or(part)).map_err(|why| bad(&why))?),
            });
        }
        Ok(DateFormat { text: text.into(), alternatives })
    }

    /// The format as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads a date. Without a zone in the text it is in `zone`. With `round_up`, a time of day that is not given is
    /// the last of the day (as the upper end of a range means it), else midnight.
    pub fn read(&self, text: &str, zone: &Zone, round_up: bool) -> Option<Nanos> {
        self.alternatives.iter().find_map(|kind| match kind {
            Kind::Iso { strict, .. } => read_iso(text, *strict)?.moment(zone, round_up),
            Kind::EpochMillis => epoch(text, 1_000_000),
            Kind::EpochSecond => epoch(text, 1_000_000_000),
            Kind::Pattern(p) => p.read(text)?.moment(zone, round_up),
        })
    }

    /// Writes a moment in the first of the alternatives.
    pub fn write(&self, nanos: Nanos, zone: &Zone) -> String {
        match &self.alternatives[0] {
            Kind::EpochMillis => to_millis(nanos).to_string(),
            Kind::EpochSecond => nanos.div_euclid(1_000_000_000).to_string(),
            Kind::Iso { nanos: fine, .. } => iso(nanos, zone, *fine),
            Kind::Pattern(p) => p.write(nanos, zone).unwrap_or_else(|| to_millis(nanos).to_string()),
        }
    }
}

/// Writes `2016-05-03T00:00:00.000Z`; with `fine` three to nine digits of the second's fraction.
pub fn iso(nanos: Nanos, zone: &Zone, fine: bool) -> String {
    let Some(l) = zone.local(nanos) else { return to_millis(nanos).to_string() };
    let mut fraction = format!("{:09}", l.subsec_nanosecond());
    let keep = if fine { fraction.trim_end_matches('0').len().max(3) } else { 3 };
    fraction.truncate(keep);
    format!(
        "{}-{:02}-{:02}T{:02}:{:02}:{:02}.{fraction}{}",
        year_text(l),
        l.month(),
        l.day(),
        l.hour(),
        l.minute(),
        l.second(),
        zone.suffix(nanos)
    )
}

/// Four digits of a year, with a sign before the year 0.
pub fn year_text(l: DateTime) -> String {
    if l.year() < 0 { format!("-{:04}", -i32::from(l.year())) } else { format!("{:04}", l.year()) }
}

fn epoch(text: &str, scale: i128) -> Option<Nanos> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    if whole.trim_start_matches('-').is_empty() || fraction.len() > 9 {
        return None;
    }
    let n: i64 = whole.parse().ok()?;
    let mut part = 0;
    if !fraction.is_empty() {
        if !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        part = fraction.parse::<i128>().ok()? * scale / 10i128.pow(fraction.len() as u32);
    }
    Some(i128::from(n) * scale + if negative { -part } else { part })
}

/// `yyyy[-MM[-dd['T'HH[:mm[:ss[.S…]]]]]][zone]`; lenient allows one digit where strict wants two.
fn read_iso(text: &str, strict: bool) -> Option<Fields> {
    let b = text.as_bytes();
    let mut at = 0;
    let mut fields = Fields::default();
    let number = |at: &mut usize, least: usize, most: usize| -> Option<i32> {
        let from = *at;
        while *at < b.len() && *at - from < most && b[*at].is_ascii_digit() {
            *at += 1;
        }
        if *at - from < least { None } else { text[from..*at].parse().ok() }
    };
    let negative = b.first() == Some(&b'-');
    if negative {
        at += 1;
    }
    let year = number(&mut at, if strict { 4 } else { 1 }, if strict { 4 } else { 9 })?;
    fields.year = Some(if negative { -year } else { year });
    let two = if strict { 2 } else { 1 };
    let mut date_ended = false;
    if b.get(at) == Some(&b'-') {
        at += 1;
        fields.month = Some(number(&mut at, two, 2)?);
        if b.get(at) == Some(&b'-') {
            at += 1;
            fields.day = Some(number(&mut at, two, 2)?);
            date_ended = true;
        }
    }
    if b.get(at) == Some(&b'T') && (date_ended || at == b.len() - 1) {
        at += 1;
        if at < b.len() && b[at].is_ascii_digit() {
            fields.hour = Some(number(&mut at, two, 2)?);
            if b.get(at) == Some(&b':') {
                at += 1;
                fields.minute = Some(number(&mut at, two, 2)?);
                if b.get(at) == Some(&b':') {
                    at += 1;
                    fields.second = Some(number(&mut at, two, 2)?);
                    if matches!(b.get(at), Some(b'.' | b',')) {
                        at += 1;
                        let from = at;
                        number(&mut at, 1, 9)?;
                        fields.nano = Some(fraction_nanos(&text[from..at])?);
                    }
                }
            }
        }
    }
    if at < b.len() {
        fields.hour?;
        fields.offset = Some(if &text[at..] == "Z" { 0 } else { offset_seconds(&text[at..])? });
    }
    Some(fields)
}

/// Digits after the decimal point as nanoseconds.
pub fn fraction_nanos(digits: &str) -> Option<i32> {
    if digits.len() > 9 {
        return None;
    }
    let n: i32 = digits.parse().ok()?;
    Some(n * 10i32.pow(9 - digits.len() as u32))
}

fn named(name: &str) -> Option<&'static str> {
    let bare = name.strip_prefix("strict_").unwrap_or(name);
    Some(match bare {
        "basic_date" => "yyyyMMdd",
        "basic_date_time" => "yyyyMMdd'T'HHmmss.SSSXX",
        "basic_date_time_no_millis" => "yyyyMMdd'T'HHmmssXX",
        "basic_ordinal_date" => "yyyyDDD",
        "basic_ordinal_date_time" => "yyyyDDD'T'HHmmss.SSSXX",
        "basic_ordinal_date_time_no_millis" => "yyyyDDD'T'HHmmssXX",
        "basic_time" => "HHmmss.SSSXX",
        "basic_time_no_millis" => "HHmmssXX",
        "basic_t_time" => "'T'HHmmss.SSSXX",
        "basic_t_time_no_millis" => "'T'HHmmssXX",
        "date" | "year_month_day" => "yyyy-MM-dd",
        "date_hour" => "yyyy-MM-dd'T'HH",
        "date_hour_minute" => "yyyy-MM-dd'T'HH:mm",
        "date_hour_minute_second" => "yyyy-MM-dd'T'HH:mm:ss",
        "date_hour_minute_second_fraction" | "date_hour_minute_second_millis" => "yyyy-MM-dd'T'HH:mm:ss.SSS",
        "date_time" => "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "date_time_no_millis" => "yyyy-MM-dd'T'HH:mm:ssXXX",
        "hour" => "HH",
        "hour_minute" => "HH:mm",
        "hour_minute_second" => "HH:mm:ss",
        "hour_minute_second_fraction" | "hour_minute_second_millis" => "HH:mm:ss.SSS",
        "ordinal_date" => "yyyy-DDD",
        "ordinal_date_time" => "yyyy-DDD'T'HH:mm:ss.SSSXXX",
        "ordinal_date_time_no_millis" => "yyyy-DDD'T'HH:mm:ssXXX",
        "time" => "HH:mm:ss.SSSXXX",
        "time_no_millis" => "HH:mm:ssXXX",
        "t_time" => "'T'HH:mm:ss.SSSXXX",
        "t_time_no_millis" => "'T'HH:mm:ssXXX",
        "year" => "yyyy",
        "year_month" => "yyyy-MM",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, text: &str) -> Option<i64> {
        DateFormat::parse(format).unwrap().read(text, &Zone::utc(), false).map(to_millis)
    }
    fn at(text: &str) -> Option<i64> {
        Some(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn the_default_reads_iso_dates_and_milliseconds() {
        for (text, want) in [
            ("2015-02-01T00:00:10Z", "2015-02-01T00:00:10Z"),
            ("2015-02-01T00:00:10.5+01:00", "2015-01-31T23:00:10.5Z"),
            ("2015-02-01", "2015-02-01T00:00:00Z"),
            ("2015-02", "2015-02-01T00:00:00Z"),
            ("2015", "2015-01-01T00:00:00Z"),
            ("1422748813000", "2015-02-01T00:00:13Z"),
            ("2015-02-01T10:30", "2015-02-01T10:30:00Z"),
        ] {
            assert_eq!(read(DEFAULT_FORMAT, text), at(want), "{text}");
        }
        for text in
            ["", "hello", "2015-2-1", "2015-02-01 10:00:00", "2015-02-30", "2015-02-01Z", "12x", "2015-02-01T25"]
        {
            assert_eq!(read(DEFAULT_FORMAT, text), None, "{text}");
        }
        assert_eq!(read("date_optional_time", "2015-2-1"), at("2015-02-01T00:00:00Z"));
    }

    #[test]
    fn an_upper_end_is_the_end_of_the_day() {
        let f = DateFormat::default();
        let up = |t: &str| f.read(t, &Zone::utc(), true).map(to_millis);
        assert_eq!(up("2015-02-01"), at("2015-02-01T23:59:59.999Z"));
        assert_eq!(up("2015-02-01T10"), at("2015-02-01T10:59:59.999Z"));
        assert_eq!(up("2015"), at("2015-01-01T23:59:59.999Z"));
    }

    #[test]
    fn java_patterns() {
        assert_eq!(
            read("yyyy|MM|dd 'T'HH:mm:ss.SSSSSS'Z'", "2015|02|01 T00:00:00.001999Z"),
            at("2015-02-01T00:00:00.001Z")
        );
        assert_eq!(read("dd/MMM/yyyy:HH:mm:ss Z", "10/Oct/2000:13:55:36 -0700"), at("2000-10-10T20:55:36Z"));
        assert_eq!(read("epoch_second", "1422748813"), at("2015-02-01T00:00:13Z"));
        assert_eq!(read("yyyy-MM-dd||epoch_second", "1422748813"), at("2015-02-01T00:00:13Z"));
        assert_eq!(read("basic_date", "20150201"), at("2015-02-01T00:00:00Z"));
        assert_eq!(read("strict_date_hour", "2015-02-01T05"), at("2015-02-01T05:00:00Z"));
        assert!(DateFormat::parse("yyyy-MM-dd'T").is_err());
        assert!(DateFormat::parse("strict_date_nothing").is_err());
    }

    #[test]
    fn writing() {
        let t = 1_422_748_813_001_000_000;
        let w = |f: &str, z: &str| DateFormat::parse(f).unwrap().write(t, &Zone::parse(z).unwrap());
        assert_eq!(w(DEFAULT_FORMAT, "UTC"), "2015-02-01T00:00:13.001Z");
        assert_eq!(w(DEFAULT_FORMAT, "+01:00"), "2015-02-01T01:00:13.001+01:00");
        assert_eq!(w("epoch_millis", "UTC"), "1422748813001");
        assert_eq!(w("yyyy-MM-dd HH:mm", "Europe/Paris"), "2015-02-01 01:00");
        assert_eq!(w("EEE, d MMM yy h:mm a", "UTC"), "Sun, 1 Feb 15 12:00 AM");
        assert_eq!(w("strict_date_optional_time_nanos", "UTC"), "2015-02-01T00:00:13.001Z");
    }
}
