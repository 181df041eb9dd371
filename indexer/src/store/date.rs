//! Moments as documents spell them: ISO 8601 as Elasticsearch's `strict_date_optional_time`, numbers of milliseconds or
//! seconds, and the patterns of a mapping's `format`.

/// Nanoseconds since 1970 of an ISO 8601 date (`2026-11-20`, `2026-11-20T10:00:00.123456789+01:00`); without an offset it
/// is UTC. `None` for anything else, and for years that nanoseconds cannot hold (before 1678, after 2261).
pub fn parse_iso(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 10 || bytes.len() > 40 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let (year, month, day) = (digits(&bytes[..4])?, digits(&bytes[5..7])?, digits(&bytes[8..10])?);
    if bytes.len() == 10 {
        return moment(year, month, day, 0, 0);
    }
    if bytes[10] != b'T' {
        return None;
    }
    let mut rest = &bytes[11..];
    let hour = take(&mut rest)?;
    let (mut minute, mut second, mut nanos) = (0, 0, 0i64);
    if rest.first() == Some(&b':') {
        rest = &rest[1..];
        minute = take(&mut rest)?;
        if rest.first() == Some(&b':') {
            rest = &rest[1..];
            second = take(&mut rest)?;
            if matches!(rest.first(), Some(b'.' | b',')) {
                rest = &rest[1..];
                let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                if len == 0 {
                    return None;
                }
                let kept = len.min(9);
                nanos = digits(&rest[..kept])? * 10i64.pow(9 - kept as u32);
                rest = &rest[len..];
            }
        }
    }
    let offset = match rest {
        b"" | b"Z" => 0,
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let (hours, minutes) = match zone.len() {
                2 => (digits(zone)?, 0),
                4 => (digits(&zone[..2])?, digits(&zone[2..])?),
                5 if zone[2] == b':' => (digits(&zone[..2])?, digits(&zone[3..])?),
                _ => return None,
            };
            if hours > 18 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    // 60 is a leap second; it is taken for the next one's start.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    moment(year, month, day, hour * 3600 + minute * 60 + second - offset, nanos)
}

/// Nanoseconds of `text` by a mapping's formats (`epoch_millis||yyyy-MM-dd HH:mm:ss`), tried in order.
pub fn parse_by(formats: &str, text: &str) -> Option<i64> {
    formats.split("||").find_map(|format| match format {
        "epoch_millis" => text.parse::<i64>().ok()?.checked_mul(1_000_000),
        "epoch_second" => text.parse::<i64>().ok()?.checked_mul(1_000_000_000),
        named if named.contains("date_optional_time") || named.contains("date_time") || named == "iso8601" => {
            parse_iso(text)
        }
        "date" | "strict_date" => parse_iso(text).filter(|_| text.len() == 10),
        pattern => parse_pattern(pattern, text),
    })
}

/// A Java pattern of digits, literals and a zone: `yyyy/MM/dd HH:mm:ss.SSS Z`.
fn parse_pattern(pattern: &str, text: &str) -> Option<i64> {
    let (mut year, mut month, mut day, mut seconds, mut nanos, mut offset) = (1970, 1, 1, 0, 0i64, 0);
    let mut rest = text;
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '\'' {
            for quoted in letters.by_ref().take_while(|c| *c != '\'') {
                rest = rest.strip_prefix(quoted)?;
            }
            continue;
        }
        if !letter.is_ascii_alphabetic() {
            rest = rest.strip_prefix(letter)?;
            continue;
        }
        let mut width = 1;
        while letters.next_if_eq(&letter).is_some() {
            width += 1;
        }
        if matches!(letter, 'Z' | 'X' | 'x') {
            let zone = parse_iso(&format!("1970-01-01T00:00:00{rest}"))?;
            offset = zone / 1_000_000_000;
            rest = "";
            continue;
        }
        let available = rest.bytes().take_while(u8::is_ascii_digit).count();
        let len = if width == 1 { available.min(2) } else { width.min(available) };
        let value = digits(&rest.as_bytes()[..len]).filter(|_| len > 0)?;
        rest = &rest[len..];
        match letter {
            'y' | 'u' => year = if width == 2 { 2000 + value } else { value },
            'M' => month = value,
            'd' => day = value,
            'H' => seconds += value * 3600,
            'm' => seconds += value * 60,
            's' => seconds += value,
            'S' if len <= 9 => nanos = value * 10i64.pow(9 - len as u32),
            _ => return None,
        }
    }
    if !rest.is_empty() {
        return None;
    }
    // `offset` is already the negated zone: midnight there, seen from here.
    moment(year, month, day, seconds + offset, nanos)
}

fn take(rest: &mut &[u8]) -> Option<i64> {
    let value = digits(rest.get(..2)?)?;
    *rest = &rest[2..];
    Some(value)
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

fn moment(year: i64, month: i64, day: i64, seconds: i64, nanos: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=longest).contains(&day) {
        return None;
    }
    // Days since 1970-01-01, with years that begin in March so that the leap day is the last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (month * 153 + 2) / 5 + day
            - 1
            - 719_468;
    (days * 86_400 + seconds).checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_dates() {
        let at = |text| parse_iso(text).map(|nanos| nanos / 1_000_000);
        assert_eq!(at("1970-01-01"), Some(0));
        assert_eq!(at("2026-11-20T00:00:00.123Z"), Some(1_795_132_800_123));
        assert_eq!(at("2026-11-20T01:00:00.123+01:00"), at("2026-11-20T00:00:00.123Z"));
        assert_eq!(at("2026-11-20T01:00:00,123+0100"), at("2026-11-20T00:00:00.123Z"));
        assert_eq!(parse_iso("1970-01-01T00:00:00.000000001Z"), Some(1));
        assert_eq!(at("2024-02-29T10:00Z"), at("2024-02-29T10:00:00"));
        assert_eq!(at("1969-12-31T23:59:59Z"), Some(-1000));
        for bad in [
            "2023-02-29",
            "2026-13-01",
            "2026-1-01",
            "20261120",
            "2026-11-20 10:00:00",
            "2026-11-20T25:00",
            "2026-11-20Tx",
            "9999-01-01",
            "",
        ] {
            assert_eq!(parse_iso(bad), None, "{bad}");
        }
    }

    #[test]
    fn formats() {
        assert_eq!(parse_by("epoch_millis", "1000"), Some(1_000_000_000));
        assert_eq!(
            parse_by("yyyy/MM/dd HH:mm:ss||epoch_second", "2026/11/20 01:02:03"),
            parse_iso("2026-11-20T01:02:03Z")
        );
        assert_eq!(parse_by("yyyy/MM/dd HH:mm:ss||epoch_second", "5"), Some(5_000_000_000));
        assert_eq!(
            parse_by("dd.MM.yyyy'T'HH:mm:ss.SSSZ", "20.11.2026T02:00:00.5+0200"),
            parse_iso("2026-11-20T00:00:00.5Z")
        );
        assert_eq!(parse_by("yyyy-MM-dd", "2026-11-20x"), None);
    }
}
