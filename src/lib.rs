//! highwater keeps a staging database in step with production while the software above it is
//! upgraded, and hands over in seconds.
//!
//! # The one idea
//!
//! Move states, not events. Capture answers one question: *which keys has production changed?*
//! Replay reads the present state of those keys and makes the target agree. Copy, replay, retry of
//! parked rows and reload are the same act on different key sets, *make these keys equal to the
//! source*, and there is one piece of code for it: [`apply`].
//!
//! It converges because
//! 1. capture is in force before the first chunk of a table is read ([`pair::prepare`]);
//! 2. each committed change has its key in the change log at a position that the watermark does not
//!    cover until the change is applied ([`model::Watermark`], [`engine::Source::batch`]);
//! 3. states are read after keys, and written only while they are newer than what stands in the
//!    target ([`ledger::guard`]);
//! 4. rows, watermark and parked keys commit in one target transaction ([`apply`]).
//!
//! `docs/how-it-works.md` has every rule by name, with the interleaving that loses rows without it.
//!
//! # The route
//!
//! The modules in the order in which data and decisions flow:
//!
//! | module | stage |
//! | --- | --- |
//! | [`settings`] | what the operator wants, from files and environment, all faults at once |
//! | [`engine`] | the seam: [`engine::Source`], [`engine::Target`], and one engine per folder |
//! | [`model`] | the words as types: names, schemas, extents, watermarks, plans, rows, states |
//! | [`plan`] | pure: both schemas and the settings in, a plan or all blockers out |
//! | [`pair`] | a database at work: connected, planned, captured, with its ledger |
//! | [`ledger`] | highwater's own tables on the target: all that must survive the process |
//! | [`copy`] | first copies and reloads, chunk by chunk |
//! | [`settle`] | which rows are whose, once the target's schema is upgraded |
//! | [`replay`] | batches of dirty keys, and retries of parked ones |
//! | [`transform`] | a command that rows pass through |
//! | [`apply`] | the one act, as one target transaction |
//! | [`follow`] | the loop that starts the jobs of a database until its goal is reached |
//! | [`point`] | consistent points: the target equal to production at one instant |
//! | [`cutover`] | the final sync: barrier, fence, sequences, the report |
//! | [`upgrade`], [`settle`] | the target's schema is upgraded, and whose rows are whose then |
//! | [`run`] | the daemon: lease, lost connections, several databases |
//! | [`schedule`], [`metrics`], [`http`], [`status`] | ticks, and what is shown |
//! | [`clean`] | everything away again |
//! | [`cli`] | one file per command |
//!
//! [`error`] says in one place what each kind of error leads to; [`fault`] names the points at which
//! tests halt or kill the program.

pub mod advice;
pub mod apply;
pub mod checkpoint;
pub mod clean;
pub mod cli;
pub mod copy;
pub mod cutover;
pub mod demo;
pub mod descriptors;
pub mod engine;
pub mod error;
pub mod fault;
pub mod follow;
pub mod http;
pub mod ledger;
pub mod metrics;
pub mod model;
pub mod pair;
pub mod plan;
pub mod point;
pub mod replay;
pub mod run;
pub mod schedule;
pub mod settings;
pub mod settle;
pub mod state;
pub mod status;
pub mod throttle;
pub mod transform;
pub mod upgrade;
