use super::observe::{Observed, ParkedKey};
use super::show::StatusReport;
use crate::cli::output::{Failure, Report, Style};
use crate::engine::{Fence, Stamp};
use crate::error::{Error, Kind};
use crate::ledger::Exempt;
use crate::settings::{DatabaseSettings, Endpoint, Glob, Settings};
use crate::state::{Phase, TableState};
use crate::status::TableStatus;

fn database() -> DatabaseSettings {
    DatabaseSettings {
        name: "shop".to_string(),
        source: Endpoint::from_url("postgres://me:verysecret@prod/shop").unwrap(),
        target: Endpoint::from_url("postgres://staging/shop").unwrap(),
        include: vec![Glob::any()],
        exclude: Vec::new(),
        tables: Vec::new(),
        checkpoints: Vec::new(),
        upgrade: crate::settings::UpgradeSettings::default(),
    }
}

fn table(name: &str, state: TableState) -> TableStatus {
    let replaying = state == TableState::Replaying;
    TableStatus {
        table: name.to_string(),
        state,
        reason: (state == TableState::Stopped).then(|| "its key column\nwas renamed".to_string()),
        rows: 100_000,
        bytes: 1,
        rows_copied: 50_000,
        bytes_copied: 1,
        chunks_done: if replaying { 4 } else { 2 },
        chunks: 4,
        lag_rows: replaying.then_some(1_234),
        lag_seconds: replaying.then_some(2.5),
        watermark_time: replaying.then_some(1_700_000_000.0),
        parked: 0,
        waiting_lookups: 0,
        exempt: Exempt::default(),
    }
}

fn observed(tables: Vec<TableStatus>) -> Observed {
    let mut seen = Observed::nothing(&database());
    seen.status.phase = Some(Phase::Replaying);
    seen.status.holder = Some("run on host by me, process 7".to_string());
    seen.status.tables = tables;
    seen.status.oldest_transaction_seconds = Some(0.2);
    seen.lease_held = Some(true);
    seen.held_since = Some("2026-01-02T03:04:05Z".to_string());
    seen
}

fn report(seen: Observed) -> StatusReport {
    StatusReport::new(&Settings::with_databases(vec![database()]), vec![seen])
}

#[test]
fn the_text_has_every_table() {
    let text = report(observed(vec![table("orders", TableState::Replaying)])).text(Style::Plain);
    let expected = "\
database shop: replaying
  source: postgres://me@prod/shop
  target: postgres://staging/shop
  at work: run on host by me, process 7, since 2026-01-02T03:04:05Z
  oldest transaction on the source: 0.2 s
 table   state      rows copied  lag, rows  lag, time  in the target up to   parked
 orders  replaying       50,000      1,234      2.5 s  2023-11-14T22:13:20Z       0
";
    assert!(text.starts_with(expected), "\n{text}");
    assert!(!text.contains("verysecret"));
}

#[test]
fn what_is_wrong_is_told_with_its_reason() {
    let mut seen = observed(vec![table("orders", TableState::Stopped), table("items", TableState::Copying)]);
    seen.status.tables[1].parked = 17;
    seen.parked_examples.push(ParkedKey {
        table: "items".to_string(),
        key: vec!["4".to_string(), "2".to_string()],
        reason: "duplicate key".to_string(),
        since: "2026-01-02".to_string(),
    });
    seen.fence = Some(Fence { raised: true, stamp: Stamp { epoch: 0, attempt: 3 } });
    let text = report(seen).text(Style::Plain);
    for part in [
        "orders is stopped: its key column was renamed",
        "items (4, 2): duplicate key",
        "THE FENCE IS UP (attempt 0.3)",
        "50,000 (2 of 4 chunks)",
        "`highwater final-sync --lower` lets production write again",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn a_side_out_of_reach_is_said_and_the_rest_shown() {
    let mut seen = observed(vec![table("orders", TableState::Replaying)]);
    let error =
        Error::new(Kind::Unavailable, "source postgres://prod/shop: connection refused").remedy("start it");
    seen.faults.push(Failure::from(&error));
    seen.status.error = Some(error.summary());
    let report = report(seen);
    assert_eq!(report.exit_code(), 1);
    let text = report.text(Style::Plain);
    assert!(text.contains("orders") && text.contains("connection refused\n  to do: start it"), "{text}");
}

#[test]
fn what_both_sides_say_is_told_once() {
    let mut seen = Observed::nothing(&database());
    for side in ["source", "target"] {
        let error = Error::new(Kind::Unavailable, format!("{side}: connection refused")).remedy("start it");
        seen.faults.push(Failure::from(&error));
    }
    let json = serde_json::to_value(report(seen)).unwrap();
    assert_eq!(json["next_steps"], serde_json::json!(["shop: start it"]), "{json}");
}

#[test]
fn of_a_final_target_no_process_is_said_to_be_at_work() {
    let mut seen = observed(vec![table("orders", TableState::Replaying)]);
    seen.status.phase = Some(Phase::Final);
    let text = report(seen).text(Style::Plain);
    let said =
        "a process holds the lease; the last process that recorded its name: run on host by me, process 7";
    assert!(text.contains(said) && !text.contains("at work"), "{text}");
}

#[test]
fn what_an_upgrade_made_exempt_is_shown() {
    let mut seen = observed(vec![table("orders", TableState::Replaying)]);
    seen.status.tables[0].exempt = Exempt { upgrade_made: 3, upgrade_deleted: 2, dropped_changes: 5 };
    let report = report(seen);
    let text = report.text(Style::Plain);
    let said = "orders: rows made by the upgrade: 3, rows deleted by the upgrade: 2, changes of production to these \
                rows that were not applied: 5";
    assert!(text.contains(said), "{text}");
    let json = serde_json::to_value(report).unwrap();
    assert_eq!(json["databases"][0]["tables"][0]["dropped_changes"], 5, "{json}");
}

#[test]
fn without_a_process_at_work_nothing_is_in_sync() {
    let mut seen = observed(vec![table("orders", TableState::Replaying)]);
    seen.lease_held = Some(false);
    let json = serde_json::to_value(report(seen)).unwrap();
    assert_eq!(json["in_sync"], false);
    assert!(json["reasons"][0].as_str().unwrap().contains("no process holds the lease"), "{json}");
    assert!(json["next_steps"][0].as_str().unwrap().contains("highwater run"), "{json}");
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["databases"][0]["tables"][0]["lag_rows"], 1_234);
}

#[test]
fn nothing_copied_yet_points_to_the_plan() {
    let text = report(Observed::nothing(&database())).text(Style::Terminal);
    assert!(text.contains("nothing is copied yet") && text.contains("highwater plan"), "{text}");
}
