//! How capture is put on and taken off.

use std::time::Duration;

use super::{Case, Kind};
use crate::support::{MysqlServer, mysql_execute as execute};

on_both!(
    what_is_in_force_is_left_alone,
    it_waits_for_who_used_the_table_and_keeps_no_writer_waiting,
    it_gives_up_with_the_reason,
    a_start_that_was_cut_off_is_finished,
    what_was_prepared_before_is_waited_for,
    what_a_dba_ran_is_recognised,
    removing_leaves_nothing_and_spares_others,
    a_copy_is_told_from_the_original,
    another_version_is_refused,
    a_table_that_is_not_carried_any_more_is_forgotten,
);

const TABLES: &str =
    "CREATE TABLE t (a int PRIMARY KEY, v int); CREATE TABLE w (v int); INSERT INTO t VALUES (1, 1)";

async fn triggers(case: &Case) -> i64 {
    case.number(
        "SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE() \
         AND trigger_name LIKE 'highwater%'",
    )
    .await
}

async fn what_is_in_force_is_left_alone(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let before = case.install().await;
    case.execute("INSERT INTO t VALUES (2, 2)").await;
    assert_eq!(before, case.install().await);
    assert_eq!(case.log("t").await, ["I 2"]);
    assert_eq!(triggers(&case).await, 6);
}

async fn it_waits_for_who_used_the_table_and_keeps_no_writer_waiting(kind: Kind) {
    let case = Case::bare(kind, TABLES).await;
    let mut old = case.database.connect().await;
    // Without locks on the gaps, which would keep the others waiting too.
    execute(&mut old, "START TRANSACTION; UPDATE t SET v = 2 WHERE a = 1").await;
    let (source, plan) = (case.source.clone(), case.plan.clone());
    let installing = tokio::spawn(async move { source.install(&plan, &|_| {}).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    for n in 10..30 {
        case.execute(&format!("INSERT INTO t VALUES ({n}, 0)")).await;
        tokio::time::sleep(Duration::from_millis(90)).await;
    }
    assert!(!installing.is_finished(), "somebody who wrote without capture is still open");
    execute(&mut old, "COMMIT").await;
    for (_, done) in installing.await.unwrap().unwrap() {
        done.unwrap();
    }
    case.all_sound().await;
}

async fn it_gives_up_with_the_reason(kind: Kind) {
    // What stays locked for ever takes a minute of attempts.
    let case = Case::bare(kind, TABLES).await;
    let mut old = case.database.connect().await;
    execute(&mut old, "START TRANSACTION; UPDATE t SET v = 2").await;
    let done: std::collections::BTreeMap<_, _> =
        case.source.install(&case.plan, &|_| {}).await.unwrap().into_iter().collect();
    let error = done["t"].as_ref().unwrap_err();
    assert!(
        error.summary().contains("could not be locked") && error.summary().contains("session"),
        "{error}"
    );
    assert!(done["w"].is_ok());
    case.sound("w").await;
    case.mendable("t").await;
}

async fn a_start_that_was_cut_off_is_finished(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let before = case.install().await;
    // As if it had died behind the last trigger.
    case.execute(&format!(
        "UPDATE highwater_capture.\"tables\" SET generation = '' WHERE database_name = '{}' AND table_name = 't'",
        case.database.name()
    ))
    .await;
    assert!(case.mendable("t").await.contains("its changes are not captured"));
    let after = case.install().await;
    assert_ne!(before["t"], after["t"]);
    assert_eq!(before["w"], after["w"]);
}

async fn what_was_prepared_before_is_waited_for(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[]);
    let database = server.database().await;
    database.execute(TABLES).await;
    let mut writer = database.connect().await;
    execute(&mut writer, "XA START 'one'; UPDATE t SET v = 2; XA END 'one'; XA PREPARE 'one'").await;
    // A server that was started anew has no metadata locks of prepared transactions.
    server.crash();
    server.start();
    let case = Case::on(database, "root", &[]).await;
    let (source, plan) = (case.source.clone(), case.plan.clone());
    let installing = tokio::spawn(async move { source.install(&plan, &|_| {}).await });
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!installing.is_finished(), "its row is changed without capture");
    execute(&mut case.database.connect().await, "XA COMMIT 'one'").await;
    for (_, done) in installing.await.unwrap().unwrap() {
        done.unwrap();
    }
}

async fn what_a_dba_ran_is_recognised(kind: Kind) {
    let case = Case::bare(
        kind,
        "CREATE TABLE p (id int PRIMARY KEY);
         CREATE TABLE c (id int PRIMARY KEY, p_id int, FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE);
         CREATE TABLE e (id int)",
    )
    .await
    .again(&["e"])
    .await;
    let script = case.source.capture_ddl(&case.plan).await.unwrap();
    run_script(&case, &script).await;
    let rows = case.database.rows_as_text("SELECT generation FROM highwater_capture.\"tables\" WHERE database_name = DATABASE() ORDER BY table_name").await;
    case.all_sound().await;
    let generations = case.install().await;
    assert_eq!(Some(&generations["c"]), rows[0][0].as_ref());
    case.execute("INSERT INTO p VALUES (1); INSERT INTO c VALUES (10, 1); TRUNCATE c").await;
    assert!(case.mendable("c").await.contains("truncated"));
}

/// Runs a script as the client does.
async fn run_script(case: &Case, script: &str) {
    let mut connection = case.database.connect().await;
    execute(&mut connection, "SET sql_mode = ''").await;
    let mut delimiter = ";";
    let mut statement = String::new();
    for line in script.lines().filter(|line| !line.starts_with("--")) {
        if let Some(other) = line.strip_prefix("DELIMITER ") {
            delimiter = if other == ";" { ";" } else { "//" };
            continue;
        }
        statement.push_str(line);
        statement.push('\n');
        if line.ends_with(delimiter) {
            let sql = statement.trim_end().strip_suffix(delimiter).unwrap().to_string();
            execute(&mut connection, &sql).await;
            statement.clear();
        }
    }
}

async fn removing_leaves_nothing_and_spares_others(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[]);
    let mut cases = Vec::new();
    for _ in 0..2 {
        let database = server.database().await;
        database.execute(TABLES).await;
        cases.push(Case::on(database, "root", &[]).await);
    }
    for case in &cases {
        case.install().await;
    }
    cases[0].source.remove().await.unwrap();
    assert_eq!(triggers(&cases[0]).await, 0);
    cases[1].all_sound().await;
    cases[0].source.remove().await.unwrap();
    cases[1].source.remove().await.unwrap();
    let left = "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name LIKE 'highwater%'";
    assert_eq!(cases[1].number(left).await, 0);
    cases[0].source.remove().await.unwrap();
}

async fn a_copy_is_told_from_the_original(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    case.execute(&format!(
        "UPDATE highwater_capture.meta SET server = 'elsewhere:1:/x' WHERE database_name = '{}'",
        case.database.name()
    ))
    .await;
    for error in [
        case.source.inspect(&case.plan).await.unwrap_err(),
        case.source.install(&case.plan, &|_| {}).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("UPDATE `highwater_capture`.`meta`"), "{error}");
    }
}

async fn another_version_is_refused(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    case.execute(&format!(
        "UPDATE highwater_capture.meta SET version = 99 WHERE database_name = '{}'",
        case.database.name()
    ))
    .await;
    assert!(case.source.inspect(&case.plan).await.unwrap_err().summary().contains("version 99"));
}

async fn a_table_that_is_not_carried_any_more_is_forgotten(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let before = case.install().await;
    let other = case.again(&["t"]).await;
    let after = other.install().await;
    assert_eq!(before["w"], after["w"]);
    other.all_sound().await;
    other.execute("INSERT INTO t VALUES (5, 5)").await;
    let left = format!(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'highwater_capture' AND table_name = '{}.t'",
        case.database.name()
    );
    assert_eq!(case.number(&left).await, 0);
    let back = case.install().await;
    assert_ne!(before["t"], back["t"]);
    case.all_sound().await;
}
