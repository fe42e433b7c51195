//! What the tests stand on: real servers, the real program, an independent comparison.
//!
//! | to have | use |
//! | --- | --- |
//! | a case that runs on every engine | `contract!` with an `async fn case(engine: Engine)` |
//! | a source and a target | [`Engine::pair`], or [`Pair::postgres`] and [`Pair::sqlite`] |
//! | one more PostgreSQL database | `Server::shared().database().await` |
//! | a server to crash, stop, restore | [`Server::start_own`] |
//! | the program | [`Highwater::new`], then `run` a command or `spawn` a daemon |
//! | proof that both sides agree | [`compare::assert_same`] |
//! | to wait for something | [`eventually`] |
//!
//! Everything lives in one folder per test process, and a guard (see `workspace`) removes it and
//! ends every process in it when the test process is gone, however it went.
#![allow(dead_code, reason = "a helper may be waiting for the case that needs it")]
#![allow(unused_imports, reason = "the names are offered to all tests")]

#[macro_use]
mod engine;

pub mod compare;
mod database;
mod highwater;
mod selftest;
mod server;
mod sqlite;
mod wait;
mod workspace;

pub use database::{Database, Rows};
pub use engine::{Connection, Db, Engine, Pair};
pub use highwater::{Daemon, Highwater, Output, Pause, Response};
pub use server::{Server, Snapshot};
pub use sqlite::SqliteFile;
pub use wait::{eventually, within};
pub use workspace::{Workspace, free_port, next_number, signal};
