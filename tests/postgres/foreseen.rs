//! What `plan` says beforehand about roles and definitions.

use crate::support::{Highwater, Pair, Server};

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
