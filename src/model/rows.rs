//! Rows on their way: streams, batches, chunks.

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

use super::{Extent, Watermark};
use crate::error::{Error, Result};

/// The form in which rows travel between two engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// PostgreSQL COPY BINARY, undecoded: both sides have the same types.
    CopyBinary,
    /// PostgreSQL COPY text: the target parses.
    CopyText,
    /// Decoded values.
    Values,
}

/// A decoded value with the storage class that it has.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A floating point number.
    Real(f64),
    /// Text in the database's encoding, which may be invalid in it.
    Text(Vec<u8>),
    /// Bytes.
    Blob(Vec<u8>),
}

/// What each row of a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The carried columns.
    Plain,
    /// What a stage holds: see [`crate::engine::Tx::stage`].
    Staged,
    /// The key columns, then the carried columns that stand for a key column by an expression.
    Keys,
}

/// Some rows, about 64 KiB.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A piece of a COPY stream; concatenated, the pieces are the whole stream, header and trailer
    /// included. A piece need not end at a row.
    Copy(Bytes),
    /// Decoded rows.
    Values(Vec<Vec<Value>>),
    /// All rows were sent, and the source can't lose what they show any more. A stream that ends
    /// without it is broken, and nothing of it may be committed.
    End {
        /// How many rows were sent.
        rows: u64,
        /// How many bytes they took.
        bytes: u64,
    },
}

/// Rows being read while they are written. Dropping it stops the reader.
#[derive(Debug)]
pub struct RowStream {
    /// The extent at which the rows are read, known before the first of them.
    pub extent: Extent,
    /// The blocks, ending with [`Block::End`].
    pub blocks: mpsc::Receiver<Result<Block>>,
}

impl RowStream {
    /// The next block.
    ///
    /// # Errors
    /// The reader's error; or that it went away without [`Block::End`].
    pub async fn next(&mut self) -> Result<Block> {
        match self.blocks.recv().await {
            Some(block) => block,
            None => {
                Err(Error::new(crate::error::Kind::Unavailable, "the stream of rows ended in the middle"))
            }
        }
    }
}

/// A key of a chunk: one text per key column, in the engine's own exact notation.
pub type Key = Vec<String>;

/// The range of keys of a chunk, in the source's order: `from` inclusive, `to` exclusive, open where
/// there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Bounds {
    /// The first key inside.
    pub from: Option<Key>,
    /// The first key beyond.
    pub to: Option<Key>,
}

impl Bounds {
    /// The whole table.
    pub fn all() -> Self {
        Bounds { from: None, to: None }
    }

    /// The ranges between ascending `cuts`, the first and last open-ended.
    pub fn between(cuts: Vec<Key>) -> Vec<Bounds> {
        let mut bounds = Vec::with_capacity(cuts.len() + 1);
        let mut from = None;
        for cut in cuts {
            let to = Some(cut.clone());
            bounds.push(Bounds { from: from.replace(cut), to });
        }
        bounds.push(Bounds { from, to: None });
        bounds
    }
}

/// Keys with their present states, read in one go.
#[derive(Debug)]
pub struct States {
    /// The extent at which the states were read: never older than the keys.
    pub read_at: Extent,
    /// The states, in [`Layout::Staged`], ending with [`Block::End`].
    pub blocks: Vec<Block>,
}

/// The net dirty keys of one table.
#[derive(Debug)]
pub struct Batch {
    /// The watermark it starts from.
    pub from: Watermark,
    /// The watermark once it is applied.
    pub to: Watermark,
    /// The keys with their states. No rows for a keyless table: that one is read whole.
    pub states: States,
    /// How many distinct keys.
    pub keys: u64,
    /// How many log entries.
    pub entries: u64,
    /// The table was truncated inside this batch: target rows that the source does not have must go.
    pub prune: bool,
    /// Whether more entries were waiting.
    pub more: bool,
}

/// What a target transaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Rows inserted.
    pub inserted: u64,
    /// Rows updated in place.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Keys parked.
    pub parked: u64,
}

impl Applied {
    /// Adds what another step of the same work did.
    pub fn add(&mut self, other: &Applied) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.parked += other.parked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_every_key_once() {
        let key = |k: &str| vec![k.to_string()];
        assert_eq!(Bounds::between(vec![]), vec![Bounds::all()]);
        let bounds = Bounds::between(vec![key("10"), key("20")]);
        assert_eq!(bounds.len(), 3);
        assert_eq!((bounds[0].from.clone(), bounds[0].to.clone()), (None, Some(key("10"))));
        assert_eq!((bounds[2].from.clone(), bounds[2].to.clone()), (Some(key("20")), None));
    }
}
