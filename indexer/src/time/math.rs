//! Date math: `now-15m/m`, `2026-11-20||+1M/d`.

use jiff::civil::DateTime;
use jiff::{Span, ToSpan};

use super::Nanos;
use super::format::DateFormat;
use super::rounding::{step_on, truncate};
use super::span::Unit;
use super::zone::Zone;

/// Reads a date or an expression of date math. `now` is the moment that `now` means. With `round_up` (the upper end
/// of a range), `/d` and a missing time of day mean the last millisecond. The error is Elasticsearch's reason.
pub fn read(text: &str, format: &DateFormat, zone: &Zone, now: Nanos, round_up: bool) -> Result<Nanos, String> {
    let fail = || format!("failed to parse date field [{text}] with format [{}]", format.text());
    if let Some(math) = text.strip_prefix("now") {
        return apply(math, now, zone, round_up).map_err(|why| format!("{}: {why}", fail()));
    }
    let (date, math) = match text.split_once("||") {
        Some((date, math)) => (date, math),
        None => (text, ""),
    };
    // Rounding up fills in what the text leaves out, unless math follows: that rounds itself.
    let start = format.read(date, zone, round_up && math.is_empty()).ok_or_else(fail)?;
    apply(math, start, zone, round_up).map_err(|why| format!("{}: {why}", fail()))
}

fn apply(math: &str, start: Nanos, zone: &Zone, round_up: bool) -> Result<Nanos, String> {
    if math.is_empty() {
        return Ok(start);
    }
    let mut local = zone.local(start).ok_or("out of range")?;
    let mut chars = math.chars().peekable();
    while let Some(op) = chars.next() {
        if !matches!(op, '+' | '-' | '/') {
            return Err(format!("operator not supported for date math [{math}]"));
        }
        let mut count = String::new();
        while let Some(d) = chars.next_if(char::is_ascii_digit) {
            count.push(d);
        }
        let n: i64 = if count.is_empty() { 1 } else { count.parse().map_err(|_| "number too large")? };
        let unit = chars.next().ok_or_else(|| format!("truncated date math [{math}]"))?;
        if op == '/' {
            if n != 1 {
                return Err(format!("rounding `/` can only be used on single unit types [{math}]"));
            }
            local = round(local, unit, round_up).ok_or_else(|| unsupported(unit, math))?;
        } else {
            let n = if op == '-' { -n } else { n };
            let span = span(n, unit).ok_or_else(|| unsupported(unit, math))?;
            local = add(local, span, zone).ok_or("out of range")?;
        }
    }
    zone.moment(local).ok_or_else(|| "out of range".into())
}

fn unsupported(unit: char, math: &str) -> String {
    format!("unit [{unit}] not supported for date math [{math}]")
}

fn add(local: DateTime, span: Span, _zone: &Zone) -> Option<DateTime> {
    local.checked_add(span).ok()
}

fn span(n: i64, unit: char) -> Option<Span> {
    let zero = Span::new();
    match unit {
        'y' => zero.try_years(n),
        'M' => zero.try_months(n),
        'w' => zero.try_weeks(n),
        'd' => zero.try_days(n),
        'h' | 'H' => zero.try_hours(n),
        'm' => zero.try_minutes(n),
        's' => zero.try_seconds(n),
        _ => return None,
    }
    .ok()
}

fn round(local: DateTime, unit: char, up: bool) -> Option<DateTime> {
    let unit = match unit {
        'y' => Unit::Year,
        'M' => Unit::Month,
        'w' => Unit::Week,
        'd' => Unit::Day,
        'h' | 'H' => Unit::Hour,
        'm' => Unit::Minute,
        's' => Unit::Second,
        _ => return None,
    };
    let start = truncate(local, unit)?;
    if up { step_on(start, unit)?.checked_sub(1.millisecond()).ok() } else { Some(start) }
}

#[cfg(test)]
mod tests {
    use super::super::to_millis;
    use super::*;

    fn at(text: &str, up: bool) -> Result<String, String> {
        let now = "2026-11-20T13:14:15.678Z".parse::<jiff::Timestamp>().unwrap().as_nanosecond();
        read(text, &DateFormat::default(), &Zone::utc(), now, up)
            .map(|n| jiff::Timestamp::from_millisecond(to_millis(n)).unwrap().to_string())
    }

    #[test]
    fn math() {
        for (text, up, want) in [
            ("now", false, "2026-11-20T13:14:15.678Z"),
            ("now-15m/m", false, "2026-11-20T12:59:00Z"),
            ("now-15m/m", true, "2026-11-20T12:59:59.999Z"),
            ("now/w", false, "2026-11-16T00:00:00Z"),
            ("now-1M/M", false, "2026-10-01T00:00:00Z"),
            ("now/y+1h", false, "2026-01-01T01:00:00Z"),
            ("2026-01-31||+1M/d", false, "2026-02-28T00:00:00Z"),
            ("2026-01-31||/d", true, "2026-01-31T23:59:59.999Z"),
            ("2026-01-31", true, "2026-01-31T23:59:59.999Z"),
            ("2026-01-31||+1h", true, "2026-01-31T01:00:00Z"),
        ] {
            assert_eq!(at(text, up).as_deref(), Ok(want), "{text}");
        }
        for text in ["now-", "now*5m", "now/2d", "now-1x", "tomorrow", "2026||+99999999999y"] {
            assert!(at(text, false).is_err(), "{text}");
        }
    }
}
