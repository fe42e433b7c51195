//! Rules at the seam: filters, expressions, shared targets, lookups, further targets.

use highwater::engine::{Feed, Tx};
use highwater::error::Kind;
use highwater::model::{
    Block, Bounds, ColumnPair, Fidelity, Form, Into, IntoColumn, Key, Layout, Lookup, On, OnDelete, Rule,
    SourceColumn, Strategy, TableName, TablePlan, Value,
};

use super::rig::{LIMITS, Rig};
use crate::support::watch;

/// A plan of `source` into `target`, by its key.
pub fn plan(source: &str, target: &str, key: &[&str], columns: Vec<ColumnPair>, rule: Rule) -> TablePlan {
    TablePlan {
        source: TableName::bare(source),
        target: TableName::bare(target),
        target_id: String::new(),
        key: key.iter().map(ToString::to_string).collect(),
        columns,
        rule,
        dependants: Vec::new(),
        looks_up: Vec::new(),
        strategy: if key.is_empty() { Strategy::Whole } else { Strategy::Keyed },
        form: Form::Values,
        partitioned: false,
        create: false,
        rows: 0,
        bytes: 0,
    }
}

/// A column that is carried as it is.
pub fn same(name: &str, kind: &str) -> ColumnPair {
    ColumnPair::plain(name, kind, name, kind)
}

/// A target column that an expression gives; `source` where it stands for a key's column.
pub fn computed(source: &str, expression: &str, target: &str, on: On) -> ColumnPair {
    let pair = ColumnPair::plain(source, "INTEGER", target, "");
    ColumnPair { expression: Some(expression.into()), on, ..pair }
}

/// A column that is looked up.
pub fn lookup(target: &str, expression: &str, on: On) -> Lookup {
    Lookup {
        target: target.into(),
        target_type: String::new(),
        expression: expression.into(),
        on,
        fidelity: Fidelity::Exact,
    }
}

/// A further target.
pub fn into(target: &str, matches: (&str, &str), select: &str, columns: &[&str], key: &[&str]) -> Into {
    let column = |name: &&str| IntoColumn { name: name.to_string(), type_name: String::new() };
    Into {
        target: TableName::bare(target),
        matches: vec![(matches.0.into(), matches.1.into())],
        select: select.into(),
        columns: columns.iter().map(column).collect(),
        key: key.iter().map(ToString::to_string).collect(),
    }
}

async fn there(rig: &Rig, select: &str) -> Vec<String> {
    let rows = rig.files.target.rows_as_text(select).await;
    rows.into_iter().map(|row| row.into_iter().map(|v| v.unwrap_or("-".into())).collect::<String>()).collect()
}

async fn keys_stream(rig: &Rig, table: &TablePlan) -> highwater::model::RowStream {
    let origin = &rig.at[&table.label()].0;
    rig.source.stream(watch(table, origin), &Bounds::all(), Layout::Keys).await.unwrap()
}

async fn prune(rig: &Rig, table: &TablePlan, keep: &[Key]) -> u64 {
    let mut keys = keys_stream(rig, table).await;
    let mut tx = rig.target.begin().await.unwrap();
    let pruned = tx.prune(table, Feed::Stream(&mut keys), keep).await.unwrap();
    tx.commit().await.unwrap();
    pruned
}

/// Stages what is dirty.
async fn staged(rig: &Rig, table: &TablePlan) -> Box<dyn Tx> {
    let batch = rig.batch(&table.label(), LIMITS).await.unwrap();
    let mut tx = rig.target.begin().await.unwrap();
    tx.stage(table, Feed::Read(&batch.states.blocks)).await.unwrap();
    tx
}

const PEOPLE: &str =
    "CREATE TABLE \"people n\" (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, kind, k1, n, \"left\")";

/// A target that two systems share.
fn people() -> TablePlan {
    let columns = vec![
        ColumnPair::plain("id", "INTEGER", "ext", "INTEGER"),
        computed("", "'S1'", "system", On::Always),
        computed("", "upper(name) || coalesce(\"people n\".k1, '') || n -- all of it", "label", On::Always),
        computed("", "'made ' || kind", "made", On::Insert),
    ];
    let rule = Rule { filter: Some("kind <> 'x' OR name = 'A' -- NOCASE".into()), ..Rule::default() };
    plan("people n", "shared", &["id"], columns, rule)
}

const SHARED: &str = "CREATE TABLE shared (pk INTEGER PRIMARY KEY AUTOINCREMENT, system TEXT NOT NULL, ext INTEGER, \
     label UNIQUE, made, extra DEFAULT 'own', UNIQUE (system, ext))";

const SHARED_ROWS: &str = "SELECT system || ext, label, made, extra FROM shared ORDER BY system, ext";

#[tokio::test]
async fn filters_and_expressions_are_the_same_in_copy_and_replay() {
    for chunk in [1, 1_000] {
        let mut rig = Rig::ruled(PEOPLE, SHARED, vec![people()]).await;
        rig.files.target.execute("INSERT INTO shared (system, ext, label) VALUES ('S2', 1, 'other')").await;
        rig.files
            .source
            .execute(
                "INSERT INTO \"people n\" VALUES (1, 'a', 'x', 'k', 1, 0), (2, 'b', 'x', 'k', 1, 0), \
                 (3, 'c', 'y', NULL, 7, 0), (4, 'd', NULL, 'k', 1, 0), (5, 'e', 'z', 'k', 5, 0)",
            )
            .await;
        rig.copy("people n", chunk).await;
        let copied = ["S11AK1made xown", "S13C7made yown", "S15EK5made zown", "S21other-own"];
        let copied = copied.map(|row| row.replace("AK1", "Ak1").replace("EK5", "Ek5"));
        assert_eq!(there(&rig, SHARED_ROWS).await, copied);
        rig.drain("people n").await;
        assert_eq!(there(&rig, SHARED_ROWS).await, copied);
        rig.files.target.execute("UPDATE shared SET extra = 'kept' WHERE ext = 3").await;
        rig.files
            .source
            .execute(
                "UPDATE \"people n\" SET n = 8, kind = 'new' WHERE id = 3; UPDATE \"people n\" SET kind = 'x' WHERE \
                 id = 5; UPDATE \"people n\" SET kind = 'y' WHERE id = 2; DELETE FROM \"people n\" WHERE id = 1",
            )
            .await;
        rig.drain("people n").await;
        let now = ["S12Bk1made yown", "S13C8made ykept", "S21other-own"];
        assert_eq!(there(&rig, SHARED_ROWS).await, now);
        // Two swap a unique value: lifted out and back, what was written once stays.
        rig.files
            .source
            .execute(
                "UPDATE \"people n\" SET name = 'b', k1 = 'k', n = 1, kind = 'q' WHERE id = 3; UPDATE \"people n\" \
                 SET name = 'c', k1 = NULL, n = 8, kind = 'q' WHERE id = 2",
            )
            .await;
        rig.drain("people n").await;
        assert_eq!(there(&rig, SHARED_ROWS).await, ["S12C8made yown", "S13Bk1made ykept", "S21other-own"]);
        assert_eq!(rig.refused(), Vec::<Key>::new());
    }
}

#[tokio::test]
async fn a_shared_target_is_pruned_of_own_rows_only() {
    let rig = Rig::ruled(PEOPLE, SHARED, vec![people()]).await;
    rig.files.source.execute("INSERT INTO \"people n\" VALUES (1, 'a', 'y', 'k', 1, 0), (2, 'b', 'x', 'k', 2, 0), (9, 'i', 'y', 'k', 9, 0)").await;
    rig.files
        .target
        .execute(
            "INSERT INTO shared (system, ext, label) VALUES ('S2', 7, 'o'), ('S1', 1, 'p'), ('S1', 2, 'q'), \
             ('S1', 3, 'r'), ('S1', 4, 's')",
        )
        .await;
    let table = rig.table("people n");
    let mut keys = keys_stream(&rig, &table).await;
    let mut tx = rig.target.begin().await.unwrap();
    let found = tx.compare_keys(&table, Feed::Stream(&mut keys)).await.unwrap();
    tx.commit().await.unwrap();
    let key = |parts: &[&str]| parts.iter().map(ToString::to_string).collect::<Key>();
    assert_eq!(found.source_only, [key(&["9"])]);
    assert_eq!(found.target_only, [key(&["2", "'S1'"]), key(&["3", "'S1'"]), key(&["4", "'S1'"])]);
    assert_eq!(prune(&rig, &table, &[key(&["3", "'S1'"])]).await, 2);
    assert_eq!(there(&rig, "SELECT system || ext FROM shared ORDER BY 1").await, ["S11", "S13", "S27"]);
}

#[tokio::test]
async fn a_key_that_an_expression_gives_is_found_again_when_its_row_is_gone() {
    let columns = vec![computed("id", "'A-' || t.id", "code", On::Always), same("v", "")];
    let table = plan("t", "u", &["id"], columns, Rule::default());
    let mut rig = Rig::ruled(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE u (code TEXT PRIMARY KEY NOT NULL, v)",
        vec![table.clone()],
    )
    .await;
    rig.files.source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')").await;
    rig.copy("t", 2).await;
    rig.drain("t").await;
    rig.files.source.execute("DELETE FROM t WHERE id = 2; UPDATE t SET id = 7 WHERE id = 3").await;
    rig.drain("t").await;
    assert_eq!(there(&rig, "SELECT code, v FROM u ORDER BY 1").await, ["A-1a", "A-7c"]);
    rig.files.target.execute("INSERT INTO u VALUES ('A-9', 'z'), ('B-1', 'y')").await;
    assert_eq!(prune(&rig, &table, &[vec!["'B-1'".into()]]).await, 1);
    assert_eq!(there(&rig, "SELECT code, v FROM u ORDER BY 1").await, ["A-1a", "A-7c", "B-1y"]);
}

#[tokio::test]
async fn a_row_that_the_rule_stumbles_over_stops_its_table_only() {
    let columns = vec![same("id", "INTEGER"), computed("", "json(v)", "v", On::Always)];
    let table = plan("t", "t", &["id"], columns, Rule::default());
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, v)";
    let rig = Rig::ruled(schema, schema, vec![table.clone()]).await;
    rig.files.source.execute("INSERT INTO t VALUES (1, '{')").await;
    let error = rig.batch("t", LIMITS).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Table, "{error}");
    let origin = &rig.at["t"].0;
    let error = rig.source.states(watch(&table, origin), &[vec!["1".into()]]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Table, "{error}");
    let mut stream = rig.source.stream(watch(&table, origin), &Bounds::all(), Layout::Plain).await.unwrap();
    let error = stream.next().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Table, "{error}");
}

#[tokio::test]
async fn keyless_tables_keep_to_their_rule_and_their_own_rows() {
    let columns = vec![
        computed("", "a * 2", "a", On::Always),
        computed("", "'S1'", "system", On::Always),
        computed("", "b", "first", On::Insert),
    ];
    let table = plan("w", "w", &[], columns, Rule { filter: Some("a > 0".into()), ..Rule::default() });
    let mut rig = Rig::ruled("CREATE TABLE w (a, b)", "CREATE TABLE w (a, system, first)", vec![table]).await;
    rig.files.target.execute("INSERT INTO w VALUES (1, 'S2', 'o')").await;
    rig.files.source.execute("INSERT INTO w VALUES (1, 'x'), (1, 'x'), (0, 'y'), (2, 'z')").await;
    rig.drain("w").await;
    let rows = "SELECT system, a, first FROM w ORDER BY 1, 2, 3";
    assert_eq!(there(&rig, rows).await, ["S12x", "S12x", "S14z", "S21o"]);
    rig.files.source.execute("UPDATE w SET b = 'new'; DELETE FROM w WHERE a = 2").await;
    let applied = rig.drain("w").await;
    assert_eq!((applied.inserted, applied.deleted), (0, 1));
    assert_eq!(there(&rig, rows).await, ["S12x", "S12x", "S21o"]);
    rig.plan.tables[0].rule.on_delete = OnDelete::Keep;
    rig.files.source.execute("DELETE FROM w").await;
    rig.drain("w").await;
    assert_eq!(there(&rig, rows).await.len(), 3);
}

/// A child that finds its parent by the parent's code, which is left behind.
fn child(rule: Rule) -> TablePlan {
    let also = vec![SourceColumn { name: "parent".into(), type_name: "TEXT".into() }];
    let found = lookup(
        "parent_id",
        "SELECT p.id FROM parent AS p WHERE lower(changed.parent) = p.code -- by code",
        On::Always,
    );
    let first = lookup(
        "first",
        "CASE WHEN changed.v = 'bad' THEN json('{') ELSE changed.id || changed.v END",
        On::Insert,
    );
    let columns = vec![same("id", "INTEGER"), same("v", "TEXT")];
    plan("child", "child", &["id"], columns, Rule { also, lookups: vec![found, first], ..rule })
}

const CHILD: &str = "CREATE TABLE child (id INTEGER PRIMARY KEY, v TEXT UNIQUE, parent TEXT COLLATE NOCASE)";

const PARENT: &str = "CREATE TABLE parent (id INTEGER PRIMARY KEY, code); INSERT INTO parent VALUES (10, 'a'), (20, 'b'); \
     CREATE TABLE child (id INTEGER PRIMARY KEY, v TEXT UNIQUE, parent_id NOT NULL, first, extra DEFAULT 'own')";

const CHILDREN: &str = "SELECT id, v, parent_id, first, extra FROM child ORDER BY id";

#[tokio::test]
async fn lookups_are_computed_per_row_and_written_when_they_should_be() {
    let mut rig = Rig::ruled(CHILD, PARENT, vec![child(Rule::default())]).await;
    rig.files.source.execute("INSERT INTO child VALUES (1, 'x', 'A'), (2, 'y', 'b')").await;
    rig.copy("child", 1_000).await;
    assert_eq!(there(&rig, CHILDREN).await, ["1x101xown", "2y202yown"]);
    rig.drain("child").await;
    rig.files.target.execute("UPDATE child SET extra = 'kept'").await;
    rig.files.source.execute("UPDATE child SET v = 'z', parent = 'b' WHERE id = 1").await;
    rig.drain("child").await;
    assert_eq!(there(&rig, CHILDREN).await, ["1z201xkept", "2y202ykept"]);
    // A swap of unique values, and one more row.
    rig.files
        .source
        .execute(
            "UPDATE child SET v = 'q' WHERE id = 1; UPDATE child SET v = 'z', parent = 'a' WHERE id = 2; \
             UPDATE child SET v = 'y' WHERE id = 1; INSERT INTO child VALUES (3, 'n', 'a')",
        )
        .await;
    rig.drain("child").await;
    assert_eq!(there(&rig, CHILDREN).await, ["1y201xkept", "2z102ykept", "3n103nown"]);
    // One whose parent is missing, and one whose lookup stumbles, hold up nobody else.
    rig.files
        .source
        .execute("INSERT INTO child VALUES (4, 'm', 'none'), (5, 'bad', 'a'), (6, 'o', 'b')")
        .await;
    rig.drain("child").await;
    assert_eq!(rig.refused(), [vec!["4".to_string()], vec!["5".to_string()]]);
    assert_eq!(there(&rig, CHILDREN).await[3..], ["6o206oown"]);
}

#[tokio::test]
async fn rows_stay_whose_source_row_is_gone_where_the_rule_says_so() {
    let rule = Rule { on_delete: OnDelete::Keep, ..Rule::default() };
    let mut rig = Rig::ruled(CHILD, PARENT, vec![child(rule)]).await;
    rig.files.source.execute("INSERT INTO child VALUES (1, 'x', 'a'), (2, 'y', 'b'), (3, 'z', 'b')").await;
    rig.copy("child", 1_000).await;
    rig.drain("child").await;
    rig.files
        .source
        .execute(
            "DELETE FROM child WHERE id = 1; UPDATE child SET v = 'q' WHERE id = 2; UPDATE child SET v = 'y' WHERE \
             id = 3; UPDATE child SET v = 'z' WHERE id = 2",
        )
        .await;
    let applied = rig.drain("child").await;
    assert_eq!(applied.deleted, 0);
    assert_eq!(there(&rig, CHILDREN).await, ["1x101xown", "2z202yown", "3y203zown"]);
    let table = rig.table("child");
    assert_eq!(prune(&rig, &table, &[]).await, 0);
    assert_eq!(there(&rig, CHILDREN).await.len(), 3);
}

/// An account with its addresses, by a unique index, and its tags, without one.
fn account(rule: Rule) -> TablePlan {
    let also = vec![
        SourceColumn { name: "mails".into(), type_name: "TEXT".into() },
        SourceColumn { name: "tags".into(), type_name: "TEXT".into() },
    ];
    let owner = "SELECT id FROM account AS a WHERE a.name = changed.name";
    let mails = format!(
        "SELECT ({owner}) AS account, j.key AS nr, j.value AS mail FROM changed, json_each(changed.mails) AS j"
    );
    let tags = "SELECT changed.name AS owner, j.value AS tag FROM changed, json_each(changed.tags) AS j";
    let further = vec![
        into("mail", ("account", owner), &mails, &["account", "nr", "mail"], &["account", "nr"]),
        into("tag", ("owner", "changed.name"), tags, &["owner", "tag"], &[]),
    ];
    plan("account", "account", &["name"], vec![same("name", "TEXT")], Rule { also, into: further, ..rule })
}

const ACCOUNT: &str = "CREATE TABLE account (name TEXT PRIMARY KEY NOT NULL, mails TEXT, tags TEXT)";

const ACCOUNTS: &str = "CREATE TABLE account (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL);
     CREATE TABLE mail (account INTEGER NOT NULL, nr INTEGER, mail TEXT, extra DEFAULT 'own', PRIMARY KEY (account, nr)) WITHOUT ROWID;
     CREATE TABLE tag (owner TEXT, tag INTEGER);
     CREATE TABLE seen (what);
     CREATE TRIGGER mailed AFTER INSERT ON mail BEGIN INSERT INTO seen VALUES (NEW.mail); END;
     INSERT INTO account (id, name) VALUES (5, 'native'); INSERT INTO mail (account, nr, mail) VALUES (5, 0, 'n'); \
     INSERT INTO tag VALUES ('native', 1), (NULL, 2)";

const MAILS: &str = "SELECT account, nr, mail, extra FROM mail ORDER BY account, nr";

const TAGS: &str = "SELECT owner, tag FROM tag ORDER BY owner, tag";

#[tokio::test]
async fn further_targets_hold_just_what_the_select_yields() {
    let mut rig = Rig::ruled(ACCOUNT, ACCOUNTS, vec![account(Rule::default())]).await;
    rig.files
        .source
        .execute("INSERT INTO account VALUES ('a', '[\"x\",\"y\"]', '[\"1\",1,2]'), ('b', '[\"z\"]', NULL)")
        .await;
    rig.copy("account", 1_000).await;
    assert_eq!(there(&rig, MAILS).await, ["50nown", "60xown", "61yown", "70zown"]);
    assert_eq!(there(&rig, TAGS).await, ["-2", "a1", "a1", "a2", "native1"]);
    rig.drain("account").await;
    rig.files
        .target
        .execute("UPDATE mail SET extra = 'kept'; CREATE TABLE tagged AS SELECT rowid AS r FROM tag")
        .await;
    rig.files
        .source
        .execute(
            "UPDATE account SET mails = '[\"x\",\"w\"]', tags = '[1,3]' WHERE name = 'a'; UPDATE account SET mails = \
             '[]' WHERE name = 'b'; INSERT INTO account VALUES ('c', '[\"v\"]', '[9]')",
        )
        .await;
    rig.drain("account").await;
    assert_eq!(there(&rig, MAILS).await, ["50nkept", "60xkept", "61wkept", "80vown"]);
    assert_eq!(there(&rig, TAGS).await, ["-2", "a1", "a3", "c9", "native1"]);
    // The same row was left where it was.
    assert_eq!(
        rig.files
            .target
            .value(
                "SELECT count(*) FROM tag WHERE owner = 'a' AND tag = 1 AND rowid IN (SELECT r FROM tagged)"
            )
            .await,
        "1"
    );
    rig.files.source.execute("DELETE FROM account WHERE name = 'a'").await;
    assert_eq!(rig.drain("account").await.deleted, 1);
    assert_eq!(there(&rig, MAILS).await, ["50nkept", "80vown"]);
    assert_eq!(there(&rig, TAGS).await, ["-2", "c9", "native1"]);
    assert_eq!(rig.files.target.value("SELECT count(*) FROM seen").await, "1");
    // Pruning takes what belongs to a row along.
    let table = rig.table("account");
    assert_eq!(prune(&rig, &table, &[vec!["'b'".into()]]).await, 1);
    assert_eq!(there(&rig, MAILS).await, ["80vown"]);
    assert_eq!(there(&rig, TAGS).await, ["-2", "c9"]);
    assert_eq!(there(&rig, "SELECT name FROM account ORDER BY 1").await, ["b", "c"]);
}

#[tokio::test]
async fn a_row_that_match_would_not_find_or_that_is_in_the_way_is_refused_alone() {
    let mut table = account(Rule::default());
    table.rule.into[1].select =
        "SELECT iif(changed.name = 'b', 'elsewhere', changed.name) AS owner, 1 AS tag FROM changed".into();
    table.rule.into[0].select =
        "SELECT a.id AS account, iif(changed.tags = 'twice', 0, j.key) AS nr, j.value AS mail FROM \
         changed JOIN account AS a ON a.name = changed.name, json_each(changed.mails) AS j"
            .into();
    let mut rig = Rig::ruled(ACCOUNT, ACCOUNTS, vec![table]).await;
    rig.files
        .source
        .execute(
            "INSERT INTO account VALUES ('a', '[\"x\"]', NULL), ('b', '[\"z\"]', NULL), ('c', '{', NULL), \
             ('d', '[1, 2]', 'twice'), ('e', NULL, NULL)",
        )
        .await;
    rig.drain("account").await;
    let refused: Vec<String> = rig.refused().into_iter().flatten().collect();
    assert_eq!(refused, ["'b'", "'c'", "'d'"]);
    assert_eq!(there(&rig, TAGS).await, ["-2", "a1", "e1", "native1"]);
    assert_eq!(there(&rig, "SELECT name FROM account ORDER BY 1").await, ["a", "e", "native"]);
    // Two rows of one key, of which the key's row is there already.
    rig.files
        .source
        .execute("UPDATE account SET mails = '[\"p\",\"q\"]', tags = 'twice' WHERE name = 'a'")
        .await;
    rig.drain("account").await;
    let refused: Vec<String> = rig.refused().into_iter().flatten().collect();
    assert_eq!(refused[3..], ["'a'"]);
    assert_eq!(there(&rig, MAILS).await, ["50nown", "60xown"]);
}

#[tokio::test]
async fn a_key_that_no_index_has_is_captured_and_read() {
    let columns = || vec![same("id", "INTEGER"), same("tenant", "TEXT"), same("u", ""), same("v", "")];
    let mut tables = vec![
        plan("t", "t", &["tenant", "id"], columns(), Rule::default()),
        plan(
            "heap",
            "heap",
            &["a", "b"],
            vec![same("a", "TEXT"), same("b", ""), same("v", "")],
            Rule::default(),
        ),
    ];
    tables[0].rule.filter = Some("v IS NOT 'hidden'".into());
    let schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL COLLATE NOCASE, u UNIQUE, v);
         CREATE TABLE heap (a TEXT NOT NULL, b, v)";
    for wal in [true, false] {
        let mut rig = Rig::unruled(wal, schema, schema, tables.clone()).await;
        rig.install().await;
        assert_eq!(rig.fault("t").await, None);
        let rows = super::rig::series(1, 5_000);
        rig.write(&format!(
            "INSERT INTO t SELECT value, iif(value % 2, 'm', 'N'), value, iif(value % 7 = 0, 'hidden', value) FROM {rows};
             INSERT INTO heap SELECT 'a' || value % 3, value, value FROM {rows}"
        ))
        .await;
        assert_eq!(rig.source.chunks(&rig.table("t"), 1_000).await.unwrap().len(), 5);
        let copied = rig.copy("t", 1_000).await;
        assert_eq!(copied, 5_000 - 714);
        rig.copy("heap", 700).await;
        rig.drain_all().await;
        rig.write(
            "UPDATE t SET tenant = 'n' WHERE id = 2; UPDATE t SET tenant = 'M' WHERE id = 1; REPLACE INTO t VALUES \
             (3, 'other', 3, 'r'), (4, 'x', 5, 's'); UPDATE OR REPLACE t SET id = 10 WHERE id = 8; DELETE FROM t WHERE \
             id = 11; UPDATE t SET v = 1 WHERE id = 14; UPDATE t SET v = 'hidden' WHERE id = 15; UPDATE heap SET a = 'z' \
             WHERE b = 1; DELETE FROM heap WHERE b = 2; INSERT INTO heap VALUES ('q', x'00', 1)",
        )
        .await;
        rig.drain_all().await;
        rig.assert_same("heap").await;
        let visible = "SELECT group_concat(id || tenant || coalesce(u, '') || v) FROM (SELECT * FROM t WHERE v IS NOT \
             'hidden' ORDER BY id)";
        let here = rig.read(visible).await.remove(0).remove(0).unwrap();
        assert_eq!(rig.files.target.value(visible).await, here);
        // A key with NULL finds no row.
        rig.write("INSERT INTO heap VALUES ('a', NULL, 1)").await;
        let error = rig.batch("heap", LIMITS).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Table, "{error}");
        let table = rig.table("heap");
        let origin = &rig.at["heap"].0;
        let error =
            rig.source.stream(watch(&table, origin), &Bounds::all(), Layout::Plain).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Table, "{error}");
    }
}

#[tokio::test]
async fn columns_may_be_left_behind_but_new_ones_are_seen() {
    let table = plan("t", "t", &["id"], vec![same("id", "INTEGER")], Rule::default());
    let rig = Rig::ruled(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, secret TEXT)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        vec![table],
    )
    .await;
    assert_eq!(rig.fault("t").await, None);
    rig.files.source.execute("ALTER TABLE t ADD COLUMN more").await;
    let fault = format!("{:?}", rig.fault("t").await);
    assert!(fault.contains("column more was added"), "{fault}");
}

#[tokio::test]
async fn a_rule_is_tried_and_asked_about_before_anything_is_written() {
    let mut tables = vec![people(), child(Rule::default())];
    let source = format!("{PEOPLE}; {CHILD}");
    let mut rig = Rig::unruled(true, &source, &format!("{SHARED}; {PARENT}"), tables.clone()).await;
    rig.files
        .source
        .execute("INSERT INTO \"people n\" VALUES (1, 'q', 'x', 'k', 1, 0), (2, 'b', 'y', 'k', 1, 0)")
        .await;
    rig.files.source.execute("INSERT INTO child VALUES (1, 'x', 'A'), (2, 'y', 'b'), (3, 'z', 'a')").await;
    let text = |t: &str| Value::Text(t.into());
    let blocks = rig.source.sample(&tables[0], 10).await.unwrap();
    let row = vec![
        Value::Integer(1),
        Value::Integer(1),
        Value::Integer(2),
        Value::Integer(2),
        text("S1"),
        text("Bk1"),
        text("made y"),
    ];
    assert_eq!(blocks[0], Block::Values(vec![row]));
    assert!(matches!(blocks[1], Block::End { rows: 1, .. }));
    tables[0].rule.filter = Some("nothing(here)".into());
    let error = rig.source.sample(&tables[0], 10).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Table);
    assert!(error.to_string().contains("nothing"), "{error}");
    let keys = rig.source.keys_with(&tables[1], "parent", &["'a'".into(), "NULL".into()]).await.unwrap();
    assert_eq!(keys, [vec!["1".to_string()], vec!["3".to_string()]]);
    let yielded =
        rig.target.yields(&tables[1], "SELECT c.parent, c.v || 1 AS both FROM changed AS c -- x").await;
    assert_eq!(yielded.unwrap(), ["parent", "both"]);
    let error = rig.target.yields(&tables[1], "SELECT nothing FROM changed").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Table);
    let asked = rig.target.ask("SELECT code, id, NULL FROM parent ORDER BY id;", 1).await.unwrap();
    assert_eq!(asked, [vec![Some("a".to_string()), Some("10".to_string()), None]]);
    for writes in
        ["DELETE FROM parent", "SELECT 1; DELETE FROM parent", "PRAGMA query_only = OFF; DELETE FROM parent"]
    {
        assert!(rig.target.ask(writes, 1).await.is_err(), "{writes}");
    }
    rig.target.ask("PRAGMA query_only = OFF", 1).await.unwrap();
    assert!(rig.target.ask("DELETE FROM parent", 1).await.is_err());
    assert_eq!(rig.source.ask("SELECT count(*) FROM child", 5).await.unwrap(), [[Some("3".to_string())]]);
    rig.install().await;
    assert_eq!(rig.fault("child").await, None);
}

#[tokio::test]
async fn the_stage_tells_what_stands_and_lets_go_of_numbers() {
    let rig = Rig::ruled(CHILD, PARENT, vec![child(Rule::default())]).await;
    rig.files.source.execute("INSERT INTO child VALUES (1, 'x', 'a'), (2, 'y', 'b'), (3, 'z', 'b')").await;
    rig.files
        .target
        .execute("INSERT INTO child VALUES (2, 'o''k', 20, NULL, 'e'), (3, 'p', 10, 1, 'e')")
        .await;
    let table = rig.table("child");
    let mut tx = staged(&rig, &table).await;
    let standing = tx.standing(&table, &["v".into(), "first".into()]).await.unwrap();
    let some = |text: &str| Some(text.to_string());
    assert_eq!(standing, [(2, vec![some("'o''k'"), None]), (3, vec![some("'p'"), some("1")])]);
    tx.unstage(&table, &[2]).await.unwrap();
    assert_eq!(tx.staged(&table).await.unwrap(), [1, 3]);
    tx.equalise(&table, None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        there(&rig, "SELECT id, v, parent_id FROM child ORDER BY id").await,
        ["1x10", "2o'k20", "3z20"]
    );
}

#[tokio::test]
async fn a_key_that_came_or_went_anew_is_told_from_one_that_changed() {
    let rig = Rig::ruled(CHILD, PARENT, vec![child(Rule::default())]).await;
    rig.files
        .source
        .execute("INSERT INTO child VALUES (1, 'x', 'a'), (2, 'y', 'b'), (3, 'z', 'b'), (4, 'w', 'b')")
        .await;
    let table = rig.table("child");
    let batch = rig.batch("child", LIMITS).await.unwrap();
    rig.files
        .source
        .execute(
            "UPDATE child SET v = 'n' WHERE id = 1; DELETE FROM child WHERE id = 2; INSERT INTO child VALUES (2, 'y', \
             'b'); REPLACE INTO child VALUES (5, 'z', 'a')",
        )
        .await;
    let keys: Vec<Key> = (1..=5).map(|id| vec![id.to_string()]).collect();
    let watch = highwater::engine::Watch { table: &table, watermark: &batch.to, origin: &rig.at["child"].0 };
    let renewed = rig.source.renewed(watch, &keys).await.unwrap();
    assert_eq!(renewed.into_iter().flatten().collect::<Vec<_>>(), ["2", "3", "5"]);
}
