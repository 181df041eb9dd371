//! Syslog lines: RFC 5424, RFC 3164 and what real senders make of it.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// What a line says of itself; all parts are slices of the line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line<'a> {
    /// Facility times 8 plus severity, 0 to 191.
    pub priority: Option<u8>,
    /// When it was written.
    pub time: Option<Timestamp>,
    /// Who sent it.
    pub host: Option<&'a str>,
    /// The program, tag or application name.
    pub program: Option<&'a str>,
    /// The process id, where it is one or where a name stands in its place.
    pub process: Option<&'a str>,
    /// The message id of RFC 5424.
    pub message_id: Option<&'a str>,
    /// The structured data of RFC 5424, with its brackets.
    pub structured: Option<&'a str>,
    /// The message itself.
    pub message: &'a str,
}

/// Names of the severities 0 to 7, as Logstash writes them.
pub const SEVERITIES: [&str; 8] =
    ["Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"];

/// Names of the facilities 0 to 23, as Logstash writes them.
pub const FACILITIES: [&str; 24] = [
    "kernel",
    "user-level",
    "mail",
    "system",
    "security/authorization",
    "syslogd",
    "line printer",
    "network news",
    "UUCP",
    "clock",
    "security/authorization",
    "FTP",
    "NTP",
    "log audit",
    "log alert",
    "clock",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
];

/// Reads a line. `now` gives RFC 3164 times, which have no year and no zone, theirs. What is not syslog is all message.
pub fn parse<'a>(line: &'a str, now: &Zoned) -> Line<'a> {
    let plain = Line { message: line, ..Line::default() };
    let Some((priority, rest)) = priority(line) else { return old_style(line, now).unwrap_or(plain) };
    let line = match rest.strip_prefix("1 ") {
        Some(rest) => new_style(rest),
        None => old_style(rest, now),
    };
    Line { priority: Some(priority), ..line.unwrap_or(Line { message: rest, ..Line::default() }) }
}

fn priority(line: &str) -> Option<(u8, &str)> {
    let (digits, rest) = line.strip_prefix('<')?.split_once('>')?;
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u8 = digits.parse().ok()?;
    (number <= 191).then_some((number, rest))
}

/// `TIME HOST APP PROCID MSGID STRUCTURED MESSAGE`, where `-` stands for nothing.
fn new_style(rest: &str) -> Option<Line<'_>> {
    let mut words = rest.splitn(6, ' ');
    let mut word = || words.next().map(|word| (word != "-").then_some(word));
    let (time, host, program, process, message_id) = (word()?, word()?, word()?, word()?, word()?);
    let time = match time {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    let rest = words.next()?;
    let (structured, message) = structured(rest)?;
    let message = message.strip_prefix('\u{feff}').unwrap_or(message);
    // rsyslog puts the blank of the old form (`TAG: message`) before the message; Logstash's pattern eats it, too.
    let message = message.strip_prefix(' ').unwrap_or(message);
    Some(Line { priority: None, time, host, program, process, message_id, structured, message })
}

/// Cuts `[id name="value" …][…] message` or `- message` in two.
fn structured(text: &str) -> Option<(Option<&str>, &str)> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some((None, rest.strip_prefix(' ').unwrap_or(rest)));
    }
    let bytes = text.as_bytes();
    let mut at = 0;
    while bytes.get(at) == Some(&b'[') {
        let mut quoted = false;
        loop {
            at += 1;
            match bytes.get(at)? {
                b'\\' if quoted => at += 1,
                b'"' => quoted = !quoted,
                b']' if !quoted => break,
                _ => {}
            }
        }
        at += 1;
    }
    let rest = text.get(at..)?;
    (at > 0).then(|| (Some(&text[..at]), rest.strip_prefix(' ').unwrap_or(rest)))
}

/// `TIME HOST TAG[PID]: MESSAGE`, where the host may be missing (as `logger` and `/dev/log` leave it out).
fn old_style<'a>(text: &'a str, now: &Zoned) -> Option<Line<'a>> {
    let (time, rest) = old_time(text, now)?;
    let rest = rest.strip_prefix(' ')?;
    let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
    let (host, rest) = if first.ends_with(':') || first.is_empty() { (None, rest) } else { (Some(first), after) };
    let line = Line { time: Some(time), host, ..Line::default() };
    Some(match tag(rest) {
        Some((program, process, message)) => Line { program: Some(program), process, message, ..line },
        None => Line { message: rest, ..line },
    })
}

/// `tag:`, `tag[pid]:` or `tag[pid]` before a message.
fn tag(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let end = text.find([':', '[', ' '])?;
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    let (process, rest) = match rest.strip_prefix('[') {
        Some(inner) => {
            let (process, rest) = inner.split_once(']')?;
            (Some(process), rest)
        }
        None => (None, rest),
    };
    let message = rest.strip_prefix(':').or(process.map(|_| rest))?;
    Some((name, process, message.strip_prefix(' ').unwrap_or(message)))
}

/// `Mmm dd hh:mm:ss` (the day padded by a blank), or RFC 3339 as rsyslog can be told to write it.
fn old_time<'a>(text: &'a str, now: &Zoned) -> Option<(Timestamp, &'a str)> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        let (time, _) = text.split_once(' ')?;
        return Some((time.parse().ok()?, &text[time.len()..]));
    }
    let stamp = text.get(..15)?;
    let month = MONTHS.iter().position(|month| stamp.starts_with(month))?;
    let number = |from: usize, to: usize| stamp.get(from..to)?.trim_start().parse::<i8>().ok();
    let (day, hour, minute, second) = (number(4, 6)?, number(7, 9)?, number(10, 12)?, number(13, 15)?);
    let month = i8::try_from(month + 1).ok()?;
    let at = |year: i16| -> Option<Timestamp> {
        let time = jiff::civil::Time::new(hour, minute, second, 0).ok()?;
        let civil: DateTime = Date::new(year, month, day).ok()?.to_datetime(time);
        Some(civil.to_zoned(TimeZone::clone(now.time_zone())).ok()?.timestamp())
    };
    let this_year = at(now.year());
    // A time far ahead of now is one of last December, read in January.
    let day_ahead = now.timestamp() + jiff::SignedDuration::from_hours(24 * 30);
    let time = match this_year {
        Some(time) if time <= day_ahead => time,
        _ => at(now.year() - 1).or(this_year)?,
    };
    Some((time, &text[15..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2024-05-01T12:00:00Z".parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC)
    }

    fn time(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn rfc_5424() {
        let line = parse(
            "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" a=\"]\\\"\"][x y=\"1\"] \u{feff}An event",
            &now(),
        );
        assert_eq!(line.priority, Some(165));
        assert_eq!(line.time, time("2003-10-11T22:14:15.003Z"));
        assert_eq!((line.host, line.program, line.process), (Some("mymachine.example.com"), Some("evntslog"), None));
        assert_eq!(line.message_id, Some("ID47"));
        assert_eq!(line.structured, Some("[exampleSDID@32473 iut=\"3\" a=\"]\\\"\"][x y=\"1\"]"));
        assert_eq!(line.message, "An event");
        let bare = parse("<34>1 - - - - - -", &now());
        assert_eq!(bare, Line { priority: Some(34), message: "", ..Line::default() });
    }

    #[test]
    fn rfc_3164_and_its_kin() {
        let line = parse("<34>Oct 11 22:14:15 mymachine su[230]: 'su root' failed", &now());
        assert_eq!(line.time, time("2023-10-11T22:14:15Z"), "October is last year's in May");
        assert_eq!((line.host, line.program, line.process), (Some("mymachine"), Some("su"), Some("230")));
        assert_eq!(line.message, "'su root' failed");
        let docker = parse("<30>May  1 11:59:58 node docker/3f2a[812]: started", &now());
        assert_eq!(docker.time, time("2024-05-01T11:59:58Z"));
        assert_eq!((docker.program, docker.message), (Some("docker/3f2a"), "started"));
        let local = parse("<13>May  1 11:59:58 root: hello", &now());
        assert_eq!((local.host, local.program, local.message), (None, Some("root"), "hello"));
        let rsyslog = parse("<13>2024-05-01T13:59:58.5+02:00 web app: hello", &now());
        assert_eq!(rsyslog.time, time("2024-05-01T11:59:58.5Z"));
        assert_eq!((rsyslog.host, rsyslog.program), (Some("web"), Some("app")));
    }

    #[test]
    fn what_is_not_syslog_is_all_message() {
        for text in ["", "hello: world", "<999>x", "<x", "Mai 01 00:00:00 x", "ünïcödé", "<", "1 2 3"] {
            assert_eq!(parse(text, &now()), Line { message: text, ..Line::default() }, "{text}");
        }
        assert_eq!(
            parse("<13>just text", &now()),
            Line { priority: Some(13), message: "just text", ..Line::default() }
        );
        assert_eq!(parse("<13>1 not a time", &now()).message, "1 not a time");
        // Feb 29 in a year that has none.
        let march = "2025-03-01T00:00:00Z".parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC);
        assert_eq!(parse("<13>Feb 29 00:00:00 h t: m", &march).time, time("2024-02-29T00:00:00Z"));
    }

    #[test]
    fn no_text_makes_it_panic() {
        let samples =
            ["<165>1 2003-10-11T22:14:15.003Z h a - i [x y=\"1\"] m", "<34>Oct 11 22:14:15 h su[230]: ü failed"];
        for sample in samples {
            for (cut, _) in sample.char_indices() {
                parse(&sample[..cut], &now());
                parse(&sample[cut..], &now());
                let mut doubled = sample.to_owned();
                doubled.insert(cut, '[');
                parse(&doubled, &now());
            }
        }
    }
}
