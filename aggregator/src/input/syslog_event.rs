//! A syslog line as an event, with the fields of Logstash's syslog input (ECS v8).

use std::net::IpAddr;

use bytes::Bytes;
use jiff::Zoned;

use crate::event::{Event, FieldPath, Object, Text, Value};
use crate::input::syslog::{FACILITIES, SEVERITIES, parse};

/// Logstash's default for a line without a priority: user-level, notice.
const PRIORITY_DEFAULT: u8 = 13;

/// The event of a line that came from `peer`.
///
/// `log.level` is not set from the severity: Docker's and systemd's drivers give every line of standard output the
/// severity "informational", an error too, and the level that the line itself states must win.
pub(crate) fn event(line: &Bytes, peer: IpAddr) -> Event {
    let text = match Text::try_from(line.clone()) {
        Ok(text) => text,
        Err(_) => String::from_utf8_lossy(line).into_owned().into(),
    };
    let line = parse(&text, &Zoned::now());
    let share = |part: &str| Value::Text(text.slice_ref(part));
    let mut event = Event::from_message(text.slice_ref(line.message));
    let mut set = |names: &[&str], value: Value| event.set(&FieldPath::of(names), value);
    if let Some(time) = line.time {
        set(&["@timestamp"], Value::Time(time));
    }
    let priority = line.priority.unwrap_or(PRIORITY_DEFAULT);
    let (facility, severity) = (priority >> 3, priority & 7);
    let coded = |code: u8, name: &'static str| {
        let entries = [("code", Value::Int(i64::from(code))), ("name", Value::fixed(name))];
        Value::Object(entries.into_iter().map(|(name, value)| (Text::from_static(name), value)).collect::<Object>())
    };
    set(&["log", "syslog", "priority"], Value::Int(i64::from(priority)));
    set(&["log", "syslog", "facility"], coded(facility, FACILITIES.get(usize::from(facility)).unwrap_or(&"")));
    set(&["log", "syslog", "severity"], coded(severity, SEVERITIES.get(usize::from(severity)).unwrap_or(&"")));
    set(&["host", "ip"], Value::Text(peer.to_string().into()));
    if let Some(host) = line.host {
        set(&["host", "hostname"], share(host));
        set(&["host", "name"], share(host));
    }
    if let Some(program) = line.program {
        set(&["process", "name"], share(program));
        set(&["service", "name"], share(program));
    }
    if let Some(process) = line.process {
        let value = process.parse().map_or_else(|_| share(process), Value::Int);
        set(&["process", "pid"], value);
    }
    if let Some(id) = line.message_id {
        set(&["log", "syslog", "msgid"], share(id));
    }
    if let Some(structured) = line.structured {
        set(&["log", "syslog", "structured_data"], share(structured));
    }
    if line.priority.is_none() {
        event.add_tag("_grokparsefailure_sysloginput");
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &'static str) -> serde_json::Value {
        let mut out = Vec::new();
        event(&Bytes::from_static(line.as_bytes()), IpAddr::from([10, 0, 0, 1])).write_json(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_line_has_the_fields_of_logstash() {
        let event = shown("<30>1 2024-05-01T12:00:00Z node web 812 ID [x y=\"z\"] started");
        let expected = serde_json::json!({
            "@timestamp": "2024-05-01T12:00:00.000Z",
            "message": "started",
            "log": { "syslog": {
                "priority": 30,
                "facility": { "code": 3, "name": "system" },
                "severity": { "code": 6, "name": "Informational" },
                "msgid": "ID",
                "structured_data": "[x y=\"z\"]",
            } },
            "host": { "ip": "10.0.0.1", "hostname": "node", "name": "node" },
            "process": { "name": "web", "pid": 812 },
            "service": { "name": "web" },
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn what_is_not_syslog_is_kept_and_tagged() {
        let event = shown("no priority");
        assert_eq!(event["message"], "no priority");
        assert_eq!(event["tags"], serde_json::json!(["_grokparsefailure_sysloginput"]));
        assert_eq!(event["log"]["syslog"]["priority"], 13);
    }
}
