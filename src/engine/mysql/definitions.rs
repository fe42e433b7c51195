//! The definitions that make the schema elsewhere, out of what SHOW CREATE says.
//!
//! Triggers, routines and events are not among them: triggers would fire on replay, and the others may
//! write. The survey says how to bring them when the target is on its own.

use std::collections::{HashMap, HashSet};

use super::connect::Server;
use super::create::{Create, Item, ItemKind, find, names, unqualified};
use super::schema::is_own_table;
use super::session::{Session, text};
use super::value::quote;
use crate::engine::{Definition, Stage};
use crate::error::{Error, Result};
use crate::model::{Plan, TablePlan};

/// The statements that make the tables which are marked `create`, or everything.
pub(super) async fn definitions(server: &Server, plan: &Plan, whole: bool) -> Result<Vec<Definition>> {
    let mut session = server.session().await?;
    // Names are taken out of what is said by their back-ticks.
    session.execute("SET SESSION sql_quote_show_create = 1").await?;
    let objects = Objects::read(&mut session).await?;
    let planned: HashMap<&str, &TablePlan> =
        plan.tables.iter().filter(|t| t.create).map(|t| (t.source.name.as_str(), t)).collect();
    let mut made = Vec::new();
    for name in &objects.tables {
        let table = planned.get(name.as_str()).copied();
        if table.is_some() || whole {
            let said = shown(&mut session, "TABLE", name).await?;
            made.extend(of_table(&unqualified(&said, &objects.database), name, table)?);
        }
    }
    let sequences = sequences(&mut session, &objects, &made, whole).await?;
    made.splice(0..0, sequences);
    if whole {
        made.extend(views(&mut session, &objects).await?);
    }
    session.close();
    // Stable: within a stage indexes stand before foreign keys, and these before views.
    made.sort_by_key(|definition| (definition.stage, rank(&definition.sql)));
    Ok(made)
}

/// What stands in the database, by name.
struct Objects {
    database: String,
    tables: Vec<String>,
    sequences: Vec<String>,
    views: Vec<String>,
}

impl Objects {
    async fn read(session: &mut Session) -> Result<Self> {
        let database = text(&session.row("SELECT DATABASE()").await?, 0)?.to_string();
        let mut found = Objects { database, tables: vec![], sequences: vec![], views: vec![] };
        for row in session.query(include_str!("../../../sql/mysql/objects.sql")).await? {
            let (name, kind) = (text(&row, 0)?.to_string(), text(&row, 1)?);
            match kind {
                "VIEW" => found.views.push(name),
                "SEQUENCE" => found.sequences.push(name),
                _ if is_own_table(&name) => {}
                _ => found.tables.push(name),
            }
        }
        Ok(found)
    }
}

/// What SHOW CREATE says.
pub(super) async fn shown(session: &mut Session, kind: &str, name: &str) -> Result<String> {
    let row = session.row(format!("SHOW CREATE {kind} {}", quote(name))).await?;
    Ok(text(&row, 1)?.to_string())
}

/// A foreign key needs its parent's indexes, a view its tables.
fn rank(sql: &str) -> u8 {
    if !sql.starts_with("ALTER TABLE ") {
        2
    } else if find(sql, " FOREIGN KEY ").is_some() {
        1
    } else {
        0
    }
}

/// The statements of one table: what rows need first, then one statement for each stage.
fn of_table(said: &str, name: &str, plan: Option<&TablePlan>) -> Result<Vec<Definition>> {
    let create = Create::parse(said)
        .ok_or_else(|| Error::failed(format!("the server's definition of table {name} can't be read")))?;
    let key: HashSet<&str> = plan.map(|p| p.key.iter().map(String::as_str).collect()).unwrap_or_default();
    let counter = create.counter_index().cloned();
    let is_key = |item: &Item| {
        let columns = item.columns();
        !key.is_empty() && columns.len() == key.len() && columns.iter().all(|c| key.contains(c.as_str()))
    };
    let stage = |item: &Item| match item.kind {
        _ if counter.as_ref() == Some(item) => Stage::Tables,
        ItemKind::Column | ItemKind::Primary | ItemKind::Other => Stage::Tables,
        // It takes the primary key's place: rows stand in its order, and later all would be moved.
        ItemKind::Unique if is_key(item) && !create.has_primary() => Stage::Tables,
        ItemKind::Unique if is_key(item) => Stage::Key,
        ItemKind::Unique => Stage::Unique,
        ItemKind::Index | ItemKind::Special | ItemKind::Foreign => Stage::Rest,
    };
    let define = |stage: Stage, sql: String| Definition { stage, table: plan.map(TablePlan::label), sql };
    let mut made = vec![define(Stage::Tables, create.sql(|item| stage(item) == Stage::Tables))];
    let alter = |wanted: &dyn Fn(&Item) -> bool| {
        let added: Vec<String> =
            create.items.iter().filter(|i| wanted(i)).map(|i| format!("ADD {}", i.text)).collect();
        (!added.is_empty()).then(|| format!("ALTER TABLE {}\n  {}", quote(name), added.join(",\n  ")))
    };
    for at in [Stage::Key, Stage::Unique] {
        made.extend(alter(&|i| stage(i) == at).map(|sql| define(at, sql)));
    }
    let plain = |i: &Item| stage(i) == Stage::Rest && i.kind == ItemKind::Index;
    made.extend(alter(&plain).map(|sql| define(Stage::Rest, sql)));
    // The servers make one of these at a time without copying the table.
    for special in create.items.iter().filter(|i| i.kind == ItemKind::Special) {
        made.extend(alter(&|i| i == special).map(|sql| define(Stage::Rest, sql)));
    }
    made.extend(alter(&|i| i.kind == ItemKind::Foreign).map(|sql| define(Stage::Rest, sql)));
    Ok(made)
}

/// MariaDB's sequences: all, or those that the tables' defaults name.
async fn sequences(
    session: &mut Session,
    objects: &Objects,
    tables: &[Definition],
    whole: bool,
) -> Result<Vec<Definition>> {
    let mut made = Vec::new();
    for name in &objects.sequences {
        let needed = whole || tables.iter().any(|t| names(&t.sql).contains(name));
        if needed {
            let said = unqualified(&shown(session, "SEQUENCE", name).await?, &objects.database);
            let sql = said.replacen("CREATE SEQUENCE ", "CREATE SEQUENCE IF NOT EXISTS ", 1);
            made.push(Definition { stage: Stage::Tables, table: None, sql });
        }
    }
    Ok(made)
}

/// The views, those first that others are made of.
async fn views(session: &mut Session, objects: &Objects) -> Result<Vec<Definition>> {
    let mut waiting: Vec<(String, String)> = Vec::new();
    for name in &objects.views {
        let said = without_definer(&shown(session, "VIEW", name).await?);
        waiting.push((name.clone(), unqualified(&said, &objects.database)));
    }
    let mut made = Vec::new();
    while !waiting.is_empty() {
        let free = |(name, sql): &(String, String)| {
            let used = names(sql);
            !waiting.iter().any(|(other, _)| other != name && used.contains(other))
        };
        // A column of a view's name may look like a circle; then any order is as good.
        let next = waiting.iter().position(free).unwrap_or(0);
        let (_, sql) = waiting.remove(next);
        made.push(Definition { stage: Stage::Rest, table: None, sql });
    }
    Ok(made)
}

/// The definer may not exist on the target; the view then belongs to whoever makes it.
fn without_definer(said: &str) -> String {
    match (find(said, " DEFINER="), find(said, " SQL SECURITY ")) {
        (Some(from), Some(to)) if from < to => {
            format!("{}{}", said.get(..from).unwrap_or_default(), said.get(to..).unwrap_or_default())
        }
        _ => said.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "CREATE TABLE `c` (
  `id` int NOT NULL,
  `n` bigint NOT NULL AUTO_INCREMENT,
  `p` int DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `u` (`p`),
  KEY `n` (`n`),
  KEY `p` (`p`),
  FULLTEXT KEY `f` (`t`),
  CONSTRAINT `fk` FOREIGN KEY (`p`) REFERENCES `p` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB AUTO_INCREMENT=9";

    #[test]
    fn what_rows_need_comes_first() {
        let made = of_table(SAID, "c", None).unwrap();
        let all: Vec<(Stage, &str)> = made.iter().map(|d| (d.stage, d.sql.as_str())).collect();
        let table = "CREATE TABLE `c` (\n  `id` int NOT NULL,\n  `n` bigint NOT NULL AUTO_INCREMENT,\n  \
                     `p` int DEFAULT NULL,\n  PRIMARY KEY (`id`),\n  KEY `n` (`n`)\n) ENGINE=InnoDB";
        assert_eq!(
            all,
            [
                (Stage::Tables, table),
                (Stage::Unique, "ALTER TABLE `c`\n  ADD UNIQUE KEY `u` (`p`)"),
                (Stage::Rest, "ALTER TABLE `c`\n  ADD KEY `p` (`p`)"),
                (Stage::Rest, "ALTER TABLE `c`\n  ADD FULLTEXT KEY `f` (`t`)"),
                (
                    Stage::Rest,
                    "ALTER TABLE `c`\n  ADD CONSTRAINT `fk` FOREIGN KEY (`p`) REFERENCES `p` (`id`) \
                     ON DELETE CASCADE"
                ),
            ]
        );
    }

    #[test]
    fn a_view_loses_its_definer() {
        let said = "CREATE ALGORITHM=UNDEFINED DEFINER=`a SQL SECURITY `@`%` SQL SECURITY INVOKER VIEW `v` AS select 1";
        assert_eq!(
            without_definer(said),
            "CREATE ALGORITHM=UNDEFINED SQL SECURITY INVOKER VIEW `v` AS select 1"
        );
    }
}
