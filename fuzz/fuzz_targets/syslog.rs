//! A syslog line: its parts are parts of the line, in order.
#![no_main]
use jiff::Timestamp;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use weir_aggregator::input::syslog::parse;

fuzz_target!(|line: &str| {
    let now = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    let parsed = parse(line, &now);
    assert!(line.ends_with(parsed.message), "the message is the end of the line");
    let parts = [parsed.host, parsed.program, parsed.process, parsed.message_id, parsed.structured];
    let total: usize = parts.into_iter().flatten().map(str::len).sum();
    assert!(total + parsed.message.len() <= line.len(), "the parts do not overlap");
});
