//! Spans of time as Elasticsearch writes them: `30s`, `1.5h`, `500micros`; and calendar units.

/// A unit of the calendar: its length depends on where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month.
    Month,
    /// Three months.
    Quarter,
    /// A year.
    Year,
}

impl Unit {
    /// Reads the unit of a `calendar_interval`: `1m`, `minute`, `1M`, `month`, `quarter`, ….
    pub fn calendar(text: &str) -> Option<Unit> {
        Some(match text {
            "1s" | "second" => Unit::Second,
            "1m" | "minute" => Unit::Minute,
            "1h" | "hour" => Unit::Hour,
            "1d" | "day" => Unit::Day,
            "1w" | "week" => Unit::Week,
            "1M" | "month" => Unit::Month,
            "1q" | "quarter" => Unit::Quarter,
            "1y" | "year" => Unit::Year,
            _ => return None,
        })
    }
}

/// Reads a span (`10s`, `-5m`, `1.5h`, `0`, `-1`) into nanoseconds. A number without a unit is refused save 0 and -1.
pub fn nanos(text: &str) -> Option<i128> {
    let text = text.trim();
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let scale: i128 = match unit {
        "nanos" => 1,
        "micros" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" | "H" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        "w" => 604_800_000_000_000,
        "" if matches!(number, "0" | "-1") => return number.parse().ok(),
        _ => return None,
    };
    if let Ok(whole) = number.parse::<i64>() {
        return Some(i128::from(whole) * scale);
    }
    let part: f64 = number.parse().ok().filter(|n: &f64| n.is_finite())?;
    Some((part * scale as f64) as i128)
}

/// Reads a span into whole milliseconds, rounded down.
pub fn millis(text: &str) -> Option<i64> {
    i64::try_from(nanos(text)?.div_euclid(super::NANOS_PER_MILLI)).ok()
}

/// Reads a span that must not be negative, as a [`std::time::Duration`].
pub fn duration(text: &str) -> Option<std::time::Duration> {
    let n = nanos(text).filter(|n| *n >= 0)?;
    Some(std::time::Duration::from_nanos(u64::try_from(n).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(millis("30s"), Some(30_000));
        assert_eq!(millis("30000ms"), Some(30_000));
        assert_eq!(millis("1.5h"), Some(5_400_000));
        assert_eq!(millis("-1h"), Some(-3_600_000));
        assert_eq!(millis("7"), None);
        assert_eq!(millis("1M"), None);
        assert_eq!(nanos("3micros"), Some(3000));
        assert_eq!(Unit::calendar("2d"), None);
    }
}
