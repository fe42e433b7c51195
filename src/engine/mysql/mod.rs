//! MySQL and MariaDB (InnoDB), as source and as target.
//!
//! | fact | what follows |
//! | --- | --- |
//! | numbers of log rows don't come in the order of commits, and no snapshot can be asked for | what was not seen is kept as gaps until nobody can fill them ([`log`], [`retire`]) |
//! | foreign keys' actions fire no triggers of the children | triggers of the parents log the children's keys ([`cascade`]) |
//! | a transaction that began before the fence may not see its rows | the fence is raised by DDL on the logs ([`raise`]), and lowered by data ([`fence`]) |
//! | TRUNCATE, rename swaps and partition DDL fire nothing | the numbers of the tables are compared ([`inspect`]) |
//! | DDL commits by itself | the order of installing is the crash story ([`install`]) |
//! | a commit may be seen before it is on disk | the redo log is waited for ([`flush`]) |
//! | the prepared protocol turns zero dates into NULL | rows are read by the text protocol ([`types`]) |
//! | no setting silences triggers | a target table with triggers is refused ([`survey`]) |

mod arrived;
mod behind;
mod capture;
mod cascade;
mod cascade_body;
mod catalog;
mod changed;
mod checks;
mod chunks;
mod comparison;
mod connect;
mod counters;
mod create;
mod definitions;
mod facts;
mod fault;
mod fence;
mod fill;
mod fits;
mod flush;
mod further;
mod grants;
mod inspect;
mod install;
mod lease;
mod lock;
mod log;
mod look;
mod matched;
mod names;
mod numbers;
mod pin;
mod prove;
mod raise;
mod read;
mod remove;
mod replace;
mod retire;
mod schema;
mod script;
mod select;
mod sequences;
mod session;
mod shape;
mod source;
mod stage;
mod statement;
mod steps;
mod survey;
mod target;
mod tx;
mod types;
mod value;
mod writers;

pub(super) use fits::fit;
pub use source::MysqlSource;
pub use target::MysqlTarget;
