//! What the tests stand on: real servers, the real program, an independent comparison.
//!
//! | to have | use |
//! | --- | --- |
//! | a case that runs on every engine | `contract!` with an `async fn case(engine: Engine)` |
//! | a source and a target | [`Engine::pair`], or [`Pair::postgres`], [`Pair::sqlite`], [`Pair::mariadb`], [`Pair::mysql`] |
//! | one more PostgreSQL database | `Server::shared().database().await` |
//! | one more database of MariaDB or MySQL | `MysqlServer::shared(Kind::Mariadb).database().await` |
//! | a server to crash, stop, restore | [`Server::start_own`], [`MysqlServer::start_own`] |
//! | the program | [`Highwater::new`], then `run` a command or `spawn` a daemon |
//! | proof that both sides agree | [`compare::assert_same`] |
//! | a backup of a target | [`Backup::of`] |
//! | the seeds of random work | [`seeds`] |
//! | to wait for something | [`eventually`] |
//! | to be timed without using any of these | [`clock::start`] |
//!
//! Everything lives in one folder per test process, and a guard (see `workspace`) removes it and
//! ends every process in it when the test process is gone, however it went.
#![allow(dead_code, reason = "a helper may be waiting for the case that needs it")]
#![allow(unused_imports, reason = "the names are offered to all tests")]

#[macro_use]
mod engine;

mod backup;
pub mod clock;
pub mod compare;
mod database;
mod highwater;
mod mysql;
mod mysql_server;
mod seeds;
mod selftest;
mod selftest_mysql;
mod server;
pub mod settings;
mod site;
mod sqlite;
mod sweep;
mod wait;
mod watch;
mod workspace;

pub use backup::Backup;
pub use database::{Database, Rows};
pub use engine::{Connection, Db, Engine, Pair};
pub use highwater::{Daemon, Highwater, Output, Pause, Response};
pub use mysql::{MysqlDatabase, execute as mysql_execute, rows_as_text as mysql_rows_as_text};
pub use mysql_server::{Kind, MysqlServer};
pub use seeds::seeds;
pub use server::Server;
pub use site::Snapshot;
pub use sqlite::SqliteFile;
pub use wait::{eventually, patience, soon, within};
pub use watch::watch;
pub use workspace::{Workspace, free_port, next_number, signal};
