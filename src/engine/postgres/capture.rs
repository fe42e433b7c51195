//! The statements that put capture on a table: what `plan --ddl` prints and what is run are the same.

use sha2::{Digest, Sha256};

use super::connect::literal;
use super::facts::{KeyColumn, Member, MemberKind, Subject};
use crate::engine::template::fill;
use crate::model::{TableName, quote};

/// The form of the capture objects. Another one is refused.
pub(super) const VERSION: u32 = 3;

/// PostgreSQL's limit of a name, in bytes.
const NAME_BYTES: usize = 63;

/// What capture looks like on one source.
#[derive(Debug, Clone)]
pub(super) struct Capture {
    /// The schema of the capture objects.
    pub(super) schema: String,
    /// The migration's name.
    pub(super) migration: String,
    /// The source is a subscriber: its apply workers fire row triggers only.
    pub(super) by_row: bool,
    /// The server's version number (`150004`).
    pub(super) server: u32,
}

impl Capture {
    /// The name of the table's log.
    pub(super) fn log_name(&self, table: &TableName) -> String {
        shorten(&full_name(table))
    }

    /// The table's log, as SQL.
    pub(super) fn log(&self, table: &TableName) -> String {
        log_of(&self.schema, table)
    }

    /// An object of the capture schema, as SQL.
    pub(super) fn object(&self, name: &str) -> String {
        format!("{}.{}", quote(&self.schema), quote(name))
    }

    /// The name of the fence's trigger on a table that is only fenced: it sorts before all others, and
    /// triggers fire by name.
    fn fence_trigger(&self) -> String {
        shorten(&format!("!{}_fence", self.schema))
    }

    /// The name of the fence's row trigger, for sources that subscribe.
    fn fence_row_trigger(&self) -> String {
        shorten(&format!("!{}_fence_row", self.schema))
    }

    /// The name of the trigger that logs an event.
    fn event_trigger(&self, event: &Event) -> String {
        shorten(&format!("{}_{}", self.schema, event.name))
    }

    /// The name of the trigger that every member of the table has.
    pub(super) fn common_trigger(&self, subject: &Subject) -> String {
        if subject.captured { shorten(&format!("{}_truncate", self.schema)) } else { self.fence_trigger() }
    }

    /// Makes the schema, if it is not there, with what belongs to no single table. `role` is the one that
    /// highwater runs as.
    pub(super) fn schema_statements(&self, is_there: bool, role: &str) -> Vec<String> {
        let s = quote(&self.schema);
        let pairs = [
            ("s", s.clone()),
            ("version", VERSION.to_string()),
            ("role", literal(role)),
            ("schema_name", literal(&self.schema)),
            ("fence_name", body_literal(&format!("{s}.fence"))),
        ];
        let schema = (!is_there).then(|| format!("CREATE SCHEMA {s}"));
        schema
            .into_iter()
            .chain([
                filled(include_str!("../../../sql/postgres/capture_schema.sql"), &pairs),
                filled(include_str!("../../../sql/postgres/fence_schema.sql"), &pairs),
            ])
            .collect()
    }

    /// Makes log, functions, triggers and registry row of a table. `subjects` are all of them, for the
    /// heirs.
    pub(super) fn table_statements(&self, subject: &Subject, subjects: &[Subject]) -> Vec<String> {
        let members: Vec<&Member> = subject.members.iter().collect();
        let mut statements = self.definition(subject, subjects);
        statements.extend(self.triggers(subject, &members));
        statements.push(self.registry_row(subject, subjects));
        statements.push(self.register_members(subject, &members));
        if subject.captured {
            let (s, log) = (quote(&self.schema), literal(&self.log_name(&subject.name)));
            statements.push(format!("SELECT {s}.fence_new_log({log})"));
        }
        statements
    }

    /// Identifies what is made for a table, apart from its partitions.
    pub(super) fn digest(&self, subject: &Subject, subjects: &[Subject]) -> String {
        let mut hash = Sha256::new();
        for statement in self.definition(subject, subjects) {
            hash.update(statement);
        }
        for ancestor in
            subjects.iter().filter(|s| s.heirs.iter().any(|h| subjects[*h].label == subject.label))
        {
            hash.update(&ancestor.label);
        }
        hash.update([u8::from(self.by_row)]);
        hex::encode(&hash.finalize()[..8])
    }

    pub(super) fn definition(&self, subject: &Subject, subjects: &[Subject]) -> Vec<String> {
        if !subject.captured {
            return vec![self.fence_flag(subject)];
        }
        let mut statements = vec![self.log_table(subject)];
        statements.extend(self.functions(subject, subjects));
        statements
    }

    /// Makes the triggers of members. They exist on all before they are enabled on any: some servers
    /// enable those of the same name on all partitions at once.
    pub(super) fn triggers(&self, subject: &Subject, members: &[&Member]) -> Vec<String> {
        let mut make = Vec::new();
        let mut enable = Vec::new();
        for member in members {
            for (name, statement) in self.member_triggers(subject, member) {
                make.push(statement);
                if member.owned {
                    let (table, name) = (member.name.sql(), quote(&name));
                    enable.push(format!("ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER {name}"));
                }
            }
        }
        make.extend(enable);
        make
    }

    fn member_triggers(&self, subject: &Subject, member: &Member) -> Vec<(String, String)> {
        let mut triggers = Vec::new();
        let mut add = |name: &str, when: &str, level: &str, event: &str| {
            let function = self.function(subject, event);
            triggers
                .push((name.to_string(), self.create_trigger(&member.name, name, when, level, &function)));
        };
        if !subject.captured {
            let truncates = member.kind != MemberKind::Foreign || self.server >= 160_000;
            let fence = if truncates { FENCE } else { "BEFORE INSERT OR UPDATE OR DELETE" };
            add(&self.fence_trigger(), fence, "STATEMENT", "fence");
            if self.by_row && member.kind == MemberKind::Table {
                let name = self.fence_row_trigger();
                add(&name, "BEFORE INSERT OR UPDATE OR DELETE", "ROW", "fence");
            }
            return triggers;
        }
        for event in EVENTS {
            let name = self.event_trigger(&event);
            if event.name == "truncate" {
                add(&name, event.when, "STATEMENT", event.name);
            } else if !self.by_row {
                add(&name, event.when, &format!("{}STATEMENT", event.transition), event.name);
            } else if member.kind == MemberKind::Table {
                add(&name, event.when, "ROW", event.name);
            }
        }
        triggers
    }

    /// Notes what members look like now: only those that were given triggers, for another one may have
    /// been attached since.
    pub(super) fn register_members(&self, subject: &Subject, members: &[&Member]) -> String {
        let members: Vec<String> =
            members.iter().map(|m| format!("{}::regclass", literal(&m.name.sql()))).collect();
        let own = literal(&self.schema);
        let digest = fill(include_str!("../../../sql/postgres/digest.sql").trim(), &[("schema_name", &own)]);
        fill(
            include_str!("../../../sql/postgres/register.sql"),
            &[
                ("digest", &digest),
                ("s", &quote(&self.schema)),
                ("log_name", &literal(&self.log_name(&subject.name))),
                ("members", &members.join(", ")),
            ],
        )
    }

    /// Drops what belongs to a table: its triggers go with the functions, which does not take the
    /// table's owner.
    pub(super) fn drop_statements(&self, log_name: &str) -> Vec<String> {
        let functions: Vec<String> = EVENTS
            .iter()
            .map(|e| e.name)
            .chain(["fence"])
            .map(|event| format!("{}()", self.object(&shorten(&format!("{log_name} {event}")))))
            .collect();
        vec![
            format!("DROP FUNCTION IF EXISTS {} CASCADE", functions.join(", ")),
            format!("DROP TABLE IF EXISTS {}", self.object(log_name)),
            format!("DELETE FROM {}.tables WHERE log = {}", quote(&self.schema), literal(log_name)),
            format!("DELETE FROM {}.broken WHERE log = {}", quote(&self.schema), literal(log_name)),
        ]
    }

    /// Drops the triggers of a table that is no member any more.
    pub(super) fn drop_triggers(&self, table: &str) -> Vec<String> {
        let events = EVENTS.iter().map(|event| self.event_trigger(event));
        events
            .chain([self.fence_row_trigger(), self.fence_trigger()])
            .map(|name| format!("DROP TRIGGER IF EXISTS {} ON {table}", quote(&name)))
            .collect()
    }

    /// What a role needs to use capture that another one has installed.
    pub(super) fn grants(&self, subjects: &[Subject], role: &str) -> Vec<String> {
        let (s, role) = (quote(&self.schema), quote(role));
        let mut grants = vec![
            format!("GRANT USAGE ON SCHEMA {s} TO {role}"),
            format!("GRANT SELECT ON ALL TABLES IN SCHEMA {s} TO {role}"),
            format!("GRANT UPDATE ON {s}.tables, {s}.fence, {s}.heartbeat TO {role}"),
            format!("GRANT INSERT, DELETE ON {s}.members, {s}.canary, {s}.broken TO {role}"),
            format!("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {s} TO {role}"),
        ];
        let logs = subjects.iter().filter(|t| t.captured && t.relid().is_some());
        grants.extend(logs.map(|t| format!("GRANT INSERT, DELETE ON {} TO {role}", self.log(&t.name))));
        grants
    }

    fn function(&self, subject: &Subject, event: &str) -> String {
        self.object(&shorten(&format!("{} {event}", self.log_name(&subject.name))))
    }

    fn create_trigger(
        &self,
        table: &TableName,
        name: &str,
        when: &str,
        level: &str,
        function: &str,
    ) -> String {
        let (name, table) = (quote(name), table.sql());
        // In `level` the transition tables stand before the level itself.
        let (transition, level) = level.rsplit_once('\n').map_or(("", level), |(t, l)| (t, l));
        format!(
            "CREATE TRIGGER {name} {when} ON {table}{transition} FOR EACH {level} EXECUTE FUNCTION {function}()"
        )
    }

    fn log_table(&self, subject: &Subject) -> String {
        let columns: String = subject
            .key
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let collation =
                    column.collation.as_ref().map(|c| format!(" COLLATE {c}")).unwrap_or_default();
                format!("    k{:<11}{}{collation},\n", i + 1, column.log_type)
            })
            .collect();
        let text = include_str!("../../../sql/postgres/capture_log.sql");
        fill(text, &[("log", &self.log(&subject.name)), ("columns", &columns)]).trim().to_string()
    }

    fn fence_flag(&self, subject: &Subject) -> String {
        let s = quote(&self.schema);
        let text = include_str!("../../../sql/postgres/fence_flag.sql");
        let pairs = [
            ("function", self.function(subject, "fence")),
            ("fence_name", body_literal(&format!("{s}.fence"))),
            ("s", s),
        ];
        filled(text, &pairs)
    }

    fn functions(&self, subject: &Subject, subjects: &[Subject]) -> Vec<String> {
        let heirs = subject.heirs.iter().filter_map(|heir| subjects.get(*heir));
        let logged: Vec<&Subject> = [subject].into_iter().chain(heirs).collect();
        EVENTS
            .iter()
            .map(|event| {
                // A row trigger fires on the heir itself, an INSERT stays in the parent, and a TRUNCATE
                // fires the triggers of every table that it reaches.
                let through_parent = !self.by_row && matches!(event.name, "update" | "delete");
                let logged = if through_parent { &logged[..] } else { &logged[..1] };
                let blocks: String = logged.iter().map(|table| self.block(table, event.name)).collect();
                let pairs = [
                    ("function", self.function(subject, event.name)),
                    ("migration", body_literal(&self.migration)),
                    ("s", quote(&self.schema)),
                    ("blocks", blocks),
                ];
                filled(include_str!("../../../sql/postgres/capture_function.sql"), &pairs)
            })
            .collect()
    }

    fn block(&self, table: &Subject, event: &str) -> String {
        let s = quote(&self.schema);
        let statement = match (event, table.key.is_empty(), self.by_row) {
            ("truncate", _, _) => self.log_truncate(table),
            (_, true, false) => self.log_whole(table, event),
            (_, true, true) => format!("        INSERT INTO {} (kind) VALUES ('W')", self.log(&table.name)),
            (_, false, true) => self.log_row(table, event),
            ("insert", false, false) => self.log_keys(table, "I", "highwater_new"),
            ("delete", false, false) => self.log_keys(table, "D", "highwater_old"),
            (_, false, false) => self.log_update(table),
        };
        let key = if event == "truncate" { &[] } else { &table.key[..] };
        fill(
            include_str!("../../../sql/postgres/capture_block.sql"),
            &[
                ("intact", &self.intact(&self.log_name(&table.name), key, &["INSERT"])),
                ("statement", &statement),
                ("broken_intact", &self.intact("broken", &[], &["INSERT", "SELECT"])),
                ("log_name", &body_literal(&self.log_name(&table.name))),
                ("s", &s),
            ],
        )
    }

    /// Whether the triggers' owner has those rights on the log and the key columns are still what the statement takes
    /// them for: by look-ups of single rows in the catalogue. Without that check the error would be production's.
    fn intact(&self, log_name: &str, key: &[KeyColumn], rights: &[&str]) -> String {
        let key: String = key
            .iter()
            .enumerate()
            .map(|(number, column)| {
                let pairs = [
                    ("alias", format!("k{}", number + 1)),
                    ("column", body_literal(&column.name)),
                    ("type_id", column.type_id.to_string()),
                ];
                format!("\n{}", filled(include_str!("../../../sql/postgres/capture_intact_key.sql"), &pairs))
            })
            .collect();
        let right = |right| format!("\n            AND pg_catalog.has_table_privilege(l.oid, '{right}')");
        let pairs = [
            ("log_name", body_literal(log_name)),
            ("schema_name", body_literal(&self.schema)),
            ("key", key),
            ("rights", rights.iter().map(right).collect()),
        ];
        filled(include_str!("../../../sql/postgres/capture_intact.sql"), &pairs)
    }

    fn log_keys(&self, table: &Subject, kind: &str, rows: &str) -> String {
        let keys = each(&table.key, |_, name| format!("r.{name}"));
        format!(
            "        INSERT INTO {} (kind, {})\n        SELECT '{kind}', {keys} FROM {rows} AS r",
            self.log(&table.name),
            numbered(&table.key)
        )
    }

    /// An update that changes a key is the end of one and the begin of another.
    fn log_update(&self, table: &Subject) -> String {
        let Some(first) = table.key.first().map(|c| quote(&c.name)) else {
            return String::new();
        };
        let keys = each(&table.key, |_, name| format!("coalesce(n.{name}, o.{name})"));
        let same: Vec<String> = table
            .key
            .iter()
            .map(|c| {
                let name = quote(&c.name);
                format!("o.{name} OPERATOR({}.=) n.{name}", quote(&c.operators))
            })
            .collect();
        format!(
            "        INSERT INTO {} (kind, {})\n        \
             SELECT CASE WHEN o.{first} IS NULL THEN 'I' WHEN n.{first} IS NULL THEN 'D' ELSE 'U' END, {keys}\n        \
             FROM highwater_old AS o FULL JOIN highwater_new AS n ON {}",
            self.log(&table.name),
            numbered(&table.key),
            same.join(" AND ")
        )
    }

    fn log_row(&self, table: &Subject, event: &str) -> String {
        let insert = |kind: &str, row: &str| {
            let keys = each(&table.key, |_, name| format!("{row}.{name}"));
            let (log, columns) = (self.log(&table.name), numbered(&table.key));
            format!("        INSERT INTO {log} (kind, {columns}) VALUES ('{kind}', {keys})")
        };
        match event {
            "insert" => insert("I", "NEW"),
            "delete" => insert("D", "OLD"),
            _ => {
                // As images: what texts look like is up to the writer's settings.
                let row = |r: &str| each(&table.key, |_, name| format!("{r}.{name}"));
                let (old, new) = (row("OLD"), row("NEW"));
                format!(
                    "        IF ROW({old})::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW({new})::pg_catalog.record THEN\n    {};\n    {};\n        ELSE\n    {};\n        END IF",
                    insert("D", "OLD"),
                    insert("I", "NEW"),
                    insert("U", "NEW")
                )
            }
        }
    }

    fn log_whole(&self, table: &Subject, event: &str) -> String {
        let any = match event {
            "insert" => "EXISTS (SELECT FROM highwater_new)",
            "delete" => "EXISTS (SELECT FROM highwater_old)",
            _ => "EXISTS (SELECT FROM highwater_new) OR EXISTS (SELECT FROM highwater_old)",
        };
        format!("        INSERT INTO {} (kind) SELECT 'W' WHERE {any}", self.log(&table.name))
    }

    /// A TRUNCATE gives the table new storage, which is then no sign of a rebuilt table. Where that can't be noted, the
    /// table is taken for rebuilt.
    fn log_truncate(&self, table: &Subject) -> String {
        let s = quote(&self.schema);
        let storage = self.intact("storage", &[], &["INSERT"]);
        format!(
            "        INSERT INTO {} (kind) VALUES ('T');\n        \
             IF {storage} THEN\n            \
             INSERT INTO {s}.storage (relid, filenode) SELECT c.oid, c.relfilenode \
             FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) TG_RELID;\n        \
             END IF",
            self.log(&table.name)
        )
    }

    fn registry_row(&self, subject: &Subject, subjects: &[Subject]) -> String {
        let schema = subject.name.schema.as_deref().unwrap_or("public");
        let log_relid = if subject.captured {
            format!("{}::regclass", literal(&self.log(&subject.name)))
        } else {
            "NULL".to_string()
        };
        format!(
            "INSERT INTO {}.tables (log, label, schema_name, table_name, relid, log_relid, captured, definition)\n\
             VALUES ({}, {}, {}, {}, {}::regclass, {log_relid}, {}, '{}')",
            quote(&self.schema),
            literal(&self.log_name(&subject.name)),
            literal(&subject.label),
            literal(schema),
            literal(&subject.name.name),
            literal(&subject.name.sql()),
            subject.captured,
            self.digest(subject, subjects)
        )
    }
}

/// A text as a literal in a function's body, which is read under the writer's `standard_conforming_strings`.
fn body_literal(text: &str) -> String {
    let plain = literal(text);
    if text.contains('\\') { format!("E{}", plain.replace('\\', "\\\\")) } else { plain }
}

/// A statement of `sql/` without what ends it.
fn filled(text: &str, pairs: &[(&str, String)]) -> String {
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fill(text.trim_matches('\n'), &pairs)
}

/// The log of a table in the capture schema `schema`, as SQL.
pub(super) fn log_of(schema: &str, table: &TableName) -> String {
    format!("{}.{}", quote(schema), quote(&shorten(&full_name(table))))
}

const FENCE: &str = "BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE";

struct Event {
    name: &'static str,
    when: &'static str,
    transition: &'static str,
}

const EVENTS: [Event; 4] = [
    Event { name: "insert", when: "AFTER INSERT", transition: " REFERENCING NEW TABLE AS highwater_new\n" },
    Event {
        name: "update",
        when: "AFTER UPDATE",
        transition: " REFERENCING OLD TABLE AS highwater_old NEW TABLE AS highwater_new\n",
    },
    Event { name: "delete", when: "AFTER DELETE", transition: " REFERENCING OLD TABLE AS highwater_old\n" },
    Event { name: "truncate", when: "AFTER TRUNCATE", transition: "" },
];

/// `k1, k2` for that many key columns.
pub(super) fn numbered(key: &[KeyColumn]) -> String {
    each(key, |number, _| format!("k{number}"))
}

/// One expression per key column from its number and quoted name, with commas between.
pub(super) fn each(key: &[KeyColumn], expression: impl Fn(usize, &str) -> String) -> String {
    let all: Vec<String> = key.iter().enumerate().map(|(i, c)| expression(i + 1, &quote(&c.name))).collect();
    all.join(", ")
}

fn full_name(table: &TableName) -> String {
    format!("{}.{}", table.schema.as_deref().unwrap_or("public"), table.name)
}

/// A name that fits: one that is too long ends with a digest of the whole.
fn shorten(name: &str) -> String {
    if name.len() <= NAME_BYTES {
        return name.to_string();
    }
    let digest = hex::encode(&Sha256::digest(name)[..6]);
    let mut end = NAME_BYTES - digest.len() - 1;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{digest}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_stay_apart_and_fit() {
        let (a, b) = (format!("public.{}a", "ä".repeat(40)), format!("public.{}b", "ä".repeat(40)));
        assert!(shorten(&a).len() <= NAME_BYTES && shorten(&b).len() <= NAME_BYTES);
        assert_ne!(shorten(&a), shorten(&b));
        assert_eq!(shorten("public.orders"), "public.orders");
    }

    #[test]
    fn literals_in_bodies_do_not_depend_on_settings() {
        assert_eq!(body_literal("it's"), "'it''s'");
        assert_eq!(body_literal("a\\'b"), "E'a\\\\''b'");
    }
}
