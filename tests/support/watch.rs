//! A read that needs no watermark.

use std::sync::LazyLock;

use highwater::engine::{Origin, Watch};
use highwater::model::{Extent, Mark, TablePlan, Watermark};

static NOTHING: LazyLock<Watermark> = LazyLock::new(|| Watermark::at(Extent::Sqlite(Mark { id: 0, tag: 0 })));

/// A table to read rows of, on an engine whose snapshots tell their extent by themselves (PostgreSQL,
/// SQLite): the watermark is not looked at.
pub fn watch<'a>(table: &'a TablePlan, origin: &'a Origin) -> Watch<'a> {
    Watch { table, watermark: &NOTHING, origin }
}
