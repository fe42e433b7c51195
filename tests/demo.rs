//! `highwater demo`, as a newcomer runs it.

use std::path::Path;

use crate::support::{Db, Highwater, Output, Pair, SqliteFile, compare};

/// A small and short one; the seed makes it the same each time, as far as its writers are concerned.
const SMALL: [&str; 7] = ["demo", "--rows", "5000", "--seconds", "2", "--seed", "7"];

async fn demo(more: &[&str]) -> Output {
    let arguments: Vec<&str> = SMALL.iter().chain(more).copied().collect();
    Highwater::without_database().run(&arguments).await
}

fn line<'o>(output: &'o Output, name: &str) -> &'o str {
    let line = output.stdout.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("no line {name:?} in\n{}{}", output.stdout, output.stderr))
}

fn path(folder: &Path) -> &str {
    folder.to_str().expect("a path in UTF-8")
}

/// Compares by the database's own means: each table's rows less the other side's, and the counts.
async fn assert_files_same(folder: &Path) {
    let scratch = Db::Sqlite(SqliteFile::new("scratch").await);
    let mut connection = scratch.connect().await;
    for (name, side) in [("production.db", "p"), ("staging.db", "s")] {
        let attach = format!("ATTACH '{}' AS {side}", path(&folder.join(name)));
        connection.execute(&attach).await;
    }
    let tables = "SELECT name FROM p.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'highwater%' \
                  AND name NOT LIKE 'sqlite%'";
    let tables = connection.rows_as_text(tables).await;
    assert_eq!(tables.len(), 9, "{tables:?}");
    for table in tables.into_iter().flatten().flatten() {
        let sql = format!(
            "SELECT (SELECT count(*) FROM (SELECT * FROM p.{table} EXCEPT SELECT * FROM s.{table})), \
                    (SELECT count(*) FROM (SELECT * FROM s.{table} EXCEPT SELECT * FROM p.{table})), \
                    (SELECT count(*) FROM p.{table}) - (SELECT count(*) FROM s.{table})"
        );
        let found = connection.rows_as_text(&sql).await;
        assert_eq!(found, [["0", "0", "0"].map(|n| Some(n.to_owned())).to_vec()], "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_both_sides_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("here");
    let output = demo(&["--dir", path(&folder)]).await;
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    assert_eq!(line(&output, "differences").split_whitespace().last(), Some("0"));
    let refused = line(&output, "final sync");
    assert!(!refused.contains("refused 0"), "{refused}");
    for name in ["production.db", "staging.db", "highwater.toml", "highwater.log"] {
        assert!(folder.join(name).is_file(), "{name}");
        assert!(output.stdout.contains(name), "{name}");
    }
    assert_files_same(&folder).await;

    let again = demo(&["--dir", path(&folder)]).await;
    assert_eq!(again.code, Some(3), "{}", again.stderr);
    assert!(again.stderr.contains("is not empty"), "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_on_two_servers_once() {
    runs_once(Pair::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_on_mysql_once() {
    runs_once(Pair::mysql().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_on_mariadb_once() {
    runs_once(Pair::mariadb().await).await;
}

async fn runs_once(pair: Pair) {
    let (source, target) = (pair.source.url(), pair.target.url());
    let folder = tempfile::tempdir().unwrap();
    let output = demo(&["--dir", path(folder.path()), "--source", &source, "--target", &target]).await;
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    assert_eq!(line(&output, "differences").split_whitespace().last(), Some("0"));
    compare::assert_same(&pair).await;

    let again = demo(&["--source", &source, "--target", &target]).await;
    assert_eq!(again.code, Some(3), "{}", again.stderr);
    assert!(again.stderr.contains("already has what the demo would make"), "{}", again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_needs_both_urls_and_no_password() {
    let alone = demo(&["--source", "postgres://localhost/production"]).await;
    assert_eq!(alone.code, Some(2), "{}", alone.stderr);
    let url = "postgres://somebody:hush@localhost/production";
    let shown = demo(&["--source", url, "--target", url]).await;
    assert_eq!(shown.code, Some(2), "{}", shown.stderr);
    assert!(!shown.stderr.contains("hush"), "{}", shown.stderr);
}
