//! Values arrive exactly, or are refused one by one.

use highwater::engine::Feed;
use highwater::error::Kind;
use highwater::model::Value;

use super::side::{BOTH, Side, did, refused};
use crate::support::{Kind as MysqlKind, MysqlServer, compare};

/// One column of each type, and rows of the values that are lost on the way most easily.
const TYPES: &str = "CREATE TABLE t (id int PRIMARY KEY, i8 tinyint, u64 bigint unsigned, de decimal(40,20), fl float, fz float(7,2), db double,
    ye year, da date, dt datetime(6), ts timestamp(3) NULL, ti time(2), bi bit(9), b64 bit(64),
    la varchar(20) CHARACTER SET latin1, u16 text CHARACTER SET utf16, u8 text CHARACTER SET utf8mb4, ch char(5),
    bn binary(4), vb varbinary(9), lb longblob, en enum('b', '', 'a'), e2 enum('x', 'y') NOT NULL, se set('a', 'b', 'c'), js json, ge geometry, po point)";

const ROWS: &str = "INSERT INTO t VALUES
    (1, -128, 18446744073709551615, '12345678901234567890.12345678901234567890', 0.1, 12345.67, 0.1 + 0.2, 1901, '0000-00-00',
     '2024-00-00 23:59:59.999999', '1970-01-01 00:00:01', '-838:59:58.99', b'101', b'1111111111111111111111111111111111111111111111111111111111111111',
     'äöü  ', 'ü€😀', 'it''s \\\\ 😀\\n', 'x', 'a\\0', '\\0\\'', '\\0\\r\\n', 'a', 'x', 'a,c', '{\"a\": [1, 2.50, null]}', ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'), ST_GeomFromText('POINT(1 2)', 4326)),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'y', NULL, NULL, NULL, NULL),
    (3, 0, 0, 0, 3.4028234e38, -0.01, -1.7976931348623157e308, 0, '0001-00-31', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '00:00:00', 0, 0, '', '', '', '', '', '', '', '', 0, '', 'null', NULL, NULL),
    (4, 127, 1, 1, 1.17549e-38, 0, 5e-324, 2155, '2024-02-31', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.999', '838:59:59', 511, 1, 'A', 'A', 'A', '  a', 'abcd', 'x  ', 'x', 0, 'x', 'c', '\"\"', ST_GeomFromText('POINT(0 0)'), NULL)";

const DIGEST: &str = "SELECT group_concat(concat_ws('|', id, fl+0e0, hex(js), en+0, e2+0, se+0, hex(ge), hex(po), hex(u16), hex(la), hex(b64), hex(lb), db, dt, ts, ti) ORDER BY id SEPARATOR '\n') FROM t";

async fn same(side: &Side) {
    compare::assert_same(&side.pair).await;
    assert_eq!(side.pair.source.value(DIGEST).await, side.pair.target.value(DIGEST).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_exactly() {
    for kind in BOTH {
        let side = Side::both(kind, TYPES).await;
        side.source(ROWS).await;
        let plan = side.plan("t").await;
        assert_eq!(side.equalise(&plan, "SELECT id FROM t").await, did(4, 0, 0), "{kind:?}");
        same(&side).await;
        side.pair
            .target
            .execute("UPDATE t SET i8 = 1, fl = 2, la = 'ae', js = '[]', e2 = 'y', en = 'b', ge = NULL")
            .await;
        assert_eq!(side.equalise(&plan, "SELECT id FROM t").await, did(0, 4, 0), "{kind:?}");
        same(&side).await;
        let mut tx = side.staged(&plan, "SELECT id FROM t").await;
        assert_eq!(tx.lift(&plan, None).await.unwrap(), 4);
        let numbers = tx.staged(&plan).await.unwrap();
        assert_eq!(tx.put_back(&plan, &numbers).await.unwrap(), 4);
        tx.commit().await.unwrap();
        same(&side).await;
        // What has an ENUM of number 0 can't be loaded, and is done by key.
        side.pair.target.execute("DELETE FROM t").await;
        let rows = side.rows(&plan).await;
        let mut tx = side.target.begin().await.unwrap();
        assert_eq!(tx.load(&plan, Feed::Read(&rows)).await.unwrap_err().kind(), Kind::Data);
        drop(tx);
        side.source("DELETE FROM t WHERE id > 2").await;
        assert_eq!(side.load(&plan).await, 2);
        same(&side).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_a_keyless_table_arrives_exactly_and_stays() {
    for kind in BOTH {
        let ddl = TYPES.replace("id int PRIMARY KEY", "id int");
        let side = Side::both(kind, &ddl).await;
        side.source(ROWS).await;
        let plan = side.plan("t").await;
        assert_eq!(side.replace(&plan).await, did(4, 0, 0), "{kind:?}");
        same(&side).await;
        assert_eq!(side.replace(&plan).await, did(0, 0, 0), "{kind:?}");
        side.pair.target.execute("UPDATE t SET la = 'ÄÖÜ  ' WHERE id = 1").await;
        assert_eq!(side.replace(&plan).await, did(1, 0, 1), "{kind:?}");
        same(&side).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_may_differ_and_what_does_not_fit_is_found_by_its_number() {
    for kind in BOTH {
        let side = Side::of(
            kind,
            "CREATE TABLE t (id bigint PRIMARY KEY, m enum('good', 'new'), v varchar(10) CHARACTER SET latin1, n text, i bigint, d datetime)",
            "CREATE TABLE t (id int PRIMARY KEY, m enum('other', 'good') CHARACTER SET latin1, v char(3) CHARACTER SET utf8mb4, n text NOT NULL, i int unsigned, d date)",
        )
        .await;
        side.source(
            "INSERT INTO t VALUES (1, 'good', 'äbc', '', 1, '2024-01-01'), (2, 'new', 'abc', '', 1, NULL), (3, 'good', 'abcd', '', 1, NULL),
                 (4, 'good', 'ok', NULL, 1, NULL), (5, 'good', 'ok', '', -1, NULL), (6, 0, 'ok', '', 4294967295, NULL), (5000000000, 'good', '', '', 1, NULL)",
        )
        .await;
        let plan = side.plan("t").await;
        let mut tx = side.staged(&plan, "SELECT id FROM t").await;
        let mut reasons = Vec::new();
        for number in tx.staged(&plan).await.unwrap() {
            let key = tx.staged_keys(&plan, &[number]).await.unwrap()[0][0].clone();
            if let Some(reason) = refused(tx.as_mut(), &plan, Some(&[number])).await {
                reasons.push((key, reason));
            }
        }
        tx.commit().await.unwrap();
        reasons.sort();
        let keys: Vec<&str> = reasons.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["2", "3", "4", "5", "5000000000"], "{kind:?}: {reasons:?}");
        assert_eq!(
            side.value("SELECT group_concat(concat(id, v, m+0, i) ORDER BY id) FROM t").await,
            "1äbc21,6ok04294967295",
            "{kind:?}"
        );
    }
}

/// What the stage itself can't take is parked, and nothing else with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_even_the_stage_cannot_take_is_refused_alone() {
    for kind in BOTH {
        let side = Side::both(kind, "CREATE TABLE t (id int PRIMARY KEY, d date, v longblob)").await;
        side.pair.target.execute("INSERT INTO t VALUES (2, NULL, 'as it was')").await;
        let plan = side.plan("t").await;
        let text = |t: &str| Value::Text(t.as_bytes().to_vec());
        let row = |n: i64, date: &str, bytes: usize| {
            let values =
                [text(&n.to_string()), text(&n.to_string()), text(date), Value::Blob(vec![b'x'; bytes])];
            [Value::Integer(n), Value::Integer(1)].into_iter().chain(values).collect::<Vec<_>>()
        };
        let rows = vec![
            row(1, "2024-01-01", 1),
            row(2, "no date", 1),
            row(3, "2024-01-01", 2),
            row(4, "2024-01-01", 129 << 20),
        ];
        let blocks =
            [highwater::model::Block::Values(rows), highwater::model::Block::End { rows: 4, bytes: 4 }];
        let mut tx = side.target.begin().await.unwrap();
        tx.stage(&plan, Feed::Read(&blocks)).await.unwrap();
        assert_eq!(tx.staged(&plan).await.unwrap(), [1, 2, 3, 4]);
        let reason = refused(tx.as_mut(), &plan, Some(&[1, 2])).await.unwrap();
        assert!(reason.contains("no date"), "{reason}");
        let reason = refused(tx.as_mut(), &plan, Some(&[4])).await.unwrap();
        assert!(reason.contains("max_allowed_packet"), "{reason}");
        assert_eq!(tx.equalise(&plan, Some(&[1, 3])).await.unwrap(), did(2, 0, 0));
        tx.commit().await.unwrap();
        assert_eq!(
            side.value("SELECT group_concat(concat(id, convert(v USING utf8mb4)) ORDER BY id) FROM t").await,
            "1x,2as it was,3xx"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_and_large_ones_go_in_pieces() {
    for kind in BOTH {
        let side = Side::both(kind, "CREATE TABLE t (id int PRIMARY KEY, v longblob)").await;
        side.source(
            "INSERT INTO t WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
                 SELECT i, repeat(char(65 + i % 26), i * 4) FROM n;
             INSERT INTO t VALUES (5001, repeat('x', 20000000)), (5002, repeat('y', 3000000)), (5003, repeat('z', 3000000))",
        )
        .await;
        let plan = side.plan("t").await;
        assert_eq!(side.equalise(&plan, "SELECT id FROM t").await, did(3003, 0, 0), "{kind:?}");
        let sum = "SELECT concat(count(*), ' ', sum(crc32(v)), ' ', max(length(v))) FROM t";
        assert_eq!(side.pair.source.value(sum).await, side.value(sum).await, "{kind:?}");
    }
}

/// Either server as the other one's target: types that one of them lacks.
#[tokio::test(flavor = "multi_thread")]
async fn types_cross_from_one_server_to_the_other() {
    let (maria, mysql) = (MysqlServer::shared(MysqlKind::Mariadb), MysqlServer::shared(MysqlKind::Mysql));
    let side = Side::across(
        maria,
        "CREATE TABLE t (id int PRIMARY KEY, u uuid, a inet6, j json, d decimal(40,38), c varchar(9) COLLATE uca1400_ai_ci, g point)"
            .replace("COLLATE uca1400_ai_ci", "")
            .as_str(),
        mysql,
        "CREATE TABLE t (id int PRIMARY KEY, u char(36), a varchar(45), j json, d decimal(40,20), c varchar(9) COLLATE utf8mb4_0900_ai_ci, g point SRID 0)",
    )
    .await;
    side.source("INSERT INTO t VALUES (1, '123e4567-e89b-12d3-a456-426614174000', '::1', '{\"a\": 1}', 1.5, 'ä', ST_GeomFromText('POINT(1 2)'))")
        .await;
    let plan = side.plan("t").await;
    assert_eq!(side.equalise(&plan, "SELECT id FROM t").await, did(1, 0, 0));
    assert_eq!(
        side.value("SELECT concat(u, a, j, d, c, ST_AsText(g)) FROM t").await,
        "123e4567-e89b-12d3-a456-426614174000::1{\"a\": 1}1.50000000000000000000äPOINT(1 2)"
    );
    let back = Side::across(
        mysql,
        "CREATE TABLE t (id int PRIMARY KEY, j json, c varchar(9) COLLATE utf8mb4_0900_ai_ci, v vector(2), g point)",
        maria,
        "CREATE TABLE t (id int PRIMARY KEY, j json, c varchar(9), v blob, g point)",
    )
    .await;
    back.source("INSERT INTO t VALUES (1, '{\"b\": 1, \"a\": 2.50}', 'ä', x'0000803f00000040', ST_GeomFromText('POINT(1 2)'))").await;
    let plan = back.plan("t").await;
    assert_eq!(back.equalise(&plan, "SELECT id FROM t").await, did(1, 0, 0));
    assert_eq!(
        back.value("SELECT concat(j, c, hex(v), ST_AsText(g)) FROM t").await,
        "{\"a\": 2.5, \"b\": 1}ä0000803F00000040POINT(1 2)"
    );
}
