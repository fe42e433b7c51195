//! Rules on a target: computed columns, further targets, keys that expressions make, shared tables.

use highwater::engine::{Feed, Target, Tx};
use highwater::error::Kind as Fault;
use highwater::model::{
    Applied, Block, ColumnPair, Fidelity, Into, IntoColumn, Lookup, On, OnDelete, SourceColumn, TablePlan,
    Value,
};

use super::side::{Side, did, refused};
use crate::support::Kind;

on_both!(
    computed_columns_are_looked_up_and_kept,
    a_row_that_finds_nothing_is_refused_alone,
    lifted_rows_keep_what_was_made_for_them_once,
    further_rows_are_just_those_that_the_select_yields,
    further_rows_without_a_key_are_counted,
    a_stray_further_row_is_refused,
    a_select_can_read_the_rows_more_than_once,
    keys_are_found_by_what_expressions_make_of_them,
    rows_of_other_tables_stay,
    a_key_that_an_expression_spoils_is_refused_alone,
    pruned_rows_take_what_belongs_to_them_along,
    nothing_is_deleted_where_rows_are_kept,
    a_keyless_table_shares_its_target,
    changed_has_the_types_of_the_source,
    a_select_tells_what_it_yields,
    a_question_can_write_nothing,
);

fn text(text: &str) -> Value {
    Value::Text(text.as_bytes().to_vec())
}

/// Rows as a stream has them.
fn blocks(rows: Vec<Vec<Value>>) -> Vec<Block> {
    let end = Block::End { rows: rows.len() as u64, bytes: 1 };
    vec![Block::Values(rows), end]
}

/// Numbered rows, present ones and absent ones.
fn staged(rows: &[(bool, &[Option<&str>])]) -> Vec<Block> {
    let row = |(n, (present, values)): (usize, &(bool, &[Option<&str>]))| {
        let mut row = vec![Value::Integer(n as i64 + 1), Value::Integer(i64::from(*present))];
        row.extend(values.iter().map(|v| v.map_or(Value::Null, text)));
        row
    };
    blocks(rows.iter().enumerate().map(row).collect())
}

async fn stage(side: &Side, plan: &TablePlan, rows: &[(bool, &[Option<&str>])]) -> Box<dyn Tx> {
    let mut tx = side.target.begin().await.unwrap();
    tx.stage(plan, Feed::Read(&staged(rows))).await.unwrap();
    tx
}

async fn equalise(side: &Side, plan: &TablePlan, rows: &[(bool, &[Option<&str>])]) -> Applied {
    let mut tx = stage(side, plan, rows).await;
    let applied = tx.equalise(plan, None).await.unwrap();
    tx.commit().await.unwrap();
    applied
}

fn computed(target: &str, target_type: &str, expression: &str, on: On) -> Lookup {
    let (target, target_type) = (target.to_string(), target_type.to_string());
    Lookup { target, target_type, expression: expression.to_string(), on, fidelity: Fidelity::Exact }
}

fn expression(source: &str, sql: &str, target: &str, target_type: &str) -> ColumnPair {
    let pair = ColumnPair::plain(source, target_type, target, target_type);
    ColumnPair { expression: Some(sql.to_string()), ..pair }
}

const UTF8: &str = "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci";

/// Tokens whose application is looked up, and that get a number of their own once.
async fn tokens(kind: Kind, further: &str) -> (Side, TablePlan) {
    let side = Side::of(
        kind,
        "CREATE TABLE t (token varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, v int,
             consumer varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci)",
        &format!(
            "CREATE TABLE apps (id int PRIMARY KEY, consumer varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci UNIQUE);
             INSERT INTO apps VALUES (1, 'one'), (2, 'two');
             CREATE TABLE t (token varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, v int UNIQUE,
                 app_id int NOT NULL, token_id varchar(36), touched timestamp NULL ON UPDATE CURRENT_TIMESTAMP);
             {further}"
        ),
    )
    .await;
    let mut plan = side.plan("t").await;
    plan.rule.also = vec![SourceColumn { name: "consumer".into(), type_name: UTF8.into() }];
    let app = "(SELECT id FROM apps a WHERE a.consumer = changed.consumer)";
    plan.rule.lookups = vec![
        computed("app_id", "int", app, On::Always),
        computed("token_id", "varchar(36)", "uuid()", On::Insert),
    ];
    (side, plan)
}

async fn computed_columns_are_looked_up_and_kept(kind: Kind) {
    let (side, plan) = tokens(kind, "").await;
    side.target("INSERT INTO t VALUES ('a', 7, 1, 'kept', '2001-01-01'), ('c', 9, 1, 'gone', NULL)").await;
    let rows: &[(bool, &[Option<&str>])] = &[
        (true, &[Some("a"), Some("a"), Some("8"), Some("two")]),
        (true, &[Some("b"), Some("b"), Some("1"), Some("ONE")]),
        (false, &[Some("c"), None, None, None]),
    ];
    assert_eq!(equalise(&side, &plan, rows).await, did(1, 1, 1));
    let seen = "SELECT group_concat(concat_ws(' ', token, v, app_id, if(length(token_id) = 36, 'new', token_id), date(touched)) ORDER BY token) FROM t";
    assert_eq!(side.value(seen).await, "a 8 2 kept 2001-01-01,b 1 1 new");
}

async fn a_row_that_finds_nothing_is_refused_alone(kind: Kind) {
    let (side, plan) = tokens(kind, "").await;
    let rows: &[(bool, &[Option<&str>])] = &[
        (true, &[Some("a"), Some("a"), Some("1"), Some("none")]),
        (true, &[Some("b"), Some("b"), Some("2"), Some("one")]),
    ];
    let mut tx = stage(&side, &plan, rows).await;
    assert!(refused(tx.as_mut(), &plan, None).await.unwrap().contains("app_id"));
    assert!(refused(tx.as_mut(), &plan, Some(&[1])).await.is_some());
    assert_eq!(refused(tx.as_mut(), &plan, Some(&[2])).await, None);
    tx.unstage(&plan, &[1]).await.unwrap();
    assert_eq!(tx.staged(&plan).await.unwrap(), [2]);
    let standing = tx.standing(&plan, &["token".into(), "app_id".into()]).await.unwrap();
    assert_eq!(standing, [(2, vec![Some("'b'".to_string()), Some("1".to_string())])]);
    tx.commit().await.unwrap();
    // Of two that are found none is meant.
    let mut two = plan.clone();
    two.rule.lookups[0].expression = "(SELECT id FROM apps)".into();
    let mut tx = stage(&side, &two, rows).await;
    assert!(refused(tx.as_mut(), &two, Some(&[2])).await.is_some());
}

async fn lifted_rows_keep_what_was_made_for_them_once(kind: Kind) {
    let (side, plan) = tokens(kind, "").await;
    side.target("INSERT INTO t VALUES ('a', 1, 1, 'ta', NULL), ('b', 2, 1, 'tb', NULL)").await;
    let rows: &[(bool, &[Option<&str>])] = &[
        (true, &[Some("a"), Some("a"), Some("2"), Some("two")]),
        (true, &[Some("b"), Some("b"), Some("1"), Some("two")]),
        (true, &[Some("c"), Some("c"), Some("3"), Some("two")]),
    ];
    let mut tx = stage(&side, &plan, rows).await;
    assert!(refused(tx.as_mut(), &plan, None).await.is_some(), "two swap a unique value");
    assert_eq!(tx.lift(&plan, None).await.unwrap(), 2);
    assert_eq!(tx.put(&plan, None).await.unwrap(), did(1, 2, 0));
    tx.commit().await.unwrap();
    let seen = "SELECT group_concat(concat_ws(' ', token, v, app_id, left(token_id, 2)) ORDER BY token) FROM t WHERE token < 'c'";
    assert_eq!(side.value(seen).await, "a 2 2 ta,b 1 2 tb");
    assert_eq!(side.value("SELECT length(token_id) FROM t WHERE token = 'c'").await, "36");
}

/// What `scope` holds for `token_id`: the words of `consumer`.
fn scopes(key: &[&str]) -> Into {
    let column = |name: &str, type_name: &str| IntoColumn { name: name.into(), type_name: type_name.into() };
    Into {
        target: highwater::model::TableName::bare("scopes"),
        matches: vec![("token_id".into(), "(SELECT token_id FROM t WHERE t.token = changed.token)".into())],
        select: "SELECT t.token_id, s.scope FROM changed JOIN t ON t.token = changed.token
                 JOIN words s ON find_in_set(s.scope, changed.consumer) -- words"
            .into(),
        columns: vec![column("token_id", "varchar(36)"), column("scope", "varchar(20)")],
        key: key.iter().map(ToString::to_string).collect(),
    }
}

const SCOPES: &str =
    "CREATE TABLE words (scope varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci);
     INSERT INTO words VALUES ('x'), ('y'), ('z'), ('y');
     CREATE TABLE scopes (mine int DEFAULT 5, token_id varchar(36), scope varchar(20), KEY (token_id));
     INSERT INTO scopes (token_id, scope, mine) VALUES ('native', 'x', 1);
     INSERT INTO apps VALUES (3, 'x,y'), (4, 'z'), (5, 'x,z'), (6, 'q')";

const SEEN: &str = "SELECT group_concat(concat_ws(' ', if(length(token_id) = 36, (SELECT token FROM t WHERE t.token_id = s.token_id), token_id), scope, mine) ORDER BY 1 SEPARATOR ',') FROM (SELECT * FROM scopes ORDER BY scope, token_id, mine) s";

async fn seen(side: &Side) -> Vec<String> {
    let rows = side.value(SEEN).await;
    let mut rows: Vec<String> = rows.split(',').map(String::from).collect();
    rows.sort();
    rows
}

async fn further_rows_are_just_those_that_the_select_yields(kind: Kind) {
    let (side, mut plan) = tokens(kind, SCOPES).await;
    side.target(
        "DELETE FROM words; INSERT INTO words VALUES ('x'), ('y'), ('z');
                 ALTER TABLE scopes ADD UNIQUE (token_id, scope)",
    )
    .await;
    plan.rule.into = vec![scopes(&["token_id", "scope"])];
    let rows: &[(bool, &[Option<&str>])] = &[
        (true, &[Some("a"), Some("a"), Some("1"), Some("x,y")]),
        (true, &[Some("b"), Some("b"), Some("2"), Some("z")]),
        (true, &[Some("c"), Some("c"), Some("3"), Some("q")]),
    ];
    assert_eq!(equalise(&side, &plan, rows).await, did(6, 0, 0));
    assert_eq!(seen(&side).await, ["a x 5", "a y 5", "b z 5", "native x 1"]);
    side.target("UPDATE scopes SET mine = 6 WHERE scope = 'x' AND token_id <> 'native'").await;
    let rows: &[(bool, &[Option<&str>])] =
        &[(true, &[Some("a"), Some("a"), Some("1"), Some("x,z")]), (false, &[Some("b"), None, None, None])];
    // One row of the table itself each; of the further ones one comes, and two go.
    assert_eq!(equalise(&side, &plan, rows).await, did(1, 1, 3));
    assert_eq!(seen(&side).await, ["a x 6", "a z 5", "native x 1"]);
}

async fn further_rows_without_a_key_are_counted(kind: Kind) {
    let (side, mut plan) = tokens(kind, SCOPES).await;
    plan.rule.into = vec![scopes(&[])];
    let rows: &[(bool, &[Option<&str>])] = &[
        (true, &[Some("a"), Some("a"), Some("1"), Some("x,y")]),
        (true, &[Some("b"), Some("b"), Some("2"), Some("z")]),
    ];
    equalise(&side, &plan, rows).await;
    assert_eq!(seen(&side).await, ["a x 5", "a y 5", "a y 5", "b z 5", "native x 1"]);
    side.target("UPDATE scopes SET mine = 6 WHERE token_id <> 'native'").await;
    side.target("INSERT INTO scopes (token_id, scope) SELECT token_id, 'x' FROM t WHERE token = 'a'").await;
    assert_eq!(equalise(&side, &plan, rows).await, did(0, 2, 1), "one x too much");
    let now = seen(&side).await;
    assert_eq!((now.len(), &now[1..]), (5, &["a y 6", "a y 6", "b z 6", "native x 1"].map(String::from)[..]));
    equalise(&side, &plan, &[(false, &[Some("a"), None, None, None])]).await;
    assert_eq!(seen(&side).await, ["b z 6", "native x 1"]);
}

async fn a_select_can_read_the_rows_more_than_once(kind: Kind) {
    let (side, mut plan) = tokens(kind, SCOPES).await;
    let mut into = scopes(&[]);
    into.select =
        "SELECT t.token_id, concat('v', changed.v) AS scope FROM changed JOIN t ON t.token = changed.token
                   UNION ALL
                   SELECT t.token_id, changed.consumer FROM changed JOIN t ON t.token = changed.token;"
            .into();
    plan.rule.into = vec![into];
    let rows: &[(bool, &[Option<&str>])] = &[
        (true, &[Some("a"), Some("a"), Some("1"), Some("x,y")]),
        (true, &[Some("b"), Some("b"), Some("2"), Some("z")]),
    ];
    let mut tx = stage(&side, &plan, rows).await;
    tx.equalise(&plan, Some(&[1])).await.unwrap();
    tx.equalise(&plan, Some(&[2])).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(seen(&side).await, ["a v1 5", "a x", "b v2 5", "b z 5", "native x 1", "y 5"]);
}

async fn a_stray_further_row_is_refused(kind: Kind) {
    let (side, mut plan) = tokens(kind, SCOPES).await;
    let mut into = scopes(&[]);
    into.select = "SELECT 'other' AS token_id, 'x' AS scope FROM changed".into();
    plan.rule.into = vec![into];
    let rows: &[(bool, &[Option<&str>])] = &[(true, &[Some("a"), Some("a"), Some("1"), Some("x,y")])];
    let mut tx = stage(&side, &plan, rows).await;
    assert!(refused(tx.as_mut(), &plan, None).await.unwrap().contains("`match` would not find"));
}

/// Two source tables in one target: `kind` tells which, and `tenant` is another there.
async fn shared(kind: Kind) -> (Side, TablePlan) {
    let side = Side::of(
        kind,
        "CREATE TABLE t (tenant int, id bigint, v varchar(20), PRIMARY KEY (tenant, id))",
        "CREATE TABLE t (kind varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, tenant smallint, id bigint, v varchar(20), PRIMARY KEY (kind, tenant, id));
         INSERT INTO t VALUES ('B', 1, 9007199254740993, 'others'), ('A', -1, 1, 'old'), ('A', -1, 2, 'gone'),
             ('A', 3, 3, 'native')",
    )
    .await;
    let mut plan = side.plan("t").await;
    let id = plan.columns.iter().find(|c| c.source == "id").unwrap().clone();
    let v = plan.columns.iter().find(|c| c.source == "v").unwrap().clone();
    let tenant = expression("tenant", "CASE tenant WHEN 0 THEN -1 ELSE tenant END", "tenant", "smallint");
    plan.columns = vec![
        expression("", "'A'", "kind", "varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"),
        // The key is the source's.
        ColumnPair { source_type: "int".into(), ..tenant },
        id,
        v,
    ];
    (side, plan)
}

const SHARED: &str =
    "SELECT group_concat(concat_ws(' ', kind, tenant, id, v) ORDER BY kind, tenant, id) FROM t";

async fn keys_are_found_by_what_expressions_make_of_them(kind: Kind) {
    let (side, plan) = shared(kind).await;
    let big = Some("9007199254740993");
    let rows: &[(bool, &[Option<&str>])] = &[
        (true, &[Some("0"), Some("1"), Some("A"), Some("-1"), Some("1"), Some("new")]),
        (false, &[Some("0"), Some("2"), Some("A"), Some("-1"), Some("2"), None]),
        (true, &[Some("1"), big, Some("A"), Some("1"), big, Some("big")]),
    ];
    assert_eq!(equalise(&side, &plan, rows).await, did(1, 1, 1));
    assert_eq!(
        side.value(SHARED).await,
        "A -1 1 new,A 1 9007199254740993 big,A 3 3 native,B 1 9007199254740993 others"
    );
}

async fn rows_of_other_tables_stay(kind: Kind) {
    let (side, plan) = shared(kind).await;
    // The key, then what stands for its first column.
    let keys = || {
        let row = |key: [&str; 3]| key.iter().map(|v| text(v)).collect::<Vec<_>>();
        blocks(vec![row(["0", "1", "-1"]), row(["7", "7", "7"])])
    };
    let mut tx = side.target.begin().await.unwrap();
    let found = tx.compare_keys(&plan, Feed::Read(&keys())).await.unwrap();
    assert_eq!(found.source_only, [["7", "7"]]);
    let mut native = found.target_only.clone();
    native.sort();
    assert_eq!(native, [["-1", "2", "'A'"], ["3", "3", "'A'"]]);
    let keep: Vec<Vec<String>> = native.into_iter().filter(|key| key[0] == "3").collect();
    assert_eq!(tx.prune(&plan, Feed::Read(&keys()), &keep).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(side.value(SHARED).await, "A -1 1 old,A 3 3 native,B 1 9007199254740993 others");
}

async fn a_key_that_an_expression_spoils_is_refused_alone(kind: Kind) {
    let (side, plan) = shared(kind).await;
    let rows: &[(bool, &[Option<&str>])] = &[
        (true, &[Some("70000"), Some("1"), Some("A"), Some("70000"), Some("1"), Some("x")]),
        (true, &[Some("5"), Some("5"), Some("A"), Some("5"), Some("5"), Some("five")]),
    ];
    let mut tx = stage(&side, &plan, rows).await;
    assert!(refused(tx.as_mut(), &plan, Some(&[1])).await.is_some());
    assert_eq!(refused(tx.as_mut(), &plan, Some(&[2])).await, None);
    assert_eq!(tx.staged_keys(&plan, &[1, 2]).await.unwrap(), [["70000", "1"], ["5", "5"]]);
}

async fn pruned_rows_take_what_belongs_to_them_along(kind: Kind) {
    let (side, mut plan) = tokens(kind, SCOPES).await;
    plan.rule.into = vec![scopes(&[])];
    let rows: &[(bool, &[Option<&str>])] = &[
        (true, &[Some("a"), Some("a"), Some("1"), Some("x,y")]),
        (true, &[Some("b"), Some("b"), Some("2"), Some("z")]),
    ];
    equalise(&side, &plan, rows).await;
    let mut tx = side.target.begin().await.unwrap();
    let keys = blocks(vec![vec![text("b")]]);
    assert_eq!(tx.prune(&plan, Feed::Read(&keys), &[]).await.unwrap(), 4);
    tx.commit().await.unwrap();
    assert_eq!(seen(&side).await, ["b z 5", "native x 1"]);
}

async fn nothing_is_deleted_where_rows_are_kept(kind: Kind) {
    let (side, mut plan) = tokens(kind, SCOPES).await;
    plan.rule.into = vec![scopes(&[])];
    equalise(&side, &plan, &[(true, &[Some("a"), Some("a"), Some("1"), Some("z")])]).await;
    plan.rule.on_delete = OnDelete::Keep;
    let mut tx = stage(&side, &plan, &[(false, &[Some("a"), None, None, None])]).await;
    assert_eq!(tx.equalise(&plan, None).await.unwrap(), did(0, 0, 0));
    tx.lift(&plan, None).await.unwrap();
    assert_eq!(tx.put(&plan, None).await.unwrap(), did(0, 0, 0));
    assert_eq!(tx.prune(&plan, Feed::Read(&blocks(vec![])), &[]).await.unwrap(), 0);
    tx.commit().await.unwrap();
    assert_eq!(seen(&side).await, ["a z 5", "native x 1"]);
}

async fn a_keyless_table_shares_its_target(kind: Kind) {
    let side = Side::of(
        kind,
        "CREATE TABLE t (v varchar(9), d double)",
        "CREATE TABLE t (kind varchar(9), v varchar(9), d double);
         INSERT INTO t VALUES ('B', 'x', 1), ('A', 'y', 2), ('A', 'z', 0.1)",
    )
    .await;
    let mut plan = side.plan("t").await;
    plan.columns.push(expression("", "'A'", "kind", "varchar(9)"));
    let row = |v: &str, d: &str| vec![Value::Blob(v.as_bytes().to_vec()), text(d), text("A")];
    let rows = blocks(vec![row("z", "0.1"), row("n", "0.30000000000000004")]);
    let mut tx = side.target.begin().await.unwrap();
    assert_eq!(tx.replace(&plan, Feed::Read(&rows)).await.unwrap(), did(1, 0, 1));
    assert_eq!(tx.replace(&plan, Feed::Read(&rows)).await.unwrap(), did(0, 0, 0));
    tx.commit().await.unwrap();
    let seen = "SELECT group_concat(concat_ws(' ', kind, v, d) ORDER BY kind, v) FROM t";
    assert_eq!(side.value(seen).await, "A n 0.30000000000000004,A z 0.1,B x 1");
}

async fn changed_has_the_types_of_the_source(kind: Kind) {
    let side = Side::of(
        kind,
        "CREATE TABLE t (id int PRIMARY KEY, d decimal(12,3), b varchar(9) CHARACTER SET latin1, m datetime(3))",
        "CREATE TABLE t (id int PRIMARY KEY, d decimal(12,3), b varbinary(9), m datetime(3), r varchar(99))",
    )
    .await;
    let mut plan = side.plan("t").await;
    // As numbers 10 is more than 9.5, as texts it is less; of the latin letter the text has one.
    let sql = "concat(changed.d > 9.5, char_length(changed.b), upper(changed.b) = 'ä', hour(changed.m))";
    plan.rule.lookups = vec![computed("r", "varchar(99)", sql, On::Always)];
    let bytes = Value::Blob(vec![0xe4]);
    let row = vec![
        Value::Integer(1),
        Value::Integer(1),
        text("1"),
        text("1"),
        text("10.000"),
        bytes,
        text("2001-01-01 07:00:00"),
    ];
    let rows = blocks(vec![row]);
    let mut tx = side.target.begin().await.unwrap();
    tx.stage(&plan, Feed::Read(&rows)).await.unwrap();
    tx.equalise(&plan, None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(side.value("SELECT r FROM t").await, "1117");
}

async fn a_select_tells_what_it_yields(kind: Kind) {
    let (side, plan) = tokens(kind, SCOPES).await;
    let target: &dyn Target = side.target.as_ref();
    let twice = "SELECT token AS a, consumer AS \"B\" FROM changed UNION SELECT 'x', consumer FROM changed;";
    let twice = twice.replace('"', "`");
    assert_eq!(target.yields(&plan, &twice).await.unwrap(), ["a", "B"]);
    assert_eq!(target.yields(&plan, &twice).await.unwrap(), ["a", "B"], "nothing is left behind");
    let yielded = target.yields(&plan, "SELECT token AS a, v + 1 AS `B c` FROM changed").await.unwrap();
    assert_eq!(yielded, ["a", "B c"]);
    for wrong in ["SELECT nothing FROM changed", "SELEC 1", "SELECT token FROM missing"] {
        let error = target.yields(&plan, wrong).await.unwrap_err();
        assert_eq!(error.kind(), Fault::Table, "{error}");
    }
}

async fn a_question_can_write_nothing(kind: Kind) {
    let (side, _) = tokens(kind, "").await;
    let rows = side.target.ask("SELECT id, consumer, NULL FROM apps ORDER BY id", 1).await.unwrap();
    assert_eq!(rows, [vec![Some("1".to_string()), Some("one".to_string()), None]]);
    for write in ["DELETE FROM apps", "COMMIT; DELETE FROM apps", "SELECT 1; COMMIT; DROP TABLE apps"] {
        assert!(side.target.ask(write, 100).await.is_err(), "{write}");
    }
    assert_eq!(side.value("SELECT count(*) FROM apps").await, "2");
}
