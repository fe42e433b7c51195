//! What the triggers log.

use super::{Case, Kind};
use crate::support::mysql_execute;

on_both!(
    every_kind_of_write_is_logged_once_per_key,
    an_update_of_the_key_logs_both_keys,
    a_keyless_table_logs_that_it_changed,
    keys_of_all_types_are_logged_as_they_are,
    odd_names_are_captured,
    a_lax_writer_is_not_failed_by_a_strict_body,
    a_write_passes_when_the_log_is_gone,
    triggers_of_the_user_stay,
);

async fn every_kind_of_write_is_logged_once_per_key(kind: Kind) {
    let case =
        Case::new(kind, "CREATE TABLE t (a int, b varchar(9), v text, u int UNIQUE, PRIMARY KEY (a, b))")
            .await;
    case.execute("INSERT INTO t VALUES (1, 'x', 'one', 1), (2, 'y', 'two', 2), (3, 'z', 'three', 3)").await;
    case.execute("UPDATE t SET v = 'more' WHERE a > 1").await;
    case.execute("DELETE FROM t WHERE a = 3").await;
    assert_eq!(case.log("t").await, ["I 1 x", "I 2 y", "I 3 z", "U 2 y", "U 3 z", "D 3 z"]);
    case.clear(&["t"]).await;
    case.execute("INSERT INTO t VALUES (1, 'x', 'again', 1) ON DUPLICATE KEY UPDATE v = 'again'").await;
    case.execute("INSERT IGNORE INTO t VALUES (1, 'x', 'ignored', 1)").await;
    case.execute("UPDATE t SET v = 'none' WHERE a = 99").await;
    assert_eq!(case.log("t").await, ["U 1 x"]);
    case.clear(&["t"]).await;
    // The new row takes the unique value of another one, which goes.
    case.execute("REPLACE INTO t VALUES (7, 'n', 'new', 2)").await;
    assert_eq!(case.logged("t").await, ["D 2 y", "I 7 n"]);
    case.all_sound().await;
}

async fn an_update_of_the_key_logs_both_keys(kind: Kind) {
    let case = Case::new(
        kind,
        "CREATE TABLE t (a int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x'), (5, 'z')",
    )
    .await;
    case.execute("UPDATE t SET a = a + 1").await;
    assert_eq!(case.logged("t").await, ["D 1", "D 5", "I 2", "I 6"]);
}

async fn a_keyless_table_logs_that_it_changed(kind: Kind) {
    let case = Case::new(kind, "CREATE TABLE t (a int, v text)").await;
    case.execute("INSERT INTO t VALUES (1, 'x'); UPDATE t SET a = 2; DELETE FROM t").await;
    assert_eq!(case.log("t").await, ["W", "W", "W"]);
    case.sound("t").await;
}

async fn keys_of_all_types_are_logged_as_they_are(kind: Kind) {
    let case = Case::new(
        kind,
        "CREATE TABLE t (a bigint unsigned, b decimal(10,3), c datetime(6), d timestamp(3) NOT NULL DEFAULT '2000-01-01',
            e enum('x','it''s','ä') CHARACTER SET latin1, f set('p','q'), g bit(9), h varbinary(9), i char(5) CHARACTER SET latin1,
            j varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, k year, l time(2), m double, n date, o float,
            p int(7) unsigned zerofill, PRIMARY KEY (a, b, c, d, e, f, g, h, i, j, k, l, m, n), UNIQUE (o, p))",
    )
    .await;
    case.execute(
        "INSERT INTO t VALUES (18446744073709551615, -1.25, '2020-02-03 04:05:06.789', '2001-02-03 04:05:06.5', 'it''s',
         'p,q', b'100000001', x'00ff', 'ä', 'é', 1999, '-838:59:58.99', 0.1, '2020-01-01', 1.5, 1)",
    )
    .await;
    let columns = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"];
    let same: Vec<String> =
        columns.iter().enumerate().map(|(i, c)| format!("t.{c} <=> l.k{}", i + 1)).collect();
    let sql = format!("SELECT COUNT(*) FROM t JOIN {} AS l ON {}", case.log_of("t"), same.join(" AND "));
    assert_eq!(case.number(&sql).await, 1);
    case.sound("t").await;
}

async fn odd_names_are_captured(kind: Kind) {
    let case = Case::new(
        kind,
        "CREATE TABLE \"a`b'c\\d é.f\" (\"k`1\\x'y\" int PRIMARY KEY, \"{s}\" int, \"select\" int);
         CREATE TABLE \"child #1\" (id int PRIMARY KEY, \"of `x`\" int,
            FOREIGN KEY (\"of `x`\") REFERENCES \"a`b'c\\d é.f\" (\"k`1\\x'y\") ON DELETE CASCADE);
         CREATE TABLE xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx (id int PRIMARY KEY)",
    )
    .await;
    case.all_sound().await;
    case.execute("INSERT INTO \"a`b'c\\d é.f\" VALUES (7, 1, 1); INSERT INTO \"child #1\" VALUES (1, 7)")
        .await;
    case.execute("DELETE FROM \"a`b'c\\d é.f\"").await;
    assert_eq!(case.log("child #1").await, ["I 1", "D 1"]);
    let generations = case.install().await;
    assert_eq!(generations, case.install().await, "what is in force is left alone");
    case.source.remove().await.unwrap();
    assert_eq!(
        case.number("SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE()")
            .await,
        0
    );
}

async fn a_lax_writer_is_not_failed_by_a_strict_body(kind: Kind) {
    let case = Case::new(kind, "CREATE TABLE t (a date, b varchar(3) NOT NULL, PRIMARY KEY (a, b))").await;
    // A session of its own: the others go on as they are.
    let mut lax = case.database.connect().await;
    mysql_execute(&mut lax, "SET sql_mode = ''; INSERT INTO t VALUES ('0000-00-00', 'abcdef')").await;
    assert_eq!(case.log("t").await, ["I 0000-00-00 abc"]);
}

async fn a_write_passes_when_the_log_is_gone(kind: Kind) {
    let case = Case::new(kind, "CREATE TABLE t (a int PRIMARY KEY, v int)").await;
    let before = case.install().await;
    case.execute(&format!("DROP TABLE {}", case.log_of("t"))).await;
    case.execute("INSERT INTO t VALUES (1, 1); UPDATE t SET v = 2, a = 2; DELETE FROM t").await;
    assert!(case.mendable("t").await.contains("its change log is gone"));
    assert_ne!(before, case.install().await);
    case.sound("t").await;
    case.execute(&format!("ALTER TABLE {} RENAME COLUMN k1 TO k9", case.log_of("t"))).await;
    case.execute("INSERT INTO t VALUES (3, 3)").await;
    assert!(case.mendable("t").await.contains("its change log was altered"));
}

async fn triggers_of_the_user_stay(kind: Kind) {
    let sql = "CREATE TABLE t (a int PRIMARY KEY, v int);
               CREATE TRIGGER mine BEFORE INSERT ON t FOR EACH ROW SET NEW.a = NEW.a + 100";
    let case = Case::new(kind, sql).await;
    case.execute("INSERT INTO t VALUES (1, 1)").await;
    assert_eq!(case.log("t").await, ["I 101"]);
    case.source.remove().await.unwrap();
    assert_eq!(
        case.number("SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE()")
            .await,
        1
    );
}
