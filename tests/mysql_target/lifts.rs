//! Rows that are in each other's way.

use highwater::engine::Feed;
use highwater::error::Kind;

use super::side::{BOTH, Side, did, refused};
use crate::support::compare;

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_swap_unique_values_are_lifted_out_and_back_whole() {
    for kind in BOTH {
        let side = Side::of(
            kind,
            "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)",
            "CREATE TABLE t (id int PRIMARY KEY, mine varchar(300), u int UNIQUE, n bigint AUTO_INCREMENT UNIQUE,
                 twice int GENERATED ALWAYS AS (u * 2) STORED, at timestamp DEFAULT '2001-01-01 00:00:00' ON UPDATE CURRENT_TIMESTAMP)",
        )
        .await;
        side.target("INSERT INTO t (id, mine, u, n) VALUES (1, 'mine1', 1, 0), (2, 'mine2', 2, 12), (3, 'mine3 ', 3, 13), (4, 'mine4', 4, 14)")
            .await;
        // A cycle of three, one deleted that another takes the value of, and a new row.
        side.source("INSERT INTO t VALUES (1, 2), (2, 3), (3, 1), (5, 4)").await;
        let plan = side.plan("t").await;
        let keys = "SELECT 1 AS id UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5";
        let mut tx = side.staged(&plan, keys).await;
        assert!(refused(tx.as_mut(), &plan, None).await.unwrap().contains("Duplicate"));
        assert!(tx.can_lift(&plan));
        tx.savepoint().await.unwrap();
        assert_eq!(tx.lift(&plan, None).await.unwrap(), 4);
        assert_eq!(tx.put(&plan, None).await.unwrap(), did(1, 3, 1));
        tx.release().await.unwrap();
        tx.commit().await.unwrap();
        compare::assert_same(&side.pair).await;
        let kept = "SELECT group_concat(concat(coalesce(mine, '-'), twice, ':', n, ':', year(at)) ORDER BY id) FROM t";
        assert_eq!(
            side.value(kept).await,
            "mine14:0:2001,mine26:12:2001,mine3 2:13:2001,-8:15:2001",
            "{kind:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lifted_rows_that_are_refused_go_back_as_they_were() {
    for kind in BOTH {
        let side = Side::of(
            kind,
            "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)",
            "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, mine text, CHECK (u < 100))",
        )
        .await;
        side.pair.target.execute("INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c')").await;
        side.source("INSERT INTO t VALUES (1, 2), (2, 1), (3, 100)").await;
        let plan = side.plan("t").await;
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
        assert_eq!(
            side.value("SELECT group_concat(concat(id, u, mine) ORDER BY id) FROM t").await,
            "12a,21b,33c"
        );
    }
}

/// The server forgets a savepoint when another of its name is set.
#[tokio::test(flavor = "multi_thread")]
async fn savepoints_nest() {
    for kind in BOTH {
        let side = Side::both(kind, "CREATE TABLE t (id int PRIMARY KEY, u int)").await;
        side.source("INSERT INTO t VALUES (1, 1), (2, 2)").await;
        let plan = side.plan("t").await;
        let mut tx = side.staged(&plan, "SELECT id FROM t").await;
        tx.savepoint().await.unwrap();
        tx.equalise(&plan, Some(&[1])).await.unwrap();
        tx.savepoint().await.unwrap();
        tx.equalise(&plan, Some(&[2])).await.unwrap();
        tx.lift(&plan, None).await.unwrap();
        tx.rollback_to_savepoint().await.unwrap();
        tx.rollback_to_savepoint().await.unwrap();
        tx.savepoint().await.unwrap();
        assert_eq!(tx.equalise(&plan, Some(&[2])).await.unwrap(), did(1, 0, 0));
        tx.release().await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(side.value("SELECT group_concat(u) FROM t").await, "2", "{kind:?}");
        let mut tx = side.target.begin().await.unwrap();
        let none = side.states(&plan, "SELECT id FROM t WHERE false").await;
        assert_eq!(tx.stage(&plan, Feed::Read(&none)).await.unwrap().0, 0);
        assert!(tx.staged(&plan).await.unwrap().is_empty(), "nothing is left of the batch before");
    }
}
