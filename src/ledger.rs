//! The ledger: highwater's own tables on the target.
//!
//! Everything that must survive the process stands here, and what belongs to a table's rows is
//! written in the transaction that writes the rows: see [`guard`] and [`advance`], which every such
//! transaction calls first and last.

mod act;
mod entry;
mod handover;
pub mod owned;
mod point;
mod transition;
mod upgrade;

use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use sha2::{Digest, Sha256};

use crate::engine::{Arg, Definition, Identity, Record, Stamp, Target, Tx};
use crate::error::{Error, Kind, Result};
use crate::model::{Key, TablePlan};
use crate::state::{Phase, Term};

pub use crate::state::AttemptState;
pub use act::{Act, Guarded, Step, advance, forget_parked, guard, hold_epoch, parked_hashes, record_parked};
pub use entry::{Attempt, Chunk, Entry, Event, Exempt, Parked, TableEntry};
pub use point::Nonce;
pub use transition::{Voidable, Voided};
pub use upgrade::{ScriptEntry, ScriptState};

/// The version of the ledger's tables. Another one is refused.
pub const VERSION: i64 = 5;

/// The portable statements that make the ledger's tables; `{text}` is the type of long texts.
pub fn tables() -> impl Iterator<Item = String> {
    let lines = include_str!("../sql/ledger/tables.sql").lines().filter(|line| !line.starts_with("--"));
    let statements = lines.collect::<Vec<_>>().join("\n");
    let statements: Vec<String> = statements.split(';').map(|s| s.trim().to_string()).collect();
    statements.into_iter().filter(|statement| !statement.is_empty())
}

/// Who does what the ledger records.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The operator's user name.
    pub name: String,
    /// The machine.
    pub host: String,
    /// The hash of the settings in force.
    pub settings: String,
    /// What is being run: `run`, `copy`, `final-sync`.
    pub command: String,
}

impl Actor {
    /// The user of this process on this machine, running `command` under settings with that hash.
    pub fn here(command: &str, settings: &str) -> Self {
        let name = ["USER", "LOGNAME"].iter().find_map(|v| std::env::var(v).ok()).or_else(user_number);
        let host = std::fs::read_to_string("/etc/hostname").ok().map(|h| h.trim().to_string());
        Actor {
            name: name.unwrap_or_else(|| "unknown".to_string()),
            host: host.filter(|h| !h.is_empty()).unwrap_or_else(|| "unknown".to_string()),
            settings: settings.to_string(),
            command: command.to_string(),
        }
    }

    /// As the holder of a lease is shown.
    pub fn holder(&self) -> String {
        format!("{} on {} by {}, process {}", self.command, self.host, self.name, std::process::id())
    }
}

/// Who owns this process, where its environment has no name for it, as in a container.
fn user_number() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").ok().map(|process| format!("uid {}", process.uid()))
}

/// The ledger of one database.
#[derive(Clone)]
pub struct Ledger {
    target: Arc<dyn Target>,
    database: String,
    actor: Actor,
    /// Our term of the lease; `None` as long as this process does not hold it.
    term: Option<Term>,
}

impl Ledger {
    /// Opens the ledger for writing, making it where it is missing.
    ///
    /// # Errors
    /// [`Kind::Foreign`] when another version of highwater made it.
    pub async fn open(
        target: Arc<dyn Target>,
        migration: &str,
        database: &str,
        actor: Actor,
    ) -> Result<Self> {
        target.make_ledger().await?;
        let ledger = Ledger { target, database: database.to_string(), actor, term: None };
        let mut tx = ledger.target.begin().await?;
        if tx.rows("SELECT version FROM {l}ledger", &[]).await?.is_empty() {
            let args = [VERSION.into(), migration.into(), now().into()];
            tx.execute("INSERT INTO {l}ledger (version, migration, made_at) VALUES (?1, ?2, ?3)", &args)
                .await?;
        }
        check_version(tx.as_mut()).await?;
        let name: Arg = database.into();
        let known = "SELECT epoch FROM {l}epochs WHERE database_name = ?1";
        if tx.rows(known, std::slice::from_ref(&name)).await?.is_empty() {
            let epoch = "INSERT INTO {l}epochs (database_name, epoch) VALUES (?1, 0)";
            tx.execute(epoch, std::slice::from_ref(&name)).await?;
            let term = "INSERT INTO {l}terms (database_name, term, nonce) VALUES (?1, 0, '')";
            tx.execute(term, std::slice::from_ref(&name)).await?;
            let row = "INSERT INTO {l}databases (database_name, phase, attempt, attempt_state, as_of) \
                       VALUES (?1, 'copying', 0, 'void', ?2)";
            tx.execute(row, &[name, now().into()]).await?;
        }
        tx.commit().await?;
        Ok(ledger)
    }

    /// Opens the ledger for reading; `None` where nothing of this database is there.
    ///
    /// # Errors
    /// [`Kind::Foreign`] when another version of highwater made it.
    pub async fn peek(target: Arc<dyn Target>, database: &str, actor: Actor) -> Result<Option<Self>> {
        if !target.has_ledger().await? {
            return Ok(None);
        }
        let ledger = Ledger { target, database: database.to_string(), actor, term: None };
        let mut tx = ledger.target.begin().await?;
        check_version(tx.as_mut()).await?;
        let known =
            tx.rows("SELECT epoch FROM {l}epochs WHERE database_name = ?1", &[database.into()]).await?;
        tx.commit().await?;
        Ok((!known.is_empty()).then_some(ledger))
    }

    /// All that the ledger says of the database.
    ///
    /// # Errors
    /// When the target can't be read.
    pub async fn read(&self) -> Result<Entry> {
        let mut tx = self.target.begin().await?;
        let name: [Arg; 1] = [self.database.as_str().into()];
        let epoch = one(tx.rows("SELECT epoch FROM {l}epochs WHERE database_name = ?1", &name).await?)?;
        let epoch = integer(&epoch, 0)?;
        let row = one(tx
            .rows(
                "SELECT d.phase, d.identity, d.plan_hash, t.holder, t.held_since, d.request, d.requested_at, \
                 d.attempt, d.attempt_state, d.as_of, d.upgraded_at, d.log_held_at, d.left_out, d.point_at, \
                 d.outage_ms FROM {l}databases d JOIN {l}terms t ON t.database_name = d.database_name \
                 WHERE d.database_name = ?1",
                &name,
            )
            .await?)?;
        let tables = entry::table_entries(tx.as_mut(), &self.database, None).await?;
        let phase: Phase = text(&row, 0)?.parse()?;
        let attempt: AttemptState = text(&row, 8)?.parse()?;
        let since = "SELECT max(happened_at) FROM {l}events WHERE database_name = ?1 AND event = ?2";
        let event = format!("phase: {phase}");
        let since = tx.rows(since, &[name[0].clone(), event.into()]).await?;
        tx.commit().await?;
        let text = |i: usize| row.get(i).cloned().flatten();
        Ok(Entry {
            epoch,
            phase,
            phase_since: since.first().and_then(|row| row.first().cloned().flatten()),
            identity: text(1).map(|json| from_json(&json)).transpose()?,
            plan_hash: text(2),
            holder: text(3).zip(text(4)),
            as_of: text(9).unwrap_or_default(),
            upgraded_at: text(10),
            log_held_at: text(11),
            left_out: text(12).map_or(Ok(Vec::new()), |json| from_json(&json))?,
            point_at: text(13),
            outage_ms: integer(&row, 14).ok().map(i64::unsigned_abs),
            request: text(5).zip(integer(&row, 6).ok()),
            attempt: Attempt { stamp: Stamp { epoch, attempt: integer(&row, 7)? }, state: attempt },
            tables,
        })
    }

    /// What the ledger says of one table.
    ///
    /// # Errors
    /// When the target can't be read.
    pub async fn table(&self, label: &str) -> Result<Option<TableEntry>> {
        let mut tx = self.target.begin().await?;
        let entries = entry::table_entries(tx.as_mut(), &self.database, Some(label)).await?;
        tx.commit().await?;
        Ok(entries.into_iter().next())
    }

    /// Records an event, in a transaction of its own.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn event(&self, what: &str) -> Result<()> {
        let mut tx = self.target.begin().await?;
        self.event_in(tx.as_mut(), what).await?;
        tx.commit().await
    }

    async fn event_in(&self, tx: &mut dyn Tx, what: &str) -> Result<()> {
        // Processes without the lease add events too: a number would be given out twice.
        let id = hex::encode(rand::random::<[u8; 16]>());
        let args = [
            id.into(),
            now().into(),
            self.database.as_str().into(),
            self.actor.name.as_str().into(),
            self.actor.host.as_str().into(),
            env!("CARGO_PKG_VERSION").into(),
            self.actor.settings.as_str().into(),
            what.into(),
        ];
        tx.execute(
            "INSERT INTO {l}events (id, happened_at, database_name, actor, host, version, settings, event) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            &args,
        )
        .await?;
        Ok(())
    }

    /// The events of the database, oldest first.
    ///
    /// # Errors
    /// When the target can't be read.
    pub async fn events(&self) -> Result<Vec<Event>> {
        let rows = self
            .query(
                "SELECT happened_at, actor, host, event FROM {l}events WHERE database_name = ?1 \
                 ORDER BY happened_at",
                &[self.database.as_str().into()],
            )
            .await?;
        let text = |row: &Record, i: usize| row.get(i).cloned().flatten().unwrap_or_default();
        Ok(rows
            .iter()
            .map(|r| Event { at: text(r, 0), by: format!("{}@{}", text(r, 1), text(r, 2)), what: text(r, 3) })
            .collect())
    }

    async fn query(&self, sql: &str, args: &[Arg]) -> Result<Vec<Record>> {
        let mut tx = self.target.begin().await?;
        let rows = tx.rows(sql, args).await?;
        tx.commit().await?;
        Ok(rows)
    }

    async fn write(&self, sql: &str, args: &[Arg]) -> Result<u64> {
        let mut tx = self.target.begin().await?;
        let touched = tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(touched)
    }

    /// Sets the instant that `:as_of` means, for a database that nothing was planned for under the ledger:
    /// the plan that is about to be carried out was made under `as_of`.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn begin_as_of(&self, as_of: &str) -> Result<()> {
        let sql = "UPDATE {l}databases SET as_of = ?2 WHERE database_name = ?1 AND identity IS NULL";
        self.write_held(sql, &[self.database.as_str().into(), as_of.into()]).await?;
        Ok(())
    }

    /// Records the source this database is copied from, the plan, and its tables (new ones waiting).
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn register(&self, identity: &Identity, plan_hash: &str, tables: &[TablePlan]) -> Result<()> {
        let mut tx = self.begin_held().await?;
        let args = [self.database.as_str().into(), to_json(identity).into(), plan_hash.into()];
        tx.execute("UPDATE {l}databases SET identity = ?2, plan_hash = ?3 WHERE database_name = ?1", &args)
            .await?;
        for table in tables {
            let args: [Arg; 5] = [
                self.database.as_str().into(),
                table.label().into(),
                table.target.to_string().into(),
                now().into(),
                to_json(table).into(),
            ];
            let known = "UPDATE {l}tables SET target = ?3, plan_json = ?5 \
                         WHERE database_name = ?1 AND label = ?2";
            if tx.execute(known, &args).await? == 0 {
                tx.execute(
                    "INSERT INTO {l}tables (database_name, label, target, state, state_before, changed_at, \
                     plan_json) VALUES (?1, ?2, ?3, 'waiting', 'waiting', ?4, ?5)",
                    &args,
                )
                .await?;
            }
        }
        tx.commit().await
    }

    /// Forgets a table that the settings exclude now.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn forget(&self, label: &str) -> Result<()> {
        let mut tx = self.begin_held().await?;
        self.forget_in(tx.as_mut(), label).await?;
        tx.commit().await
    }

    async fn forget_in(&self, tx: &mut dyn Tx, label: &str) -> Result<()> {
        let mut forgotten = 0;
        for table in ["chunks", "parked", "native", "removed", "requeued", "tables"] {
            let sql = format!("DELETE FROM {{l}}{table} WHERE database_name = ?1 AND label = ?2");
            forgotten += tx.execute(&sql, &[self.database.as_str().into(), label.into()]).await?;
        }
        if forgotten > 0 {
            self.event_in(tx, &format!("{label}: excluded by the settings, forgotten")).await?;
        }
        Ok(())
    }

    /// The chunks of a table that are not done.
    ///
    /// # Errors
    /// When the target can't be read.
    pub async fn waiting_chunks(&self, label: &str) -> Result<Vec<Chunk>> {
        let rows = self
            .query(
                "SELECT chunk, bounds FROM {l}chunks WHERE database_name = ?1 AND label = ?2 \
                 AND state = 'waiting' ORDER BY chunk",
                &[self.database.as_str().into(), label.into()],
            )
            .await?;
        rows.iter()
            .map(|row| Ok(Chunk { number: integer(row, 0)?, bounds: from_json(text(row, 1)?)? }))
            .collect()
    }

    /// Some parked keys of a table, oldest first.
    ///
    /// # Errors
    /// When the target can't be read.
    pub async fn parked(&self, label: &str, most: i64) -> Result<Vec<Parked>> {
        let rows = self
            .query(
                "SELECT key_json, reason, since FROM {l}parked WHERE database_name = ?1 AND label = ?2 \
                 ORDER BY since, key_hash LIMIT ?3",
                &[self.database.as_str().into(), label.into(), most.into()],
            )
            .await?;
        rows.iter()
            .map(|r| {
                Ok(Parked {
                    key: from_json(text(r, 0)?)?,
                    reason: text(r, 1)?.into(),
                    since: text(r, 2)?.into(),
                })
            })
            .collect()
    }

    /// Some of the parked keys of a table: others each time where there are more.
    ///
    /// # Errors
    /// When the target can't be read.
    pub async fn parked_to_try(&self, label: &str, most: i64) -> Result<Vec<Key>> {
        // Hashes are hexadecimal: what is behind any two digits, then what is before them.
        let from = hex::encode([rand::random::<u8>()]);
        let sql = "SELECT key_json FROM {l}parked WHERE database_name = ?1 AND label = ?2 \
                   ORDER BY CASE WHEN key_hash >= ?3 THEN 0 ELSE 1 END, key_hash LIMIT ?4";
        let args = [self.database.as_str().into(), label.into(), from.into(), most.into()];
        self.query(sql, &args).await?.iter().map(|row| from_json(text(row, 0)?)).collect()
    }

    /// Keeps definitions that are to be made later.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn keep_definitions(&self, definitions: &[Definition]) -> Result<()> {
        let mut tx = self.begin_held().await?;
        let name: Arg = self.database.as_str().into();
        let old = "DELETE FROM {l}definitions WHERE database_name = ?1";
        tx.execute(old, std::slice::from_ref(&name)).await?;
        for (ordinal, definition) in (0_i64..).zip(definitions) {
            tx.execute(
                "INSERT INTO {l}definitions (database_name, ordinal, definition, done) VALUES (?1, ?2, ?3, 0)",
                &[name.clone(), ordinal.into(), to_json(definition).into()],
            )
            .await?;
        }
        tx.commit().await
    }

    /// The definitions that are still to be made, with their numbers, in order.
    ///
    /// # Errors
    /// When the target can't be read.
    pub async fn open_definitions(&self) -> Result<Vec<(i64, Definition)>> {
        let rows = self
            .query(
                "SELECT ordinal, definition FROM {l}definitions WHERE database_name = ?1 AND done = 0 \
                 ORDER BY ordinal",
                &[self.database.as_str().into()],
            )
            .await?;
        rows.iter().map(|r| Ok((integer(r, 0)?, from_json(text(r, 1)?)?))).collect()
    }

    /// Marks a definition as made. Dying before this makes it again, which is harmless.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn definition_made(&self, ordinal: i64) -> Result<()> {
        let sql = "UPDATE {l}definitions SET done = 1 WHERE database_name = ?1 AND ordinal = ?2";
        self.write_held(sql, &[self.database.as_str().into(), ordinal.into()]).await?;
        Ok(())
    }

    /// Who writes it.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The database this ledger is about.
    pub fn database(&self) -> &str {
        &self.database
    }
}

async fn check_version(tx: &mut dyn Tx) -> Result<()> {
    let rows = tx.rows("SELECT version FROM {l}ledger", &[]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    match integer(row, 0)? {
        VERSION => Ok(()),
        other => Err(Error::foreign(format!(
            "the ledger on the target has version {other}; this highwater works with version {VERSION}"
        ))
        .remedy("use the highwater that made it, or remove it with that one's `clean`")),
    }
}

fn superseded(what: &str, why: &str) -> Error {
    Error::new(Kind::Superseded, format!("{what}: {why}; it is read again"))
}

fn key_hash(key: &Key) -> String {
    hex::encode(Sha256::digest(to_json(key).as_bytes()))
}

/// Now, as the ledger writes it: `2026-01-31T12:00:00.000000Z`.
pub(crate) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn one(rows: Vec<Record>) -> Result<Record> {
    rows.into_iter().next().ok_or_else(|| {
        Error::new(Kind::Superseded, "the ledger on the target has lost a row that was there")
            .remedy("was the target restored, or cleaned by somebody else?")
    })
}

fn text(row: &Record, i: usize) -> Result<&str> {
    row.get(i)
        .and_then(Option::as_deref)
        .ok_or_else(|| Error::failed("the ledger on the target holds a NULL where it must not"))
}

fn integer(row: &Record, i: usize) -> Result<i64> {
    let text = text(row, i)?;
    text.parse().map_err(|e| Error::failed(format!("`{text}` in the ledger is not a number")).because(e))
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    // Only maps with keys that are no text can fail, and none of ours are.
    serde_json::to_string(value).unwrap_or_default()
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|e| Error::failed(format!("`{text}` in the ledger can't be read")).because(e))
}
