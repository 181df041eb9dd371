//! Which bucket of a time grid a moment falls in: fixed and calendar intervals, with time zone and offset.

use jiff::civil::DateTime;
use jiff::{SignedDuration, ToSpan};

use super::span::{Unit, millis};
use super::zone::{Zone, civil};
use super::{Millis, NANOS_PER_MILLI};

/// The step of a time grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Interval {
    /// Always as long, in milliseconds (at least 1).
    Fixed(i64),
    /// As long as the calendar says.
    Calendar(Unit),
}

impl Interval {
    /// Reads a `fixed_interval`.
    pub fn fixed(text: &str) -> Option<Interval> {
        millis(text).filter(|n| *n > 0).map(Interval::Fixed)
    }

    /// Reads a `calendar_interval`.
    pub fn calendar(text: &str) -> Option<Interval> {
        Unit::calendar(text).map(Interval::Calendar)
    }

    /// About how long a step is, in milliseconds: to guess how many buckets a range has.
    pub fn about_millis(&self) -> i64 {
        const DAY: i64 = 86_400_000;
        match self {
            Interval::Fixed(n) => *n,
            Interval::Calendar(unit) => match unit {
                Unit::Second => 1000,
                Unit::Minute => 60_000,
                Unit::Hour => 3_600_000,
                Unit::Day => DAY,
                Unit::Week => 7 * DAY,
                Unit::Month => 30 * DAY,
                Unit::Quarter => 91 * DAY,
                Unit::Year => 365 * DAY,
            },
        }
    }
}

/// A time grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounding {
    /// Its step.
    pub interval: Interval,
    /// Whose clock and calendar it follows.
    pub zone: Zone,
    /// How far it is shifted, in milliseconds.
    pub offset: i64,
}

impl Rounding {
    /// When this grid is `floor((t - shift) / step) * step + shift` everywhere: (step, shift), in milliseconds.
    pub fn uniform(&self) -> Option<(i64, i64)> {
        let zone = self.zone.fixed_millis()?;
        let step = match self.interval {
            Interval::Fixed(n) => n,
            Interval::Calendar(Unit::Second) => 1000,
            Interval::Calendar(Unit::Minute) => 60_000,
            Interval::Calendar(Unit::Hour) => 3_600_000,
            Interval::Calendar(Unit::Day) => 86_400_000,
            Interval::Calendar(_) => return None,
        };
        Some((step, (self.offset - zone).rem_euclid(step)))
    }

    /// The start of the bucket that `t` lies in.
    pub fn round(&self, t: Millis) -> Millis {
        if let Some((step, shift)) = self.uniform() {
            return (t - shift).div_euclid(step) * step + shift;
        }
        let at = t.saturating_sub(self.offset);
        let offset = self.zone.offset_millis(at);
        let Some(local) = civil(at.saturating_add(offset)) else { return t };
        let start = match self.interval {
            Interval::Fixed(step) => {
                let l = at + offset;
                civil(l.div_euclid(step) * step)
            }
            Interval::Calendar(unit) => truncate(local, unit),
        };
        let Some(start) = start.and_then(|s| self.zone.moment(s)) else { return t };
        let mut start = (start / NANOS_PER_MILLI) as i64;
        if start > at {
            // The clock was set back inside this bucket: the wall time of its start came twice, or never.
            start = at;
        }
        start + self.offset
    }

    /// The start of the bucket after the one that starts at `start`.
    pub fn next(&self, start: Millis) -> Millis {
        if let Some((step, _)) = self.uniform() {
            return start.saturating_add(step);
        }
        let at = start.saturating_sub(self.offset);
        let offset = self.zone.offset_millis(at);
        let local = civil(at.saturating_add(offset));
        let next = local.and_then(|l| match self.interval {
            Interval::Fixed(step) => l.checked_add(SignedDuration::from_millis(step)).ok(),
            Interval::Calendar(unit) => step_on(l, unit),
        });
        let Some(mut next) = next.and_then(|n| self.zone.moment(n)).map(|n| (n / NANOS_PER_MILLI) as i64) else {
            return start.saturating_add(self.interval.about_millis());
        };
        if next <= at {
            next = at + self.interval.about_millis();
        }
        next + self.offset
    }
}

/// The start of the unit that a wall clock lies in.
pub fn truncate(l: DateTime, unit: Unit) -> Option<DateTime> {
    let (y, mo, d) = (l.year(), l.month(), l.day());
    let day = |y, mo, d| DateTime::new(y, mo, d, 0, 0, 0, 0).ok();
    match unit {
        Unit::Second => DateTime::new(y, mo, d, l.hour(), l.minute(), l.second(), 0).ok(),
        Unit::Minute => DateTime::new(y, mo, d, l.hour(), l.minute(), 0, 0).ok(),
        Unit::Hour => DateTime::new(y, mo, d, l.hour(), 0, 0, 0).ok(),
        Unit::Day => day(y, mo, d),
        Unit::Week => {
            let back = i64::from(l.date().weekday().to_monday_zero_offset());
            day(y, mo, d)?.checked_sub(SignedDuration::from_hours(24 * back)).ok()
        }
        Unit::Month => day(y, mo, 1),
        Unit::Quarter => day(y, (mo - 1) / 3 * 3 + 1, 1),
        Unit::Year => day(y, 1, 1),
    }
}

/// One unit later on the wall clock.
pub fn step_on(l: DateTime, unit: Unit) -> Option<DateTime> {
    match unit {
        Unit::Second => l.checked_add(1.second()),
        Unit::Minute => l.checked_add(1.minute()),
        Unit::Hour => l.checked_add(1.hour()),
        Unit::Day => l.checked_add(1.day()),
        Unit::Week => l.checked_add(1.week()),
        Unit::Month => l.checked_add(1.month()),
        Unit::Quarter => l.checked_add(3.months()),
        Unit::Year => l.checked_add(1.year()),
    }
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }
    fn grid(interval: Interval, zone: &str, offset: i64) -> Rounding {
        Rounding { interval, zone: Zone::parse(zone).unwrap(), offset }
    }

    #[test]
    fn fixed_steps_follow_zone_and_offset() {
        let day = grid(Interval::Fixed(86_400_000), "+01:00", 0);
        assert_eq!(day.round(at("2015-10-01T00:30:00Z")), at("2015-09-30T23:00:00Z"));
        let six = grid(Interval::Calendar(Unit::Day), "UTC", 6 * 3_600_000);
        assert_eq!(six.round(at("2015-10-01T05:30:00Z")), at("2015-09-30T06:00:00Z"));
        assert_eq!(grid(Interval::Fixed(1000), "UTC", 0).round(-1), -1000);
    }

    #[test]
    fn calendar_steps_follow_summer_time() {
        let day = grid(Interval::Calendar(Unit::Day), "Europe/Paris", 0);
        let start = day.round(at("2015-10-25T12:00:00Z"));
        assert_eq!(start, at("2015-10-24T22:00:00Z"));
        assert_eq!(day.next(start), at("2015-10-25T23:00:00Z"), "25 hours long");
        let month = grid(Interval::Calendar(Unit::Month), "UTC", 0);
        assert_eq!(month.round(at("2016-02-29T01:00:00Z")), at("2016-02-01T00:00:00Z"));
        assert_eq!(month.next(at("2016-01-01T00:00:00Z")), at("2016-02-01T00:00:00Z"));
        let week = grid(Interval::Calendar(Unit::Week), "UTC", 0);
        assert_eq!(week.round(at("2026-11-20T10:00:00Z")), at("2026-11-16T00:00:00Z"));
        let quarter = grid(Interval::Calendar(Unit::Quarter), "UTC", 0);
        assert_eq!(quarter.round(at("2026-11-20T10:00:00Z")), at("2026-10-01T00:00:00Z"));
    }
}
