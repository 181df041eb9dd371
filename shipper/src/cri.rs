//! One line of containerd's log format, `2016-10-06T00:17:09.669794202Z stdout F text`, and what the path of such a log
//! tells of its container.
//!
//! The format is that of the Kubernetes container runtime interface: time, stream, tags joined by `:` (the first is `P`
//! for a piece of a line and `F` for its end), text. Before tags there was none: such a line is whole.

use std::path::Path;

use crate::docker::{Output, is_time};
use crate::escape::push_json_string;

/// One line, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CriLine<'a> {
    /// RFC 3339.
    pub(crate) time: &'a [u8],
    pub(crate) output: Output,
    /// Whether the line ends here.
    pub(crate) whole: bool,
    /// The text as it was printed.
    pub(crate) text: &'a [u8],
}

/// Takes a line apart, which is given without its newline. `None`: it is not of this format.
pub(crate) fn parse(line: &[u8]) -> Option<CriLine<'_>> {
    let (time, rest) = word(line)?;
    let (output, rest) = word(rest)?;
    let output = match output {
        b"stdout" => Output::Stdout,
        b"stderr" => Output::Stderr,
        _ => return None,
    };
    if !is_time(time) || time.get(10) != Some(&b'T') {
        return None;
    }
    let (tags, text) = word(rest).unwrap_or((rest, b""));
    let first = tags.split(|byte| *byte == b':').next();
    let (whole, text) = match first {
        Some(b"F") => (true, text),
        Some(b"P") => (false, text),
        _ => (true, rest),
    };
    let text = if whole { text.strip_suffix(b"\r").unwrap_or(text) } else { text };
    Some(CriLine { time, output, whole, text })
}

fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b' ', text)?;
    Some((&text[..end], &text[end + 1..]))
}

/// A container as the kubelet names its log: `/var/log/pods/<namespace>_<pod>_<uid>/<container>/<restarts>.log`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pod<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) container: &'a str,
}

impl<'a> Pod<'a> {
    /// What a path tells.
    pub(crate) fn of(path: &'a Path) -> Option<Self> {
        let container = path.parent()?;
        let pod = container.parent()?;
        if pod.parent()?.file_name()? != "pods" {
            return None;
        }
        let mut parts = pod.file_name()?.to_str()?.splitn(3, '_');
        let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { namespace, pod, uid, container: container.file_name()?.to_str()? })
    }

    /// Appends the fields, by the names that Filebeat and ECS have for them, with a comma before each.
    pub(crate) fn push_fields(&self, out: &mut Vec<u8>) {
        let mut field = |before: &str, value: &str| {
            out.extend_from_slice(before.as_bytes());
            push_json_string(value.as_bytes(), out);
        };
        field(",\"container\":{\"name\":", self.container);
        field("},\"service\":{\"name\":", self.container);
        field("},\"orchestrator\":{\"namespace\":", self.namespace);
        field(",\"resource\":{\"name\":", self.pod);
        field("}},\"kubernetes\":{\"namespace\":", self.namespace);
        field(",\"pod\":{\"name\":", self.pod);
        field(",\"uid\":", self.uid);
        field("},\"container\":{\"name\":", self.container);
        out.extend_from_slice(b"}}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    const TIME: &str = "2017-09-12T22:32:21.212861448Z";

    #[test]
    fn lines_with_and_without_tags() {
        for (rest, expected) in [
            ("stdout F hello", Some((true, "hello"))),
            ("stderr P half ", Some((false, "half "))),
            ("stdout F:x  two blanks", Some((true, " two blanks"))),
            ("stdout F ", Some((true, ""))),
            ("stdout F", Some((true, ""))),
            ("stdout no tags", Some((true, "no tags"))),
            ("stdout F carriage\r", Some((true, "carriage"))),
            ("stdout", None),
            ("stdin F hello", None),
        ] {
            let line = format!("{TIME} {rest}");
            let parsed = parse(line.as_bytes());
            let found = parsed.map(|line| (line.whole, std::str::from_utf8(line.text).unwrap()));
            assert_eq!(found, expected, "{rest}");
        }
        assert_eq!(parse(b"12:00 stdout F hello"), None);
        assert_eq!(parse(b"2017-09-12 22:32:21 stdout F hello"), None);
    }

    #[test]
    fn a_pods_path_names_its_container() {
        let pod = Pod::of(Path::new("/var/log/pods/shop_web-7d_0f-1/nginx/0.log")).unwrap();
        assert_eq!(pod, Pod { namespace: "shop", pod: "web-7d", uid: "0f-1", container: "nginx" });
        let mut out = b"{\"a\":1".to_vec();
        pod.push_fields(&mut out);
        out.push(b'}');
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["kubernetes"]["pod"]["uid"], "0f-1");
        assert_eq!(value["orchestrator"]["resource"]["name"], "web-7d");
        assert_eq!(value["service"]["name"], "nginx");
        assert_eq!(Pod::of(Path::new("/var/log/nginx/access.log")), None);
    }

    /// Filebeat's own cases, as far as they are of this format: json-file lines are tried where those are taken apart.
    #[test]
    fn peers_cases_of_cri_lines() {
        let cri = |case: &serde_json::Value, lines: &[String]| {
            case["format"] != "docker" && (case["format"] == "cri" || !lines[0].starts_with('{'))
        };
        let Some(cases) = cases::of_lines(cri) else { return };
        assert!(cases.len() >= 11, "{} cases", cases.len());
        for (case, lines) in cases {
            let parsed: Vec<_> = lines.iter().map(|line| parse(line.trim_end_matches('\n').as_bytes())).collect();
            if case["error"] == true {
                assert!(parsed.iter().any(Option::is_none), "{case}");
                continue;
            }
            let wanted = || parsed.iter().flatten().filter(|line| cases::wants(&case, line.output));
            let message = cases::message(&case, wanted().map(|line| (line.text, line.whole)), "");
            assert_eq!(case["message"], message, "{case}");
            let time = wanted().next().map(|line| std::str::from_utf8(line.time).unwrap());
            assert_eq!(case["timestamp"], time.unwrap());
        }
    }
}
