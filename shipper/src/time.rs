//! Times as log lines carry them.

/// Now, in RFC 3339 with milliseconds.
pub(crate) fn now_rfc3339() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Nanoseconds since 1970 of an RFC 3339 time, or 0 when it is none. Zones are honoured.
pub(crate) fn parse_ns(time: &[u8]) -> i64 {
    let parsed = std::str::from_utf8(time).ok().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    parsed.map_or(0, |time| i64::try_from(time.as_nanosecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_zone() {
        let utc = parse_ns(b"2024-05-01T12:00:00.000000001Z");
        assert_eq!(utc, 1_714_564_800_000_000_001);
        assert_eq!(parse_ns(b"2024-05-01T14:00:00.000000001+02:00"), utc);
        assert_eq!(parse_ns(b"yesterday"), 0);
        assert!(parse_ns(now_rfc3339().as_bytes()) > utc);
    }
}
