//! What people run on their pipeline files: a whole `logstash.conf`, `weir check`, `weir explain` and `weir test`.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use super::support::weir::bare;

/// Runs `weir ARGS` in `folder` on `input`.
fn weir(folder: &Path, args: &[&str], input: &str) -> (Output, String) {
    fs::write(folder.join("stdin"), input).unwrap();
    let input = File::open(folder.join("stdin")).unwrap();
    let output = bare(folder).args(args).stdin(Stdio::from(input)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, said)
}

const LOGSTASH_CONF: &str = r#"
# What a team's file looks like.
input {
  stdin {
    codec => multiline { pattern => "^%{TIMESTAMP_ISO8601}" negate => true what => "previous" }
    type => "app"
  }
}
filter {
  grok {
    match => { "message" => "^%{TIMESTAMP_ISO8601:ts} %{LOGLEVEL:lvl} %{NUMBER:took:float} %{GREEDYDATA:text}" }
    overwrite => ["message"]
  }
  if "_grokparsefailure" in [tags] {
    drop { }
  } else if [lvl] in ["DEBUG"] and [took] < 100 {
    drop { id => "quick_debug" }
  }
  date { match => ["ts", "yyyy-MM-dd HH:mm:ss"] timezone => "UTC" }
  mutate { lowercase => ["lvl"] add_field => { "day" => "%{+yyyy.MM.dd}" "[@metadata][index]" => "${INDEX:app}" } }
  fingerprint { source => "text" method => "MD5" target => "print" }
}
output {
  if [@metadata][index] == "app" { stdout { codec => json_lines } } else { null { } }
}
"#;

const LINES: &str = "2024-05-01 12:00:00 ERROR 1.5 it broke\n  at a\n  at b\n2024-05-01 12:00:01 DEBUG 7 fine\n\
                     2024-05-01 12:00:02 DEBUG 200 slow\n";

#[test]
fn a_whole_logstash_conf_runs() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("logstash.conf"), LOGSTASH_CONF).unwrap();
    let ports = ["--listen", "127.0.0.1:0", "--set", "aggregator.admin="];
    let (output, said) = weir(folder.path(), &[&["aggregator", "-f", "logstash.conf"], &ports[..]].concat(), LINES);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 2, "{said}");
    assert_eq!(events[0]["@timestamp"], "2024-05-01T12:00:00.000Z");
    assert_eq!(events[0]["message"], "2024-05-01 12:00:00 ERROR 1.5 it broke\n  at a\n  at b");
    assert_eq!(events[0]["text"], "it broke", "a dot is no line break");
    assert_eq!((&events[0]["lvl"], &events[0]["took"]), (&"error".into(), &1.5.into()));
    assert_eq!((&events[0]["day"], &events[0]["type"]), (&"2024.05.01".into(), &"app".into()));
    assert_eq!(events[1]["print"], "4fe9dfe784a2be25dd8aec3b403c3654");
    assert!(events.iter().all(|event| event.get("@metadata").is_none()));
}

#[test]
fn explain_shows_the_way_of_each_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.conf"), LOGSTASH_CONF).unwrap();
    fs::write(folder.path().join("sample.log"), "2024-05-01 12:00:01 DEBUG 7 fine\n").unwrap();
    let (by_input, said) = weir(folder.path(), &["explain", "app.conf"], "2024-05-01 12:00:01 DEBUG 7 fine\n");
    assert!(by_input.status.success(), "{by_input:?}");
    for expected in [
        "2024-05-01 12:00:01 DEBUG 7 fine",
        "+ [took] 7.0",
        "no  if \"_grokparsefailure\" in [tags]",
        "yes if [lvl] in [\"DEBUG\"] and [took] < 100",
        "quick_debug",
        "dropped after",
    ] {
        assert!(said.contains(expected), "{expected} is not in\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "no colours where nobody looks");
    let (by_file, said) = weir(folder.path(), &["explain", "sample.log", "-f", "app.conf"], "");
    assert!(by_file.status.success() && said.contains("quick_debug"), "{by_file:?}");
    let (built_in, said) = weir(folder.path(), &["explain"], "INFO: hello\n");
    assert!(built_in.status.success() && said.contains("drop@99-policy.conf"), "{built_in:?}");
    let (nobody, _) = weir(folder.path(), &["explain", "--last-dropped", "web", "--admin", "http://127.0.0.1:1"], "");
    assert!(!nobody.status.success() && String::from_utf8_lossy(&nobody.stderr).contains("is weir running there?"));
}

#[test]
fn check_tells_every_mistake_of_every_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        (
            "1.conf",
            "input { kafka { } }\nfilter {\n ruby { code => \"x\" }\n if [a] = 1 { mutate { remove_fields => x } }\n}\n",
        ),
        ("2.conf", "filter { if [x] > 5 and [x] < 3 { drop { } } }\noutput { stdout { codec => rubydebg } }\n"),
    ];
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let (output, said) = weir(folder.path(), &["check", "-f", "1.conf", "-f", "2.conf"], "");
    assert!(!output.status.success());
    for expected in [
        "there is no input `kafka`",
        "--> 1.conf:3:2",
        "code in pipelines is not run",
        "write `==` to compare",
        "did you mean `remove_field`?",
        "--> 2.conf:1:13",
        "this is never true: [x] cannot be both",
        "did you mean `rubydebug`?",
    ] {
        assert!(said.contains(expected), "{expected} is not in\n{said}");
    }
}

#[test]
fn test_shows_where_something_else_came_out() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.conf", "filter { mutate { add_field => { \"b\" => \"c\" } } }"),
        ("a.in", "hello\n"),
        ("a.out", "{\"message\":\"hello\",\"b\":\"d\"}\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let (output, said) = weir(folder.path(), &["test", "."], "");
    assert!(!output.status.success());
    assert!(said.contains("FAILED  a") && said.contains("- [b] \"d\"") && said.contains("+ [b] \"c\""), "{said}");
    assert!(weir(folder.path(), &["test", ".", "--write"], "").0.status.success());
    let (output, said) = weir(folder.path(), &["test", "."], "");
    assert!(output.status.success() && said.contains("1 passed, 0 failed"), "{said}");
}
