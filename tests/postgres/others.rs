//! What other roles' definitions, event triggers and scripts do to highwater's objects, and what `plan` says of it.

use crate::support::compare::{assert_same, eventually_same};
use crate::support::{Connection, Highwater, Pair, Server};

/// A role of its own on the target, which may make highwater's ledger and tables.
async fn with_role(pair: &Pair) -> (String, Highwater) {
    let target = pair.target.postgres();
    let role = Server::shared().role("").await;
    let rights = format!(
        "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {} TO {role}; GRANT USAGE, CREATE ON SCHEMA public TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        target.name()
    );
    target.execute(&rights).await;
    let highwater = Highwater::new(pair).setting("database.main.target", &target.url_as(&role));
    (role, highwater)
}

/// A role of its own on the source, which may capture the tables.
async fn with_source_role(pair: &Pair) -> (String, Highwater) {
    let source = pair.source.postgres();
    let role = Server::shared().role("").await;
    let rights = format!(
        "GRANT CONNECT, CREATE ON DATABASE {} TO {role};
         GRANT SELECT, TRIGGER ON ALL TABLES IN SCHEMA public TO {role}",
        source.name()
    );
    source.execute(&rights).await;
    let highwater = Highwater::new(pair).setting("database.main.source", &source.url_as(&role));
    (role, highwater)
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_that_the_target_refuses_are_told() {
    let pair = Pair::postgres().await;
    let tables = "CREATE EXTENSION cube; CREATE EXTENSION earthdistance;
                  CREATE TABLE places (id integer PRIMARY KEY, at earth)";
    pair.source.execute(tables).await;
    let (_, highwater) = with_role(&pair).await;
    let highwater = highwater.setting("copy.schema", "create");
    let plan = highwater.run(&["plan"]).await.expect_code(3);
    plan.says("CREATE EXTENSION IF NOT EXISTS earthdistance").says("permission denied");
    pair.target.execute("CREATE EXTENSION cube; CREATE EXTENSION earthdistance").await;
    highwater.run(&["plan"]).await.ok();
    let made = "SELECT count(*) FROM pg_class WHERE relname = 'places'";
    assert_eq!(pair.target.value(made).await, "0", "trying leaves nothing");
    highwater.run(&["copy"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_scripts_may_not_alter_are_told() {
    let pair = Pair::postgres().await;
    pair.execute_on_both(super::TABLES).await;
    let (role, highwater) = with_role(&pair).await;
    let told = format!("{role} does not own public.other, public.t");
    assert!(!highwater.run(&["plan"]).await.ok().stdout.contains(&told), "there are no scripts");
    let highwater = highwater.setting("upgrade.scripts", "[\"one.sql\"]");
    highwater.run(&["plan"]).await.ok().says(&told).says("GRANT postgres TO");
    pair.target.execute(&format!("ALTER TABLE t OWNER TO {role}; ALTER TABLE other OWNER TO {role}")).await;
    assert!(!highwater.run(&["plan"]).await.ok().stdout.contains("does not own"));
}

/// Refuses tables without a primary key.
const DEMAND: &str = "
    CREATE FUNCTION demand() RETURNS event_trigger LANGUAGE plpgsql AS $$
    DECLARE made record;
    BEGIN
        FOR made IN SELECT objid FROM pg_event_trigger_ddl_commands() WHERE command_tag IN ('CREATE TABLE', 'CREATE TABLE AS') LOOP
            IF NOT EXISTS (SELECT FROM pg_index WHERE indrelid = made.objid AND indisprimary) THEN
                RAISE EXCEPTION 'table % has no primary key', made.objid::regclass;
            END IF;
        END LOOP;
    END $$;
    CREATE EVENT TRIGGER demand ON ddl_command_end EXECUTE FUNCTION demand()";

#[tokio::test(flavor = "multi_thread")]
async fn event_triggers_that_demand_primary_keys_are_served() {
    let pair = Pair::postgres().await;
    pair.execute_on_both(super::TABLES).await;
    pair.source.execute("INSERT INTO t VALUES (1, 'x')").await;
    pair.execute_on_both(DEMAND).await;
    let highwater = Highwater::new(&pair);
    highwater.run(&["copy"]).await.ok();
    pair.source.execute("INSERT INTO t VALUES (2, 'y'); UPDATE t SET v = 'z' WHERE id = 1").await;
    highwater.run(&["final-sync", "--fence"]).await.ok();
    assert_same(&pair).await;
    highwater.run(&["clean", "--forget", "--yes"]).await.ok();
    // Where event triggers can't be silenced, temporary tables are refused.
    let (role, highwater) = with_role(&pair).await;
    let told = highwater.run(&["plan"]).await.expect_code(3).says("event triggers fire on DDL (demand)");
    told.says("has no primary key").says(&format!("session_replication_role TO {role}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn event_triggers_that_refuse_capture_are_told() {
    let pair = Pair::postgres().await;
    pair.execute_on_both(super::TABLES).await;
    pair.source
        .execute(
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS
             'BEGIN RAISE EXCEPTION ''functions are made by the DBA''; END';
             CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE FUNCTION')
             EXECUTE FUNCTION refuse()",
        )
        .await;
    let highwater = Highwater::new(&pair);
    highwater.run(&["plan"]).await.expect_code(3).says("functions are made by the DBA").says("\\dy");
    let made = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'highwater%'";
    assert_eq!(pair.source.value(made).await, "0");
    pair.source.execute("DROP EVENT TRIGGER refuse").await;
    highwater.run(&["copy"]).await.ok();
}

/// A script that fixes owners gives capture's tables away, and back again: production's writes pass meanwhile, and what
/// they changed is not lost.
#[tokio::test(flavor = "multi_thread")]
async fn tables_of_capture_that_are_given_away_lose_nothing() {
    for (away, back) in [
        ("ALTER TABLE highwater_capture.%I OWNER TO {app}", "ALTER TABLE highwater_capture.%I OWNER TO {hw}"),
        ("ALTER SCHEMA highwater_capture OWNER TO {app}", "ALTER SCHEMA highwater_capture OWNER TO {hw}"),
        ("REVOKE ALL ON highwater_capture.%I FROM {hw}", "GRANT ALL ON highwater_capture.%I TO {hw}"),
    ] {
        let pair = Pair::postgres().await;
        pair.execute_on_both(super::TABLES).await;
        pair.source.execute("INSERT INTO t VALUES (1, 'x')").await;
        let (role, highwater) = with_source_role(&pair).await;
        let app = Server::shared().role("").await;
        pair.source.execute(&format!("GRANT INSERT ON t TO {app}; GRANT TRUNCATE ON other TO {app}")).await;
        let daemon = highwater.spawn(&["run"]);
        daemon.wait_until_in_sync().await;
        let all = |statement: &str| {
            let statement = statement.replace("{app}", &app).replace("{hw}", &role);
            format!(
                "DO $$ DECLARE found record; BEGIN
                 FOR found IN SELECT c.relname FROM pg_class c WHERE c.relkind = 'r'
                     AND c.relnamespace = 'highwater_capture'::regnamespace
                 LOOP EXECUTE format('{statement}', found.relname); END LOOP; END $$"
            )
        };
        pair.source.execute(&all(away)).await;
        let mut writer = Connection::Postgres(Box::new(pair.source.postgres().connect_as(&app).await));
        writer.execute("INSERT INTO t VALUES (2, 'while it was away')").await;
        writer.execute("TRUNCATE other").await;
        pair.source.execute(&all(back)).await;
        eventually_same(&pair).await;
        highwater.run(&["final-sync", "--fence"]).await.ok();
        assert_same(&pair).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_capture_that_are_away_are_named_with_what_gives_them_back() {
    let pair = Pair::postgres().await;
    pair.execute_on_both(super::TABLES).await;
    let (role, highwater) = with_source_role(&pair).await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    pair.source.execute("ALTER TABLE highwater_capture.broken OWNER TO postgres").await;
    let give_back = format!("ALTER TABLE highwater_capture.broken OWNER TO {role};");
    daemon.wait_for_log(&give_back).await;
    assert!(daemon.log().contains("another role owns tables in the schema"), "{}", daemon.log());
    pair.source.execute(&give_back).await;
    daemon.wait_until_in_sync().await;
    pair.source.execute("ALTER TABLE highwater_capture.broken OWNER TO postgres").await;
    assert_eq!(daemon.terminate().await, Some(0));
    highwater.run(&["clean", "--yes"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn published_targets_without_a_key_are_told() {
    for publication in ["FOR ALL TABLES", "FOR TABLE k"] {
        let pair = Pair::postgres().await;
        pair.execute_on_both("CREATE TABLE k (v text); CREATE TABLE t (id integer PRIMARY KEY)").await;
        pair.source.execute("INSERT INTO k VALUES ('x'), ('x')").await;
        pair.target.execute(&format!("CREATE PUBLICATION everything {publication}")).await;
        let highwater = Highwater::new(&pair);
        let told = "has no primary key and is published (everything)";
        highwater.run(&["plan"]).await.expect_code(3).says(told).says("REPLICA IDENTITY FULL");
        pair.target.execute("ALTER TABLE public.k REPLICA IDENTITY FULL").await;
        highwater.run(&["copy"]).await.ok();
        pair.source.execute("UPDATE k SET v = 'y'; INSERT INTO t VALUES (1)").await;
        highwater.run(&["final-sync"]).await.ok();
        assert_same(&pair).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_an_encoding_is_told_and_a_text_that_is_none_stops_its_table() {
    let server = Server::shared();
    let source =
        server.database_with("ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'").await;
    let pair = Pair::postgres().await;
    let highwater = Highwater::new(&pair).setting("database.main.source", &source.url());
    source.execute(super::TABLES).await;
    pair.target.execute(super::TABLES).await;
    source
        .execute(
            "INSERT INTO t VALUES (1, 'a'), (2, E'caf\\xe9'); INSERT INTO other VALUES (1, E'caf\\xc3\\xa9')",
        )
        .await;
    highwater.run(&["plan"]).await.ok().says("the encoding SQL_ASCII");
    let copy = highwater.run(&["copy"]).await;
    assert_ne!(copy.code, Some(0));
    copy.says("invalid byte sequence");
    assert_eq!(pair.target.value("SELECT v FROM other").await, "caf\u{e9}");
}
