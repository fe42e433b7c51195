//! COPY TO STDOUT. The server sends a message for each row; they are put together to blocks here, so
//! that the other side does not pay for each. The pieces, one after the other, are one valid COPY stream.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::connect::classify;
use super::session::{Place, Session};
use crate::error::{Error, Kind, Result};
use crate::model::{Block, Form};

/// The size of a block.
const BLOCK_BYTES: usize = 64 * 1024;

/// What stands before the rows of a binary stream: signature, flags, no extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What stands behind them: a row of -1 columns.
const TRAILER: &[u8; 2] = &[0xff, 0xff];

/// Rows that COPY sends.
pub(super) struct Rows<'a> {
    messages: BoxStream<'a, Result<Bytes, sqlx::Error>>,
    place: Place,
    binary: bool,
    begun: bool,
}

impl<'a> Rows<'a> {
    /// Starts `COPY (select) TO STDOUT`. A session that is not read to the end must be dropped.
    pub(super) async fn start(session: &'a mut Session, select: &str, form: Form) -> Result<Rows<'a>> {
        let binary = match form {
            Form::CopyBinary => true,
            Form::CopyText => false,
            Form::Values => return Err(Error::failed("PostgreSQL sends rows by COPY only")),
        };
        let place = Place::clone(session.place());
        let format = if binary { "binary" } else { "text" };
        let statement = format!("COPY ({select}) TO STDOUT (FORMAT {format})");
        let started = session.connection()?.copy_out_raw(&statement).await;
        let messages = started.map_err(|e| classify(e, &place))?;
        Ok(Rows { messages, place, binary, begun: false })
    }

    /// The next row, without what stands before and behind the rows.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(message) = self.messages.next().await {
            let mut row = message.map_err(|e| classify(e, &self.place))?;
            if self.binary && !self.begun {
                if !row.starts_with(HEADER) {
                    return Err(Error::failed(format!(
                        "{}: a binary COPY began in an unknown way",
                        self.place
                    )));
                }
                row = row.slice(HEADER.len()..);
                self.begun = true;
            }
            let is_trailer = self.binary && row == TRAILER[..];
            if !row.is_empty() && !is_trailer {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

/// Puts rows together to blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    buffer: BytesMut,
    binary: bool,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Blocks {
    pub(super) fn new(form: Form) -> Self {
        let binary = form == Form::CopyBinary;
        let mut buffer = BytesMut::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 4);
        if binary {
            buffer.extend_from_slice(HEADER);
        }
        Blocks { buffer, binary, rows: 0, bytes: 0 }
    }

    /// Adds a row. Returns a block when one is full.
    pub(super) fn add(&mut self, row: &[u8]) -> Option<Block> {
        self.rows += 1;
        self.bytes += row.len() as u64;
        self.buffer.extend_from_slice(row);
        (self.buffer.len() >= BLOCK_BYTES).then(|| {
            let full = self.buffer.split().freeze();
            self.buffer.reserve(BLOCK_BYTES + BLOCK_BYTES / 4);
            Block::Copy(full)
        })
    }

    /// What is left, then the end.
    pub(super) fn finish(mut self) -> [Block; 2] {
        if self.binary {
            self.buffer.extend_from_slice(TRAILER);
        }
        [Block::Copy(self.buffer.freeze()), Block::End { rows: self.rows, bytes: self.bytes }]
    }
}

/// The first two columns of a row, both bigint and not NULL.
pub(super) fn position(row: &[u8], form: Form) -> Result<(u64, i64)> {
    let found = if form == Form::CopyBinary { binary_position(row) } else { text_position(row) };
    found.ok_or_else(|| Error::new(Kind::Failed, "a row of COPY does not begin with its position"))
}

fn binary_position(row: &[u8]) -> Option<(u64, i64)> {
    let number = |at: usize| Some(i64::from_be_bytes(row.get(at..at + 8)?.try_into().ok()?));
    // Two bytes for the number of columns, and four before each value for its length.
    Some((u64::try_from(number(6)?).ok()?, number(18)?))
}

fn text_position(row: &[u8]) -> Option<(u64, i64)> {
    let mut fields = std::str::from_utf8(row.get(..row.len().min(48))?)
        .or_else(|e| std::str::from_utf8(&row[..e.valid_up_to()]));
    let mut fields = fields.as_mut().ok()?.split('\t');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
