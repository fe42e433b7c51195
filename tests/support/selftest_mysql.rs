//! Tests of the support itself, as far as it is about MariaDB and MySQL.

use super::compare;
use super::engine::{Db, Engine, Pair};
use super::mysql::{self, MysqlDatabase};
use super::mysql_server::{Kind, MysqlServer};

on_both!(
    a_crashed_server_restarts_with_what_was_flushed,
    a_server_goes_back_to_older_files,
    a_user_with_a_password_must_give_it,
    values_come_as_they_are,
    comparison_misses_no_digit_and_no_byte,
);

/// What a connection of its own sees: those of the pool have gone with the server.
async fn rows(database: &MysqlDatabase) -> Vec<Vec<Option<String>>> {
    mysql::rows_as_text(&mut database.connect().await, "SELECT a FROM t ORDER BY a").await
}

async fn execute(database: &MysqlDatabase, sql: &str) {
    mysql::execute(&mut database.connect().await, sql).await;
}

async fn a_crashed_server_restarts_with_what_was_flushed(kind: Kind) {
    let configuration = [("innodb_flush_log_at_timeout", "2700"), ("skip-log-bin", "1")];
    let server = MysqlServer::start_own(kind, &configuration);
    let database = server.database().await;
    execute(&database, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await;
    server.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 0").await;
    execute(&database, "INSERT INTO t VALUES (2)").await;
    server.crash();
    server.start();
    let one = vec![Some("1".to_owned())];
    assert_eq!(rows(&database).await, [one], "the commit that was not flushed is lost\n{}", server.log());
}

async fn a_server_goes_back_to_older_files(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[]);
    let database = server.database().await;
    execute(&database, "CREATE TABLE t (a int)").await;
    server.stop();
    let snapshot = server.snapshot();
    server.start();
    execute(&database, "INSERT INTO t VALUES (1)").await;
    server.crash();
    server.start();
    assert_eq!(rows(&database).await.len(), 1, "a commit outlives a crash");
    server.stop();
    server.restore(&snapshot);
    server.start();
    assert!(rows(&database).await.is_empty());
}

async fn a_user_with_a_password_must_give_it(kind: Kind) {
    let server = MysqlServer::shared(kind);
    let database = server.database().await;
    let user = server.user("secret").await;
    server.execute(&format!("GRANT SELECT ON {}.* TO {user}", database.name())).await;
    database.connect_as(&format!("{user}:secret")).await;
    let refused = sqlx::MySqlPool::connect(&database.url_as(&format!("{user}:wrong"))).await;
    assert!(refused.is_err());
}

async fn values_come_as_they_are(kind: Kind) {
    let database = MysqlServer::shared(kind).database().await;
    let values = "SELECT 18446744073709551615, DATE '2026-01-31', CAST('-838:59:58.99' AS TIME(2)), x'00ff', \
                  'a' || 'b', NULL, b'101'";
    let mut shown: Vec<_> = database.rows_as_text(values).await.remove(0);
    assert_eq!(shown.pop(), Some(Some("05".to_owned())));
    let expected = ["18446744073709551615", "2026-01-31", "-838:59:58.99", "00FF", "ab", "NULL"];
    let shown: Vec<_> = shown.into_iter().map(|value| value.unwrap_or_else(|| "NULL".to_owned())).collect();
    assert_eq!(shown, expected);
    let zero = "SET sql_mode = ''; CREATE TABLE t (a datetime); INSERT INTO t VALUES ('0000-00-00')";
    execute(&database, zero).await;
    assert_eq!(rows(&database).await, [[Some("0000-00-00 00:00:00".to_owned())]]);
}

async fn comparison_misses_no_digit_and_no_byte(kind: Kind) {
    let server = MysqlServer::shared(kind);
    let pair = Pair::mysql_on(server, server).await;
    let table =
        "CREATE TABLE t (id int PRIMARY KEY, f float, d double, b varbinary(9), s varchar(9), i bit(9))";
    pair.execute_on_both(table).await;
    let values = [
        ("1, 16777215, 0, '', '', 0", "1, 16777214, 0, '', '', 0"),
        ("1, 0, 0.1, '', '', 0", "1, 0, 0.10000000000000002, '', '', 0"),
        ("1, 0, 0, x'ff00', '', 0", "1, 0, 0, x'fe00', '', 0"),
        ("1, 0, 0, '', 'a', 0", "1, 0, 0, '', 'A', 0"),
        ("1, 0, 0, '', 'a', 0", "1, 0, 0, '', 'a ', 0"),
        ("1, 0, 0, '', '', 1", "1, 0, 0, '', '', b'100000001'"),
        ("1, 0, 0, '', '', 1", "1, 0, 0, '', '', NULL"),
    ];
    for (here, there) in values {
        pair.source.execute(&format!("REPLACE INTO t VALUES ({here})")).await;
        pair.target.execute(&format!("REPLACE INTO t VALUES ({here})")).await;
        compare::assert_same(&pair).await;
        pair.target.execute(&format!("REPLACE INTO t VALUES ({there})")).await;
        assert_eq!(compare::differences(&pair.source, &pair.target, &[]).await.len(), 1, "{here} {there}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_kinds_make_a_pair() {
    let pair = Pair::mysql_on(MysqlServer::shared(Kind::Mariadb), MysqlServer::shared(Kind::Mysql)).await;
    assert_eq!((pair.source.engine(), pair.target.engine()), (Engine::Mariadb, Engine::Mysql));
    pair.execute_on_both("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x')").await;
    compare::assert_same(&pair).await;
    for (side, version) in [(&pair.source, "MariaDB"), (&pair.target, ".")] {
        let Db::Mysql(database) = side else { panic!("{:?}", side.engine()) };
        let shown = database.rows_as_text("SELECT version()").await;
        assert!(shown[0][0].as_ref().unwrap().contains(version), "{shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_are_compared() {
    let pair = Pair::mysql().await;
    let table = "CREATE TABLE t (id int PRIMARY KEY, v VECTOR(2)); \
                 INSERT INTO t VALUES (1, STRING_TO_VECTOR('[1, 0.1]'))";
    pair.execute_on_both(table).await;
    compare::assert_same(&pair).await;
    pair.target.execute("UPDATE t SET v = STRING_TO_VECTOR('[1, 0.10000001]')").await;
    assert_eq!(compare::differences(&pair.source, &pair.target, &[]).await.len(), 1);
}
