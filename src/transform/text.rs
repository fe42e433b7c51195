//! Rows of PostgreSQL's COPY in text form: see "File Formats" of its manual on COPY.

use crate::error::{Error, Result};
use crate::model::Value;

/// The rows of whole lines.
///
/// # Errors
/// When they end in the middle of a line.
pub(super) fn rows(copied: &[u8]) -> Result<Vec<Vec<Value>>> {
    if !copied.is_empty() && !copied.ends_with(b"\n") {
        return Err(Error::failed("rows of COPY end in the middle of a line"));
    }
    let lines = copied.split(|b| *b == b'\n');
    Ok(lines
        .filter(|line| !line.is_empty())
        .map(|line| line.split(|b| *b == b'\t').map(value).collect())
        .collect())
}

fn value(field: &[u8]) -> Value {
    if field == b"\\N" {
        return Value::Null;
    }
    let mut text = Vec::with_capacity(field.len());
    let mut bytes = field.iter().copied();
    while let Some(byte) = bytes.next() {
        text.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => other,
                None => b'\\',
            },
            other => other,
        });
    }
    Value::Text(text)
}

/// The rows as lines.
pub(super) fn written(rows: &[Vec<Value>]) -> Vec<u8> {
    let mut lines = Vec::new();
    for row in rows {
        for (place, value) in row.iter().enumerate() {
            if place > 0 {
                lines.push(b'\t');
            }
            match value {
                Value::Null => lines.extend_from_slice(b"\\N"),
                Value::Text(text) | Value::Blob(text) => escape(text, &mut lines),
                Value::Integer(number) => lines.extend_from_slice(number.to_string().as_bytes()),
                Value::Real(number) => lines.extend_from_slice(number.to_string().as_bytes()),
            }
        }
        lines.push(b'\n');
    }
    lines
}

fn escape(text: &[u8], into: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'\\' => into.extend_from_slice(b"\\\\"),
            b'\n' => into.extend_from_slice(b"\\n"),
            b'\r' => into.extend_from_slice(b"\\r"),
            b'\t' => into.extend_from_slice(b"\\t"),
            other => into.push(*other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let text = |t: &[u8]| Value::Text(t.to_vec());
        let all = vec![
            vec![text(b"a\tb\\N\n\r"), Value::Null, text(b"")],
            vec![text(b"\\"), text(b"\xff"), text(b"x")],
        ];
        assert_eq!(rows(&written(&all)).unwrap(), all);
        assert_eq!(rows(b"\\b\\v\\x\n").unwrap(), vec![vec![text(&[8, 11, b'x'])]]);
        assert!(rows(b"half").is_err());
    }
}
