//! The words of highwater as types: names, schemas, extents, plans, rows, states.

mod extent;
mod name;
mod plan;
mod rows;
mod rule;
mod schema;
mod seen;
pub mod sql;

pub use extent::{Extent, Mark, Position, Snapshot, Watermark};
pub use name::TableName;
pub(crate) use name::quote;
pub use plan::{ColumnPair, Finding, Inverse, Plan, Staged, Strategy, TablePlan};
pub use rows::{Applied, Batch, Block, Bounds, Form, Key, Layout, RowStream, States, Value};
pub use rule::{
    Dependant, Fidelity, Into, IntoColumn, Link, Lookup, On, OnDelete, Rule, SourceColumn, Transform,
};
pub use schema::{
    CheckConstraint, Column, ForeignKey, Generation, Schema, Sequence, Table, TableKind, Transfer,
    UniqueIndex,
};
pub use seen::Seen;
