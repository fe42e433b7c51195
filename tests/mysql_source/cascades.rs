//! What foreign keys' actions change is logged by the parents' triggers.

use std::time::Duration;

use super::{Case, Kind};
use crate::support::{mysql_execute as execute, mysql_rows_as_text as rows_as_text};

on_both!(
    a_chain_of_deletes_is_logged,
    a_tree_in_one_table_is_logged_to_its_leaves,
    set_null_is_logged,
    changed_keys_are_logged_before_and_after,
    a_change_of_case_is_followed,
    what_an_excluded_parent_does_is_logged,
    a_child_that_commits_meanwhile_is_logged,
    a_parent_in_another_database_stops_the_child,
    what_comes_between_the_join_and_the_delete_is_logged,
    what_comes_between_the_join_and_the_new_key_is_logged,
    a_child_by_another_key_than_the_primary_is_logged,
    others_write_while_a_parent_is_being_deleted,
    production_keeps_its_view_for_its_own_first_read,
    a_child_that_is_gone_lets_the_delete_pass,
    a_writers_row_limit_does_not_cut_the_children,
);

const FAMILY: &str = "CREATE TABLE p (id int PRIMARY KEY);
    CREATE TABLE c (id int PRIMARY KEY, p_id int, FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE);
    CREATE TABLE g (id int PRIMARY KEY, c_id int, FOREIGN KEY (c_id) REFERENCES c (id) ON DELETE CASCADE);
    CREATE TABLE k (v int, g_id int, FOREIGN KEY (g_id) REFERENCES g (id) ON DELETE CASCADE);
    INSERT INTO p VALUES (1), (2);
    INSERT INTO c VALUES (10, 1), (11, 1), (20, 2);
    INSERT INTO g VALUES (100, 10), (110, 11), (200, 20);
    INSERT INTO k VALUES (1, 100), (2, 200)";

async fn a_chain_of_deletes_is_logged(kind: Kind) {
    let case = Case::new(kind, FAMILY).await;
    case.execute("DELETE FROM p WHERE id = 1").await;
    assert_eq!(case.logged("c").await, ["D 10", "D 11"]);
    assert_eq!(case.logged("g").await, ["D 100", "D 110"]);
    assert_eq!(case.logged("k").await, ["W"]);
    case.clear(&["p", "c", "g", "k"]).await;
    // The statement reads the children itself.
    case.execute("DELETE p FROM p JOIN c ON c.p_id = p.id JOIN g ON g.c_id = c.id WHERE g.id = 200").await;
    assert_eq!((case.logged("c").await, case.logged("g").await), (vec!["D 20".into()], vec!["D 200".into()]));
}

async fn a_tree_in_one_table_is_logged_to_its_leaves(kind: Kind) {
    let case = Case::new(
        kind,
        "CREATE TABLE t (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES t (id) ON DELETE CASCADE);
         INSERT INTO t VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 6), (8, 7), (9, 8), (90, 8)",
    )
    .await;
    case.execute("DELETE FROM t WHERE id = 1").await;
    let mut wanted: Vec<String> = (1..=9).map(|n| format!("D {n}")).collect();
    wanted.push("D 90".into());
    assert_eq!(case.logged("t").await, wanted);
    assert_eq!(case.number("SELECT COUNT(*) FROM t").await, 0);
}

async fn set_null_is_logged(kind: Kind) {
    let case = Case::new(
        kind,
        "CREATE TABLE p (id int PRIMARY KEY);
         CREATE TABLE c (id int PRIMARY KEY, p_id int, FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE SET NULL ON UPDATE SET NULL);
         INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (10, 1), (20, 2)",
    )
    .await;
    case.execute("DELETE FROM p WHERE id = 1").await;
    assert_eq!(case.log("c").await, ["U 10"]);
    case.execute("UPDATE p SET id = 3 WHERE id = 2").await;
    assert_eq!(case.log("c").await, ["U 10", "U 20"]);
    assert_eq!(case.number("SELECT COUNT(*) FROM c WHERE p_id IS NULL").await, 2);
}

async fn changed_keys_are_logged_before_and_after(kind: Kind) {
    let case = Case::new(
        kind,
        "CREATE TABLE p (id int PRIMARY KEY, v int);
         CREATE TABLE c (p_id int, n int, PRIMARY KEY (p_id, n), FOREIGN KEY (p_id) REFERENCES p (id) ON UPDATE CASCADE);
         CREATE TABLE g (p_id int, n int, m int PRIMARY KEY, FOREIGN KEY (p_id, n) REFERENCES c (p_id, n) ON UPDATE CASCADE);
         INSERT INTO p VALUES (1, 0), (2, 0); INSERT INTO c VALUES (1, 7), (2, 8); INSERT INTO g VALUES (1, 7, 70)",
    )
    .await;
    case.execute("UPDATE p SET v = 1").await;
    assert!(case.log("c").await.is_empty(), "nothing that is referred to has changed");
    case.execute("UPDATE p SET id = id + 10 WHERE id = 1").await;
    assert_eq!(case.logged("c").await, ["U 1 7", "U 11 7"]);
    assert_eq!(case.logged("g").await, ["U 70"]);
    assert_eq!(case.number("SELECT p_id FROM g").await, 11);
}

async fn a_change_of_case_is_followed(kind: Kind) {
    let case = Case::new(
        kind,
        "CREATE TABLE p (id varchar(9) PRIMARY KEY);
         CREATE TABLE c (id int PRIMARY KEY, p_id varchar(9), FOREIGN KEY (p_id) REFERENCES p (id) ON UPDATE CASCADE);
         INSERT INTO p VALUES ('a'); INSERT INTO c VALUES (1, 'a')",
    )
    .await;
    case.execute("UPDATE p SET id = 'A'").await;
    assert_eq!(case.number("SELECT COUNT(*) FROM c WHERE BINARY p_id = 'A'").await, 1, "the server follows");
    assert_eq!(case.logged("c").await, ["U 1"]);
}

async fn what_an_excluded_parent_does_is_logged(kind: Kind) {
    let case = Case::bare(kind, FAMILY).await.again(&["p", "c"]).await;
    case.install().await;
    case.execute("DELETE FROM p WHERE id = 1").await;
    assert_eq!(case.logged("g").await, ["D 100", "D 110"]);
    case.all_sound().await;
    // Without the parent's trigger the children's log may miss something.
    let before = case.install().await;
    case.execute("DROP TRIGGER highwater_capture_cascade_delete_p").await;
    let fault = case.mendable("p").await;
    assert!(fault.contains("cascade_delete_p is missing"), "{fault}");
    let after = case.install().await;
    assert_ne!(before["g"], after["g"]);
    assert_ne!(before["k"], after["k"]);
}

async fn a_child_that_commits_meanwhile_is_logged(kind: Kind) {
    let case =
        Case::new(kind, &format!("{FAMILY}; CREATE TABLE one (v int); INSERT INTO one VALUES (0)")).await;
    for (level, child) in [("REPEATABLE READ", 12), ("READ COMMITTED", 22)] {
        let (parent, grandchild) = (child / 10, child * 10);
        let mut other = case.database.connect().await;
        execute(&mut other, &format!("START TRANSACTION; INSERT INTO c VALUES ({child}, {parent})")).await;
        execute(&mut other, &format!("INSERT INTO g VALUES ({grandchild}, {child})")).await;
        let mut deleting = case.database.connect().await;
        // The statement begins, with its view of the rows, and waits for the other one.
        let deleted = tokio::spawn(async move {
            execute(&mut deleting, &format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}")).await;
            execute(&mut deleting, "START TRANSACTION; SELECT * FROM c").await;
            execute(
                &mut deleting,
                &format!("DELETE FROM p WHERE id = {parent} + (SELECT MIN(v) FROM one); COMMIT"),
            )
            .await;
        });
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(!deleted.is_finished());
        execute(&mut other, "COMMIT").await;
        deleted.await.unwrap();
        assert!(case.logged("c").await.contains(&format!("D {child}")), "{level}");
        assert!(case.logged("g").await.contains(&format!("D {grandchild}")), "{level}");
    }
}

async fn a_parent_in_another_database_stops_the_child(kind: Kind) {
    let case = Case::bare(
        kind,
        "CREATE TABLE c (id int PRIMARY KEY, p_id int); CREATE TABLE d (id int PRIMARY KEY)",
    )
    .await;
    let other = crate::support::MysqlServer::shared(kind).database().await;
    other.execute("CREATE TABLE p (id int PRIMARY KEY)").await;
    let parent = format!("\"{}\".p (id)", other.name());
    case.execute(&format!("ALTER TABLE c ADD FOREIGN KEY (p_id) REFERENCES {parent} ON DELETE CASCADE"))
        .await;
    let done: std::collections::BTreeMap<_, _> =
        case.source.install(&case.plan, &|_| {}).await.unwrap().into_iter().collect();
    assert!(done["c"].as_ref().unwrap_err().summary().contains("in another database"));
    assert!(done["d"].is_ok());
    assert!(case.stopped("c").await.contains("in another database"));
}

/// The parents' deletes, changes of keys included, stop between our trigger and the action.
fn stopping(event: &str) -> String {
    let kind = event.to_lowercase();
    format!(
        "CREATE TRIGGER stops BEFORE {event} ON p FOR EACH ROW FOLLOWS highwater_capture_cascade_{kind}_p \
         DO GET_LOCK(CONCAT(DATABASE(), OLD.id), 30)"
    )
}

/// Runs `sql` at an isolation level, step by step: at the parent of each number `meanwhile` is done, too.
async fn with_stops(case: &Case, level: &str, sql: &str, meanwhile: &[(u32, &str)]) {
    let mut keeper = case.database.connect().await;
    for (parent, _) in meanwhile {
        execute(&mut keeper, &format!("DO GET_LOCK(CONCAT(DATABASE(), {parent}), 5)")).await;
    }
    let mut stopped = case.database.connect().await;
    let (set, sql) = (format!("SET {level}"), sql.to_owned());
    let statement = tokio::spawn(async move {
        execute(&mut stopped, &set).await;
        execute(&mut stopped, &sql).await;
    });
    for (parent, also) in meanwhile {
        let waiting = format!(
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User lock' AND DB = '{}'",
            case.database.name()
        );
        while case.number(&waiting).await == 0 {
            assert!(!statement.is_finished(), "{level} {parent}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut other = case.database.connect().await;
        execute(&mut other, "SET innodb_lock_wait_timeout = 1, lock_wait_timeout = 1").await;
        execute(&mut other, also).await;
        execute(&mut keeper, &format!("DO RELEASE_LOCK(CONCAT(DATABASE(), {parent}))")).await;
        // The next one must not be taken for this one.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    statement.await.unwrap();
}

/// Where no gaps are locked. One of them is not shown by any variable.
const LOOSE: [&str; 2] =
    ["SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "TRANSACTION ISOLATION LEVEL READ COMMITTED"];

async fn what_comes_between_the_join_and_the_delete_is_logged(kind: Kind) {
    let case = Case::new(kind, FAMILY).await;
    case.execute(&stopping("DELETE")).await;
    for level in LOOSE {
        with_stops(
            &case,
            level,
            "DELETE FROM p",
            &[
                (1, "INSERT INTO g VALUES (101, 10); INSERT INTO k VALUES (9, 101)"),
                (2, "INSERT INTO g VALUES (201, 20); UPDATE g SET id = 202 WHERE id = 201"),
            ],
        )
        .await;
        // MySQL 9.7 itself leaves 110 behind, as an orphan, when something is inserted meanwhile.
        let gone = case.number("SELECT COUNT(*) FROM g WHERE id IN (100, 101, 200, 201, 202)").await;
        assert_eq!(gone, 0);
        let deleted = case.logged("g").await;
        for gone in [100, 101, 110, 200, 202] {
            assert!(deleted.contains(&format!("D {gone}")), "{level}: {gone} in {deleted:?}");
        }
        let log = case.log("g").await;
        assert_eq!(log.last().unwrap(), "D 202", "after what others have logged: {log:?}");
        assert_eq!(case.log("k").await.last().unwrap(), "W");
        case.execute("DELETE FROM g").await;
        case.execute(&FAMILY[FAMILY.find("INSERT").unwrap()..]).await;
        case.clear(&["p", "c", "g", "k"]).await;
    }
}

async fn what_comes_between_the_join_and_the_new_key_is_logged(kind: Kind) {
    let case = Case::new(
        kind,
        "CREATE TABLE p (id int PRIMARY KEY);
         CREATE TABLE c (p_id int, n int, PRIMARY KEY (p_id, n), FOREIGN KEY (p_id) REFERENCES p (id) ON UPDATE CASCADE);
         CREATE TABLE g (p_id int, n int, m int, PRIMARY KEY (p_id, n, m), FOREIGN KEY (p_id, n) REFERENCES c (p_id, n) ON UPDATE CASCADE);
         INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 7); INSERT INTO g VALUES (1, 7, 70)",
    )
    .await;
    case.execute(&stopping("UPDATE")).await;
    with_stops(&case, LOOSE[0], "UPDATE p SET id = 11", &[(1, "INSERT INTO g VALUES (1, 7, 71)")]).await;
    assert_eq!(case.number("SELECT COUNT(*) FROM g WHERE p_id = 11").await, 2);
    assert_eq!(case.logged("g").await, ["I 1 7 71", "U 1 7 70", "U 1 7 71", "U 11 7 70", "U 11 7 71"]);
}

async fn a_child_by_another_key_than_the_primary_is_logged(kind: Kind) {
    let case = Case::new(
        kind,
        "CREATE TABLE p (id int PRIMARY KEY, code int UNIQUE);
         CREATE TABLE c (id int PRIMARY KEY, code int, FOREIGN KEY (code) REFERENCES p (code) ON DELETE CASCADE);
         CREATE TABLE k (v int, code int, FOREIGN KEY (code) REFERENCES p (code) ON DELETE CASCADE);
         INSERT INTO p VALUES (1, 5)",
    )
    .await;
    case.execute(&stopping("DELETE")).await;
    let also = "INSERT INTO c VALUES (10, 5); INSERT INTO k VALUES (1, 5)";
    with_stops(&case, LOOSE[0], "DELETE FROM p WHERE id = 1", &[(1, also)]).await;
    assert_eq!(case.number("SELECT COUNT(*) FROM c").await, 0);
    assert_eq!(case.log("c").await, ["I 10", "D 10"]);
    assert_eq!(case.log("k").await, ["W", "W"]);
}

async fn others_write_while_a_parent_is_being_deleted(kind: Kind) {
    // At 1 a statement that does not know how many rows it inserts keeps all others from the log.
    let server = crate::support::MysqlServer::start_own(kind, &[("innodb_autoinc_lock_mode", "1")]);
    let database = server.database().await;
    database.execute(FAMILY).await;
    let case = Case::on(database, "root", &[]).await;
    case.install().await;
    case.execute(&stopping("DELETE")).await;
    case.execute(
        "INSERT INTO p VALUES (3); INSERT INTO c VALUES (30, 3), (39, 3), (50, 3); INSERT INTO g VALUES (390, 39), (500, 50)",
    )
    .await;
    for (parent, level) in [(1, "SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"), (2, LOOSE[0])] {
        let also = format!("INSERT INTO c VALUES (3{parent}, 3); INSERT INTO g VALUES (30{parent}, 30)");
        let delete = format!("DELETE FROM p WHERE id = {parent}");
        with_stops(&case, level, &delete, &[(parent, &also)]).await;
        assert!(case.log("g").await.contains(&format!("I 30{parent}")));
        // Nor does an open transaction that has deleted one hold them up.
        let mut open = case.database.connect().await;
        execute(&mut open, &format!("SET {level}; START TRANSACTION")).await;
        execute(
            &mut open,
            "INSERT INTO p VALUES (4); INSERT INTO c VALUES (40, 4); DELETE FROM p WHERE id = 4",
        )
        .await;
        let mut other = case.database.connect().await;
        execute(&mut other, "SET innodb_lock_wait_timeout = 1").await;
        execute(&mut other, &format!("INSERT INTO g VALUES (31{parent}, 30)")).await;
        execute(&mut open, "ROLLBACK").await;
    }
}

async fn production_keeps_its_view_for_its_own_first_read(kind: Kind) {
    let case = Case::new(kind, FAMILY).await;
    let mut deleting = case.database.connect().await;
    execute(&mut deleting, "START TRANSACTION; DELETE FROM p WHERE id = 1").await;
    case.execute("INSERT INTO c VALUES (21, 2)").await;
    let seen = rows_as_text(&mut deleting, "SELECT id FROM c ORDER BY id").await;
    assert_eq!(seen, [[Some("20".into())], [Some("21".into())]]);
}

async fn a_child_that_is_gone_lets_the_delete_pass(kind: Kind) {
    let case = Case::new(kind, FAMILY).await;
    case.execute("DROP TABLE k; DROP TABLE g").await;
    case.execute("DELETE FROM p WHERE id = 1").await;
    case.execute(&format!("DROP TABLE {}, {}", case.log_of("g"), case.log_of("c"))).await;
    case.execute("DELETE FROM p WHERE id = 2").await;
    assert_eq!(case.number("SELECT COUNT(*) FROM p").await, 0);
}

async fn a_writers_row_limit_does_not_cut_the_children(kind: Kind) {
    let case = Case::new(
        kind,
        "CREATE TABLE p (id int PRIMARY KEY);
         CREATE TABLE c (id int PRIMARY KEY, p_id int,
            FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE ON UPDATE CASCADE);
         INSERT INTO p VALUES (1), (2);
         INSERT INTO c VALUES (10, 1), (11, 1), (12, 1), (20, 2), (21, 2)",
    )
    .await;
    let mut writer = case.database.connect().await;
    execute(&mut writer, "SET sql_select_limit = 1; UPDATE p SET id = 7 WHERE id = 1").await;
    assert_eq!(case.logged("c").await, ["U 10", "U 11", "U 12"]);
    case.clear(&["c"]).await;
    execute(&mut writer, "SET sql_select_limit = 0; DELETE FROM p WHERE id = 2").await;
    assert_eq!(case.logged("c").await, ["D 20", "D 21"]);
}

/// MariaDB: `system_versioning_asof` puts `FOR SYSTEM_TIME AS OF` into every query that names no time of its own.
#[tokio::test]
async fn a_writer_that_looks_into_the_past_hides_no_children() {
    let case = Case::new(
        Kind::Mariadb,
        "CREATE TABLE p (id int PRIMARY KEY);
         CREATE TABLE c (id int PRIMARY KEY, p_id int,
            FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE ON UPDATE CASCADE) WITH SYSTEM VERSIONING;
         CREATE TABLE g (id int PRIMARY KEY, c_id int,
            FOREIGN KEY (c_id) REFERENCES c (id) ON DELETE CASCADE) WITH SYSTEM VERSIONING;
         INSERT INTO p VALUES (1), (2);
         INSERT INTO c VALUES (10, 1), (11, 1), (20, 2);
         INSERT INTO g VALUES (100, 10), (200, 20)",
    )
    .await;
    let mut writer = case.database.connect().await;
    execute(
        &mut writer,
        "SET system_versioning_asof = '2020-01-01 00:00:00'; UPDATE p SET id = 7 WHERE id = 1",
    )
    .await;
    assert_eq!(case.logged("c").await, ["U 10", "U 11"]);
    case.clear(&["c"]).await;
    execute(&mut writer, "DELETE FROM p WHERE id = 2").await;
    assert_eq!((case.logged("c").await, case.logged("g").await), (vec!["D 20".into()], vec!["D 200".into()]));
}
