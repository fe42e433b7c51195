//! Making keys equal: what stands in each other's way, what is refused, what is the target's own.

use highwater::engine::{Feed, Tx};
use highwater::error::Kind;
use highwater::model::{Form, Sequence, TableName, TablePlan};

use super::side::{Side, connect, did};
use crate::support::compare;

const BOTH: [Form; 2] = [Form::CopyBinary, Form::CopyText];

async fn refused(tx: &mut dyn Tx, plan: &TablePlan, numbers: Option<&[i64]>) -> Option<String> {
    tx.savepoint().await.unwrap();
    match tx.equalise(plan, numbers).await {
        Ok(_) => {
            tx.release().await.unwrap();
            None
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Data, "{error}");
            tx.rollback_to_savepoint().await.unwrap();
            Some(error.summary())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_keeps_target_only_columns_and_their_rows_in_place() {
    let side = Side::of(
        "CREATE TABLE t (id int PRIMARY KEY, v text)",
        "CREATE TABLE t (mine text DEFAULT 'fresh', id int PRIMARY KEY, v text);
         CREATE TABLE child (id int REFERENCES t ON DELETE CASCADE); ",
    )
    .await;
    side.pair.target.execute("INSERT INTO t VALUES ('kept', 1, 'old'); INSERT INTO child VALUES (1)").await;
    side.pair.source.execute("INSERT INTO t VALUES (1, 'new'), (2, 'two')").await;
    let plan = side.plan("t", Form::CopyBinary).await;
    assert_eq!(side.equalise(&plan, "SELECT id FROM t").await, did(1, 1, 0));
    assert_eq!(
        side.pair.target.value("SELECT string_agg(mine || v, ',' ORDER BY id) FROM t").await,
        "keptnew,freshtwo"
    );
    assert_eq!(side.pair.target.value("SELECT count(*) FROM child").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_swap_unique_values_are_lifted_out_and_back_whole() {
    let side = Side::of(
        "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)",
        "CREATE TABLE t (id int PRIMARY KEY, mine text, u int UNIQUE, twice int GENERATED ALWAYS AS (u * 2) STORED)",
    )
    .await;
    side.pair.target.execute("INSERT INTO t SELECT g, 'mine' || g, g FROM generate_series(1, 4) g").await;
    // A cycle of three, one deleted that another takes the value of, and a new row.
    side.pair.source.execute("INSERT INTO t VALUES (1, 2), (2, 3), (3, 1), (5, 4)").await;
    let plan = side.plan("t", Form::CopyText).await;
    let mut tx = side.staged(&plan, "SELECT generate_series(1, 5) AS id").await;
    assert!(refused(tx.as_mut(), &plan, None).await.unwrap().contains("t_u_key"));
    assert!(tx.can_lift(&plan));
    tx.savepoint().await.unwrap();
    assert_eq!(tx.lift(&plan, None).await.unwrap(), 4);
    assert_eq!(tx.put(&plan, None).await.unwrap(), did(1, 3, 1));
    tx.release().await.unwrap();
    tx.commit().await.unwrap();
    compare::assert_same(&side.pair).await;
    let kept = "SELECT string_agg(coalesce(mine, '-') || twice, ',' ORDER BY id) FROM t";
    assert_eq!(side.pair.target.value(kept).await, "mine14,mine26,mine32,-8");
}

#[tokio::test(flavor = "multi_thread")]
async fn lifted_rows_that_are_refused_go_back_as_they_were() {
    let side = Side::of(
        "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)",
        "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE CHECK (u < 100), mine text)",
    )
    .await;
    side.pair.target.execute("INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')").await;
    side.pair.source.execute("INSERT INTO t VALUES (1, 2), (2, 1), (3, 100)").await;
    let plan = side.plan("t", Form::CopyBinary).await;
    let mut tx = side.staged(&plan, "SELECT id FROM t ORDER BY id").await;
    let numbers = tx.staged(&plan).await.unwrap();
    let keys = tx.staged_keys(&plan, &numbers).await.unwrap();
    let number = |key: &str| numbers[keys.iter().position(|k| k[0] == key).unwrap()];
    tx.lift(&plan, None).await.unwrap();
    assert!(tx.put(&plan, Some(&[number("1")])).await.is_ok());
    tx.savepoint().await.unwrap();
    assert_eq!(tx.put(&plan, Some(&[number("3")])).await.unwrap_err().kind(), Kind::Data);
    tx.rollback_to_savepoint().await.unwrap();
    assert_eq!(tx.put(&plan, Some(&[number("2")])).await.unwrap(), did(0, 1, 0));
    assert_eq!(tx.put_back(&plan, &[number("3")]).await.unwrap(), 1);
    assert_eq!(tx.put_back(&plan, &[number("3")]).await.unwrap(), 0, "once is enough");
    tx.commit().await.unwrap();
    let rows = "SELECT string_agg(id::text || u || mine, ',' ORDER BY id) FROM t";
    assert_eq!(side.pair.target.value(rows).await, "12a,21b,33c");
}

/// A lift that was rolled back leaves nothing that the commit stumbles over.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_lift_does_not_spoil_the_commit() {
    let side = Side::both("CREATE TABLE t (id int PRIMARY KEY, u int)").await;
    side.pair.source.execute("INSERT INTO t VALUES (1, 1)").await;
    let plan = side.plan("t", Form::CopyBinary).await;
    let mut tx = side.staged(&plan, "SELECT id FROM t").await;
    tx.savepoint().await.unwrap();
    tx.lift(&plan, None).await.unwrap();
    tx.savepoint().await.unwrap();
    tx.rollback_to_savepoint().await.unwrap();
    tx.rollback_to_savepoint().await.unwrap();
    assert_eq!(tx.equalise(&plan, Some(&[1])).await.unwrap(), did(1, 0, 0));
    tx.commit().await.unwrap();
    compare::assert_same(&side.pair).await;
    let mut tx = side.target.begin().await.unwrap();
    assert_eq!(
        tx.stage(&plan, Feed::Read(&side.states(&plan, "SELECT id FROM t WHERE false").await))
            .await
            .unwrap()
            .0,
        0
    );
    assert!(tx.staged(&plan).await.unwrap().is_empty(), "nothing is left of the batch before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_is_found_by_its_number() {
    for form in BOTH {
        let side = Side::of(
            "CREATE TYPE mood AS ENUM ('good', 'new'); CREATE TABLE t (id int PRIMARY KEY, m mood, v varchar(10), n text)",
            "CREATE TYPE mood AS ENUM ('good'); CREATE TABLE t (id int PRIMARY KEY, m mood, v varchar(3), n text NOT NULL)",
        )
        .await;
        side.pair
            .source
            .execute(
                "INSERT INTO t VALUES (1, 'good', 'abc', ''), (2, 'new', 'abc', ''), (3, 'good', 'abcd', ''),
                 (4, 'good', 'ok', NULL), (5, 'good', 'ok   ', '')",
            )
            .await;
        let plan = side.plan("t", form).await;
        let mut tx = side.staged(&plan, "SELECT id FROM t").await;
        let mut reasons = Vec::new();
        for number in tx.staged(&plan).await.unwrap() {
            let key = tx.staged_keys(&plan, &[number]).await.unwrap()[0][0].clone();
            if let Some(reason) = refused(tx.as_mut(), &plan, Some(&[number])).await {
                reasons.push((key, reason));
            }
        }
        tx.commit().await.unwrap();
        reasons.sort();
        let keys: Vec<&str> = reasons.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["2", "3", "4", "5"], "{form:?}: {reasons:?}");
        assert!(reasons[0].1.contains("mood") && reasons[1].1.contains("too long"), "{reasons:?}");
        assert!(reasons[2].1.contains("not-null") && reasons[3].1.contains("would change"), "{reasons:?}");
        assert_eq!(side.pair.target.value("SELECT count(*) FROM t").await, "1");
    }
}

/// In replica role the server does not check deferrable constraints at all.
#[tokio::test(flavor = "multi_thread")]
async fn deferrable_constraints_are_checked_though_the_server_does_not() {
    let side = Side::of(
        "CREATE TABLE t (id int PRIMARY KEY, u int)",
        "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE DEFERRABLE INITIALLY DEFERRED,
             EXCLUDE USING btree (u WITH =) DEFERRABLE)",
    )
    .await;
    side.pair.target.execute("INSERT INTO t VALUES (9, 9)").await;
    side.pair.source.execute("INSERT INTO t VALUES (1, 1), (2, 9), (3, 3)").await;
    let plan = side.plan("t", Form::CopyBinary).await;
    let mut tx = side.target.begin().await.unwrap();
    let rows = side.rows(&plan).await;
    assert_eq!(tx.load(&plan, Feed::Read(&rows)).await.unwrap_err().kind(), Kind::Data);
    drop(tx);
    let mut tx = side.staged(&plan, "SELECT id FROM t").await;
    assert!(refused(tx.as_mut(), &plan, None).await.unwrap().contains("deferrable"));
    tx.lift(&plan, None).await.unwrap();
    tx.savepoint().await.unwrap();
    assert!(tx.put(&plan, None).await.is_err());
    tx.rollback_to_savepoint().await.unwrap();
    let keys = tx.staged(&plan).await.unwrap();
    for number in keys {
        let bad = tx.staged_keys(&plan, &[number]).await.unwrap()[0][0] == "2";
        assert_eq!(refused(tx.as_mut(), &plan, Some(&[number])).await.is_some(), bad);
    }
    tx.commit().await.unwrap();
    assert_eq!(side.pair.target.value("SELECT string_agg(id::text, ',' ORDER BY id) FROM t").await, "1,3,9");
    // A swap among ourselves is no collision once it is done.
    side.pair.source.execute("DELETE FROM t WHERE id = 2; UPDATE t SET u = 4 - u").await;
    assert_eq!(side.equalise(&plan, "SELECT id FROM t").await, did(0, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_cannot_be_updated_is_lifted() {
    let side = Side::of(
        "CREATE TABLE t (id int PRIMARY KEY, n int)",
        "CREATE TABLE t (id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, mine text)",
    )
    .await;
    side.pair.target.execute("INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (1, 1, 'a'), (2, 2, 'b')").await;
    side.pair.source.execute("INSERT INTO t VALUES (1, 10), (2, 2)").await;
    let plan = side.plan("t", Form::CopyBinary).await;
    let mut tx = side.staged(&plan, "SELECT id FROM t").await;
    assert!(refused(tx.as_mut(), &plan, None).await.unwrap().contains("GENERATED ALWAYS"));
    tx.lift(&plan, None).await.unwrap();
    assert_eq!(tx.put(&plan, None).await.unwrap(), did(0, 2, 0));
    tx.commit().await.unwrap();
    compare::assert_same(&side.pair).await;
    assert_eq!(side.pair.target.value("SELECT mine FROM t WHERE n = 10").await, "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn keyless_tables_are_replaced_counting_duplicates() {
    for form in BOTH {
        let side = Side::both("CREATE TABLE t (a int, b text, j json, n numeric)").await;
        side.pair.target.execute("INSERT INTO t VALUES (1, NULL, NULL, 1.0), (1, NULL, NULL, 1.0), (2, '', '{}', 1.00), (3, 'gone', NULL, 0)").await;
        let place = "SELECT string_agg(ctid::text, ',') FROM t WHERE a = 2";
        let before = side.pair.target.value(place).await;
        side.pair
            .source
            .execute(
                "INSERT INTO t VALUES (1, NULL, NULL, 1.0), (1, NULL, NULL, 1.0), (1, NULL, NULL, 1.0),
                 (2, '', '{}', 1.00), (2, NULL, '{}', 1.00), (2, '', '{ }', 1.00), (2, '', '{}', 1.0)",
            )
            .await;
        let plan = side.plan("t", form).await;
        let rows = side.rows(&plan).await;
        let mut tx = side.target.begin().await.unwrap();
        assert_eq!(tx.replace(&plan, Feed::Read(&rows)).await.unwrap(), did(4, 0, 1));
        tx.commit().await.unwrap();
        compare::assert_same(&side.pair).await;
        assert!(side.pair.target.value(place).await.contains(&before), "what is the same stays where it is");
        let mut tx = side.target.begin().await.unwrap();
        assert_eq!(tx.replace(&plan, Feed::Read(&rows)).await.unwrap(), did(0, 0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_deletes_just_what_the_source_lacks() {
    let side = Side::both(
        "CREATE EXTENSION citext; CREATE TABLE t (k citext, n numeric, v int, PRIMARY KEY (n, k))",
    )
    .await;
    side.pair
        .target
        .execute("INSERT INTO t VALUES ('a', 1, 1), ('B', 2.0, 2), ('c', 'NaN', 3), ('d', 4, 4)")
        .await;
    side.pair.source.execute("INSERT INTO t VALUES ('A', 1.00, 1), ('b', 2, 2), ('c', 'NaN', 3)").await;
    let plan = side.plan("t", Form::CopyText).await;
    let keys = side.copy(&plan, "SELECT n, k FROM t").await;
    let mut tx = side.target.begin().await.unwrap();
    assert_eq!(tx.prune(&plan, Feed::Read(&keys), &[]).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(side.pair.target.value("SELECT count(*) FROM t WHERE k = 'd'").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_move_exactly_and_never_backwards() {
    let side = Side::both(
        "CREATE SEQUENCE up; CREATE SEQUENCE down INCREMENT -5 MINVALUE -1000 START -1; CREATE SEQUENCE unused START 7;
         CREATE SEQUENCE \"Mixed\"; CREATE SEQUENCE ahead; CREATE SEQUENCE small;
         CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial)",
    )
    .await;
    side.pair
        .source
        .execute(
            "SELECT setval('up', 50, false), setval('down', -31), setval('\"Mixed\"', 5), setval('ahead', 9);
             INSERT INTO t DEFAULT VALUES; INSERT INTO t DEFAULT VALUES",
        )
        .await;
    side.pair
        .target
        .execute("ALTER SEQUENCE \"Mixed\" RENAME TO mixed; SELECT setval('ahead', 10), setval('down', -6)")
        .await;
    let wanted = connect(&side.pair.source.url()).await.schema().await.unwrap().sequences;
    let mut tx = side.target.begin().await.unwrap();
    let mut moved: Vec<String> =
        tx.move_sequences(&wanted).await.unwrap().iter().map(ToString::to_string).collect();
    tx.commit().await.unwrap();
    moved.sort();
    assert_eq!(moved, ["down", "mixed", "t_id_seq", "t_s_seq", "up"]);
    let next = "SELECT concat_ws(',', nextval('up'), nextval('down'), nextval('mixed'), nextval('ahead'),
        nextval('unused'), nextval('t_id_seq'), nextval('t_s_seq'))";
    assert_eq!(side.pair.target.value(next).await, "50,-36,6,11,7,3,3");
    let mut tx = side.target.begin().await.unwrap();
    assert!(tx.move_sequences(&wanted).await.unwrap().is_empty(), "again is harmless");
    side.pair.target.execute("ALTER SEQUENCE small MAXVALUE 100").await;
    let beyond = Sequence { name: TableName::new("public", "small"), last: 101, called: true, increment: 1 };
    assert!(tx.move_sequences(&[beyond]).await.unwrap_err().summary().contains("limits are 1 and 100"));
}

/// Parked keys are known by their text: it must be the same whatever form the rows came in.
#[tokio::test(flavor = "multi_thread")]
async fn staged_keys_are_written_as_the_server_writes_them() {
    let ddl = "CREATE TABLE t (a char(5), b boolean, c timestamptz, d float8, e bytea, PRIMARY KEY (a, b, c, d, e))";
    for form in BOTH {
        let side = Side::both(ddl).await;
        side.pair
            .source
            .execute("INSERT INTO t VALUES ('x', true, '2024-01-01 12:00+02', 0.1, '\\x00')")
            .await;
        let plan = side.plan("t", form).await;
        let mut tx = side.staged(&plan, "SELECT a, b, c, d, e FROM t").await;
        let numbers = tx.staged(&plan).await.unwrap();
        let keys = tx.staged_keys(&plan, &numbers).await.unwrap();
        assert_eq!(
            keys,
            [["x    ", "t", "2024-01-01 10:00:00+00", "0.1", "\\x00"].map(String::from)],
            "{form:?}"
        );
    }
}
