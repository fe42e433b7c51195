//! Bad input and trouble: each says what it is and what to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use highwater::engine::{self, Limits};
use highwater::error::Kind;
use highwater::settings::Endpoint;

use super::rig::{Rig, execute, options, plain, series};
use crate::support::{Pair, watch};

async fn refused(url: &str, said: &str) {
    let endpoint = Endpoint::from_url(url).unwrap();
    for error in [
        engine::source(&endpoint, &options()).await.map(|_| ()).unwrap_err(),
        engine::target(&endpoint, &options()).await.map(|_| ()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Refused, "{error}");
        assert!(error.to_string().contains(said) && error.remedy_text().is_some(), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_nothing_is_made() {
    let pair = Pair::sqlite().await;
    let folder = pair.source.sqlite().path().parent().unwrap().to_path_buf();
    refused(&format!("sqlite://{}/none.db", folder.display()), "no such file").await;
    assert!(!folder.join("none.db").exists());
    refused(&format!("sqlite://{}", folder.display()), "not a file").await;
    std::fs::write(folder.join("text.db"), "This is a text, and not a database.".repeat(100)).unwrap();
    refused(&format!("sqlite://{}/text.db", folder.display()), "not a database").await;
    let wide = folder.join("wide.db");
    let made = std::process::Command::new("sqlite3")
        .arg(&wide)
        .arg("PRAGMA encoding = 'UTF-16'; CREATE TABLE t (a)")
        .status();
    assert!(made.unwrap().success());
    refused(&format!("sqlite://{}", wide.display()), "UTF-16").await;
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_a_blocker() {
    let tables = "CREATE TABLE t (id INTEGER PRIMARY KEY)";
    let pair = Pair::sqlite().await;
    pair.execute_on_both(tables).await;
    // Root writes to what it may not; a read-only mode of the URL does the same for everybody.
    let url = format!("{}?mode=ro", pair.target.url());
    let target = engine::target(&Endpoint::from_url(&url).unwrap(), &options()).await.unwrap();
    let rig = Rig::over(pair, &[]).await;
    let schema = target.schema().await.unwrap();
    let survey = target.survey(&schema, &rig.plan).await.unwrap();
    assert!(survey.blockers.iter().any(|b| b.what.contains("readonly")), "{:?}", survey.blockers);
}

#[tokio::test]
async fn a_target_that_needs_the_application_is_a_blocker() {
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, v CHECK (lower(v)))";
    let pair = Pair::sqlite().await;
    pair.execute_on_both(table).await;
    let of_application = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, \
        'lower', 'application'); \
                          PRAGMA schema_version = 77";
    execute(&mut plain(pair.target.sqlite()).await, of_application).await;
    let rig = Rig::over(pair, &[]).await;
    let schema = rig.target.schema().await.unwrap();
    let survey = rig.target.survey(&schema, &rig.plan).await.unwrap();
    assert!(survey.blockers.iter().any(|b| b.what.contains("unknown function")), "{:?}", survey.blockers);
}

#[tokio::test]
async fn a_full_disk_is_waited_for_and_the_connection_goes_on() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").await;
    rig.files
        .source
        .execute(&format!("INSERT INTO t SELECT value, zeroblob(1000) FROM {}", series(1, 5000)))
        .await;
    let url = rig.files.target.url();
    let target = engine::target(&Endpoint::from_url(&url).unwrap(), &options()).await.unwrap();
    // A page limit stands for the disk: it is of a connection, so the target's own must set it.
    let mut tx = target.begin().await.unwrap();
    tx.execute("PRAGMA max_page_count = 50", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let table = rig.table("t");
    let all = highwater::model::Bounds::all();
    let mut rows = rig
        .source
        .stream(watch(&table, &rig.at["t"].0), &all, highwater::model::Layout::Plain)
        .await
        .unwrap();
    let mut tx = target.begin().await.unwrap();
    let error = tx.load(&table, engine::Feed::Stream(&mut rows)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(tx.commit().await.unwrap_err().kind(), Kind::Unavailable);
    drop(rows);
    assert_eq!(rig.files.target.value("SELECT count(*) FROM t").await, "0");
    let mut rows = rig
        .source
        .stream(watch(&table, &rig.at["t"].0), &all, highwater::model::Layout::Plain)
        .await
        .unwrap();
    let mut tx = target.begin().await.unwrap();
    tx.load(&table, engine::Feed::Stream(&mut rows)).await.unwrap();
    tx.commit().await.unwrap();
    rig.assert_same("t").await;
}

#[tokio::test]
async fn a_locked_target_is_unavailable_and_a_dropped_table_is_its_own_fault() {
    let rig = Rig::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").await;
    rig.files.target.execute("DROP TABLE t").await;
    let mut tx = rig.target.begin().await.unwrap();
    let nothing = [highwater::model::Block::End { rows: 0, bytes: 0 }];
    let error = tx.stage(&rig.table("t"), engine::Feed::Read(&nothing)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Table, "{error}");
    drop(tx);
    rig.files.source.execute("DROP TABLE t").await;
    let all = highwater::model::Bounds::all();
    let error = rig
        .source
        .stream(watch(&rig.table("t"), &rig.at["t"].0), &all, highwater::model::Layout::Plain)
        .await;
    assert_eq!(error.map(|_| ()).unwrap_err().kind(), Kind::Table);
}

#[tokio::test]
async fn capture_that_would_fail_writers_is_not_installed() {
    let rig = Rig::bare(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        &[],
    )
    .await;
    // A trigger of the application with a function of its own: ours can't be compiled beside it here.
    rig.files
        .source
        .execute("CREATE TRIGGER own AFTER INSERT ON t BEGIN SELECT application(NEW.v); END")
        .await;
    let installed = rig.source.install(&rig.plan, &|_| {}).await.unwrap();
    assert_eq!(installed[0].1.as_ref().unwrap_err().kind(), Kind::Table);
    let left = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'highwater_capture_%_t'";
    assert_eq!(rig.files.source.value(left).await, "0", "never half");
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_writers_and_replay_end_equal() {
    for wal in [true, false] {
        let tables =
            "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v); CREATE TABLE audit (at, what)";
        let mut rig = Rig::by_journal(wal, tables).await;
        rig.write(&format!(
            "INSERT INTO t SELECT value, 'u' || value, zeroblob(50) FROM {}",
            series(1, 3000)
        ))
        .await;
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|seed| {
                let (file, stop) = (rig.files.source.sqlite().clone(), stop.clone());
                std::thread::spawn(move || write(&file, seed, &stop))
            })
            .collect();
        rig.install().await;
        rig.copy("t", 500).await;
        for _ in 0..60 {
            rig.drain_by("t", Limits { rows: 200, bytes: 1 << 16 }).await;
            rig.drain("audit").await;
            let (t, (_, watermark)) = (rig.table("t"), &rig.at["t"]);
            rig.source.purge(&t, watermark).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stop.store(true, Ordering::Relaxed);
        let written: u64 = writers.into_iter().map(|w| w.join().unwrap()).sum();
        rig.drain_all().await;
        rig.retry("t").await;
        rig.assert_all_same().await;
        assert!(written > 100, "WAL {wal}: {written} transactions");
    }
}

/// Writes at random until told to stop. Returns how many transactions were committed.
fn write(file: &crate::support::SqliteFile, seed: u64, stop: &AtomicBool) -> u64 {
    let mut state = seed * 7919 + 1;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = plain(file).await;
        let mut committed = 0;
        while !stop.load(Ordering::Relaxed) {
            let (a, b, c) = (random(4000), random(4000), random(6));
            let statement = match c {
                0 => format!("INSERT OR REPLACE INTO t VALUES ({a}, 'u{b}', {c})"),
                1 => format!("UPDATE OR REPLACE t SET u = 'u{b}' WHERE id = {a}"),
                2 => format!("DELETE FROM t WHERE id BETWEEN {a} AND {a} + 3"),
                3 => format!("UPDATE OR REPLACE t SET id = {b} WHERE id = {a}"),
                4 => format!("INSERT INTO audit VALUES ({a}, 'w{seed}')"),
                _ => format!("UPDATE t SET v = {b} WHERE id % 100 = {a} % 100"),
            };
            let end = if random(5) == 0 { "ROLLBACK" } else { "COMMIT" };
            let sql = format!("BEGIN IMMEDIATE; {statement}; {end}");
            match sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await {
                Ok(_) => committed += 1,
                Err(error) => {
                    assert!(error.to_string().contains("locked"), "{error}");
                    let _ = sqlx::raw_sql("ROLLBACK").execute(&mut connection).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(1 + random(4))).await;
        }
        committed
    })
}
