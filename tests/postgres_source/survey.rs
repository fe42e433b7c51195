//! What the survey finds before anything is touched.

use highwater::engine::Survey;

use super::Case;
use crate::support::Server;

async fn survey(case: &Case) -> Survey {
    case.source.survey(&case.source.schema().await.unwrap(), &case.plan).await.unwrap()
}

fn texts(findings: &[highwater::model::Finding]) -> String {
    findings
        .iter()
        .map(|f| format!("{}: {} -> {}\n", f.table.as_deref().unwrap_or("-"), f.what, f.remedy))
        .collect()
}

#[tokio::test]
async fn a_sound_source_has_nothing_to_say() {
    let case = Case::bare("CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE h () INHERITS (t); ALTER TABLE h ADD PRIMARY KEY (a)").await;
    let found = survey(&case).await;
    assert_eq!((texts(&found.blockers), texts(&found.warnings)), (String::new(), String::new()));
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'highwater%'";
    assert_eq!(case.database.rows_as_text(left).await[0][0].as_deref(), Some("0"), "nothing was touched");
}

/// Origins of replication are those of the whole server.
#[tokio::test]
async fn a_subscription_of_another_database_is_no_warning() {
    let server = Server::start_own(&[]);
    let [other, database] = [server.database().await, server.database().await];
    let subscribe = "CREATE SUBSCRIPTION s CONNECTION 'host=nowhere' PUBLICATION p \
                     WITH (connect = false, slot_name = NONE)";
    other.execute(subscribe).await;
    database.execute("CREATE TABLE t (a int PRIMARY KEY)").await;
    // Not the owner: what a subscription writes here would pass its triggers by.
    let role = server.role("").await;
    database.execute(&format!("GRANT SELECT, TRIGGER ON t TO {role}; GRANT CREATE ON DATABASE {} TO {role}; GRANT pg_read_all_stats TO {role}", database.name())).await;
    let case = Case::on(database, &role).await;
    let origins = "SELECT count(*) FROM pg_replication_origin";
    assert_eq!(other.rows_as_text(origins).await[0][0].as_deref(), Some("1"));
    let warnings = texts(&survey(&case).await.warnings);
    assert!(!warnings.contains("replication origins"), "{warnings}");
    let origin = "SELECT pg_replication_origin_create('of another tool')";
    other.rows_as_text(origin).await;
    let warnings = texts(&survey(&case).await.warnings);
    assert!(warnings.contains("(replication origins: of another tool)"), "{warnings}");
    other.execute("DROP SUBSCRIPTION s").await;
}

#[tokio::test]
async fn heirs_that_can_be_written_unseen_block() {
    let mut case = Case::bare(
        "CREATE TABLE p (a int); CREATE TABLE h (b int PRIMARY KEY) INHERITS (p);
         CREATE TABLE q (a int PRIMARY KEY); CREATE TABLE g () INHERITS (q); ALTER TABLE g ADD PRIMARY KEY (a)",
    )
    .await;
    let at = case.plan.tables.iter().position(|t| t.label() == "q").unwrap();
    let excluded = case.plan.tables.remove(at);
    case.plan.excluded.push(excluded.source);
    let blockers = texts(&survey(&case).await.blockers);
    assert!(blockers.contains("h: its key column b is not in p"), "{blockers}");
    assert!(blockers.contains("g: it inherits from q, which is excluded"), "{blockers}");
}

#[tokio::test]
async fn what_is_not_carried_or_stands_in_the_way_is_said() {
    let case = Case::bare(
        "CREATE TABLE t (a int PRIMARY KEY); SELECT lo_create(0);
         CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE PUBLICATION everything FOR ALL TABLES;
         CREATE EVENT TRIGGER watch ON ddl_command_start EXECUTE FUNCTION e()",
    )
    .await;
    let gid = case.database.name().to_owned();
    case.execute(&format!("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION '{gid}'")).await;
    let found = survey(&case).await;
    let warnings = texts(&found.warnings);
    for said in
        ["large objects", &gid, "event triggers fire on DDL: watch", "highwater's tables: everything."]
    {
        assert!(warnings.contains(said), "{said}: {warnings}");
    }
    assert_eq!(texts(&found.blockers), "");
    case.execute(&format!("ROLLBACK PREPARED '{gid}'")).await;
    case.execute("CREATE SCHEMA highwater_ledger").await;
    assert!(texts(&survey(&case).await.blockers).contains("swapped"));
}

#[tokio::test]
async fn a_foreign_partition_blocks() {
    let case = Case::bare(
        "CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw;
         CREATE TABLE r (a int) PARTITION BY LIST (a);
         CREATE FOREIGN TABLE f PARTITION OF r FOR VALUES IN (1) SERVER s",
    )
    .await;
    assert!(texts(&survey(&case).await.blockers).contains("partition f is a foreign table"));
}

#[tokio::test]
async fn a_subscriber_needs_the_owner() {
    let database = Server::shared().database().await;
    let role = Server::shared().role("").await;
    let sql = "CREATE TABLE t (a int PRIMARY KEY); GRANT SELECT, TRIGGER ON t TO {role};
        CREATE SCHEMA highwater_capture AUTHORIZATION {role};
        CREATE SUBSCRIPTION sub_{role} CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)";
    database.execute(&sql.replace("{role}", &role)).await;
    let case = Case::on(database, &role).await;
    let blockers = texts(&survey(&case).await.blockers);
    assert!(blockers.contains(&format!("GRANT \"postgres\" TO \"{role}\"")), "{blockers}");
    case.execute(&format!("DROP SUBSCRIPTION sub_{role}")).await;
    assert_eq!(texts(&survey(&case).await.blockers), "");
}
