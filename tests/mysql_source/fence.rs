//! How the fence is raised, proved and lowered. docs/how-it-works.md, "the fence is lowered by data",
//! "an attempt touches its own stamp only".

use std::time::{Duration, Instant};

use highwater::engine::{Fence, Lowered, Stamp};
use highwater::error::Kind as ErrorKind;
use sqlx::MySqlConnection;

use super::{Case, Kind, connect, refused};
use crate::support::{
    MysqlServer, mysql_execute as execute, mysql_rows_as_text as rows_as_text, soon, within,
};

on_both!(
    a_raised_fence_refuses_every_write,
    raising_waits_for_whoever_wrote_a_log,
    raising_gives_up_at_its_deadline,
    a_transaction_with_an_older_snapshot_is_refused,
    an_attempt_touches_its_own_stamp_only,
    lowering_does_not_wait_for_refused_writers_that_stay_open,
    a_raise_that_arrives_after_its_lowering_is_inert,
    a_log_that_is_gone_keeps_the_fence_down,
    a_log_that_is_made_again_under_the_fence_has_it,
    it_is_proved_by_the_catalogue_and_by_entries,
    lowering_survives_a_crash,
    a_backup_keeps_ddl_waiting_and_not_lowering,
    the_rights_are_tried,
    a_writer_is_seen_while_it_is_open,
    a_writer_is_seen_without_privileges,
    a_prepared_transaction_is_seen,
    prepared_transactions_that_cannot_be_listed_are_an_error,
);

pub const TABLES: &str =
    "CREATE TABLE t (a int PRIMARY KEY, v int); CREATE TABLE w (v int); CREATE TABLE e (a int PRIMARY KEY);
    INSERT INTO t VALUES (1, 1); INSERT INTO w VALUES (1); INSERT INTO e VALUES (1)";

pub fn stamp(attempt: i64) -> Stamp {
    Stamp { epoch: 0, attempt }
}

impl Case {
    pub async fn raise(&self, attempt: i64) {
        self.source.raise_fence(&self.plan, stamp(attempt), soon()).await.unwrap();
    }

    pub async fn lower(&self, attempt: i64) -> Lowered {
        within(Duration::from_secs(20), "lowering", self.source.lower_fence(stamp(attempt))).await.unwrap()
    }

    pub async fn is_fenced(&self, sql: &str) {
        fenced(&mut self.database.connect().await, sql).await;
    }
}

/// That the fence refuses a statement.
pub async fn fenced(connection: &mut MySqlConnection, sql: &str) {
    let error = refused(connection, sql).await;
    assert!(error.contains("highwater fence"), "{sql}: {error}");
}

async fn a_raised_fence_refuses_every_write(kind: Kind) {
    let case = Case::bare(kind, TABLES).await.again(&["e"]).await;
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: false, stamp: stamp(0) });
    case.install().await;
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: false, stamp: stamp(0) });
    case.raise(2).await;
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: true, stamp: stamp(2) });
    for table in ["t", "w", "e"] {
        for sql in [
            format!("INSERT INTO {table} SELECT * FROM {table}_more"),
            format!("UPDATE {table} SET {} = 7", if table == "e" { "a" } else { "v" }),
            format!("DELETE FROM {table}"),
        ] {
            let mut connection = case.database.connect().await;
            execute(
                &mut connection,
                &format!("CREATE TEMPORARY TABLE {table}_more AS SELECT * FROM {table}"),
            )
            .await;
            execute(
                &mut connection,
                &format!("UPDATE {table}_more SET {} = 8", if table == "e" { "a" } else { "v" }),
            )
            .await;
            let column = if table == "t" { "UPDATE t_more SET a = 8" } else { "DO 0" };
            execute(&mut connection, column).await;
            let error = refused(&mut connection, &sql).await;
            assert!(error.contains("HW001") && error.contains("highwater fence"), "{sql}: {error}");
        }
    }
    assert_eq!(case.lower(2).await, Lowered::Down);
    case.execute("INSERT INTO t VALUES (2, 2); INSERT INTO w VALUES (2); INSERT INTO e VALUES (2)").await;
}

async fn raising_waits_for_whoever_wrote_a_log(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let mut writer = case.database.connect().await;
    execute(&mut writer, "START TRANSACTION; UPDATE t SET v = 2").await;
    let source = case.source.clone();
    let raising = tokio::spawn(async move { source.raise_fence(&case.plan, stamp(2), soon()).await });
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(!raising.is_finished(), "a writer of the log is still open");
    execute(&mut writer, "UPDATE w SET v = 2; COMMIT").await;
    raising.await.unwrap().unwrap();
    fenced(&mut writer, "UPDATE t SET v = 3").await;
}

async fn raising_gives_up_at_its_deadline(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let mut writer = case.database.connect().await;
    execute(&mut writer, "START TRANSACTION; UPDATE t SET v = 2").await;
    let until = Instant::now() + Duration::from_secs(2);
    let error = case.source.raise_fence(&case.plan, stamp(2), until).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConverged, "{error}");
    assert_eq!(case.lower(2).await, Lowered::Down, "it may have been up on some logs");
    execute(&mut writer, "COMMIT").await;
    case.execute("UPDATE t SET v = 3; UPDATE w SET v = 3").await;
}

async fn a_transaction_with_an_older_snapshot_is_refused(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let mut old = case.database.connect().await;
    execute(&mut old, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await;
    execute(&mut old, "START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT * FROM t").await;
    case.raise(2).await;
    fenced(&mut old, "INSERT INTO t VALUES (9, 9)").await;
    execute(&mut old, "COMMIT").await;
    assert_eq!(case.number("SELECT COUNT(*) FROM t").await, 1);
}

async fn an_attempt_touches_its_own_stamp_only(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let raise = |attempt| case.source.raise_fence(&case.plan, stamp(attempt), soon());
    case.raise(4).await;
    for earlier in [2, 4] {
        assert_eq!(raise(earlier).await.unwrap_err().kind(), ErrorKind::Superseded);
    }
    // A late request of an earlier attempt leaves the later one's fence alone.
    assert_eq!(case.lower(2).await, Lowered::Another(stamp(4)));
    case.source.prove_fence(&case.plan, stamp(4)).await.unwrap();
    assert_eq!(
        case.source.prove_fence(&case.plan, stamp(2)).await.unwrap_err().kind(),
        ErrorKind::Superseded
    );
    assert_eq!(case.lower(4).await, Lowered::Down);
    assert_eq!(case.lower(4).await, Lowered::WasDown);
    assert_eq!(case.lower(2).await, Lowered::WasDown, "what is lowered stays lowered");
    assert_eq!(raise(4).await.unwrap_err().kind(), ErrorKind::Superseded);
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: false, stamp: stamp(5) });
    case.execute("UPDATE t SET v = 9; UPDATE w SET v = 9").await;
    case.raise(6).await;
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: true, stamp: stamp(6) });
}

async fn lowering_does_not_wait_for_refused_writers_that_stay_open(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    // InnoDB locks the gap of an INSERT that failed, whatever failed it: each writer has a gap of its own.
    case.execute("INSERT INTO t VALUES (10, 0), (20, 0), (30, 0), (40, 0), (50, 0), (60, 0)").await;
    case.raise(2).await;
    // The settings of MariaDB by which a trigger's SELECT from a table would lock the row that is to change.
    let sessions: &[&str] = match kind {
        Kind::Mariadb => &[
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET binlog_format = STATEMENT",
            "SET binlog_format = MIXED",
        ],
        Kind::Mysql => &[
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        ],
    };
    let mut pool = Vec::new();
    for (n, settings) in sessions.iter().enumerate() {
        let mut writer = case.database.connect().await;
        execute(&mut writer, settings).await;
        execute(&mut writer, "START TRANSACTION").await;
        fenced(&mut writer, &format!("INSERT INTO t VALUES ({}, 5)", 15 + 10 * n)).await;
        pool.push(writer);
    }
    let mut dump = case.database.connect().await;
    execute(&mut dump, &format!("START TRANSACTION; SELECT * FROM {}", case.log_of("t"))).await;
    assert_eq!(case.lower(2).await, Lowered::Down);
    case.execute("INSERT INTO t VALUES (600, 6); UPDATE w SET v = 6").await;
    assert!(!case.source.drop_lowered().await.unwrap(), "the log is being read");
    case.execute("INSERT INTO t VALUES (700, 7)").await;
    for connection in pool.iter_mut().chain([&mut dump]) {
        execute(connection, "ROLLBACK").await;
    }
    assert!(case.source.drop_lowered().await.unwrap());
    assert_eq!(fences(&case).await, Vec::<String>::new());
    execute(&mut pool[0], "INSERT INTO t VALUES (800, 8)").await;
}

/// The names of the fence's triggers on the database's logs.
async fn fences(case: &Case) -> Vec<String> {
    let sql = format!(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'highwater_capture' \
         AND EVENT_OBJECT_TABLE LIKE '{}.%' AND TRIGGER_NAME LIKE 'fence%' ORDER BY 1",
        case.database.name()
    );
    case.database.rows_as_text(&sql).await.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

async fn a_raise_that_arrives_after_its_lowering_is_inert(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    case.raise(2).await;
    let names = fences(&case).await;
    assert_eq!(names.len(), 3, "{names:?}");
    let mut late = case.database.connect().await;
    execute(&mut late, "SET sql_mode = ''").await;
    let mut requests = Vec::new();
    for name in &names {
        let made = rows_as_text(&mut late, &format!("SHOW CREATE TRIGGER highwater_capture.{name}")).await;
        let made = made[0][2].clone().unwrap();
        let whole = format!("`highwater_capture`.`{name}`");
        // MySQL leaves the database out.
        requests.push(if made.contains(&whole) { made } else { made.replace(&format!("`{name}`"), &whole) });
    }
    assert_eq!(case.lower(2).await, Lowered::Down);
    assert!(case.source.drop_lowered().await.unwrap());
    execute(&mut late, "USE highwater_capture").await;
    for request in &requests {
        execute(&mut late, request).await;
    }
    assert_eq!(fences(&case).await, names);
    case.execute("UPDATE t SET v = 9; UPDATE w SET v = 9").await;
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: false, stamp: stamp(3) });
    // The next attempt goes past them, and they are cleared away with it.
    case.raise(4).await;
    assert_eq!(case.lower(4).await, Lowered::Down);
    assert!(case.source.drop_lowered().await.unwrap());
    assert_eq!(fences(&case).await, Vec::<String>::new());
}

async fn a_log_that_is_gone_keeps_the_fence_down(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    case.execute(&format!("DROP TABLE {}", case.log_of("t"))).await;
    let error = case.source.raise_fence(&case.plan, stamp(2), soon()).await.unwrap_err();
    assert!(error.summary().contains("t: its change log is gone"), "{error}");
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: false, stamp: stamp(0) });
    case.execute("UPDATE t SET v = 9; UPDATE w SET v = 9").await;
}

async fn a_log_that_is_made_again_under_the_fence_has_it(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    case.raise(2).await;
    case.execute(&format!("DROP TABLE {}", case.log_of("t"))).await;
    case.is_fenced("UPDATE t SET v = 9").await;
    let error = case.source.prove_fence(&case.plan, stamp(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConverged, "{error}");
    case.install().await;
    case.is_fenced("UPDATE t SET v = 9").await;
    case.source.prove_fence(&case.plan, stamp(2)).await.unwrap();
    assert_eq!(case.lower(2).await, Lowered::Down);
    case.execute("UPDATE t SET v = 9").await;
}

async fn it_is_proved_by_the_catalogue_and_by_entries(kind: Kind) {
    let case = Case::bare(kind, TABLES).await.again(&["e"]).await;
    case.install().await;
    let unproven = async |sql: &str| {
        case.execute(sql).await;
        let error = case.source.prove_fence(&case.plan, stamp(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConverged, "{error}");
        error.summary()
    };
    case.raise(2).await;
    case.source.prove_fence(&case.plan, stamp(2)).await.unwrap();
    let error = unproven("CREATE TABLE another (a int)").await;
    assert!(error.contains("another: the table is new"), "{error}");
    let error = unproven("DROP TABLE another; DROP TRIGGER highwater_capture_fence_delete_e").await;
    assert!(error.contains("fence_delete_e is missing"), "{error}");
    case.install().await;
    case.source.prove_fence(&case.plan, stamp(2)).await.unwrap();
    // Silenced capture is a silenced fence.
    let error = unproven("DROP TRIGGER highwater_capture_update_t").await;
    assert!(error.contains("update_t is missing"), "{error}");
    case.install().await;
    let name = &fences(&case).await[0];
    let error = unproven(&format!("DROP TRIGGER highwater_capture.{name}")).await;
    assert!(error.contains(&format!("{name} is missing")), "{error}");
    let log = case.log_of("t");
    let error = unproven(&format!(
        "CREATE TRIGGER highwater_capture.{name} BEFORE INSERT ON {log} FOR EACH ROW SET NEW.kind = NEW.kind"
    ))
    .await;
    assert!(error.contains(&format!("{name} was altered")), "{error}");
}

async fn lowering_survives_a_crash(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[]);
    let database = server.database().await;
    database.execute(TABLES).await;
    let case = Case::on(database, "root", &[]).await;
    case.install().await;
    case.raise(2).await;
    // Commits are written to the file once a second only.
    case.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 0").await;
    assert_eq!(case.lower(2).await, Lowered::Down);
    server.crash();
    server.start();
    let case = Case::on(case.database.clone(), "root", &[]).await;
    assert_eq!(case.source.fence().await.unwrap(), Fence { raised: false, stamp: stamp(3) });
    case.execute("UPDATE t SET v = 9; UPDATE w SET v = 9").await;
}

async fn a_backup_keeps_ddl_waiting_and_not_lowering(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[]);
    let database = server.database().await;
    database.execute(TABLES).await;
    let case = Case::on(database, "root", &[]).await;
    case.install().await;
    case.raise(2).await;
    let mut backup = case.database.connect().await;
    let (lock, unlock) = match kind {
        Kind::Mysql => ("LOCK INSTANCE FOR BACKUP", "UNLOCK INSTANCE"),
        Kind::Mariadb => ("BACKUP STAGE START; BACKUP STAGE BLOCK_DDL", "BACKUP STAGE END"),
    };
    execute(&mut backup, lock).await;
    assert_eq!(case.lower(2).await, Lowered::Down);
    case.execute("UPDATE t SET v = 9; UPDATE w SET v = 9").await;
    assert!(!case.source.drop_lowered().await.unwrap(), "DDL waits");
    let error = case.source.try_fence().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let until = Instant::now() + Duration::from_secs(2);
    let error = case.source.raise_fence(&case.plan, stamp(4), until).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConverged, "{error}");
    assert_eq!(case.lower(4).await, Lowered::Down);
    case.execute("UPDATE t SET v = 10").await;
    execute(&mut backup, unlock).await;
    case.source.try_fence().await.unwrap();
    assert!(case.source.drop_lowered().await.unwrap());
    case.raise(6).await;
}

async fn the_rights_are_tried(kind: Kind) {
    let server = MysqlServer::shared(kind);
    let case = Case::new(kind, TABLES).await;
    let user = server.user("").await;
    case.execute(&format!(
        "GRANT SELECT, TRIGGER ON \"{}\".* TO {user}@'%';
         GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, LOCK TABLES ON highwater_capture.* TO {user}@'%'",
        case.database.name()
    ))
    .await;
    let source = connect(&case.database.url_as(&user)).await;
    let error = source.try_fence().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.remedy_text().unwrap().contains("GRANT TRIGGER ON `highwater_capture`.*"), "{error}");
    case.execute(&format!("GRANT TRIGGER ON highwater_capture.* TO {user}@'%'")).await;
    source.try_fence().await.unwrap();
    source.raise_fence(&case.plan, stamp(2), soon()).await.unwrap();
    case.is_fenced("UPDATE t SET v = 2").await;
    assert_eq!(source.lower_fence(stamp(2)).await.unwrap(), Lowered::Down);
    case.execute("UPDATE t SET v = 2").await;
    assert!(source.drop_lowered().await.unwrap());
}

async fn a_writer_is_seen_while_it_is_open(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let mut writer = case.database.connect().await;
    execute(&mut writer, "START TRANSACTION; UPDATE t SET v = 2").await;
    let before = case.source.writers(&case.plan).await.unwrap();
    assert!(!before.is_empty());
    let id = case.database.rows_as_text("SELECT CONNECTION_ID()").await;
    assert!(before.iter().all(|w| !w.who.contains(&format!("session {} ", id[0][0].as_ref().unwrap()))));
    execute(&mut writer, "COMMIT; START TRANSACTION").await;
    let after = case.source.writers(&case.plan).await.unwrap();
    assert!(!after.iter().any(|w| before.contains(w)), "{after:?}");
}

async fn a_writer_is_seen_without_privileges(kind: Kind) {
    let server = MysqlServer::shared(kind);
    let case = Case::new(kind, TABLES).await;
    let user = server.user("").await;
    case.execute(&format!(
        "GRANT SELECT, TRIGGER, LOCK TABLES ON \"{}\".* TO {user}@'%';
         GRANT ALL ON highwater_capture.* TO {user}@'%'{}",
        case.database.name(),
        if kind == Kind::Mysql {
            format!("; GRANT XA_RECOVER_ADMIN ON *.* TO {user}@'%'")
        } else {
            String::new()
        }
    ))
    .await;
    let source = connect(&case.database.url_as(&user)).await;
    let mut writer = case.database.connect().await;
    execute(&mut writer, "START TRANSACTION; UPDATE t SET v = 2").await;
    assert_eq!(source.writers(&case.plan).await.unwrap().len(), 1);
    execute(&mut writer, "COMMIT").await;
    assert!(source.writers(&case.plan).await.unwrap().is_empty());
    // The locks are gone again.
    case.execute("UPDATE t SET v = 3").await;
}

async fn a_prepared_transaction_is_seen(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[]);
    let database = server.database().await;
    database.execute(TABLES).await;
    let case = Case::on(database, "root", &[]).await;
    case.install().await;
    let mut writer = case.database.connect().await;
    execute(&mut writer, "XA START 'one'; UPDATE t SET v = 2; XA END 'one'; XA PREPARE 'one'").await;
    drop(writer);
    let writers = case.source.writers(&case.plan).await.unwrap();
    assert!(writers.iter().any(|w| w.id.starts_with("xa:")), "{writers:?}");
    // It may hold no lock any more when the server was started anew.
    server.crash();
    server.start();
    let case = Case::on(case.database.clone(), "root", &[]).await;
    let until = Instant::now() + Duration::from_secs(3);
    let raised = case.source.raise_fence(&case.plan, stamp(2), until).await;
    if raised.is_ok() {
        let left = case.source.prepared().await.unwrap();
        assert!(left.iter().any(|w| w.id.starts_with("xa:")), "{left:?}");
    }
    execute(&mut case.database.connect().await, "XA COMMIT 'one'").await;
}

async fn prepared_transactions_that_cannot_be_listed_are_an_error(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let user = MysqlServer::shared(kind).user("").await;
    case.execute(&format!(
        "GRANT SELECT, TRIGGER ON \"{}\".* TO {user}@'%'; GRANT ALL ON highwater_capture.* TO {user}@'%'",
        case.database.name()
    ))
    .await;
    let source = connect(&case.database.url_as(&user)).await;
    match kind {
        // It shows them to everybody.
        Kind::Mariadb => assert!(source.prepared().await.is_ok()),
        Kind::Mysql => {
            for error in [source.prepared().await.unwrap_err(), source.writers(&case.plan).await.unwrap_err()]
            {
                assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
                assert!(error.remedy_text().unwrap().contains("XA_RECOVER_ADMIN"), "{error}");
            }
        }
    }
}
