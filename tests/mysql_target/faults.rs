//! The ledger, the lease, errors, and what must not be committed.

use std::time::Duration;

use highwater::engine::{Arg, Definition, Feed, Stage};
use highwater::error::Kind;
use highwater::model::Block;

use super::side::{BOTH, Side, connect, did, refused};
use crate::support::{MysqlServer, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_made_once_and_removed() {
    for kind in BOTH {
        let side = Side::both(kind, "CREATE TABLE t (id int PRIMARY KEY)").await;
        assert!(!side.target.has_ledger().await.unwrap());
        side.target.make_ledger().await.unwrap();
        side.pair.target.execute("DROP TABLE highwater_ledger_events").await;
        assert!(!side.target.has_ledger().await.unwrap(), "half of one is none");
        side.target.make_ledger().await.unwrap();
        side.target.make_ledger().await.unwrap();
        assert!(side.target.has_ledger().await.unwrap());
        let mut tx = side.target.begin().await.unwrap();
        let args: [Arg; 3] = ["it's \\ \u{1f600} ?2 {l}".into(), 7_i64.into(), Arg::Text(None)];
        let insert = "INSERT INTO {l}epochs (database_name, epoch) VALUES (?1, ?2)";
        assert_eq!(tx.execute(insert, &args).await.unwrap(), 1);
        let update = "UPDATE {l}epochs SET epoch = ?2 WHERE database_name = ?1 AND epoch = ?2";
        assert_eq!(tx.execute(update, &args).await.unwrap(), 1, "what is found counts, changed or not");
        let query = "SELECT epoch, database_name, ?3, CAST(sum(epoch) AS {bigint}) FROM {l}epochs WHERE database_name = ?1 GROUP BY 1, 2";
        let rows = tx.rows(query, &args).await.unwrap();
        assert_eq!(
            rows,
            [vec![Some("7".into()), Some("it's \\ \u{1f600} ?2 {l}".into()), None, Some("7".into())]]
        );
        let locked = "SELECT epoch FROM {l}epochs WHERE database_name = ?1{for share}";
        assert_eq!(tx.rows(locked, &args).await.unwrap().len(), 1);
        let locked = "SELECT epoch FROM {l}epochs WHERE database_name = ?1{for update}";
        assert_eq!(tx.rows(locked, &args).await.unwrap().len(), 1);
        let long = "x".repeat(100_000);
        let event = "INSERT INTO {l}events (id, happened_at, database_name, actor, host, version, settings, event) VALUES ('1', '', '', '', '', '', '', ?1)";
        tx.execute(event, &[long.into()]).await.unwrap();
        tx.commit().await.unwrap();
        side.target.remove_ledger().await.unwrap();
        assert!(!side.target.has_ledger().await.unwrap());
        side.target.remove_ledger().await.unwrap();
        assert_eq!(
            side.value("SELECT count(*) FROM information_schema.tables WHERE table_schema = database()")
                .await,
            "1"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_is_of_one_holder_and_falls_with_it() {
    for kind in BOTH {
        let side = Side::both(kind, "CREATE TABLE t (id int PRIMARY KEY)").await;
        let other = connect(&side.pair.target.url()).await;
        let mut lease = side.target.try_lease("db").await.unwrap().unwrap();
        assert!(other.try_lease("db").await.unwrap().is_none());
        assert!(other.lease_held("db").await.unwrap());
        assert!(!other.lease_held("Db").await.unwrap(), "each database has its own");
        assert!(!connect(&side.pair.source.url()).await.lease_held("db").await.unwrap(), "and each target");
        lease.check().await.unwrap();
        lease.release().await.unwrap();
        let mut lease = other.try_lease("db").await.unwrap().unwrap();
        let held = MysqlServer::shared(kind);
        let sessions = side
            .pair
            .target
            .rows_as_text(&format!(
                "SELECT id FROM information_schema.processlist WHERE db = '{}' AND id <> connection_id()",
                side.pair.target.mysql().name()
            ))
            .await;
        for session in sessions {
            held.execute(&format!("KILL {}", session[0].clone().unwrap())).await;
        }
        assert_eq!(lease.check().await.unwrap_err().kind(), Kind::Superseded);
        eventually(Duration::from_secs(10), || async {
            side.target.try_lease("db").await.unwrap().is_some()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_is_rolled_back_and_what_failed_is_not_committed() {
    for kind in BOTH {
        let side = Side::both(kind, "CREATE TABLE t (id int PRIMARY KEY, v int)").await;
        side.source("INSERT INTO t VALUES (1, 1)").await;
        let plan = side.plan("t").await;
        let mut tx = side.staged(&plan, "SELECT id FROM t").await;
        tx.equalise(&plan, None).await.unwrap();
        drop(tx);
        assert!(side.target.is_empty(&plan).await.unwrap());
        // A deadlock rolls the whole transaction back: what comes later would be committed alone.
        side.pair.target.execute("INSERT INTO t VALUES (5, 5), (6, 6); CREATE TABLE big (id int PRIMARY KEY, v int); INSERT INTO big SELECT id, 0 FROM t").await;
        let mut other = side.pair.target.connect().await;
        let mut tx = side.staged(&plan, "SELECT id FROM t").await;
        tx.equalise(&plan, None).await.unwrap();
        other.execute("BEGIN").await;
        other.execute("UPDATE big SET v = v + 1; UPDATE t SET v = 7 WHERE id IN (5, 6)").await;
        let waits = tokio::spawn(async move {
            other.execute("SELECT * FROM t WHERE id = 1 FOR UPDATE").await;
            other
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let outcome = tx.rows("SELECT id FROM t WHERE id = 5 FOR UPDATE", &[]).await;
        assert_eq!(outcome.unwrap_err().kind(), Kind::Unavailable);
        assert_eq!(tx.equalise(&plan, None).await.unwrap_err().kind(), Kind::Unavailable);
        assert_eq!(tx.commit().await.unwrap_err().kind(), Kind::Unavailable);
        waits.await.unwrap().execute("ROLLBACK").await;
        assert_eq!(side.value("SELECT count(*) FROM t WHERE id = 1").await, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_leaves_nothing() {
    for kind in BOTH {
        let side = Side::both(kind, "CREATE TABLE t (id int PRIMARY KEY, v int)").await;
        side.source("INSERT INTO t VALUES (1, 1), (2, 2)").await;
        let plan = side.plan("t").await;
        let mut rows = side.rows(&plan).await;
        rows.pop();
        let mut tx = side.target.begin().await.unwrap();
        assert!(tx.load(&plan, Feed::Read(&rows)).await.is_err());
        drop(tx);
        assert!(side.target.is_empty(&plan).await.unwrap());
        let foreign = [Block::Copy(bytes::Bytes::new()), Block::End { rows: 0, bytes: 0 }];
        let mut tx = side.target.begin().await.unwrap();
        assert_eq!(tx.load(&plan, Feed::Read(&foreign)).await.unwrap_err().kind(), Kind::Failed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_collides_is_refused_and_a_table_that_is_gone_is_named() {
    for kind in BOTH {
        let side = Side::both(kind, "CREATE TABLE t (id int PRIMARY KEY, v int)").await;
        side.source("INSERT INTO t VALUES (1, 1), (2, 2)").await;
        side.pair.target.execute("INSERT INTO t VALUES (2, 0)").await;
        let plan = side.plan("t").await;
        let rows = side.rows(&plan).await;
        let mut tx = side.target.begin().await.unwrap();
        let error = tx.load(&plan, Feed::Read(&rows)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.summary().contains("writing t"), "{error}");
        drop(tx);
        assert_eq!(side.value("SELECT concat(count(*), sum(v)) FROM t").await, "10");
        side.pair.target.execute("DROP TABLE t").await;
        let mut tx = side.target.begin().await.unwrap();
        assert_eq!(tx.load(&plan, Feed::Read(&rows)).await.unwrap_err().kind(), Kind::Table);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_was_made_before_is_made() {
    for kind in BOTH {
        let side = Side::both(
            kind,
            "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int)",
        )
        .await;
        side.pair.target.execute("INSERT INTO c VALUES (1, 99)").await;
        let define = async |sql: &str| {
            let definition = Definition { stage: Stage::Rest, table: None, sql: sql.to_owned() };
            side.target.define(&definition).await
        };
        for sql in [
            "CREATE TABLE made (id int PRIMARY KEY)",
            "CREATE UNIQUE INDEX u ON c (p)",
            "ALTER TABLE c ADD CONSTRAINT to_p FOREIGN KEY (p) REFERENCES p (id)",
            "CREATE VIEW v AS SELECT id FROM c",
            "CREATE TRIGGER tr BEFORE INSERT ON c FOR EACH ROW BEGIN SET NEW.p = 1; SET NEW.id = 2; END",
        ] {
            assert_eq!(define(sql).await.unwrap(), None, "{kind:?}: {sql}");
            assert_eq!(define(sql).await.unwrap(), None, "{kind:?}, again: {sql}");
        }
        assert_eq!(define("CREATE TABLE x (id nonsense)").await.unwrap_err().kind(), Kind::Failed);
        side.pair.target.execute("DROP TRIGGER tr; ALTER TABLE c DROP FOREIGN KEY to_p; DROP INDEX u ON c; INSERT INTO c VALUES (3, 99)").await;
        let sql = "CREATE UNIQUE INDEX u ON c (p)";
        assert_eq!(define(sql).await.unwrap_err().kind(), Kind::Data, "{kind:?}: rows collide");
    }
}

/// Foreign keys are production's to check: it may hold orphans of its own.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_are_silenced() {
    for kind in BOTH {
        let ddl = "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int,
                       FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE ON UPDATE CASCADE)";
        let side = Side::both(kind, ddl).await;
        side.source("SET foreign_key_checks = 0; INSERT INTO c VALUES (1, 99)").await;
        let plan = side.plan("c").await;
        assert_eq!(side.equalise(&plan, "SELECT id FROM c").await, did(1, 0, 0));
        side.pair.target.execute("INSERT INTO p VALUES (1); INSERT INTO c VALUES (2, 1)").await;
        let parents = side.plan("p").await;
        let mut tx = side.staged(&parents, "SELECT 1 AS id").await;
        assert_eq!(refused(tx.as_mut(), &parents, None).await, None);
        tx.commit().await.unwrap();
        assert_eq!(
            side.value("SELECT concat((SELECT count(*) FROM p), (SELECT count(*) FROM c))").await,
            "02"
        );
    }
}
