//! Reads of rows and logs: each in a transaction of its own, or all in one that holds a snapshot.
//!
//! A source that is pinned ([`crate::engine::Source::pinned`]) has one session whose transaction keeps the view of
//! all tables that it began with. All its reads take turns on that session, a stream until its end. After a read
//! the transaction goes back to its savepoint, which on MySQL gives up the locks on definitions: production's DDL
//! does not wait for the snapshot, and a table that was altered or emptied since can't be read in it any more (error
//! 1412). On MariaDB DDL waits until the snapshot is given up.
//! `docs/how-it-works.md`, "states are read after keys".

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::flush;
use super::session::Session;
use super::source::Inner;
use crate::error::Result;

/// The snapshot that a pinned source reads in.
pub(super) type Pin = Arc<Mutex<Session>>;

const SNAPSHOT: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
const BACK: &str = "ROLLBACK TO SAVEPOINT highwater_pin";

/// A session in a transaction that reads.
pub(super) enum Reader {
    /// With a snapshot of its own.
    Own(Session),
    /// With the one that is held.
    Pinned(OwnedMutexGuard<Session>),
}

/// Takes a snapshot and holds it. What it shows is on disk when this returns.
pub(super) async fn pin(source: &Inner) -> Result<Pin> {
    let mut session = source.server.session().await?;
    let begin = format!("{SNAPSHOT}; SAVEPOINT highwater_pin; {}", flush::POSITION);
    let position = flush::position(&session.query(begin).await?)?;
    let mut other = source.server.session().await?;
    flush::flushed(source, &mut other, position).await?;
    other.close();
    Ok(Arc::new(Mutex::new(session)))
}

impl Reader {
    /// The session for a read, and what its first statement must begin with.
    pub(super) async fn of(source: &Inner) -> Result<(Reader, &'static str)> {
        Ok(match &source.pin {
            Some(pin) => (Reader::Pinned(pin.clone().lock_owned().await), BACK),
            None => (Reader::Own(source.server.session().await?), SNAPSHOT),
        })
    }

    /// Ends the read, once the source can't lose any more what it saw: the held snapshot waited for that when it
    /// was taken.
    pub(super) async fn end(self, source: &Inner, position: Option<flush::Position>) -> Result<()> {
        match self {
            Reader::Own(mut session) => {
                session.execute("COMMIT").await?;
                flush::flushed(source, &mut session, position).await?;
                session.close();
                Ok(())
            }
            Reader::Pinned(mut session) => session.execute(BACK).await.map(|_| ()),
        }
    }

    /// Gives up rows that are still on their way: another session is quicker than reading them.
    pub(super) async fn cut_off(self, source: &Inner) -> Result<Reader> {
        Ok(match self {
            Reader::Own(_) => Reader::Own(source.server.session().await?),
            pinned @ Reader::Pinned(_) => pinned,
        })
    }
}

impl Deref for Reader {
    type Target = Session;

    fn deref(&self) -> &Session {
        match self {
            Reader::Own(session) => session,
            Reader::Pinned(session) => session,
        }
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Session {
        match self {
            Reader::Own(session) => session,
            Reader::Pinned(session) => session,
        }
    }
}
