//! What a target needs to allow, and what it says when it does not.

use std::sync::Arc;

use highwater::engine::{self, CaptureHere, Definition, Feed, Stage, Survey, Target};
use highwater::error::{Error, Kind};
use highwater::model::{Form, Plan, TablePlan};
use highwater::settings::Endpoint;

use super::side::{Side, connect, options};
use crate::support::{Server, free_port, next_number};

async fn try_connect(url: &str) -> Result<Arc<dyn Target>, Error> {
    engine::target(&Endpoint::from_url(url).unwrap(), &options("main")).await
}

async fn refusal(url: &str) -> (Kind, String) {
    let error = try_connect(url).await.err().unwrap();
    let text = error.to_string();
    assert!(!text.contains("sesame"), "a password in: {text}");
    assert!(error.remedy_text().is_some(), "nothing to do in: {text}");
    (error.kind(), text)
}

fn plan(tables: Vec<TablePlan>) -> Plan {
    Plan {
        database: "db".to_owned(),
        tables,
        excluded: Vec::new(),
        blockers: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
        hash: String::new(),
    }
}

async fn survey(target: &dyn Target, tables: Vec<TablePlan>) -> Survey {
    let schema = target.schema().await.unwrap();
    target.survey(&schema, &plan(tables)).await.unwrap()
}

fn remedies(findings: &[highwater::model::Finding]) -> String {
    findings.iter().map(|f| format!("{} -> {}\n", f.what, f.remedy)).collect()
}

async fn role(side: &Side, grants: &str) -> (String, Arc<dyn Target>) {
    let role = format!("app_{}", next_number());
    let database = side.pair.target.postgres();
    database.execute(&format!("CREATE ROLE {role} LOGIN")).await;
    database.execute(&grants.replace("ROLE", &role).replace("DATABASE_NAME", database.name())).await;
    let target = connect(&database.url_as(&role)).await;
    (role, target)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_connection_says_why_and_keeps_the_password() {
    let server = Server::shared();
    let database = server.database().await;
    let role = server.role_with_password("open").await;
    let (kind, text) = refusal(&database.url_as(&format!("{role}:sesame"))).await;
    assert!(kind == Kind::Refused && text.contains("password"), "{text}");
    let url = database.url_as("postgres:sesame");
    let (kind, text) = refusal(&url.replace(database.name(), "not_there")).await;
    assert!(kind == Kind::Refused && text.contains("not_there"), "{text}");
    let (kind, text) = refusal(&url.replace("127.0.0.1", "no-such-host.invalid")).await;
    assert!(kind == Kind::Unavailable && text.contains("no-such-host.invalid` is not known"), "{text}");
    let (kind, text) = refusal(&format!("{url}?sslmode=require")).await;
    assert!(kind == Kind::Refused && text.contains("TLS"), "{text}");
    let port = url.rsplit_once(':').unwrap().1.split('/').next().unwrap().to_owned();
    let (kind, text) = refusal(&url.replace(&port, &free_port().to_string())).await;
    assert!(kind == Kind::Unavailable && text.contains("can't be reached"), "{text}");
    let limited = format!("limited_{}", next_number());
    database.execute(&format!("CREATE ROLE {limited} LOGIN CONNECTION LIMIT 0")).await;
    let (kind, text) = refusal(&database.url_as(&limited)).await;
    assert!(kind == Kind::Unavailable && text.contains("too many connections"), "{text}");
}

/// Staged rows are tried in vain: where all of them stand already, no default is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_that_gives_new_rows_their_number_must_be_usable() {
    let side = Side::both("CREATE TABLE t (id int PRIMARY KEY); CREATE SEQUENCE q").await;
    let all = vec![side.plan("t", Form::CopyBinary).await];
    let upgrade = "ALTER TABLE t ADD COLUMN n bigint NOT NULL DEFAULT nextval('q')";
    side.pair.target.execute(upgrade).await;
    let (name, target) = role(&side, "GRANT SELECT, INSERT, UPDATE, DELETE ON t TO ROLE").await;
    let blockers = remedies(&survey(target.as_ref(), all.clone()).await.blockers);
    let grant = format!(
        "gives new rows their n from public.q, which we may not use -> GRANT SELECT, UPDATE ON SEQUENCE public.q TO {name};"
    );
    assert!(blockers.contains(&grant), "{blockers}");
    let grant = format!("GRANT USAGE ON SEQUENCE q TO {name}");
    side.pair.target.execute(&grant).await;
    let blockers = remedies(&survey(target.as_ref(), all).await.blockers);
    assert!(!blockers.contains("from public.q"), "{blockers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_named_as_grants() {
    let side = Side::both(
        "CREATE SCHEMA s; CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY REFERENCES t);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER mine BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); CREATE SEQUENCE q",
    )
    .await;
    let all = vec![side.plan("t", Form::CopyBinary).await, side.plan("child", Form::CopyBinary).await];
    let (name, target) =
        role(&side, "REVOKE TEMPORARY ON DATABASE DATABASE_NAME FROM PUBLIC; GRANT SELECT ON t TO ROLE")
            .await;
    let found = survey(target.as_ref(), all.clone()).await;
    let blockers = remedies(&found.blockers);
    let database = side.pair.target.postgres().name();
    for grant in [
        format!("GRANT CREATE ON DATABASE {database} TO {name};"),
        format!("GRANT TEMPORARY ON DATABASE {database} TO {name};"),
        format!("GRANT INSERT, UPDATE, DELETE ON \"public\".\"t\" TO {name};"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON \"public\".\"child\" TO {name};"),
    ] {
        assert!(blockers.contains(&grant), "{grant} is not in\n{blockers}");
    }
    let warnings = remedies(&found.warnings);
    for said in [
        format!("GRANT SET ON PARAMETER session_replication_role TO {name};"),
        format!("GRANT SELECT, UPDATE ON SEQUENCE public.q TO {name};"),
        "run for every row: mine".to_owned(),
        "will be checked: child_id_fkey".to_owned(),
    ] {
        assert!(warnings.contains(&said), "{said} is not in\n{warnings}");
    }
    // What it says is enough.
    let grants = "GRANT CREATE, TEMPORARY ON DATABASE DATABASE_NAME TO ROLE; GRANT SELECT, UPDATE ON SEQUENCE q TO ROLE;
        GRANT SELECT, INSERT, UPDATE, DELETE ON t, child TO ROLE; GRANT SET ON PARAMETER session_replication_role TO ROLE";
    let (_, target) = role(&side, grants).await;
    let found = survey(target.as_ref(), all.clone()).await;
    assert_eq!((remedies(&found.blockers), remedies(&found.warnings)), (String::new(), String::new()));
    target.make_ledger().await.unwrap();
    target.make_ledger().await.unwrap();
    side.pair.source.execute("INSERT INTO t VALUES (1); INSERT INTO child VALUES (1)").await;
    let states = side.states(&all[1], "SELECT id FROM child").await;
    let mut tx = target.begin().await.unwrap();
    assert!(tx.can_lift(&all[1]));
    tx.stage(&all[1], Feed::Read(&states)).await.unwrap();
    tx.equalise(&all[1], None).await.unwrap();
    tx.execute("INSERT INTO {l}epochs (database_name, epoch) VALUES (?1, ?2)", &["db".into(), 3_i64.into()])
        .await
        .unwrap();
    let sql =
        "SELECT epoch, database_name, NULL, count(*) FROM {l}epochs WHERE database_name = ?1 GROUP BY 1, 2";
    let rows = tx.rows(sql, &["db".into()]).await.unwrap();
    assert_eq!(rows, [[Some("3".to_owned()), Some("db".to_owned()), None, Some("1".to_owned())]]);
    tx.rows("SELECT epoch FROM {l}epochs WHERE database_name = ?1{for share}", &["db".into()]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        side.pair.target.value("SELECT count(*) FROM child").await,
        "1",
        "the foreign key is silenced"
    );
    target.remove_ledger().await.unwrap();
    assert!(!target.has_ledger().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_silence_references_inside_a_batch_are_checked_at_its_end() {
    let side = Side::both(
        "CREATE TABLE t (id int PRIMARY KEY, up int REFERENCES t DEFERRABLE, u int UNIQUE DEFERRABLE)",
    )
    .await;
    let (_, target) = role(&side, "GRANT ALL ON t TO ROLE").await;
    side.pair
        .source
        .execute("BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO t VALUES (1, 2, 1), (2, 1, 2); COMMIT")
        .await;
    let plan = side.plan("t", Form::CopyBinary).await;
    let apply = async |keys: &str| {
        let states = side.states(&plan, keys).await;
        let mut tx = target.begin().await.unwrap();
        assert!(!tx.can_lift(&plan));
        tx.stage(&plan, Feed::Read(&states)).await.unwrap();
        let applied = tx.equalise(&plan, None).await;
        if applied.is_ok() {
            tx.commit().await.unwrap();
        }
        applied
    };
    let alone = apply("SELECT 1 AS id").await.unwrap_err();
    assert!(alone.kind() == Kind::Data && alone.summary().contains("foreign key"), "{alone}");
    assert_eq!(apply("SELECT id FROM t").await.unwrap().inserted, 2);
    side.pair.source.execute("UPDATE t SET u = 3 - u").await;
    assert_eq!(apply("SELECT id FROM t").await.unwrap().updated, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_falsify_rows_blocks() {
    let side = Side::of(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY);
         CREATE TABLE d (id int PRIMARY KEY); CREATE TABLE e (id int PRIMARY KEY)",
        "CREATE UNLOGGED TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY);
         CREATE TABLE d (id int); CREATE TABLE e (id int UNIQUE DEFERRABLE);
         CREATE RULE r AS ON INSERT TO b DO INSTEAD NOTHING; ALTER TABLE b ENABLE ALWAYS RULE r;
         ALTER TABLE c ENABLE ROW LEVEL SECURITY;
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER loud AFTER INSERT ON c FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE c ENABLE ALWAYS TRIGGER loud",
    )
    .await;
    let mut all = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        all.push(side.plan(name, Form::CopyBinary).await);
    }
    let found = survey(side.target.as_ref(), all.clone()).await;
    let blockers = remedies(&found.blockers);
    assert!(blockers.contains("unlogged") && blockers.contains("rewrite writes: r"), "{blockers}");
    assert!(!blockers.contains("row-level"), "a superuser sees all: {blockers}");
    let warnings = remedies(&found.warnings);
    for said in ["ALWAYS or REPLICA): loud", "CREATE UNIQUE INDEX ON \"public\".\"d\" (\"id\");", "e_id_key"]
    {
        assert!(warnings.contains(said), "{said} is not in\n{warnings}");
    }
    let (_, limited) = role(&side, "GRANT ALL ON ALL TABLES IN SCHEMA public TO ROLE").await;
    let found = survey(limited.as_ref(), all.clone()).await;
    assert!(remedies(&found.blockers).contains("row-level security"));
    side.pair.target.execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$").await;
    let read_only = connect(&side.pair.target.url()).await;
    assert!(remedies(&survey(read_only.as_ref(), vec![]).await.blockers).contains("is read-only"));
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_that_came_with_a_dump_is_told_from_our_own() {
    let side = Side::both("CREATE TABLE t (id int PRIMARY KEY)").await;
    assert_eq!(side.target.capture_here().await.unwrap(), CaptureHere::None);
    side.pair
        .target
        .execute(
            "CREATE SCHEMA highwater_capture; CREATE TABLE highwater_capture.meta (cluster text, database oid);
             INSERT INTO highwater_capture.meta SELECT c.system_identifier, d.oid
               FROM pg_control_system() c, pg_database d WHERE d.datname = current_database();
             CREATE FUNCTION highwater_capture.log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER highwater AFTER INSERT ON t EXECUTE FUNCTION highwater_capture.log()",
        )
        .await;
    assert_eq!(side.target.capture_here().await.unwrap(), CaptureHere::Own);
    assert!(remedies(&survey(side.target.as_ref(), vec![]).await.blockers).contains("swapped"));
    side.target.remove_foreign_capture().await.unwrap();
    assert_eq!(side.target.capture_here().await.unwrap(), CaptureHere::Own, "our own is left alone");
    side.pair.target.execute("UPDATE highwater_capture.meta SET cluster = '1'").await;
    assert_eq!(side.target.capture_here().await.unwrap(), CaptureHere::Foreign);
    assert!(side.target.schema().await.unwrap().tables.iter().all(|t| t.triggers.is_empty()));
    side.target.remove_foreign_capture().await.unwrap();
    assert_eq!(side.target.capture_here().await.unwrap(), CaptureHere::None);
    side.pair.target.execute("INSERT INTO t VALUES (1)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_are_made_once_and_broken_foreign_keys_unchecked() {
    let side =
        Side::both("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE c (id int); INSERT INTO c VALUES (1)")
            .await;
    let define = async |sql: &str| {
        let definition = Definition { stage: Stage::Rest, table: Some("c".to_owned()), sql: sql.to_owned() };
        side.target.define(&definition).await
    };
    for sql in [
        "CREATE INDEX i ON public.c (id);",
        "CREATE TYPE public.m AS ENUM ('a')",
        "CREATE TABLE public.c (id int);",
        "ALTER TABLE ONLY public.c ADD CONSTRAINT k PRIMARY KEY (id);",
        "CREATE SCHEMA s",
    ] {
        assert_eq!(define(sql).await.unwrap(), None, "{sql}");
        assert_eq!(define(sql).await.unwrap(), None, "{sql} again");
    }
    let said =
        define("ALTER TABLE ONLY public.c ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES public.t(id);").await;
    assert!(said.unwrap().unwrap().contains("without checking existing rows"));
    assert_eq!(
        side.pair.target.value("SELECT convalidated FROM pg_constraint WHERE conname = 'f'").await,
        "f"
    );
    let error = define("CREATE INDEX j ON public.c (nothing)").await.unwrap_err();
    assert!(error.kind() == Kind::Table && error.summary().contains("CREATE INDEX j"), "{error}");
}

/// Passwords that expire are asked for anew, not kept from the first connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_is_asked_for_again() {
    let server = Server::shared();
    let database = server.database().await;
    let role = server.role_with_password("first").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let write =
        |password: &str| std::fs::write(&file, database.url_as(&format!("{role}:{password}"))).unwrap();
    write("first");
    let settings = format!(
        "[database.db]\nsource = \"postgres://nobody@localhost/none\"\ntarget_file = \"{}\"\n",
        file.display()
    );
    let path = folder.path().join("highwater.toml");
    std::fs::write(&path, settings).unwrap();
    let settings = highwater::settings::Settings::load(&[path], []).unwrap();
    let endpoint = &settings.databases[0].target;
    let target = engine::target(endpoint, &options("main")).await.unwrap();
    write("second");
    database.execute(&format!("ALTER ROLE {role} PASSWORD 'second'")).await;
    database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'highwater' AND datname = current_database()").await;
    target.identity().await.unwrap();
    assert!(target.try_lease("db").await.unwrap().is_some());
}
