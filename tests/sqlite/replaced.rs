//! REPLACE in all its ways: random tables and statements, every row that goes must be logged.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::rig::{Rig, plain};
use crate::support::seeds;

/// Tables of one seed, and how often rows are changed and compared.
const TABLES: usize = 12;
const ROUNDS: usize = 12;
const STATEMENTS: usize = 12;

/// Few values, so that they collide: some are equal by one collation or type and not by another.
const VALUES: [&str; 16] = [
    "NULL", "NULL", "0", "1", "2", "3", "1.0", "'1'", "'a'", "'A'", "'a '", "'b'", "'B'", "''", "x'61'", "-1",
];

const DEFAULTS: [&str; 12] = [
    "1",
    "'a'",
    "'A'",
    "2.0",
    "(1 + 1)",
    "(lower('A'))",
    "(abs(random()) % 3)",
    "x'61'",
    "-1",
    "NULL",
    "TRUE",
    "word",
];

const CONFLICTS: [&str; 6] = ["", "", "REPLACE", "REPLACE", "IGNORE", "FAIL"];

/// A table that statements are made for.
struct Table {
    name: String,
    columns: Vec<&'static str>,
    sql: String,
}

struct Maker {
    random: StdRng,
}

impl Maker {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.choose(&mut self.random).unwrap()
    }

    fn is(&mut self, percent: u32) -> bool {
        self.random.random_ratio(percent, 100)
    }

    fn conflict(&mut self) -> String {
        match self.one(&CONFLICTS) {
            "" => String::new(),
            clause => format!(" ON CONFLICT {clause}"),
        }
    }

    fn collate(&mut self) -> String {
        let collation = self.one(&["", "", "BINARY", "NOCASE", "RTRIM"]);
        if collation.is_empty() { String::new() } else { format!(" COLLATE {collation}") }
    }

    /// Some of the columns in any order.
    fn some(&mut self, columns: &[&'static str]) -> Vec<&'static str> {
        let count = self.random.random_range(1..=columns.len().min(3));
        columns.choose_multiple(&mut self.random, count).copied().collect()
    }

    fn column(&mut self, name: &str) -> String {
        let mut sql = format!("{name} {}", self.one(&["", "INTEGER", "TEXT", "NUMERIC", "REAL", "BLOB"]));
        if self.is(40) {
            sql += &format!(" NOT NULL{}", self.conflict());
        }
        if self.is(60) {
            sql += &format!(" DEFAULT {}", self.one(&DEFAULTS));
        }
        sql + &self.collate()
    }

    /// The key, and the names of columns besides `a` to `d` that can be written.
    fn key(&mut self) -> (Vec<String>, Vec<&'static str>, &'static str) {
        let conflict = self.conflict();
        let collate = self.collate();
        match self.random.random_range(0..6) {
            0 => (vec![format!("k INTEGER PRIMARY KEY{conflict}")], vec!["k"], ""),
            1 => (vec![format!("k TEXT NOT NULL PRIMARY KEY{conflict}{collate}")], vec!["k"], ""),
            2 => (
                vec![format!("k ANY NOT NULL DEFAULT 1 PRIMARY KEY{conflict}{collate}")],
                vec!["k"],
                " WITHOUT ROWID",
            ),
            3 => {
                let terms = format!("PRIMARY KEY (k{}, l){conflict}", self.collate());
                let columns = vec![format!("k TEXT NOT NULL{collate}"), "l NOT NULL DEFAULT 2".into(), terms];
                (columns, vec!["k", "l"], if self.is(50) { " WITHOUT ROWID" } else { "" })
            }
            4 => (vec![format!("k TEXT NOT NULL DEFAULT 'a'{collate} UNIQUE{conflict}")], vec!["k"], ""),
            _ => (vec![format!("k{collate}")], vec!["k"], ""),
        }
    }

    fn table(&mut self, name: &str) -> Table {
        let (key, mut columns, without) = self.key();
        let (mut parts, mut constraints): (Vec<String>, Vec<String>) =
            key.into_iter().partition(|part| !part.starts_with("PRIMARY"));
        for column in ["a", "b", "c", "d"] {
            parts.push(self.column(column));
            columns.push(column);
        }
        let mut indexed = columns.clone();
        if self.is(50) {
            let made = self.one(&["a || b", "coalesce(a, 1)", "lower(c)", "b % 3", "a = b"]);
            parts.push(format!("g AS ({made}) {}", self.one(&["VIRTUAL", "STORED"])));
            indexed.push("g");
        }
        let mut indexes = Vec::new();
        for n in 0..self.random.random_range(1..4) {
            if self.is(40) {
                let terms = self.some(&indexed).join(", ");
                constraints.push(format!("UNIQUE ({terms}){}", self.conflict()));
                continue;
            }
            let mut terms: Vec<String> =
                self.some(&indexed).iter().map(|column| format!("{column}{}", self.collate())).collect();
            if self.is(30) {
                terms.push(self.one(&["lower(a)", "b || c", "abs(c)", "coalesce(d, a)", "(a > 1)"]).into());
            }
            let filter = if self.is(30) {
                format!(" WHERE {}", self.one(&["a IS NOT NULL", "b > 0", "c <> 'a'", "d IN (1, 'a')"]))
            } else {
                String::new()
            };
            indexes.push(format!("CREATE UNIQUE INDEX {name}_{n} ON {name} ({}){filter};", terms.join(", ")));
        }
        parts.extend(constraints);
        let sql = format!("CREATE TABLE {name} ({}){without};\n{}\n", parts.join(", "), indexes.join("\n"));
        Table { name: name.into(), columns, sql }
    }

    /// A parent and a child that follows it, each with a unique column that a cascade can run into.
    fn family(&mut self) -> Vec<Table> {
        let parent = format!(
            "CREATE TABLE p (k TEXT PRIMARY KEY NOT NULL{}, a UNIQUE ON CONFLICT REPLACE, b);\n",
            self.collate()
        );
        let actions = ["CASCADE", "SET NULL", "SET DEFAULT"];
        let child = format!(
            "CREATE TABLE q (k INTEGER PRIMARY KEY, a TEXT DEFAULT 'a' REFERENCES p (k) ON DELETE {} ON UPDATE {}, b, \
             UNIQUE (a, b) ON CONFLICT REPLACE);\n",
            self.one(&actions),
            self.one(&actions)
        );
        let table = |name: &str, sql| Table { name: name.into(), columns: vec!["k", "a", "b"], sql };
        vec![table("p", parent), table("q", child)]
    }

    fn given(&mut self, columns: &[&'static str]) -> (String, String) {
        let columns: Vec<&str> = columns.iter().copied().filter(|_| self.random.random_ratio(4, 5)).collect();
        let columns = if columns.is_empty() { vec!["a"] } else { columns };
        let values: Vec<&str> = columns.iter().map(|_| self.one(&VALUES)).collect();
        (columns.join(", "), values.join(", "))
    }

    fn statement(&mut self, table: &Table) -> String {
        let name = &table.name;
        let column = self.one(&table.columns);
        let (value, by) = (self.one(&VALUES), self.one(&VALUES));
        let (columns, values) = self.given(&table.columns);
        let or = self.one(&["OR REPLACE", "OR REPLACE", "OR IGNORE", "OR FAIL", ""]);
        match self.random.random_range(0..10) {
            0..4 => format!("INSERT {or} INTO {name} ({columns}) VALUES ({values})"),
            4 => format!("REPLACE INTO {name} ({columns}) VALUES ({values}), ({values})"),
            5 => {
                let (set, to) = self.given(&table.columns);
                format!("UPDATE {or} {name} SET ({set}) = ({to}) WHERE {column} = {by}")
            }
            6 => format!("UPDATE {or} {name} SET {column} = {value}"),
            7 => format!(
                "INSERT {or} INTO {name} ({columns}) VALUES ({values}) ON CONFLICT DO UPDATE SET {column} = {value}"
            ),
            8 => format!(
                "REPLACE INTO {name} ({columns}) SELECT {columns} FROM {name} WHERE {column} > {by} LIMIT 3"
            ),
            _ => format!("DELETE FROM {name} WHERE {column} = {by}"),
        }
    }
}

/// Runs a statement that may be refused.
async fn attempt(connection: &mut SqliteConnection, sql: &str) {
    match sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await {
        Ok(_) | Err(sqlx::Error::Database(_)) => {}
        Err(error) => panic!("{sql}\n{error}"),
    }
}

#[tokio::test]
async fn every_row_that_replace_eats_is_logged() {
    for seed in seeds() {
        let mut maker = Maker { random: StdRng::seed_from_u64(seed) };
        let mut tables = Vec::new();
        while tables.len() < TABLES {
            let table = maker.table(&format!("t{}", tables.len()));
            // Two constraints on the same columns may conflict.
            let mut elsewhere = SqliteConnection::connect("sqlite::memory:").await.unwrap();
            if sqlx::raw_sql(AssertSqlSafe(table.sql.as_str())).execute(&mut elsewhere).await.is_ok() {
                tables.push(table);
            }
        }
        tables.extend(maker.family());
        let schema: String = tables.iter().map(|table| table.sql.as_str()).collect();
        println!("{schema}");
        let mut rig = Rig::new(&schema).await;
        let mut writer = plain(rig.files.source.sqlite()).await;
        for _ in 0..ROUNDS {
            for pragma in ["foreign_keys", "recursive_triggers"] {
                attempt(&mut writer, &format!("PRAGMA {pragma} = {}", maker.is(50))).await;
            }
            for _ in 0..STATEMENTS {
                for table in &tables {
                    let sql = maker.statement(table);
                    println!("{sql};");
                    attempt(&mut writer, &sql).await;
                }
            }
            rig.drain_all().await;
            rig.assert_all_same().await;
        }
    }
}
