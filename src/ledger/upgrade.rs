//! The upgrade of the target's schema: its phase, its scripts, and what follows when it is done.

use sha2::{Digest, Sha256};

use super::{Ledger, from_json, integer, now, one, superseded, text, to_json};
use crate::engine::{Arg, Origin, Record, Script, Tx};
use crate::error::Result;
use crate::model::{Extent, Plan, TablePlan};
use crate::state::{Phase, Transition};

/// How a script stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptState {
    /// Its next statement may be begun.
    Open,
    /// Its next statement was begun, and may or may not have taken effect.
    Running,
    /// All of it has run.
    Done,
}

impl ScriptState {
    fn name(self) -> &'static str {
        match self {
            ScriptState::Open => "open",
            ScriptState::Running => "running",
            ScriptState::Done => "done",
        }
    }
}

/// What the ledger says of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptEntry {
    /// Its place among the scripts, from 1.
    pub ordinal: i64,
    /// Where it was found.
    pub path: String,
    /// Identifies the text of what has run: of all of it once it is done.
    pub checksum: String,
    /// How it stands.
    pub state: ScriptState,
    /// How many of its statements are done.
    pub statements: i64,
    /// When it was begun.
    pub begun_at: String,
    /// When it was done.
    pub ended_at: Option<String>,
}

impl ScriptEntry {
    /// The checksum of a text.
    pub fn checksum_of(text: &str) -> String {
        hex::encode(Sha256::digest(text.as_bytes()))
    }

    fn read(row: &Record) -> Result<Self> {
        Ok(ScriptEntry {
            ordinal: integer(row, 0)?,
            path: text(row, 1)?.to_string(),
            checksum: text(row, 2)?.to_string(),
            state: match text(row, 3)? {
                "done" => ScriptState::Done,
                "running" => ScriptState::Running,
                _ => ScriptState::Open,
            },
            statements: integer(row, 4)?,
            begun_at: text(row, 5)?.to_string(),
            ended_at: row.get(6).cloned().flatten(),
        })
    }
}

const INSERT_SCRIPT: &str = "INSERT INTO {l}scripts (database_name, ordinal, path, checksum, state, statements, \
                             begun_at, ended_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const UPDATE_SCRIPT: &str = "UPDATE {l}scripts SET path = ?3, checksum = ?4, state = ?5, statements = ?6, \
                             begun_at = ?7, ended_at = ?8 WHERE database_name = ?1 AND ordinal = ?2";

impl Ledger {
    /// The scripts that were begun, in their order.
    ///
    /// # Errors
    /// When the target can't be read.
    pub async fn scripts(&self) -> Result<Vec<ScriptEntry>> {
        let sql = "SELECT ordinal, path, checksum, state, statements, begun_at, ended_at FROM {l}scripts \
                   WHERE database_name = ?1 ORDER BY ordinal";
        let rows = self.query(sql, &[self.database.as_str().into()]).await?;
        rows.iter().map(ScriptEntry::read).collect()
    }

    fn script_args(&self, entry: &ScriptEntry) -> [Arg; 8] {
        [
            self.database.as_str().into(),
            entry.ordinal.into(),
            entry.path.as_str().into(),
            entry.checksum.as_str().into(),
            entry.state.name().into(),
            entry.statements.into(),
            entry.begun_at.as_str().into(),
            entry.ended_at.clone().into(),
        ]
    }

    /// Records how a script stands, in the session and transaction that runs it.
    ///
    /// # Errors
    /// When the session can't write the ledger.
    pub async fn record_script_in(&self, session: &mut dyn Script, entry: &ScriptEntry) -> Result<()> {
        let args = self.script_args(entry);
        if session.record(UPDATE_SCRIPT, &args).await? == 0 {
            session.record(INSERT_SCRIPT, &args).await?;
        }
        Ok(())
    }

    /// Records how a script stands, in a transaction of its own.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn record_script(&self, entry: &ScriptEntry) -> Result<()> {
        let args = self.script_args(entry);
        let mut tx = self.target.begin().await?;
        if tx.execute(UPDATE_SCRIPT, &args).await? == 0 {
            tx.execute(INSERT_SCRIPT, &args).await?;
        }
        tx.commit().await
    }

    /// Begins the upgrade, once every transaction that writes rows has ended; with `hold` nothing is
    /// purged from the change log until it is released.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn begin_upgrade(&self, hold: bool) -> Result<()> {
        let mut tx = self.begin_held().await?;
        self.transition_in(tx.as_mut(), Transition::BeginUpgrade).await?;
        let former = "UPDATE {l}tables SET paused = NULL WHERE database_name = ?1";
        tx.execute(former, &[self.database.as_str().into()]).await?;
        if hold {
            self.hold_in(tx.as_mut(), true).await?;
        }
        tx.commit().await
    }

    /// Begins a transaction that holds our term and the phase *upgrading*: what an upgrade did to rows is recorded
    /// in no other one. A record that came after a restore of the target would drop production's rows.
    ///
    /// # Errors
    /// [`Kind::Superseded`](crate::error::Kind) when the schema is not being upgraded, or not by us.
    pub async fn begin_upgrading(&self) -> Result<Box<dyn Tx>> {
        let mut tx = self.begin_held().await?;
        let sql = "SELECT epoch FROM {l}epochs WHERE database_name = ?1{for share}";
        one(tx.rows(sql, &[self.database.as_str().into()]).await?)?;
        let sql = "SELECT phase FROM {l}databases WHERE database_name = ?1";
        let row = one(tx.rows(sql, &[self.database.as_str().into()]).await?)?;
        match text(&row, 0)?.parse()? {
            Phase::Upgrading => Ok(tx),
            _ => Err(superseded(&self.database, "its schema is not being upgraded")),
        }
    }

    /// Records what there was of a table's log when replay was paused.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn set_paused(&self, label: &str, extent: &Extent) -> Result<()> {
        let sql = "UPDATE {l}tables SET paused = ?3 WHERE database_name = ?1 AND label = ?2";
        self.write_held(sql, &[self.database.as_str().into(), label.into(), to_json(extent).into()]).await?;
        Ok(())
    }

    /// Records what identifies the rows of a keyless table before the upgrade.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn set_baseline(&self, label: &str, baseline: Option<String>) -> Result<()> {
        let sql = "UPDATE {l}tables SET baseline = ?3 WHERE database_name = ?1 AND label = ?2";
        self.write_held(sql, &[self.database.as_str().into(), label.into(), baseline.into()]).await?;
        Ok(())
    }

    /// Holds the change log, or releases it.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn hold_log(&self, hold: bool) -> Result<()> {
        let mut tx = self.begin_held().await?;
        self.hold_in(tx.as_mut(), hold).await?;
        tx.commit().await
    }

    async fn hold_in(&self, tx: &mut dyn Tx, hold: bool) -> Result<()> {
        let sql = "UPDATE {l}databases SET log_held_at = ?2 WHERE database_name = ?1 \
                   AND (log_held_at IS NULL) = (?2 IS NOT NULL)";
        let at = Arg::Text(hold.then(now));
        if tx.execute(sql, &[self.database.as_str().into(), at]).await? == 1 {
            let what = if hold { "the change log is held" } else { "the change log is released" };
            self.event_in(tx, what).await?;
        }
        Ok(())
    }

    /// Ends the upgrade in one step: the plans are kept, what is copied counts as copied under them, the tables
    /// that the settings exclude (`left_out`) are forgotten and noted, and the database replays, or copies where
    /// nothing was `copied`.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn end_upgrade(&self, plan: &Plan, left_out: &[String], copied: bool) -> Result<()> {
        let home = self.target.home().await?;
        let mut tx = self.begin_held().await?;
        self.transition_in(tx.as_mut(), Transition::EndUpgrade { copied }).await?;
        for table in &plan.tables {
            self.rebase_in(tx.as_mut(), table, None).await?;
        }
        for label in left_out {
            self.forget_in(tx.as_mut(), label).await?;
        }
        let sql = "UPDATE {l}databases SET plan_hash = ?2, upgraded_at = ?3, left_out = ?4 WHERE database_name = ?1";
        let args = [
            self.database.as_str().into(),
            plan.hash.as_str().into(),
            now().into(),
            to_json(&left_out).into(),
        ];
        tx.execute(sql, &args).await?;
        tx.execute("UPDATE {l}ledger SET home = ?1", &[home.into()]).await?;
        self.event_in(tx.as_mut(), "the schema is upgraded").await?;
        tx.commit().await
    }

    /// Notices that the ledger came along with a restore of the target, whose tables are other ones then:
    /// what was copied under the same decision counts as copied. Returns whether it did.
    ///
    /// # Errors
    /// When the target can't be written.
    pub async fn notice_restore(&self, tables: &[TablePlan]) -> Result<bool> {
        let home = self.target.home().await?;
        let mut tx = self.begin_held().await?;
        let known = one(tx.rows("SELECT home FROM {l}ledger", &[]).await?)?;
        let known = known.first().cloned().flatten();
        let is_restored = known.as_ref().is_some_and(|known| *known != home);
        if is_restored {
            for table in tables {
                let kept = self.kept_in(tx.as_mut(), &table.label()).await?;
                if let Some(kept) = kept.filter(|kept| kept.decision() == table.decision()) {
                    self.rebase_in(tx.as_mut(), table, Some(&kept.shape())).await?;
                }
            }
            let what = "the ledger came with a restore of the target: its tables are taken as they are, and \
                        what production has written since is replayed";
            self.event_in(tx.as_mut(), what).await?;
        }
        if known.as_ref() != Some(&home) {
            tx.execute("UPDATE {l}ledger SET home = ?1", &[home.into()]).await?;
        }
        tx.commit().await?;
        Ok(is_restored)
    }

    /// Has what is copied of a table count as copied under `plan`; if `only` is given, just if it was copied
    /// under that shape.
    async fn rebase_in(&self, tx: &mut dyn Tx, plan: &TablePlan, only: Option<&str>) -> Result<()> {
        let name: [Arg; 2] = [self.database.as_str().into(), plan.label().into()];
        let sql = "SELECT origin FROM {l}tables WHERE database_name = ?1 AND label = ?2{for update}";
        let rows = tx.rows(sql, &name).await?;
        let Some(origin) = rows.first().and_then(|row| row.first().cloned().flatten()) else { return Ok(()) };
        let mut origin: Origin = from_json(&origin)?;
        if only.is_some_and(|only| only != origin.shape) {
            return Ok(());
        }
        origin.shape = plan.shape();
        let [database, label] = name;
        let args =
            [database, label, to_json(&origin).into(), to_json(plan).into(), plan.target.to_string().into()];
        let sql = "UPDATE {l}tables SET origin = ?3, plan_json = ?4, target = ?5 \
                   WHERE database_name = ?1 AND label = ?2";
        tx.execute(sql, &args).await?;
        Ok(())
    }

    async fn kept_in(&self, tx: &mut dyn Tx, label: &str) -> Result<Option<TablePlan>> {
        let sql = "SELECT plan_json FROM {l}tables WHERE database_name = ?1 AND label = ?2";
        let rows = tx.rows(sql, &[self.database.as_str().into(), label.into()]).await?;
        let json = rows.first().and_then(|row| row.first().cloned().flatten());
        json.as_deref().map(from_json).transpose()
    }

    /// The plans that were carried out last, of the tables that have any.
    ///
    /// # Errors
    /// When the target can't be read.
    pub async fn kept_plans(&self) -> Result<Vec<TablePlan>> {
        let sql = "SELECT plan_json FROM {l}tables WHERE database_name = ?1 AND plan_json IS NOT NULL \
                   ORDER BY label";
        let rows = self.query(sql, &[self.database.as_str().into()]).await?;
        rows.iter().map(|row| from_json(text(row, 0)?)).collect()
    }
}
