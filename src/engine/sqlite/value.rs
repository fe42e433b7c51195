//! Values with the storage class that they have, and keys as text.

use std::fmt::Write;

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Decode, Row, Sqlite, TypeInfo, ValueRef};

use crate::error::{Error, Result};
use crate::model::{Key, Value};

/// The value of one column of a row. Its class is that of the value, not of the column.
pub(super) fn decode(row: &SqliteRow, column: usize) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(column)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let class = raw.type_info().into_owned();
    let value = match class.name() {
        "INTEGER" => <i64 as Decode<Sqlite>>::decode(raw).map(Value::Integer),
        "REAL" => <f64 as Decode<Sqlite>>::decode(raw).map(Value::Real),
        // As bytes: text may be invalid UTF-8.
        "TEXT" => <Vec<u8> as Decode<Sqlite>>::decode(raw).map(Value::Text),
        _ => <Vec<u8> as Decode<Sqlite>>::decode(raw).map(Value::Blob),
    };
    value.map_err(sqlx::Error::Decode)
}

/// Some columns of a row.
pub(super) fn decode_all(
    row: &SqliteRow,
    columns: std::ops::Range<usize>,
) -> Result<Vec<Value>, sqlx::Error> {
    columns.map(|column| decode(row, column)).collect()
}

/// A column of a row as text, however it is declared; NULL is empty.
pub(super) fn text(row: &SqliteRow, column: usize) -> Result<String, sqlx::Error> {
    Ok(row.try_get_unchecked::<Option<String>, _>(column)?.unwrap_or_default())
}

/// A column of a row as a whole number, however it is declared.
pub(super) fn integer(row: &SqliteRow, column: usize) -> Result<i64, sqlx::Error> {
    row.try_get_unchecked(column)
}

/// Whether the value can be bound as it is. Text that is not UTF-8 goes as a blob, through
/// [`Binding::place`].
pub(super) fn binds(value: &Value) -> bool {
    !matches!(value, Value::Text(bytes) if std::str::from_utf8(bytes).is_err())
}

/// What stands in the statement where the value goes.
pub(super) fn placeholder(value: &Value) -> &'static str {
    if binds(value) { "?" } else { "CAST(? AS TEXT)" }
}

/// Binds a value.
pub(super) fn bind(args: &mut SqliteArguments, value: Value) -> Result<(), sqlx::Error> {
    match value {
        Value::Null => args.add(Option::<i64>::None),
        Value::Integer(number) => args.add(number),
        Value::Real(number) => args.add(number),
        Value::Text(bytes) => match String::from_utf8(bytes) {
            Ok(text) => args.add(text),
            Err(e) => args.add(e.into_bytes()),
        },
        Value::Blob(bytes) => args.add(bytes),
    }
    .map_err(sqlx::Error::Encode)
}

/// Arguments of whole numbers.
pub(super) fn integers(numbers: &[i64]) -> Result<SqliteArguments, sqlx::Error> {
    let mut args = SqliteArguments::default();
    for number in numbers {
        args.add(*number).map_err(sqlx::Error::Encode)?;
    }
    Ok(args)
}

/// Arguments of texts.
pub(super) fn texts(texts: &[&str]) -> Result<SqliteArguments, sqlx::Error> {
    let mut args = SqliteArguments::default();
    for text in texts {
        args.add(*text).map_err(sqlx::Error::Encode)?;
    }
    Ok(args)
}

/// A text as an SQL literal.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The value as an SQL literal of its own class: what a DBA can paste, and [`from_literal`] reads.
pub(super) fn to_literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) if number.is_infinite() => {
            if *number > 0.0 { "9e999" } else { "-9e999" }.to_string()
        }
        // Shortest that reads back the same, always with a point or an exponent.
        Value::Real(number) => format!("{number:?}"),
        Value::Blob(bytes) => format!("x'{}'", hex::encode(bytes)),
        Value::Text(bytes) => match std::str::from_utf8(bytes) {
            // The shell and `quote()` end a text at NUL.
            Ok(text) if !text.contains('\0') => quote(text),
            _ => format!("CAST(x'{}' AS TEXT)", hex::encode(bytes)),
        },
    }
}

/// The value of a literal that [`to_literal`] wrote. It is bound, not pasted: reading a number of many
/// digits, SQLite may be off in the last one.
pub(super) fn from_literal(literal: &str) -> Result<Value> {
    let fault = || Error::failed(format!("`{literal}` is not a key's value as highwater writes it"));
    let bytes = |digits: &str| hex::decode(digits).map_err(|e| fault().because(e));
    if literal == "NULL" {
        return Ok(Value::Null);
    }
    if let Some(text) = literal.strip_prefix('\'').and_then(|l| l.strip_suffix('\'')) {
        return Ok(Value::Text(text.replace("''", "'").into_bytes()));
    }
    if let Some(digits) = literal.strip_prefix("CAST(x'").and_then(|l| l.strip_suffix("' AS TEXT)")) {
        return Ok(Value::Text(bytes(digits)?));
    }
    if let Some(digits) = literal.strip_prefix("x'").and_then(|l| l.strip_suffix('\'')) {
        return Ok(Value::Blob(bytes(digits)?));
    }
    if literal.contains(['.', 'e']) {
        return literal.parse().map(Value::Real).map_err(|e| fault().because(e));
    }
    literal.parse().map(Value::Integer).map_err(|e| fault().because(e))
}

/// A key's values as text.
pub(super) fn to_key(values: &[Value]) -> Key {
    values.iter().map(to_literal).collect()
}

/// A key's values from text.
pub(super) fn from_key(key: &Key) -> Result<Vec<Value>> {
    key.iter().map(|literal| from_literal(literal)).collect()
}

/// How many parts of an expression are chained: SQLite takes expressions that are 1,000 levels deep.
const CHAINED: usize = 50;

/// `parts` with the `operator` between, in an expression that is not deep however many they are.
pub(super) fn balanced(parts: impl IntoIterator<Item = String>, operator: &str) -> String {
    let parts: Vec<String> = parts.into_iter().collect();
    match parts.len() {
        0..=CHAINED => join(parts, operator),
        _ => join(parts.chunks(CHAINED).map(|some| format!("({})", some.join(operator))), operator),
    }
}

/// `parts` with `separator` between.
pub(super) fn join(parts: impl IntoIterator<Item = String>, separator: &str) -> String {
    let mut joined = String::new();
    for (i, part) in parts.into_iter().enumerate() {
        // Writing to a String can't fail.
        let _ = write!(joined, "{}{part}", if i == 0 { "" } else { separator });
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_reads_back_the_same() {
        let reals = [0.1, 1.0, -1.5e300, 5e-324, f64::MAX, f64::MIN, f64::INFINITY, f64::NEG_INFINITY];
        let texts: [&[u8]; 6] = [b"", b"it's", b"'", b"a\0b", b"\xff\xfe", b"CAST(x'00' AS TEXT)"];
        let mut values =
            vec![Value::Null, Value::Integer(i64::MIN), Value::Integer(i64::MAX), Value::Blob(vec![])];
        values.extend(reals.map(Value::Real));
        values.extend(texts.map(|t| Value::Text(t.to_vec())));
        values.push(Value::Blob(vec![0, 255]));
        for value in values {
            assert_eq!(from_literal(&to_literal(&value)).unwrap(), value, "{}", to_literal(&value));
        }
        assert!(from_literal("now()").is_err());
    }
}
