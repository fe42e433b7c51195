//! What is said of tables, checkpoints and the upgrade.

use super::*;
use crate::model::{On, OnDelete};

/// Settings with `text` in the section of their only database.
fn database(text: &str) -> DatabaseSettings {
    load(&format!("{PAIR}{text}")).unwrap().databases.remove(0)
}

fn faults_in(text: &str) -> String {
    faults_of(&format!("{PAIR}{text}"))
}

const WHOLE: &str = r#"
[[database.identity.table]]
name = "idn_oauth2_access_token"
when = ["source.consumer_key", "target.consumer_key_id"]
target = "tokens"
key = ["access_token"]
where = "token_state = 'ACTIVE' AND created < :as_of"
drop = ["roles"]
on_delete = "keep"
external = ["secret_hash"]
[database.identity.table.columns]
display_name = "name"
tenant_id = { source = "CASE tenant_id WHEN 0 THEN -1 ELSE tenant_id END" }
token_id = { target = "gen_random_uuid()", on = "insert" }
[[database.identity.table.into]]
target = "scopes"
match = { token_id = "changed.token_id" }
select = "SELECT token_id, s FROM changed"
[database.identity.table.transform]
command = ["enc", "-x"]
fills = ["secret"]
timeout = "5s"

[[database.identity.table]]
name = "idn_oauth2_access_token"

[[database.identity.checkpoint]]
name = "tables"
tables = ["um_domain"]
[[database.identity.checkpoint]]
name = "ids"
sql = "SELECT count(*) FROM um_user"
expect = 0
"#;

#[test]
fn everything_about_a_table_is_read() {
    let database = database(WHOLE);
    let [table, again] = &database.tables[..] else { panic!("two sections") };
    assert_eq!(again.name, table.name);
    assert_eq!(table.when, ["source.consumer_key", "target.consumer_key_id"]);
    assert_eq!(table.target.as_deref(), Some("tokens"));
    assert_eq!((&table.key[..], &table.drop[..]), (&["access_token".into()][..], &["roles".into()][..]));
    assert_eq!(table.filter.as_deref(), Some("token_state = 'ACTIVE' AND created < :as_of"));
    assert_eq!((table.on_delete, &table.external[..]), (OnDelete::Keep, &["secret_hash".to_string()][..]));
    let column = |name: &str| (table.columns[name].given.clone(), table.columns[name].on);
    assert_eq!(column("display_name"), (Given::Column("name".into()), On::Always));
    assert!(matches!(column("tenant_id"), (Given::Source(sql), On::Always) if sql.starts_with("CASE")));
    assert_eq!(column("token_id"), (Given::Target("gen_random_uuid()".into()), On::Insert));
    assert_eq!(table.into[0].matches["token_id"], "changed.token_id");
    let transform = table.transform.as_ref().unwrap();
    assert_eq!((&transform.command[..], transform.timeout.as_secs()), (&["enc".into(), "-x".into()][..], 5));
    let [tables, answer] = &database.checkpoints[..] else { panic!("two checkpoints") };
    assert_eq!(tables.expects, Expectation::Tables(vec!["um_domain".into()]));
    assert!(matches!(&answer.expects, Expectation::Answer { expect, .. } if expect == "0"));
}

#[test]
fn faults_in_rules_are_told_with_what_is_right() {
    let table = "[[database.identity.table]]\nname = \"t\"\n";
    for (text, says) in [
        ("where = \"a < now()\"", "table[0].where: reads the clock (now)"),
        ("where = \"a < CURRENT_TIMESTAMP\"", "write `:as_of`"),
        ("where = \"a < datetime('now')\"", "reads the clock ('now')"),
        ("where = \"random() < a\"", "calls random(), which gives another value each time"),
        (
            "columns.x = { target = \"gen_random_uuid()\" }",
            "columns.x.target: has gen_random_uuid, which gives another",
        ),
        (
            "columns.x = { target = \"COALESCE(changed.a, now())\" }",
            "has now, which gives another value each time",
        ),
        ("where = \"a IN (SELECT b FROM u)\"", "where: reads other rows (SELECT)"),
        ("where = \"row_number() OVER (ORDER BY a) = 1\"", "reads other rows (OVER)"),
        ("where = \"a < :as_off\"", "has `:as_off`; did you mean `:as_of`?"),
        ("where = \"a = 'b\"", "ends within a quote or a comment"),
        ("where = \"a = 1 -- b\"", "ends within a quote or a comment"),
        ("where = \"(a = 1\"", "leaves a parenthesis open"),
        ("where = \"a = 1)\"", "closes a parenthesis that is not open"),
        ("where = \"a = 1;\"", "has a `;`"),
        ("where = \" \"", "where: is empty"),
        ("on_delete = \"keeep\"", "did you mean \"keep\"?"),
        ("when = [\"source\"]", "is not a column such as \"source.NAME\""),
        ("key = [\"a\", \"a\"]", "key: names \"a\" twice"),
        ("drop = \"a\"", "drop: a text is not a list of names"),
        ("kye = [\"a\"]", "table[0].kye: unknown key; did you mean `key`?"),
        ("columns = { a = 3 }", "columns.a: a number is not the name of a source column"),
        ("columns = { a = { source = \"b\", target = \"c\" } }", "columns.a.target: stands beside `source`"),
        ("columns = { a = { on = \"insert\" } }", "columns.a: has no value"),
        ("columns = { a = { source = \"b\", on = \"inset\" } }", "did you mean \"insert\"?"),
        ("columns = { a = { source = \"uuid()\" } }", "write { target = \"uuid()\", on = \"insert\" }"),
        (
            "columns = { a = { sorce = \"b\", target = \"c\" } }",
            "a.sorce: unknown key; did you mean `source`?",
        ),
        ("columns = { a = \"b\" }\nexternal = [\"a\"]", "external: names \"a\", which `columns` gives"),
        (
            "into = [{ target = \"u\", match = {}, select = \"SELECT 1 FROM changed\" }]",
            "match: names no column",
        ),
        ("into = [{ target = \"u\", select = \"SELECT 1 FROM changed\" }]", "into[0].match: is missing"),
        (
            "into = [{ target = \"u\", match = { a = \"b\" }, select = \"SELECT 1\" }]",
            "does not read `changed`",
        ),
        ("transform = { command = [] }", "transform.command: is empty; it needs at least the program"),
        ("transform = {}", "transform.command: is missing"),
        ("transform = { command = [\"x\"], timeout = \"0s\" }", "out of range"),
        (
            "[[database.identity.table]]\nname = \"t\"",
            "says something of \"t\" twice; of several for one table",
        ),
    ] {
        assert_says(&faults_in(&format!("{table}{text}\n")), &["a fault:", says]);
    }
}

#[test]
fn what_only_looks_like_a_fault_is_none() {
    for filter in [
        "uuid = 'now()' AND t.now = 1 AND random <> 2",
        "a = 'select' AND \"select\" = 1 AND b::date < :as_of",
        "a = 'it''s ; (' /* now() */",
        "now = 1 AND t.current_date = 2",
    ] {
        database(&format!("[[database.identity.table]]\nname = \"t\"\nwhere = {filter:?}\n"));
    }
}

#[test]
fn faults_in_checkpoints_are_told() {
    for (text, says) in [
        ("tables = [\"a\"]", "checkpoint[0].name: is missing"),
        ("name = \"a\"", "checkpoint[0].tables: is missing"),
        ("name = \"a\"\ntables = []", "tables: is empty"),
        ("name = \"a\"\nsql = \"SELECT 1\"", "expect: is missing"),
        ("name = \"a\"\nexpect = \"1\"", "sql: is missing"),
        ("name = \"a\"\ntables = [\"t\"]\nsql = \"SELECT 1\"", "sql: stands beside `tables`"),
        ("name = \"a\"\nsql = \"SELECT 1\"\nexpect = true", "expect: true or false is not a text"),
        (
            "name = \"a\"\ntables = [\"t\"]\n[[database.identity.checkpoint]]\nname = \"a\"\ntables = [\"t\"]",
            "checkpoint: has two called \"a\"",
        ),
    ] {
        assert_says(&faults_in(&format!("[[database.identity.checkpoint]]\n{text}\n")), &["a fault:", says]);
    }
}

#[test]
fn scripts_are_relative_to_their_file_and_a_database_goes_before_the_general() {
    let folder = TempDir::new().unwrap();
    let general =
        "[upgrade]\nscripts = [\"a.sql\", \"/b.sql\"]\norder = \"before-copy\"\nrunner = \"client\"\n";
    let settings = load_from(folder.path(), &[&format!("{PAIR}{general}")], &[]).unwrap();
    let upgrade = &settings.databases[0].upgrade;
    assert_eq!(upgrade.scripts, [folder.path().join("a.sql"), PathBuf::from("/b.sql")]);
    assert_eq!((upgrade.order, upgrade.runner), (Some(UpgradeOrder::BeforeCopy), UpgradeRunner::Client));

    let own = "[database.identity.upgrade]\nscripts = [\"c.sql\"]\n";
    let second = "[database.x]\nsource = \"sqlite://c.db\"\ntarget = \"sqlite://d.db\"\n";
    let general = "[upgrade]\nrunner = \"client\"\n";
    let settings = load_from(folder.path(), &[&format!("{PAIR}{own}{second}{general}")], &[]).unwrap();
    let upgrades: Vec<_> =
        settings.databases.iter().map(|d| (d.upgrade.scripts.len(), d.upgrade.runner)).collect();
    assert_eq!(upgrades, [(1, UpgradeRunner::Client), (0, UpgradeRunner::Client)]);

    let both = faults_in(&format!("{second}[upgrade]\nscripts = [\"a.sql\"]\n"));
    assert_says(&both, &["upgrade: names scripts for more than one database", "[database.NAME.upgrade]"]);
    assert_says(&faults_in("[upgrade]\norder = \"after_copy\"\n"), &["did you mean \"after-copy\"?"]);

    let env = [("HIGHWATER__UPGRADE__SCRIPTS", "a.sql,b.sql")];
    let settings = load_from(folder.path(), &[PAIR], &env).unwrap();
    assert_eq!(settings.databases[0].upgrade.scripts, [PathBuf::from("a.sql"), PathBuf::from("b.sql")]);
}

#[test]
fn every_preset_is_right_and_own_rules_go_before_it() {
    for (name, _) in presets::PRESETS {
        let database = database(&format!("preset = \"{name}\"\n"));
        assert!(!database.tables.is_empty() && !database.checkpoints.is_empty(), "{name}");
        assert!(database.tables.iter().all(|table| table.preset.as_deref() == Some(name)));
        let (table, checkpoint) = (&database.tables[0].name, &database.checkpoints[0].name);
        let own = self::database(&format!(
            "preset = [\"{name}\"]\n[[database.identity.table]]\nname = {table:?}\nkey = [\"x\"]\n\
             [[database.identity.checkpoint]]\nname = {checkpoint:?}\ntables = [\"x\"]\n"
        ));
        assert_eq!((&own.tables[0].name, &own.tables[0].preset), (table, &None));
        assert_eq!(own.tables.len(), database.tables.len() + 1);
        assert_eq!(own.checkpoints.len(), database.checkpoints.len());
    }
    let both = database("preset = [\"wso2-carbon\", \"wso2-is\"]\n");
    let names: BTreeSet<_> = both.tables.iter().filter_map(|table| table.preset.clone()).collect();
    assert_eq!(names.len(), 2);
}

#[test]
fn a_preset_must_exist() {
    let unknown = faults_in("preset = \"wso2-i\"\n");
    assert_says(
        &unknown,
        &["database.identity.preset: no preset is called \"wso2-i\"", "wso2-carbon, wso2-is"],
    );
    assert_says(&unknown, &["did you mean \"wso2-is\"?"]);
    assert_says(&faults_in("preset = [\"wso2-is\", \"wso2-is\"]\n"), &["names \"wso2-is\" twice"]);
    assert_says(&faults_in("preset = 3\n"), &["a number is not a name or a list of names"]);
}
