//! The tests, as one program: `cargo test --test main`, or `tests/run` for everything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[macro_use]
mod support;

mod cases;
mod contract;
mod convergence;
mod demo;
mod disk_full;
mod documents;
mod http;
mod model;
mod mysql;
mod mysql_source;
mod mysql_target;
mod postgres;
mod postgres_source;
mod postgres_target;
mod sqlite;
mod upgraded;
mod wso2;
