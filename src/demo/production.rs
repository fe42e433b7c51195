//! Production before highwater comes: its tables and first rows.

use std::time::SystemTime;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::link::{Dialect, Link, Value};
use crate::error::{Error, Kind, Result};

/// Values that fit into one statement; SQLite takes 32,766.
const MOST_VALUES: usize = 30_000;
/// When the demo's production began, seconds since 1970.
pub(super) const BEGINNING: i64 = 1_760_000_000;

/// The tables, in an order in which rows find their parents.
pub(super) const TABLES: [&str; 9] =
    ["users", "roles", "user_roles", "user_claims", "oauth_tokens", "sessions", "registry", "nodes", "audit"];

/// The nodes of the server: one writer each.
pub(super) const NODES: [&str; 4] = ["node-a", "node-b", "node-c", "node-d"];

const ROLES: [&str; 12] = [
    "admin",
    "auditor",
    "billing",
    "developer",
    "everyone",
    "guest",
    "manager",
    "operator",
    "publisher",
    "reviewer",
    "subscriber",
    "support",
];
const FIRST: [&str; 16] = [
    "ada", "alan", "barbara", "claude", "donald", "edsger", "frances", "grace", "hedy", "john", "karen",
    "leslie", "margaret", "niklaus", "radia", "tim",
];
const LAST: [&str; 16] = [
    "allen", "backus", "dijkstra", "goldberg", "hamilton", "hopper", "knuth", "lamarr", "lamport", "liskov",
    "lovelace", "perlman", "shannon", "turing", "wirth", "zuse",
];
const MEDIA: [&str; 4] = ["application/json", "application/xml", "image/png", "text/x-template"];

/// How many rows each table begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) users: u64,
    pub(super) roles: u64,
    pub(super) user_roles: u64,
    pub(super) claims: u64,
    pub(super) tokens: u64,
    pub(super) sessions: u64,
    pub(super) contents: u64,
    pub(super) nodes: u64,
    pub(super) audit: u64,
}

impl Scale {
    /// Spreads `rows` rows, at least some hundreds, over the tables.
    pub(super) fn of(rows: u64) -> Self {
        let percent = |part: u64| (rows * part / 100).max(10);
        let mut scale = Scale {
            users: percent(20),
            roles: ROLES.len() as u64,
            user_roles: percent(24),
            claims: percent(10),
            tokens: percent(26),
            sessions: 0,
            contents: percent(1),
            nodes: NODES.len() as u64,
            audit: percent(4),
        };
        scale.sessions = rows.saturating_sub(scale.total()).max(10);
        scale
    }

    /// The rows of all tables.
    pub(super) fn total(&self) -> u64 {
        self.users
            + self.roles
            + self.user_roles
            + self.claims
            + self.tokens
            + self.sessions
            + self.contents
            + self.nodes
            + self.audit
    }
}

/// Refuses a database in which one of the demo's tables exists.
///
/// # Errors
/// [`Kind::Refused`], naming the tables.
pub(super) async fn refuse_existing(link: &mut Link, place: &str) -> Result<()> {
    let mut there = Vec::new();
    for table in TABLES {
        let found = match link.dialect() {
            Dialect::Sqlite => {
                let sql = "SELECT 1 FROM sqlite_schema WHERE name = $1";
                link.first::<i64>(sql, &[table.into()]).await.map(|found| found.is_some())
            }
            Dialect::Postgres => {
                let sql = "SELECT to_regclass($1) IS NOT NULL";
                link.first::<bool>(sql, &[table.into()]).await.map(|found| found == Some(true))
            }
            Dialect::Mysql => {
                let sql = "SELECT COUNT(*) FROM information_schema.TABLES \
                           WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = $1";
                link.first::<i64>(sql, &[table.into()]).await.map(|found| found != Some(0))
            }
        };
        if found.map_err(|e| Error::failed(format!("{place} can't be read")).because(e))? {
            there.push(table);
        }
    }
    if there.is_empty() {
        return Ok(());
    }
    let what = format!("{place} already has what the demo would make: {}", there.join(", "));
    Err(Error::new(Kind::Refused, what).remedy("give the demo two empty databases (or a new folder)"))
}

/// Makes the tables and their first rows, in one transaction where definitions may be in one. `made` is called with the rows so far.
///
/// # Errors
/// What the database says.
pub(super) async fn fill(link: &mut Link, scale: &Scale, seed: u64, mut made: impl FnMut(u64)) -> Result<()> {
    let failed = |error: sqlx::Error| Error::failed("the demo's production can't be made").because(error);
    let dialect = link.dialect();
    link.run(dialect.begin(), &[]).await.map_err(failed)?;
    for statement in dialect.define(include_str!("../../sql/demo/production.sql")).split(';') {
        if !statement.trim().is_empty() {
            link.run(statement, &[]).await.map_err(failed)?;
        }
    }
    if dialect == Dialect::Mysql {
        // Definitions have ended the transaction.
        link.run(dialect.begin(), &[]).await.map_err(failed)?;
    }
    let mut maker = Maker { rng: StdRng::seed_from_u64(seed), scale: *scale, dialect };
    let mut rows = 0;
    for table in tables(scale) {
        let so_far = |done| made(rows + done);
        insert(link, &table, &mut maker, so_far).await.map_err(failed)?;
        rows += table.rows;
    }
    link.run("COMMIT", &[]).await.map_err(failed)?;
    Ok(())
}

/// Seconds since 1970, by this machine's clock.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A table's first rows.
struct First {
    table: &'static str,
    columns: &'static [&'static str],
    rows: u64,
    row: fn(&mut Maker, u64) -> Vec<Value>,
}

fn tables(scale: &Scale) -> [First; 9] {
    let first = |table, columns, rows, row| First { table, columns, rows, row };
    [
        first(
            "users",
            &["user_name", "email", "password_hash", "reputation", "created_at"],
            scale.users,
            user,
        ),
        first("roles", &["role_id", "role_name"], scale.roles, role),
        first("user_roles", &["user_id", "role_id", "granted_by"], scale.user_roles, user_role),
        first("user_claims", &["user_id", "claim", "value"], scale.claims, claim),
        first("oauth_tokens", &TOKEN, scale.tokens, token),
        first("sessions", &["session_key", "user_id", "last_seen", "attributes"], scale.sessions, session),
        first("registry", &CONTENT, scale.contents, content),
        first("nodes", &["node", "beat_at"], scale.nodes, node),
        first("audit", &["happened_at", "actor", "action"], scale.audit, audited),
    ]
}

/// The columns of `oauth_tokens`.
pub(super) const TOKEN: [&str; 5] = ["token_id", "user_id", "access_token", "state", "expires_at"];
/// The columns of `registry`.
pub(super) const CONTENT: [&str; 4] = ["path", "media_type", "content", "version"];

async fn insert(
    link: &mut Link,
    first: &First,
    maker: &mut Maker,
    mut so_far: impl FnMut(u64),
) -> sqlx::Result<()> {
    let width = first.columns.len();
    let most = (MOST_VALUES / width).min(500) as u64;
    let mut done = 0;
    while done < first.rows {
        let rows = most.min(first.rows - done);
        let values: Vec<Value> = (done..done + rows).flat_map(|n| (first.row)(maker, n)).collect();
        link.run(insertion(first, rows, maker.dialect), &values).await?;
        done += rows;
        so_far(done);
    }
    Ok(())
}

fn insertion(first: &First, rows: u64, dialect: Dialect) -> String {
    let width = first.columns.len() as u64;
    let row = |r: u64| {
        let places: Vec<String> = (1..=width).map(|c| dialect.place(r * width + c)).collect();
        format!("({})", places.join(","))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("INSERT INTO {} ({}) VALUES {}", first.table, first.columns.join(", "), rows.join(","))
}

/// Makes rows.
struct Maker {
    rng: StdRng,
    scale: Scale,
    dialect: Dialect,
}

impl Maker {
    /// A whole number below `below`.
    fn below(&mut self, below: u64) -> i64 {
        self.rng.random_range(0..below.max(1)).cast_signed()
    }

    fn user(&mut self) -> i64 {
        let users = self.scale.users;
        1 + self.below(users)
    }
}

/// A name out of `names`.
pub(super) fn one_of(rng: &mut StdRng, names: &[&'static str]) -> &'static str {
    names.choose(rng).copied().unwrap_or_default()
}

/// The first part of a user's name; a number makes it unique.
pub(super) fn person(rng: &mut StdRng) -> String {
    format!("{}.{}", one_of(rng, &FIRST), one_of(rng, &LAST))
}

/// A key that nobody guesses, and that never comes twice.
pub(super) fn token_text(rng: &mut StdRng) -> String {
    format!("{:032x}", rng.random::<u128>())
}

/// Bytes that don't compress.
pub(super) fn bytes(rng: &mut StdRng, length: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(length)];
    rng.fill(bytes.as_mut_slice());
    bytes
}

/// A claim's name and value; the value's class varies.
pub(super) fn any_claim(rng: &mut StdRng) -> Value {
    match rng.random_range(0..5) {
        0 => Value::Nothing,
        1 => rng.random::<i64>().into(),
        2 => rng.random_range(-1e6..1e6).into(),
        3 => bytes(rng, 1..40).into(),
        _ => format!("it's {}, ‘{}’", one_of(rng, &ROLES), one_of(rng, &LAST)).into(),
    }
}

/// The content of a registry entry.
pub(super) fn any_content(rng: &mut StdRng, path: String, version: i64) -> Vec<Value> {
    vec![path.into(), one_of(rng, &MEDIA).into(), bytes(rng, 200..8_000).into(), version.into()]
}

fn user(maker: &mut Maker, n: u64) -> Vec<Value> {
    let name = format!("{}.{n}", person(&mut maker.rng));
    // Some have no address: NULL may stand any number of times in a unique column.
    let email = if n % 17 == 3 { Value::Nothing } else { format!("{name}@example.org").into() };
    let hash = bytes(&mut maker.rng, 32..33);
    let reputation = maker.rng.random_range(0.0..100.0);
    vec![name.into(), email, hash.into(), reputation.into(), (BEGINNING + n.cast_signed()).into()]
}

fn role(_: &mut Maker, n: u64) -> Vec<Value> {
    let name = usize::try_from(n).ok().and_then(|n| ROLES.get(n)).copied().unwrap_or("other");
    vec![(1 + n.cast_signed()).into(), name.into()]
}

fn user_role(maker: &mut Maker, n: u64) -> Vec<Value> {
    let (user, round) = (n % maker.scale.users, n / maker.scale.users);
    let role = (user * 7 + round) % maker.scale.roles;
    let by = one_of(&mut maker.rng, &NODES);
    vec![(1 + user.cast_signed()).into(), (1 + role.cast_signed()).into(), by.into()]
}

fn claim(maker: &mut Maker, n: u64) -> Vec<Value> {
    let (user, round) = (n % maker.scale.users, n / maker.scale.users);
    let value = any_claim(&mut maker.rng);
    vec![(1 + user.cast_signed()).into(), format!("claim/{round}").into(), maker.dialect.any(value)]
}

fn token(maker: &mut Maker, n: u64) -> Vec<Value> {
    let (id, access) = (token_text(&mut maker.rng), token_text(&mut maker.rng));
    let state = if n.is_multiple_of(4) { "EXPIRED" } else { "ACTIVE" };
    vec![
        id.into(),
        maker.user().into(),
        access.into(),
        state.into(),
        (BEGINNING + maker.below(90_000)).into(),
    ]
}

fn session(maker: &mut Maker, _: u64) -> Vec<Value> {
    let key = token_text(&mut maker.rng);
    let seen = BEGINNING as f64 + maker.rng.random_range(0.0..90_000.0);
    vec![key.into(), maker.user().into(), seen.into(), bytes(&mut maker.rng, 20..200).into()]
}

fn content(maker: &mut Maker, n: u64) -> Vec<Value> {
    let path = format!("/_system/{}/{n:06}", one_of(&mut maker.rng, &ROLES));
    any_content(&mut maker.rng, path, 1)
}

fn node(_: &mut Maker, n: u64) -> Vec<Value> {
    let node = usize::try_from(n).ok().and_then(|n| NODES.get(n)).copied().unwrap_or_default();
    vec![node.into(), now().into()]
}

fn audited(_: &mut Maker, n: u64) -> Vec<Value> {
    // Ten at a time are the same.
    let actor = FIRST[usize::try_from(n / 10).unwrap_or_default() % FIRST.len()];
    let action = if n.is_multiple_of(3) { "sign-in" } else { "token" };
    vec![(BEGINNING + (n / 10).cast_signed()).into(), actor.into(), action.into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_all_tables_add_up() {
        for rows in [1_000, 200_000, 1_234_567] {
            assert_eq!(Scale::of(rows).total(), rows);
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_rows() {
        let scale = Scale::of(1_000);
        let rows = |seed| {
            let mut maker = Maker { rng: StdRng::seed_from_u64(seed), scale, dialect: Dialect::Sqlite };
            (0..50).map(|n| user(&mut maker, n)).collect::<Vec<_>>()
        };
        assert_eq!(rows(7), rows(7));
        assert_ne!(rows(7), rows(8));
    }

    #[test]
    fn no_user_has_a_role_twice() {
        let scale = Scale::of(10_000);
        let mut maker = Maker { rng: StdRng::seed_from_u64(1), scale, dialect: Dialect::Sqlite };
        let pairs: std::collections::HashSet<String> =
            (0..scale.user_roles).map(|n| format!("{:?}", &user_role(&mut maker, n)[..2])).collect();
        assert_eq!(pairs.len() as u64, scale.user_roles);
    }
}
