//! Capture: installed, recognised, watched, removed.

use highwater::engine::{self, CaptureHere, Fault};
use highwater::error::Kind;
use highwater::model::TableName;

use super::rig::{LIMITS, Rig, endpoint, options};
use crate::support::Pair;

const TABLES: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v); CREATE TABLE other (a, b)";

/// What is wrong after `change` was done to the source.
async fn fault_after(change: &str) -> Option<Fault> {
    let rig = Rig::new(TABLES).await;
    assert_eq!(rig.fault("t").await, None);
    rig.files.source.execute(change).await;
    assert_eq!(rig.fault("other").await, None, "only one table is concerned by: {change}");
    rig.fault("t").await
}

fn mend(fault: Option<Fault>) -> String {
    match fault {
        Some(Fault::Mend(what)) => what,
        other => panic!("not to be mended: {other:?}"),
    }
}

fn stop(fault: Option<Fault>) -> String {
    match fault {
        Some(Fault::Stop { what, .. }) => what,
        other => panic!("no reason to stop: {other:?}"),
    }
}

const REBUILD: &str = "
    BEGIN; CREATE TABLE new_t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v); INSERT INTO new_t SELECT * FROM t;
    DROP TABLE t; ALTER TABLE new_t RENAME TO t;";

#[tokio::test]
async fn a_rebuilt_table_is_noticed() {
    let what = mend(fault_after(&format!("{REBUILD} COMMIT")).await);
    assert!(what.contains("rebuilt"), "{what}");
}

#[tokio::test]
async fn a_rebuilt_table_whose_triggers_were_put_back_is_noticed() {
    let mut rig = Rig::new(TABLES).await;
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a', 1)").await;
    rig.drain_all().await;
    let triggers = "SELECT group_concat(sql, ';' || char(10)) FROM (SELECT sql FROM sqlite_master WHERE \
        type = 'trigger' AND tbl_name = 't' ORDER BY rowid)";
    let triggers = rig.files.source.value(triggers).await;
    let old = rig.at["t"].clone();
    rig.files.source.execute(&format!("{REBUILD} UPDATE t SET v = 'lost'; {triggers}; COMMIT")).await;
    let what = mend(rig.fault("t").await);
    assert!(what.contains("rebuilt"), "{what}");
    rig.files.source.execute("VACUUM").await;
    assert!(mend(rig.fault("t").await).contains("rebuilt"), "VACUUM does not hide it");
    rig.install().await;
    assert_eq!(rig.fault("t").await, None);
    assert_ne!(rig.at["t"].0.generation, old.0.generation);
    rig.at.insert("t".into(), old);
    assert_eq!(rig.batch("t", LIMITS).await.unwrap_err().kind(), Kind::Doubtful);
}

#[tokio::test]
async fn vacuum_changes_nothing() {
    let mut rig = Rig::new(TABLES).await;
    let drop = "CREATE TABLE first (a); INSERT INTO t VALUES (1, 'a', 1); DROP TABLE first; VACUUM";
    rig.files.source.execute(drop).await;
    assert_eq!((rig.fault("t").await, rig.fault("other").await), (None, None));
    let before = rig.at.clone();
    rig.install().await;
    assert_eq!(rig.at, before);
    rig.drain_all().await;
    rig.assert_all_same().await;
}

#[tokio::test]
async fn a_trigger_that_was_dropped_and_made_again_is_noticed() {
    let rig = Rig::new(TABLES).await;
    let name = "highwater_capture_update_t";
    let sql = rig.files.source.value(&format!("SELECT sql FROM sqlite_master WHERE name = '{name}'")).await;
    rig.files.source.execute(&format!("DROP TRIGGER {name}")).await;
    assert!(mend(rig.fault("t").await).contains("missing"));
    rig.files.source.connect().await.execute(&sql).await;
    assert!(mend(rig.fault("t").await).contains("made again"));
    rig.files.source.execute("VACUUM").await;
    assert!(mend(rig.fault("t").await).contains("made again"), "VACUUM does not hide it");
}

#[tokio::test]
async fn an_altered_trigger_is_noticed() {
    let what = mend(
        fault_after(
            "DROP TRIGGER highwater_capture_delete_t;
             CREATE TRIGGER highwater_capture_delete_t AFTER DELETE ON t BEGIN SELECT 1; END",
        )
        .await,
    );
    assert!(what.contains("altered"), "{what}");
}

#[tokio::test]
async fn what_changes_the_shape_of_a_table_stops_it() {
    for (change, said) in [
        ("ALTER TABLE t RENAME COLUMN v TO w", "column v was dropped or renamed"),
        ("ALTER TABLE t RENAME COLUMN id TO key", "column id was dropped or renamed"),
        ("ALTER TABLE t ADD COLUMN w", "column w was added"),
        ("ALTER TABLE t DROP COLUMN v", "column v was dropped"),
        ("ALTER TABLE t RENAME TO s", "dropped or renamed"),
        ("DROP TABLE t", "dropped or renamed"),
        (
            "BEGIN; CREATE TABLE n (id INT, u TEXT UNIQUE, v); DROP TABLE t; ALTER TABLE n RENAME TO t; \
                COMMIT",
            "was `INTEGER`",
        ),
    ] {
        let what = stop(fault_after(change).await);
        assert!(what.contains(said), "{change}: {what}");
    }
}

#[tokio::test]
async fn a_renamed_key_column_does_not_break_writers() {
    let rig = Rig::new(TABLES).await;
    rig.files
        .source
        .execute(
            "ALTER TABLE t RENAME COLUMN id TO key; INSERT INTO t VALUES (1, 'a', 1); \
        UPDATE t SET key = 2; DELETE FROM t",
        )
        .await;
    assert_eq!(rig.logged("t").await, ["I 1", "D 1", "I 2", "D 2"]);
}

#[tokio::test]
async fn a_dropped_log_is_made_again_under_a_new_generation() {
    let mut rig = Rig::new(TABLES).await;
    let before = rig.at["t"].0.generation.clone();
    rig.files.source.execute("DROP TABLE highwater_capture_log_t").await;
    let table = rig.table("t");
    assert_eq!(rig.source.poll(&[rig.watch(&table)]).await.unwrap(), [true]);
    assert!(mend(rig.fault("t").await).contains("writers fail"));
    rig.install().await;
    assert_ne!(rig.at["t"].0.generation, before);
    // A connection that saw the log gone sees it again with its next read.
    rig.files.source.execute("SELECT * FROM t; INSERT INTO t VALUES (1, 'a', 1)").await;
    rig.drain("t").await;
    rig.assert_same("t").await;
}

#[tokio::test]
async fn a_new_unique_index_asks_for_new_triggers() {
    let mut rig = Rig::new(TABLES).await;
    rig.files.source.execute("CREATE UNIQUE INDEX more ON t (v)").await;
    assert!(mend(rig.fault("t").await).contains("altered"));
    rig.install().await;
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a', 'x'); REPLACE INTO t VALUES (2, 'b', 'x')").await;
    rig.drain("t").await;
    rig.assert_same("t").await;
}

#[tokio::test]
async fn what_is_in_force_keeps_its_generation() {
    let mut rig = Rig::bare(TABLES, TABLES, &["other"]).await;
    rig.install().await;
    let before = rig.at.clone();
    rig.files.source.execute("DROP TRIGGER highwater_capture_fence_delete_other").await;
    assert!(mend(rig.fault("other").await).contains("fence_delete"));
    rig.install().await;
    assert_eq!(rig.at, before);
    assert_eq!(rig.fault("other").await, None);
    rig.install().await;
    assert_eq!(rig.at, before);
}

#[tokio::test]
async fn a_captured_table_has_no_trigger_that_reads_the_fence() {
    let mut rig = Rig::bare(TABLES, TABLES, &["other"]).await;
    rig.install().await;
    let triggers =
        "SELECT group_concat(name) FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%_fence\"%'";
    let of_excluded = rig.files.source.value(triggers).await;
    assert_eq!(of_excluded.matches("_other").count(), 3, "{of_excluded}");
    assert_eq!(of_excluded.split(',').count(), 3, "{of_excluded}");
    // A table that was excluded once is captured now.
    let mut included = Rig::over(rig.files.clone(), &[]).await;
    included.install().await;
    let left = included.files.source.rows_as_text(triggers).await;
    assert_eq!(left, [[None]]);
}

#[tokio::test]
async fn capture_of_another_version_is_refused_before_anything_is_changed() {
    let mut rig = Rig::new(TABLES).await;
    rig.files
        .source
        .execute(
            "UPDATE highwater_capture_meta SET version = 1; DROP TABLE highwater_capture_fence; \
             CREATE TABLE highwater_capture_fence (only_row, raised, epoch, attempt)",
        )
        .await;
    let error = rig.source.install(&rig.plan, &|_| {}).await.unwrap_err();
    assert!(error.kind() == Kind::Foreign && error.to_string().contains("version 1"), "{error}");
    rig.files.source.execute("DROP TABLE highwater_capture_fence").await;
    rig.files.source.execute("UPDATE highwater_capture_meta SET version = 3").await;
    rig.install().await;
}

#[tokio::test]
async fn capture_that_a_dba_installed_by_hand_is_recognised() {
    let mut rig = Rig::bare(TABLES, TABLES, &["other"]).await;
    let ddl = rig.source.capture_ddl(&rig.plan).await.unwrap();
    let shell = std::process::Command::new("sqlite3")
        .arg(rig.files.source.sqlite().path())
        .arg(format!(";{}", ddl.replace('\n', "\r\n")))
        .output()
        .unwrap();
    assert!(shell.status.success() && shell.stderr.is_empty(), "{}", String::from_utf8_lossy(&shell.stderr));
    assert_eq!(rig.fault("t").await, None);
    let generation = rig.source.inspect(&rig.plan).await.unwrap()[0].generation.clone();
    rig.install().await;
    assert_eq!(Some(rig.at["t"].0.generation.clone()), generation);
    rig.files
        .source
        .execute("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2); REPLACE INTO t VALUES (3, 'a', 3)")
        .await;
    rig.drain("t").await;
    rig.assert_same("t").await;
    let fence = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'highwater_capture_fence%_other'";
    assert_eq!(rig.files.source.value(fence).await, "3");
}

#[tokio::test]
async fn nothing_is_left_after_removal_and_writers_never_fail() {
    let rig = Rig::new(TABLES).await;
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a', 1)").await;
    rig.source.remove().await.unwrap();
    let left = "SELECT count(*) FROM sqlite_master WHERE name LIKE '%highwater%' OR sql LIKE '%highwater%'";
    assert_eq!(rig.files.source.value(left).await, "0");
    rig.files.source.execute("INSERT INTO t VALUES (2, 'b', 1)").await;
    rig.source.remove().await.unwrap();
}

#[tokio::test]
async fn another_migration_is_left_alone() {
    let mut rig = Rig::new(TABLES).await;
    let pilot = engine::Options { migration: "pilot".into(), ..options() };
    let pilot = engine::source(&endpoint(rig.files.source.sqlite()), &pilot).await.unwrap();
    pilot.install(&rig.plan, &|_| {}).await.unwrap();
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a', 1)").await;
    assert_eq!(rig.fault("t").await, None);
    rig.source.remove().await.unwrap();
    let verdicts = pilot.inspect(&rig.plan).await.unwrap();
    assert!(verdicts.iter().all(|v| v.fault.is_none()), "{verdicts:?}");
    rig.install().await;
    pilot.remove().await.unwrap();
    assert_eq!(rig.fault("t").await, None);
    assert_eq!(rig.source.schema().await.unwrap().tables.len(), 2);
}

#[tokio::test]
async fn what_a_module_keeps_is_not_carried() {
    let tables = "CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE VIRTUAL TABLE words USING fts5(w); \
        CREATE VIEW s AS SELECT v FROM t";
    let rig = Rig::bare(tables, tables, &[]).await;
    let schema = rig.source.schema().await.unwrap();
    let names: Vec<&str> = schema.tables.iter().map(|t| t.name.name.as_str()).collect();
    assert_eq!(names, ["t", "words"], "neither views nor shadow tables");
    assert!(
        rig.plan.table("words").is_none()
            && rig.plan.warnings.iter().any(|w| w.table.as_deref() == Some("words"))
    );
    let mut plan = rig.plan.clone();
    plan.excluded.push(TableName::bare("words"));
    for (label, generation) in rig.source.install(&plan, &|_| {}).await.unwrap() {
        assert!(generation.is_ok(), "{label}");
    }
    rig.files.source.execute("INSERT INTO words VALUES ('free')").await;
    let survey = rig.source.survey(&schema, &plan).await.unwrap();
    assert!(survey.warnings.iter().any(|w| w.what.contains("not fenced")), "{:?}", survey.warnings);
}

#[tokio::test]
async fn a_copied_file_is_told_from_the_source() {
    let mut rig = Rig::new(TABLES).await;
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a', 1); PRAGMA wal_checkpoint(TRUNCATE)").await;
    // The target is a copy of production: capture came along.
    let copy = Pair::sqlite().await;
    let source = rig.files.source.sqlite();
    std::fs::copy(source.path(), copy.target.sqlite().path()).unwrap();
    let target = engine::target(&endpoint(copy.target.sqlite()), &options()).await.unwrap();
    assert_eq!(target.capture_here().await.unwrap(), CaptureHere::Foreign);
    let identity = rig.source.identity().await.unwrap();
    assert_ne!(target.identity().await.unwrap().database, identity.database);
    // As a source it is refused.
    let swapped = engine::source(&endpoint(copy.target.sqlite()), &options()).await.unwrap();
    let schema = swapped.schema().await.unwrap();
    let survey = swapped.survey(&schema, &rig.plan).await.unwrap();
    assert!(survey.blockers[0].what.contains("copy"), "{:?}", survey.blockers);
    assert_eq!(swapped.install(&rig.plan, &|_| {}).await.unwrap_err().kind(), Kind::Foreign);
    target.remove_foreign_capture().await.unwrap();
    assert_eq!(target.capture_here().await.unwrap(), CaptureHere::None);
    copy.target.execute("INSERT INTO t VALUES (2, 'b', 1)").await;
    // The source itself as target is the source.
    let own = engine::target(&endpoint(source), &options()).await.unwrap();
    assert_eq!(own.capture_here().await.unwrap(), CaptureHere::Own);
    assert_eq!(own.identity().await.unwrap().database, identity.database);
    rig.install().await;
}

#[tokio::test]
async fn one_file_given_twice_is_seen_before_capture_is_there() {
    let rig = Rig::bare(TABLES, TABLES, &[]).await;
    let again = engine::target(&endpoint(rig.files.source.sqlite()), &options()).await.unwrap();
    let (source, target) = (rig.source.identity().await.unwrap(), again.identity().await.unwrap());
    assert_eq!(source.database, target.database);
    assert_ne!(source.database, rig.target.identity().await.unwrap().database);
}

#[tokio::test]
async fn a_moved_source_is_still_the_source() {
    let rig = Rig::new(TABLES).await;
    rig.files.source.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
    let old = rig.files.source.sqlite().path().to_path_buf();
    let new = old.with_file_name("moved.db");
    std::fs::hard_link(&old, &new).unwrap();
    std::fs::rename(&old, old.with_file_name("gone.db")).unwrap();
    let url = highwater::settings::Endpoint::from_url(&format!("sqlite://{}", new.display())).unwrap();
    let moved = engine::source(&url, &options()).await.unwrap();
    moved.install(&rig.plan, &|_| {}).await.unwrap();
    assert!(moved.inspect(&rig.plan).await.unwrap().iter().all(|v| v.fault.is_none()));
}

#[tokio::test]
async fn a_lost_registration_is_found_by_the_next_batch() {
    let mut rig = Rig::new(TABLES).await;
    assert_eq!(rig.fault("t").await, None);
    rig.files.source.execute("DELETE FROM highwater_capture_tables WHERE name = 't'").await;
    assert_eq!(rig.batch("t", LIMITS).await.unwrap_err().kind(), Kind::Doubtful);
    mend(rig.fault("t").await);
    rig.install().await;
    rig.batch("t", LIMITS).await.unwrap();
}
