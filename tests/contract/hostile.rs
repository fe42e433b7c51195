//! Hostile settings, of the server, of highwater's role, and in the sessions of writers, change nothing: each value of
//! the tables in `sql/*/settings.tsv` and `sql/sqlite/pragmas.tsv` is driven through copy, replay and fence.

use std::collections::BTreeMap;

use super::{ROWS, TABLES, settings, shop};
use crate::support::compare::{assert_same, eventually_same};
use crate::support::settings::{self as tables, Setting};
use crate::support::{
    Connection, Daemon, Db, Engine, Highwater, Kind, MysqlServer, Pair, Server, eventually,
};

contract!(hostile_sessions_change_nothing);

async fn hostile_sessions_change_nothing(engine: Engine) {
    match engine {
        Engine::Postgres => postgres().await,
        Engine::Sqlite => sqlite().await,
        Engine::Mariadb => mysql(Kind::Mariadb).await,
        Engine::Mysql => mysql(Kind::Mysql).await,
    }
}

/// Writes of every kind by the `nth` writer: keys of its own, and rows that were copied. `public.` is what tables are
/// named with.
fn writes(nth: usize, schema: &str) -> Vec<String> {
    let (b, old, gone) = (10_000 + 20 * nth, 1 + nth, 200 + nth);
    let (parents, children) = (format!("{schema}parents"), format!("{schema}children"));
    let (c, d, e, f) = (b + 1, b + 2, b + 5, b + 10);
    vec![
        format!("INSERT INTO {parents} VALUES ({b}, 'w{b}', 'x'), ({c}, 'w{c}', 'x'), ({d}, 'w{d}', 'x')"),
        format!(
            "INSERT INTO {children} VALUES ({b}, 1, 'x'), ({b}, 2, 'x'), ({c}, 1, 'x'), ({d}, 1, 'x'), ({d}, 2, 'x')"
        ),
        format!("UPDATE {parents} SET note = 'y' WHERE id = {d}"),
        format!("UPDATE {parents} SET note = 'by {nth}' WHERE id = {old}"),
        format!("UPDATE {parents} SET id = {f} WHERE id = {b}"),
        format!("DELETE FROM {parents} WHERE id = {c}"),
        format!("DELETE FROM {parents} WHERE id = {gone}"),
        format!("UPDATE {children} SET n = {e} WHERE parent_id = {d} AND n = 1"),
        format!("DELETE FROM {children} WHERE parent_id = {old} AND n = 1"),
        format!("INSERT INTO {schema}audit VALUES ({b}, 'x'), ({b}, 'x')"),
    ]
}

/// Runs the writes, `set` before and `end` after each. Answers the errors.
async fn write(writer: &mut Connection, nth: usize, set: &str, schema: &str, end: &str) -> Vec<String> {
    let mut errors = Vec::new();
    for sql in writes(nth, schema) {
        writer.execute(set).await;
        if let Err(error) = writer.try_execute(&sql).await {
            errors.push(format!("{set}; {sql}: {error}"));
        }
        if !end.is_empty() {
            writer.execute(end).await;
        }
    }
    errors
}

/// A write by a session with hostile settings is refused by the fence.
async fn assert_fenced(writer: &mut Connection, set: &str, sql: &str) {
    writer.execute(set).await;
    let error = writer.try_execute(sql).await.expect_err(&format!("{set}; {sql} passed the fence"));
    let error = error.as_database_error().unwrap_or_else(|| panic!("{set}: {error}"));
    let refused = error.code().as_deref() == Some("HW001") || error.message().contains("highwater fence");
    assert!(refused, "{set}; {sql}: {error}");
}

/// Production's writes passed, they are all on the target, and the database becomes final.
async fn ends_final(pair: &Pair, highwater: &Highwater, daemon: Daemon, errors: &[String]) {
    assert!(errors.is_empty(), "production's writes failed: {}", errors.join("\n"));
    eventually_same(pair).await;
    assert_eq!(daemon.terminate().await, Some(0));
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    assert_same(pair).await;
}

const ROW: &str = "INSERT INTO audit VALUES (1, 'passed')";

// PostgreSQL: what a superuser gives the role in each database.

async fn postgres() {
    let (pair, _) = shop(Engine::Postgres).await;
    let role = Server::shared().role("SUPERUSER").await;
    let version = pair.source.value("SELECT current_setting('server_version_num')::int / 10000").await;
    let table = tables::postgres(version.parse().unwrap());
    let clean = postgres_values(&pair.source, &role, &table).await;
    for side in [&pair.source, &pair.target] {
        for row in &table {
            let Some(value) = row.server else { continue };
            let name = side.postgres().name();
            let sql = format!("ALTER ROLE {role} IN DATABASE {name} SET {} = '{value}'", row.name);
            side.execute(&sql).await;
        }
        assert_as(&postgres_values(side, &role, &table).await, &clean);
    }
    let highwater = settings(&pair)
        .setting("database.main.source", &pair.source.postgres().url_as(&role))
        .setting("database.main.target", &pair.target.postgres().url_as(&role));
    highwater.run(&["copy"]).await.ok();
    assert_same(&pair).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    let mut errors = Vec::new();
    let mut all = Vec::new();
    for (nth, row) in table.iter().filter(|row| row.writer.is_some()).enumerate() {
        let set = format!("SET {} = '{}'", row.name, row.writer.unwrap_or_default());
        let mut writer = pair.source.connect().await;
        errors.extend(write(&mut writer, nth, &set, "public.", "").await);
        all.push(set);
    }
    let set = all.join("; ");
    let mut writer = pair.source.connect().await;
    errors.extend(write(&mut writer, 190, &set, "public.", "").await);
    ends_final(&pair, &highwater, daemon, &errors).await;
    for set in all.iter().chain([&set]) {
        assert_fenced(&mut writer, set, "INSERT INTO public.audit VALUES (1, 'passed')").await;
    }
}

/// What a session of the role is set to by the session's file.
async fn postgres_values(side: &Db, role: &str, table: &[Setting]) -> BTreeMap<String, String> {
    let mut session = Connection::Postgres(Box::new(side.postgres().connect_as(role).await));
    session.execute(include_str!("../../sql/postgres/session.sql")).await;
    values(&mut session, "SELECT name, setting FROM pg_catalog.pg_settings", table).await
}

/// The literals of the session's file are in force, whatever the server says.
fn assert_as(set: &BTreeMap<String, String>, clean: &BTreeMap<String, String>) {
    assert!(clean.len() > 30, "{clean:?}");
    let other: Vec<_> = clean.iter().filter(|(name, value)| set.get(*name) != Some(value)).collect();
    let got: Vec<_> = other.iter().map(|(name, _)| set.get(*name)).collect();
    assert!(other.is_empty(), "these came through from the server: {other:?} are {got:?}");
}

async fn values(session: &mut Connection, sql: &str, table: &[Setting]) -> BTreeMap<String, String> {
    let rows = session.rows_as_text(sql).await.into_iter();
    let pairs = rows.map(|row| (row[0].clone().unwrap_or_default(), row[1].clone().unwrap_or_default()));
    pairs.filter(|(name, _)| table.iter().any(|row| row.is_set() && row.is_of(name))).collect()
}

// SQLite: no file and no server gives a connection anything; writers set what they like.

async fn sqlite() {
    let (pair, highwater) = shop(Engine::Sqlite).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    let table = tables::sqlite();
    let mut errors = Vec::new();
    let mut all = Vec::new();
    for (nth, row) in table.iter().filter(|row| row.writer.is_some()).enumerate() {
        let set = format!("PRAGMA {} = {}", row.name, row.writer.unwrap_or_default());
        let mut writer = pair.source.connect().await;
        writer.execute("PRAGMA foreign_keys = ON").await;
        errors.extend(write(&mut writer, nth, &set, "", "").await);
        writer.execute(&format!("REPLACE INTO parents VALUES ({}, 'p{}', 'z')", 300 + nth, 420 + nth)).await;
        if row.name != "foreign_keys" {
            all.push(set);
        }
    }
    let set = all.join("; ");
    let mut writer = pair.source.connect().await;
    writer.execute("PRAGMA foreign_keys = ON").await;
    errors.extend(write(&mut writer, 190, &set, "", "").await);
    ends_final(&pair, &highwater, daemon, &errors).await;
    for set in all.iter().chain([&set]) {
        assert_fenced(&mut writer, set, ROW).await;
    }
}

// MySQL and MariaDB: what the server gives to every session.

/// Of these a write of production's own fails for a limit that it has set itself.
const LIMITS: [&str; 2] = ["max_join_size", "sql_big_selects"];

async fn mysql(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[]);
    let pair = Pair::mysql_on(&server, &server).await;
    pair.execute_on_both(TABLES).await;
    pair.source.execute(ROWS).await;
    let table = tables::mysql(if kind == Kind::Mysql { "mysql" } else { "mariadb" });
    let user = mysql_user(&server, &pair).await;
    let clean = mysql_values(&pair, &user, &table).await;
    let mut plain = pair.source.connect().await;
    let raw = values(&mut plain, "SHOW SESSION VARIABLES", &table).await;
    let mut admin = pair.source.connect().await;
    for row in &table {
        if let Some(value) = row.server {
            admin.execute(&format!("SET GLOBAL {} = {value}", row.name)).await;
        }
    }
    // It is run before a session's first statement.
    admin.execute("SET GLOBAL init_connect = 'SET SESSION completion_type = 2, sql_select_limit = 1'").await;
    for (set, clean) in mysql_values(&pair, &user, &table).await.iter().zip(&clean) {
        assert_as(set, clean);
    }
    let highwater = settings(&pair)
        .setting("database.main.source", &pair.source.mysql().url_as(&user))
        .setting("database.main.target", &pair.target.mysql().url_as(&user));
    mysql_work(&pair, &highwater, &table, &raw).await;
    for row in table.iter().filter(|row| row.server.is_some()) {
        admin.execute(&format!("SET GLOBAL {} = DEFAULT", row.name)).await;
    }
    assert_same(&pair).await;
}

/// Replay of what hostile writers write, and the fence against them, while the server's settings are hostile.
async fn mysql_work(pair: &Pair, highwater: &Highwater, table: &[Setting], raw: &BTreeMap<String, String>) {
    highwater.run(&["copy"]).await.ok();
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    let mut all = Vec::new();
    let mut writer = mysql_writer(pair, table, raw).await;
    for (nth, row) in table.iter().filter(|row| row.writer.is_some()).enumerate() {
        let set = format!("SET SESSION {} = {}", row.name, row.writer.unwrap_or_default());
        writer = mysql_writer(pair, table, raw).await;
        let errors = write(&mut writer, nth, &set, "", "COMMIT AND NO CHAIN NO RELEASE").await;
        assert!(errors.is_empty() || LIMITS.contains(&row.name), "production's writes failed: {errors:#?}");
        if !LIMITS.contains(&row.name) && row.name != "foreign_key_checks" {
            all.push(set);
        }
    }
    let set = all.join("; ");
    let errors = write(&mut writer, 190, &set, "", "COMMIT AND NO CHAIN NO RELEASE").await;
    assert!(errors.is_empty(), "production's writes failed: {errors:#?}");
    eventually(std::time::Duration::from_secs(30), || async {
        let report = highwater.run(&["final-sync", "--json"]).await;
        if report.code == Some(0) { Ok(()) } else { Err(format!("{report:?}")) }
    })
    .await;
    assert_eq!(daemon.terminate().await, Some(0));
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
    for set in all.iter().chain([&set]) {
        assert_fenced(&mut writer, set, ROW).await;
        writer.execute("ROLLBACK AND NO CHAIN NO RELEASE").await;
    }
}

/// A user with the privileges of docs/mysql.md, on whom no privilege makes `init_connect` and limits lighter.
async fn mysql_user(server: &MysqlServer, pair: &Pair) -> String {
    let user = server.user("").await;
    let (source, target) = (pair.source.mysql().name(), pair.target.mysql().name());
    let only = if server.kind() == Kind::Mysql {
        format!("GRANT SELECT ON performance_schema.* TO {user}; GRANT XA_RECOVER_ADMIN ON *.* TO {user};")
    } else {
        String::new()
    };
    server
        .execute(&format!(
            "GRANT SELECT, TRIGGER ON {source}.* TO {user};
             GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, LOCK TABLES, TRIGGER ON highwater_capture.* TO {user};
             GRANT PROCESS ON *.* TO {user}; {only}
             GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, CREATE TEMPORARY TABLES, TRIGGER ON {target}.* TO {user}"
        ))
        .await;
    user
}

/// What a session of the user on each side is set to by the files.
async fn mysql_values(pair: &Pair, user: &str, table: &[Setting]) -> Vec<BTreeMap<String, String>> {
    let shared = include_str!("../../sql/mysql/session.sql");
    let sides = [
        (&pair.source, include_str!("../../sql/mysql/session_source.sql")),
        (&pair.target, include_str!("../../sql/mysql/session_target.sql")),
    ];
    let mut set = Vec::new();
    for (side, own) in sides {
        let mut session = Connection::Mysql(Box::new(side.mysql().connect_as(user).await));
        session.execute(&format!("{shared}\n{own}")).await;
        set.push(values(&mut session, "SHOW SESSION VARIABLES", table).await);
    }
    set
}

/// A writer whose session is as it was before the server became hostile.
async fn mysql_writer(pair: &Pair, table: &[Setting], raw: &BTreeMap<String, String>) -> Connection {
    let mut writer = pair.source.connect().await;
    for row in table.iter().filter(|row| row.server.is_some()) {
        let Some(value) = raw.get(row.name) else { continue };
        let quoted = row.server.is_some_and(|hostile| hostile.starts_with('\'')) && value != "DEFAULT";
        let value = match value.as_str() {
            // MariaDB shows NULL as an empty text.
            "" if row.name == "default_tmp_storage_engine" => "NULL".to_owned(),
            value if quoted => format!("'{value}'"),
            value => value.to_owned(),
        };
        writer.execute(&format!("SET SESSION {} = {value}", row.name)).await;
    }
    writer
}
