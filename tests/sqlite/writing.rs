//! The target: transactions, triggers, counters, definitions, the lease, the fence.

use std::time::Duration;

use highwater::engine::{self, Arg, Definition, Feed, Lowered, Stamp};
use highwater::error::Kind;
use highwater::model::{Block, Sequence, TableName, Value};

use crate::support::soon;

use super::rig::{Rig, endpoint, execute, options, plain};

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, v)";

#[tokio::test]
async fn triggers_of_the_target_do_not_fire_and_come_back_word_for_word() {
    let target = format!(
        "{TABLE}; CREATE TABLE seen (what); CREATE TABLE w (a);
         CREATE TRIGGER  ins AFTER insert ON t begin INSERT INTO seen VALUES ('i'); END;
         CREATE TRIGGER upd BEFORE UPDATE ON t BEGIN SELECT RAISE(ROLLBACK, 'no'); END;
         CREATE TRIGGER del AFTER DELETE ON T BEGIN INSERT INTO seen VALUES ('d'); END;
         CREATE TRIGGER keyless AFTER INSERT ON w BEGIN INSERT INTO seen VALUES ('w'); END;"
    );
    let mut rig = Rig::with(&format!("{TABLE}; CREATE TABLE w (a)"), &target).await;
    let triggers = "SELECT name || sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name";
    let before = rig.files.target.rows_as_text(triggers).await;
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2); INSERT INTO w VALUES (1)").await;
    rig.copy_all().await;
    rig.files
        .source
        .execute(
            "UPDATE t SET v = 3; UPDATE t SET u = 'c' WHERE id = 1; UPDATE t SET u = \
        'a' WHERE id = 2; UPDATE t SET u = 'b' WHERE id = 1; INSERT INTO w VALUES (2)",
        )
        .await;
    rig.drain_all().await;
    rig.files.source.execute("DELETE FROM t WHERE id = 1").await;
    rig.drain_all().await;
    rig.assert_all_same().await;
    assert_eq!(rig.files.target.value("SELECT count(*) FROM seen").await, "0");
    assert_eq!(rig.files.target.rows_as_text(triggers).await, before);
    rig.files.target.execute("INSERT INTO t VALUES (9, 'z', 1)").await;
    assert_eq!(rig.files.target.value("SELECT count(*) FROM seen").await, "1");
    let schema = rig.target.schema().await.unwrap();
    assert!(rig.target.survey(&schema, &rig.plan).await.unwrap().warnings[0].what.contains("triggers"));
}

#[tokio::test]
async fn a_conflict_clause_of_the_target_eats_no_row() {
    for clause in ["REPLACE", "IGNORE", "ROLLBACK", "FAIL"] {
        let target = format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE ON CONFLICT {clause}, v NOT NULL ON \
                CONFLICT {clause} DEFAULT 'd')"
        );
        let rig = Rig::with(TABLE, &target).await;
        rig.files.target.execute("INSERT INTO t VALUES (7, 'taken', 'kept')").await;
        rig.files.source.execute("INSERT INTO t VALUES (1, 'ok', 1), (2, 'taken', 2)").await;
        let table = rig.table("t");
        let batch = rig.batch("t", super::rig::LIMITS).await.unwrap();
        let mut tx = rig.target.begin().await.unwrap();
        tx.stage(&table, Feed::Read(&batch.states.blocks)).await.unwrap();
        tx.savepoint().await.unwrap();
        let error = tx.equalise(&table, None).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Data, "{clause}: {error}");
        tx.rollback_to_savepoint().await.unwrap();
        tx.equalise(&table, Some(&[1])).await.unwrap();
        tx.commit().await.unwrap();
        let rows = rig.files.target.value("SELECT group_concat(id || u || v) FROM t").await;
        assert_eq!(rows, "1ok1,7takenkept", "{clause}");
    }
}

#[tokio::test]
async fn rows_are_lifted_put_and_put_back() {
    let rig = Rig::with(TABLE, "CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, v, extra)").await;
    rig.files
        .target
        .execute("INSERT INTO t VALUES (1, 'a', 1, 'x'), (2, 'b', 2, 'y'), (3, 'c', 3, 'z')")
        .await;
    rig.files
        .source
        .execute(
            "INSERT INTO t VALUES (1, 'b', 10), (2, 'a', 20), (3, 'taken', 30); DELETE FROM t WHERE id = 3",
        )
        .await;
    let table = rig.table("t");
    let batch = rig.batch("t", super::rig::LIMITS).await.unwrap();
    let mut tx = rig.target.begin().await.unwrap();
    assert!(tx.can_lift(&table));
    tx.stage(&table, Feed::Read(&batch.states.blocks)).await.unwrap();
    assert_eq!(tx.staged(&table).await.unwrap(), [1, 2, 3]);
    assert_eq!(tx.staged_keys(&table, &[3, 1]).await.unwrap(), [["3"], ["1"]]);
    tx.savepoint().await.unwrap();
    assert_eq!(tx.equalise(&table, None).await.unwrap_err().kind(), Kind::Data);
    tx.rollback_to_savepoint().await.unwrap();
    assert_eq!(tx.lift(&table, Some(&[1, 2, 3])).await.unwrap(), 3);
    let put = tx.put(&table, Some(&[1])).await.unwrap();
    assert_eq!((put.updated, put.inserted, put.deleted), (1, 0, 0));
    assert_eq!(tx.put_back(&table, &[3]).await.unwrap(), 1);
    assert_eq!(tx.put(&table, Some(&[2])).await.unwrap().updated, 1);
    tx.commit().await.unwrap();
    let rows = rig.files.target.value("SELECT group_concat(id || u || v || extra) FROM t").await;
    assert_eq!(rows, "1b10x,2a20y,3c3z");
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_nothing() {
    let rig = Rig::new(TABLE).await;
    rig.files
        .target
        .execute("CREATE TRIGGER mine AFTER INSERT ON t BEGIN SELECT 1; END; CREATE TABLE l_x (a)")
        .await;
    let rows = vec![
        Block::Values(vec![vec![Value::Integer(1), Value::Null, Value::Null]]),
        Block::End { rows: 1, bytes: 1 },
    ];
    for _ in 0..3 {
        let mut tx = rig.target.begin().await.unwrap();
        tx.load(&rig.table("t"), Feed::Read(&rows)).await.unwrap();
        drop(tx);
    }
    assert_eq!(rig.files.target.value("SELECT count(*) FROM t").await, "0");
    assert_eq!(rig.files.target.value("SELECT count(*) FROM sqlite_master WHERE name = 'mine'").await, "1");
    let mut tx = rig.target.begin().await.unwrap();
    // An error that may have rolled back: nothing of this transaction may be committed.
    assert_eq!(tx.rows("SELECT * FROM nowhere", &[]).await.unwrap_err().kind(), Kind::Table);
    assert_eq!(tx.load(&rig.table("t"), Feed::Read(&rows)).await.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(tx.commit().await.unwrap_err().kind(), Kind::Unavailable);
    let broken = [Block::Values(vec![vec![Value::Null]])];
    let mut tx = rig.target.begin().await.unwrap();
    assert!(tx.load(&rig.table("t"), Feed::Read(&broken)).await.is_err(), "a row of the wrong width");
}

#[tokio::test]
async fn the_ledger_is_made_used_and_removed() {
    let rig = Rig::new(TABLE).await;
    assert!(!rig.target.has_ledger().await.unwrap());
    rig.target.make_ledger().await.unwrap();
    rig.target.make_ledger().await.unwrap();
    assert!(rig.target.has_ledger().await.unwrap());
    let mut tx = rig.target.begin().await.unwrap();
    let args: [Arg; 2] = ["main".into(), 3.into()];
    assert_eq!(
        tx.execute("INSERT INTO {l}epochs (database_name, epoch) VALUES (?1, ?2)", &args).await.unwrap(),
        1
    );
    let rows = tx
        .rows(
            "SELECT epoch, NULL, database_name FROM {l}epochs WHERE database_name = ?1{for update}",
            &args[..1],
        )
        .await
        .unwrap();
    assert_eq!(rows, [[Some("3".to_string()), None, Some("main".to_string())]]);
    tx.commit().await.unwrap();
    assert_eq!(rig.target.schema().await.unwrap().tables.len(), 1, "the ledger is nobody's table");
    rig.target.remove_ledger().await.unwrap();
    assert!(!rig.target.has_ledger().await.unwrap());
    assert_eq!(
        rig.files.target.value("SELECT count(*) FROM sqlite_master WHERE name LIKE '%highwater%'").await,
        "0"
    );
}

#[tokio::test]
async fn a_table_that_was_dropped_and_made_again_has_another_id() {
    let rig = Rig::new(TABLE).await;
    let before = rig.target.schema().await.unwrap().tables[0].id.clone();
    rig.target.make_ledger().await.unwrap();
    rig.files.target.execute("VACUUM").await;
    assert_eq!(rig.target.schema().await.unwrap().tables[0].id, before);
    rig.files.target.execute(&format!("DROP TABLE t; {TABLE}")).await;
    assert_ne!(rig.target.schema().await.unwrap().tables[0].id, before);
}

#[tokio::test]
async fn pruning_keeps_the_keys_of_the_list() {
    let table = "CREATE TABLE t (k TEXT COLLATE NOCASE NOT NULL, n INT NOT NULL, v, PRIMARY KEY (k, n)) \
        WITHOUT ROWID";
    let rig = Rig::new(table).await;
    rig.files.target.execute("INSERT INTO t VALUES ('a', 1, 1), ('b', 2, 2), ('C', 3, 3), ('d', 4, 4)").await;
    let keys = [("A", 1), ("c", 3)].map(|(k, n)| vec![Value::Text(k.into()), Value::Integer(n)]).to_vec();
    let blocks = [Block::Values(keys), Block::End { rows: 2, bytes: 2 }];
    let mut tx = rig.target.begin().await.unwrap();
    assert_eq!(tx.prune(&rig.table("t"), Feed::Read(&blocks), &[]).await.unwrap(), 2);
    tx.commit().await.unwrap();
    assert_eq!(rig.files.target.value("SELECT group_concat(k) FROM t").await, "a,C");
}

#[tokio::test]
async fn counters_never_move_backwards() {
    let tables = "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE b (id INTEGER \
        PRIMARY KEY AUTOINCREMENT);
                  CREATE TABLE c (id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE plain (id INTEGER \
                  PRIMARY KEY)";
    let rig = Rig::new(tables).await;
    rig.files
        .source
        .execute(
            "INSERT INTO a VALUES (10); DELETE FROM a; INSERT INTO b VALUES (5); INSERT \
        INTO plain VALUES (1)",
        )
        .await;
    rig.files.target.execute("INSERT INTO a VALUES (3); INSERT INTO b VALUES (50)").await;
    let sequences = rig.source.sequences().await.unwrap();
    let sequence =
        |name: &str, last| Sequence { name: TableName::bare(name), last, called: true, increment: 1 };
    assert_eq!(sequences, [sequence("a", 10), sequence("b", 5)]);
    let mut tx = rig.target.begin().await.unwrap();
    let mut asked = sequences;
    asked.extend([sequence("c", 7), sequence("plain", 9), sequence("nobody", 9)]);
    assert_eq!(tx.move_sequences(&asked).await.unwrap(), [TableName::bare("a"), TableName::bare("c")]);
    tx.commit().await.unwrap();
    rig.files.target.execute("INSERT INTO a DEFAULT VALUES; INSERT INTO c DEFAULT VALUES").await;
    let values = rig
        .files
        .target
        .value(
            "SELECT (SELECT max(id) FROM a) || ',' || (SELECT max(id) FROM \
        b) || ',' || (SELECT max(id) FROM c)",
        )
        .await;
    assert_eq!(values, "11,50,8");
}

#[tokio::test]
async fn definitions_make_the_same_schema() {
    let tables = "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, u TEXT, v REFERENCES t (id));
                  CREATE TABLE k (a INT NOT NULL, b); CREATE UNIQUE INDEX k_a ON k (a); CREATE UNIQUE \
                  INDEX t_u ON t (u);
                  CREATE INDEX t_v ON t (v) WHERE v > 1; CREATE VIEW seen AS SELECT * FROM t;
                  CREATE TRIGGER trig AFTER INSERT ON t BEGIN SELECT 1; END; CREATE VIRTUAL TABLE words \
                  USING fts5(w)";
    let mut rig = Rig::with(tables, tables).await;
    for table in &mut rig.plan.tables {
        table.create = true;
    }
    let empty = crate::support::Pair::sqlite().await;
    let target = engine::target(&endpoint(empty.target.sqlite()), &options()).await.unwrap();
    let definitions = rig.source.definitions(&rig.plan, true).await.unwrap();
    use engine::Stage::{Key, Rest, Tables, Unique};
    let stages: Vec<_> = definitions.iter().map(|d| d.stage).collect();
    assert_eq!(stages, [Tables, Tables, Tables, Key, Unique, Rest, Rest, Rest]);
    for _ in 0..2 {
        for definition in &definitions {
            assert_eq!(target.define(definition).await.unwrap(), None);
        }
    }
    let schema = "SELECT type, name, sql FROM sqlite_master WHERE sql NOT LIKE '%highwater%' ORDER BY name";
    assert_eq!(empty.target.rows_as_text(schema).await, rig.files.source.rows_as_text(schema).await);
    let some = rig.source.definitions(&rig.plan, false).await.unwrap();
    assert!(some.iter().all(|d| d.table.is_some()) && some.len() == 6);
}

#[tokio::test]
async fn one_process_holds_the_lease() {
    let rig = Rig::new(TABLE).await;
    let other = engine::target(&endpoint(rig.files.target.sqlite()), &options()).await.unwrap();
    assert!(!other.lease_held("main").await.unwrap());
    let mut lease = rig.target.try_lease("main").await.unwrap().unwrap();
    assert!(other.try_lease("main").await.unwrap().is_none());
    assert!(other.lease_held("main").await.unwrap());
    let apart = other.try_lease("a/b").await.unwrap().unwrap();
    lease.check().await.unwrap();
    lease.release().await.unwrap();
    apart.release().await.unwrap();
    assert!(!other.lease_held("main").await.unwrap());
    let folder = rig.files.target.sqlite().path().parent().unwrap();
    let left = std::fs::read_dir(folder)
        .unwrap()
        .filter(|f| f.as_ref().unwrap().file_name().to_string_lossy().ends_with(".lock"));
    assert_eq!(left.count(), 0);
    let mut lost = other.try_lease("main").await.unwrap().unwrap();
    for file in std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "lock"))
    {
        std::fs::remove_file(file).unwrap();
    }
    assert_eq!(lost.check().await.unwrap_err().kind(), Kind::Superseded);
    // It falls with whoever held it.
    drop(rig.target.try_lease("main").await.unwrap().unwrap());
    assert!(rig.target.try_lease("main").await.unwrap().is_some());
}

#[tokio::test]
async fn the_fence_refuses_every_writer_of_every_table() {
    let tables = format!(
        "{TABLE}; CREATE TABLE kept (a); CREATE TABLE strict (id INT PRIMARY KEY NOT NULL, v TEXT NOT \
            NULL) STRICT"
    );
    let mut rig = Rig::bare(&tables, &tables, &["kept"]).await;
    rig.install().await;
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a', 1); INSERT INTO kept VALUES (1)").await;
    let stamp = |attempt| Stamp { epoch: 0, attempt };
    assert_eq!(rig.source.fence().await.unwrap().stamp, stamp(0));
    assert!(rig.source.prove_fence(&rig.plan, stamp(1)).await.is_err(), "it is down");
    rig.source.raise_fence(&rig.plan, stamp(2), soon()).await.unwrap();
    assert_eq!(
        rig.source.raise_fence(&rig.plan, stamp(2), soon()).await.unwrap_err().kind(),
        Kind::Superseded
    );
    rig.source.prove_fence(&rig.plan, stamp(1)).await.unwrap();
    for write in [
        "INSERT INTO t VALUES (2, 'b', 1)",
        "UPDATE t SET v = 2",
        "DELETE FROM t",
        "INSERT OR IGNORE INTO kept VALUES (2)",
        "REPLACE INTO t VALUES (1, 'a', 2)",
        "DELETE FROM kept",
    ] {
        let mut connection = rig.files.source.sqlite().connect().await;
        let error = sqlx::raw_sql(sqlx::AssertSqlSafe(write)).execute(&mut connection).await.unwrap_err();
        assert!(error.to_string().contains("highwater fence"), "{write}: {error}");
    }
    assert_eq!(rig.source.lower_fence(stamp(1)).await.unwrap_err().kind(), Kind::Superseded);
    assert_eq!(rig.source.lower_fence(stamp(2)).await.unwrap(), Lowered::Down);
    assert_eq!(rig.source.lower_fence(stamp(2)).await.unwrap(), Lowered::WasDown);
    assert_eq!(
        rig.source.raise_fence(&rig.plan, stamp(1), soon()).await.unwrap_err().kind(),
        Kind::Superseded,
        "a late request"
    );
    rig.files.source.execute("INSERT INTO t VALUES (2, 'b', 1); CREATE TABLE late (a)").await;
    rig.source.raise_fence(&rig.plan, stamp(3), soon()).await.unwrap();
    let error = rig.source.prove_fence(&rig.plan, stamp(1)).await.unwrap_err();
    assert!(error.summary().contains("late"), "{error}");
}

#[tokio::test]
async fn nobody_passes_a_fence_by_an_older_snapshot() {
    for wal in [true, false] {
        let rig = Rig::by_journal(wal, TABLE).await;
        let mut old = plain(rig.files.source.sqlite()).await;
        execute(&mut old, "PRAGMA busy_timeout = 0; BEGIN; SELECT * FROM t").await;
        let (source, plan) = (rig.source.clone(), rig.plan.clone());
        let raising = tokio::spawn(async move {
            source.raise_fence(&plan, Stamp { epoch: 0, attempt: 1 }, soon()).await
        });
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(raising.is_finished(), wal, "a reader without WAL is waited for");
        if wal {
            assert!(try_write(&mut old).await.is_err(), "its snapshot is too old to write");
            assert_eq!(rig.source.prepared().await.unwrap(), []);
        } else {
            execute(&mut old, "ROLLBACK").await;
        }
        raising.await.unwrap().unwrap();
        assert!(
            try_write(&mut plain(rig.files.source.sqlite()).await)
                .await
                .unwrap_err()
                .contains("highwater fence")
        );
        assert_eq!(rig.read("SELECT count(*) FROM t").await[0][0].as_deref(), Some("0"));
    }
}

async fn try_write(connection: &mut sqlx::SqliteConnection) -> Result<(), String> {
    let done = sqlx::raw_sql("INSERT INTO t VALUES (1, 'a', 1)").execute(connection).await;
    done.map(|_| ()).map_err(|e| e.to_string())
}

#[tokio::test]
async fn whoever_holds_the_write_lock_is_seen() {
    let rig = Rig::new(TABLE).await;
    assert_eq!(rig.source.writers(&rig.plan).await.unwrap(), []);
    let mut writer = rig.files.source.connect().await;
    writer.execute("BEGIN; INSERT INTO t VALUES (1, 'a', 1)").await;
    let first = rig.source.writers(&rig.plan).await.unwrap();
    assert_eq!(rig.source.writers(&rig.plan).await.unwrap(), first);
    assert_eq!(first.len(), 1);
    writer.execute("COMMIT; BEGIN; INSERT INTO t VALUES (2, 'b', 1)").await;
    let second = rig.source.writers(&rig.plan).await.unwrap();
    assert_ne!(second[0].id, first[0].id);
    writer.execute("ROLLBACK").await;
    assert_eq!(rig.source.writers(&rig.plan).await.unwrap(), []);
}

#[tokio::test]
async fn definitions_are_made_by_the_schema_as_it_is() {
    let rig = Rig::new(TABLE).await;
    let sql = "CREATE TRIGGER made AFTER INSERT ON t BEGIN SELECT 1; END".to_string();
    let definition = Definition { stage: engine::Stage::Rest, table: None, sql };
    rig.target.define(&definition).await.unwrap();
    rig.files.target.execute("DROP TRIGGER made").await;
    // The connection saw the trigger last, and SQLite would say that it is there.
    rig.target.define(&definition).await.unwrap();
    assert_eq!(rig.files.target.value("SELECT count(*) FROM sqlite_master WHERE name = 'made'").await, "1");
}
