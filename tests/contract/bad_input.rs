//! Bad settings, schemas and data: a clear message, an exit code, and nothing touched.

use super::{MYSQL_OBJECTS, TABLES, settings, shop};
use crate::support::{Db, Engine, Highwater, MysqlServer};

contract!(
    a_filled_target_is_refused,
    all_blockers_are_told_and_nothing_is_touched,
    a_missing_database_is_named,
    source_and_target_swapped,
    the_same_database_twice,
    unknown_settings_are_named,
    passwords_never_show,
);

async fn a_filled_target_is_refused(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    pair.target.execute("INSERT INTO audit VALUES (1, 'mine')").await;
    highwater.run(&["copy"]).await.expect_code(3).says("audit on the target is not empty");
    assert_eq!(pair.target.value("SELECT count(*) FROM audit").await, "1");
    assert_eq!(pair.target.value("SELECT count(*) FROM parents").await, "0");
}

async fn all_blockers_are_told_and_nothing_is_touched(engine: Engine) {
    let pair = engine.pair().await;
    pair.source.execute(TABLES).await;
    pair.target
        .execute(
            "CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT);
             CREATE TABLE audit (happened INTEGER, what TEXT, must INTEGER NOT NULL)",
        )
        .await;
    let output = settings(&pair).run(&["copy"]).await.expect_code(3);
    let output = output.says("column note has no place in parents");
    output.says("audit.must is NOT NULL").says("children: the target has no such table");
    settings(&pair).run(&["plan"]).await.expect_code(3).says("column note has no place in parents");
    let objects = engine.pick(
        "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'highwater%'",
        "SELECT count(*) FROM sqlite_master WHERE name LIKE '%highwater%'",
        MYSQL_OBJECTS,
    );
    assert_eq!(pair.source.value(objects).await, "0");
    assert_eq!(pair.target.value(objects).await, "0");
}

async fn a_missing_database_is_named(engine: Engine) {
    let pair = engine.pair().await;
    let nowhere = pair.source.url().replace("source", "nowhere");
    let missing = engine.pick(nowhere.clone(), "sqlite:///nowhere/at/all.db".to_string(), nowhere);
    let output = Highwater::new(&pair).setting("database.main.source", &missing).run(&["plan"]).await;
    assert!(matches!(output.code, Some(1 | 3)), "{output:?}");
    output.says("nowhere");
}

async fn source_and_target_swapped(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    highwater.run(&["copy"]).await.ok();
    let swapped = highwater
        .clone()
        .setting("database.main.source", &pair.target.url())
        .setting("database.main.target", &pair.source.url());
    swapped.run(&["copy"]).await.expect_code(3).says("swapped");
    swapped.run(&["plan"]).await.expect_code(3).says("swapped");
}

async fn the_same_database_twice(engine: Engine) {
    let (pair, highwater) = shop(engine).await;
    let same = highwater.setting("database.main.target", &pair.source.url());
    let output = same.run(&["copy"]).await;
    assert!(matches!(output.code, Some(2 | 3)), "{output:?}");
}

async fn unknown_settings_are_named(engine: Engine) {
    let (_pair, highwater) = shop(engine).await;
    let wrong = highwater.setting("replay.batch_row", "1").setting("copy.jobs", "many");
    wrong.run(&["copy"]).await.expect_code(2).says("replay.batch_row").says("batch_rows").says("copy.jobs");
}

async fn passwords_never_show(engine: Engine) {
    if engine == Engine::Sqlite {
        // A file has no password: what can leak is checked where there is one.
        return;
    }
    let (pair, highwater) = shop(engine).await;
    let url = match &pair.source {
        Db::Mysql(database) => {
            let server = MysqlServer::shared(database.kind());
            let user = server.user("verysecret").await;
            server.execute(&format!("GRANT ALL ON *.* TO {user}")).await;
            database.url_as(&format!("{user}:verysecret"))
        }
        other => url_with_password(&other.url()),
    };
    let highwater = highwater.setting("database.main.source", &url);
    for command in [&["plan"][..], &["status"], &["copy"], &["status", "--json"], &["plan", "--json"]] {
        let output = highwater.run(command).await;
        assert!(!output.stdout.contains("verysecret") && !output.stderr.contains("verysecret"), "{output:?}");
    }
}

fn url_with_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (authority, path) = rest.split_once('/').expect("a path");
    let (user, host) = authority.split_once('@').unwrap_or(("postgres", authority));
    let user = user.split(':').next().unwrap_or(user);
    format!("{scheme}://{user}:verysecret@{host}/{path}")
}
