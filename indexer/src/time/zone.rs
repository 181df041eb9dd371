//! Time zones: offsets (`+01:00`), names (`Europe/Paris`) and the conversions the rest needs.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::{Millis, Nanos};

/// A time zone as a request names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    zone: TimeZone,
    fixed: Option<Offset>,
    name: String,
}

impl Default for Zone {
    fn default() -> Self {
        Zone::utc()
    }
}

impl Zone {
    /// UTC.
    pub fn utc() -> Zone {
        Zone { zone: TimeZone::UTC, fixed: Some(Offset::UTC), name: "UTC".into() }
    }

    /// A fixed offset in seconds east of Greenwich; none past one day.
    pub fn offset(seconds: i32) -> Option<Zone> {
        let offset = Offset::from_seconds(seconds).ok()?;
        Some(Zone { zone: TimeZone::fixed(offset), fixed: Some(offset), name: offset.to_string() })
    }

    /// Reads `Z`, `UTC`, `GMT`, `+1`, `+01`, `+0100`, `+01:00`, `+01:00:00`, `UTC+1` or a name of the IANA database.
    pub fn parse(text: &str) -> Option<Zone> {
        if matches!(text, "Z" | "z" | "UTC" | "GMT" | "UT" | "Etc/UTC") {
            return Some(Zone::utc());
        }
        let bare = ["UTC", "GMT", "UT"].iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
        if bare.starts_with(['+', '-']) {
            return Zone::offset(offset_seconds(bare)?);
        }
        let zone = TimeZone::get(text).ok()?;
        Some(Zone { zone, fixed: None, name: text.into() })
    }

    /// The offset when it never changes, in milliseconds.
    pub fn fixed_millis(&self) -> Option<i64> {
        self.fixed.map(|o| i64::from(o.seconds()) * 1000)
    }

    /// The offset at a moment, in milliseconds.
    pub fn offset_millis(&self, at: Millis) -> i64 {
        match self.fixed_millis() {
            Some(o) => o,
            None => timestamp(i128::from(at) * super::NANOS_PER_MILLI)
                .map_or(0, |t| i64::from(self.zone.to_offset(t).seconds()) * 1000),
        }
    }

    /// The wall clock there at a moment; `None` outside the years -9999 to 9999.
    pub fn local(&self, nanos: Nanos) -> Option<DateTime> {
        timestamp(nanos).map(|t| self.zone.to_datetime(t))
    }

    /// The moment at which the wall clock there shows `local`. In a gap the later, in a fold the earlier one, as
    /// Java's `ZonedDateTime.of` has it.
    pub fn moment(&self, local: DateTime) -> Option<Nanos> {
        if let Some(offset) = self.fixed {
            // Done by hand, since the ends of the range of years do not convert with every offset.
            let utc = Offset::UTC.to_timestamp(local).ok()?;
            return Some(utc.as_nanosecond() - i128::from(offset.seconds()) * 1_000_000_000);
        }
        let t = self.zone.to_ambiguous_timestamp(local).compatible().ok()?;
        Some(t.as_nanosecond())
    }

    /// The zone's offset at a moment as `Z` or `+01:00`.
    pub fn suffix(&self, nanos: Nanos) -> String {
        let seconds = match self.fixed {
            Some(o) => o.seconds(),
            None => timestamp(nanos).map_or(0, |t| self.zone.to_offset(t).seconds()),
        };
        offset_text(seconds, true, true)
    }

    /// Its name as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seconds east of Greenwich at a moment.
    pub fn seconds(&self, nanos: Nanos) -> i32 {
        (self.offset_millis(super::to_millis(nanos)) / 1000) as i32
    }
}

/// Writes an offset: `Z` for zero when `zulu`, else `+hh:mm` or `+hhmm`.
pub fn offset_text(seconds: i32, colon: bool, zulu: bool) -> String {
    if seconds == 0 && zulu {
        return "Z".into();
    }
    let (sign, s) = if seconds < 0 { ('-', -seconds) } else { ('+', seconds) };
    let (h, m) = (s / 3600, s / 60 % 60);
    if colon { format!("{sign}{h:02}:{m:02}") } else { format!("{sign}{h:02}{m:02}") }
}

/// Reads `+h`, `+hh`, `+hhmm`, `+hh:mm`, `+hh:mm:ss` into seconds.
pub fn offset_seconds(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let rest = &text[1..];
    if !rest.bytes().all(|b| b.is_ascii_digit() || b == b':') {
        return None;
    }
    let parts: Vec<&str> = if rest.contains(':') {
        rest.split(':').collect()
    } else {
        match rest.len() {
            1 | 2 => vec![rest],
            4 => vec![&rest[..2], &rest[2..]],
            6 => vec![&rest[..2], &rest[2..4], &rest[4..]],
            _ => return None,
        }
    };
    if parts.len() > 3 {
        return None;
    }
    let mut seconds = 0;
    for (part, (unit, limit)) in parts.iter().zip([(3600, 18), (60, 59), (1, 59)]) {
        let n: i32 = part.parse().ok().filter(|n| *n <= limit)?;
        seconds += n * unit;
    }
    Some(sign * seconds)
}

/// A moment as jiff's type; `None` outside its range.
pub fn timestamp(nanos: Nanos) -> Option<Timestamp> {
    Timestamp::from_nanosecond(nanos).ok()
}

/// A wall clock so many milliseconds after 1970-01-01T00:00.
pub fn civil(local_millis: i64) -> Option<DateTime> {
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0).checked_add(SignedDuration::from_millis(local_millis)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_in_every_spelling() {
        for (text, want) in
            [("+1", 3600), ("+01", 3600), ("-0330", -12600), ("+05:30", 19800), ("+01:00:30", 3630), ("+18:00", 64800)]
        {
            assert_eq!(offset_seconds(text), Some(want), "{text}");
        }
        for text in ["01:00", "+", "+1:2:3:4", "+99", "+01:77", "+123"] {
            assert_eq!(offset_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn summer_time_is_known() {
        let paris = Zone::parse("Europe/Paris").unwrap();
        assert_eq!(paris.offset_millis(1_420_070_400_000), 3_600_000); // January 2015
        assert_eq!(paris.offset_millis(1_435_708_800_000), 7_200_000); // July 2015
        assert!(Zone::parse("Europe/Nowhere").is_none());
        assert_eq!(Zone::parse("UTC+2").unwrap().fixed_millis(), Some(7_200_000));
    }
}
