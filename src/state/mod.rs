//! Where a migration stands, and what may be done now. Both are asked here and nowhere else.
//!
//! A database has a [`Phase`] and an [`AttemptState`], together its [`Standing`]; each of its tables has a
//! [`TableState`]. They are kept in the ledger on the target. They change by a [`Transition`] or a
//! [`TableTransition`] only: one exhaustive match each says which are legal, and the ledger carries them out as
//! a compare-and-set in the transaction that needs them, under the [`Term`] of the lease
//! (docs/how-it-works.md, "a term fences its holder").

mod standing;
mod table;
mod term;

pub use standing::{AttemptState, Phase, Standing, Task, Transition};
pub use table::{TableState, TableTransition, Work};
pub use term::Term;
