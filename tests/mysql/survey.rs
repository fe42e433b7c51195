//! What plan finds before anything is touched.

use super::{SHOP, mysql};
use crate::support::{Highwater, Kind, MysqlServer, Output, Pair, next_number};

on_both!(what_would_falsify_rows_blocks, what_is_not_carried_is_told, swapped_sides_are_noticed);

async fn shop(kind: Kind) -> (Pair, Highwater) {
    let server = MysqlServer::shared(kind);
    let pair = Pair::mysql_on(server, server).await;
    pair.execute_on_both(SHOP).await;
    let highwater = Highwater::new(&pair);
    (pair, highwater)
}

/// Tables may be drawn with their texts broken into lines: JSON has them whole.
#[track_caller]
fn all_said(output: &Output, said: &[&str]) {
    let text = output.json().to_string();
    for said in said {
        assert!(text.contains(said), "no {said:?} in\n{text}\n{}", output.stderr);
    }
}

async fn what_would_falsify_rows_blocks(kind: Kind) {
    let (pair, highwater) = shop(kind).await;
    pair.execute_on_both(
        "CREATE TABLE flat (id INT PRIMARY KEY) ENGINE = MyISAM; CREATE TABLE inexact (id FLOAT PRIMARY KEY); \
         CREATE TABLE unnamed (id INT PRIMARY KEY, s SET('', 'a'))",
    )
    .await;
    let wide = "CREATE TABLE wide (id INT PRIMARY KEY, n DECIMAL(10,4), j JSON)";
    pair.source.execute(wide).await;
    let narrow = "CREATE TABLE wide (id INT PRIMARY KEY, n DECIMAL(10,2), j INT)";
    pair.target.execute(narrow).await;
    pair.target.execute("CREATE TRIGGER loud AFTER INSERT ON audit FOR EACH ROW SET @x = 1").await;
    let output = highwater.run(&["plan", "--json"]).await.expect_code(3);
    let said = [
        "flat is kept by MyISAM",
        "key column id is a FLOAT",
        "column s is a SET with an empty label",
        "DROP TRIGGER `loud`",
        "wide.n is decimal(10,2) and the source's column decimal(10,4): it rounds to fewer decimal places",
        "wide.j is int and the source's column",
    ];
    all_said(&output, &said);
    let made = format!(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{}' AND TABLE_NAME LIKE 'highwater%'",
        mysql(&pair.target).name()
    );
    assert_eq!(pair.target.value(&made).await, "0", "nothing was touched");
}

async fn what_is_not_carried_is_told(kind: Kind) {
    let (pair, highwater) = shop(kind).await;
    pair.source
        .execute(
            "CREATE TABLE more (id INT PRIMARY KEY); CREATE TABLE loose (what INT);
             CREATE TRIGGER own AFTER INSERT ON more FOR EACH ROW SET @x = 1;
             CREATE PROCEDURE work() SELECT 1; CREATE VIEW seen AS SELECT id FROM more;
             CREATE EVENT later ON SCHEDULE EVERY 1 YEAR DISABLE DO SELECT 1",
        )
        .await;
    let output = highwater.setting("copy.schema", "create").run(&["plan", "--json"]).await.ok();
    let said = ["1 triggers, 1 routines and 1 events are not made", "1 views are made", "it has no key"];
    all_said(&output, &said);
}

async fn swapped_sides_are_noticed(kind: Kind) {
    let (pair, highwater) = shop(kind).await;
    let highwater = highwater.setting("migration", &format!("s{}", next_number()));
    highwater.run(&["copy"]).await.ok();
    let swapped = highwater
        .setting("database.main.source", &pair.target.url())
        .setting("database.main.target", &pair.source.url());
    swapped.run(&["plan"]).await.expect_code(3).says("swapped");
}
