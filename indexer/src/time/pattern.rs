//! Java date patterns (`yyyy-MM-dd'T'HH:mm:ss.SSSXXX`): the letters that logs use; any other one is refused.

use jiff::civil::{Date, DateTime};

use super::Nanos;
use super::format::{fraction_nanos, year_text};
use super::zone::{Zone, offset_seconds, offset_text};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// What a text said about a date; the rest is filled in by [`Fields::moment`].
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Fields {
    pub year: Option<i32>,
    pub month: Option<i32>,
    pub day: Option<i32>,
    pub day_of_year: Option<i32>,
    pub hour: Option<i32>,
    pub hour12: Option<i32>,
    pub afternoon: Option<bool>,
    pub minute: Option<i32>,
    pub second: Option<i32>,
    pub nano: Option<i32>,
    /// Seconds east of Greenwich.
    pub offset: Option<i32>,
    pub zone: Option<Zone>,
}

impl Fields {
    /// The moment meant; see [`super::format::DateFormat::read`].
    pub fn moment(&self, zone: &Zone, round_up: bool) -> Option<Nanos> {
        let last = |n: i32| if round_up { n } else { 0 };
        let year = i16::try_from(self.year.unwrap_or(1970)).ok()?;
        let date = match self.day_of_year {
            Some(n) => {
                let first = Date::new(year, 1, 1).ok()?;
                if n < 1 || n > i32::from(first.days_in_year()) {
                    return None;
                }
                first.checked_add(jiff::SignedDuration::from_hours(24 * i64::from(n - 1))).ok()?
            }
            None => Date::new(year, small(self.month.unwrap_or(1))?, small(self.day.unwrap_or(1))?).ok()?,
        };
        let hour = match (self.hour, self.hour12) {
            (Some(h), _) => h,
            (None, Some(h)) => h % 12 + if self.afternoon == Some(true) { 12 } else { 0 },
            (None, None) => last(23),
        };
        let minute = self.minute.unwrap_or(last(59));
        let second = self.second.unwrap_or(last(59));
        let nano = self.nano.unwrap_or(last(999_999_999));
        // A leap second is the last second of its minute.
        let local = DateTime::from_parts(
            date,
            jiff::civil::Time::new(
                small(hour)?,
                small(minute)?,
                small(second.min(if second == 60 { 59 } else { second }))?,
                nano,
            )
            .ok()?,
        );
        match (self.offset, &self.zone) {
            (Some(seconds), _) => Zone::offset(seconds)?.moment(local),
            (None, Some(z)) => z.moment(local),
            (None, None) => zone.moment(local),
        }
    }
}

fn small(n: i32) -> Option<i8> {
    i8::try_from(n).ok()
}

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Literal(char),
    /// A letter and how often it stands there.
    Field(char, usize),
    Optional(Vec<Item>),
}

/// A pattern, read.
#[derive(Clone, Debug)]
pub struct Pattern {
    items: Vec<Item>,
}

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let mut stack: Vec<Vec<Item>> = vec![Vec::new()];
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let push = |stack: &mut Vec<Vec<Item>>, item| stack.last_mut().map(|top| top.push(item));
            match c {
                '\'' => {
                    if chars.peek() == Some(&'\'') {
                        chars.next();
                        push(&mut stack, Item::Literal('\''));
                        continue;
                    }
                    loop {
                        match chars.next() {
                            None => return Err(format!("Pattern ends with an incomplete string literal: {text}")),
                            Some('\'') if chars.peek() == Some(&'\'') => {
                                chars.next();
                                push(&mut stack, Item::Literal('\''));
                            }
                            Some('\'') => break,
                            Some(l) => {
                                push(&mut stack, Item::Literal(l));
                            }
                        }
                    }
                }
                '[' if stack.len() > 8 => return Err("optional sections nested too deeply".into()),
                '[' => stack.push(Vec::new()),
                ']' => {
                    let inner = stack.pop().filter(|_| !stack.is_empty());
                    let inner = inner.ok_or("Pattern invalid as it contains ] without previous [")?;
                    push(&mut stack, Item::Optional(inner));
                }
                c if c.is_ascii_alphabetic() => {
                    let mut count = 1;
                    while chars.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    if !"yuMLdHkhKamsSnDEZXxzVO".contains(c) || count > 9 {
                        return Err(format!("Unknown pattern letter: {c}"));
                    }
                    push(&mut stack, Item::Field(c, count));
                }
                '{' | '}' | '#' => return Err(format!("Pattern includes reserved character: '{c}'")),
                c => {
                    push(&mut stack, Item::Literal(c));
                }
            }
        }
        match (stack.pop(), stack.is_empty()) {
            (Some(items), true) => Ok(Pattern { items }),
            _ => Err("Pattern invalid as it contains [ without ]".into()),
        }
    }

    /// Reads a text of this pattern, all of it.
    pub fn read(&self, text: &str) -> Option<Fields> {
        let mut fields = Fields::default();
        let rest = read_items(&self.items, text, &mut fields)?;
        rest.is_empty().then_some(fields)
    }

    /// Writes a moment; `None` outside the years -9999 to 9999.
    pub fn write(&self, nanos: Nanos, zone: &Zone) -> Option<String> {
        let local = zone.local(nanos)?;
        let mut out = String::new();
        write_items(&self.items, local, nanos, zone, &mut out);
        Some(out)
    }
}

fn digits(text: &str, least: usize, most: usize) -> Option<(i32, &str)> {
    let n = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if n < least { None } else { Some((text[..n].parse().ok()?, &text[n..])) }
}

fn named<'a>(text: &'a str, names: &[&str], short: bool) -> Option<(i32, &'a str)> {
    names.iter().enumerate().find_map(|(i, name)| {
        let name = if short { &name[..3] } else { name };
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name).then(|| (i as i32 + 1, &text[name.len()..]))
    })
}

fn read_items<'a>(items: &[Item], mut text: &'a str, fields: &mut Fields) -> Option<&'a str> {
    for (i, item) in items.iter().enumerate() {
        // A number right before another one has exactly its width.
        let exact = matches!(items.get(i + 1), Some(Item::Field(c, _)) if "yuMdHkhKmsSnD".contains(*c));
        match item {
            Item::Literal(c) => text = text.strip_prefix(*c)?,
            Item::Optional(inner) => {
                let mut tried = fields.clone();
                if let Some(rest) = read_items(inner, text, &mut tried) {
                    *fields = tried;
                    text = rest;
                }
            }
            Item::Field(c, count) => text = read_field(*c, *count, exact, text, fields)?,
        }
    }
    Some(text)
}

fn read_field<'a>(c: char, count: usize, exact: bool, text: &'a str, f: &mut Fields) -> Option<&'a str> {
    let width = |most: usize| if count == 1 && !exact { (1, most) } else { (count, count) };
    let number = |most: usize| {
        let (least, most) = width(most);
        digits(text, least, most)
    };
    let rest;
    match c {
        'y' | 'u' if count == 2 => {
            let (n, r) = digits(text, 2, 2)?;
            f.year = Some(2000 + n);
            rest = r;
        }
        'y' | 'u' => {
            let (negative, body) = text.strip_prefix('-').map_or((false, text), |b| (true, b));
            let (n, r) = digits(body, count, if exact { count } else { 9 })?;
            f.year = Some(if negative { -n } else { n });
            rest = r;
        }
        'M' | 'L' => {
            let (n, r) = if count >= 3 { named(text, &MONTHS, count == 3)? } else { number(2)? };
            f.month = Some(n);
            rest = r;
        }
        'E' => rest = named(text, &DAYS, count <= 3)?.1,
        'd' => (f.day, rest) = number(2).map(|(n, r)| (Some(n), r))?,
        'D' => (f.day_of_year, rest) = number(3).map(|(n, r)| (Some(n), r))?,
        'H' => (f.hour, rest) = number(2).map(|(n, r)| (Some(n), r))?,
        'k' => (f.hour, rest) = number(2).map(|(n, r)| (Some(n % 24), r))?,
        'h' | 'K' => (f.hour12, rest) = number(2).map(|(n, r)| (Some(n), r))?,
        'm' => (f.minute, rest) = number(2).map(|(n, r)| (Some(n), r))?,
        's' => (f.second, rest) = number(2).map(|(n, r)| (Some(n), r))?,
        'S' => {
            let n = text.bytes().take(count).take_while(u8::is_ascii_digit).count();
            if n < count {
                return None;
            }
            f.nano = Some(fraction_nanos(&text[..n])?);
            rest = &text[n..];
        }
        'n' => (f.nano, rest) = digits(text, 1, 9).map(|(n, r)| (Some(n), r))?,
        'a' => {
            let head = text.get(..2)?;
            f.afternoon = Some(head.eq_ignore_ascii_case("pm"));
            if f.afternoon == Some(false) && !head.eq_ignore_ascii_case("am") {
                return None;
            }
            rest = &text[2..];
        }
        'V' | 'z' => {
            let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "/_+-:".contains(c))).unwrap_or(text.len());
            f.zone = Some(Zone::parse(&text[..end])?);
            rest = &text[end..];
        }
        _ => {
            if let Some(r) = text.strip_prefix('Z').filter(|_| c != 'x') {
                f.offset = Some(0);
                return Some(r);
            }
            let body = text.strip_prefix("GMT").unwrap_or(text);
            if body.is_empty() || !body.starts_with(['+', '-']) {
                return if c == 'O' && body.len() < text.len() {
                    f.offset = Some(0);
                    Some(body)
                } else {
                    None
                };
            }
            let end = body[1..].find(|c: char| !(c.is_ascii_digit() || c == ':')).map_or(body.len(), |n| n + 1);
            f.offset = Some(offset_seconds(&body[..end])?);
            rest = &body[end..];
        }
    }
    Some(rest)
}

fn write_items(items: &[Item], l: DateTime, nanos: Nanos, zone: &Zone, out: &mut String) {
    for item in items {
        match item {
            Item::Literal(c) => out.push(*c),
            Item::Optional(inner) => write_items(inner, l, nanos, zone, out),
            Item::Field(c, count) => {
                let seconds = zone.seconds(nanos);
                let number = |n: i32| format!("{n:0count$}", count = *count);
                out.push_str(&match c {
                    'y' | 'u' if *count == 2 => format!("{:02}", l.year().rem_euclid(100)),
                    'y' | 'u' if *count == 4 => year_text(l),
                    'y' | 'u' => number(i32::from(l.year())),
                    'M' | 'L' if *count >= 3 => {
                        let name = MONTHS[(l.month() as usize - 1).min(11)];
                        if *count == 3 { name[..3].into() } else { name.into() }
                    }
                    'M' | 'L' => number(i32::from(l.month())),
                    'd' => number(i32::from(l.day())),
                    'D' => number(i32::from(l.date().day_of_year())),
                    'E' => {
                        let name = DAYS[l.date().weekday().to_monday_zero_offset() as usize % 7];
                        if *count <= 3 { name[..3].into() } else { name.into() }
                    }
                    'H' => number(i32::from(l.hour())),
                    'k' => number(if l.hour() == 0 { 24 } else { i32::from(l.hour()) }),
                    'h' => number((i32::from(l.hour()) + 11) % 12 + 1),
                    'K' => number(i32::from(l.hour()) % 12),
                    'a' => if l.hour() >= 12 { "PM" } else { "AM" }.into(),
                    'm' => number(i32::from(l.minute())),
                    's' => number(i32::from(l.second())),
                    'S' => format!("{:09}", l.subsec_nanosecond())[..*count].into(),
                    'n' => number(l.subsec_nanosecond()),
                    'V' | 'z' => zone.name().into(),
                    'Z' => offset_text(seconds, *count == 5, *count == 5),
                    'X' if *count == 1 && seconds % 3600 == 0 => {
                        let s = offset_text(seconds, false, true);
                        if s == "Z" { s } else { s[..3].into() }
                    }
                    'X' => offset_text(seconds, *count == 3 || *count == 5, true),
                    'x' if *count == 1 && seconds % 3600 == 0 => offset_text(seconds, false, false)[..3].into(),
                    'x' => offset_text(seconds, *count == 3 || *count == 5, false),
                    _ => {
                        if seconds == 0 {
                            "GMT".into()
                        } else {
                            format!("GMT{}", offset_text(seconds, true, false))
                        }
                    }
                });
            }
        }
    }
}
