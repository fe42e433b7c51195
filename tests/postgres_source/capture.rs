//! What the triggers log.

use sqlx::postgres::PgPoolCopyExt;

use super::Case;

#[tokio::test]
async fn every_kind_of_write_is_logged_once_per_key() {
    let case = Case::new("CREATE TABLE t (a int, b text, v text, PRIMARY KEY (a, b))").await;
    case.execute("INSERT INTO t VALUES (1, 'x', 'one'), (2, 'y', 'two'), (3, 'z', 'three')").await;
    case.execute("UPDATE t SET v = v || '!' WHERE a > 1").await;
    case.execute("DELETE FROM t WHERE a = 3").await;
    case.execute("INSERT INTO t VALUES (1, 'x', 'again') ON CONFLICT (a, b) DO UPDATE SET v = excluded.v")
        .await;
    case.execute("INSERT INTO t VALUES (1, 'x', 'again') ON CONFLICT DO NOTHING").await;
    case.execute("UPDATE t SET v = 'none' WHERE a = 99").await;
    case.execute("TRUNCATE t").await;
    let log = ["I 1 x", "I 2 y", "I 3 z", "U 2 y", "U 3 z", "D 3 z", "U 1 x", "T"];
    assert_eq!(case.log("t").await, log);
    case.sound("t").await;
}

#[tokio::test]
async fn an_update_of_the_key_logs_both_keys() {
    let case = Case::new(
        "CREATE TABLE t (a int PRIMARY KEY DEFERRABLE, v text); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (5, 'z')",
    )
    .await;
    case.execute("UPDATE t SET a = a + 1 WHERE a < 3").await;
    let mut log = case.log("t").await;
    log.sort();
    assert_eq!(log, ["D 1", "I 3", "U 2"]);
}

#[tokio::test]
async fn merge_copy_cascades_and_writable_ctes_are_logged() {
    let case = Case::new(
        "CREATE TABLE p (a int PRIMARY KEY);
         CREATE TABLE c (b int PRIMARY KEY, a int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
         INSERT INTO p VALUES (1), (2), (3); INSERT INTO c VALUES (10, 1), (20, 2), (30, 3)",
    )
    .await;
    case.execute("DELETE FROM p WHERE a = 1").await;
    case.execute("UPDATE p SET a = 22 WHERE a = 2").await;
    assert_eq!(case.log("c").await, ["D 10", "U 20"]);
    case.clear("c").await;
    case.execute(
        "WITH gone AS (DELETE FROM c WHERE b = 20 RETURNING a) INSERT INTO c SELECT 21, a FROM gone",
    )
    .await;
    let mut log = case.log("c").await;
    log.sort();
    assert_eq!(log, ["D 20", "I 21"]);
    case.clear("c").await;
    case.execute(
        "MERGE INTO c USING (VALUES (21, 3), (40, 3), (30, NULL)) AS s(b, a) ON c.b = s.b
         WHEN MATCHED AND s.a IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET a = s.a
         WHEN NOT MATCHED THEN INSERT VALUES (s.b, s.a)",
    )
    .await;
    let mut log = case.log("c").await;
    log.sort();
    assert_eq!(log, ["D 30", "I 40", "U 21"]);
    case.clear("c").await;
    let mut copy = case.database.pool().copy_in_raw("COPY c FROM STDIN").await.unwrap();
    copy.send("50\t3\n60\t\\N\n".as_bytes()).await.unwrap();
    copy.finish().await.unwrap();
    assert_eq!(case.log("c").await, ["I 50", "I 60"]);
    case.clear("c").await;
    case.execute("TRUNCATE p CASCADE").await;
    assert_eq!(case.log("c").await, ["T"]);
    assert_eq!(case.log("p").await.last().unwrap(), "T");
    case.sound("c").await;
    case.sound("p").await;
}

#[tokio::test]
async fn savepoints_that_roll_back_leave_nothing() {
    let case = Case::new("CREATE TABLE t (a int PRIMARY KEY)").await;
    case.execute(
        "BEGIN; INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2); ROLLBACK TO s;
         SAVEPOINT s; INSERT INTO t VALUES (3); RELEASE s; COMMIT",
    )
    .await;
    assert_eq!(case.log("t").await, ["I 1", "I 3"]);
    let xids = "SELECT count(DISTINCT xid) FROM highwater_capture.\"public.t\"";
    assert_eq!(
        case.database.rows_as_text(xids).await[0][0].as_deref(),
        Some("1"),
        "subtransactions have no place"
    );
}

#[tokio::test]
async fn a_keyless_table_logs_that_it_changed() {
    let case = Case::new("CREATE TABLE t (v text)").await;
    case.execute("INSERT INTO t VALUES ('a'), ('b')").await;
    case.execute("UPDATE t SET v = 'c' WHERE v = 'none'").await;
    case.execute("UPDATE t SET v = 'c' WHERE v = 'a'").await;
    case.execute("DELETE FROM t").await;
    assert_eq!(case.log("t").await, ["W", "W", "W"]);
}

const PARTS: &str = "CREATE TABLE r (a int, v text, PRIMARY KEY (a)) PARTITION BY RANGE (a);
    CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (100);
    CREATE TABLE r2 PARTITION OF r FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (a);
    CREATE TABLE r2a PARTITION OF r2 FOR VALUES FROM (100) TO (150);
    CREATE TABLE r2b PARTITION OF r2 FOR VALUES FROM (150) TO (200)";

#[tokio::test]
async fn writes_into_any_level_of_partitions_are_logged() {
    let case = Case::new(PARTS).await;
    case.execute("INSERT INTO r VALUES (1, 'root')").await;
    case.execute("INSERT INTO r2a VALUES (120, 'leaf')").await;
    case.execute("INSERT INTO r2 VALUES (160, 'middle')").await;
    case.execute("UPDATE r SET a = 130 WHERE a = 1").await;
    case.execute("DELETE FROM r2b").await;
    case.execute("TRUNCATE r2a").await;
    let mut log = case.log("r").await;
    assert_eq!(log.split_off(5), ["D 160", "T"]);
    log[3..].sort();
    assert_eq!(log, ["I 1", "I 120", "I 160", "D 1", "I 130"]);
    case.sound("r").await;
}

#[tokio::test]
async fn an_attached_partition_is_captured_and_its_rows_are_logged() {
    let case = Case::new(PARTS).await;
    let before = case.install().await;
    case.execute("CREATE TABLE r3 (a int NOT NULL PRIMARY KEY, v text); INSERT INTO r3 VALUES (250, 'new')")
        .await;
    case.execute("ALTER TABLE r ATTACH PARTITION r3 FOR VALUES FROM (200) TO (300)").await;
    assert!(case.mendable("r").await.contains("r3"));
    assert_eq!(case.install().await, before, "the log goes on");
    case.sound("r").await;
    case.execute("INSERT INTO r3 VALUES (251, 'leaf')").await;
    assert_eq!(case.log("r").await, ["I 250", "I 251"]);
}

#[tokio::test]
async fn a_detached_or_dropped_partition_marks_the_log() {
    let case = Case::new(PARTS).await;
    let before = case.install().await;
    case.execute("INSERT INTO r VALUES (1, 'one'), (120, 'two')").await;
    case.clear("r").await;
    case.execute("ALTER TABLE r DETACH PARTITION r1").await;
    case.mendable("r").await;
    assert_eq!(case.install().await, before);
    case.sound("r").await;
    assert_eq!(case.log("r").await, ["T"]);
    case.execute("INSERT INTO r1 VALUES (2, 'apart')").await;
    assert_eq!(case.log("r").await, ["T"], "a table of its own now");
    case.execute("DROP TABLE r2a").await;
    case.mendable("r").await;
    case.install().await;
    assert_eq!(case.log("r").await, ["T", "T"]);
    let again = case.again().await;
    again.install().await;
    again.execute("INSERT INTO r1 VALUES (3, 'own log')").await;
    assert_eq!(again.log("r1").await, ["I 3"]);
}

#[tokio::test]
async fn writes_through_an_inheritance_parent_reach_the_heirs_log() {
    let case = Case::new(
        "CREATE TABLE p (a int PRIMARY KEY, v text);
         CREATE TABLE h (w text, PRIMARY KEY (a)) INHERITS (p);
         CREATE TABLE g (PRIMARY KEY (a)) INHERITS (h);
         INSERT INTO p VALUES (1, 'p'); INSERT INTO h VALUES (2, 'h', ''); INSERT INTO g VALUES (3, 'g', '')",
    )
    .await;
    case.execute("UPDATE p SET v = 'x'").await;
    for label in ["p", "h", "g"] {
        let mut log = case.log(label).await;
        log.sort();
        assert_eq!(log, ["U 1", "U 2", "U 3"], "{label}");
    }
    case.execute("DELETE FROM p WHERE a = 3").await;
    assert_eq!(case.log("g").await.last().unwrap(), "D 3");
    case.clear("h").await;
    case.execute("TRUNCATE p").await;
    assert_eq!(case.log("h").await, ["T"]);
}

#[tokio::test]
async fn a_new_heir_gets_a_new_generation() {
    let case =
        Case::new("CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE h (a int NOT NULL PRIMARY KEY)").await;
    let before = case.install().await;
    case.execute("ALTER TABLE h INHERIT p").await;
    case.mendable("h").await;
    let after = case.install().await;
    assert_ne!(before["h"], after["h"], "writes through the parent may have been missed");
    case.execute("INSERT INTO h VALUES (1); DELETE FROM p WHERE a = 1").await;
    assert_eq!(case.log("h").await, ["I 1", "D 1"]);
}

#[tokio::test]
async fn keys_of_all_types_are_logged_exactly() {
    let case = Case::bare(
        "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('sad', 'glad');
         CREATE DOMAIN code AS varchar(3) NOT NULL CHECK (value <> '');
         CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE a (k citext PRIMARY KEY, v int); CREATE TABLE b (k hstore PRIMARY KEY, v int);
         CREATE TABLE c (k mood PRIMARY KEY, v int); CREATE TABLE d (k code PRIMARY KEY, v int);
         CREATE TABLE e (k char(5) PRIMARY KEY, v int); CREATE TABLE f (k int[] PRIMARY KEY, v int);
         CREATE TABLE g (k text COLLATE ci PRIMARY KEY, v int); CREATE TABLE h (k numeric PRIMARY KEY, v int);
         CREATE TABLE i (k float8, l uuid, m timestamptz, v int, PRIMARY KEY (k, l, m));
         CREATE TABLE \"J\"\"j\" (\"K k\" int4range PRIMARY KEY, v int)",
    )
    .await;
    case.install().await;
    let mut readers = Vec::new();
    for label in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "\"J\"\"j\""] {
        readers.push(case.reader(label).await);
    }
    case.execute(
        "INSERT INTO a VALUES ('X', 1); INSERT INTO b VALUES ('a=>1', 1); INSERT INTO c VALUES ('glad', 1);
         INSERT INTO d VALUES ('abc', 1); INSERT INTO e VALUES ('ab', 1); INSERT INTO f VALUES ('[0:1]={1,2}', 1);
         INSERT INTO g VALUES ('Ä', 1); INSERT INTO h VALUES (1.00, 1);
         INSERT INTO i VALUES ('-0', '00000000-0000-0000-0000-000000000001', '2020-01-01', 1);
         INSERT INTO \"J\"\"j\" VALUES ('[1,5)', 1)",
    )
    .await;
    case.execute(
        "UPDATE a SET k = 'x'; UPDATE b SET v = 2; UPDATE c SET v = 2; UPDATE d SET v = 2; UPDATE e SET v = 2;
         UPDATE f SET v = 2; UPDATE g SET k = 'ä'; UPDATE h SET k = 1.0; UPDATE i SET v = 2; UPDATE \"J\"\"j\" SET v = 2",
    )
    .await;
    let expected = [
        "t X x 1",
        "t \"a\"=>\"1\" \"a\"=>\"1\" 2",
        "t glad glad 2",
        "t abc abc 2",
        "t ab    ab    2",
        "t [0:1]={1,2} [0:1]={1,2} 2",
        "t Ä ä 1",
        "t 1.00 1.0 1",
        "t -0 00000000-0000-0000-0000-000000000001 2020-01-01 00:00:00+00 -0 00000000-0000-0000-0000-000000000001 2020-01-01 00:00:00+00 2",
        "t [1,5) [1,5) 2",
    ];
    for (reader, expected) in readers.iter_mut().zip(expected) {
        assert_eq!(reader.next().await, [expected]);
        assert_eq!(case.source.chunks(case.table(&reader.label), 1).await.unwrap().len(), 1);
    }
}
