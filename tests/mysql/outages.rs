//! What an operator does to the servers while the daemon runs, and errors unknown to highwater.

use std::time::Duration;

use super::{eventually_same, mysql, shop_on};
use crate::support::{Highwater, Kind, MysqlServer, Pair, eventually};

on_both!(
    a_user_that_is_shut_out_for_a_moment_is_an_outage,
    a_user_that_is_shut_out_at_start_ends_the_daemon,
    an_unknown_error_stops_its_table_only,
    a_low_connection_limit_is_worked_with_or_named_with_the_number_needed,
);

async fn shop(kind: Kind) -> (&'static MysqlServer, Pair) {
    let server = MysqlServer::shared(kind);
    (server, shop_on(server).await)
}

/// A user with all rights.
async fn user(server: &MysqlServer, password: &str) -> String {
    let user = server.user(password).await;
    server.execute(&format!("GRANT ALL ON *.* TO {user}@'%'")).await;
    user
}

/// A user whose password is `open`, and settings by which highwater gives `password` for it on one side.
async fn guarded(server: &MysqlServer, pair: &Pair, side: &str, password: &str) -> (String, Highwater) {
    let user = user(server, "open").await;
    let database = mysql(if side == "source" { &pair.source } else { &pair.target });
    let url = database.url_as(&format!("{user}:{password}"));
    let highwater = Highwater::new(pair).setting(&format!("database.main.{side}"), &url);
    (user, highwater)
}

async fn a_user_that_is_shut_out_for_a_moment_is_an_outage(kind: Kind) {
    let (server, pair) = shop(kind).await;
    let (user, highwater) = guarded(server, &pair, "target", "open").await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    let outages = [
        ("IDENTIFIED BY 'changed'", "IDENTIFIED BY 'open'", "Access denied"),
        ("ACCOUNT LOCK", "ACCOUNT UNLOCK", "locked"),
    ];
    for (n, (shut, open, said)) in outages.into_iter().enumerate() {
        server.execute(&format!("ALTER USER {user}@'%' {shut}")).await;
        let sessions = format!("SELECT id FROM information_schema.processlist WHERE user = '{user}'");
        for session in pair.source.rows_as_text(&sessions).await {
            let id = session[0].clone().unwrap_or_default();
            // It may have ended by itself.
            let kill =
                format!("BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR 1094 BEGIN END; KILL {id}; END");
            match kind {
                Kind::Mariadb => server.execute(&kill).await,
                Kind::Mysql => kill_if_there(&pair, &id).await,
            }
        }
        daemon.wait_until_not_ready(said).await;
        pair.source.execute(&format!("INSERT INTO audit VALUES (100 + {n}, 'meanwhile')")).await;
        server.execute(&format!("ALTER USER {user}@'%' {open}")).await;
        eventually_same(&pair).await;
        daemon.wait_until_in_sync().await;
    }
    assert_eq!(daemon.terminate().await, Some(0));
}

async fn kill_if_there(pair: &Pair, id: &str) {
    let mut connection = mysql(&pair.source).pool().acquire().await.expect("a connection");
    let kill = format!("KILL {id}");
    let _ = sqlx::raw_sql(sqlx::AssertSqlSafe(kill)).execute(&mut *connection).await;
}

async fn a_user_that_is_shut_out_at_start_ends_the_daemon(kind: Kind) {
    let (server, pair) = shop(kind).await;
    let (_, highwater) = guarded(server, &pair, "source", "wrong").await;
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_for_log("Access denied").await;
    assert_eq!(daemon.wait().await, Some(3));
}

async fn an_unknown_error_stops_its_table_only(kind: Kind) {
    const NUMBERS: [u16; 5] = [1291, 1665, 1792, 3750, 4999];
    let (_, pair) = shop(kind).await;
    for number in NUMBERS {
        pair.execute_on_both(&format!("CREATE TABLE t{number} (id INT PRIMARY KEY, v TEXT)")).await;
    }
    let mut daemon = Highwater::new(&pair).spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    // Later: triggers that are there before are a blocker.
    for number in NUMBERS {
        let raise = format!(
            "CREATE TRIGGER odd{number} BEFORE INSERT ON t{number} FOR EACH ROW
             IF NEW.id = 7 THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}, MESSAGE_TEXT = 'never heard of';
             END IF"
        );
        pair.target.execute(&raise).await;
    }
    for number in NUMBERS {
        pair.source.execute(&format!("INSERT INTO t{number} VALUES (6, 'a'), (7, 'b'), (8, 'c')")).await;
    }
    for number in NUMBERS {
        let words = ["never heard of", &number.to_string()];
        daemon.wait_until_stopped(&format!("t{number}"), &words).await;
    }
    pair.source.execute("INSERT INTO audit VALUES (77, 'goes on')").await;
    eventually(Duration::from_secs(30), || async {
        let found = pair.target.value("SELECT count(*) FROM audit WHERE happened = 77").await;
        if found == "1" { Ok(()) } else { Err(daemon.log()) }
    })
    .await;
    assert!(daemon.is_running());
    for number in NUMBERS {
        pair.target.execute(&format!("DROP TRIGGER odd{number}")).await;
    }
    eventually_same(&pair).await;
    daemon.wait_until_in_sync().await;
    assert_eq!(daemon.terminate().await, Some(0));
}

async fn a_low_connection_limit_is_worked_with_or_named_with_the_number_needed(kind: Kind) {
    let (server, pair) = shop(kind).await;
    for n in 0..6 {
        pair.execute_on_both(&format!("CREATE TABLE t{n} (id INT PRIMARY KEY, v TEXT)")).await;
        pair.source.execute(&format!("INSERT INTO t{n} VALUES (1, 'a'), (2, 'b'), (3, 'c')")).await;
    }
    let (from, to) = (user(server, "").await, user(server, "").await);
    for user in [&from, &to] {
        server.execute(&format!("ALTER USER {user}@'%' WITH MAX_USER_CONNECTIONS 9")).await;
    }
    let highwater = Highwater::new(&pair)
        .setting("database.main.source", &mysql(&pair.source).url_as(&from))
        .setting("database.main.target", &mysql(&pair.target).url_as(&to));
    let daemon = highwater.spawn(&["run"]);
    daemon.wait_for_log("working with fewer connections").await;
    for n in 0..6 {
        pair.source.execute(&format!("UPDATE t{n} SET v = 'changed'")).await;
    }
    eventually_same(&pair).await;
    daemon.wait_until_in_sync().await;
    assert!(!daemon.log().contains("max_user_connections"), "{}", daemon.log());
    assert_eq!(daemon.terminate().await, Some(0));
    server.execute(&format!("ALTER USER {from}@'%' WITH MAX_USER_CONNECTIONS 3")).await;
    let raise = format!("ALTER USER '{from}'@'%' WITH MAX_USER_CONNECTIONS 16");
    highwater.run(&["plan"]).await.expect_code(3).says(&raise);
}
