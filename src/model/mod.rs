//! The words of highwater as types: names, schemas, extents, plans, rows, states.

mod extent;
mod name;
mod plan;
mod rows;
mod schema;
mod seen;
mod state;

pub use extent::{Extent, Mark, Position, Snapshot, Watermark};
pub use name::TableName;
pub(crate) use name::quote;
pub use plan::{ColumnPair, Finding, Plan, Strategy, TablePlan};
pub use rows::{Applied, Batch, Block, Bounds, Form, Key, Layout, RowStream, States, Value};
pub use schema::{Column, ForeignKey, Generation, Schema, Sequence, Table, TableKind, UniqueIndex};
pub use seen::Seen;
pub use state::{Phase, TableState, Work};
