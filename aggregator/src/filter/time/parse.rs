//! Reading a time with a pattern, as Joda does it: numbers take as many digits as they may, names in any case.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp, ToSpan as _};

use super::format::{Field, Format, Item};
use super::locale::{self, Names};

/// What was read of a time.
#[derive(Debug, Default)]
struct Parts {
    year: Option<i16>,
    week_year: Option<i16>,
    week: Option<i8>,
    weekday: Option<i8>,
    day_of_year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    afternoon: Option<bool>,
    hour_of_half: Option<i8>,
    hour: Option<i8>,
    minute: i8,
    second: i8,
    nanosecond: i32,
    zone: Option<TimeZone>,
}

/// Zone names that Joda knows by their letters.
const ZONES: &[(&str, i8)] = &[
    ("UTC", 0),
    ("GMT", 0),
    ("UT", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
];

impl Format {
    /// Reads a whole text. Without a zone in the pattern, `zone` is taken; without a year, the one nearest to `now`.
    /// None where the text does not fit or says no real time.
    pub fn read(&self, text: &str, names: &Names, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        let mut parts = Parts::default();
        let mut rest = text;
        for (index, item) in self.items.iter().enumerate() {
            rest = match item {
                Item::Fixed(fixed) => strip(rest, fixed)?,
                Item::Field(field, count) => {
                    let numeric_next = self.items.get(index + 1).is_some_and(Item::is_number);
                    parts.read(*field, *count, numeric_next, rest, names, now)?
                }
            };
        }
        if !rest.is_empty() {
            return None;
        }
        parts.time(zone, now)
    }
}

fn strip<'a>(text: &'a str, fixed: &str) -> Option<&'a str> {
    let head = text.get(..fixed.len())?;
    head.eq_ignore_ascii_case(fixed).then(|| &text[fixed.len()..])
}

/// A number of at most `digits_max` digits, with a sign if `signed`.
fn number(text: &str, digits_max: usize, signed: bool) -> Option<(i64, &str, usize)> {
    let negative = signed && text.starts_with('-');
    let body = if negative || (signed && text.starts_with('+')) { &text[1..] } else { text };
    let len = body.bytes().take(digits_max).take_while(u8::is_ascii_digit).count();
    if len == 0 {
        return None;
    }
    let value: i64 = body[..len].parse().ok()?;
    Some((if negative { -value } else { value }, &body[len..], len))
}

impl Parts {
    fn read<'a>(
        &mut self,
        field: Field,
        count: usize,
        numeric_next: bool,
        text: &'a str,
        names: &Names,
        now: Timestamp,
    ) -> Option<&'a str> {
        let two = || number(text, 2, false);
        // A number of two digits at most always fits an i8.
        let small = |value: i64, low: i64, high: i64| (low..=high).contains(&value).then_some(value as i8);
        match field {
            Field::Year | Field::WeekYear => {
                // More digits than any year we can show; a field follows directly: exactly as many as letters.
                let digits_max = if numeric_next { count } else { 9 };
                let (value, rest, len) = number(text, digits_max, !numeric_next)?;
                let value = if count == 2 && len == 2 { pivot(value, now) } else { value };
                let year = i16::try_from(value).ok().filter(|year| (-9999..=9999).contains(year))?;
                *if field == Field::Year { &mut self.year } else { &mut self.week_year } = Some(year);
                Some(rest)
            }
            Field::Century => number(text, 2, false).map(|(_, rest, _)| rest),
            Field::Era => strip(text, "AD").or_else(|| strip(text, "CE")),
            Field::Week => two().and_then(|(value, rest, _)| {
                self.week = Some(small(value, 1, 53)?);
                Some(rest)
            }),
            Field::DayOfWeek => number(text, 1, false).and_then(|(value, rest, _)| {
                self.weekday = Some(small(value, 1, 7)?);
                Some(rest)
            }),
            Field::DayName => {
                let (index, len) = locale::read(&names.days, text)?;
                self.weekday = i8::try_from(index + 1).ok();
                Some(&text[len..])
            }
            Field::DayOfYear => {
                let (value, rest, _) = number(text, 3, false)?;
                self.day_of_year = i16::try_from(value).ok().filter(|day| (1..=366).contains(day));
                self.day_of_year.map(|_| rest)
            }
            Field::Month if count >= 3 => {
                let (index, len) = locale::read(&names.months, text)?;
                self.month = i8::try_from(index + 1).ok();
                Some(&text[len..])
            }
            Field::Month => two().and_then(|(value, rest, _)| {
                self.month = Some(small(value, 1, 12)?);
                Some(rest)
            }),
            Field::Day => two().and_then(|(value, rest, _)| {
                self.day = Some(small(value, 1, 31)?);
                Some(rest)
            }),
            Field::HalfDay => {
                self.afternoon = Some(strip(text, "PM").is_some());
                strip(text, "AM").or_else(|| strip(text, "PM"))
            }
            Field::HourOfHalf => two().and_then(|(value, rest, _)| {
                self.hour_of_half = Some(small(value, 0, 11)?);
                Some(rest)
            }),
            Field::ClockHourOfHalf => two().and_then(|(value, rest, _)| {
                self.hour_of_half = Some(small(value, 1, 12)? % 12);
                Some(rest)
            }),
            Field::Hour => two().and_then(|(value, rest, _)| {
                self.hour = Some(small(value, 0, 23)?);
                Some(rest)
            }),
            Field::ClockHour => two().and_then(|(value, rest, _)| {
                self.hour = Some(small(value, 1, 24)? % 24);
                Some(rest)
            }),
            Field::Minute => two().and_then(|(value, rest, _)| {
                self.minute = small(value, 0, 59)?;
                Some(rest)
            }),
            Field::Second => two().and_then(|(value, rest, _)| {
                self.second = small(value, 0, 59)?;
                Some(rest)
            }),
            Field::Fraction => {
                let len = text.bytes().take(count).take_while(u8::is_ascii_digit).count();
                if len == 0 {
                    return None;
                }
                let digits = &text[..len.min(9)];
                let scale = 10i32.pow(9 - u32::try_from(digits.len()).ok()?);
                self.nanosecond = digits.parse::<i32>().ok()? * scale;
                Some(&text[len..])
            }
            Field::Offset if count < 3 => {
                let (offset, rest) = offset(text)?;
                self.zone = Some(TimeZone::fixed(offset));
                Some(rest)
            }
            Field::Offset | Field::ZoneName => {
                let len = text.find(|c: char| !(c.is_ascii_alphanumeric() || "/_+-".contains(c))).unwrap_or(text.len());
                let name = &text[..len];
                let known = ZONES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                self.zone = match known {
                    Some((_, hours)) => Some(TimeZone::fixed(Offset::from_hours(*hours).ok()?)),
                    None => Some(zone(name)?),
                };
                Some(&text[len..])
            }
        }
    }

    fn time(self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        let hour = match (self.hour, self.hour_of_half, self.afternoon) {
            (Some(hour), ..) => hour,
            (None, Some(hour), Some(true)) => hour + 12,
            (None, Some(hour), _) => hour,
            (None, None, Some(true)) => 12,
            (None, None, _) => 0,
        };
        let time = Time::new(hour, self.minute, self.second, self.nanosecond).ok()?;
        let zone = self.zone.as_ref().unwrap_or(zone);
        let date = self.date(zone, now)?;
        in_zone(date.to_datetime(time), zone)
    }

    fn date(&self, zone: &TimeZone, now: Timestamp) -> Option<Date> {
        if let Some(week) = self.week {
            let year = self.week_year.or(self.year)?;
            let day = jiff::civil::Weekday::from_monday_one_offset(self.weekday.unwrap_or(1)).ok()?;
            return jiff::civil::ISOWeekDate::new(year, week, day).ok().map(Date::from);
        }
        let year = match self.year.or(self.week_year) {
            Some(year) => year,
            None => {
                let today = now.to_zoned(zone.clone());
                match (self.month, today.month()) {
                    (Some(12), 1) => today.year() - 1,
                    (Some(1), 12) => today.year() + 1,
                    _ => today.year(),
                }
            }
        };
        if let Some(day) = self.day_of_year {
            let date = Date::new(year, 1, 1).ok()?.checked_add(i64::from(day - 1).days()).ok()?;
            return (date.year() == year).then_some(date);
        }
        Date::new(year, self.month.unwrap_or(1), self.day.unwrap_or(1)).ok()
    }
}

/// A time of a zone's wall clock. None where the clock was put forward over it, as in Joda; the earlier one where it
/// was put back.
pub fn in_zone(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    if matches!(ambiguous.offset(), jiff::tz::AmbiguousOffset::Gap { .. }) {
        return None;
    }
    ambiguous.earlier().ok()
}

/// Two digits of a year: the century that is within 50 years of thirty years ago, as Joda does it.
fn pivot(value: i64, now: Timestamp) -> i64 {
    let lowest = i64::from(now.to_zoned(TimeZone::UTC).year()) - 30 - 50;
    lowest + (value - lowest).rem_euclid(100)
}

/// `Z`, `+02`, `+0200` or `+02:00`, also with seconds.
pub fn offset(text: &str) -> Option<(Offset, &str)> {
    if let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return Some((Offset::UTC, rest));
    }
    let (sign, mut rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let mut seconds = 0;
    for (index, unit) in [3600, 60, 1].into_iter().enumerate() {
        let body = if index > 0 { rest.strip_prefix(':').unwrap_or(rest) } else { rest };
        let Some((value, after, 2)) = number(body, 2, false) else {
            if index == 0 {
                return None;
            }
            break;
        };
        seconds += i32::try_from(value).ok()? * unit;
        rest = after;
    }
    Offset::from_seconds(sign * seconds).ok().map(|offset| (offset, rest))
}

/// A zone by its name, or an offset such as `+02:00`.
pub fn zone(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("UTC") || name.eq_ignore_ascii_case("Z") {
        return Some(TimeZone::UTC);
    }
    if let Some((offset, "")) = offset(name) {
        return Some(TimeZone::fixed(offset));
    }
    TimeZone::get(name).ok()
}

/// `ISO8601`, as Logstash's date filter takes it: a date, or a date and a time with a `T` or a space between, seconds
/// and their fraction after a stop or a comma left out at will, with or without an offset.
pub fn iso8601(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (year, rest, len) = number(text, 9, true)?;
    if len < 4 {
        return None;
    }
    let mut parts = Parts { year: Some(i16::try_from(year).ok()?), ..Parts::default() };
    let mut rest = rest;
    let field = |rest: &mut &str, separator: char| -> Option<Option<i8>> {
        let Some(body) = rest.strip_prefix(separator) else { return Some(None) };
        let (value, after, _) = number(body, 2, false)?;
        *rest = after;
        i8::try_from(value).ok().map(Some)
    };
    parts.month = field(&mut rest, '-')?;
    if parts.month.is_some() {
        parts.day = field(&mut rest, '-')?;
    }
    if let Some(body) = rest.strip_prefix(['T', 't', ' ']) {
        let (hour, after, _) = number(body, 2, false)?;
        parts.hour = Some(i8::try_from(hour).ok()?);
        rest = after;
        if let Some(minute) = field(&mut rest, ':')? {
            parts.minute = minute;
            if let Some(second) = field(&mut rest, ':')? {
                parts.second = second;
                if let Some(body) = rest.strip_prefix(['.', ',']) {
                    let len = body.bytes().take_while(u8::is_ascii_digit).count();
                    rest = parts.read(Field::Fraction, len, false, body, &locale::ENGLISH, Timestamp::UNIX_EPOCH)?;
                }
            }
        }
        let body = rest.strip_prefix(' ').unwrap_or(rest);
        if let Some((offset, after)) = offset(body) {
            parts.zone = Some(TimeZone::fixed(offset));
            rest = after;
        }
    }
    if !rest.is_empty() {
        return None;
    }
    if parts.hour == Some(24) && parts.minute == 0 && parts.second == 0 && parts.nanosecond == 0 {
        parts.hour = Some(0);
        return parts.time(zone, Timestamp::UNIX_EPOCH)?.checked_add(Span::new().hours(24)).ok();
    }
    parts.time(zone, Timestamp::UNIX_EPOCH)
}
