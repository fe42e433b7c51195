//! Types: how a column's values are read, on their way, and written in a key.
//!
//! Rows are read by the text protocol, which shows every value exactly but FLOAT (six digits). Strings
//! come in the column's own character set and go as bytes into a column of the same one; else they go
//! by way of utf8mb4, which holds every character of the others.

use super::value::{literal, quote};
use crate::error::{Error, Result};
use crate::model::{ColumnPair, SourceColumn, TablePlan, Value};

/// What kind of values a type has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers.
    Integer,
    /// DECIMAL.
    Decimal,
    /// FLOAT, which no text of the server shows exactly.
    Float,
    /// DOUBLE.
    Double,
    /// YEAR.
    Year,
    /// Dates and times.
    Moment,
    /// BIT.
    Bit,
    /// Strings of characters in that character set.
    Chars(String),
    /// Strings of bytes.
    Bytes,
    /// ENUM, whose labels are in that character set.
    Enum(String),
    /// SET, whose labels are in that character set.
    Set(String),
    /// MySQL's JSON (MariaDB's is a string).
    Json,
    /// UUID, INET4, INET6: shown as texts.
    Address,
    /// Geometries and VECTOR: bytes in the server's own form.
    Opaque,
}

impl Kind {
    /// The kind of a type as [`super::schema`] writes it.
    pub(super) fn of(type_name: &str) -> Kind {
        let word = type_name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let charset = || charset(type_name).unwrap_or("binary").to_string();
        match word {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Kind::Integer,
            "decimal" => Kind::Decimal,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "year" => Kind::Year,
            "date" | "datetime" | "timestamp" | "time" => Kind::Moment,
            "bit" => Kind::Bit,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Kind::Chars(charset()),
            "enum" => Kind::Enum(charset()),
            "set" => Kind::Set(charset()),
            "json" => Kind::Json,
            "uuid" | "inet4" | "inet6" => Kind::Address,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Kind::Bytes,
            _ => Kind::Opaque,
        }
    }

    /// Whether keys of that kind have an order in which the server compares columns with literals, so
    /// that ranges of them can be read. (An ENUM is ordered by number and compared by label.)
    pub(super) fn has_ranges(&self) -> bool {
        matches!(
            self,
            Kind::Integer | Kind::Decimal | Kind::Moment | Kind::Chars(_) | Kind::Bytes | Kind::Address
        )
    }

    /// The column as it is read for a key.
    pub(super) fn key_column(&self, column: &str) -> String {
        match self {
            Kind::Enum(_) => format!("{column}+0"),
            Kind::Float => format!("CAST({column} AS DOUBLE)"),
            _ => column.to_string(),
        }
    }

    /// A key's value, as [`Kind::key_column`] gives it, as a literal that compares with the column as the
    /// column itself would: what a DBA can paste, and [`Kind::key_value`] reads.
    pub(super) fn to_literal(&self, bytes: &[u8]) -> String {
        let text = || String::from_utf8_lossy(bytes).into_owned();
        match self {
            Kind::Integer | Kind::Decimal | Kind::Year | Kind::Enum(_) => text(),
            Kind::Float | Kind::Double => {
                let text = text();
                if text.contains('e') { text } else { text + "e0" }
            }
            Kind::Moment | Kind::Address | Kind::Json => literal(&text()),
            Kind::Chars(charset) | Kind::Set(charset) => characters(charset, bytes),
            Kind::Bit => {
                bytes.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)).to_string()
            }
            Kind::Bytes | Kind::Opaque => format!("x'{}'", hex::encode(bytes)),
        }
    }

    /// The value on its way of a key's literal.
    ///
    /// # Errors
    /// When it is no literal of [`Kind::to_literal`].
    pub(super) fn key_value(&self, text: &str) -> Result<Value> {
        let fault = || Error::failed(format!("`{text}` is not a key's value as highwater writes it"));
        let quoted = || text.strip_prefix('\'').and_then(|t| t.strip_suffix('\''));
        let hexed = || {
            let digits = text.rsplit_once("x'").and_then(|(_, t)| t.strip_suffix('\''));
            digits.and_then(|digits| hex::decode(digits).ok())
        };
        Ok(match self {
            Kind::Enum(_) => Value::Integer(text.parse().map_err(|_| fault())?),
            Kind::Integer | Kind::Decimal | Kind::Year | Kind::Float | Kind::Double => {
                Value::Text(text.as_bytes().to_vec())
            }
            Kind::Moment | Kind::Address | Kind::Json => {
                Value::Text(quoted().ok_or_else(fault)?.as_bytes().to_vec())
            }
            Kind::Chars(_) | Kind::Set(_) => match quoted() {
                Some(plain) if !text.contains(" x'") => Value::Blob(plain.as_bytes().to_vec()),
                _ => Value::Blob(hexed().ok_or_else(fault)?),
            },
            Kind::Bit => {
                let number: u64 = text.parse().map_err(|_| fault())?;
                Value::Blob(number.to_be_bytes().to_vec())
            }
            Kind::Bytes | Kind::Opaque => Value::Blob(hexed().ok_or_else(fault)?),
        })
    }
}

/// Where the number of a SET's members goes.
pub(super) const MEMBERS: &str = "CAST(? AS UNSIGNED)";

/// What stands in a prepared statement where a value of that column goes. Of a VECTOR the server would say
/// so, and the client knows no such type. A SET that travels as a number is no text of labels.
pub(super) fn place(pair: &ColumnPair) -> &'static str {
    if is_members(pair) {
        MEMBERS
    } else if pair.target_type.starts_with("vector") {
        "CAST(? AS BINARY)"
    } else {
        "?"
    }
}

/// Whether both sides have the same ENUM or SET, whose values then travel by number: an empty label has the
/// same text as no label at all.
pub(super) fn is_numbered(pair: &ColumnPair) -> bool {
    let is_listed = matches!(Kind::of(&pair.source_type), Kind::Enum(_) | Kind::Set(_));
    is_listed && pair.expression.is_none() && pair.source_type == pair.target_type
}

/// Whether it is a SET that travels by number.
pub(super) fn is_members(pair: &ColumnPair) -> bool {
    is_numbered(pair) && matches!(Kind::of(&pair.target_type), Kind::Set(_))
}

/// The character set that a type names.
pub(super) fn charset(type_name: &str) -> Option<&str> {
    type_name.rsplit_once(" CHARACTER SET ")?.1.split(' ').next()
}

/// The collation that a type names.
pub(super) fn collation(type_name: &str) -> Option<&str> {
    type_name.rsplit_once(" COLLATE ").map(|(_, collation)| collation)
}

/// Characters as a literal: plain where that is the same in every character set.
fn characters(charset: &str, bytes: &[u8]) -> String {
    let plain = |b: &u8| matches!(b, b' '..=b'~') && !matches!(b, b'\'' | b'\\');
    let wide = ["ucs2", "utf16", "utf16le", "utf32"].contains(&charset);
    match std::str::from_utf8(bytes) {
        Ok(text) if !wide && bytes.iter().all(plain) => format!("'{text}'"),
        _ => format!("_{charset} x'{}'", hex::encode(bytes)),
    }
}

/// The key's columns in key order as they stand on the source, whatever expressions make of them.
pub(super) fn raw_key(table: &TablePlan) -> Vec<ColumnPair> {
    let raw = |pair: &ColumnPair| match &pair.expression {
        Some(_) => ColumnPair::plain(&pair.source, &pair.source_type, &pair.target, &pair.source_type),
        None => pair.clone(),
    };
    table.key_columns().map(raw).collect()
}

/// A column that is staged besides, as one that is carried.
pub(super) fn besides(column: &SourceColumn) -> ColumnPair {
    ColumnPair::plain(&column.name, &column.type_name, &column.name, &column.type_name)
}

/// How the values of a carried column travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Blob,
    Integer,
}

/// A column on its way from one server to the other.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    expression: Expression,
    form: Form,
    column: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expression {
    Plain,
    AsDouble,
    AsUtf8,
    AsNumber,
    AsMembers,
    AsBytes,
    /// An operator's expression, as text.
    Text,
    /// An operator's expression, as bytes.
    Bytes,
    /// An operator's expression with all digits of a FLOAT.
    Digits,
}

impl Carried {
    /// How the column's values travel.
    pub(super) fn of(pair: &ColumnPair) -> Self {
        if let Some(sql) = &pair.expression {
            let (expression, form) = match Kind::of(&pair.target_type) {
                Kind::Bytes | Kind::Bit | Kind::Opaque => (Expression::Bytes, Form::Blob),
                Kind::Float | Kind::Double => (Expression::Digits, Form::Text),
                _ => (Expression::Text, Form::Text),
            };
            // The end of the line ends a comment.
            return Carried { expression, form, column: format!("({sql}\n)") };
        }
        let (from, to) = (Kind::of(&pair.source_type), Kind::of(&pair.target_type));
        let (expression, form) = match &from {
            Kind::Float => (Expression::AsDouble, Form::Text),
            Kind::Enum(_) if is_numbered(pair) => (Expression::AsNumber, Form::Integer),
            // Of 64 members the last has a number that no signed one holds.
            Kind::Set(_) if is_members(pair) => (Expression::AsMembers, Form::Text),
            Kind::Chars(charset) | Kind::Enum(charset) | Kind::Set(charset) => match &to {
                Kind::Chars(other) | Kind::Enum(other) | Kind::Set(other) if charset == other => {
                    (Expression::Plain, Form::Blob)
                }
                // Bytes stay bytes.
                Kind::Bytes => (Expression::Plain, Form::Blob),
                _ => (Expression::AsUtf8, Form::Text),
            },
            // The client does not know that type.
            Kind::Opaque if pair.source_type.starts_with("vector") => (Expression::AsBytes, Form::Blob),
            Kind::Bit | Kind::Bytes | Kind::Opaque => (Expression::Plain, Form::Blob),
            Kind::Integer
            | Kind::Decimal
            | Kind::Double
            | Kind::Year
            | Kind::Moment
            | Kind::Json
            | Kind::Address => (Expression::Plain, Form::Text),
        };
        Carried { expression, form, column: quote(&pair.source) }
    }

    /// How the values of a key's column travel: a SET as it is compared, by its labels.
    pub(super) fn of_key(pair: &ColumnPair) -> Self {
        match Kind::of(&pair.source_type) {
            Kind::Set(_) => {
                let (expression, form) = (Expression::Plain, Form::Blob);
                Carried { expression, form, column: quote(&pair.source) }
            }
            _ => Carried::of(pair),
        }
    }

    /// The same values in a column of another name.
    #[must_use]
    pub(super) fn named(self, column: &str) -> Self {
        Carried { column: quote(column), ..self }
    }

    /// What is selected of `row`.
    pub(super) fn expression(&self, row: &str) -> String {
        let column = format!("{row}.{}", self.column);
        match self.expression {
            Expression::Plain => column,
            // Adding 0 would lose the sign of -0.
            Expression::AsDouble => format!("CAST({column} AS DOUBLE)"),
            Expression::AsUtf8 => format!("CONVERT({column} USING utf8mb4)"),
            Expression::AsNumber => format!("{column}+0"),
            // Adding 0 would make it a floating point number.
            Expression::AsMembers => format!("CAST({column} AS UNSIGNED)"),
            Expression::AsBytes => format!("UNHEX(HEX({column}))"),
            Expression::Text => format!("CONVERT({} USING utf8mb4)", self.column),
            Expression::Bytes => format!("CAST({} AS BINARY)", self.column),
            // Texts stay texts: the target refuses those that are no numbers.
            Expression::Digits => format!("IF(TRUE, {}, 0e0)", self.column),
        }
    }

    /// The value of what was selected.
    ///
    /// # Errors
    /// When a number is none.
    pub(super) fn value(&self, bytes: Option<&[u8]>) -> Result<Value> {
        let Some(bytes) = bytes else { return Ok(Value::Null) };
        Ok(match self.form {
            Form::Text => Value::Text(bytes.to_vec()),
            Form::Blob => Value::Blob(bytes.to_vec()),
            Form::Integer => {
                let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
                Value::Integer(number.ok_or_else(|| Error::failed("an ENUM's number is none"))?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(source: &str, target: &str) -> ColumnPair {
        ColumnPair::plain("c", source, "c", target)
    }

    #[test]
    fn characters_go_as_bytes_where_the_sets_agree() {
        let latin = "varchar(9) CHARACTER SET latin1 COLLATE latin1_swedish_ci";
        let utf8 = "varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
        let same = Carried::of(&pair(latin, latin));
        assert_eq!(same.expression("t"), "t.`c`");
        assert_eq!(same.value(Some(b"\xe4")).unwrap(), Value::Blob(vec![0xe4]));
        assert_eq!(Carried::of(&pair(latin, utf8)).expression("t"), "CONVERT(t.`c` USING utf8mb4)");
        assert_eq!(Carried::of(&pair("float", "float")).expression("t"), "CAST(t.`c` AS DOUBLE)");
        let labels = "enum('a','it''s') CHARACTER SET latin1 COLLATE latin1_swedish_ci";
        assert_eq!(Carried::of(&pair(labels, labels)).expression("t"), "t.`c`+0");
        assert_eq!(Carried::of(&pair(labels, labels)).value(Some(b"0")).unwrap(), Value::Integer(0));
        let members = "set('','a') CHARACTER SET latin1 COLLATE latin1_swedish_ci";
        assert_eq!(Carried::of(&pair(members, members)).expression("t"), "CAST(t.`c` AS UNSIGNED)");
        assert_eq!(place(&pair(members, members)), "CAST(? AS UNSIGNED)");
        let more = "set('','a','b') CHARACTER SET latin1 COLLATE latin1_swedish_ci";
        assert_eq!(Carried::of(&pair(members, more)).expression("t"), "t.`c`");
    }

    #[test]
    fn every_key_reads_back_the_same() {
        let latin = Kind::of("char(3) CHARACTER SET latin1 COLLATE latin1_bin");
        for (kind, bytes, text, value) in [
            (Kind::Integer, &b"-7"[..], "-7", Value::Text(b"-7".to_vec())),
            (Kind::Double, b"1.5", "1.5e0", Value::Text(b"1.5e0".to_vec())),
            (latin.clone(), b"a b", "'a b'", Value::Blob(b"a b".to_vec())),
            (latin.clone(), b"", "''", Value::Blob(vec![])),
            (latin.clone(), b"it's", "_latin1 x'69742773'", Value::Blob(b"it's".to_vec())),
            (latin, b" x'41", "_latin1 x'2078273431'", Value::Blob(b" x'41".to_vec())),
            (Kind::Bytes, b"\0\xff", "x'00ff'", Value::Blob(vec![0, 255])),
            (Kind::Moment, b"0000-00-00", "'0000-00-00'", Value::Text(b"0000-00-00".to_vec())),
            (Kind::Bit, b"\x01\x02", "258", Value::Blob(258_u64.to_be_bytes().to_vec())),
        ] {
            let literal = kind.to_literal(bytes);
            assert_eq!(literal, text);
            assert_eq!(kind.key_value(&literal).unwrap(), value, "{literal}");
        }
        assert!(Kind::Bytes.key_value("now()").is_err());
    }
}
