//! Scripts of an upgrade do what they do in the engine's own client, and what is recorded of them is what
//! stays of them.

use std::fs;

use super::upgrade::script;
use crate::support::compare::{differences, tables_with_columns};
use crate::support::{Engine, Highwater, Pair};

contract!(
    every_script_does_what_the_client_makes_of_it,
    statements_are_committed_one_by_one,
    a_script_as_a_whole_has_run_or_not,
    a_transaction_of_the_script_is_one_step,
    killed_around_a_commit_nothing_is_asked,
    statements_that_end_transactions_stand_alone,
    a_script_that_changes_its_role_is_recorded,
    a_script_that_leaves_its_transaction_open_has_not_run,
    tables_that_a_script_locks,
    killed_while_a_script_holds_locks,
    a_transaction_beside_locks_is_undone_with_its_record,
    without_autocommit_a_script_goes_on_behind_its_last_commit,
    what_only_the_client_understands_is_refused,
);

/// Two empty sides, of which the target is to be upgraded before anything is copied.
async fn empty(engine: Engine) -> (Pair, Highwater) {
    let pair = engine.pair().await;
    pair.execute_on_both("CREATE TABLE first_one (id INTEGER PRIMARY KEY)").await;
    let highwater = Highwater::new(&pair).setting("upgrade.order", "before-copy");
    (pair, highwater.setting("upgrade.scripts", "[\"one.sql\", \"two.sql\"]"))
}

/// As [`empty`], with a script that makes a table `t` and does with it what `text` says.
async fn with_table(engine: Engine, text: &str) -> (Pair, Highwater) {
    let (pair, highwater) = empty(engine).await;
    script(&highwater, "one.sql", &on_table(text));
    script(&highwater, "two.sql", "CREATE TABLE next_one (id INTEGER PRIMARY KEY);\n");
    (pair, highwater)
}

fn on_table(text: &str) -> String {
    format!("CREATE TABLE t (id INTEGER PRIMARY KEY);\n{text}\n")
}

async fn rows(pair: &Pair) -> Vec<String> {
    let rows = pair.target.rows_as_text("SELECT id FROM t ORDER BY id").await;
    rows.into_iter().flatten().flatten().collect()
}

async fn is_there(pair: &Pair, table: &str) -> bool {
    tables_with_columns(&pair.target).await.iter().any(|(name, _)| name.contains(table))
}

async fn every_script_does_what_the_client_makes_of_it(engine: Engine) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
    let name = engine.pick("postgres", "sqlite", "mysql");
    let text = fs::read_to_string(format!("{folder}/{name}.sql")).unwrap();
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    for text in [text, windows] {
        let mut sides = Vec::new();
        for runner in ["highwater", "client"] {
            let (pair, highwater) = empty(engine).await;
            script(&highwater, "one.sql", &text);
            script(&highwater, "two.sql", "CREATE TABLE next_one (id INTEGER PRIMARY KEY);");
            highwater.setting("upgrade.runner", runner).run(&["upgrade"]).await.ok();
            assert!(is_there(&pair, "next_one").await, "{runner}");
            sides.push(pair.target);
        }
        let (ours, theirs) = (&sides[0], &sides[1]);
        let found = differences(theirs, ours, &[]).await;
        assert!(found.is_empty(), "the client's is the source, ours the target:\n{}", found.join("\n"));
        let count = ours.value("SELECT n FROM last_one").await;
        assert!(count.parse::<u32>().unwrap() >= 2, "{count}");
    }
}

/// It stops at the first error, and goes on there.
async fn statements_are_committed_one_by_one(engine: Engine) {
    let text = "INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);\nINSERT INTO missing VALUES (3);\n\
                INSERT INTO t VALUES (4);";
    let (pair, highwater) = with_table(engine, text).await;
    let failed = highwater.run(&["upgrade"]).await.expect_code(1);
    failed.says("statement 4 of 5").says("one.sql:4").says("missing").says("it is next");
    assert_eq!(rows(&pair).await, ["1", "2"]);
    script(&highwater, "one.sql", &on_table(&text.replace("missing", "t")));
    highwater.run(&["upgrade"]).await.ok();
    assert_eq!(rows(&pair).await, ["1", "2", "3", "4"]);
    if engine != Engine::Postgres {
        return;
    }
    let own = "CREATE TABLE seen AS SELECT pg_current_xact_id()::text AS xid;\n\
               INSERT INTO seen SELECT pg_current_xact_id()::text;";
    for (transaction, transactions) in [("statement", "2"), ("whole", "1")] {
        let (pair, highwater) = with_table(engine, own).await;
        highwater.setting("upgrade.transaction", transaction).run(&["upgrade"]).await.ok();
        assert_eq!(pair.target.value("SELECT count(DISTINCT xid) FROM seen").await, transactions);
    }
}

async fn a_script_as_a_whole_has_run_or_not(engine: Engine) {
    let text = "INSERT INTO t VALUES (1);\nINSERT INTO missing VALUES (2);";
    let (pair, highwater) = with_table(engine, text).await;
    let highwater = highwater.setting("upgrade.transaction", "whole");
    if engine.is_mysql() {
        highwater.run(&["upgrade"]).await.expect_code(3).says("commit by themselves");
        assert!(!is_there(&pair, "next_one").await);
        return;
    }
    highwater.run(&["upgrade"]).await.expect_code(1).says("undone as a whole");
    let tables = tables_with_columns(&pair.target).await;
    assert!(!tables.iter().any(|(name, _)| name.ends_with('t') || name.ends_with("\"t\"")), "{tables:?}");
    script(&highwater, "one.sql", &on_table(&text.replace("missing", "t")));
    highwater.clone().fault("before_script_commit=kill").run(&["upgrade"]).await.killed();
    highwater.run(&["upgrade"]).await.ok();
    assert_eq!(rows(&pair).await, ["1", "2"]);
    let (_pair, highwater) = with_table(engine, "BEGIN;\nINSERT INTO t VALUES (1);\nCOMMIT;").await;
    let refused = highwater.setting("upgrade.transaction", "whole").run(&["upgrade"]).await;
    refused.expect_code(3).says("one.sql:2").says("upgrade.transaction");
}

/// Killed inside, it goes on where the transaction begins; killed behind its COMMIT, behind that. Nothing is asked.
async fn a_transaction_of_the_script_is_one_step(engine: Engine) {
    let text =
        "BEGIN;\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);\nCOMMIT;\nINSERT INTO t VALUES (3);";
    for fault in ["after_statement@3=kill", "before_statement@5=kill", "after_statement@5=kill"] {
        let (pair, highwater) = with_table(engine, text).await;
        highwater.clone().fault(fault).run(&["upgrade"]).await.killed();
        highwater.run(&["upgrade"]).await.ok();
        assert_eq!(rows(&pair).await, ["1", "2", "3"], "{fault}");
    }
}

async fn killed_around_a_commit_nothing_is_asked(engine: Engine) {
    if engine.is_mysql() {
        return;
    }
    let text = "INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);";
    for (fault, left) in
        [("after_statement", "0"), ("before_statement_commit", "0"), ("after_statement_commit", "1")]
    {
        let (pair, highwater) = with_table(engine, text).await;
        highwater.clone().fault(&format!("{fault}@2=kill")).run(&["upgrade"]).await.killed();
        assert_eq!(rows(&pair).await.len().to_string(), left, "{fault}");
        highwater.run(&["upgrade"]).await.ok();
        assert_eq!(rows(&pair).await, ["1", "2"], "{fault}");
    }
}

/// The server says that they have no place in a transaction: they run outside, and are recorded before and after.
async fn statements_that_end_transactions_stand_alone(engine: Engine) {
    if engine != Engine::Postgres {
        return;
    }
    let text = "CREATE INDEX CONCURRENTLY i ON t (id);\nCREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN \
                INSERT INTO t VALUES (1); COMMIT; INSERT INTO t VALUES (2); END $$;\nCALL p();\n\
                DO $$ BEGIN INSERT INTO t VALUES (3); COMMIT; END $$;\nVACUUM t;";
    let (pair, highwater) = with_table(engine, text).await;
    highwater.clone().fault("after_statement@4=kill").run(&["upgrade"]).await.killed();
    assert_eq!(rows(&pair).await, ["1", "2"]);
    highwater.run(&["upgrade"]).await.expect_code(3).says("CALL p()").says("--next 5");
    highwater.run(&["upgrade", "--next", "5"]).await.ok();
    assert_eq!(rows(&pair).await, ["1", "2", "3"]);
    assert_eq!(pair.target.value("SELECT count(*) FROM pg_indexes WHERE indexname = 'i'").await, "1");
}

/// The script's role need not have rights on the ledger, and stays what the script has set.
async fn a_script_that_changes_its_role_is_recorded(engine: Engine) {
    if engine != Engine::Postgres {
        return;
    }
    let (pair, highwater) = with_table(engine, "").await;
    let role = format!("{}_owner", pair.target.postgres().name());
    pair.target.execute(&format!("CREATE ROLE {role}; GRANT CREATE, USAGE ON SCHEMA public TO {role}")).await;
    let text = format!(
        "SET ROLE {role};\nCREATE TABLE made (id int);\nBEGIN;\nCREATE TABLE made_too (id int);\nCOMMIT;\n\
         CREATE TABLE made_last (id int);\nRESET ROLE;"
    );
    script(&highwater, "one.sql", &on_table(&text));
    highwater.clone().fault("before_statement@6=kill").run(&["upgrade"]).await.killed();
    highwater.run(&["upgrade"]).await.ok();
    let owned =
        format!("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'made%' AND tableowner = '{role}'");
    assert_eq!(pair.target.value(&owned).await, "3");
    pair.target.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// What it did there is undone when its session ends: it must not count as run, and nothing may run behind it.
async fn a_script_that_leaves_its_transaction_open_has_not_run(engine: Engine) {
    let text = "BEGIN;\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);";
    let (pair, highwater) = with_table(engine, text).await;
    let failed = highwater.run(&["upgrade"]).await.expect_code(1);
    failed.says("ends in the middle of a transaction").says("next is statement 2 of 4");
    assert!(rows(&pair).await.is_empty());
    assert!(!is_there(&pair, "next_one").await, "the second script has run");
    script(&highwater, "one.sql", &on_table(&format!("{text}\nCOMMIT;")));
    highwater.run(&["upgrade"]).await.ok();
    assert_eq!(rows(&pair).await, ["1", "2"]);
    assert!(is_there(&pair, "next_one").await);
}

async fn tables_that_a_script_locks(engine: Engine) {
    if !engine.is_mysql() {
        return;
    }
    let text = "INSERT INTO t VALUES (1);\n/* both */ LOCK /* them */ TABLES t WRITE, t AS u READ;\n\
                INSERT INTO t VALUES (2);\nINSERT INTO t SELECT 3 FROM t AS u WHERE id = 1;\n\
                INSERT INTO missing VALUES (4);\nUNLOCK TABLES;\nINSERT INTO t VALUES (5);";
    let (pair, highwater) = with_table(engine, text).await;
    highwater.run(&["upgrade"]).await.expect_code(1).says("one.sql:6").says("it is next");
    assert_eq!(rows(&pair).await, ["1", "2", "3"]);
    script(&highwater, "one.sql", &on_table(&text.replace("missing", "t")));
    highwater.run(&["upgrade"]).await.ok();
    assert_eq!(rows(&pair).await, ["1", "2", "3", "4", "5"]);
}

async fn killed_while_a_script_holds_locks(engine: Engine) {
    if !engine.is_mysql() {
        return;
    }
    let text = "LOCK TABLES t WRITE;\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);\nUNLOCK TABLES;";
    let (pair, highwater) = with_table(engine, text).await;
    highwater.clone().fault("after_statement@4=kill").run(&["upgrade"]).await.killed();
    let refused = highwater.run(&["upgrade"]).await.expect_code(3);
    refused.says("VALUES (2)").says("--next 5");
    highwater.run(&["upgrade", "--next", "5"]).await.ok();
    assert_eq!(rows(&pair).await, ["1", "2"]);
}

/// With autocommit off, what is done under locks is a transaction; and one that begins lets the locks go.
async fn a_transaction_beside_locks_is_undone_with_its_record(engine: Engine) {
    if !engine.is_mysql() {
        return;
    }
    let locked = "SET autocommit = 0;\nLOCK TABLES t WRITE;\nINSERT INTO t VALUES (1);\nINSERT INTO missing VALUES (2);\n\
                  COMMIT;\nUNLOCK TABLES;\nINSERT INTO t VALUES (3);\nCOMMIT;";
    let released = "LOCK TABLES t WRITE;\nSTART TRANSACTION;\nINSERT INTO t VALUES (1);\nINSERT INTO missing VALUES (2);\n\
                    INSERT INTO t VALUES (3);\nCOMMIT;";
    for text in [locked, released] {
        let (pair, highwater) = with_table(engine, text).await;
        highwater.run(&["upgrade"]).await.expect_code(1).says("its transaction is undone");
        assert!(rows(&pair).await.is_empty(), "{text}");
        script(&highwater, "one.sql", &on_table(&text.replace("missing", "t")));
        highwater.run(&["upgrade"]).await.ok();
        assert_eq!(rows(&pair).await, ["1", "2", "3"], "{text}");
    }
}

/// A definition commits in the middle of it, and what comes behind is undone.
async fn without_autocommit_a_script_goes_on_behind_its_last_commit(engine: Engine) {
    if !engine.is_mysql() {
        return;
    }
    let text = "SET autocommit = 0;\nINSERT INTO t VALUES (1);\nCREATE TABLE u (id INTEGER PRIMARY KEY);\n\
                INSERT INTO t VALUES (2);\nINSERT INTO missing VALUES (3);\nCOMMIT;";
    let (pair, highwater) = with_table(engine, text).await;
    let failed = highwater.run(&["upgrade"]).await.expect_code(1);
    failed.says("its transaction is undone; next is statement 5 of 7");
    assert_eq!(rows(&pair).await, ["1"]);
    script(&highwater, "one.sql", &on_table(&text.replace("missing", "t")));
    highwater.run(&["upgrade"]).await.ok();
    assert_eq!(rows(&pair).await, ["1", "2", "3"]);
}

/// Taken apart otherwise than by the client, they would do something else.
async fn what_only_the_client_understands_is_refused(engine: Engine) {
    let texts: &[&str] = engine.pick(
        &["COPY t FROM stdin; INSERT INTO t VALUES (2);\n1\n\\.", "SET standard_conforming_strings = off;"],
        &[".import rows.csv t"],
        &["SET sql_mode = 'NO_BACKSLASH_ESCAPES';\nINSERT INTO t VALUES (length('\\'));", "SELECT 1\\G"],
    );
    for text in texts {
        let (pair, highwater) = with_table(engine, text).await;
        highwater.run(&["upgrade"]).await.expect_code(3).says("upgrade.runner");
        assert!(!is_there(&pair, "next_one").await);
    }
}
