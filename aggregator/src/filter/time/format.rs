//! Joda's pattern letters: `yyyy-MM-dd'T'HH:mm:ss.SSSZ`. This file reads a pattern and writes times with it.

use std::fmt::Write as _;

use jiff::{Timestamp, civil::Weekday, tz::TimeZone};

/// A pattern that has been read.
#[derive(Clone, Debug)]
pub struct Format {
    pub(super) items: Vec<Item>,
}

/// One piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Text that stands for itself.
    Fixed(String),
    /// A letter and how often it came.
    Field(Field, usize),
}

/// The pattern letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Era,
    Century,
    Year,
    WeekYear,
    Week,
    DayOfWeek,
    DayName,
    DayOfYear,
    Month,
    Day,
    HalfDay,
    /// Hour of a half day, 0 to 11.
    HourOfHalf,
    /// Hour of a half day, 1 to 12.
    ClockHourOfHalf,
    /// Hour, 0 to 23.
    Hour,
    /// Hour, 1 to 24.
    ClockHour,
    Minute,
    Second,
    Fraction,
    ZoneName,
    Offset,
}

impl Field {
    fn of(letter: char) -> Option<Self> {
        Some(match letter {
            'G' => Field::Era,
            'C' => Field::Century,
            'y' | 'Y' | 'u' => Field::Year,
            'x' => Field::WeekYear,
            'w' => Field::Week,
            'e' => Field::DayOfWeek,
            'E' => Field::DayName,
            'D' => Field::DayOfYear,
            'M' => Field::Month,
            'd' => Field::Day,
            'a' => Field::HalfDay,
            'K' => Field::HourOfHalf,
            'h' => Field::ClockHourOfHalf,
            'H' => Field::Hour,
            'k' => Field::ClockHour,
            'm' => Field::Minute,
            's' => Field::Second,
            'S' => Field::Fraction,
            'z' => Field::ZoneName,
            'Z' => Field::Offset,
            _ => return None,
        })
    }
}

impl Item {
    /// Whether it is written in digits, so that a number before it must not take all it can.
    pub(super) fn is_number(&self) -> bool {
        match self {
            Item::Fixed(_) => false,
            Item::Field(Field::Month, count) => *count <= 2,
            Item::Field(Field::Era | Field::DayName | Field::HalfDay | Field::ZoneName | Field::Offset, _) => false,
            Item::Field(..) => true,
        }
    }
}

impl Format {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A letter that means nothing, and a quote that is not closed.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut fixed = String::new();
        let mut letters = pattern.chars().peekable();
        while let Some(letter) = letters.next() {
            if letter == '\'' {
                if letters.next_if_eq(&'\'').is_some() {
                    fixed.push('\'');
                    continue;
                }
                loop {
                    match letters.next() {
                        Some('\'') if letters.next_if_eq(&'\'').is_some() => fixed.push('\''),
                        Some('\'') => break,
                        Some(inside) => fixed.push(inside),
                        None => return Err("a quote is not closed".to_owned()),
                    }
                }
            } else if letter.is_ascii_alphabetic() {
                let field = Field::of(letter).ok_or_else(|| format!("the pattern letter `{letter}` means nothing"))?;
                let mut count = 1;
                while letters.next_if_eq(&letter).is_some() {
                    count += 1;
                }
                if !fixed.is_empty() {
                    items.push(Item::Fixed(std::mem::take(&mut fixed)));
                }
                items.push(Item::Field(field, count));
            } else {
                fixed.push(letter);
            }
        }
        if !fixed.is_empty() {
            items.push(Item::Fixed(fixed));
        }
        if items.is_empty() {
            return Err("it is empty".to_owned());
        }
        // `YYYY-'W'ww` means the year of the week.
        if items.iter().any(|item| matches!(item, Item::Field(Field::Week, _))) && pattern.contains('Y') {
            for item in &mut items {
                if let Item::Field(field @ Field::Year, _) = item {
                    *field = Field::WeekYear;
                }
            }
        }
        Ok(Self { items })
    }

    /// Appends `time`, in UTC.
    pub fn write(&self, time: Timestamp, out: &mut String) {
        let zoned = time.to_zoned(TimeZone::UTC);
        let week = zoned.date().iso_week_date();
        let hour = i64::from(zoned.hour());
        for item in &self.items {
            let (field, count) = match item {
                Item::Fixed(text) => {
                    out.push_str(text);
                    continue;
                }
                Item::Field(field, count) => (*field, *count),
            };
            let number = match field {
                Field::Century => i64::from(zoned.year()) / 100,
                Field::Year if count == 2 => i64::from(zoned.year()).rem_euclid(100),
                Field::Year => i64::from(zoned.year()),
                Field::WeekYear if count == 2 => i64::from(week.year()).rem_euclid(100),
                Field::WeekYear => i64::from(week.year()),
                Field::Week => i64::from(week.week()),
                Field::DayOfWeek => i64::from(zoned.weekday().to_monday_one_offset()),
                Field::DayOfYear => i64::from(zoned.day_of_year()),
                Field::Month if count <= 2 => i64::from(zoned.month()),
                Field::Day => i64::from(zoned.day()),
                Field::HourOfHalf => hour % 12,
                Field::ClockHourOfHalf => (hour + 11) % 12 + 1,
                Field::Hour => hour,
                Field::ClockHour => (hour + 23) % 24 + 1,
                Field::Minute => i64::from(zoned.minute()),
                Field::Second => i64::from(zoned.second()),
                Field::Fraction => {
                    let digits = format!("{:09}", zoned.subsec_nanosecond());
                    out.extend(digits.chars().chain(std::iter::repeat('0')).take(count));
                    continue;
                }
                Field::Era => {
                    out.push_str("AD");
                    continue;
                }
                Field::HalfDay => {
                    out.push_str(if hour < 12 { "AM" } else { "PM" });
                    continue;
                }
                Field::DayName => {
                    push_name(out, day_name(zoned.weekday()), count);
                    continue;
                }
                Field::Month => {
                    let name = zoned.strftime("%B").to_string();
                    push_name(out, &name, count);
                    continue;
                }
                Field::ZoneName => {
                    out.push_str("UTC");
                    continue;
                }
                Field::Offset => {
                    out.push_str(["+0000", "+00:00", "UTC"][count.clamp(1, 3) - 1]);
                    continue;
                }
            };
            // Writing to a String cannot fail.
            let _ = write!(out, "{number:0count$}");
        }
    }
}

fn push_name(out: &mut String, name: &str, count: usize) {
    out.push_str(if count >= 4 { name } else { &name[..3] });
}

fn day_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_times() {
        let time: Timestamp = "2015-10-01T03:04:05.6789Z".parse().unwrap();
        for (pattern, expected) in [
            ("yyyy.MM.dd", "2015.10.01"),
            ("YY-M-d H:m:s", "15-10-1 3:4:5"),
            ("EEE, dd MMMM yyyy hh:mm a", "Thu, 01 October 2015 03:04 AM"),
            ("YYYY-'W'ww e D", "2015-W40 4 274"),
            ("HH:mm:ss.SSSZZ", "03:04:05.678+00:00"),
            ("'o''clock' kk", "o'clock 03"),
        ] {
            let mut out = String::new();
            Format::parse(pattern).unwrap().write(time, &mut out);
            assert_eq!(out, expected, "{pattern}");
        }
        assert!(Format::parse("yyyy-bb").is_err());
        assert!(Format::parse("yyyy'T").is_err());
    }
}
