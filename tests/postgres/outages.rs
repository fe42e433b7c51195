//! What an operator does to the servers while the daemon runs, and errors unknown to highwater.

use std::io::Write;

use super::{TABLES, copied};
use crate::support::compare::{assert_same, eventually_same, eventually_same_except};
use crate::support::{Database, Highwater, Pair, Server, next_number};

/// A role with all rights that must give a password, and its URL.
async fn guarded(database: &Database) -> (String, String) {
    let role = format!("guarded_{}", next_number());
    let made = format!("CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'open'; GRANT needs_password TO {role}");
    database.execute(&made).await;
    let url = database.url_as(&format!("{role}:open"));
    (role, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_shut_out_for_a_moment_is_an_outage() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let (source, target) = (pair.source.postgres(), pair.target.postgres());
    let (role, url) = guarded(source).await;
    let highwater = highwater.setting("database.main.source", &url);
    let mut daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    let outages = [
        ("PASSWORD 'changed'", "PASSWORD 'open'", "password authentication failed"),
        ("NOLOGIN", "LOGIN", "not permitted to log in"),
    ];
    for (n, (shut, open, said)) in outages.into_iter().enumerate() {
        source.execute(&format!("ALTER ROLE {role} {shut}")).await;
        target.execute(&end).await;
        daemon.wait_until_not_ready(said).await;
        pair.source.execute(&format!("INSERT INTO t VALUES (1000 + {n}, 'meanwhile')")).await;
        source.execute(&format!("ALTER ROLE {role} {open}")).await;
        eventually_same(&pair).await;
        daemon.wait_until_in_sync().await;
    }
    assert!(daemon.is_running());
    let refused = daemon.get("/metrics").await.metric("highwater_errors_total{kind=\"refused\"}");
    assert!(refused >= Some(2.0), "{refused:?}");
    assert_eq!(daemon.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_shut_out_at_start_ends_the_daemon() {
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let (_, url) = guarded(pair.source.postgres()).await;
    let highwater = highwater.setting("database.main.source", &url.replace(":open@", ":wrong@"));
    assert_eq!(highwater.spawn(&["run"]).wait().await, Some(3));
    highwater.run(&["copy"]).await.expect_code(3).says("password authentication failed");
    highwater.run(&["final-sync"]).await.expect_code(3).says("password authentication failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_for_a_moment_is_an_outage() {
    let elsewhere = Server::shared().database().await;
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    let name = pair.target.postgres().name();
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    elsewhere.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    elsewhere.execute(&end).await;
    daemon.wait_until_not_ready("not currently accepting connections").await;
    elsewhere.execute(&format!("ALTER DATABASE {name} RENAME TO {name}_away")).await;
    daemon.wait_until_not_ready("does not exist").await;
    pair.source.execute("INSERT INTO t VALUES (1000, 'meanwhile')").await;
    elsewhere.execute(&format!("ALTER DATABASE {name}_away RENAME TO {name}")).await;
    elsewhere.execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    eventually_same(&pair).await;
    daemon.wait_until_in_sync().await;
    assert_eq!(daemon.terminate().await, Some(0));
}

/// On a server: a damaged TOAST value, and features and functions that an upgrade took away.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_error_stops_its_table_only() {
    const CODES: [&str; 5] = ["XX001", "0A000", "42601", "42622", "42725"];
    let pair = Pair::postgres().await;
    let highwater = copied(&pair).await;
    for code in CODES.map(str::to_lowercase) {
        let table = format!("CREATE TABLE t_{code} (id integer PRIMARY KEY, v text)");
        pair.execute_on_both(&table).await;
        // Also while highwater silences triggers.
        let raise = format!(
            "CREATE FUNCTION f_{code}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.id = 7 THEN RAISE EXCEPTION 'never heard of' USING ERRCODE = '{}'; END IF; RETURN NEW;
             END $$;
             CREATE TRIGGER odd BEFORE INSERT ON t_{code} FOR EACH ROW EXECUTE FUNCTION f_{code}();
             ALTER TABLE t_{code} ENABLE ALWAYS TRIGGER odd",
            code.to_uppercase()
        );
        pair.target.execute(&raise).await;
    }
    let mut daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    for code in CODES {
        pair.source.execute(&format!("INSERT INTO t_{code} VALUES (6, 'a'), (7, 'b'), (8, 'c')")).await;
    }
    for code in CODES {
        let table = format!("t_{}", code.to_lowercase());
        daemon.wait_until_stopped(&table, &["never heard of", code]).await;
    }
    pair.source.execute("INSERT INTO other VALUES (1, 'goes on')").await;
    let odd = CODES.map(|code| format!("t_{}", code.to_lowercase()));
    eventually_same_except(&pair, &odd.each_ref().map(String::as_str)).await;
    assert!(daemon.is_running());
    for table in &odd {
        pair.target.execute(&format!("DROP TRIGGER odd ON {table}")).await;
    }
    eventually_same(&pair).await;
    daemon.wait_until_in_sync().await;
    assert_eq!(daemon.terminate().await, Some(0));
}

/// Overwrites the first page of a table's file, as a failing disk does.
async fn damage(server: &Server, database: &Database, relation: &str) {
    let asked =
        format!("SELECT current_setting('data_directory') || '/' || pg_relation_filepath('{relation}')");
    let file = database.rows_as_text(&asked).await[0][0].clone().expect("a file");
    database.execute("CHECKPOINT").await;
    server.stop();
    let mut page = std::fs::OpenOptions::new().write(true).open(file).expect("the table's file");
    page.write_all(&[0xff; 8192]).expect("a page");
    server.start();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_stops_its_table_only() {
    let server = Server::start_own(&[]);
    let pair = Pair::postgres_on(&server, Server::shared()).await;
    let source = pair.source.postgres();
    pair.execute_on_both("CREATE TABLE logged (id integer PRIMARY KEY, v text)").await;
    let highwater = copied(&pair).await;
    // One table is damaged itself, of another the change log.
    pair.source.execute("UPDATE t SET v = 'changed' WHERE id < 5; INSERT INTO logged VALUES (1, 'a')").await;
    damage(&server, source, "public.t").await;
    damage(&server, source, "highwater_capture.\"public.logged\"").await;
    let mut daemon = highwater.spawn(&["run"]);
    for table in ["t", "logged"] {
        daemon.wait_until_stopped(table, &["invalid page", "XX001"]).await;
    }
    pair.source.execute("INSERT INTO other VALUES (1, 'goes on')").await;
    eventually_same_except(&pair, &["t", "logged"]).await;
    assert!(daemon.is_running());
    assert_eq!(daemon.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_ends_with_the_table_that_an_unknown_error_stopped() {
    let pair = Pair::postgres().await;
    pair.execute_on_both(TABLES).await;
    pair.source.execute("INSERT INTO t VALUES (1, 'a'); INSERT INTO other VALUES (1, 'a')").await;
    let raise = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     RAISE EXCEPTION 'never heard of' USING ERRCODE = 'XX001';
                 END $$;
                 CREATE TRIGGER odd BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
                 ALTER TABLE t ENABLE ALWAYS TRIGGER odd";
    pair.target.execute(raise).await;
    Highwater::new(&pair).run(&["copy"]).await.expect_code(4).says("never heard of");
    assert_eq!(pair.target.value("SELECT count(*) FROM other").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_databases_the_one_that_is_refused_is_tried_again() {
    let (good, bad) = (Pair::postgres().await, Pair::postgres().await);
    for pair in [&good, &bad] {
        pair.execute_on_both(TABLES).await;
        pair.source.execute("INSERT INTO t VALUES (1, 'a')").await;
    }
    let (role, url) = guarded(bad.source.postgres()).await;
    let highwater = Highwater::without_database()
        .database("good", &good)
        .database("bad", &bad)
        .setting("database.bad.source", &url.replace(":open@", ":wrong@"));
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_for_log("refused, and tried again while other databases are served").await;
    good.source.execute("INSERT INTO t VALUES (2, 'b')").await;
    eventually_same(&good).await;
    daemon.wait_until_not_ready("bad: ").await;
    bad.source.execute(&format!("ALTER ROLE {role} PASSWORD 'wrong'")).await;
    eventually_same(&bad).await;
    daemon.wait_until_in_sync().await;
    assert_eq!(daemon.terminate().await, Some(0));
    // None that works is left: a person has to look, as with a single database.
    good.source.execute(&format!("ALTER ROLE {role} PASSWORD 'open'")).await;
    let highwater = highwater.setting(
        "database.good.source",
        &url.replace(":open@", ":wrong@")
            .replace(bad.source.postgres().name(), good.source.postgres().name()),
    );
    assert_eq!(highwater.spawn(&["run"]).wait().await, Some(3));
}

/// A role with the rights that docs/operating.md names, on both sides.
async fn limited(pair: &Pair, limit: i32) -> [String; 2] {
    let (source, target) = (pair.source.postgres(), pair.target.postgres());
    let role = format!("limited_{}", next_number());
    source
        .execute(&format!(
            "CREATE ROLE {role}_s LOGIN CONNECTION LIMIT {limit}; GRANT pg_read_all_stats TO {role}_s;
             GRANT CONNECT, CREATE ON DATABASE {} TO {role}_s; GRANT USAGE ON SCHEMA public TO {role}_s;
             GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA public TO {role}_s",
            source.name()
        ))
        .await;
    target
        .execute(&format!(
            "CREATE ROLE {role}_t LOGIN CONNECTION LIMIT {limit};
             GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {} TO {role}_t; GRANT USAGE ON SCHEMA public TO {role}_t;
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}_t;
             GRANT SET ON PARAMETER session_replication_role TO {role}_t",
            target.name()
        ))
        .await;
    [format!("{role}_s"), format!("{role}_t")]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_low_connection_limit_is_worked_with_or_named_with_the_number_needed() {
    let (pair, role, highwater) = eight_tables(9).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_for_log("working with fewer connections").await;
    change_all(&pair).await;
    eventually_same(&pair).await;
    daemon.wait_until_in_sync().await;
    assert!(!daemon.log().contains("too many connections"), "{}", daemon.log());
    assert_eq!(daemon.terminate().await, Some(0));
    pair.source.execute(&format!("ALTER ROLE {role} CONNECTION LIMIT 3")).await;
    let raise = format!("ALTER ROLE {role} CONNECTION LIMIT 16");
    highwater.run(&["plan"]).await.expect_code(3).says(&raise);
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_for_log(&raise).await;
    assert_eq!(daemon.wait().await, Some(3));
}

/// The documents name this limit: that of a daemon, and as much again.
#[tokio::test(flavor = "multi_thread")]
async fn the_named_connection_limit_is_enough_for_a_cutover_beside_a_daemon() {
    let (pair, _, highwater) = eight_tables(32).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    change_all(&pair).await;
    highwater.run(&["status"]).await.ok();
    highwater.run(&["final-sync", "--fence"]).await.ok();
    assert_same(&pair).await;
}

/// Eight tables, the role of the source and settings with roles of that connection limit.
async fn eight_tables(limit: i32) -> (Pair, String, Highwater) {
    let pair = Pair::postgres().await;
    for n in 0..8 {
        let table = format!("CREATE TABLE t{n} (id integer PRIMARY KEY, v text)");
        pair.execute_on_both(&table).await;
        pair.source.execute(&format!("INSERT INTO t{n} SELECT n, 'v' FROM generate_series(1, 500) n")).await;
    }
    let [source, target] = limited(&pair, limit).await;
    let highwater = Highwater::new(&pair)
        .setting("database.main.source", &pair.source.postgres().url_as(&source))
        .setting("database.main.target", &pair.target.postgres().url_as(&target))
        .setting("copy.chunk_rows", "100");
    (pair, source, highwater)
}

async fn change_all(pair: &Pair) {
    for n in 0..8 {
        pair.source.execute(&format!("UPDATE t{n} SET v = 'changed'")).await;
    }
}
