//! What stands in the way of being a source, and what an operator should know.

use std::collections::{HashMap, HashSet};

use super::catalog;
use super::connect::{classify, literal};
use super::facts::{self, MemberKind, Subject};
use super::inspect::{is_ours, registered};
use super::install;
use super::prove;
use super::selection::{ROLE_PATH, path_note, user_path};
use super::session::{Session, flag, maybe, number, text};
use super::source::{PostgresSource, Standing};
use crate::engine::Survey;
use crate::engine::template::fill;
use crate::error::{Kind, Result};
use crate::model::{Finding, Plan, Schema, quote};

/// The oldest server that knows 64-bit transaction numbers as a type.
const OLDEST_SERVER: u32 = 130_000;

/// As [`Source::survey`](crate::engine::Source::survey).
pub(super) async fn survey(source: &PostgresSource, schema: &Schema, plan: &Plan) -> Result<Survey> {
    let mut found = Survey::default();
    let mut session = source.session().await?;
    let standing = source.standing(&mut session).await?;
    if standing.capture.server < OLDEST_SERVER {
        found.blockers.push(Finding::general(
            format!("{}: the server is older than PostgreSQL 13", source.place),
            "use a source of PostgreSQL 13 or later",
        ));
        return Ok(found);
    }
    let subjects = facts::subjects(&mut session, plan).await?;
    let installed = in_force(source, &mut session, &standing, &subjects, &mut found).await?;
    let role = general(source, &mut session, &standing, &subjects, &mut found).await?;
    let path = session.row(ROLE_PATH).await?;
    found.notes.push(path_note(&source.place, text(&path, 0)?));
    let asked = Asked { subjects: &subjects, standing: &standing, installed, role: quote(&role) };
    let rights = rights(&mut session, &subjects).await?;
    for subject in &subjects {
        asked.privileges(subject, &rights, &mut found);
    }
    asked.inheritance(schema, plan, &mut found);
    asked.silenced(&mut found);
    incomparable_keys(&mut session, schema, plan, &subjects, &mut found).await?;
    too_wide(plan, &mut found);
    unreadable_sequences(source, &mut session, &asked.role, &mut found).await?;
    session.close();
    // What can't be fenced now can be copied and replayed: only a fenced final sync is refused for it.
    match prove::try_fence(source).await {
        Err(error) if error.kind() == Kind::Refused => {
            let remedy = error.remedy_text().unwrap_or_default().to_string();
            found.warnings.push(Finding::general(error.summary(), remedy));
        }
        tried => tried?,
    }
    Ok(found)
}

/// As many columns as a table can have.
const MOST_COLUMNS: usize = 1600;

/// Changed rows wait in a temporary table: what is carried, the key beside it, and three columns of ours.
fn too_wide(plan: &Plan, found: &mut Survey) {
    for table in plan.tables.iter().filter(|t| !t.key.is_empty()) {
        let carried = table.columns.len();
        if carried + table.key.len() + table.rule.also.len() + 3 > MOST_COLUMNS {
            let what = format!(
                "its {carried} columns and its key don't fit into the {MOST_COLUMNS} columns that a table can have: \
                 changed rows wait in a table with both"
            );
            found.blockers.push(Finding::of(&table.source, what, "add the table to `exclude`"));
        }
    }
}

/// Keys that a rule names are of any type. The trigger of an update compares them, so one that the
/// server can't compare would make production's writes fail; and chunks are cut in their order.
async fn incomparable_keys(
    session: &mut Session,
    schema: &Schema,
    plan: &Plan,
    subjects: &[Subject],
    found: &mut Survey,
) -> Result<()> {
    for (table, subject) in plan.tables.iter().zip(subjects) {
        let natural = schema.table(&table.source).is_none_or(|t| t.key() == table.key);
        if natural || subject.key.is_empty() {
            continue;
        }
        let same: Vec<String> = subject
            .key
            .iter()
            .map(|c| format!("o.{0} OPERATOR({1}.=) n.{0}", quote(&c.name), quote(&c.operators)))
            .collect();
        let order: Vec<String> = subject.key.iter().map(|c| format!("o.{}", quote(&c.name))).collect();
        let tried = session
            .query(format!(
                "{path}; EXPLAIN SELECT FROM {name} AS o FULL JOIN {name} AS n ON {} ORDER BY {}",
                same.join(" AND "),
                order.join(", "),
                path = user_path("pg_catalog"),
                name = table.source.sql()
            ))
            .await;
        match tried {
            Err(error) if error.kind() == Kind::Unavailable => return Err(error),
            Err(error) => found.blockers.push(Finding::of(
                &table.source,
                format!("the key ({}) can't be compared: {}", table.key.join(", "), error.summary()),
                "name other columns as `key`",
            )),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// The labels of tables on which capture stands already.
async fn in_force(
    source: &PostgresSource,
    session: &mut Session,
    standing: &Standing,
    subjects: &[Subject],
    found: &mut Survey,
) -> Result<HashSet<String>> {
    if !standing.installed {
        return Ok(HashSet::new());
    }
    standing.check_owners(&source.place)?;
    if !is_ours(session, standing).await? {
        found.warnings.push(Finding::general(
            format!("schema {} came here with a copy of another database", source.schema),
            "nothing: highwater removes it before it installs its own capture",
        ));
        return Ok(HashSet::new());
    }
    let registered = registered(session, &source.schema).await?;
    let stands = |subject: &&Subject| {
        let definition = standing.capture.digest(subject, subjects);
        registered
            .iter()
            .any(|r| r.label == subject.label && r.doubt(&definition).is_none() && r.parts().is_none())
    };
    Ok(subjects.iter().filter(stands).map(|s| s.label.clone()).collect())
}

/// What concerns the whole source. Returns the name of our role.
async fn general(
    source: &PostgresSource,
    session: &mut Session,
    standing: &Standing,
    subjects: &[Subject],
    found: &mut Survey,
) -> Result<String> {
    let sql = fill(include_str!("../../../sql/postgres/survey.sql"), &[("ledger", &literal(&source.ledger))]);
    let row = session.row(sql).await?;
    let (database, role) = (quote(text(&row, 3)?), text(&row, 4)?.to_string());
    let mut block = |what: &str, remedy: &str| {
        found.blockers.push(Finding::general(format!("{}: {what}", source.place), remedy));
    };
    if flag(&row, 0) {
        block(
            "the server is a standby, whose snapshots leave open transactions out",
            "let the URL lead to the primary",
        );
    } else if flag(&row, 1) {
        block(
            "transactions are read-only",
            "set default_transaction_read_only = off for the user of the URL",
        );
    }
    if !standing.installed && !standing.owned && !flag(&row, 2) {
        let grant = format!("GRANT CREATE ON DATABASE {database} TO {}", quote(&role));
        block(
            "highwater may not make its schema there",
            &format!("{grant}; or let a DBA run the output of `highwater plan --ddl`"),
        );
    }
    if flag(&row, 6) {
        block(
            "the database holds the ledger of this migration, so it is its target",
            "look whether source and target are swapped; a new migration from here takes another name",
        );
    }
    let mut warn = |what: String, remedy: &str| found.warnings.push(Finding::general(what, remedy));
    if flag(&row, 5) {
        warn(
            "the database holds large objects, which have no table of their own and are not carried"
                .to_string(),
            "copy them by other means if the application uses them (lo_import, column type oid)",
        );
    }
    if let Some(open) = maybe(&row, 7) {
        warn(
            format!("prepared transactions are open: {open}"),
            "COMMIT PREPARED or ROLLBACK PREPARED them: their locks keep capture from being installed",
        );
    }
    if let Some(names) = maybe(&row, 8) {
        warn(
            format!("event triggers fire on DDL: {names}"),
            "see that they let CREATE TRIGGER of highwater pass, and change neither owners nor rights of its objects",
        );
    }
    if !flag(&row, 9) {
        let grant = format!("GRANT pg_read_all_stats TO {}", quote(&role));
        warn("the age of other users' transactions can't be seen".to_string(), &grant);
    }
    if let Some(names) = maybe(&row, 10).filter(|_| !standing.capture.by_row) {
        warn(
            format!("something replicates into this database (replication origins: {names})"),
            "see that what it applies fires triggers; where highwater owns the tables, replica sessions do",
        );
    }
    if let Some(names) = maybe(&row, 11) {
        warn(
            format!(
                "a publication FOR ALL TABLES also publishes highwater's tables: {names}. Its subscribers do not have \
                 these tables, and stop at the first change"
            ),
            "before capture is installed: CREATE PUBLICATION .. FOR TABLE .. (the application's tables), then on each \
             subscriber ALTER SUBSCRIPTION .. SET PUBLICATION ..",
        );
    }
    if flag(&row, 12) {
        warn(
            "the database has the encoding SQL_ASCII, which checks no text: what is not UTF-8 stops its table".to_string(),
            "correct such texts in production: the reason that the table stops with names the bytes",
        );
    }
    let is_new = !standing.installed && !standing.occupied;
    if maybe(&row, 8).is_some() && is_new && found.blockers.is_empty() {
        found.blockers.extend(install::refusal(source, session, standing, subjects).await?);
    }
    Ok(role)
}

/// What we may do with one table or partition.
struct Rights {
    trigger: bool,
    select: bool,
    usage: bool,
    rows_hidden: bool,
    unlogged: bool,
}

async fn rights(session: &mut Session, subjects: &[Subject]) -> Result<HashMap<u32, Rights>> {
    let oids: Vec<String> = subjects.iter().flat_map(|s| &s.members).map(|m| m.relid.to_string()).collect();
    let sql = include_str!("../../../sql/postgres/privileges.sql");
    let rows = session.query(fill(sql, &[("oids", &oids.join(","))])).await?;
    rows.iter()
        .map(|row| {
            let rights = Rights {
                trigger: flag(row, 1),
                select: flag(row, 2),
                usage: flag(row, 3),
                rows_hidden: flag(row, 4),
                unlogged: flag(row, 5),
            };
            Ok((number(row, 0)?, rights))
        })
        .collect()
}

struct Asked<'a> {
    subjects: &'a [Subject],
    standing: &'a Standing,
    installed: HashSet<String>,
    /// Our role, as SQL.
    role: String,
}

impl Asked<'_> {
    fn privileges(&self, subject: &Subject, rights: &HashMap<u32, Rights>, found: &mut Survey) {
        let stands = self.installed.contains(&subject.label);
        for (place, member) in subject.members.iter().enumerate() {
            let Some(rights) = rights.get(&member.relid) else { continue };
            // Rows are read through the root, but those of a new partition from itself.
            let select = subject.captured && !rights.select && (place == 0 || !stands);
            let missing: Vec<&str> = [(select, "SELECT"), (!stands && !rights.trigger, "TRIGGER")]
                .into_iter()
                .filter_map(|(is_missing, name)| is_missing.then_some(name))
                .collect();
            let mut grants = Vec::new();
            if !rights.usage {
                let schema = quote(member.name.schema.as_deref().unwrap_or("public"));
                grants.push(format!("GRANT USAGE ON SCHEMA {schema} TO {}", self.role));
            }
            if !missing.is_empty() {
                grants.push(format!(
                    "GRANT {} ON {} TO {}",
                    missing.join(", "),
                    member.name.sql(),
                    self.role
                ));
            }
            if !grants.is_empty() {
                let why = if subject.captured { "read and capture" } else { "fence" };
                found.blockers.push(Finding::of(
                    &subject.name,
                    format!("highwater may not {why} {}", member.name),
                    grants.join("; "),
                ));
            }
            if subject.captured {
                self.rows_at_risk(subject, place, rights, found);
            }
        }
    }

    fn rows_at_risk(&self, subject: &Subject, place: usize, rights: &Rights, found: &mut Survey) {
        let member = &subject.members[place];
        if rights.rows_hidden {
            found.blockers.push(Finding::of(
                &subject.name,
                format!("row-level security hides rows of {} from us", member.name),
                format!("ALTER ROLE {} BYPASSRLS", self.role),
            ));
        }
        if member.kind == MemberKind::Foreign {
            found.blockers.push(Finding::of(
                &subject.name,
                format!(
                    "partition {} is a foreign table: what is written there can't be captured",
                    member.name
                ),
                "detach it or exclude the table",
            ));
        }
        if rights.unlogged && place > 0 {
            found.warnings.push(Finding::of(
                &subject.name,
                format!(
                    "partition {} is unlogged: it is empty after a crash, which is not captured",
                    member.name
                ),
                format!("ALTER TABLE {} SET LOGGED", member.name.sql()),
            ));
        }
    }

    /// Writes through a parent show in the parent's triggers only.
    fn inheritance(&self, schema: &Schema, plan: &Plan, found: &mut Survey) {
        if self.standing.capture.by_row {
            return;
        }
        for parent in schema.tables.iter().filter(|t| !t.heirs.is_empty()) {
            for heir in &parent.heirs {
                let Some(heir) = plan.tables.iter().find(|t| &t.source == heir) else { continue };
                if plan.excluded.contains(&parent.name) {
                    found.blockers.push(Finding::of(
                        &heir.source,
                        format!(
                            "it inherits from {}, which is excluded: writes through that one are not seen",
                            parent.name
                        ),
                        format!("include {} too", parent.name),
                    ));
                } else if let Some(column) = heir.key.iter().find(|k| parent.column(k).is_none()) {
                    found.blockers.push(Finding::of(
                        &heir.source,
                        format!(
                            "its key column {column} is not in {}, through which it can be written",
                            parent.name
                        ),
                        "exclude it, or make its key of columns that the parent has",
                    ));
                }
            }
        }
    }

    /// Sessions in replica role fire only triggers that are enabled ALWAYS, which takes the owner.
    fn silenced(&self, found: &mut Survey) {
        let others: Vec<&Subject> =
            self.subjects.iter().filter(|s| s.captured && s.members.iter().any(|m| !m.owned)).collect();
        if self.standing.capture.by_row {
            for subject in others.iter().filter(|s| !self.installed.contains(&s.label)) {
                let member = subject.members.iter().find(|m| !m.owned);
                let owner = member.map(|m| quote(&m.owner)).unwrap_or_default();
                found.blockers.push(Finding::of(
                    &subject.name,
                    "a subscription writes into this database, and its writes fire only triggers that the owner enables",
                    format!("GRANT {owner} TO {}", self.role),
                ));
            }
        } else if !others.is_empty() {
            let labels: Vec<&str> = others.iter().take(5).map(|s| s.label.as_str()).collect();
            let rest = others.len() - labels.len();
            let and = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            found.warnings.push(Finding::general(
                format!(
                    "highwater does not own {}{and}: what a session with session_replication_role = replica \
                     writes there is not captured",
                    labels.join(", ")
                ),
                format!("if there are such sessions, GRANT the owner's role to {}", self.role),
            ));
        }
    }
}

async fn unreadable_sequences(
    source: &PostgresSource,
    session: &mut Session,
    role: &str,
    found: &mut Survey,
) -> Result<()> {
    let own = [source.schema.clone(), source.ledger.clone()];
    let sequences = catalog::unreadable_sequences(session.connection()?, &own).await;
    for name in sequences.map_err(|e| classify(e, &source.place))? {
        found.blockers.push(Finding::general(
            format!("highwater may not read sequence {name}"),
            format!("GRANT SELECT ON SEQUENCE {} TO {role}", name.sql()),
        ));
    }
    Ok(())
}
