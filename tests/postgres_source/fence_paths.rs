//! Ways past a fence that stands on the logs: writes that make no entry, logs that are missing, capture that is
//! silenced, requests that arrive late.

use std::time::Duration;

use highwater::engine::{Fault, Lowered, Stamp};
use highwater::error::Kind;

use super::Case;
use super::fence::{FIRST, TABLES, code, run};
use crate::support::{Server, eventually, soon};

const TABLE: &str = "CREATE TABLE t (a int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x')";

async fn raised(sql: &str) -> Case {
    let case = Case::new(sql).await;
    case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap();
    case
}

#[tokio::test]
async fn highwaters_own_marked_writes_ask_the_fence() {
    let case = Case::new(TABLE).await;
    let write = "SET highwater.applying = 'main'; UPDATE t SET v = 'y'";
    assert_eq!(code(&case, write).await, None);
    assert_eq!(case.log("t").await, [""; 0]);
    case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap();
    assert_eq!(code(&case, write).await.as_deref(), Some("HW001"));
    case.source.lower_fence(FIRST).await.unwrap();
    assert_eq!(code(&case, write).await, None);
}

#[tokio::test]
async fn the_marker_of_another_role_is_captured_and_fenced() {
    let case = Case::new(TABLE).await;
    let app = Server::shared().role("").await;
    case.execute(&format!("GRANT ALL ON t TO {app}")).await;
    let mut writer = case.database.connect_as(&app).await;
    run(&mut writer, "SET highwater.applying = 'main'; UPDATE t SET v = 'y'").await.unwrap();
    assert_eq!(case.log("t").await, ["U 1"]);
    case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap();
    let error = run(&mut writer, "UPDATE t SET v = 'z'").await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("HW001"));
}

#[tokio::test]
async fn a_write_that_can_not_be_logged_is_refused_too() {
    for harm in [
        "ALTER TABLE t RENAME a TO b",
        "ALTER TABLE t ALTER a TYPE text",
        "DROP TABLE highwater_capture.\"public.t\"",
        "ALTER TABLE highwater_capture.\"public.t\" RENAME TO elsewhere",
    ] {
        let case = raised(TABLE).await;
        case.execute(harm).await;
        for write in ["UPDATE t SET v = 'y'", "DELETE FROM t", "INSERT INTO t SELECT * FROM t WHERE false"] {
            assert_eq!(code(&case, write).await.as_deref(), Some("HW001"), "{harm}: {write}");
        }
        let error = case.source.prove_fence(&case.plan, FIRST).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{harm}");
        case.source.lower_fence(FIRST).await.unwrap();
        assert_eq!(code(&case, "UPDATE t SET v = 'y'").await, None, "{harm}: the write passes");
        case.source.inspect(&case.plan).await.unwrap()[0].fault.as_ref().unwrap();
    }
}

#[tokio::test]
async fn a_fence_without_its_row_or_table_refuses() {
    for harm in ["DELETE FROM highwater_capture.fence", "DROP TABLE highwater_capture.fence"] {
        let case = raised(TABLE).await;
        case.execute(harm).await;
        assert_eq!(code(&case, "UPDATE t SET v = 'y'").await.as_deref(), Some("HW001"), "{harm}");
        let fence = case.source.fence().await.unwrap();
        assert!(fence.raised && fence.stamp.attempt == 2, "{harm}: {fence:?}");
        assert!(case.source.prove_fence(&case.plan, FIRST).await.is_err());
        assert_eq!(case.source.lower_fence(FIRST).await.unwrap_err().kind(), Kind::Refused);
    }
    // Making the schema again would lower it.
    let case = raised(TABLE).await;
    case.execute("DROP TABLE highwater_capture.members").await;
    assert_eq!(case.source.install(&case.plan, &|_| {}).await.unwrap_err().kind(), Kind::Refused);
    assert_eq!(code(&case, "UPDATE t SET v = 'y'").await.as_deref(), Some("HW001"));
}

#[tokio::test]
async fn a_raise_that_arrives_after_the_lowering_is_inert() {
    let case = Case::new(TABLES).await;
    // The attempt is lowered before its request arrives at all.
    assert_eq!(case.source.lower_fence(FIRST).await.unwrap(), Lowered::WasDown);
    case.execute("SELECT highwater_capture.raise_fence('public.t', 2)").await;
    assert_eq!(code(&case, "INSERT INTO t VALUES (1, 'x')").await, None);
    assert!(case.source.drop_lowered().await.unwrap());
    let left = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'fence %'";
    assert_eq!(case.number(left).await, 0);
    // One that stands is not dropped.
    let second = Stamp { epoch: 1, attempt: 4 };
    case.source.raise_fence(&case.plan, second, soon()).await.unwrap();
    case.execute("SELECT highwater_capture.raise_fence('public.t', 2)").await;
    assert!(case.source.drop_lowered().await.unwrap());
    case.source.prove_fence(&case.plan, second).await.unwrap();
    assert_eq!(case.number(left).await, 4, "t, k, p and the table of what can't be logged");
}

#[tokio::test]
async fn lowering_waits_for_no_reader_of_a_log() {
    let case = raised(TABLES).await;
    let mut dump = case.database.connect().await;
    run(&mut dump, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM highwater_capture.\"public.t\"")
        .await
        .unwrap();
    let mut pooled = case.database.connect().await;
    run(&mut pooled, "BEGIN").await.unwrap();
    run(&mut pooled, "INSERT INTO t VALUES (1, 'x')").await.unwrap_err();
    assert_eq!(case.source.lower_fence(FIRST).await.unwrap(), Lowered::Down);
    assert_eq!(code(&case, "INSERT INTO t VALUES (1, 'x')").await, None);
    assert!(!case.source.drop_lowered().await.unwrap(), "the trigger is held by the reader");
    run(&mut dump, "COMMIT").await.unwrap();
    eventually(Duration::from_secs(10), async || case.source.drop_lowered().await.unwrap()).await;
}

#[tokio::test]
async fn a_log_that_is_made_while_the_fence_stands_has_it() {
    let case = raised(TABLES).await;
    case.execute("DROP TABLE highwater_capture.\"public.t\"").await;
    case.install().await;
    assert_eq!(code(&case, "INSERT INTO t VALUES (1, 'x')").await.as_deref(), Some("HW001"));
    case.source.prove_fence(&case.plan, FIRST).await.unwrap();
    case.execute("CREATE TABLE later (a int PRIMARY KEY)").await;
    let error = case.source.prove_fence(&case.plan, FIRST).await.unwrap_err();
    assert!(error.to_string().contains("public.later"), "{error}");
    let again = case.again().await;
    again.install().await;
    assert_eq!(code(&case, "INSERT INTO later VALUES (1)").await.as_deref(), Some("HW001"));
    again.source.prove_fence(&again.plan, FIRST).await.unwrap();
    case.source.lower_fence(FIRST).await.unwrap();
    assert_eq!(code(&case, "INSERT INTO later VALUES (1)").await, None);
}

#[tokio::test]
async fn a_log_that_is_made_while_the_fence_is_raised_is_found_or_waits() {
    let case = Case::new(TABLE).await;
    let mut maker = case.database.connect().await;
    // As install does it: the log, its registry row, and last the question for the fence, in one transaction.
    run(&mut maker, "BEGIN; SELECT highwater_capture.fence_new_log('public.t')").await.unwrap();
    let raising = async { case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap() };
    let waiting = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
        AND query LIKE '%highwater_capture%' AND datname = current_database()";
    let ending = async {
        eventually(Duration::from_secs(20), async || {
            case.database.rows_as_text(waiting).await[0][0].as_deref() == Some("t")
        })
        .await;
        run(&mut maker, "COMMIT").await.unwrap();
    };
    tokio::join!(raising, ending);
    case.source.prove_fence(&case.plan, FIRST).await.unwrap();
}

#[tokio::test]
async fn silenced_capture_is_a_silenced_fence() {
    for harm in [
        "ALTER TABLE t DISABLE TRIGGER ALL",
        "ALTER TABLE t DISABLE TRIGGER ALL; ALTER TABLE t ENABLE ALWAYS TRIGGER highwater_capture_insert; \
         ALTER TABLE t ENABLE ALWAYS TRIGGER highwater_capture_update; \
         ALTER TABLE t ENABLE ALWAYS TRIGGER highwater_capture_delete; \
         ALTER TABLE t ENABLE ALWAYS TRIGGER highwater_capture_truncate",
        "DROP TRIGGER highwater_capture_delete ON t",
        "ALTER TABLE highwater_capture.\"public.t\" ENABLE TRIGGER \"fence 2\"",
        "ALTER TABLE highwater_capture.\"public.t\" DISABLE TRIGGER \"fence 2\"",
        "DROP TRIGGER \"fence 2\" ON highwater_capture.broken",
        "CREATE OR REPLACE FUNCTION highwater_capture.refuse() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN RETURN NULL; END'",
    ] {
        let case = raised(TABLE).await;
        case.source.prove_fence(&case.plan, FIRST).await.unwrap();
        case.execute(harm).await;
        let error = case.source.prove_fence(&case.plan, FIRST).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{harm}");
    }
}

#[tokio::test]
async fn triggers_that_were_disabled_and_enabled_again_are_noticed_without_the_owners_rights() {
    let database = Server::shared().database().await;
    let role = Server::shared().role("").await;
    let grants = format!(
        "CREATE TABLE t (a int PRIMARY KEY); GRANT SELECT, TRIGGER ON t TO {role}; GRANT CREATE ON DATABASE {} TO {role}",
        database.name()
    );
    database.execute(&grants).await;
    let case = Case::on(database, &role).await;
    case.install().await;
    case.sound("t").await;
    case.execute(
        "BEGIN; ALTER TABLE t DISABLE TRIGGER ALL; INSERT INTO t VALUES (1); ALTER TABLE t ENABLE TRIGGER ALL; COMMIT",
    )
    .await;
    assert!(case.mendable("t").await.contains("missing, disabled or altered"));
    case.install().await;
    case.sound("t").await;
}

#[tokio::test]
async fn a_log_that_was_replaced_or_taken_blocks_raising() {
    let role = Server::shared().role("").await;
    for harm in [
        "CREATE TABLE highwater_capture.n (LIKE highwater_capture.\"public.t\" INCLUDING ALL); \
         DROP TABLE highwater_capture.\"public.t\"; ALTER TABLE highwater_capture.n RENAME TO \"public.t\""
            .to_owned(),
        "DROP TABLE highwater_capture.\"public.t\"".to_owned(),
    ] {
        let case = Case::new(TABLE).await;
        case.execute(&harm).await;
        assert_eq!(case.mendable("t").await, "its log was dropped");
        let error = case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{harm}");
        assert_eq!(case.source.fence().await.unwrap().stamp.attempt, 0, "nothing was begun");
    }
    // An owner that highwater's role is not: production's writes pass, and it is said.
    let database = Server::shared().database().await;
    let setup = format!(
        "CREATE TABLE t (a int PRIMARY KEY); CREATE SCHEMA highwater_capture AUTHORIZATION {role};
        GRANT SELECT, TRIGGER ON t TO {role}"
    );
    database.execute(&setup).await;
    let case = Case::on(database, &role).await;
    case.install().await;
    case.execute("ALTER TABLE highwater_capture.\"public.t\" OWNER TO postgres; INSERT INTO t VALUES (1)")
        .await;
    assert!(
        matches!(case.verdict("t").await.fault, Some(Fault::Mend(what)) if what.contains("may not write"))
    );
}

#[tokio::test]
async fn what_forbids_the_ddl_is_told_by_the_plan() {
    let case = Case::new(TABLE).await;
    case.source.try_fence().await.unwrap();
    case.execute(
        "CREATE FUNCTION no_triggers() RETURNS event_trigger LANGUAGE plpgsql AS
         'BEGIN RAISE EXCEPTION ''triggers are made by the DBA''; END';
         CREATE EVENT TRIGGER no_triggers ON ddl_command_end WHEN TAG IN ('CREATE TRIGGER') EXECUTE FUNCTION no_triggers()",
    )
    .await;
    let error = case.source.try_fence().await.unwrap_err();
    assert!(error.kind() == Kind::Refused && error.to_string().contains("made by the DBA"), "{error}");
    let survey = case.source.survey(&case.source.schema().await.unwrap(), &case.plan).await.unwrap();
    let told = survey.warnings.iter().any(|w| w.what.contains("made by the DBA"));
    assert!(told && survey.blockers.is_empty(), "{survey:?}");
    case.execute("DROP EVENT TRIGGER no_triggers").await;
    case.source.try_fence().await.unwrap();
    let left = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'fence %'";
    assert_eq!(case.number(left).await, 0);
}

#[tokio::test]
async fn a_role_that_does_not_own_the_logs_raises_and_lowers_by_its_grants() {
    let database = Server::shared().database().await;
    let role = Server::shared().role("").await;
    database.execute(&format!("{TABLE}; GRANT SELECT ON t TO {role}")).await;
    let case = Case::on(database, &role).await;
    let ddl = case.source.capture_ddl(&case.plan).await.unwrap();
    let (capture, grants) = ddl.split_once("-- For the role that highwater runs as").unwrap();
    case.execute(capture).await;
    case.execute(&format!(
        "GRANT USAGE ON SCHEMA highwater_capture TO {role};
        GRANT SELECT ON ALL TABLES IN SCHEMA highwater_capture TO {role}"
    ))
    .await;
    let error = case.source.try_fence().await.unwrap_err();
    let remedy = error.remedy_text().unwrap();
    assert!(error.kind() == Kind::Refused && remedy.contains("GRANT EXECUTE"), "{error}");
    case.execute(grants.split_once('\n').unwrap().1).await;
    case.source.try_fence().await.unwrap();
    case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap();
    case.source.prove_fence(&case.plan, FIRST).await.unwrap();
    assert_eq!(code(&case, "UPDATE t SET v = 'y'").await.as_deref(), Some("HW001"));
    case.source.lower_fence(FIRST).await.unwrap();
    assert!(case.source.drop_lowered().await.unwrap());
    assert_eq!(code(&case, "UPDATE t SET v = 'y'").await, None);
    case.execute(&format!("REVOKE INSERT ON highwater_capture.\"public.t\" FROM {role}")).await;
    let error = case.source.try_fence().await.unwrap_err();
    assert!(error.remedy_text().unwrap().contains("GRANT INSERT, DELETE"), "{error}");
    // No other role may.
    let other = Server::shared().role("").await;
    case.execute(&format!("GRANT USAGE ON SCHEMA highwater_capture TO {other}")).await;
    let mut other = case.database.connect_as(&other).await;
    run(&mut other, "SELECT highwater_capture.raise_fence('public.t', 8)").await.unwrap_err();
}

#[tokio::test]
async fn it_is_not_raised_while_a_synchronous_standby_is_missing() {
    let server = Server::start_own(&[("synchronous_commit", "local")]);
    let database = server.database().await;
    database.execute(TABLE).await;
    let case = Case::on(database, "postgres").await;
    case.install().await;
    case.execute("ALTER SYSTEM SET synchronous_standby_names = 'absent'").await;
    case.execute("SELECT pg_reload_conf()").await;
    let named = "SELECT current_setting('synchronous_standby_names') = 'absent'";
    eventually(Duration::from_secs(10), async || {
        case.database.rows_as_text(named).await[0][0].as_deref() == Some("t")
    })
    .await;
    let error = case.source.raise_fence(&case.plan, FIRST, soon()).await.unwrap_err();
    assert!(error.kind() == Kind::Refused && error.to_string().contains("standby"), "{error}");
    assert_eq!(code(&case, "UPDATE t SET v = 'y'").await, None);
}

#[tokio::test]
async fn a_publication_of_all_tables_does_not_keep_the_fence_up() {
    let case = raised(TABLE).await;
    case.execute("CREATE PUBLICATION everything FOR ALL TABLES").await;
    assert_eq!(case.source.lower_fence(FIRST).await.unwrap(), Lowered::Down);
    let mut reader = case.reader("t").await;
    case.execute("UPDATE t SET v = 'y'").await;
    assert_eq!(reader.next().await, ["t 1 1 y"]);
    case.source.purge(case.table("t"), &reader.watermark).await.unwrap();
    assert_eq!(case.log("t").await, [""; 0]);
}
