//! Writers that might pass a raised fence: by settings of their sessions, by ways to write that end without an
//! entry in a log, by routines that catch its refusal. docs/how-it-works.md, "the fence is lowered by
//! data".

use highwater::engine::Lowered;
use highwater::error::Kind as ErrorKind;
use sqlx::{AssertSqlSafe, MySqlConnection};

use super::fence::{TABLES, fenced, stamp};
use super::{Case, Kind, refused};
use crate::support::{mysql_execute as execute, soon};

on_both!(
    no_setting_of_a_session_passes_it,
    no_kind_of_write_passes_it,
    a_write_whose_log_is_gone_is_refused,
    a_cascade_whose_log_is_gone_is_refused,
    a_write_that_no_log_took_is_noticed_when_the_log_is_back,
    a_procedure_that_catches_the_refusal_writes_nothing,
    a_routine_that_catches_the_refusal_is_found,
    it_fails_closed_without_its_stamp,
);

async fn no_setting_of_a_session_passes_it(kind: Kind) {
    let case = Case::bare(kind, TABLES).await.again(&["e"]).await;
    case.install().await;
    case.raise(2).await;
    for settings in [
        "SET sql_select_limit = 0",
        "SET sql_select_limit = 1",
        "SET sql_mode = ''",
        "SET sql_mode = 'ANSI,STRICT_ALL_TABLES,NO_ZERO_DATE,NO_AUTO_VALUE_ON_ZERO,PAD_CHAR_TO_FULL_LENGTH'",
        "SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE,IGNORE_SPACE,NO_BACKSLASH_ESCAPES'",
        "SET insert_id = 77",
        "SET last_insert_id = 77",
        "SET timestamp = 1",
        "SET foreign_key_checks = 0, unique_checks = 0",
        "SET autocommit = 0",
        "SET time_zone = '-11:00'",
        "SET NAMES latin1",
        "SET character_set_client = cp1251, collation_connection = utf16_general_ci",
        "SET completion_type = 1, max_sort_length = 8, sql_safe_updates = 1, sql_auto_is_null = 1",
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
        "SET sql_log_bin = 0",
        "SET binlog_format = STATEMENT",
        "SET auto_increment_increment = 7, auto_increment_offset = 3",
        "SET sql_big_selects = 0, max_join_size = 1",
        "SET div_precision_increment = 0, group_concat_max_len = 4, sql_notes = 0, sql_warnings = 0",
        "SET max_sp_recursion_depth = 0, query_prealloc_size = 16384, optimizer_search_depth = 0",
    ] {
        for sql in [
            "INSERT INTO t VALUES (5, 5)",
            "UPDATE t SET v = 7 WHERE a = 1",
            "DELETE FROM w WHERE v = 1 LIMIT 1",
            "INSERT INTO e VALUES (5)",
        ] {
            let mut writer = case.database.connect().await;
            execute(&mut writer, settings).await;
            fenced(&mut writer, sql).await;
            execute(&mut writer, "COMMIT").await;
        }
    }
    let rows =
        "SELECT (SELECT SUM(a + v) FROM t) * 100 + (SELECT SUM(v) FROM w) * 10 + (SELECT SUM(a) FROM e)";
    assert_eq!(case.number(rows).await, 211);
    case.source.prove_fence(&case.plan, stamp(2)).await.unwrap();
}

async fn no_kind_of_write_passes_it(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let mut pooled = case.database.connect().await;
    execute(&mut pooled, "PREPARE put FROM 'INSERT INTO t VALUES (?, 1)'; SET @a = 5").await;
    execute(&mut pooled, "PREPARE change_all FROM 'UPDATE t SET v = v + 1'").await;
    case.raise(2).await;
    for sql in ["EXECUTE put USING @a", "EXECUTE change_all"] {
        fenced(&mut pooled, sql).await;
    }
    execute(&mut pooled, "START TRANSACTION; SAVEPOINT one").await;
    fenced(&mut pooled, "INSERT INTO t VALUES (6, 6)").await;
    execute(&mut pooled, "ROLLBACK TO SAVEPOINT one").await;
    fenced(&mut pooled, "INSERT IGNORE INTO t VALUES (7, 7)").await;
    execute(&mut pooled, "COMMIT").await;
    for sql in [
        "INSERT IGNORE INTO t VALUES (5, 5), (6, 6)",
        "UPDATE IGNORE t SET a = 9",
        "DELETE IGNORE FROM t",
        "REPLACE INTO t VALUES (1, 9)",
        "INSERT INTO t VALUES (1, 9) ON DUPLICATE KEY UPDATE v = 9",
        "INSERT LOW_PRIORITY INTO t VALUES (5, 5)",
        "INSERT INTO t SELECT v + 7, v FROM w",
        "UPDATE t JOIN w ON w.v = t.v SET t.v = 9, w.v = 9",
        "DELETE t, w FROM t JOIN w ON w.v = t.v",
        "INSERT INTO w VALUES (5); INSERT INTO t VALUES (5, 5)",
        "START TRANSACTION; UPDATE w SET v = 9; COMMIT",
        "XA START 'x'; UPDATE w SET v = 9; XA END 'x'; XA PREPARE 'x'",
    ] {
        case.is_fenced(sql).await;
    }
    assert_eq!(case.number("SELECT SUM(a * 100 + t.v * 10 + w.v) FROM t, w").await, 111);
}

async fn a_write_whose_log_is_gone_is_refused(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let ways = [
        format!("DROP TABLE {}", case.log_of("t")),
        format!("ALTER TABLE {} RENAME COLUMN k1 TO k9", case.log_of("t")),
    ];
    for (n, way) in (0..).zip(ways) {
        let attempt = 2 + 2 * n;
        case.install().await;
        case.raise(attempt).await;
        case.execute(&way).await;
        for sql in
            ["INSERT INTO t VALUES (5, 5)", "UPDATE t SET v = 7", "UPDATE t SET a = 7", "DELETE FROM t"]
        {
            case.is_fenced(sql).await;
        }
        assert_eq!(case.number("SELECT SUM(a * 10 + v) FROM t").await, 11);
        assert_eq!(case.lower(attempt).await, Lowered::Down);
        case.execute("INSERT INTO t VALUES (5, 5); DELETE FROM t WHERE a = 5").await;
    }
}

/// Cascades from p by its primary key and by another one, to a table with a key and to one without.
const FAMILY: &str = "CREATE TABLE p (id int PRIMARY KEY, u int UNIQUE);
    CREATE TABLE c (id int PRIMARY KEY, p_id int, FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE g (id int PRIMARY KEY, c_id int, FOREIGN KEY (c_id) REFERENCES c (id) ON DELETE CASCADE);
    CREATE TABLE k (v int, p_u int, FOREIGN KEY (p_u) REFERENCES p (u) ON DELETE CASCADE ON UPDATE CASCADE);
    INSERT INTO p VALUES (1, 1); INSERT INTO c VALUES (10, 1); INSERT INTO g VALUES (100, 10); INSERT INTO k VALUES (1, 1)";

async fn a_cascade_whose_log_is_gone_is_refused(kind: Kind) {
    for (gone, excluded) in [("c", "p"), ("g", "p"), ("k", "p"), ("c", ""), ("g", ""), ("k", "")] {
        let case = Case::bare(kind, FAMILY).await.again(&[excluded]).await;
        case.install().await;
        case.raise(2).await;
        if excluded == "p" {
            // Its own triggers would refuse by the flag: what is asked here is the way to the child's log.
            case.execute(&format!(
                "UPDATE highwater_capture.fence SET raised = 0 WHERE database_name = '{}'",
                case.database.name()
            ))
            .await;
        }
        for log in if excluded == "p" { vec![gone] } else { vec!["p", gone] } {
            case.execute(&format!("DROP TABLE {}", case.log_of(log))).await;
        }
        for sql in ["DELETE FROM p", "DELETE FROM p WHERE id = 1", "UPDATE p SET id = 7, u = 7"] {
            case.is_fenced(sql).await;
        }
        let rows = "SELECT SUM(p.id + p.u + c.p_id + g.c_id + k.p_u) FROM p, c, g, k";
        assert_eq!(case.number(rows).await, 14, "{gone} {excluded}");
    }
}

async fn a_write_that_no_log_took_is_noticed_when_the_log_is_back(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let before = case.install().await;
    let log = case.log_of("t");
    let aside = log.replace(".t\"", ".aside\"");
    // Both renames fall between two inspections.
    case.execute(&format!("RENAME TABLE {log} TO {aside}")).await;
    case.execute("INSERT INTO t VALUES (5, 5)").await;
    case.execute(&format!("RENAME TABLE {aside} TO {log}")).await;
    assert!(case.mendable("t").await.contains("writes are in no change log"));
    case.sound("w").await;
    let after = case.install().await;
    assert_ne!(before["t"], after["t"]);
    assert_eq!(before["w"], after["w"]);
    case.all_sound().await;
}

async fn a_procedure_that_catches_the_refusal_writes_nothing(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    case.execute(
        "CREATE PROCEDURE stubborn() BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
         INSERT INTO t VALUES (5, 5); UPDATE t SET v = 9; DELETE FROM w; COMMIT; END",
    )
    .await;
    case.raise(2).await;
    case.execute("CALL stubborn()").await;
    assert_eq!(case.number("SELECT SUM(a * 100 + t.v * 10 + w.v) FROM t, w").await, 111);
    case.source.prove_fence(&case.plan, stamp(2)).await.unwrap();
}

/// An error that a function or trigger catches does not undo what its statement has done: that is so on both
/// servers, and no trigger can refuse otherwise.
async fn a_routine_that_catches_the_refusal_is_found(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    let before = case.install().await;
    case.execute(
        "CREATE FUNCTION stubborn() RETURNS int MODIFIES SQL DATA BEGIN
         DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; INSERT INTO t VALUES (5, 5); RETURN 1; END",
    )
    .await;
    case.raise(2).await;
    let mut writer = case.database.connect().await;
    execute(&mut writer, "START TRANSACTION").await;
    run(&mut writer, "SELECT stubborn()").await;
    let unproven = async || case.source.prove_fence(&case.plan, stamp(2)).await.unwrap_err();
    let error = unproven().await;
    assert!(error.summary().contains("a transaction is open"), "{error}");
    execute(&mut writer, "COMMIT").await;
    assert_eq!(case.number("SELECT COUNT(*) FROM t").await, 2, "it has passed");
    let error = unproven().await;
    assert_eq!(error.kind(), ErrorKind::NotConverged);
    assert!(error.summary().contains("on t: a function or trigger"), "{error}");
    assert!(case.mendable("t").await.contains("writes are in no change log"));
    case.sound("w").await;
    assert_eq!(case.lower(2).await, Lowered::Down);
    let after = case.install().await;
    assert_ne!(before["t"], after["t"], "the table is copied again");
    case.all_sound().await;
}

async fn it_fails_closed_without_its_stamp(kind: Kind) {
    let case = Case::new(kind, TABLES).await;
    case.raise(2).await;
    let sql = format!(
        "SELECT ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_TABLE = '{}.t' LIMIT 1",
        case.database.name()
    );
    let body = case.database.rows_as_text(&sql).await[0][0].clone().unwrap();
    match kind {
        Kind::Mysql => {
            case.execute(&format!(
                "DELETE FROM highwater_capture.lowered WHERE database_name = '{}'",
                case.database.name()
            ))
            .await;
        }
        Kind::Mariadb => {
            let at = body.find("lowered_").unwrap();
            let sequence = &body[at..at + "lowered_".len() + 16];
            case.execute(&format!("DROP SEQUENCE highwater_capture.{sequence}")).await;
        }
    }
    case.is_fenced("INSERT INTO t VALUES (5, 5)").await;
    case.is_fenced("DELETE FROM w").await;
    assert!(case.source.prove_fence(&case.plan, stamp(2)).await.is_err());
    assert!(case.source.raise_fence(&case.plan, stamp(4), soon()).await.is_err());
    assert_eq!(
        refused(&mut case.database.connect().await, "UPDATE t SET v = 9").await.matches("HW001").count(),
        1
    );
}

async fn run(connection: &mut MySqlConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_string())).fetch_all(connection).await.unwrap();
}
