//! SQLite, as source and as target.
//!
//! One writer at a time makes much of it simple: position order is commit order, so a log entry's id is
//! its position, and an extent is the highest id that a read transaction sees.
//!
//! | fact | what follows |
//! | --- | --- |
//! | REPLACE removes rows without firing DELETE triggers | BEFORE triggers log them first ([`capture`]) |
//! | a commit may be lost (`synchronous=OFF`), a file restored | log rows carry a random tag ([`log`]) |
//! | rebuilding a table drops its triggers | the order of the schema's rows tells ([`inspect`]) |
//! | a column holds values of any class | values keep theirs ([`value`]) |
//! | no setting silences triggers | the target's are taken off within the transaction ([`silence`]) |
//! | a file can be replaced under an open connection | it is looked at again and again ([`connect`]) |
//! | a trigger that names a missing table fails its writer | `remove` drops triggers first, and a lost log is made again within a second |
//! | two connections can't share a snapshot | reads of a snapshot that is held take turns ([`pin`]) |
//! | DDL is transactional, and waits for the one writer | the fence is raised on all logs in one transaction ([`fence`]) |
//!
//! What leaves no trace, and passes the fence: `sqlite3_blob_write`, a connection that has triggers switched off
//! by `SQLITE_DBCONFIG_ENABLE_TRIGGER`, and whatever writes pages or the schema past SQL. `plan` warns of it.

mod ask;
mod behind;
mod capture;
mod catalog;
mod chunks;
mod connect;
mod fault;
mod fence;
mod fits;
mod inspect;
mod install;
mod into;
mod lease;
mod log;
mod parse;
mod pin;
mod read;
mod replace;
mod replaced;
mod schema;
mod script;
mod select;
mod silence;
mod source;
mod stage;
mod survey;
mod target;
mod tx;
mod value;

pub(super) use fits::fit;
pub use source::SqliteSource;
pub use target::SqliteTarget;
