//! What forbids the work, and what an operator should know, of either side.

use std::collections::{HashMap, HashSet};

use super::catalog;
use super::connect::{Flavour, Server};
use super::facts;
use super::fill::has_empty_label;
use super::fits::same_collation;
use super::grants::Grants;
use super::raise;
use super::retire::{self, Means};
use super::session::{Session, flag, maybe, number, text};
use super::source::Inner;
use super::types::{Kind, collation};
use super::value::{join, literal, quote};
use crate::engine::{Manners, Survey};
use crate::error::{Kind as Kinds, Result};
use crate::model::{ColumnPair, Finding, Plan, Schema, Table, TableName, TablePlan};

const EXCLUDE: &str = "add the table to `exclude`";

/// What capture needs in its own database.
const CAPTURE: [&str; 8] =
    ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "LOCK TABLES", "TRIGGER"];

/// What is needed in the target's database.
const TARGET: [&str; 9] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "ALTER",
    "CREATE TEMPORARY TABLES",
    // Without it nobody sees the triggers that would fire.
    "TRIGGER",
];

/// What is needed besides to make tables there: MariaDB asks nobody for REFERENCES.
fn making(flavour: Flavour) -> &'static [&'static str] {
    match flavour {
        Flavour::Mysql => &["REFERENCES", "CREATE VIEW"],
        Flavour::Mariadb => &["CREATE VIEW"],
    }
}

/// Of a source.
pub(super) async fn source(source: &Inner, schema: &Schema, plan: &Plan) -> Result<Survey> {
    let server = &source.server;
    let mut session = server.session().await?;
    let mut look = Look::new(server, &mut session).await?;
    let installed = catalog::installed(&mut session, &source.names).await?.is_some();
    look.read_only(&mut session, server.flavour, "install capture").await?;
    look.replica(&mut session, server.flavour).await?;
    look.settings(&mut session, installed).await?;
    look.swapped(&mut session, &source.names.capture).await?;
    look.production_rights(plan);
    look.rights(&CAPTURE, &source.names.capture, "highwater may not keep its change logs");
    look.engines(&mut session, plan, Side::Source).await?;
    look.cascades(&mut session, plan).await?;
    look.prepared(&mut session).await;
    look.not_carried(&mut session, schema, plan).await?;
    for table in &plan.tables {
        look.float_key(table);
        look.documents(table);
        look.empty_labels(table);
    }
    session.close();
    look.means(server).await?;
    if installed {
        look.fence(source).await?;
    }
    Ok(look.found)
}

/// Of a target.
pub(super) async fn target(server: &Server, schema: &Schema, plan: &Plan) -> Result<Survey> {
    let mut session = server.session().await?;
    let mut look = Look::new(server, &mut session).await?;
    look.read_only(&mut session, server.flavour, "write the rows").await?;
    look.logs_statements(&mut session).await?;
    let creates = plan.tables.iter().any(|t| t.create);
    let making = if creates { making(server.flavour) } else { &[] };
    let needed: Vec<&str> = TARGET.iter().chain(making).copied().collect();
    let database = look.database.clone();
    look.rights(&needed, &database, "highwater may not write the rows");
    look.engines(&mut session, plan, Side::Target).await?;
    look.events(&mut session).await?;
    let collations = collations(&mut session, server).await?;
    for table in &plan.tables {
        if table.create {
            look.makeable(table, server.flavour, &collations);
        } else if let Some(found) = schema.table(&table.target) {
            look.triggers(table, found);
            look.collations(table);
        }
    }
    session.close();
    Ok(look.found)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Target,
}

/// What is looked at, and what was found so far.
struct Look {
    found: Survey,
    grants: Grants,
    place: String,
    database: String,
    /// The user as GRANT names it.
    user: String,
}

impl Look {
    async fn new(server: &Server, session: &mut Session) -> Result<Self> {
        let row = session.row("SELECT DATABASE(), CURRENT_USER()").await?;
        let (name, host) = text(&row, 1)?.rsplit_once('@').unwrap_or((text(&row, 1)?, "%"));
        Ok(Look {
            found: Survey { manners: Some(manners(session, server.flavour).await?), ..Survey::default() },
            grants: Grants::of(session, server.flavour).await?,
            place: server.place.to_string(),
            database: text(&row, 0)?.to_string(),
            user: format!("{}@{}", literal(name), literal(host)),
        })
    }

    fn block(&mut self, what: impl std::fmt::Display, remedy: impl Into<String>) {
        let what = format!("{}: {what}", self.place);
        self.found.blockers.push(Finding::general(what, remedy));
    }

    fn warn(&mut self, what: impl std::fmt::Display, remedy: impl Into<String>) {
        let what = format!("{}: {what}", self.place);
        self.found.warnings.push(Finding::general(what, remedy));
    }

    fn block_table(&mut self, table: &TableName, what: impl Into<String>, remedy: impl Into<String>) {
        self.found.blockers.push(Finding::of(table, what, remedy));
    }

    fn warn_table(&mut self, table: &TableName, what: impl Into<String>, remedy: impl Into<String>) {
        self.found.warnings.push(Finding::of(table, what, remedy));
    }

    async fn read_only(&mut self, session: &mut Session, flavour: Flavour, purpose: &str) -> Result<()> {
        let row = match flavour {
            Flavour::Mysql => {
                "SELECT @@GLOBAL.read_only, @@GLOBAL.super_read_only, @@GLOBAL.innodb_read_only"
            }
            Flavour::Mariadb => "SELECT @@GLOBAL.read_only, 0, @@GLOBAL.innodb_read_only",
        };
        let row = session.row(row).await?;
        let writes_anyway = ["SUPER", "CONNECTION_ADMIN", "READ_ONLY ADMIN"];
        let excepted = writes_anyway.iter().any(|p| self.grants.global(p));
        if flag(&row, 1) || flag(&row, 2) || (flag(&row, 0) && !excepted) {
            let what = format!("the server is read-only: highwater can't {purpose}");
            self.block(what, "let the URL lead to the primary, or SET GLOBAL read_only = 0");
        }
        Ok(())
    }

    /// What a replica or a cluster applies as rows fires no triggers.
    async fn replica(&mut self, session: &mut Session, flavour: Flavour) -> Result<()> {
        let galera = session.query("SHOW GLOBAL VARIABLES LIKE 'wsrep_on'").await?;
        if galera.first().is_some_and(|row| flag(row, 1)) {
            let what = "the server is a node of a Galera cluster: what other nodes write is not captured";
            self.block(what, "use a source outside of the cluster");
        }
        let fires = match flavour {
            Flavour::Mysql => false,
            Flavour::Mariadb => {
                let row = session.row("SELECT @@GLOBAL.slave_run_triggers_for_rbr").await?;
                text(&row, 0)? != "NO"
            }
        };
        let sql = match flavour {
            Flavour::Mysql => "SHOW REPLICA STATUS",
            Flavour::Mariadb => "SHOW ALL SLAVES STATUS",
        };
        // A right of its own; who has not got it is not asked for it.
        let replicas = session.query(sql).await.unwrap_or_default();
        if !replicas.is_empty() && !fires {
            let what = "the server is a replica: what it applies fires no triggers and is not captured";
            let remedy = match flavour {
                Flavour::Mysql => "let the URL lead to the primary; RESET REPLICA ALL where it is one by now",
                Flavour::Mariadb => {
                    "let the URL lead to the primary, or SET GLOBAL slave_run_triggers_for_rbr = YES; \
                     RESET SLAVE ALL where it is a primary by now"
                }
            };
            self.block(what, remedy);
        }
        Ok(())
    }

    async fn settings(&mut self, session: &mut Session, installed: bool) -> Result<()> {
        // Some of them go with later versions: what is not there is not asked for.
        let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format', \
                   'log_bin_trust_function_creators', 'innodb_flush_log_at_trx_commit')";
        let rows = session.query(sql).await?;
        let value = |name: &str| {
            let row = rows.iter().find(|row| maybe(row, 0) == Some(name));
            row.and_then(|row| maybe(row, 1)).unwrap_or_default()
        };
        let (logged, trusted) = (value("log_bin") == "ON", value("log_bin_trust_function_creators") != "OFF");
        if logged && !trusted && !self.grants.global("SUPER") {
            let what = "binary logging is on: the server lets only SUPER make triggers";
            let remedy = "SET GLOBAL log_bin_trust_function_creators = 1 (and in the server's settings file)";
            if installed { self.warn(what, remedy) } else { self.block(what, remedy) }
        }
        if logged && value("binlog_format") == "STATEMENT" {
            let what = "binlog_format is STATEMENT: triggers that number log entries are logged as unsafe, \
                        and a replica of the source keeps a change log of its own";
            self.warn(what, "SET GLOBAL binlog_format = 'ROW' (or MIXED), for new sessions");
        }
        if value("innodb_flush_log_at_trx_commit") != "1" {
            let what = "innodb_flush_log_at_trx_commit is not 1: a crash loses the last commits; highwater \
                        hands none on before it is on disk, and so may be a second later";
            self.warn(what, "nothing, or SET GLOBAL innodb_flush_log_at_trx_commit = 1");
        }
        Ok(())
    }

    /// Whether the server would refuse to log what is written at READ COMMITTED.
    async fn logs_statements(&mut self, session: &mut Session) -> Result<()> {
        let sql = "SHOW GLOBAL VARIABLES WHERE (Variable_name, Value) IN (('log_bin', 'ON'), ('binlog_format', 'STATEMENT'))";
        if session.query(sql).await?.len() == 2 {
            let what = "binlog_format is STATEMENT: the server takes no writes at READ COMMITTED";
            self.block(what, "SET GLOBAL binlog_format = 'ROW' (or MIXED), for new sessions");
        }
        Ok(())
    }

    /// Whether the ledger of the same migration stands here.
    async fn swapped(&mut self, session: &mut Session, capture: &str) -> Result<()> {
        let ledger = capture.replacen("highwater_capture", "highwater_ledger", 1) + "_ledger";
        let sql = "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ";
        if !session.query(format!("{sql}{}", literal(&ledger))).await?.is_empty() {
            self.block(
                "the database holds the ledger of this migration, so it is its target",
                "look whether source and target are swapped; a new migration from here takes another name",
            );
        }
        Ok(())
    }

    /// Rights on a whole database.
    fn rights(&mut self, needed: &[&str], database: &str, why: &str) {
        let missing: Vec<&str> =
            needed.iter().copied().filter(|p| !self.grants.holds(p, database, None)).collect();
        if !missing.is_empty() {
            let grant = format!("GRANT {} ON {}.* TO {}", missing.join(", "), quote(database), self.user);
            self.block(why, grant);
        }
    }

    /// SELECT and TRIGGER on production's tables: on all of them, or on each.
    fn production_rights(&mut self, plan: &Plan) {
        let wanted = |captured: bool| if captured { &["SELECT", "TRIGGER"][..] } else { &["TRIGGER"][..] };
        let tables: Vec<(&TableName, bool)> = plan
            .tables
            .iter()
            .map(|t| (&t.source, true))
            .chain(plan.excluded.iter().map(|name| (name, false)))
            .collect();
        let mut missing: Vec<(&TableName, Vec<&str>)> = Vec::new();
        for (table, captured) in &tables {
            let held = |p: &&&str| !self.grants.holds(p, &self.database, Some(&table.name));
            let lacks: Vec<&str> = wanted(*captured).iter().filter(held).copied().collect();
            if !lacks.is_empty() {
                missing.push((table, lacks));
            }
        }
        let database = quote(&self.database);
        if missing.len() == tables.len() && !missing.is_empty() {
            let all: Vec<&str> =
                wanted(true).iter().filter(|p| missing.iter().any(|(_, l)| l.contains(p))).copied().collect();
            let grant = format!("GRANT {} ON {database}.* TO {}", all.join(", "), self.user);
            self.block("highwater may not read and capture the tables", grant);
        } else {
            for (table, lacks) in missing {
                let grant = format!(
                    "GRANT {} ON {database}.{} TO {}",
                    lacks.join(", "),
                    quote(&table.name),
                    self.user
                );
                self.block_table(table, "highwater may not read and capture it", grant);
            }
        }
        if !self.grants.holds("SELECT", &self.database, None) {
            let grant = format!("GRANT SELECT, TRIGGER ON {database}.* TO {}", self.user);
            self.warn("tables without a GRANT of their own can't be seen, and are not carried", grant);
        }
    }

    /// Other engines undo nothing and lock whole tables.
    async fn engines(&mut self, session: &mut Session, plan: &Plan, side: Side) -> Result<()> {
        let mut found = HashMap::new();
        for row in session.query(include_str!("../../../sql/mysql/survey_tables.sql")).await? {
            found.insert(text(&row, 0)?.to_string(), (text(&row, 1)?.to_string(), flag(&row, 2)));
        }
        for table in plan.tables.iter().filter(|t| side == Side::Source || !t.create) {
            let name = if side == Side::Source { &table.source } else { &table.target };
            let Some((engine, versioned)) = found.get(&name.name) else { continue };
            if engine.is_empty() {
                self.block_table(&table.source, format!("{name} can't be opened"), EXCLUDE);
            } else if !engine.eq_ignore_ascii_case("InnoDB") {
                let what = format!("{name} is kept by {engine}, which undoes nothing that was refused");
                let remedy = format!("ALTER TABLE {} ENGINE = InnoDB, or {EXCLUDE}", quote(&name.name));
                self.block_table(&table.source, what, remedy);
            }
            if *versioned && side == Side::Source {
                let what = "it is system-versioned: the present rows are carried, their history is not";
                self.warn_table(&table.source, what, "keep the source for its history");
            }
        }
        for name in plan.excluded.iter().filter(|_| side == Side::Source) {
            if found.get(&name.name).is_some_and(|(engine, _)| !engine.eq_ignore_ascii_case("InnoDB")) {
                let what = "it is not kept by InnoDB: a write that the fence refuses is not undone";
                self.warn_table(name, what, "stop its writers by hand before the final sync");
            }
        }
        Ok(())
    }

    /// A parent in another database carries no triggers of ours.
    async fn cascades(&mut self, session: &mut Session, plan: &Plan) -> Result<()> {
        if let Some(hidden) = facts::hidden_actions(session, &self.database).await? {
            let grant = format!("GRANT SELECT ON {}.* TO {}", quote(&self.database), self.user);
            self.block(hidden, grant);
        }
        for row in session.query(include_str!("../../../sql/mysql/survey_cascades.sql")).await? {
            let name = TableName::bare(text(&row, 0)?);
            if plan.tables.iter().any(|t| t.source == name) {
                let what = format!(
                    "foreign key {} lets {}.{} of another database change its rows, which is not captured",
                    text(&row, 1)?,
                    text(&row, 2)?,
                    text(&row, 3)?
                );
                self.block_table(&name, what, format!("drop the foreign key, or {EXCLUDE}"));
            }
        }
        Ok(())
    }

    /// Whether the fence can be raised: by the same DDL on a table of highwater's own.
    async fn fence(&mut self, source: &Inner) -> Result<()> {
        let Err(error) = raise::attempt_ddl(source).await else { return Ok(()) };
        let remedy = error.remedy_text().unwrap_or("look at the server's log").to_string();
        match error.kind() {
            // What can't be fenced now can be copied and replayed: only a fenced final sync is refused for it.
            Kinds::Refused | Kinds::Unavailable => self.warn(error.summary(), remedy),
            _ => return Err(error),
        }
        Ok(())
    }

    /// Prepared transactions: where they can't be listed, no final sync could say that it is final.
    async fn prepared(&mut self, session: &mut Session) {
        let Ok(open) = session.query("XA RECOVER").await else {
            let grant = format!("GRANT XA_RECOVER_ADMIN ON *.* TO {}", self.user);
            let what = "prepared transactions (XA) can't be listed without XA_RECOVER_ADMIN: what one has written \
                        before the capture, or commits behind the fence, would be lost";
            return self.block(what, grant);
        };
        if !open.is_empty() {
            let names = join(open.iter().map(|row| maybe(row, 3).unwrap_or_default().to_string()), ", ");
            let what = format!("prepared transactions are open: {names}");
            self.warn(what, "XA COMMIT or XA ROLLBACK them: their locks keep capture from being installed");
        }
    }

    /// What the target will not get with the tables that are made there.
    async fn not_carried(&mut self, session: &mut Session, schema: &Schema, plan: &Plan) -> Result<()> {
        if !plan.tables.iter().any(|t| t.create) {
            return Ok(());
        }
        let row = session.row(include_str!("../../../sql/mysql/survey_others.sql")).await?;
        let (views, routines, events): (u64, u64, u64) =
            (number(&row, 0)?, number(&row, 1)?, number(&row, 2)?);
        let triggers: usize = schema.tables.iter().map(|t| t.triggers.len()).sum();
        if views > 0 && !self.grants.holds("SHOW VIEW", &self.database, None) {
            let grant = format!("GRANT SHOW VIEW ON {}.* TO {}", quote(&self.database), self.user);
            self.block("highwater may not read the views that it is to make on the target", grant);
        }
        if views > 0 {
            let what = format!("{views} views are made on the target with highwater's user as their definer");
            self.warn(what, "make them again after the final sync, under the user that is to own them");
        }
        if triggers > 0 || routines > 0 || events > 0 {
            let what = format!(
                "{triggers} triggers, {routines} routines and {events} events are not made on the target: \
                 they would change rows there"
            );
            let remedy = "after the final sync, bring them with mysqldump --no-data \
                          --no-create-info --triggers --routines --events";
            self.warn(what, remedy);
        }
        Ok(())
    }

    /// No literal finds a FLOAT again.
    fn float_key(&mut self, table: &TablePlan) {
        if let Some(column) = table.key_columns().find(|c| Kind::of(&c.source_type) == Kind::Float) {
            let what = format!("key column {} is a FLOAT, by which no row is found again", column.source);
            self.block_table(&table.source, what, format!("make it DOUBLE or DECIMAL, or {EXCLUDE}"));
        }
    }

    /// MySQL shows a document as a text, which has fewer types than the document.
    fn documents(&mut self, table: &TablePlan) {
        let is_document = |c: &&ColumnPair| c.expression.is_none() && Kind::of(&c.source_type) == Kind::Json;
        let names = join(table.columns.iter().filter(is_document).map(|c| c.source.clone()), ", ");
        if !names.is_empty() {
            let what = format!(
                "JSON ({names}) is carried as its text: what SQL functions put into a document as DECIMAL becomes DOUBLE \
                 there, dates and bytes become strings"
            );
            let remedy = "nothing if the application writes JSON as text; else read such values from columns of their own";
            self.warn_table(&table.source, what, remedy);
        }
    }

    /// How it is found out who may still write a log.
    async fn means(&mut self, server: &Server) -> Result<()> {
        let means = retire::means(server).await?;
        let user = self.user.clone();
        if !self.grants.global("PROCESS") {
            let what = "without PROCESS nobody sees TRUNCATE, partition DDL and IMPORT, and the age of open \
                        transactions: what these change is not carried";
            self.warn(what, format!("GRANT PROCESS ON *.* TO {user}"));
        }
        let note = format!("gaps in the change logs are retired by {}", means.name());
        self.found.notes.push(note);
        if means == Means::TableLock {
            let what = "while transactions always overlap, no log can be locked, and its gaps are kept";
            let remedy = match server.flavour {
                Flavour::Mariadb => format!("GRANT PROCESS ON *.* TO {user}"),
                Flavour::Mysql => {
                    format!("GRANT PROCESS ON *.* TO {user}; GRANT SELECT ON performance_schema.* TO {user}")
                }
            };
            self.warn(what, remedy);
        }
        Ok(())
    }

    /// No setting silences triggers.
    fn triggers(&mut self, table: &TablePlan, found: &Table) {
        if found.triggers.is_empty() {
            return;
        }
        let what = format!(
            "{} has triggers ({}), which would fire on replay and can't be silenced",
            table.target,
            found.triggers.join(", ")
        );
        let drops = found.triggers.iter().map(|name| format!("DROP TRIGGER {}", quote(name)));
        let remedy = format!(
            "keep their text (SHOW CREATE TRIGGER), drop them, and make them again after the final sync: {}",
            join(drops, "; ")
        );
        self.block_table(&table.source, what, remedy);
    }

    /// Members of a SET that have no text: the servers themselves copy them as no member, from column to column.
    fn empty_labels(&mut self, table: &TablePlan) {
        let is_lost = |kind: &str| matches!(Kind::of(kind), Kind::Set(_)) && has_empty_label(kind);
        let plain = table.columns.iter().filter(|pair| pair.expression.is_none());
        for pair in plain.filter(|pair| is_lost(&pair.source_type) || is_lost(&pair.target_type)) {
            let what =
                format!("column {} is a SET with an empty label, a member that would get lost", pair.source);
            self.block_table(&table.source, what, EXCLUDE);
        }
    }

    /// Whether keys are told apart, on both sides alike.
    fn collations(&mut self, table: &TablePlan) {
        for (pair, _) in table.matched().filter(|(pair, _)| pair.expression.is_none()) {
            if !same_collation(&pair.source_type, &pair.target_type) {
                let name = |type_name| collation(type_name).unwrap_or("none").to_string();
                let what = format!(
                    "{}.{} tells keys apart by collation {}, the source by {}",
                    table.target,
                    pair.target,
                    name(&pair.target_type),
                    name(&pair.source_type)
                );
                self.block_table(&table.source, what, "give the key's columns the same collation");
            }
        }
    }

    /// Whether a table like the source's can be made here.
    fn makeable(&mut self, table: &TablePlan, flavour: Flavour, collations: &HashSet<String>) {
        for pair in &table.columns {
            let unknown = collation(&pair.source_type).filter(|name| !collations.contains(*name));
            if let Some(name) = unknown {
                let what =
                    format!("column {} has collation {name}, which the target does not know", pair.source);
                self.block_table(&table.source, what, "make the table there with another one, or exclude it");
            }
            let foreign = match Kind::of(&pair.source_type) {
                Kind::Address => flavour == Flavour::Mysql,
                Kind::Json => flavour == Flavour::Mariadb,
                _ => false,
            };
            if foreign {
                let what = format!("column {} is {}, which {flavour} has not", pair.source, pair.source_type);
                self.block_table(&table.source, what, "make the table there with a column of text");
            }
        }
    }

    /// Events write by themselves.
    async fn events(&mut self, session: &mut Session) -> Result<()> {
        let sql = "SELECT GROUP_CONCAT(EVENT_NAME SEPARATOR ', ') FROM information_schema.EVENTS \
                   WHERE EVENT_SCHEMA = DATABASE() AND STATUS = 'ENABLED' AND @@GLOBAL.event_scheduler = 'ON'";
        if let Some(names) = maybe(&session.row(sql).await?, 0) {
            let what = format!("events run on the target: {names}");
            self.warn(what, "ALTER EVENT .. DISABLE those that write carried tables, until the final sync");
        }
        Ok(())
    }
}

/// In what servers differ: a row that is larger than a packet does not arrive.
async fn manners(session: &mut Session, flavour: Flavour) -> Result<Manners> {
    let row = session.row("SELECT @@lower_case_table_names, @@GLOBAL.max_allowed_packet").await?;
    Ok(Manners {
        maker: flavour.to_string(),
        caseless: text(&row, 0)? != "0",
        largest_row: number(&row, 1)?,
        raise: |bytes| {
            format!("SET GLOBAL max_allowed_packet = {bytes} on the target (and in its settings file)")
        },
    })
}

/// The collations that the server knows, as columns name them.
pub(super) async fn collations(session: &mut Session, server: &Server) -> Result<HashSet<String>> {
    let sql = if server.flavour == Flavour::Mariadb && server.version_numbers() >= (10, 10, 1) {
        "SELECT FULL_COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY"
    } else {
        "SELECT COLLATION_NAME FROM information_schema.COLLATIONS"
    };
    let rows = session.query(sql).await?;
    rows.iter().map(|row| Ok(text(row, 0)?.to_string())).collect()
}

/// As [`Target::script_rights`](crate::engine::Target::script_rights): what DDL takes besides what highwater's own work
/// on the target takes.
pub(super) async fn script_rights(server: &Server) -> Result<Vec<Finding>> {
    let mut session = server.session().await?;
    let grants = Grants::of(&mut session, server.flavour).await?;
    session.close();
    let missing: Vec<&str> = ["INDEX", "REFERENCES", "CREATE VIEW", "CREATE ROUTINE"]
        .into_iter()
        .filter(|privilege| !grants.holds(privilege, &server.database, None))
        .collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let (missing, database) = (missing.join(", "), quote(&server.database));
    Ok(vec![Finding::general(
        format!("{}: scripts of the upgrade that need {missing} are refused", server.place),
        format!("GRANT {missing} ON {database}.* TO the user of the URL"),
    )])
}
