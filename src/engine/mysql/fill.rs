//! Many rows into a table with few statements.

use std::collections::VecDeque;

use sqlx::mysql::MySqlArguments;

use super::session::Session;
use super::value::{bind, join, literal};
use crate::error::{Error, Kind, Result};
use crate::model::Value;

/// How many rows go into one INSERT: few sizes, so that the statements stay prepared.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// How many values one statement may have.
const MOST_VALUES: usize = 65_535;

/// How many bytes go into one INSERT: no more than one TLS record holds. The client does not turn Nagle's
/// algorithm off, and what is sent in two records waits 40 ms for the server's delayed acknowledgement
/// (MySQL 9 with TLS, 200,000 rows: 37 s, without TLS 2 s).
const PIECE: u64 = 16_000;

/// Where one row is larger than that, the wait is shared by many.
const LARGE_PIECE: u64 = 4 << 20;

/// What an INSERT takes besides its values.
const STATEMENT: u64 = 1024;

/// The sql_mode of target sessions without its strictness, in which number 0 may be put into an ENUM.
const LAX: &str = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION";

/// Inserts rows, many with one statement.
#[derive(Debug)]
pub(super) struct Filler {
    table: String,
    columns: Vec<String>,
    /// Which values are of ENUM columns, whose number 0 a strict session refuses.
    enums: Vec<Labels>,
    /// How many of the first values go in even when the row is refused.
    refusals: Option<usize>,
    statements: Vec<(usize, String)>,
}

/// Whether one of the labels of an ENUM or SET is the empty text.
pub(super) fn has_empty_label(kind: &str) -> bool {
    ["('',", ",'',", ",'')", "('')"].iter().any(|label| kind.contains(label))
}

/// An ENUM column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels {
    /// Its place in a row.
    pub(super) place: usize,
    /// Whether one of its labels is the empty text, as which number 0 is shown too.
    pub(super) empty: bool,
}

impl Labels {
    /// Of a column of that type at that place, if it is an ENUM.
    pub(super) fn of(place: usize, kind: &str) -> Option<Self> {
        kind.starts_with("enum(").then_some(Labels { place, empty: has_empty_label(kind) })
    }

    fn is_zero(self, value: &Value) -> bool {
        match value {
            Value::Integer(number) => *number == 0,
            Value::Text(bytes) | Value::Blob(bytes) => bytes.is_empty() && !self.empty,
            Value::Null | Value::Real(_) => false,
        }
    }
}

/// What became of the rows.
#[derive(Debug, Default)]
pub(super) struct Filled {
    /// How many wait as a key with a reason.
    pub(super) refused: u64,
    /// ENUM columns of numbered rows that are number 0.
    zeros: Vec<(usize, Value)>,
}

/// Rows that wait for enough others.
#[derive(Debug, Default)]
pub(super) struct Pending {
    rows: VecDeque<(u64, Vec<Value>)>,
    bytes: u64,
    filled: Filled,
}

impl Filler {
    /// Into those columns of a table.
    pub(super) fn new(table: &str, columns: Vec<String>) -> Self {
        Self::of(table, columns.into_iter().map(|column| (column, "?")).collect())
    }

    /// Into those columns of a table, each with what stands in the statement where its value goes.
    pub(super) fn of(table: &str, columns: Vec<(String, &'static str)>) -> Self {
        let (columns, places): (Vec<String>, Vec<&str>) = columns.into_iter().unzip();
        let into = format!("INSERT INTO {table} ({})", columns.join(", "));
        let row = format!("({})", places.join(","));
        let most = (MOST_VALUES / columns.len().max(1)).max(1);
        let statement = |size: usize| (size, format!("{into} VALUES {}", vec![row.as_str(); size].join(",")));
        let statements = SIZES.into_iter().filter(|size| *size <= most).map(statement).collect();
        Filler { table: table.to_string(), columns, enums: Vec::new(), refusals: None, statements }
    }

    /// The values at those places are of ENUM columns; the first value is a number, under `hw_n`.
    #[must_use]
    pub(super) fn with_enums(mut self, enums: Vec<Labels>) -> Self {
        self.enums = enums;
        self
    }

    /// A row that is refused goes in with its first values only and the reason, under `hw_refused`.
    #[must_use]
    pub(super) fn with_refusals(mut self, first: usize) -> Self {
        self.refusals = Some(first);
        self
    }

    /// Takes rows in, and inserts those that are enough for a statement.
    pub(super) async fn take(
        &self,
        session: &mut Session,
        pending: &mut Pending,
        rows: Vec<Vec<Value>>,
        packet: u64,
    ) -> Result<()> {
        for mut row in rows {
            if row.len() != self.columns.len() {
                let (has, due) = (row.len(), self.columns.len());
                return Err(Error::failed(format!("a row of {has} values where {due} belong")));
            }
            self.set_zeros_aside(&mut row, &mut pending.filled);
            let bytes = row.iter().map(sent).sum();
            pending.bytes += bytes;
            pending.rows.push_back((bytes, row));
        }
        let full = self.statements.first().map_or(1, |(size, _)| *size);
        while pending.rows.len() >= full || pending.bytes >= LARGE_PIECE {
            self.insert_some(session, pending, packet).await?;
        }
        Ok(())
    }

    /// Inserts the rest.
    pub(super) async fn end(
        &self,
        session: &mut Session,
        mut pending: Pending,
        packet: u64,
    ) -> Result<Filled> {
        while !pending.rows.is_empty() {
            self.insert_some(session, &mut pending, packet).await?;
        }
        self.put_zeros(session, &pending.filled.zeros).await?;
        Ok(pending.filled)
    }

    /// A strict session takes an ENUM's number 0 from another ENUM only.
    fn set_zeros_aside(&self, row: &mut [Value], filled: &mut Filled) {
        for labels in &self.enums {
            if labels.is_zero(&row[labels.place]) {
                row[labels.place] = Value::Null;
                filled.zeros.push((labels.place, row[0].clone()));
            }
        }
    }

    async fn put_zeros(&self, session: &mut Session, zeros: &[(usize, Value)]) -> Result<()> {
        if zeros.is_empty() {
            return Ok(());
        }
        let mode = session.row("SELECT @@sql_mode").await?.into_iter().next().flatten().unwrap_or_default();
        session.execute(format!("SET SESSION sql_mode = '{LAX}'")).await?;
        for Labels { place, .. } in &self.enums {
            let numbers: Vec<String> =
                zeros.iter().filter(|(p, _)| p == place).map(|(_, n)| number(n)).collect::<Result<_>>()?;
            for some in numbers.chunks(1000) {
                let (table, column) = (&self.table, &self.columns[*place]);
                let list = some.join(",");
                session.execute(format!("UPDATE {table} SET {column} = 0 WHERE hw_n IN ({list})")).await?;
            }
        }
        session.execute(format!("SET SESSION sql_mode = {}", literal(&mode))).await?;
        Ok(())
    }

    /// Inserts as many of the first rows as make a statement.
    async fn insert_some(&self, session: &mut Session, pending: &mut Pending, packet: u64) -> Result<()> {
        let piece =
            if pending.rows.front().is_some_and(|(bytes, _)| *bytes > PIECE) { LARGE_PIECE } else { PIECE };
        let limit = piece.min(packet.saturating_sub(STATEMENT));
        let mut bytes = 0;
        let fits = |(more, _): &&(u64, Vec<Value>)| {
            bytes += more;
            bytes <= limit
        };
        let most = pending.rows.iter().take_while(fits).count().max(1);
        let Some((size, sql)) = self.statements.iter().find(|(size, _)| *size <= most) else { return Ok(()) };
        let rows: Vec<(u64, Vec<Value>)> = pending.rows.drain(..*size).collect();
        pending.bytes -= rows.iter().map(|(bytes, _)| bytes).sum::<u64>();
        match self.insert(session, sql, &rows, packet).await {
            Err(error) if error.kind() == Kind::Data && self.refusals.is_some() => {
                self.insert_each(session, rows, error, &mut pending.filled, packet).await
            }
            done => done,
        }
    }

    async fn insert(
        &self,
        session: &mut Session,
        sql: &str,
        rows: &[(u64, Vec<Value>)],
        packet: u64,
    ) -> Result<()> {
        let bytes: u64 = rows.iter().map(|(bytes, _)| bytes).sum();
        if bytes + STATEMENT > packet {
            let what = format!(
                "{}: a row takes {bytes} bytes on its way, more than max_allowed_packet lets through, {packet}",
                session.place
            );
            return Err(Error::new(Kind::Data, what).remedy("raise max_allowed_packet on the target"));
        }
        let mut args = MySqlArguments::default();
        for value in rows.iter().flat_map(|(_, row)| row) {
            bind(&mut args, value)?;
        }
        session.run(sql, args).await?;
        Ok(())
    }

    /// Rows of which one at least was refused, one by one.
    async fn insert_each(
        &self,
        session: &mut Session,
        rows: Vec<(u64, Vec<Value>)>,
        error: Error,
        filled: &mut Filled,
        packet: u64,
    ) -> Result<()> {
        let Some((1, sql)) = self.statements.last() else { return Err(error) };
        let alone = rows.len() == 1;
        let mut first = Some(error);
        for row in rows {
            let tried = match first.take().filter(|_| alone) {
                Some(error) => Err(error),
                None => self.insert(session, sql, std::slice::from_ref(&row), packet).await,
            };
            match tried {
                Err(error) if error.kind() == Kind::Data => {
                    self.insert_refused(session, &row.1, &error).await?;
                    filled.refused += 1;
                }
                done => done?,
            }
        }
        Ok(())
    }

    async fn insert_refused(&self, session: &mut Session, row: &[Value], error: &Error) -> Result<()> {
        let first = self.refusals.unwrap_or_default().min(row.len());
        let columns = join(self.columns[..first].iter().cloned().chain(["hw_refused".to_string()]), ", ");
        let places = vec!["?"; first + 1].join(", ");
        let mut args = MySqlArguments::default();
        for value in &row[..first] {
            bind(&mut args, value)?;
        }
        bind(&mut args, &Value::Text(error.summary().into_bytes()))?;
        session.run(format!("INSERT INTO {} ({columns}) VALUES ({places})", self.table), args).await?;
        Ok(())
    }
}

/// How many bytes a value takes in a statement: type, length and the value itself.
fn sent(value: &Value) -> u64 {
    match value {
        Value::Null => 3,
        Value::Integer(_) | Value::Real(_) => 11,
        Value::Text(bytes) | Value::Blob(bytes) => match bytes.len() as u64 {
            length @ ..=250 => length + 4,
            length @ ..=65_535 => length + 6,
            length => length + 12,
        },
    }
}

/// A row's number as SQL.
fn number(value: &Value) -> Result<String> {
    let text = match value {
        Value::Integer(number) => return Ok(number.to_string()),
        Value::Text(bytes) | Value::Blob(bytes) => std::str::from_utf8(bytes).ok(),
        Value::Null | Value::Real(_) => None,
    };
    let number: Option<i64> = text.and_then(|text| text.parse().ok());
    number.map(|n| n.to_string()).ok_or_else(|| Error::failed("a staged row has no number"))
}
