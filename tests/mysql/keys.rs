//! Keys that SQL sees otherwise than the index: times of the hour that comes twice.

use crate::support::compare::assert_same;
use crate::support::{Highwater, Kind, MysqlServer, Pair};

on_both!(keys_of_the_hour_that_comes_twice_are_told_apart);

/// A time zone whose clocks went back by an hour at 01:00 UTC on 29 October 2023.
const ZONE: &str = "
    INSERT INTO mysql.time_zone (Time_zone_id, Use_leap_seconds) VALUES (900001, 'N');
    INSERT INTO mysql.time_zone_name (Name, Time_zone_id) VALUES ('test/twice', 900001);
    INSERT INTO mysql.time_zone_transition_type (Time_zone_id, Transition_type_id, `Offset`, Is_DST, Abbreviation)
    VALUES (900001, 0, 7200, 1, 'S'), (900001, 1, 3600, 0, 'W');
    INSERT INTO mysql.time_zone_transition (Time_zone_id, Transition_time, Transition_type_id)
    VALUES (900001, 0, 0), (900001, 1698541200, 1);";

const TABLES: &str = "
    CREATE TABLE t (k TIMESTAMP(3) NOT NULL PRIMARY KEY, v INT);
    CREATE TABLE p (k TIMESTAMP NOT NULL, n INT NOT NULL, v INT, PRIMARY KEY (k, n));
    CREATE TABLE c (id INT PRIMARY KEY, k TIMESTAMP NOT NULL, n INT NOT NULL, KEY (k, n),
        FOREIGN KEY (k, n) REFERENCES p (k, n) ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE TABLE o (k TIMESTAMP NOT NULL PRIMARY KEY, v INT);";

const ROWS: &str = "
    SET time_zone = '+00:00';
    INSERT INTO t VALUES ('2023-10-29 00:30:00.123', 1), ('2023-10-29 01:30:00.123', 2), ('2023-10-29 00:40:00', 3),
        ('2023-10-29 01:50:00', 4);
    INSERT INTO p VALUES ('2023-10-29 00:30:00', 1, 1), ('2023-10-29 01:30:00', 1, 2), ('2023-10-29 01:45:00', 1, 3);
    INSERT INTO c VALUES (1, '2023-10-29 00:30:00', 1), (2, '2023-10-29 01:30:00', 1), (3, '2023-10-29 01:45:00', 1);
    INSERT INTO o VALUES ('2023-10-29 01:40:00', 1);";

async fn keys_of_the_hour_that_comes_twice_are_told_apart(kind: Kind) {
    let server = MysqlServer::start_own(kind, &[]);
    server.execute(ZONE).await;
    let pair = Pair::mysql_on(&server, &server).await;
    pair.execute_on_both(TABLES).await;
    pair.source.connect().await.execute(ROWS).await;
    let highwater = Highwater::new(&pair);
    highwater.run(&["copy"]).await.ok();
    let mut writer = pair.source.connect().await;
    writer.execute("SET time_zone = 'test/twice'").await;
    // The second of two rows that this session sees at the same time.
    writer.execute("UPDATE t SET v = 20 WHERE v = 2").await;
    writer.execute("DELETE FROM t WHERE v = 4").await;
    // From the first of the two hours to the second, where the server keeps a TIMESTAMP that it copies.
    writer.execute("UPDATE t, o SET t.k = o.k WHERE t.v = 3").await;
    // Children follow: those of that very row.
    writer.execute("UPDATE p SET n = 7 WHERE v = 2").await;
    writer.execute("DELETE FROM p WHERE v = 3").await;
    highwater.run(&["final-sync"]).await.ok();
    assert_same(&pair).await;
    assert_eq!(pair.target.value("SELECT n FROM c WHERE id = 2").await, "7");
    assert_eq!(pair.target.value("SELECT COUNT(*) FROM c").await, "2");
}
