//! What is noticed, and that production's writes pass whatever was done to capture.

use highwater::engine::Fault;
use highwater::error::Kind;
use highwater::model::{Bounds, Layout};

use super::{Case, LIMITS};
use crate::support::{Server, watch};

const TABLE: &str = "CREATE TABLE t (a int PRIMARY KEY, v text)";

#[tokio::test]
async fn installing_again_changes_nothing() {
    let case = Case::new(TABLE).await;
    let before = case.install().await;
    assert_eq!(case.install().await, before);
    assert_eq!(case.again().await.install().await, before);
    case.sound("t").await;
}

#[tokio::test]
async fn a_renamed_key_column_does_not_break_writes_and_means_a_new_copy() {
    let case = Case::new(TABLE).await;
    let before = case.install().await;
    case.execute("INSERT INTO t VALUES (1, 'x')").await;
    case.execute("ALTER TABLE t RENAME a TO b").await;
    case.execute("INSERT INTO t VALUES (2, 'y'); UPDATE t SET v = 'z'; DELETE FROM t WHERE b = 1").await;
    assert!(case.stopped("t").await.contains("column a was dropped or renamed"));
    case.execute("ALTER TABLE t RENAME b TO a").await;
    assert!(case.mendable("t").await.contains("could not be logged"));
    assert_ne!(case.install().await, before);
    case.sound("t").await;
    case.execute("INSERT INTO t VALUES (3, 'y')").await;
    assert_eq!(case.log("t").await, ["I 3"]);
}

#[tokio::test]
async fn a_retyped_key_does_not_break_writes() {
    let case = Case::new(TABLE).await;
    case.execute("ALTER TABLE t ALTER a TYPE text").await;
    case.execute("INSERT INTO t VALUES ('one', 'y'); UPDATE t SET a = 'two'; DELETE FROM t").await;
    assert!(case.stopped("t").await.contains("has become text"));
}

#[tokio::test]
async fn dropped_capture_objects_do_not_break_writes() {
    let writes = "INSERT INTO t VALUES (1, 'y'); UPDATE t SET v = 'x'; DELETE FROM t; TRUNCATE t";
    for gone in ["\"public.t\"", "broken", "fence", "storage", "tables CASCADE", "members", "meta"] {
        let case = Case::new(TABLE).await;
        case.execute(&format!("DROP TABLE highwater_capture.{gone}")).await;
        case.execute(writes).await;
        case.execute("DROP TABLE IF EXISTS highwater_capture.\"public.t\", highwater_capture.broken").await;
        case.execute(writes).await;
        assert!(matches!(case.verdict("t").await.fault, Some(Fault::Mend(_))), "{gone}");
        case.install().await;
        case.sound("t").await;
    }
    let case = Case::new(TABLE).await;
    let before = case.install().await;
    case.execute("DROP TABLE highwater_capture.\"public.t\"").await;
    assert_eq!(case.mendable("t").await, "its log was dropped");
    assert_ne!(case.install().await, before);
    case.sound("t").await;
    case.execute("DROP SCHEMA highwater_capture CASCADE").await;
    case.execute(writes).await;
    assert_eq!(case.mendable("t").await, "capture is not installed");
    case.install().await;
    case.sound("t").await;
}

#[tokio::test]
async fn a_disabled_altered_or_missing_trigger_means_a_new_copy() {
    let case = Case::new(TABLE).await;
    let mut before = case.install().await;
    for harm in [
        "ALTER TABLE t DISABLE TRIGGER ALL",
        "ALTER TABLE t ENABLE TRIGGER highwater_capture_update",
        "DROP TRIGGER highwater_capture_insert ON t",
        "CREATE OR REPLACE FUNCTION highwater_capture.\"public.t delete\"() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN RETURN NULL; END'",
    ] {
        case.execute(harm).await;
        assert!(case.mendable("t").await.contains("missing, disabled or altered"), "{harm}");
        let after = case.install().await;
        assert_ne!(after, before, "{harm}");
        before = after;
        case.sound("t").await;
    }
}

#[tokio::test]
async fn a_rebuilt_table_means_a_new_copy_but_a_truncated_one_does_not() {
    let case = Case::new(TABLE).await;
    case.execute("TRUNCATE t; TRUNCATE t").await;
    case.execute("INSERT INTO t VALUES (1, 'x'); ").await;
    case.execute("VACUUM t").await;
    case.sound("t").await;
    let before = case.install().await;
    case.execute("ALTER TABLE t ALTER v TYPE text USING v || '!', ALTER v SET STATISTICS 10").await;
    case.sound_or_rebuilt().await;
    case.execute("CLUSTER t USING t_pkey").await;
    assert!(case.mendable("t").await.contains("rebuilt"));
    assert_ne!(case.install().await, before);
    case.sound("t").await;
}

impl Case {
    /// A rewrite with the same types is only seen by its storage.
    async fn sound_or_rebuilt(&self) {
        assert!(self.mendable("t").await.contains("rebuilt"));
        self.install().await;
        self.sound("t").await;
    }
}

#[tokio::test]
async fn altered_renamed_and_dropped_tables_stop() {
    let case = Case::new(TABLE).await;
    for (change, back, said) in [
        ("ALTER TABLE t ADD w int", "ALTER TABLE t DROP w", "column w was added"),
        (
            "ALTER TABLE t ALTER v TYPE varchar(9)",
            "ALTER TABLE t ALTER v TYPE text",
            "has become character varying(9)",
        ),
        ("ALTER TABLE t DROP CONSTRAINT t_pkey", "ALTER TABLE t ADD PRIMARY KEY (a)", "no unique index"),
        ("ALTER TABLE t RENAME TO u", "ALTER TABLE u RENAME TO t", "renamed to public.u"),
        ("DROP TABLE t", TABLE, "dropped"),
    ] {
        case.execute(change).await;
        assert!(case.stopped("t").await.contains(said), "{said}");
        case.execute(back).await;
        case.install().await;
        case.sound("t").await;
    }
    case.execute(
        "CREATE TABLE n (LIKE t INCLUDING ALL); ALTER TABLE t RENAME TO o; ALTER TABLE n RENAME TO t",
    )
    .await;
    assert!(case.mendable("t").await.contains("made anew"), "swapped by name");
    case.install().await;
    case.execute("INSERT INTO t VALUES (1, 'x'); INSERT INTO o VALUES (2, 'x')").await;
    assert_eq!(case.log("t").await, ["I 1"]);
}

#[tokio::test]
async fn reads_refuse_another_database_and_doubt_another_log() {
    let case = Case::new(TABLE).await;
    let mut reader = case.reader("t").await;
    let right = reader.origin.clone();
    let kind = async |reader: &super::Reader<'_>| {
        let batch = case.source.batch(reader.watch(), LIMITS).await.unwrap_err().kind();
        let table = case.table("t");
        let stream = case
            .source
            .stream(watch(table, &reader.origin), &Bounds::all(), Layout::Plain)
            .await
            .unwrap_err();
        let states = case.source.states(watch(table, &reader.origin), &[vec!["1".into()]]).await.unwrap_err();
        assert_eq!((batch, batch), (stream.kind(), states.kind()));
        batch
    };
    reader.origin.generation = "another".to_owned();
    assert_eq!(kind(&reader).await, Kind::Doubtful);
    reader.origin = right.clone();
    reader.origin.identity.life = "00000009".to_owned();
    assert_eq!(kind(&reader).await, Kind::Doubtful);
    reader.origin = right;
    reader.origin.identity.database = "1/2".to_owned();
    assert_eq!(kind(&reader).await, Kind::Foreign);
}

#[tokio::test]
async fn a_copy_of_production_with_capture_in_it_is_captured_anew() {
    let case = Case::new(TABLE).await;
    let copy = Server::shared().database().await;
    let template = case.database.name();
    case.source.remove().await.unwrap();
    case.install().await;
    // A database made from another as its template: the same objects under another oid.
    case.database.pool().close().await;
    drop(case.source);
    let admin = Server::shared().database().await;
    for _ in 0..200 {
        let sql = format!("CREATE DATABASE {}_copy TEMPLATE {template}", copy.name());
        let mut connection = admin.connect().await;
        if sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let url = copy.url() + "_copy";
    let source = super::connect(&url).await;
    let plan = super::plan(source.as_ref()).await;
    let verdict = source.inspect(&plan).await.unwrap().remove(0);
    assert!(matches!(verdict.fault, Some(Fault::Mend(_))) && verdict.generation.is_none(), "{verdict:?}");
    source.install(&plan, &|_| {}).await.unwrap();
    assert_eq!(source.inspect(&plan).await.unwrap().remove(0).fault, None);
}

#[tokio::test]
async fn replica_role_sessions_are_captured_where_highwater_owns_the_table() {
    let case = Case::new(TABLE).await;
    case.execute("SET session_replication_role = replica; INSERT INTO t VALUES (1, 'x'); RESET session_replication_role").await;
    assert_eq!(case.log("t").await, ["I 1"]);
}

#[tokio::test]
async fn what_highwater_writes_itself_is_not_logged() {
    let case = Case::new(TABLE).await;
    case.execute("SET LOCAL highwater.applying = 'main'; INSERT INTO t VALUES (1, 'x')").await;
    case.execute("SET LOCAL highwater.applying = 'pilot'; INSERT INTO t VALUES (2, 'x')").await;
    assert_eq!(case.log("t").await, ["I 2"]);
}

#[tokio::test]
async fn trigger_and_select_are_enough_of_privileges() {
    let database = Server::shared().database().await;
    let role = Server::shared().role("").await;
    let app = Server::shared().role("").await;
    database
        .execute(&format!(
            "CREATE TABLE t (a int PRIMARY KEY, v text); CREATE TABLE e (x int);
             GRANT INSERT, UPDATE, DELETE, SELECT, TRUNCATE ON t TO {app};
             GRANT CREATE ON DATABASE {} TO {role}; GRANT SELECT, TRIGGER ON t, e TO {role}",
            database.name()
        ))
        .await;
    let case = Case::on(database, &role).await;
    let survey = case.source.survey(&case.source.schema().await.unwrap(), &case.plan).await.unwrap();
    assert_eq!(survey.blockers, []);
    assert!(survey.warnings.iter().any(|w| w.what.contains("does not own")), "{:?}", survey.warnings);
    case.install().await;
    let mut reader = case.reader("t").await;
    let mut writer = case.database.connect_as(&app).await;
    sqlx::raw_sql(
        "INSERT INTO t VALUES (1, 'x'); UPDATE t SET v = 'y'; DELETE FROM t; INSERT INTO t VALUES (2, 'z')",
    )
    .execute(&mut writer)
    .await
    .unwrap();
    assert_eq!(reader.next().await, ["f 1 \\N \\N", "t 2 2 z"]);
    assert_eq!(case.source.purge(case.table("t"), &reader.watermark).await.unwrap(), 4);
    case.execute("DROP TRIGGER highwater_capture_insert ON t").await;
    case.mendable("t").await;
    case.install().await;
    case.sound("t").await;
    case.source.remove().await.unwrap();
    let left = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%highwater%'";
    assert_eq!(case.database.rows_as_text(left).await[0][0].as_deref(), Some("0"));
}

#[tokio::test]
async fn a_schema_made_for_highwater_is_enough_without_create() {
    let database = Server::shared().database().await;
    let role = Server::shared().role("").await;
    let sql = "CREATE TABLE t (a int PRIMARY KEY); GRANT SELECT, TRIGGER ON t TO {role}; \
               CREATE SCHEMA highwater_capture AUTHORIZATION {role}";
    database.execute(&sql.replace("{role}", &role)).await;
    let case = Case::on(database, &role).await;
    let survey = case.source.survey(&case.source.schema().await.unwrap(), &case.plan).await.unwrap();
    assert_eq!(survey.blockers, []);
    case.install().await;
    case.sound("t").await;
}

#[tokio::test]
async fn missing_privileges_are_named_with_their_grants() {
    let database = Server::shared().database().await;
    let role = Server::shared().role("").await;
    database
        .execute(
            "CREATE SCHEMA s; CREATE TABLE s.t (a int PRIMARY KEY); CREATE SEQUENCE q;
             CREATE TABLE r (a int PRIMARY KEY); ALTER TABLE r ENABLE ROW LEVEL SECURITY",
        )
        .await;
    let plan = Case::on(database.clone(), "postgres").await.plan;
    let mut case = Case::on(database, &role).await;
    case.plan = plan;
    let schema = case.source.schema().await.unwrap();
    let survey = case.source.survey(&schema, &case.plan).await.unwrap();
    let remedies: Vec<&str> = survey.blockers.iter().map(|b| b.remedy.as_str()).collect();
    let all = remedies.join("\n");
    for grant in [
        format!("GRANT CREATE ON DATABASE \"{}\" TO \"{role}\"", case.database.name()),
        format!(
            "GRANT USAGE ON SCHEMA \"s\" TO \"{role}\"; GRANT SELECT, TRIGGER ON \"s\".\"t\" TO \"{role}\""
        ),
        format!("GRANT SELECT, TRIGGER ON \"public\".\"r\" TO \"{role}\""),
        format!("GRANT SELECT ON SEQUENCE \"public\".\"q\" TO \"{role}\""),
        format!("ALTER ROLE \"{role}\" BYPASSRLS"),
    ] {
        assert!(all.contains(&grant), "{grant}\nnot in\n{all}");
    }
}

#[tokio::test]
async fn installing_waits_for_an_open_writer_in_short_attempts() {
    let case = Case::bare("CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (a int PRIMARY KEY)").await;
    let mut holder = case.database.connect().await;
    sqlx::raw_sql("BEGIN; INSERT INTO t VALUES (1)").execute(&mut holder).await.unwrap();
    let installing = case.source.install(&case.plan, &|_| {});
    let ending = async {
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
    };
    let (done, ()) = tokio::join!(installing, ending);
    assert!(done.unwrap().iter().all(|(_, done)| done.is_ok()));
    case.sound("t").await;
}

#[tokio::test]
async fn capture_that_a_dba_installed_is_recognised_and_used() {
    let database = Server::shared().database().await;
    let role = Server::shared().role("").await;
    database
        .execute(&format!(
            "CREATE TABLE t (a int PRIMARY KEY, v text); CREATE TABLE p (a int PRIMARY KEY) PARTITION BY LIST (a);
             CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE k (v text);
             GRANT SELECT ON t, p, p1, k TO {role}"
        ))
        .await;
    let case = Case::on(database, &role).await;
    let ddl = case.source.capture_ddl(&case.plan).await.unwrap();
    case.execute(&ddl).await;
    let survey = case.source.survey(&case.source.schema().await.unwrap(), &case.plan).await.unwrap();
    assert_eq!(survey.blockers, []);
    for label in ["t", "p", "k"] {
        case.sound(label).await;
    }
    let generations = case.install().await;
    assert_eq!(generations, case.install().await);
    let mut reader = case.reader("t").await;
    case.execute("INSERT INTO t VALUES (1, 'x'); INSERT INTO p VALUES (1)").await;
    assert_eq!(reader.next().await, ["t 1 1 x"]);
    assert_eq!(case.source.purge(case.table("t"), &reader.watermark).await.unwrap(), 1);
    case.execute("ALTER TABLE t DISABLE TRIGGER ALL").await;
    let refused = case.source.install(&case.plan, &|_| {}).await.unwrap();
    let error = refused.into_iter().find(|(label, _)| label == "t").unwrap().1.unwrap_err();
    assert!(error.to_string().contains("plan --ddl"), "{error}");
    assert_eq!(case.source.remove().await.unwrap_err().kind(), Kind::Refused);
}

#[tokio::test]
async fn removing_leaves_nothing_and_writes_pass_all_the_while() {
    let case = Case::new("CREATE TABLE t (a serial PRIMARY KEY); CREATE TABLE e (x int)").await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writing = tokio::spawn({
        let (database, stop) = (case.database.clone(), std::sync::Arc::clone(&stop));
        async move {
            let mut writes = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                database.execute("INSERT INTO t DEFAULT VALUES").await;
                writes += 1;
            }
            writes
        }
    });
    for _ in 0..3 {
        case.source.remove().await.unwrap();
        case.source.remove().await.unwrap();
        case.install().await;
    }
    case.source.remove().await.unwrap();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(writing.await.unwrap() > 0);
    let left = "SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) + (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'high%')";
    assert_eq!(case.database.rows_as_text(left).await[0][0].as_deref(), Some("0"));
}
