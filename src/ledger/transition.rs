//! Changes of state. Each is one transaction: it holds our term, reads the state that is there, asks
//! [`crate::state`] whether the change is legal, and writes it.
//!
//! Locks are taken in one order: the term, the epoch, the database's row, a table's row. What changes the phase or
//! opens an attempt takes the epoch exclusively, so it waits for every transaction that writes rows or begins a
//! copy, and those that come later see the new state.

use super::{AttemptState, Ledger, TableEntry, entry, integer, now, one, owned, superseded, text, to_json};
use crate::engine::{Arg, Origin, Stamp, Tx};
use crate::error::{Error, Result};
use crate::model::{Bounds, TablePlan, Watermark};
use crate::state::{Phase, Standing, TableState, TableTransition, Term, Transition};

/// Which attempts a request may make void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voidable {
    /// One that has not become final: the application may have switched over to a final target since.
    Open,
    /// A final one too: a person asked for it.
    Final,
}

/// What became of an attempt that was to be made void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voided {
    /// It can't become final any more, and the phase does not say final because of it.
    Void,
    /// It is final, and was left so.
    Final,
}

impl Ledger {
    /// Takes the next term, with the lease held: the holder before can't change a state any more. An
    /// attempt that an earlier term left open is void from here on; its fence is to be lowered then.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn take_term(&self) -> Result<Ledger> {
        let mut tx = self.target.begin().await?;
        let sql = "SELECT term FROM {l}terms WHERE database_name = ?1{for update}";
        let last = integer(&one(tx.rows(sql, &[self.name()]).await?)?, 0)?;
        let term = Term::after(last);
        let args: [Arg; 5] = [
            self.name(),
            term.number.into(),
            term.nonce.as_str().into(),
            self.actor.holder().into(),
            now().into(),
        ];
        let sql = "UPDATE {l}terms SET term = ?2, nonce = ?3, holder = ?4, held_since = ?5 \
                   WHERE database_name = ?1";
        tx.execute(sql, &args).await?;
        // A hold of replay that an earlier term left behind ends: its acts are refused from here on.
        let sql = "UPDATE {l}databases SET replay_hold = NULL WHERE database_name = ?1";
        tx.execute(sql, &[self.name()]).await?;
        if self.standing_in(tx.as_mut(), Lock::Exclusive).await?.0.attempt == AttemptState::Open {
            self.transition_in(tx.as_mut(), Transition::VoidAttempt).await?;
        }
        tx.commit().await?;
        Ok(Ledger { term: Some(term), ..self.clone() })
    }

    /// Fails unless our term is the last one: for what is done outside of a target transaction.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when another process has taken the lease since.
    pub async fn check_term(&self) -> Result<()> {
        self.begin_held().await?.commit().await
    }

    /// Begins a transaction in which our term stays the last one.
    ///
    /// The row is locked, not just read: another process could take the lease between the look and our commit.
    pub(super) async fn begin_held(&self) -> Result<Box<dyn Tx>> {
        let term = self.term.as_ref().ok_or_else(|| {
            Error::failed(format!("{}: a state can't be changed without the lease", self.database))
        })?;
        let mut tx = self.target.begin().await?;
        let sql = "SELECT term, nonce FROM {l}terms WHERE database_name = ?1{for share}";
        let row = one(tx.rows(sql, &[self.name()]).await?)?;
        if (integer(&row, 0)?, text(&row, 1)?) != (term.number, term.nonce.as_str()) {
            return Err(superseded(&self.database, "another process has taken the lease"));
        }
        Ok(tx)
    }

    /// Runs one statement in a transaction that holds our term.
    pub(super) async fn write_held(&self, sql: &str, args: &[Arg]) -> Result<u64> {
        let mut tx = self.begin_held().await?;
        let touched = tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(touched)
    }

    /// Ends the first copies if none is left. Returns whether it did.
    ///
    /// # Errors
    /// When the target can't be written, or the term is over.
    pub async fn end_copies(&self) -> Result<bool> {
        let mut tx = self.begin_held().await?;
        self.hold_epoch_in(tx.as_mut(), Lock::Exclusive).await?;
        let sql = "SELECT count(*), CAST(coalesce(sum(CASE WHEN state IN ('waiting', 'copying') \
                   THEN 1 ELSE 0 END), 0) AS {bigint}) \
                   FROM {l}tables WHERE database_name = ?1";
        let row = one(tx.rows(sql, &[self.name()]).await?)?;
        let over = text(&row, 0)? != "0" && text(&row, 1)? == "0";
        let (standing, _) = self.standing_in(tx.as_mut(), Lock::Exclusive).await?;
        if !over || standing.phase != Phase::Copying {
            return Ok(false);
        }
        self.transition_in(tx.as_mut(), Transition::EndCopies).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Begins the copy of a table: the first one, or with a `reason` a full resync. Its chunks are recorded, and
    /// the watermark from which it will be replayed.
    ///
    /// The watermark was taken before any chunk is read. Should we die before this commits, nothing
    /// happened; after it, the chunks are recorded, and the next start goes on with them.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when no copy may begin now.
    pub async fn begin_copy(
        &self,
        label: &str,
        reason: Option<&str>,
        start: &Watermark,
        origin: &Origin,
        chunks: &[Bounds],
    ) -> Result<TableState> {
        let transition =
            if reason.is_some() { TableTransition::BeginResync } else { TableTransition::BeginCopy };
        let mut tx = self.begin_held().await?;
        let state = self.table_transition_in(tx.as_mut(), label, transition, reason).await?;
        let table: [Arg; 2] = [self.name(), label.into()];
        let args = [table[0].clone(), table[1].clone(), start.to_text().into(), to_json(origin).into()];
        let sql = "UPDATE {l}tables SET watermark = ?3, origin = ?4 WHERE database_name = ?1 AND label = ?2";
        tx.execute(sql, &args).await?;
        for old in ["chunks", "parked"] {
            let sql = format!("DELETE FROM {{l}}{old} WHERE database_name = ?1 AND label = ?2");
            tx.execute(&sql, &table).await?;
        }
        for (number, bounds) in (0_i64..).zip(chunks) {
            let args = [table[0].clone(), table[1].clone(), number.into(), to_json(bounds).into()];
            tx.execute(
                "INSERT INTO {l}chunks (database_name, label, chunk, bounds, state, row_count, byte_count) \
                 VALUES (?1, ?2, ?3, ?4, 'waiting', 0, 0)",
                &args,
            )
            .await?;
        }
        tx.commit().await?;
        Ok(state)
    }

    /// Moves a table whose chunks are all done to replay. What depends on it and was copied before, or during,
    /// looked up rows that were not there: it is queued in the same transaction
    /// (docs/how-it-works.md, "lookups follow the state of their parent").
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when a chunk is not done, or the table was stopped meanwhile.
    pub async fn end_copy(&self, table: &TablePlan) -> Result<()> {
        let label = table.label();
        let mut tx = self.begin_held().await?;
        self.table_transition_in(tx.as_mut(), &label, TableTransition::EndCopy, None).await?;
        let sql =
            "SELECT count(*) FROM {l}chunks WHERE database_name = ?1 AND label = ?2 AND state = 'waiting'";
        let open = one(tx.rows(sql, &[self.name(), label.as_str().into()]).await?)?;
        if integer(&open, 0)? != 0 {
            return Err(superseded(&label, "its chunks are not all done"));
        }
        for dependant in &table.dependants {
            let sql = "SELECT count(*) FROM {l}tables WHERE database_name = ?1 AND label = ?2 \
                       AND watermark IS NOT NULL";
            let begun = one(tx.rows(sql, &[self.name(), dependant.label.as_str().into()]).await?)?;
            if integer(&begun, 0)? > 0 {
                owned::requeue(tx.as_mut(), &self.database, &dependant.label, &[None]).await?;
            }
        }
        tx.commit().await
    }

    /// Stops a table, for a reason.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when it may not change now.
    pub async fn stop(&self, label: &str, reason: &str) -> Result<()> {
        let mut tx = self.begin_held().await?;
        self.table_transition_in(tx.as_mut(), label, TableTransition::Stop, Some(reason)).await?;
        tx.commit().await
    }

    /// Lets a stopped table go on where it was.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when it is not stopped, or may not change now.
    pub async fn resume(&self, label: &str) -> Result<TableState> {
        let mut tx = self.begin_held().await?;
        let state = self.table_transition_in(tx.as_mut(), label, TableTransition::Resume, None).await?;
        tx.commit().await?;
        Ok(state)
    }

    /// Opens a cutover attempt, recorded here before the source hears of it. Its number is even and greater than
    /// that of both sides, so that lowering it (number + 1) comes before the next.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when none may be opened now.
    pub async fn open_attempt(&self, seen_on_source: Stamp) -> Result<Stamp> {
        let mut tx = self.begin_held().await?;
        self.hold_epoch_in(tx.as_mut(), Lock::Exclusive).await?;
        let (standing, last) = self.standing_in(tx.as_mut(), Lock::Exclusive).await?;
        standing.after(Transition::OpenAttempt)?;
        let greatest = last.attempt.max(seen_on_source.attempt);
        let stamp = Stamp { epoch: last.epoch, attempt: greatest + 2 - greatest.rem_euclid(2) };
        let args = [self.name(), stamp.attempt.into()];
        let sql = "UPDATE {l}databases SET attempt = ?2 WHERE database_name = ?1";
        tx.execute(sql, &args).await?;
        self.transition_in(tx.as_mut(), Transition::OpenAttempt).await?;
        tx.commit().await?;
        Ok(stamp)
    }

    /// Ends an attempt well: attempt and phase become final in one transaction, with the outage that it made. The
    /// tables must be just as they were when they were found to be drained (`asserted`): a target that was restored
    /// in between is not final.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when the attempt is not the last one, or was made void, or a table
    /// has changed.
    pub async fn make_final(&self, stamp: Stamp, outage_ms: u64, asserted: &[TableEntry]) -> Result<()> {
        let mut tx = self.begin_held().await?;
        self.hold_epoch_in(tx.as_mut(), Lock::Exclusive).await?;
        let (_, last) = self.standing_in(tx.as_mut(), Lock::Exclusive).await?;
        if last != stamp {
            return Err(superseded(&self.database, "the cutover attempt is not the last one"));
        }
        let found = entry::table_entries(tx.as_mut(), &self.database, None).await?;
        let is_same = |(was, is): (&TableEntry, &TableEntry)| {
            was.label == is.label && was.watermark == is.watermark && is.state == TableState::Replaying
        };
        let same = found.len() == asserted.len() && asserted.iter().zip(&found).all(is_same);
        if !same || found.iter().any(|t| t.parked + t.requeued > 0) {
            return Err(superseded(
                &self.database,
                "a table is not what it was when it was found to be drained",
            ));
        }
        self.transition_in(tx.as_mut(), Transition::Finish).await?;
        let outage = Arg::Integer(i64::try_from(outage_ms).unwrap_or(i64::MAX));
        let sql = "UPDATE {l}databases SET outage_ms = ?2 WHERE database_name = ?1";
        tx.execute(sql, &[self.name(), outage]).await?;
        self.event_in(tx.as_mut(), &format!("cutover attempt {stamp}: outage {outage_ms} ms")).await?;
        tx.commit().await
    }

    /// Makes an attempt void, and a database that is final by it replays again, in one transaction: it comes
    /// before the fence is lowered (docs/how-it-works.md, "state first, then the fence"). It takes the attempt's
    /// number only, and no term: void is final, and repeating it changes nothing. An attempt that the ledger does
    /// not know (the target was restored) is void from here on too.
    ///
    /// # Errors
    /// When the target can't be written: the fence has to stay then.
    pub async fn make_void(&self, stamp: Stamp, voidable: Voidable) -> Result<Voided> {
        let mut tx = self.target.begin().await?;
        self.hold_epoch_in(tx.as_mut(), Lock::Exclusive).await?;
        let (standing, last) = self.standing_in(tx.as_mut(), Lock::Exclusive).await?;
        if last.attempt > stamp.attempt {
            // A later attempt was opened, which made this one void.
            return Ok(Voided::Void);
        }
        if standing.attempt == AttemptState::Final && voidable == Voidable::Open {
            return Ok(Voided::Final);
        }
        let sql = "UPDATE {l}databases SET attempt = ?2, outage_ms = NULL WHERE database_name = ?1";
        tx.execute(sql, &[self.name(), stamp.attempt.into()]).await?;
        self.transition_in(tx.as_mut(), Transition::VoidAttempt).await?;
        tx.commit().await?;
        Ok(Voided::Void)
    }

    /// Changes where the database stands, with an event for what changed, once every transaction that writes
    /// rows has ended.
    pub(super) async fn transition_in(&self, tx: &mut dyn Tx, transition: Transition) -> Result<Standing> {
        self.hold_epoch_in(tx, Lock::Exclusive).await?;
        let (from, stamp) = self.standing_in(tx, Lock::Exclusive).await?;
        let to = from.after(transition)?;
        let args = [self.name(), to.phase.name().into(), to.attempt.name().into()];
        let sql = "UPDATE {l}databases SET phase = ?2, attempt_state = ?3 WHERE database_name = ?1";
        tx.execute(sql, &args).await?;
        if to.attempt != from.attempt {
            self.event_in(tx, &format!("cutover attempt {stamp}: {}", to.attempt.name())).await?;
        }
        if to.phase != from.phase {
            self.event_in(tx, &format!("phase: {}", to.phase)).await?;
        }
        Ok(to)
    }

    /// Changes the state of a table, with the epoch held, so that the phase stays what it is.
    async fn table_transition_in(
        &self,
        tx: &mut dyn Tx,
        label: &str,
        transition: TableTransition,
        reason: Option<&str>,
    ) -> Result<TableState> {
        self.hold_epoch_in(tx, Lock::Shared).await?;
        let (standing, _) = self.standing_in(tx, Lock::None).await?;
        let sql =
            "SELECT state, state_before FROM {l}tables WHERE database_name = ?1 AND label = ?2{for update}";
        let row = one(tx.rows(sql, &[self.name(), label.into()]).await?)?;
        let (from, before): (TableState, TableState) = (text(&row, 0)?.parse()?, text(&row, 1)?.parse()?);
        let to = from.after(transition, before, standing).map_err(|e| e.at(label))?;
        let before = match (from, to) {
            (TableState::Stopped, TableState::Stopped) => before,
            (_, TableState::Stopped) => from,
            _ => to,
        };
        let args = [
            self.name(),
            label.into(),
            to.name().into(),
            before.name().into(),
            Arg::Text(reason.map(str::to_string)),
            now().into(),
        ];
        let sql = "UPDATE {l}tables SET state = ?3, state_before = ?4, reason = ?5, changed_at = ?6 \
                   WHERE database_name = ?1 AND label = ?2";
        tx.execute(sql, &args).await?;
        Ok(to)
    }

    /// Holds the epoch until the transaction ends.
    async fn hold_epoch_in(&self, tx: &mut dyn Tx, lock: Lock) -> Result<()> {
        let sql = format!("SELECT epoch FROM {{l}}epochs WHERE database_name = ?1{}", lock.sql());
        one(tx.rows(&sql, &[self.name()]).await?).map(|_| ())
    }

    /// Where the database stands, and the number of its last attempt.
    async fn standing_in(&self, tx: &mut dyn Tx, lock: Lock) -> Result<(Standing, Stamp)> {
        let epoch = "SELECT epoch FROM {l}epochs WHERE database_name = ?1";
        let epoch = integer(&one(tx.rows(epoch, &[self.name()]).await?)?, 0)?;
        let sql = format!(
            "SELECT phase, attempt_state, attempt FROM {{l}}databases WHERE database_name = ?1{}",
            lock.sql()
        );
        let row = one(tx.rows(&sql, &[self.name()]).await?)?;
        let standing = Standing { phase: text(&row, 0)?.parse()?, attempt: text(&row, 1)?.parse()? };
        Ok((standing, Stamp { epoch, attempt: integer(&row, 2)? }))
    }

    fn name(&self) -> Arg {
        self.database.as_str().into()
    }
}

/// How a row is locked until the transaction ends.
#[derive(Clone, Copy)]
enum Lock {
    None,
    Shared,
    Exclusive,
}

impl Lock {
    fn sql(self) -> &'static str {
        match self {
            Lock::None => "",
            Lock::Shared => "{for share}",
            Lock::Exclusive => "{for update}",
        }
    }
}
