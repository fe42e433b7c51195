//! Decoded rows on their way.

use crate::model::{Block, Value};

/// The size of a block.
const BLOCK_BYTES: u64 = 64 * 1024;

/// How many blocks of a stream may wait for the writer.
pub(super) const BLOCKS_WAITING: usize = 4;

/// Collects decoded rows into blocks.
#[derive(Default)]
pub(super) struct Blocks {
    waiting: Vec<Vec<Value>>,
    waiting_bytes: u64,
    /// How many rows were taken in.
    pub(super) rows: u64,
    /// How many bytes they take, about.
    pub(super) bytes: u64,
}

impl Blocks {
    /// Takes a row in; gives a block when it is full.
    pub(super) fn push(&mut self, row: Vec<Value>) -> Option<Block> {
        let size = row.iter().map(size).sum::<u64>();
        self.waiting.push(row);
        self.waiting_bytes += size;
        self.rows += 1;
        self.bytes += size;
        if self.waiting_bytes >= BLOCK_BYTES { self.rest() } else { None }
    }

    /// What is left.
    pub(super) fn rest(&mut self) -> Option<Block> {
        self.waiting_bytes = 0;
        let rows = std::mem::take(&mut self.waiting);
        (!rows.is_empty()).then_some(Block::Values(rows))
    }

    /// The end of all.
    pub(super) fn end(&self) -> Block {
        Block::End { rows: self.rows, bytes: self.bytes }
    }
}

/// About how much memory a value takes.
pub(super) fn size(value: &Value) -> u64 {
    match value {
        Value::Null => 1,
        Value::Integer(_) | Value::Real(_) => 8,
        Value::Text(bytes) | Value::Blob(bytes) => 1 + bytes.len() as u64,
    }
}
