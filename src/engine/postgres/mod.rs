//! PostgreSQL 13 to 18, as a source and as a target.

mod capture;
mod catalog;
mod connect;
mod copy_out;
mod define;
mod definitions;
mod facts;
mod fence;
mod flush;
mod inspect;
mod install;
mod lag;
mod lease;
mod pg_dump;
mod purge;
mod ranges;
mod read;
mod readiness;
mod remove;
mod sequences;
mod session;
mod shape;
mod source;
mod split;
mod sqlstate;
mod statements;
mod stream;
mod survey;
mod target;
mod tx;

pub use source::PostgresSource;
pub use target::PostgresTarget;
