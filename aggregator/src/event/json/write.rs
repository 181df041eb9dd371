//! Values to JSON text.

use super::ESCAPES;
use crate::event::value::{Object, ValueRef};

/// Appends `value` as JSON.
pub fn write(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        ValueRef::Int(value) => write_int(out, value),
        ValueRef::Float(value) => {
            let mut text = String::new();
            crate::event::value::push_float(&mut text, value);
            // JSON has no infinity; arithmetic in a pipeline cannot make one, but null is the honest answer if it did.
            out.extend_from_slice(if value.is_finite() { text.as_bytes() } else { b"null" });
        }
        ValueRef::Big(digits) => out.extend_from_slice(digits.as_bytes()),
        ValueRef::Text(text) => write_string(out, text),
        ValueRef::Time(time) => {
            let mut text = String::new();
            crate::event::value::push_time(&mut text, time);
            write_string(out, &text);
        }
        ValueRef::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(out, item.as_ref());
            }
            out.push(b']');
        }
        ValueRef::Object(object) => {
            out.push(b'{');
            write_entries(out, object, true);
            out.push(b'}');
        }
    }
}

/// Appends the entries of an object without its braces; `first` tells whether no entry stands before them.
pub(in crate::event) fn write_entries(out: &mut Vec<u8>, object: &Object, mut first: bool) {
    for (name, value) in object.iter() {
        write_name(out, name, &mut first);
        write(out, value.as_ref());
    }
}

/// Appends `,"name":`, the comma unless `first`.
pub(in crate::event) fn write_name(out: &mut Vec<u8>, name: &str, first: &mut bool) {
    if !*first {
        out.push(b',');
    }
    *first = false;
    write_string(out, name);
    out.push(b':');
}

/// Appends a whole number.
pub(in crate::event) fn write_int(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(out, value.unsigned_abs());
}

/// Appends a whole number.
pub(crate) fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // A remainder of ten fits a byte.
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a text as a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut start = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[usize::from(byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[start..index]);
        start = index + 1;
        out.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(&[b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}
