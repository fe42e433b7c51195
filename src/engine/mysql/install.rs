//! Putting capture and fence on.
//!
//! DDL commits by itself, so nothing here is one transaction; the order makes it safe to die anywhere:
//!
//! 1. The generation of every table whose log may have missed something is emptied: its own capture is not
//!    in force, or that of a table from which foreign keys' actions lead to it. From here on the table
//!    counts as not captured.
//! 2. Logs and triggers are made. A log that fits is kept, whatever was missing: its numbers must go on. A
//!    trigger is made when its log is there, and a log is dropped when its triggers are gone.
//! 3. Making a trigger has waited for each transaction that had used the table, by its metadata lock; those
//!    that are prepared (XA) may hold none, so they are waited for here.
//! 4. The tables get new generations. Whoever dies before this leaves tables without one, and the next
//!    start goes on at 2, where what is there already is left alone.

use std::collections::{BTreeMap, BTreeSet};

use super::capture::{self, Subject, Trigger};
use super::cascade::Graph;
use super::facts::{self, Facts};
use super::fence;
use super::inspect::Outlook;
use super::lock::{Locking, PAUSE};
use super::names::Names;
use super::session::{Session, number, text};
use super::source::Inner;
use super::value::{join, literal, quote};
use super::writers;
use crate::error::{Error, Kind, Result};
use crate::model::Plan;

/// How often is looked whether prepared transactions have ended.
const LOOKS: u32 = 60;

/// How many notes are forgotten at once.
const AT_ONCE: usize = 5_000;

const END_PREPARED: &str = "commit them or roll them back (XA RECOVER lists them), then it goes on";

/// Installs what is missing. See [`crate::engine::Source::install`].
pub(super) async fn install(
    source: &Inner,
    plan: &Plan,
    report: &(dyn for<'a> Fn(&'a str) + Send + Sync),
) -> Result<Vec<(String, Result<String>)>> {
    let mut work = Work::begin(source, plan).await?;
    work.empty_generations().await?;
    for number in 0..work.subjects.len() {
        report(&work.subjects[number].label());
        if work.faulty.contains(&number) {
            work.settle(number).await?;
        }
    }
    work.forget_others().await?;
    work.register().await?;
    let outcome = work.outcome().await?;
    drop(work);
    Ok(outcome)
}

/// Refuses what another version of highwater installed, and a copy of the source.
pub(super) fn check_meta(place: &str, names: &Names, meta: &facts::Meta) -> Result<()> {
    if meta.version != capture::VERSION {
        return Err(Error::foreign(format!(
            "{place}: its capture has version {}; this highwater works with version {}",
            meta.version,
            capture::VERSION
        ))
        .remedy("use the highwater that installed it, or remove it with that one's `clean`"));
    }
    if !meta.here {
        return Err(Error::foreign(format!(
            "{place}: its capture was installed on {}: this server is a copy of that one, or it was moved",
            meta.server
        ))
        .remedy(format!(
            "if it is a copy, point `source` at the original; if it was moved, run: UPDATE {} SET server = \
             LEFT({}, 255) WHERE database_name = {}",
            names.own("meta"),
            super::catalog::SELF,
            names.database_literal()
        )));
    }
    Ok(())
}

struct Work<'a> {
    source: &'a Inner,
    locking: Locking<'a>,
    facts: Facts,
    graph: Graph,
    subjects: Vec<Subject<'a>>,
    /// Those whose own capture or fence is not in force.
    faulty: BTreeSet<usize>,
    /// Why a table could not be done.
    failed: BTreeMap<String, Error>,
}

impl<'a> Work<'a> {
    /// Makes what all tables share, and looks at everything.
    async fn begin(source: &'a Inner, plan: &'a Plan) -> Result<Self> {
        let mut locking = Locking::open(&source.server, source.lock_timeout).await?;
        let session = &mut locking.session;
        base(source, session).await?;
        let mut facts = Facts::read(session, &source.names, source.server.flavour).await?;
        facts.planned = source.planned();
        let graph = facts::graph(session, &source.names, source.server.flavour).await?;
        let subjects = capture::subjects(&source.names, plan, &graph);
        facts.look_closer(session, subjects.iter().flat_map(|s| &s.triggers)).await?;
        let outlook = Outlook { names: &source.names, facts: &facts, grants: None };
        let is_faulty = |subject: &Subject| outlook.fault(subject).is_some();
        let faulty = (0..subjects.len()).filter(|n| is_faulty(&subjects[*n])).collect();
        Ok(Work { source, locking, facts, graph, subjects, faulty, failed: BTreeMap::new() })
    }

    fn names(&self) -> &'a Names {
        &self.source.names
    }

    /// The first step: from here on the tables count as not captured.
    async fn empty_generations(&mut self) -> Result<()> {
        let mut tables: BTreeSet<String> = BTreeSet::new();
        for number in &self.faulty {
            let subject = &self.subjects[*number];
            let missing = self.missing(subject);
            tables.insert(subject.table.clone());
            if missing.iter().any(|trigger| subject.hands_on(trigger, &self.graph)) {
                tables.extend(self.touched_by(subject));
            }
        }
        if tables.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE {} SET generation = '' WHERE database_name = {} AND table_name IN ({})",
            self.names().own("tables"),
            self.names().database_literal(),
            join(tables.iter().map(String::as_str).map(literal), ", ")
        );
        self.locking.session.execute(sql).await.map(|_| ())
    }

    /// The tables of this database that the actions of foreign keys lead to from a table.
    fn touched_by(&self, subject: &Subject) -> BTreeSet<String> {
        let place = (self.names().database.clone(), subject.table.clone());
        let touched = self.graph.descendants(&place).into_iter();
        touched.filter(|(database, _)| database == &self.names().database).map(|(_, table)| table).collect()
    }

    fn missing(&self, subject: &Subject) -> Vec<Trigger> {
        let is_wrong = |wanted: &&Trigger| self.facts.trigger_fault(wanted).is_some();
        subject.triggers.iter().filter(is_wrong).cloned().collect()
    }

    /// Makes log and triggers of one table. The error means that the connection is gone.
    async fn settle(&mut self, number: usize) -> Result<()> {
        let done = match &self.subjects[number].refusal {
            Some(refusal) => Err(Error::table(refusal.clone())),
            None => self.make(number).await,
        };
        match done {
            Err(error) if error.kind() == Kind::Unavailable => Err(error),
            Err(error) => {
                self.failed.insert(self.subjects[number].label(), error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn make(&mut self, number: usize) -> Result<()> {
        let names = self.names();
        let subject = &self.subjects[number];
        let table = subject.table.clone();
        if !self.facts.tables.contains_key(&table) {
            // A view, or a table that was dropped; what stops a captured one is told by the outcome.
            return Ok(());
        }
        let outlook = Outlook { names, facts: &self.facts, grants: None };
        if let Some(stop) = outlook.shape_fault(subject) {
            return Err(Error::table(stop));
        }
        let wanted: BTreeSet<&str> = subject.triggers.iter().map(|t| t.name.as_str()).collect();
        let log_fits = outlook.log_fault(subject).is_none();
        let mut missing = self.missing(subject);
        let own = || self.facts.own_triggers(names, &table);
        let mut doomed: Vec<Trigger> = own().filter(|t| !wanted.contains(t.name.as_str())).cloned().collect();
        let mut statements = Vec::new();
        if let (Some(plan), false) = (subject.plan, log_fits) {
            doomed = own().cloned().collect();
            missing.clone_from(&subject.triggers);
            // A new log begins its numbers again.
            statements.push(format!(
                "UPDATE {} SET purged_to = 0 WHERE database_name = {} AND table_name = {}",
                names.own("tables"),
                names.database_literal(),
                literal(&table)
            ));
            statements.push(format!("DROP TABLE IF EXISTS {}", names.log(&plan.source.name)));
            statements.push(capture::log(names, plan));
            // While a fence stands no log is without it.
            if let Some(state) = self.facts.fence.filter(fence::State::is_up) {
                let log = names.log_name(&table);
                statements.push(capture::fence_trigger(names, &log, state.raised.attempt).create());
            }
        }
        for trigger in &doomed {
            self.locking.run(&trigger.remove(), &trigger.database, &table).await?;
        }
        for statement in statements {
            self.locking.session.execute(statement).await?;
        }
        for trigger in missing {
            self.locking.run(&trigger.remove(), &trigger.database, &table).await?;
            self.locking.run(&trigger.create(), &trigger.database, &table).await?;
        }
        Ok(())
    }

    /// Removes what is registered of tables that are not captured any more: their triggers are gone.
    async fn forget_others(&mut self) -> Result<()> {
        let names = self.names();
        let rows = facts::logs(&mut self.locking.session, names).await?;
        for (table, log) in rows {
            let subject = self.subjects.iter().find(|subject| subject.table == table);
            let is_wanted = subject.is_some_and(|s| s.plan.is_some() || self.failed.contains_key(&s.label()));
            if !is_wanted {
                facts::forget(&mut self.locking.session, names, &table, &log).await?;
            }
        }
        Ok(())
    }

    /// The last step.
    async fn register(&mut self) -> Result<()> {
        let names = self.names();
        let registered = facts::registered(&mut self.locking.session, names).await?;
        // The numbers of the tables are those from before; of new logs they are known only now.
        let now = Facts::read(&mut self.locking.session, names, self.source.server.flavour).await?;
        let (mut rows, mut labels, mut logs) = (Vec::new(), Vec::new(), Vec::new());
        let broken = self.broken();
        for subject in self.subjects.iter().filter(|s| s.plan.is_some() && !broken.contains(&s.table)) {
            match registered.get(&subject.table) {
                None => {
                    labels.push(subject.label());
                    logs.push(literal(&names.log_name(&subject.table)));
                    rows.push(self.row(subject, &now, "UUID()"));
                }
                // A DBA's script does not know the numbers, and what could be seen before may be less.
                Some(known) if !known.is_comparable(&now) => {
                    rows.push(self.row(subject, &now, &literal(&known.generation)));
                }
                Some(_) => {}
            }
        }
        if !labels.is_empty()
            && let Err(error) = self.wait_for_prepared().await
        {
            for label in labels {
                self.failed.insert(label, Error::table(error.summary()).remedy(END_PREPARED));
            }
            return Ok(());
        }
        self.forget_unlogged(logs).await?;
        self.note_triggers(&now).await?;
        self.store(rows).await
    }

    /// Notes when the triggers were made, of the tables that are done, before these get their generations: whoever
    /// drops one between the two is noticed. Of the other tables only what is not noted, as a DBA's script does not
    /// know the times; what is noted of them and differs has been dropped since we looked.
    async fn note_triggers(&mut self, now: &Facts) -> Result<()> {
        let names = self.names();
        let is_failed = |subject: &(usize, &Subject)| self.failed.contains_key(&subject.1.label());
        let done = self.subjects.iter().enumerate().filter(|subject| !is_failed(subject));
        let triggers =
            done.flat_map(|(n, subject)| subject.triggers.iter().map(move |trigger| (n, &trigger.name)));
        let is_news =
            |(n, name): &(usize, &String)| self.faulty.contains(n) || !now.noted.contains_key(*name);
        let rows: Vec<String> = triggers
            .filter(is_news)
            .filter_map(|(_, name)| Some((name, now.made.get(name)?)))
            .map(|(name, made)| {
                format!("({}, {}, {})", names.database_literal(), literal(name), literal(made))
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let (own, rows) = (names.own("triggers"), rows.join(", "));
        let sql = format!("REPLACE INTO {own} (database_name, trigger_name, made_at) VALUES {rows}");
        self.locking.session.execute(sql).await.map(|_| ())
    }

    /// Forgets the writes that were noted as being in no log, as far as they are committed: these tables have no
    /// generation yet, and are read again after this. Those of open transactions stay.
    async fn forget_unlogged(&mut self, logs: Vec<String>) -> Result<()> {
        if logs.is_empty() {
            return Ok(());
        }
        let logs = logs.join(", ");
        let names = self.names();
        for (table, condition) in facts::unlogged_in(names) {
            loop {
                let ids = format!(
                    "SELECT id FROM {table} WHERE {condition} AND log IN ({logs}) ORDER BY id LIMIT {AT_ONCE}"
                );
                let ids = self.locking.session.query(ids).await?;
                if ids.is_empty() {
                    break;
                }
                let ids: Vec<&str> = ids.iter().map(|row| text(row, 0)).collect::<Result<_>>()?;
                let sql = format!("DELETE FROM {table} WHERE id IN ({})", ids.join(", "));
                self.locking.session.execute(sql).await?;
            }
        }
        Ok(())
    }

    /// Tables that could not be done, and those that the actions of foreign keys lead to from them.
    fn broken(&self) -> BTreeSet<String> {
        let failed = self.subjects.iter().filter(|s| self.failed.contains_key(&s.label()));
        failed.flat_map(|s| self.touched_by(s).into_iter().chain([s.table.clone()])).collect()
    }

    fn row(&self, subject: &Subject, now: &Facts, generation: &str) -> String {
        let names = self.names();
        let key = subject.plan.map(|plan| plan.key.clone()).unwrap_or_default();
        let log = names.log_name(&subject.table);
        let fingerprint = self.facts.fingerprint(now, names, &subject.table);
        format!(
            "({}, {}, {}, {}, {generation}, {})",
            names.database_literal(),
            literal(&subject.table),
            literal(&log),
            literal(&serde_json::to_string(&key).unwrap_or_default()),
            literal(&fingerprint)
        )
    }

    async fn store(&mut self, rows: Vec<String>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let tables = self.names().own("tables");
        // A log that was made anew begins its numbers again; nobody knows a watermark of it yet.
        let sql = format!(
            "INSERT INTO {tables} (database_name, table_name, log, key_json, generation, fingerprint) VALUES {} \
             ON DUPLICATE KEY UPDATE log = VALUES(log), key_json = VALUES(key_json), \
             generation = VALUES(generation), fingerprint = VALUES(fingerprint)",
            join(rows, ",\n")
        );
        self.locking.session.execute(sql).await.map(|_| ())
    }

    /// Waits for the transactions that are prepared now: what they wrote may not be captured.
    async fn wait_for_prepared(&mut self) -> Result<()> {
        let mut open = writers::prepared(&mut self.locking.session).await?;
        for _ in 0..LOOKS {
            if open.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
            let now = writers::prepared(&mut self.locking.session).await?;
            open.retain(|one| now.iter().any(|other| other.id == one.id));
        }
        let who: Vec<&str> = open.iter().map(|w| w.who.as_str()).collect();
        Err(Error::table(format!("what these have written before is not captured: {}", who.join("; "))))
    }

    /// The generation of each table of the plan, or why it has none.
    async fn outcome(&mut self) -> Result<Vec<(String, Result<String>)>> {
        let names = self.names();
        let registered = facts::registered(&mut self.locking.session, names).await?;
        let mut outcome = Vec::new();
        for subject in self.subjects.iter().filter(|s| s.plan.is_some()) {
            let label = subject.label();
            let done = match (self.failed.remove(&label), registered.get(&subject.table)) {
                (Some(error), _) => Err(error),
                (None, Some(known)) => Ok(known.generation.clone()),
                (None, None) => Err(Error::table(format!("capture of {label} is not in force"))
                    .remedy("see the tables from which foreign keys lead to it")),
            };
            outcome.push((label, done));
        }
        // After them the fenced ones that failed.
        outcome
            .extend(std::mem::take(&mut self.failed).into_iter().map(|(label, error)| (label, Err(error))));
        Ok(outcome)
    }
}

/// What all tables share.
async fn base(source: &Inner, session: &mut Session) -> Result<()> {
    let names = &source.names;
    if let Some(meta) = facts::meta(session, names).await? {
        check_meta(&session.place, names, &meta)?;
    }
    // Somebody may be removing another database's capture, and the last one takes what is shared along.
    take_turns(session, names).await?;
    let known = format!(
        "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
        literal(&names.capture)
    );
    // CREATE DATABASE waits for all who are writing into it, and meanwhile everybody else for it, even
    // where there is nothing to create.
    let done: usize = number(&session.row(known).await?, 0)?;
    for statement in capture::base(names).into_iter().skip(done) {
        session.execute(statement).await.map_err(|error| match error.kind() {
            Kind::Table | Kind::Refused => error.remedy(format!(
                "GRANT ALL ON {}.* TO the user of the URL, or let a DBA run the output of `highwater plan --ddl`",
                quote(&names.capture)
            )),
            _ => error,
        })?;
    }
    let mut facts = Facts::default();
    facts.read_triggers(session, names).await?;
    let canary = capture::canary_trigger(names);
    facts.look_closer(session, [&canary].into_iter()).await?;
    let found = facts.triggers.get(&(canary.database.clone(), canary.name.clone()));
    if !found.is_some_and(|found| found.is_as(&canary)) {
        session.execute(canary.remove()).await?;
        session.execute(canary.create()).await?;
    }
    session.execute("DO RELEASE_ALL_LOCKS()").await.map(|_| ())
}

/// One at a time makes and removes what all captured databases share.
pub(super) async fn take_turns(session: &mut Session, names: &Names) -> Result<()> {
    let row = session.row(format!("SELECT GET_LOCK({}, 60)", literal(&names.capture))).await?;
    if super::session::flag(&row, 0) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Unavailable,
        format!("{}: capture is being installed or removed elsewhere", session.place),
    ))
}

/// What [`install`] runs where nothing is installed, for the `mysql` client.
pub(super) async fn ddl(source: &Inner, plan: &Plan) -> Result<String> {
    let names = &source.names;
    let mut session = source.server.session().await?;
    let graph = facts::graph(&mut session, names, source.server.flavour).await?;
    let tables = facts::base_tables(&mut session, names).await?;
    session.close();
    let mut text = format!(
        "-- What highwater runs on {} for {}: run it with the mysql client, as the user that highwater runs as.\n\
         -- Each trigger locks its table for a moment: when one fails with a lock timeout, go on from there.\n\
         SET NAMES utf8mb4;\n\
         SET SESSION sql_mode = '', lock_wait_timeout = {};\n\n",
        source.server.place,
        names.capture,
        source.lock_timeout.as_secs() + 1
    );
    for statement in capture::base(names) {
        text.push_str(&format!("{statement};\n\n"));
    }
    text.push_str("DELIMITER //\n");
    text.push_str(&format!("{}//\n", capture::canary_trigger(names).create()));
    let subjects = capture::subjects(names, plan, &graph);
    let mut rows = Vec::new();
    for subject in subjects.iter().filter(|s| tables.contains(&s.table) && s.refusal.is_none()) {
        text.push_str(&format!("\n-- {}\n", subject.label().replace('\n', " ")));
        if let Some(plan) = subject.plan {
            text.push_str(&format!("{}//\n", capture::log(names, plan)));
            rows.push(format!(
                "({}, {}, {}, {}, UUID())",
                names.database_literal(),
                literal(&subject.table),
                literal(&names.log_name(&subject.table)),
                literal(&serde_json::to_string(&plan.key).unwrap_or_default())
            ));
        }
        for trigger in &subject.triggers {
            text.push_str(&format!("{}//\n", trigger.create()));
        }
    }
    text.push_str("DELIMITER ;\n");
    if !rows.is_empty() {
        text.push_str(&format!(
            "\n-- Last of all: the tables count as captured.\n\
             INSERT INTO {} (database_name, table_name, log, key_json, generation) VALUES\n{};\n",
            names.own("tables"),
            join(rows, ",\n")
        ));
    }
    Ok(text)
}
