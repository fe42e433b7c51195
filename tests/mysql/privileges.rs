//! What `plan` asks a DBA to grant is enough, and none of it is too much.

use std::time::Duration;

use super::{CHANGES, ROWS, SHOP, eventually_same, mysql};
use crate::support::compare::assert_same;
use crate::support::{Highwater, Kind, MysqlServer, Output, Pair, eventually, next_number};

on_both!(
    what_plan_asks_for_is_enough,
    what_plan_asks_for_is_enough_to_make_tables,
    each_privilege_is_asked_for_by_name,
    tables_may_be_granted_one_by_one,
    what_scripts_of_the_upgrade_lack_is_told,
    without_process_it_works_and_says_what_is_lost,
    a_revoked_trigger_stops_the_table_until_it_is_granted_again,
);

/// Two databases and a user for both, who may only connect.
struct Rig {
    pair: Pair,
    highwater: Highwater,
    server: &'static MysqlServer,
    user: String,
    capture: String,
}

impl Rig {
    async fn new(kind: Kind) -> Rig {
        let server = MysqlServer::shared(kind);
        let pair = Pair::mysql_on(server, server).await;
        pair.source.execute(SHOP).await;
        pair.source.execute(ROWS).await;
        let user = server.user("").await;
        // A migration of its own: then capture's database is, too.
        let migration = format!("m{}", next_number());
        let highwater = Highwater::new(&pair)
            .setting("database.main.source", &mysql(&pair.source).url_as(&user))
            .setting("database.main.target", &mysql(&pair.target).url_as(&user))
            .setting("migration", &migration);
        let rig = Rig { pair, highwater, server, user, capture: format!("highwater_capture_{migration}") };
        // Without any privilege on a database nobody gets in; these are of no use there.
        rig.grant(&format!("GRANT REFERENCES ON {}.* TO USER", rig.source())).await;
        rig.grant(&format!("GRANT EVENT ON {}.* TO USER", rig.target())).await;
        rig
    }

    /// The same tables on the target.
    async fn with_tables(kind: Kind) -> Rig {
        let rig = Rig::new(kind).await;
        rig.pair.target.execute(SHOP).await;
        rig
    }

    fn source(&self) -> &str {
        mysql(&self.pair.source).name()
    }

    fn target(&self) -> &str {
        mysql(&self.pair.target).name()
    }

    async fn grant(&self, sql: &str) {
        self.server.execute(&sql.replace("USER", &format!("'{}'@'%'", self.user))).await;
    }

    async fn plan(&self) -> Output {
        self.highwater.run(&["plan", "--json"]).await
    }

    /// Grants what plan asks for until nothing blocks; answers all of it.
    async fn grant_what_is_asked_for(&self) -> Vec<String> {
        let mut granted = Vec::new();
        for _ in 0..3 {
            let output = self.plan().await;
            let asked = remedies(&output, "blockers");
            if asked.is_empty() {
                assert_eq!(output.code, Some(0), "{}\n{}", output.stdout, output.stderr);
                return granted;
            }
            // Without a privilege on the target its tables aren't seen, and are said to be missing.
            for grant in asked.into_iter().filter(|remedy| remedy.starts_with("GRANT ")) {
                self.server.execute(&grant).await;
                granted.push(grant);
            }
        }
        panic!("plan asks for ever more: {granted:?}");
    }

    /// Everything that highwater does.
    async fn whole_route(&self) {
        let highwater = &self.highwater;
        highwater.run(&["plan", "--ddl"]).await.ok();
        highwater.run(&["copy"]).await.ok();
        assert_same(&self.pair).await;
        let daemon = highwater.spawn(&["run"]);
        daemon.wait_until_in_sync().await;
        self.pair.source.execute(CHANGES).await;
        eventually_same(&self.pair).await;
        assert_eq!(daemon.terminate().await, Some(0), "{}", daemon_log(&self.highwater).await);
        highwater.run(&["final-sync", "--fence"]).await.ok();
        assert_same(&self.pair).await;
        assert!(self.pair.source.try_execute("INSERT INTO audit VALUES (7, 'late')").await.is_err());
        highwater.run(&["final-sync", "--lift"]).await.ok();
        self.pair.source.execute("INSERT INTO audit VALUES (7, 'late'); TRUNCATE audit").await;
        highwater.run(&["final-sync"]).await.ok();
        highwater.run(&["clean", "--yes"]).await.ok();
        let left = format!(
            "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{}'",
            self.capture
        );
        assert_eq!(self.pair.source.value(&left).await, "0", "capture's database goes with the last one");
        self.pair.source.execute("INSERT INTO audit VALUES (8, 'later')").await;
    }
}

async fn daemon_log(highwater: &Highwater) -> String {
    let status = highwater.run(&["status"]).await;
    status.stdout + &status.stderr
}

/// What plan wants done about its blockers or warnings.
fn remedies(output: &Output, list: &str) -> Vec<String> {
    let plan = &output.json()["databases"][0]["plan"];
    let list = plan[list].as_array().unwrap_or_else(|| panic!("{}", output.stdout));
    list.iter().map(|finding| finding["remedy"].as_str().unwrap().to_owned()).collect()
}

fn findings(output: &Output, list: &str) -> String {
    output.json()["databases"][0]["plan"][list].to_string()
}

async fn what_plan_asks_for_is_enough(kind: Kind) {
    let rig = Rig::with_tables(kind).await;
    let granted = rig.grant_what_is_asked_for().await;
    let is_wide = |grant: &&String| grant.contains("*.*") || grant.contains("ALL");
    let wide: Vec<&String> = granted.iter().filter(is_wide).collect();
    assert!(wide.iter().all(|grant| grant.starts_with("GRANT XA_RECOVER_ADMIN ON *.*")), "{granted:?}");
    assert_eq!(wide.len(), usize::from(kind == Kind::Mysql), "{granted:?}");
    // Who may not see TRUNCATE is told so; the route truncates a table.
    rig.grant("GRANT PROCESS ON *.* TO USER").await;
    rig.whole_route().await;
}

async fn what_plan_asks_for_is_enough_to_make_tables(kind: Kind) {
    let mut rig = Rig::new(kind).await;
    rig.highwater = rig.highwater.setting("copy.schema", "create");
    rig.pair
        .source
        .execute("CREATE INDEX by_note ON children (note(20)); CREATE VIEW named AS SELECT name FROM parents")
        .await;
    rig.grant_what_is_asked_for().await;
    rig.grant("GRANT PROCESS ON *.* TO USER").await;
    rig.whole_route().await;
}

async fn each_privilege_is_asked_for_by_name(kind: Kind) {
    let rig = Rig::with_tables(kind).await;
    let granted = rig.grant_what_is_asked_for().await;
    for grant in granted {
        let (privileges, rest) = grant.strip_prefix("GRANT ").unwrap().split_once(" ON ").unwrap();
        let (place, _) = rest.split_once(" TO ").unwrap();
        for privilege in privileges.split(", ") {
            rig.grant(&format!("REVOKE {privilege} ON {place} FROM USER")).await;
            let output = rig.plan().await.expect_code(3);
            let asked = remedies(&output, "blockers");
            assert_eq!(asked.len(), 1, "{privilege} on {place}: {asked:?}");
            assert!(
                asked[0].starts_with(&format!("GRANT {privilege} ON {place} TO ")),
                "{privilege} on {place}: {asked:?}"
            );
            rig.server.execute(&asked[0]).await;
        }
    }
    rig.plan().await.ok();
}

async fn tables_may_be_granted_one_by_one(kind: Kind) {
    let rig = Rig::with_tables(kind).await;
    rig.pair.source.execute("CREATE TABLE secret (id INT PRIMARY KEY)").await;
    for table in ["parents", "children", "audit"] {
        rig.grant(&format!("GRANT SELECT, TRIGGER ON {}.{table} TO USER", rig.source())).await;
    }
    // With it all could be seen.
    rig.grant(&format!("REVOKE REFERENCES ON {}.* FROM USER", rig.source())).await;
    if kind == Kind::Mariadb {
        rig.plan().await.expect_code(3).says("the actions of 1 foreign keys can't be seen");
        rig.pair.source.execute("ALTER TABLE children DROP FOREIGN KEY child").await;
    }
    rig.grant_what_is_asked_for().await;
    let output = rig.plan().await;
    assert!(findings(&output, "warnings").contains("can't be seen"), "{}", output.stdout);
    rig.highwater.run(&["copy"]).await.ok();
    rig.pair.source.execute(CHANGES).await;
    rig.highwater.run(&["final-sync"]).await.ok();
    for table in ["parents", "children", "audit"] {
        let count = format!("SELECT COUNT(*) FROM {table}");
        assert_eq!(rig.pair.source.value(&count).await, rig.pair.target.value(&count).await, "{table}");
    }
}

async fn without_process_it_works_and_says_what_is_lost(kind: Kind) {
    let rig = Rig::with_tables(kind).await;
    rig.grant_what_is_asked_for().await;
    let output = rig.plan().await;
    let warnings = findings(&output, "warnings");
    for said in ["without PROCESS nobody sees TRUNCATE", "its gaps are kept", "GRANT PROCESS ON *.*"] {
        assert!(warnings.contains(said), "{said}: {warnings}");
    }
    assert!(output.stdout.contains("retired by a table lock"), "{}", output.stdout);
    let daemon = rig.highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    // A number that is taken back leaves a gap; one that commits late has been a gap.
    let mut late = rig.pair.source.connect().await;
    late.execute("START TRANSACTION; INSERT INTO children VALUES (4, 5, 'late')").await;
    rig.pair.source.execute("START TRANSACTION; INSERT INTO children VALUES (4, 6, 'never'); ROLLBACK").await;
    rig.pair.source.execute(CHANGES).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    late.execute("COMMIT").await;
    eventually_same(&rig.pair).await;
    // Once nobody writes, the gaps are gone, and what is below them can be purged.
    let log = format!("SELECT COUNT(*) FROM \"{}\".\"{}.children\"", rig.capture, rig.source());
    rig.pair.source.execute("UPDATE children SET note = 'last' WHERE parent_id = 4").await;
    eventually(Duration::from_secs(40), || async {
        let left = rig.pair.source.value(&log).await;
        if left == "1" { Ok(()) } else { Err(format!("{left} entries are left")) }
    })
    .await;
    assert_same(&rig.pair).await;
    assert_eq!(daemon.terminate().await, Some(0));
}

async fn a_revoked_trigger_stops_the_table_until_it_is_granted_again(kind: Kind) {
    let rig = Rig::with_tables(kind).await;
    rig.grant_what_is_asked_for().await;
    let daemon = rig.highwater.spawn(&["run"]);
    daemon.wait_until_in_sync().await;
    rig.grant(&format!("REVOKE TRIGGER ON {}.* FROM USER", rig.source())).await;
    let error = rig.pair.source.try_execute("INSERT INTO audit VALUES (3, 'c')").await.unwrap_err();
    assert!(error.to_string().contains("TRIGGER"), "{error}");
    let grant = format!("GRANT TRIGGER ON `{}`.* TO", rig.source());
    eventually(Duration::from_secs(20), || async {
        let answer = daemon.get("/syncz").await;
        let told = answer.body.contains("production's writes fail now");
        if answer.status == 503 && told { Ok(()) } else { Err(format!("{} {}", answer.status, answer.body)) }
    })
    .await;
    let status = rig.highwater.run(&["status"]).await;
    assert!(status.stdout.contains("production's writes fail now"), "{}", status.stdout);
    assert!(
        status.stdout.contains(&grant) || daemon.log().contains(&grant),
        "{}\n{}",
        status.stdout,
        daemon.log()
    );
    rig.grant(&format!("GRANT TRIGGER ON {}.* TO USER", rig.source())).await;
    rig.pair.source.execute(CHANGES).await;
    daemon.wait_until_in_sync().await;
    eventually_same(&rig.pair).await;
    assert_eq!(daemon.terminate().await, Some(0));
}

async fn what_scripts_of_the_upgrade_lack_is_told(kind: Kind) {
    let rig = Rig::with_tables(kind).await;
    rig.grant(&format!("GRANT ALL ON {}.* TO USER; GRANT ALL ON {}.* TO USER", rig.source(), rig.capture))
        .await;
    rig.grant(&format!("GRANT ALL ON {}.* TO USER; REVOKE INDEX ON {0}.* FROM USER", rig.target())).await;
    let told = "scripts of the upgrade that need INDEX are refused";
    let plan = rig.highwater.run(&["plan"]).await;
    assert!(!plan.stdout.contains(told), "there are no scripts: {}", plan.stdout);
    let scripts = rig.highwater.clone().setting("upgrade.scripts", "[\"one.sql\"]");
    scripts.run(&["plan"]).await.says(told).says("GRANT INDEX ON");
}
