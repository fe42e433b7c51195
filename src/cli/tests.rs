//! The command line as it is read, and reports as they are printed.

use super::output::{Report, Style};
use super::*;
use crate::cutover::{FinalSync, TableFinal, Verdict};
use crate::error::Kind;
use crate::model::{ColumnPair, Finding, Form, Plan, Strategy, TableName, TablePlan};
use crate::status::SCHEMA_VERSION;

fn parsed(line: &str) -> std::result::Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_command_line_is_well_defined() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_an_example_and_says_what_it_does() {
    let mut cli = Cli::command();
    cli.build();
    for command in cli.get_subcommands_mut().filter(|c| c.get_name() != "help") {
        let name = command.get_name().to_string();
        let help = command.render_long_help().to_string();
        assert!(help.contains(&format!("\n  highwater {name}")), "{name} has no example:\n{help}");
        assert!(help.contains("--config"), "{name}: {help}");
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let others =
            ["What every command takes", "What commands that report take", "What the demo can be told"];
        assert!(!about.is_empty() && !others.iter().any(|other| about.contains(other)), "{name}: {about}");
    }
    let about = cli.get_about().map(ToString::to_string).unwrap_or_default();
    assert!(about.starts_with("Keeps a staging database"), "{about}");
}

#[test]
fn settings_files_are_read_in_order_from_either_place() {
    let files = |line: &str| parsed(line).unwrap().common.config;
    assert_eq!(files("highwater plan"), [PathBuf::from("highwater.toml")]);
    assert_eq!(
        files("highwater -c a.toml -c b.toml plan"),
        [PathBuf::from("a.toml"), PathBuf::from("b.toml")]
    );
    assert_eq!(files("highwater plan --config a.toml"), [PathBuf::from("a.toml")]);
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    for line in [
        "highwater final-sync --lower --fence",
        "highwater final-sync --fence --allow-writers",
        "highwater final-sync --timeout soon",
        "highwater demo --source sqlite:a.db",
        "highwater prove",
        "highwater verify --sum",
        "highwater plan --log-level loud",
    ] {
        let error = parsed(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn a_timeout_is_written_for_people() {
    let Command::FinalSync(args) = parsed("highwater final-sync --timeout 90s").unwrap().command else {
        panic!()
    };
    assert_eq!(args.timeout.as_secs(), 90);
    let Command::FinalSync(args) = parsed("highwater final-sync").unwrap().command else { panic!() };
    assert_eq!(args.timeout.as_secs(), 600);
}

#[test]
fn json_is_asked_for_where_there_is_a_report() {
    for line in ["plan", "copy", "final-sync", "status", "verify --checkpoints", "clean"] {
        assert!(parsed(&format!("highwater {line} --json")).unwrap().command.wants_json(), "{line}");
    }
    assert!(parsed("highwater run --json").is_err());
}

#[test]
fn every_shell_has_completions() {
    for shell in <Shell as clap::ValueEnum>::value_variants() {
        let mut text = Vec::new();
        clap_complete::generate(*shell, &mut Cli::command(), "highwater", &mut text);
        assert!(String::from_utf8(text).unwrap().contains("final-sync"), "{shell}");
    }
}

fn table(name: &str, key: &[&str]) -> TablePlan {
    let column = |name: &str| ColumnPair::plain(name, "integer", name, "integer");
    TablePlan {
        source: TableName::new("public", name),
        target: TableName::new("public", name.to_uppercase()),
        target_id: "1".to_string(),
        key: key.iter().map(ToString::to_string).collect(),
        columns: key.iter().map(|k| column(k)).collect(),
        rule: crate::model::Rule::default(),
        dependants: Vec::new(),
        looks_up: Vec::new(),
        strategy: if key.is_empty() { Strategy::Whole } else { Strategy::Keyed },
        form: Form::CopyBinary,
        partitioned: false,
        create: false,
        rows: 1_200_000,
        bytes: 3 << 20,
    }
}

fn planned(blockers: Vec<Finding>) -> plan::Planned {
    let exit_code = if blockers.is_empty() { 0 } else { 3 };
    plan::Planned {
        database: "shop".to_string(),
        source: "postgres://prod/shop".to_string(),
        target: "postgres://staging/shop".to_string(),
        plan: Some(Plan {
            database: "shop".to_string(),
            tables: vec![table("items", &["order_id", "n"]), table("audit", &[])],
            excluded: vec![TableName::new("public", "sessions")],
            blockers,
            warnings: vec![Finding::general("the source is busy", "nothing")],
            notes: vec!["the log is read by its numbers".to_string()],
            hash: "0123456789abcdef".to_string(),
        }),
        diff: Vec::new(),
        estimate_seconds: Some(75),
        ddl: None,
        error: None,
        exit_code,
    }
}

#[test]
fn a_plan_shows_every_table_and_what_it_costs() {
    let text = plan::Plans::new(vec![planned(Vec::new())]).text(Style::Plain);
    let expected = "\
database shop: postgres://prod/shop -> postgres://staging/shop
 source table  target table  key          rows, about  size, about  how
 items         ITEMS         order_id, n    1,200,000      3.0 MiB  by key
 audit         AUDIT         (none)         1,200,000      3.0 MiB  as a whole
not carried: sessions
the log is read by its numbers
warnings (1):
  - the source is busy
    to do: nothing
2 tables, about 2,400,000 rows, 6.0 MiB; the copy takes about 1 min 15 s (a guess from sizes)
plan 0123456789abcdef

next:
  - `highwater plan --ddl` shows what will run on the source
  - `highwater run` copies, then replays until stopped
";
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn a_blocked_plan_shows_every_blocker() {
    let blockers = vec![
        Finding::of(&TableName::new("public", "a"), "the target has no such table", "create it"),
        Finding::of(&TableName::new("public", "b"), "column x has no place", "add it"),
    ];
    let plans = plan::Plans::new(vec![planned(blockers)]);
    let text = plans.text(Style::Terminal);
    assert!(
        text.contains("blockers (2):\n  - a: the target has no such table\n    to do: create it\n"),
        "{text}"
    );
    assert!(text.contains("b: column x has no place"), "{text}");
    let json = serde_json::to_value(&plans).unwrap();
    assert_eq!(json["schema_version"], SCHEMA_VERSION);
    assert_eq!(json["databases"][0]["plan"]["blockers"][1]["table"], "b");
    assert!(json["next_steps"].as_array().is_some_and(|steps| !steps.is_empty()));
}

fn final_sync(database: &str, converged: bool) -> FinalSync {
    FinalSync {
        schema_version: SCHEMA_VERSION,
        database: database.to_string(),
        verdict: Verdict::Final,
        converged,
        consistent_at: None,
        replay_held_seconds: None,
        outage: None,
        tables: vec![TableFinal {
            table: "orders".to_string(),
            target: "orders".to_string(),
            state: "replaying".to_string(),
            source_rows: converged.then_some(1_500),
            target_rows: converged.then_some(1_500),
            parked: u64::from(!converged),
            exempt: crate::ledger::Exempt::default(),
            reached: converged,
        }],
        checkpoints: Vec::new(),
        sequences_moved: vec!["orders_id_seq".to_string()],
        writers: Vec::new(),
        remarks: Vec::new(),
        reasons: if converged { Vec::new() } else { vec!["orders: 1 rows are parked".to_string()] },
        next_steps: vec!["point the application at the target".to_string()],
    }
}

fn outcome(ended: Vec<Result<FinalSync>>) -> final_sync::Outcome {
    let names = ["a", "b"].map(str::to_string);
    final_sync::Outcome::new(Verdict::Final, names.into_iter().zip(ended))
}

#[test]
fn a_final_sync_shows_what_was_done_per_table() {
    let text = outcome(vec![Ok(final_sync("a", true))]).text(Style::Plain);
    let expected = "\
database a: final
 source table  target table  state      source rows  target rows  parked
 orders        orders        replaying        1,500        1,500       0
sequences moved: orders_id_seq

next:
  - point the application at the target
";
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn one_database_that_is_not_final_spoils_the_claim() {
    let refused = Error::new(Kind::NotConverged, "time is up").remedy("try again");
    let outcome = outcome(vec![Ok(final_sync("a", true)), Err(refused)]);
    assert!(!outcome.converged);
    let text = outcome.text(Style::Plain);
    assert!(text.contains("database b: error: time is up\n  to do: try again"), "{text}");
    assert!(text.contains("some databases are final and stay fenced"), "{text}");
    let json = serde_json::to_value(&outcome).unwrap();
    assert_eq!((json["verdict"].as_str(), json["converged"].as_bool()), (Some("final"), Some(false)));
    assert_eq!(json["failed"][0]["error"]["kind"], "not_converged");
}

#[test]
fn what_is_not_final_says_why() {
    let text = outcome(vec![Ok(final_sync("a", false))]).text(Style::Plain);
    assert!(text.starts_with("database a: not final\n"), "{text}");
    assert!(text.contains("reasons:\n  - orders: 1 rows are parked"), "{text}");
    assert!(text.contains("not counted"), "{text}");
}
