//! Putting capture on, table by table: each in one transaction, so never half, and each attempt to lock
//! a table short, because production's writers queue up behind one that waits.

use std::collections::HashMap;
use std::time::Duration;

use super::capture::{Capture, each, numbered};
use super::connect::{classify, literal};
use super::facts::{self, Member, MemberKind, Subject};
use super::fence;
use super::inspect::{Registered, is_ours, registered};
use super::remove;
use super::session::{Session, text};
use super::source::{PostgresSource, Standing};
use crate::error::{Error, Policy, Result};
use crate::model::{Finding, Plan, quote};

/// How often a lock is tried for.
const ATTEMPTS: u32 = 60;

/// The pause between two attempts: writers that queued up get through.
const PAUSE: Duration = Duration::from_millis(700);

/// As [`Source::capture_ddl`](crate::engine::Source::capture_ddl).
pub(super) async fn ddl(source: &PostgresSource, plan: &Plan) -> Result<String> {
    let mut session = source.session().await?;
    let standing = source.standing(&mut session).await?;
    let subjects = facts::subjects(&mut session, plan).await?;
    let role = own_role(&mut session).await?;
    session.close();
    let capture = &standing.capture;
    let mut text = format!(
        "-- What highwater runs on {} for migration {}.\n\
         -- Each transaction locks one table for a moment; when one fails with a lock timeout, run it again.\n",
        source.endpoint, source.migration
    );
    text.push_str(&in_transaction(source, &capture.schema_statements(false, &role)));
    for subject in subjects.iter().filter(|s| s.relid().is_some()) {
        text.push_str(&format!("\n-- {}\n", subject.name));
        text.push_str(&in_transaction(source, &capture.table_statements(subject, &subjects)));
    }
    text.push_str("\n-- For the role that highwater runs as, if it is not the one that ran this.\n");
    for grant in capture.grants(&subjects, &role) {
        text.push_str(&format!("{grant};\n"));
    }
    Ok(text)
}

/// What refuses highwater's tables and functions, if something does, as event triggers can: they are made and undone.
/// No table of production's is touched, so its triggers are not tried.
pub(super) async fn refusal(
    source: &PostgresSource,
    session: &mut Session,
    standing: &Standing,
    subjects: &[Subject],
) -> Result<Option<Finding>> {
    let role = own_role(session).await?;
    let mut statements = standing.capture.schema_statements(!standing.owner.is_empty(), &role);
    if let Some(first) = subjects.iter().find(|s| s.captured && s.relid().is_some()) {
        statements.extend(standing.capture.definition(first, subjects));
    }
    let tried = session.execute(format!("{}{}", begin(source), statements.join(";\n"))).await;
    session.execute("ROLLBACK").await?;
    match tried {
        Err(error) if error.policy() == Policy::Retry => Err(error),
        Err(error) => Ok(Some(Finding::general(
            format!("the source refuses highwater's own tables and functions: {}", error.summary()),
            "see what refuses it (event triggers: \\dy in psql) and let it pass for the role of the URL",
        ))),
        Ok(_) => Ok(None),
    }
}

/// The role that highwater runs as.
async fn own_role(session: &mut Session) -> Result<String> {
    Ok(text(&session.row("SELECT session_user").await?, 0)?.to_string())
}

/// The statements as one transaction that does not keep writers waiting.
fn in_transaction(source: &PostgresSource, statements: &[String]) -> String {
    format!("{}{};\nCOMMIT;\n", begin(source), statements.join(";\n"))
}

fn begin(source: &PostgresSource) -> String {
    let milliseconds = source.lock_timeout.as_millis().max(1);
    format!("BEGIN;\nSET LOCAL lock_timeout = '{milliseconds}ms';\nSET LOCAL search_path = pg_catalog;\n")
}

/// As [`Source::install`](crate::engine::Source::install).
pub(super) async fn install(
    source: &PostgresSource,
    plan: &Plan,
    report: &(dyn for<'a> Fn(&'a str) + Send + Sync),
) -> Result<Vec<(String, Result<String>)>> {
    let mut session = source.session().await?;
    let standing = ensure_schema(source, &mut session).await?;
    let subjects = facts::subjects(&mut session, plan).await?;
    let found = registered(&mut session, &source.schema).await?;
    let mut work = Work { source, standing: &standing, subjects: &subjects, session };
    // While the fence stands, what another plan knows of may carry it.
    if !fence::state(source, &mut work.session).await?.is_raised() {
        work.forget_others(&found).await?;
    }
    let found: HashMap<&str, &Registered> = found.iter().map(|r| (r.label.as_str(), r)).collect();
    // Parents before heirs: an heir's generation may begin only when its parent logs for it.
    let mut order: Vec<usize> = (0..subjects.len()).collect();
    order.sort_by_key(|number| std::cmp::Reverse(subjects[*number].heirs.len()));
    let mut failed = HashMap::new();
    for subject in order.into_iter().map(|number| &subjects[number]) {
        report(&subject.label);
        if let Err(error) = work.settle(subject, found.get(subject.label.as_str()).copied()).await? {
            failed.insert(subject.label.clone(), error);
        }
    }
    let outcome = work.outcome(plan, failed).await?;
    work.session.close();
    Ok(outcome)
}

/// The capture schema, made if it is missing, made anew if it is damaged or came with a copy of another
/// database.
async fn ensure_schema(source: &PostgresSource, session: &mut Session) -> Result<Standing> {
    let mut standing = source.standing(session).await?;
    standing.check_owners(&source.place)?;
    if standing.installed && is_ours(session, &standing).await? {
        return Ok(standing);
    }
    if !standing.installed && fence::state(source, session).await?.is_raised() {
        return Err(Error::refused(format!(
            "{}: schema {} is damaged, and making it again would lower the fence that stands",
            source.place, source.schema
        ))
        .remedy("`highwater final-sync --lift` first, or `highwater clean`"));
    }
    if standing.occupied {
        remove::remove(source).await?;
        standing = source.standing(session).await?;
    }
    let role = own_role(session).await?;
    let statements = standing.capture.schema_statements(!standing.owner.is_empty(), &role);
    persist(source, session, &statements, &[]).await?.map_err(|e| {
        let schema = quote(&source.schema);
        e.remedy(format!(
            "GRANT CREATE ON DATABASE to the user of the URL, or CREATE SCHEMA {schema} AUTHORIZATION it, or let a \
             DBA run the output of `highwater plan --ddl`"
        ))
    })?;
    source.standing(session).await
}

/// How one run of statements ended.
enum Attempt {
    Done,
    /// A lock could not be had in time.
    Locked(Error),
    Refused(Error),
}

/// One run of statements in a transaction. The error means that the connection is gone.
async fn attempt(source: &PostgresSource, session: &mut Session, statements: &[String]) -> Result<Attempt> {
    match session.attempt(in_transaction(source, statements)).await? {
        Ok(()) => Ok(Attempt::Done),
        Err(error) if fence::is_lock(&error) => Ok(Attempt::Locked(classify(error, &source.place))),
        Err(error) => Ok(Attempt::Refused(classify(error, &source.place))),
    }
}

/// Runs statements in a transaction, again and again while a lock can't be had. `tables` are those that
/// are locked. The outer error means that the connection is gone, the inner one that the statements were
/// refused.
pub(super) async fn persist(
    source: &PostgresSource,
    session: &mut Session,
    statements: &[String],
    tables: &[u32],
) -> Result<Result<()>> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match attempt(source, session, statements).await? {
            Attempt::Done => return Ok(Ok(())),
            Attempt::Refused(error) => return Ok(Err(error)),
            Attempt::Locked(_) if attempts < ATTEMPTS => tokio::time::sleep(PAUSE).await,
            Attempt::Locked(error) => {
                let holders = holders(session, tables).await?;
                return Ok(Err(Error::table(format!(
                    "the table could not be locked in {ATTEMPTS} attempts; in use by {holders}"
                ))
                .because(error)
                .remedy("wait for these transactions to end, or end them; or raise capture.lock_timeout")));
            }
        }
    }
}

/// Who uses the tables, for people.
pub(super) async fn holders(session: &mut Session, tables: &[u32]) -> Result<String> {
    let oids: Vec<String> = tables.iter().map(u32::to_string).collect();
    let sql = format!(
        "SELECT DISTINCT CASE WHEN a.pid IS NULL THEN 'a prepared transaction (pg_prepared_xacts)' \
         ELSE format('pid %s (%s, %s, since %s)', l.pid, a.usename, nullif(a.application_name, ''), a.xact_start) END
         FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid)
         WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND l.relation = ANY (ARRAY[{}]::oid[]) LIMIT 10",
        oids.join(",")
    );
    let rows = session.query(sql).await?;
    let holders: Vec<&str> = rows.iter().map(|row| text(row, 0)).collect::<Result<_>>()?;
    Ok(if holders.is_empty() { "no session that can be seen now".to_string() } else { holders.join(", ") })
}

struct Work<'a> {
    source: &'a PostgresSource,
    standing: &'a Standing,
    subjects: &'a [Subject],
    session: Session,
}

impl Work<'_> {
    fn capture(&self) -> &Capture {
        &self.standing.capture
    }

    /// Removes what is registered for tables that the plan does not know.
    async fn forget_others(&mut self, found: &[Registered]) -> Result<()> {
        for other in found.iter().filter(|r| !self.subjects.iter().any(|s| s.label == r.label)) {
            if self.standing.owned {
                let statements = self.capture().drop_statements(&other.log);
                persist(self.source, &mut self.session, &statements, &[other.relid]).await??;
            }
        }
        Ok(())
    }

    /// Puts one table in order.
    async fn settle(&mut self, subject: &Subject, found: Option<&Registered>) -> Result<Result<()>> {
        if subject.relid().is_none() {
            return Ok(Err(Error::table(format!("{} is not on the source any more", subject.label))));
        }
        let definition = self.capture().digest(subject, self.subjects);
        match found {
            Some(found) if found.doubt(&definition).is_none() => match found.parts() {
                Some(_) => self.mend_parts(subject).await,
                None => Ok(Ok(())),
            },
            found => self.make(subject, found).await,
        }
    }

    /// Makes log, functions and triggers of a table, in place of those that it had.
    async fn make(&mut self, subject: &Subject, found: Option<&Registered>) -> Result<Result<()>> {
        if !self.standing.owned {
            return Ok(Err(Error::table(format!(
                "capture of {} must be made, but schema {} belongs to {}",
                subject.label, self.source.schema, self.standing.owner
            ))
            .remedy("let that role run the table's part of `highwater plan --ddl`")));
        }
        let mut statements = match found {
            Some(found) => self.capture().drop_statements(&found.log),
            None => Vec::new(),
        };
        statements.extend(self.capture().table_statements(subject, self.subjects));
        let tables: Vec<u32> = subject.members.iter().map(|m| m.relid).collect();
        persist(self.source, &mut self.session, &statements, &tables).await
    }

    /// Puts triggers on new partitions and logs what they hold; marks the log where one is gone.
    async fn mend_parts(&mut self, subject: &Subject) -> Result<Result<()>> {
        let log_name = self.capture().log_name(&subject.name);
        let s = quote(&self.source.schema);
        let known =
            self.column(format!("SELECT relid FROM {s}.members WHERE log = {}", literal(&log_name))).await?;
        let is_known = |member: &&Member| known.contains(&member.relid);
        let attached: Vec<&Member> = subject.members.iter().filter(|m| !is_known(m)).collect();
        let gone: Vec<u32> = known
            .iter()
            .filter(|relid| !subject.members.iter().any(|m| m.relid == **relid))
            .copied()
            .collect();
        if let Err(error) = self.add_triggers(subject, &attached).await? {
            return Ok(Err(error));
        }
        let mut statements = self.lost(subject, &gone).await?;
        // These rows are read after the triggers stand: a write before was seen by that lock's wait, a
        // write after is logged.
        for member in attached.iter().filter(|m| m.kind != MemberKind::Root && subject.captured) {
            statements.push(self.log_all(subject, member));
        }
        if !attached.is_empty() {
            statements.push(self.capture().register_members(subject, &attached));
        }
        let tables: Vec<u32> = attached.iter().map(|m| m.relid).chain(gone).collect();
        persist(self.source, &mut self.session, &statements, &tables).await
    }

    async fn add_triggers(&mut self, subject: &Subject, attached: &[&Member]) -> Result<Result<()>> {
        let oids: Vec<String> = attached.iter().map(|m| m.relid.to_string()).collect();
        if oids.is_empty() {
            return Ok(Ok(()));
        }
        let name = literal(&self.capture().common_trigger(subject));
        let done = self
            .column(format!(
                "SELECT tgrelid FROM pg_trigger WHERE tgname = {name} AND tgrelid = ANY (ARRAY[{}]::oid[])",
                oids.join(",")
            ))
            .await?;
        let bare: Vec<&Member> = attached.iter().filter(|m| !done.contains(&m.relid)).copied().collect();
        let statements = self.capture().triggers(subject, &bare);
        if statements.is_empty() {
            return Ok(Ok(()));
        }
        let tables: Vec<u32> = bare.iter().map(|m| m.relid).collect();
        persist(self.source, &mut self.session, &statements, &tables).await
    }

    /// Rows that went with a partition are found by what the table has not.
    async fn lost(&mut self, subject: &Subject, gone: &[u32]) -> Result<Vec<String>> {
        let mut statements = Vec::new();
        if gone.is_empty() {
            return Ok(statements);
        }
        let oids: Vec<String> = gone.iter().map(u32::to_string).collect();
        let list = oids.join(",");
        let there = self
            .session
            .query(format!(
                "SELECT c.oid::regclass FROM pg_class AS c WHERE c.oid = ANY (ARRAY[{list}]::oid[]) \
                 AND pg_has_role(c.relowner, 'USAGE')"
            ))
            .await?;
        for table in &there {
            statements.extend(self.capture().drop_triggers(text(table, 0)?));
        }
        if subject.captured {
            statements.push(format!("INSERT INTO {} (kind) VALUES ('T')", self.capture().log(&subject.name)));
        }
        let s = quote(&self.source.schema);
        let log = literal(&self.capture().log_name(&subject.name));
        statements.push(format!(
            "DELETE FROM {s}.members WHERE log = {log} AND relid = ANY (ARRAY[{list}]::oid[])"
        ));
        Ok(statements)
    }

    fn log_all(&self, subject: &Subject, member: &Member) -> String {
        let (log, table) = (self.capture().log(&subject.name), member.name.sql());
        if subject.key.is_empty() {
            return format!("INSERT INTO {log} (kind) VALUES ('W')");
        }
        let (columns, keys) = (numbered(&subject.key), each(&subject.key, |_, name| name.to_string()));
        format!("INSERT INTO {log} (kind, {columns}) SELECT 'I', {keys} FROM ONLY {table}")
    }

    async fn column(&mut self, sql: String) -> Result<Vec<u32>> {
        self.session.query(sql).await?.iter().map(|row| super::session::number(row, 0)).collect()
    }

    /// The generation of each table of the plan; after them the fenced ones that failed.
    async fn outcome(
        &mut self,
        plan: &Plan,
        mut failed: HashMap<String, Error>,
    ) -> Result<Vec<(String, Result<String>)>> {
        let rows = self
            .session
            .query(format!("SELECT label, generation FROM {}.tables", quote(&self.source.schema)))
            .await?;
        let mut generations = HashMap::new();
        for row in &rows {
            generations.insert(text(row, 0)?.to_string(), text(row, 1)?.to_string());
        }
        let mut outcome = Vec::new();
        for label in plan.tables.iter().map(crate::model::TablePlan::label) {
            let done = match failed.remove(&label) {
                Some(error) => Err(error),
                None => generations
                    .remove(&label)
                    .ok_or_else(|| Error::table(format!("capture of {label} is not registered"))),
            };
            outcome.push((label, done));
        }
        outcome.extend(failed.into_iter().map(|(label, error)| (label, Err(error))));
        Ok(outcome)
    }
}
