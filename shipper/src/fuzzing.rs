//! Doors for the fuzz targets (`fuzz/`): readers of bytes from outside, with what must hold of their answers.

use crate::docker::{is_clean, parse};
use crate::{cri, registry};

/// A line of a json-file log: whatever is taken can be copied into a document, and both ways of reading agree.
///
/// # Panics
/// When that does not hold.
pub fn json_file_line(bytes: &[u8]) {
    let clean = is_clean(bytes);
    let Some(line) = parse(bytes, clean) else { return };
    let document = [b"{\"m\":\"", &*line.text, b"\",\"t\":\"", &*line.time, b"\"}"].concat();
    let read = serde_json::from_slice::<serde_json::Value>(&document);
    assert!(read.is_ok_and(|value| value["m"].is_string()), "not a document: {}", String::from_utf8_lossy(&document));
    if let Some(attrs) = &line.attrs {
        assert!(serde_json::from_slice::<serde_json::Map<_, _>>(attrs).is_ok());
    }
    // A line that is read by position has the same text for a JSON parser.
    let plain = |line: &crate::docker::Line<'_>| {
        serde_json::from_slice::<String>(&[b"\"", &*line.text, b"\""].concat()).unwrap_or_default()
    };
    if clean && let Some(parsed) = parse(bytes, false) {
        assert_eq!((plain(&line), line.whole, line.output), (plain(&parsed), parsed.whole, parsed.output));
    }
}

/// A line of containerd: its text is the end of the line.
///
/// # Panics
/// When that does not hold.
pub fn cri_line(bytes: &[u8]) {
    if let Some(line) = cri::parse(bytes) {
        let ends = bytes.strip_suffix(b"\r").unwrap_or(bytes).ends_with(line.text) || bytes.ends_with(line.text);
        assert!(ends && std::str::from_utf8(line.time).is_ok());
    }
}

/// A registry file of any content is read or refused.
pub fn registry(bytes: &[u8]) {
    let _ = registry::newest(bytes);
}
