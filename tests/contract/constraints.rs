//! CHECK constraints that the upgrade added: `plan` says beforehand which rows of production break them.

use serde_json::Value;

use crate::support::{Engine, Highwater, Pair};

contract!(
    rows_that_break_a_new_check_are_counted,
    only_rows_that_are_carried_count,
    conditions_are_read_as_they_were_written,
    what_cannot_be_counted_is_said,
    new_columns_tell_their_default,
);

/// What `plan` says of the differences of table `t`.
struct Changes(Vec<Value>);

impl Changes {
    async fn of(highwater: &Highwater, code: i32) -> Changes {
        let plan = highwater.run(&["plan", "--json"]).await.expect_code(code).json();
        let tables = plan["databases"][0]["diff"].as_array().expect("a list").clone();
        let table = tables.into_iter().find(|t| t["table"] == "t").expect("table t");
        Changes(table["changes"].as_array().expect("a list").clone())
    }

    /// The only one that says `text`.
    fn about(&self, text: &str) -> &Value {
        let mut found = self.0.iter().filter(|c| c["what"].as_str().unwrap().contains(text));
        let one = found.next().unwrap_or_else(|| panic!("{text} is not in {:#?}", self.0));
        assert!(found.next().is_none(), "{text} is twice in {:#?}", self.0);
        one
    }

    fn say_nothing_of(&self, text: &str) {
        assert!(!self.0.iter().any(|c| c.to_string().contains(text)), "{text} is in {:#?}", self.0);
    }
}

fn columns(pair: &Pair, columns: &str) -> Highwater {
    let rule = format!("[[database.main.table]]\nname = \"t\"\n[database.main.table.columns]\n{columns}\n");
    Highwater::new(pair).text(&rule)
}

async fn tables(engine: Engine, source: &str, target: &str) -> Pair {
    let pair = engine.pair().await;
    pair.source.execute(source).await;
    pair.target.execute(target).await;
    pair
}

/// NULL breaks none, and what is told is what comes to pass.
async fn rows_that_break_a_new_check_are_counted(engine: Engine) {
    let pair = tables(
        engine,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, qty INTEGER, kind VARCHAR(10), CHECK (id > 0));
         INSERT INTO t VALUES (1, 5, 'a'), (2, -1, 'b'), (3, NULL, 'c'), (4, 0, NULL)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, amount INTEGER, kind VARCHAR(20), CHECK (id > 0),
            CONSTRAINT amount_positive CHECK (amount > 0), CONSTRAINT kinds CHECK (kind IN ('a', 'b', 'c')))",
    )
    .await;
    let highwater = columns(&pair, "amount = \"qty\"");
    let changes = Changes::of(&highwater, 0).await;
    let broken = changes.about("amount_positive");
    assert_eq!(broken["misfits"], 2, "{broken}");
    let examples: Vec<&str> =
        broken["examples"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(examples, ["id 2, amount -1", "id 4, amount 0"]);
    assert_eq!(changes.about("kinds")["misfits"], 0);
    changes.say_nothing_of("id > 0");
    highwater.run(&["plan"]).await.ok().says("will be parked; 2 rows don't fit, such as id 2, amount -1");
    highwater.run(&["copy"]).await.ok();
    highwater.run(&["final-sync"]).await.expect_code(4).says("2 rows are parked");
    assert_eq!(pair.target.value("SELECT count(*) FROM t").await, "2");
}

async fn only_rows_that_are_carried_count(engine: Engine) {
    let pair = tables(
        engine,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER);
         INSERT INTO t VALUES (1, 1, 20), (2, 20, 1), (3, 1, 1), (4, 20, 20)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER CHECK (a > 10), b INTEGER)",
    )
    .await;
    // The target's `a` is the source's `b`.
    let swapped = "a = \"b\"\nb = \"a\"";
    assert_eq!(Changes::of(&columns(&pair, swapped), 0).await.about("a new CHECK")["misfits"], 2);
    let rule = "[[database.main.table]]\nname = \"t\"\nwhere = \"t.a > 10 OR t.b > 10\"\n\
                [database.main.table.columns]\na = \"b\"\nb = \"a\"\n";
    let changes = Changes::of(&Highwater::new(&pair).text(rule), 0).await;
    let broken = changes.about("a new CHECK");
    assert_eq!((&broken["misfits"], &broken["examples"][0]), (&1.into(), &"id 2, a 1".into()), "{broken}");
}

/// Quotes, back-slashes, brackets and letters that the servers' own lists of conditions garble.
async fn conditions_are_read_as_they_were_written(engine: Engine) {
    let back_slash = engine.pick("\\", "\\", "\\\\");
    let pair = tables(
        engine,
        &format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, w VARCHAR(20), x VARCHAR(20));
             INSERT INTO t VALUES (1, 'it''s {back_slash} (ü', 'x'), (2, 'ü', 'x'), (3, 'x', 'it''s {back_slash} (ü')"
        ),
        &format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, w VARCHAR(20), x VARCHAR(20),
             CONSTRAINT odd CHECK (w <> 'it''s {back_slash} (ü' OR w = 'CHECK (x)' OR x = ')'),
             CONSTRAINT even CHECK ((x <> 'it''s {back_slash} (ü')))"
        ),
    )
    .await;
    let changes = Changes::of(&Highwater::new(&pair), 0).await;
    for (name, id) in [("odd", 1), ("even", 3)] {
        let broken = changes.about(&format!("CHECK {name}"));
        assert_eq!(broken["misfits"], 1, "{broken}");
        assert!(broken["examples"][0].as_str().unwrap().starts_with(&format!("id {id}, ")), "{broken}");
    }
}

async fn what_cannot_be_counted_is_said(engine: Engine) {
    let pair = tables(
        engine,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, qty INTEGER, price DECIMAL(10,2), other INTEGER, CHECK (qty > 0));
         INSERT INTO t VALUES (1, 1, 0.04, 3)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, qty INTEGER, price INTEGER, other INTEGER, extra INTEGER,
            CHECK (qty > 0), CONSTRAINT costs CHECK (price > 0), CONSTRAINT mixed CHECK (other > 5 OR extra > 5))",
    )
    .await;
    let highwater = columns(&pair, "qty = { source = \"qty - 1\" }\nprice = { source = \"price * 1\" }");
    let changes = Changes::of(&highwater, 0).await;
    let why = |text: &str| changes.about(text)["uncounted"].as_str().unwrap_or_default().to_string();
    // The source has the same condition, but of other values.
    assert!(why("qty").contains("the rule computes qty"), "{}", why("qty"));
    assert!(why("costs").contains("the rule computes price"), "{}", why("costs"));
    assert!(why("mixed").contains("extra is the target's own"), "{}", why("mixed"));
    assert_eq!(changes.about("mixed").get("misfits"), Some(&Value::Null));
    highwater.run(&["plan"]).await.ok().says("not counted: the rule computes qty");
}

async fn new_columns_tell_their_default(engine: Engine) {
    let expression = engine.pick("abs(-7)", "(abs(-7))", "(abs(-7))");
    let pair = tables(
        engine,
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        &format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, state VARCHAR(5) DEFAULT 'N' CHECK (state IN ('N', 'Y')),
             n INTEGER NOT NULL DEFAULT 7, much INTEGER DEFAULT {expression}, blank INTEGER)"
        ),
    )
    .await;
    let changes = Changes::of(&Highwater::new(&pair), 0).await;
    for (column, value) in [
        ("state (", "get its default, 'N'"),
        ("n (", "get its default, 7"),
        ("much (", "get its default, abs("),
        ("blank (", "get NULL"),
    ] {
        let said = changes.0.iter().filter_map(|c| c["what"].as_str());
        let said: Vec<&str> = said.filter(|w| w.starts_with(column)).collect();
        assert!(said.len() == 1 && said[0].contains(value), "{column} {value}: {said:?}");
    }
    changes.say_nothing_of("CHECK");
}

/// What only PostgreSQL has: domains, conditions that old rows were not held to, functions, other labels.
#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_has_besides() {
    let pair = tables(
        Engine::Postgres,
        "CREATE TYPE mood AS ENUM ('fine');
         CREATE FUNCTION is_good(x int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE TABLE t (id int PRIMARY KEY, a int, b int, m mood);
         INSERT INTO t VALUES (1, 1, 1, 'fine'), (2, -2, -2, 'fine'), (3, 30, 5, NULL);
         ALTER TABLE t ADD CONSTRAINT b_good CHECK (b > 0) NOT VALID",
        "CREATE TYPE mood AS ENUM ('fine', 'new');
         CREATE FUNCTION is_good(x int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT x > 0';
         CREATE DOMAIN above AS int CHECK (VALUE > 0);
         CREATE DOMAIN small AS above CONSTRAINT is_small CHECK (VALUE < 10);
         CREATE TABLE t (id int PRIMARY KEY, a small, b int CONSTRAINT b_good CHECK (b > 0), m mood,
            CONSTRAINT good CHECK (is_good(b)), CONSTRAINT moody CHECK (m <> 'new'))",
    )
    .await;
    let changes = Changes::of(&Highwater::new(&pair), 0).await;
    assert_eq!(changes.about("is_small")["misfits"], 1);
    assert_eq!(changes.about("above_check")["examples"][0], "id 2, a -2");
    assert_eq!(changes.about("b_good")["misfits"], 1, "production's own row broke it before");
    let why = |text: &str| changes.about(text)["uncounted"].to_string();
    assert!(why("CHECK good").contains("public.is_good may be another function"), "{}", why("CHECK good"));
    assert!(why("moody").contains("invalid input value for enum"), "{}", why("moody"));
}

/// Where a column compares in another way, the same words may say something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_condition_is_not_asked_of_columns_that_compare_otherwise() {
    for (engine, from, to) in [
        (Engine::Sqlite, "VARCHAR(9)", "VARCHAR(9) COLLATE NOCASE"),
        (Engine::Sqlite, "INTEGER", "TEXT"),
        (Engine::Postgres, "text COLLATE \"POSIX\"", "text"),
        (Engine::Mariadb, "VARCHAR(9) COLLATE utf8mb4_bin", "VARCHAR(9) COLLATE utf8mb4_general_ci"),
        (Engine::Mysql, "VARCHAR(9) COLLATE utf8mb4_bin", "VARCHAR(9) COLLATE utf8mb4_general_ci"),
    ] {
        let charset = if engine.is_mysql() { " CHARACTER SET utf8mb4" } else { "" };
        let pair = tables(
            engine,
            &format!("CREATE TABLE t (id INTEGER PRIMARY KEY, x {from}){charset}"),
            &format!(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, x {to}, CONSTRAINT c CHECK (x <> '5')){charset}"
            ),
        )
        .await;
        let changes = Changes::of(&Highwater::new(&pair), 0).await;
        let said = changes.about("CHECK c");
        assert!(
            said["uncounted"].as_str().unwrap().contains("compares in another way"),
            "{engine:?}: {said}"
        );
    }
}
