//! What is noticed about capture, once a second.

use highwater::engine::Fault;

use super::{Case, Kind, connect};
use crate::support::MysqlServer;

on_both!(
    missing_and_altered_triggers_are_mended,
    triggers_that_were_dropped_and_made_again_are_noticed,
    a_trigger_made_again_tells_of_the_children_too,
    what_fires_no_trigger_is_noticed,
    partitions_are_noticed,
    a_log_that_began_anew_is_noticed,
    what_needs_a_person_stops_the_table,
    what_does_not_matter_is_left_alone,
    revoked_privileges_stop_every_table,
    without_process_times_tell,
    the_fence_must_have_its_row,
);

async fn missing_and_altered_triggers_are_mended(kind: Kind) {
    let case =
        Case::new(kind, "CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (a int PRIMARY KEY)").await;
    let before = case.install().await;
    case.execute("DROP TRIGGER highwater_capture_delete_t").await;
    assert!(case.mendable("t").await.contains("highwater_capture_delete_t is missing"));
    let mended = case.install().await;
    assert_ne!(before["t"], mended["t"]);
    assert_eq!(before["u"], mended["u"]);
    case.all_sound().await;
    case.execute(
        "DROP TRIGGER highwater_capture_insert_t;
         CREATE TRIGGER highwater_capture_insert_t AFTER INSERT ON t FOR EACH ROW SET @x = 1",
    )
    .await;
    assert!(case.mendable("t").await.contains("insert_t was altered"));
    case.install().await;
    case.execute("INSERT INTO t VALUES (1)").await;
    assert_eq!(case.log("t").await, ["I 1"]);
}

/// As a script does that loads rows without triggers: MySQL can't disable them.
async fn triggers_that_were_dropped_and_made_again_are_noticed(kind: Kind) {
    let case =
        Case::new(kind, "CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (a int PRIMARY KEY)").await;
    let before = case.install().await;
    case.without_trigger("highwater_capture_insert_t", "INSERT INTO t VALUES (1)").await;
    assert!(case.mendable("t").await.contains("insert_t was dropped and made again"));
    let mended = case.install().await;
    assert_ne!(before["t"], mended["t"]);
    assert_eq!(before["u"], mended["u"]);
    case.all_sound().await;
    // What keeps the triggers keeps their times.
    case.execute(
        "ALTER TABLE t COMMENT 'x'; ANALYZE TABLE t; FLUSH TABLES; RENAME TABLE t TO v; RENAME TABLE v TO t",
    )
    .await;
    case.all_sound().await;
    assert_eq!(case.install().await, mended);
}

/// What a parent's triggers would have logged of its children is missing there.
async fn a_trigger_made_again_tells_of_the_children_too(kind: Kind) {
    let case = Case::new(
        kind,
        "CREATE TABLE p (a int PRIMARY KEY); INSERT INTO p VALUES (1);
         CREATE TABLE c (a int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES p (a) ON DELETE CASCADE);
         INSERT INTO c VALUES (1, 1)",
    )
    .await;
    let before = case.install().await;
    case.without_trigger("highwater_capture_cascade_delete_p", "DELETE FROM p").await;
    let mended = case.install().await;
    assert_ne!(before["c"], mended["c"]);
    case.all_sound().await;
}

async fn what_fires_no_trigger_is_noticed(kind: Kind) {
    let case = Case::new(kind, "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let before = case.install().await;
    case.execute("TRUNCATE t").await;
    assert!(case.mendable("t").await.contains("truncated"));
    let truncated = case.install().await;
    assert_ne!(before, truncated);
    case.all_sound().await;
    // As online schema changes do: another table takes the name.
    case.execute("CREATE TABLE n (a int PRIMARY KEY); RENAME TABLE t TO o, n TO t; DROP TABLE o").await;
    case.mendable("t").await;
    case.install().await;
    case.execute("INSERT INTO t VALUES (7)").await;
    assert_eq!(case.log("t").await.last().unwrap(), "I 7");
    // And IMPORT.
    case.execute("CREATE TABLE x (a int PRIMARY KEY)").await;
    case.all_sound().await;
}

async fn partitions_are_noticed(kind: Kind) {
    let case = Case::new(
        kind,
        "CREATE TABLE t (a int PRIMARY KEY) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (10),
            PARTITION p1 VALUES LESS THAN (20), PARTITION p2 VALUES LESS THAN (30));
         CREATE TABLE other (a int PRIMARY KEY); INSERT INTO t VALUES (1), (11), (21); INSERT INTO other VALUES (12)",
    )
    .await;
    for sql in [
        "ALTER TABLE t TRUNCATE PARTITION p0",
        "ALTER TABLE t EXCHANGE PARTITION p1 WITH TABLE other",
        "ALTER TABLE t DROP PARTITION p2",
    ] {
        case.all_sound().await;
        let triggers_away = sql.contains("EXCHANGE");
        if triggers_away {
            // The servers refuse it while the other table has triggers.
            case.execute("DROP TRIGGER IF EXISTS highwater_capture_insert_other").await;
        }
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(case.database.pool()).await;
        if done.is_err() && triggers_away {
            case.install().await;
            continue;
        }
        done.unwrap();
        case.mendable("t").await;
        case.install().await;
    }
}

async fn a_log_that_began_anew_is_noticed(kind: Kind) {
    let case = Case::new(kind, "CREATE TABLE t (a int PRIMARY KEY)").await;
    case.execute(&format!("TRUNCATE {}", case.log_of("t"))).await;
    assert!(case.mendable("t").await.contains("change log"));
    case.install().await;
    case.all_sound().await;
}

async fn what_needs_a_person_stops_the_table(kind: Kind) {
    let sql = "CREATE TABLE t (a int PRIMARY KEY, v int, w int)";
    for (alter, what) in [
        ("ALTER TABLE t ADD x int", "column x was added"),
        ("ALTER TABLE t DROP w", "column w was dropped or renamed"),
        ("ALTER TABLE t RENAME COLUMN w TO y", "column w was dropped or renamed"),
        ("ALTER TABLE t MODIFY v bigint", "column v was `int` and is `bigint`"),
        ("ALTER TABLE t DROP PRIMARY KEY", "its key is not unique"),
        ("RENAME TABLE t TO gone", "the table was dropped or renamed"),
        ("DROP TABLE t", "the table was dropped or renamed"),
    ] {
        let case = Case::new(kind, sql).await;
        case.execute(alter).await;
        let found = case.stopped("t").await;
        assert!(found.contains(what), "{alter}: {found}");
        // Production's writes go on.
        if alter.starts_with("ALTER") {
            case.execute("INSERT INTO t (a) VALUES (1)").await;
        }
    }
}

async fn what_does_not_matter_is_left_alone(kind: Kind) {
    let case = Case::new(kind, "CREATE TABLE t (a int PRIMARY KEY, v int)").await;
    let before = case.install().await;
    case.execute("CREATE TABLE later (a int); CREATE VIEW view1 AS SELECT * FROM t; ANALYZE TABLE t").await;
    case.execute("CREATE TRIGGER mine AFTER INSERT ON t FOR EACH ROW SET @x = 1").await;
    case.execute("ALTER TABLE t COMMENT = 'new'").await;
    case.all_sound().await;
    assert_eq!(before, case.install().await);
}

/// A user with just what is needed, and the source as it sees it.
async fn humble(case: &Case, kind: Kind, more: &str) -> (String, Case) {
    let server = MysqlServer::shared(kind);
    let user = server.user("").await;
    let prepared = match kind {
        Kind::Mysql => format!("GRANT XA_RECOVER_ADMIN ON *.* TO {user}@'%';"),
        Kind::Mariadb => String::new(),
    };
    case.execute(&format!(
        "GRANT SELECT, TRIGGER, LOCK TABLES ON \"{}\".* TO {user}@'%';
         GRANT ALL ON highwater_capture.* TO {user}@'%'; {prepared} {more}",
        case.database.name()
    ))
    .await;
    let humble = Case::on(case.database.clone(), &user, &[]).await;
    (user, humble)
}

async fn revoked_privileges_stop_every_table(kind: Kind) {
    let case =
        Case::bare(kind, "CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (a int PRIMARY KEY)").await;
    let (user, humble) = humble(&case, kind, "").await;
    humble.install().await;
    humble.all_sound().await;
    case.execute("INSERT INTO t VALUES (1)").await;
    case.execute(&format!("REVOKE TRIGGER ON \"{}\".* FROM {user}@'%'", case.database.name())).await;
    assert!(
        case.refused("INSERT INTO t VALUES (2)").await.contains("TRIGGER"),
        "which is why it is looked for"
    );
    let source = connect(&case.database.url_as(&user)).await;
    for verdict in source.inspect(&humble.plan).await.unwrap() {
        let Some(Fault::Stop { what, remedy }) = verdict.fault else { panic!("{:?}", verdict.fault) };
        assert!(what.contains("TRIGGER") && what.contains("was revoked"), "{what}");
        assert!(remedy.contains("GRANT TRIGGER ON"), "{remedy}");
    }
}

async fn without_process_times_tell(kind: Kind) {
    let case = Case::bare(kind, "CREATE TABLE t (a int PRIMARY KEY)").await;
    let (_, humble) = humble(&case, kind, "").await;
    let before = humble.install().await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    humble.all_sound().await;
    assert_eq!(before, humble.install().await);
    // They tell a swap, but no TRUNCATE.
    case.execute("CREATE TABLE n LIKE t; RENAME TABLE t TO o, n TO t").await;
    humble.mendable("t").await;
}

async fn the_fence_must_have_its_row(kind: Kind) {
    let case = Case::new(kind, "CREATE TABLE t (a int PRIMARY KEY)").await;
    case.execute(&format!(
        "DELETE FROM highwater_capture.fence WHERE database_name = '{}'",
        case.database.name()
    ))
    .await;
    case.execute("INSERT INTO t VALUES (1)").await;
    assert!(case.mendable("t").await.contains("the fence has lost its row"));
    case.install().await;
    case.all_sound().await;
}
