//! Every pair of types with values at the limits: each value arrives exactly, or its row is parked, or `plan`
//! blocks the pair. What is compared is read by queries of the test's own.

use std::collections::BTreeSet;

use super::rules::rule;
use crate::support::{Engine, Highwater, Pair};

contract!(
    a_value_of_every_pair_of_types_arrives_exactly_or_is_parked,
    a_value_that_a_rule_computes_arrives_exactly_or_is_parked,
    a_parked_value_that_fits_again_arrives,
    a_lossy_column_takes_what_its_type_makes_of_a_value,
);

/// What kind of values a type has, for the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Number,
    Time,
    Text,
    /// SQLite's columns: each value has a class of its own.
    Any,
}

use Family::{Any, Number, Text, Time};

/// A type with values at its limits, as SQL.
struct Type {
    name: &'static str,
    family: Family,
    values: &'static [&'static str],
}

const fn of(name: &'static str, family: Family, values: &'static [&'static str]) -> Type {
    Type { name, family, values }
}

const POSTGRES: &[Type] = &[
    of("integer", Number, &["2147483647", "16777217"]),
    of("bigint", Number, &["-9223372036854775808", "9223372036854775807", "9007199254740993", "1"]),
    of("numeric", Number, &["1.0", "0.30000000000000004", "12345678901234567890.5", "-0.05", "'NaN'"]),
    of("numeric(12,4)", Number, &["99999999.9999", "0.5000", "7"]),
    of("numeric(12,1)", Number, &["0.5", "-99999999999.9", "3"]),
    of("real", Number, &["0.1", "16777216", "3.4028235e38", "-1.5"]),
    of("double precision", Number, &["0.1", "0.5", "1e300", "9007199254740993", "0.30000000000000004"]),
    of("text", Text, &["''", "'7'", "'007'", "'0.5'", "'abc  '", "'2024-02-29'", "'abcdefghij'"]),
    of("varchar(5)", Text, &["'a    '", "'1.50'", "'abcde'"]),
    of("varchar(3)", Text, &["'abc'", "''", "'5'"]),
    of("char(5)", Text, &["'ab'", "'abcde'", "'7'"]),
    of("char(3)", Text, &["'ab'", "'abc'"]),
    of("timestamp", Time, &["'2024-02-29 23:59:59.999999'", "'2024-01-01'", "'0044-03-15 BC'"]),
    of("timestamp(0)", Time, &["'2024-02-29 23:59:59'", "'1970-01-01'"]),
    of("timestamptz", Time, &["'2024-02-29 23:59:59.5+05'", "'2024-01-01 00:00+00'"]),
    of("timestamptz(3)", Time, &["'2024-02-29 23:59:59.125+05'"]),
    of("date", Time, &["'2024-02-29'", "'0001-01-01'"]),
    of("time", Text, &["'23:59:59.999999'", "'10:00'"]),
    of("time(0)", Text, &["'23:59:59'"]),
    of("interval", Text, &["'1 day 00:00:00.5'", "'1 mon'"]),
    of("boolean", Text, &["true", "false"]),
    of("uuid", Text, &["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"]),
    of("jsonb", Text, &["'{\"a\": 1.50}'", "'7'"]),
    of("json", Text, &["'{\"a\":  1, \"a\": 2}'", "'7'"]),
];

const SQLITE_VALUES: &[&str] = &[
    "7",
    "-9223372036854775808",
    "9007199254740993",
    "0.5",
    "5.0",
    "0.30000000000000004",
    "1e300",
    "'7'",
    "'007'",
    "'1e3'",
    "'0.5'",
    "'abc '",
    "''",
    "x'37'",
];

const SQLITE: &[Type] = &[
    of("INTEGER", Any, SQLITE_VALUES),
    of("REAL", Any, SQLITE_VALUES),
    of("VARCHAR(3)", Any, SQLITE_VALUES),
    of("BLOB", Any, SQLITE_VALUES),
    of("DECIMAL(5,1)", Any, SQLITE_VALUES),
];

const MYSQL: &[Type] = &[
    of("tinyint", Number, &["-128", "7"]),
    of("int unsigned", Number, &["4294967295", "16777217"]),
    of("bigint", Number, &["-9223372036854775808", "9007199254740993", "1"]),
    of("decimal(12,4)", Number, &["99999999.9999", "0.5", "7"]),
    of("decimal(12,1)", Number, &["0.5", "-99999999999.9", "3"]),
    of("decimal(40,20)", Number, &["0.30000000000000004", "12345678901234567890.5", "2"]),
    of("float", Number, &["0.5", "16777216", "-1.5"]),
    of("double", Number, &["0.1", "0.5", "1e300", "9007199254740993"]),
    of("double(10,2)", Number, &["0.25", "-7"]),
    of("datetime(6)", Time, &["'2024-02-29 23:59:59.999999'", "'2024-01-01'", "'0001-01-01'"]),
    of("datetime", Time, &["'2024-02-29 23:59:59'", "'9999-12-31'"]),
    of("timestamp(3) NULL", Time, &["'2024-02-29 23:59:59.125'"]),
    of("date", Time, &["'2024-02-29'", "'1000-01-01'"]),
    of("time(3)", Time, &["'-838:59:58.125'", "'10:00:00'"]),
    of("time", Time, &["'838:59:59'"]),
    of("varchar(10) CHARACTER SET utf8mb4", Text, &["'abcdefghij'", "'ab   '", "'ü漢😀'", "'7'", "'it''s'"]),
    of("varchar(3) CHARACTER SET utf8mb4", Text, &["'abc'", "'a '", "'漢'"]),
    of("varchar(10) CHARACTER SET latin1", Text, &["'äö  '", "'x'"]),
    of("char(5) CHARACTER SET utf8mb4", Text, &["'ab'", "'äbcde'"]),
    of("text CHARACTER SET latin1", Text, &["'ä  '"]),
    of("enum('a','b','') CHARACTER SET utf8mb4", Text, &["'b'", "''"]),
    of("enum('b','c') CHARACTER SET latin1", Text, &["'b'", "'c'"]),
    of("set('x','y','z') CHARACTER SET utf8mb4", Text, &["'x,z'", "''"]),
    of("set('y','x') CHARACTER SET utf8mb4", Text, &["'y,x'", "'x'"]),
    of("year", Number, &["2024", "0"]),
    of("bit(9)", Number, &["b'101'"]),
];

/// Types of which a rule's value is not compared, or has a text of its own.
const ODD_IN_RULES: [&str; 5] = ["real", "float", "boolean", "double", "double(10,2)"];

impl Type {
    fn all(engine: Engine) -> &'static [Type] {
        engine.pick(POSTGRES, SQLITE, MYSQL)
    }

    /// The column as a text that tells values apart, beside one of another type.
    fn shown(&self, engine: Engine, other: &Type, column: &str) -> String {
        let is_double = [self.name, other.name].contains(&"double precision");
        match (engine, self.family) {
            (Engine::Sqlite, _) => format!("typeof({column}) || ':' || quote({column})"),
            (Engine::Postgres, Number) if self.name == "real" && is_double => {
                format!("{column}::double precision::text")
            }
            (Engine::Postgres, Time) if other.family == Time => {
                format!("to_char({column}::timestamp, 'YYYY-MM-DD HH24:MI:SS.US BC')")
            }
            (Engine::Postgres, _) => format!("{column}::text"),
            (_, Number | Time) if other.family == Text => format!("HEX(CAST({column} AS CHAR))"),
            (_, Number) if self.name == "float" => format!("CAST({column} + 0e0 AS CHAR)"),
            (_, Number) if self.name.starts_with("bit") => format!("CAST({column} + 0 AS CHAR)"),
            (_, Number) => format!("CAST({column} AS CHAR)"),
            (_, Time) if self.name == "date" => format!("CONCAT({column}, ' 00:00:00.000000')"),
            (_, Time) => format!("RPAD(CONCAT({column}, IF(INSTR({column}, '.'), '', '.')), 26, '0')"),
            (_, _) => format!("HEX(CONVERT({column} USING utf8mb4))"),
        }
    }
}

/// Whether two values, as [`Type::shown`] shows them, are the same. A number and a text are where one is what
/// the other looks like.
fn same(engine: Engine, from: &Type, to: &Type, source: Option<&str>, target: Option<&str>) -> bool {
    let (Some(source), Some(target)) = (source, target) else { return source == target };
    match (from.family, to.family) {
        (Number, Number) => {
            decimal(source) == decimal(target) || whole(source).is_some() && whole(source) == whole(target)
        }
        (Any, Any) => same_in_sqlite(source, target),
        (Text, Text)
            if engine == Engine::Postgres && [from, to].iter().any(|t| t.name.starts_with("char")) =>
        {
            source.trim_end_matches(' ') == target.trim_end_matches(' ')
        }
        // A SET's members have the order of its definition.
        (Text, Text) if [from, to].iter().all(|t| t.name.starts_with("set")) => {
            members(source) == members(target)
        }
        _ => source == target,
    }
}

fn members(shown: &str) -> BTreeSet<String> {
    shown.split("2C").map(str::to_string).collect()
}

fn same_in_sqlite(source: &str, target: &str) -> bool {
    let parts = |shown: &str| {
        let (class, literal) = shown.split_once(':').expect("a class");
        (class.to_string(), literal.trim_matches('\'').to_string())
    };
    let ((class, value), (other, made)) = (parts(source), parts(target));
    let is_number = |class: &str| ["integer", "real"].contains(&class);
    match (is_number(&class), is_number(&other)) {
        (true, true) if class == other => value == made,
        (true, true) => whole(&value) == whole(&made),
        // SQLite shows a floating point number as a text of at most 15 digits.
        (true, false) if other == "text" => decimal(&value) == decimal(&made),
        (false, true) if class == "text" => value == made || format!("{value}.0") == made,
        _ => class == other && value == made,
    }
}

/// A whole number; a floating point number is exactly one.
fn whole(text: &str) -> Option<i128> {
    let real = text.parse::<f64>().ok().filter(|real| real.fract() == 0.0 && real.abs() < 1e30);
    text.parse().ok().or(real.map(|real| real as i128))
}

/// A number without signs, exponents and zeros that say nothing.
fn decimal(text: &str) -> String {
    let lower = text.to_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let Ok(exponent) = exponent.parse::<i64>() else { return lower };
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    let point = exponent - fraction.len() as i64 + (significant.len() - trimmed.len()) as i64;
    if trimmed.is_empty() { "0".to_string() } else { format!("{sign}{trimmed}e{point}") }
}

/// A table for each type, with a column that goes to each other type, and a row for each value of each column.
struct Tables {
    engine: Engine,
    pair: Pair,
    /// Pairs of types, by their places, that are left out or that `plan` blocks.
    blocked: BTreeSet<(usize, usize)>,
}

impl Tables {
    /// A sixth of all pairs, by chance, or all of them.
    async fn new(engine: Engine) -> Tables {
        let types = Type::all(engine);
        let sixth = if std::env::var_os("HIGHWATER_VALUES").is_some() {
            None
        } else {
            Some(rand::random_range(0..6))
        };
        println!("pairs whose places make {sixth:?} modulo 6");
        let is_left_out = |i: usize, j: usize| i != j && sixth.is_some_and(|sixth| (i + j) % 6 != sixth);
        let all = (0..types.len()).flat_map(|i| (0..types.len()).map(move |j| (i, j)));
        let blocked = all.filter(|(i, j)| is_left_out(*i, *j)).collect();
        let tables = Tables { engine, pair: engine.pair().await, blocked };
        for (i, from) in types.iter().enumerate() {
            let columns = |kind: fn(&'static Type, &'static Type) -> &'static str| {
                let of_table = tables.pairs().filter(|(own, _)| *own == i);
                of_table.map(|(_, j)| format!(", c{j} {}", kind(from, &types[j]))).collect::<String>()
            };
            let [sources, targets] = [columns(|from, _| from.name), columns(|_, to| to.name)];
            for (side, columns) in [(&tables.pair.source, sources), (&tables.pair.target, targets)] {
                side.execute(&format!("CREATE TABLE v{i} (id INTEGER PRIMARY KEY{columns})")).await;
            }
        }
        tables
    }

    /// Drops the pairs that `plan` blocks.
    async fn drop_blocked(&mut self, highwater: &Highwater) {
        let plan = highwater.run(&["plan", "--json"]).await;
        let blockers = plan.json()["databases"][0]["plan"]["blockers"].to_string();
        for (i, j) in self.pairs().collect::<Vec<_>>() {
            if !blockers.contains(&format!("v{i}.c{j} is ")) {
                continue;
            }
            assert!(i != j, "{} into itself is blocked", Type::all(self.engine)[i].name);
            self.blocked.insert((i, j));
            for side in [&self.pair.source, &self.pair.target] {
                side.execute(&format!("ALTER TABLE v{i} DROP COLUMN c{j}")).await;
            }
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let all = Type::all(self.engine).len();
        (0..all).flat_map(move |i| (0..all).map(move |j| (i, j))).filter(|pair| !self.blocked.contains(pair))
    }

    /// A rule for a table that computes its columns. Left out is where the rule's value is read as one of another
    /// kind, which is what the rule says.
    fn rule_of(&mut self, i: usize) -> String {
        let types = Type::all(self.engine);
        let is_text = |name: &str| ["text", "varchar", "char"].iter().any(|text| name.starts_with(text));
        let is_told = |to: &Type| {
            let is_alike = types[i].family == to.family && to.family != Text;
            let is_odd = ODD_IN_RULES.iter().any(|kind| [types[i].name, to.name].contains(kind));
            types[i].name == to.name || ((is_alike || is_text(to.name)) && !is_odd && to.name != "date")
        };
        let (mut columns, mut drop) = (String::new(), Vec::new());
        for (_, j) in self.pairs().filter(|(from, _)| *from == i).collect::<Vec<_>>() {
            if is_told(&types[j]) {
                columns += &format!("c{j} = {{ source = \"c{j}\" }}\n");
            } else {
                drop.push(format!("\"c{j}\""));
                self.blocked.insert((i, j));
            }
        }
        format!("[[table]]\nname = \"v{i}\"\ndrop = [{}]\n[table.columns]\n{columns}", drop.join(", "))
    }

    /// Inserts a row for each value of each column. Keys are those of no other table.
    async fn insert(&self, first: usize) {
        let mut id = first;
        for (i, j) in self.pairs() {
            let rows: Vec<String> = Type::all(self.engine)[i]
                .values
                .iter()
                .map(|value| {
                    id += 1;
                    format!("({id}, {value})")
                })
                .collect();
            let sql = format!("INSERT INTO v{i} (id, c{j}) VALUES {}", rows.join(", "));
            self.pair.source.execute(&sql).await;
        }
    }

    /// Gives each row the value of the next one of its column.
    async fn rotate(&self, first: usize) {
        let mut id = first;
        for (i, j) in self.pairs() {
            let Type { values, name: kind, .. } = Type::all(self.engine)[i];
            let cases: String = (0..values.len())
                .map(|n| {
                    id += 1;
                    let value = values[(n + 1) % values.len()];
                    let typed = format!("CAST({value} AS {kind})");
                    format!(" WHEN id = {id} THEN {}", self.engine.pick(typed.as_str(), value, value))
                })
                .collect();
            let (from, to) = (id + 1 - values.len(), id);
            let sql = format!("UPDATE v{i} SET c{j} = CASE{cases} END WHERE id BETWEEN {from} AND {to}");
            self.pair.source.execute(&sql).await;
        }
    }

    /// The keys of parked rows.
    async fn parked(&self) -> BTreeSet<String> {
        let ledger =
            self.engine.pick("highwater_ledger.parked", "highwater_ledger_parked", "highwater_ledger_parked");
        let keys = self.pair.target.rows_as_text(&format!("SELECT key_json FROM {ledger}")).await;
        let digits = |key: &str| key.chars().filter(char::is_ascii_digit).collect::<String>();
        keys.iter().filter_map(|row| row[0].as_deref().map(digits)).collect()
    }

    /// Compares each value; returns how many arrived.
    async fn check(&self) -> usize {
        let parked = self.parked().await;
        let mut arrived = 0;
        for (i, j) in self.pairs() {
            let (from, to) = (&Type::all(self.engine)[i], &Type::all(self.engine)[j]);
            let read = |kind: &Type, other: &Type| {
                let shown = kind.shown(self.engine, other, &format!("c{j}"));
                format!("SELECT CAST(id AS CHAR(9)), {shown} FROM v{i} WHERE c{j} IS NOT NULL ORDER BY id")
            };
            let source = self.pair.source.rows_as_text(&read(from, to)).await;
            let target = self.pair.target.rows_as_text(&read(to, from)).await;
            for row in source {
                let id = row[0].as_deref().unwrap_or_default().trim();
                if parked.contains(id) {
                    assert!(i != j, "{} into itself is parked: {row:?}", from.name);
                    continue;
                }
                let made = target.iter().find(|r| r[0].as_deref().map(str::trim) == Some(id));
                let made = made.and_then(|r| r[1].as_deref());
                assert!(
                    same(self.engine, from, to, row[1].as_deref(), made),
                    "{} into {}: {:?} became {made:?}",
                    from.name,
                    to.name,
                    row[1]
                );
                arrived += 1;
            }
        }
        arrived
    }
}

async fn a_value_of_every_pair_of_types_arrives_exactly_or_is_parked(engine: Engine) {
    let mut tables = Tables::new(engine).await;
    let highwater = Highwater::new(&tables.pair);
    tables.drop_blocked(&highwater).await;
    tables.insert(0).await;
    highwater.run(&["copy"]).await.ok();
    let copied = tables.check().await;
    tables.insert(10_000).await;
    tables.rotate(0).await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("parked");
    let replayed = tables.check().await;
    assert!(copied > 20 && replayed > copied, "{copied} were copied, {replayed} were replayed");
}

async fn a_value_that_a_rule_computes_arrives_exactly_or_is_parked(engine: Engine) {
    let mut tables = Tables::new(engine).await;
    let highwater = Highwater::new(&tables.pair);
    tables.drop_blocked(&highwater).await;
    let rules: String = (0..Type::all(engine).len()).map(|i| tables.rule_of(i)).collect();
    let highwater = rule(highwater, &rules);
    tables.insert(0).await;
    highwater.run(&["copy"]).await.ok();
    let copied = tables.check().await;
    tables.insert(10_000).await;
    tables.rotate(0).await;
    highwater.run(&["final-sync"]).await.expect_code(4).says("parked");
    let replayed = tables.check().await;
    assert!(copied > 20 && replayed > copied, "{copied} were copied, {replayed} were replayed");
}

/// A column whose type changes, a value that fits the new type, and one that does not.
struct Narrowed {
    source: &'static str,
    target: &'static str,
    fits: &'static str,
    misfits: &'static str,
    becomes: &'static str,
}

impl Narrowed {
    fn of(engine: Engine) -> Narrowed {
        if engine == Engine::Sqlite {
            let [source, target] = ["TEXT", "INTEGER"];
            return Narrowed { source, target, fits: "'5'", misfits: "'00314'", becomes: "314" };
        }
        let [source, target] = ["DECIMAL(12,4)", "DECIMAL(12,1)"];
        Narrowed { source, target, fits: "1.5", misfits: "31.4159", becomes: "31.4" }
    }

    async fn pair(&self, engine: Engine) -> Pair {
        let pair = engine.pair().await;
        for (side, kind) in [(&pair.source, self.source), (&pair.target, self.target)] {
            side.execute(&format!("CREATE TABLE t (id INTEGER PRIMARY KEY, n {kind}, note VARCHAR(20))"))
                .await;
        }
        let (fits, misfits) = (self.fits, self.misfits);
        let rows = format!("INSERT INTO t VALUES (1, {fits}, 'a'), (2, {misfits}, 'b'), (3, NULL, 'c')");
        pair.source.execute(&rows).await;
        pair
    }
}

async fn a_parked_value_that_fits_again_arrives(engine: Engine) {
    let narrowed = Narrowed::of(engine);
    let pair = narrowed.pair(engine).await;
    let highwater = Highwater::new(&pair);
    highwater.run(&["plan"]).await.ok().says("a row with a value that would change is parked");
    highwater.run(&["copy"]).await;
    assert_eq!(pair.target.value("SELECT count(*) FROM t").await, "2", "the others arrived");
    let misfits = narrowed.misfits;
    pair.source
        .execute(&format!("UPDATE t SET n = {misfits} WHERE id = 1; INSERT INTO t VALUES (4, {misfits}, 'd'), (5, {misfits}, 'e')"))
        .await;
    let output = highwater.run(&["final-sync"]).await.expect_code(4).says("the value would change in");
    let digits = misfits.trim_matches('\'');
    assert!(!output.stdout.contains(digits) && !output.stderr.contains(digits), "{}", output.stdout);
    let stands = format!("SELECT count(*) FROM t WHERE id = 1 AND n = {}", narrowed.fits);
    assert_eq!(pair.target.value(&stands).await, "1", "what stood there stays");
    let fits = narrowed.fits;
    pair.source
        .execute(&format!("UPDATE t SET n = {fits} WHERE id IN (1, 2); UPDATE t SET n = NULL WHERE id = 4; DELETE FROM t WHERE id = 5"))
        .await;
    highwater.run(&["final-sync"]).await.ok();
    let notes = "SELECT count(*) FROM t WHERE n IS NOT NULL";
    assert_eq!(pair.target.value(notes).await, "2");
    assert_eq!(pair.target.value("SELECT count(*) FROM t").await, "4");
}

async fn a_lossy_column_takes_what_its_type_makes_of_a_value(engine: Engine) {
    let narrowed = Narrowed::of(engine);
    let pair = narrowed.pair(engine).await;
    let text = "[[table]]\nname = \"t\"\n[table.columns]\nn = { lossy = true }\n";
    let highwater = rule(Highwater::new(&pair), text);
    highwater.run(&["plan"]).await.ok().says("lossy = true");
    highwater.run(&["copy"]).await.ok();
    let made = format!("SELECT count(*) FROM t WHERE n = {}", narrowed.becomes);
    assert_eq!(pair.target.value(&made).await, "1");
    pair.source.execute(&format!("UPDATE t SET n = {} WHERE id = 3", narrowed.misfits)).await;
    highwater.run(&["final-sync"]).await.ok();
    assert_eq!(pair.target.value(&made).await, "2");
}
