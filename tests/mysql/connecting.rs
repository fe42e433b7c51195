//! How highwater gets in, and what the server's settings forbid.

use super::{CHANGES, SHOP, mysql, shop_on, user_of};
use crate::support::compare::assert_same;
use crate::support::{Highwater, Kind, MysqlServer, Pair};

on_both!(a_socket_leads_in, a_binary_log_without_trust_blocks, statement_binlogs_are_served_or_told);

async fn a_socket_leads_in(kind: Kind) {
    let server = MysqlServer::shared(kind);
    let pair = shop_on(server).await;
    let user = server.user("hush").await;
    server.execute(&format!("GRANT ALL ON *.* TO {user}@'%'")).await;
    let url = |database: &str| {
        format!("mysql://{user}:hush@localhost/{database}?socket={}", server.socket().display())
    };
    let highwater = Highwater::new(&pair)
        .setting("database.main.source", &url(mysql(&pair.source).name()))
        .setting("database.main.target", &url(mysql(&pair.target).name()));
    highwater.run(&["copy"]).await.ok();
    assert_same(&pair).await;
    highwater.run(&["clean", "--yes"]).await.ok();
}

/// Every table of highwater's has a key, temporary ones too. Production's keyless table is older than the demand.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_demands_primary_keys_is_served() {
    let server = MysqlServer::start_own(Kind::Mysql, &[]);
    let pair = shop_on(&server).await;
    let user = user_of(&server, &pair).await;
    server.execute("SET GLOBAL sql_require_primary_key = ON").await;
    let highwater = Highwater::new(&pair)
        .setting("database.main.source", &mysql(&pair.source).url_as(&user))
        .setting("database.main.target", &mysql(&pair.target).url_as(&user));
    // A keyless table that highwater would have to make is told of beforehand.
    let other = server.database().await;
    server.execute(&format!("GRANT ALL ON {}.* TO {user}@'%'", other.name())).await;
    let made = highwater.clone().setting("copy.schema", "create");
    let made = made.setting("database.main.target", &other.url_as(&user));
    made.run(&["plan"]).await.expect_code(3).says("sql_require_primary_key");
    highwater.run(&["copy"]).await.ok();
    pair.source.execute(CHANGES).await;
    highwater.run(&["final-sync", "--fence"]).await.ok();
    assert_same(&pair).await;
    highwater.run(&["clean", "--forget", "--yes"]).await.ok();
}

/// What a new user of MySQL has: a password that is sent over TLS only.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_mysql_gets_in_by_password() {
    let server = MysqlServer::start_own(Kind::Mysql, &[("require_secure_transport", "ON")]);
    let pair = shop_on(&server).await;
    server
        .execute(
            "CREATE USER hw@'%' IDENTIFIED WITH caching_sha2_password BY 'hush'; GRANT ALL ON *.* TO hw@'%'",
        )
        .await;
    let highwater = Highwater::new(&pair)
        .setting("database.main.source", &mysql(&pair.source).url_as("hw:hush"))
        .setting("database.main.target", &mysql(&pair.target).url_as("hw:hush"));
    highwater.run(&["copy"]).await.ok();
    assert_same(&pair).await;
    let wrong = highwater.setting("database.main.source", &mysql(&pair.source).url_as("hw:wrong"));
    let refused = wrong.run(&["plan"]).await.expect_code(3);
    assert!(!refused.stderr.contains("wrong"), "{}", refused.stderr);
}

async fn a_binary_log_without_trust_blocks(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[("log_bin_trust_function_creators", "0")]);
    let pair = Pair::mysql_on(&server, &server).await;
    pair.execute_on_both(SHOP).await;
    let user = user_of(&server, &pair).await;
    let highwater = Highwater::new(&pair)
        .setting("database.main.source", &mysql(&pair.source).url_as(&user))
        .setting("database.main.target", &mysql(&pair.target).url_as(&user));
    highwater.run(&["plan"]).await.expect_code(3).says("SET GLOBAL log_bin_trust_function_creators = 1");
    server.execute("SET GLOBAL log_bin_trust_function_creators = 1").await;
    highwater.run(&["copy"]).await.ok();
    // Capture that is installed goes on without it; the fence could not be raised.
    server.execute("SET GLOBAL log_bin_trust_function_creators = 0").await;
    highwater.run(&["plan"]).await.ok().says("SET GLOBAL log_bin_trust_function_creators = 1");
    highwater.run(&["final-sync"]).await.ok().says("drained");
    highwater.run(&["final-sync", "--fence"]).await.expect_code(3).says("the fence can't be raised");
    server.execute("SET GLOBAL log_bin_trust_function_creators = 1").await;
    highwater.run(&["final-sync", "--fence"]).await.ok().says("final");
}

/// Production's sessions have it, and highwater's on the source.
async fn statement_binlogs_are_served_or_told(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[("binlog_format", "STATEMENT")]);
    let pair = Pair::mysql_on(&server, MysqlServer::shared(kind)).await;
    pair.execute_on_both(SHOP).await;
    let highwater = Highwater::new(&pair);
    highwater.run(&["plan"]).await.ok().says("binlog_format is STATEMENT");
    highwater.run(&["copy"]).await.ok();
    pair.source.execute(CHANGES).await;
    if kind == Kind::Mariadb {
        // Its sequences can't be written then, and the fence would stay.
        let refused = highwater.run(&["final-sync", "--fence"]).await.expect_code(3);
        refused.says("the fence could not be lowered again").says("SET GLOBAL binlog_format = 'ROW'");
        pair.source.execute("INSERT INTO audit VALUES (7, 'not fenced')").await;
        server.execute("SET GLOBAL binlog_format = 'MIXED'").await;
    }
    highwater.run(&["final-sync", "--fence"]).await.ok();
    assert_same(&pair).await;
    highwater.run(&["final-sync", "--lift"]).await.ok();
    highwater.run(&["clean", "--forget", "--yes"]).await.ok();
    server.execute("SET GLOBAL binlog_format = 'STATEMENT'").await;
    let pair = Pair::mysql_on(MysqlServer::shared(kind), &server).await;
    pair.execute_on_both(SHOP).await;
    Highwater::new(&pair).run(&["plan"]).await.expect_code(3).says("takes no writes at READ COMMITTED");
}
