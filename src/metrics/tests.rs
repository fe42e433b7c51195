use metrics_exporter_prometheus::PrometheusRecorder;

use super::*;

fn recorder() -> (PrometheusRecorder, Handle) {
    let recorder = builder().unwrap().build_recorder();
    let handle = Handle(recorder.handle());
    (recorder, handle)
}

fn table(state: TableState) -> TableStatus {
    TableStatus {
        table: "app.orders".to_string(),
        state,
        reason: None,
        rows: 10,
        bytes: 100,
        rows_copied: 0,
        bytes_copied: 0,
        chunks_done: 0,
        chunks: 1,
        lag_rows: None,
        lag_seconds: None,
        watermark_time: None,
        parked: 2,
        waiting_lookups: 0,
        exempt: Exempt { upgrade_made: 3, upgrade_deleted: 4, dropped_changes: 5 },
    }
}

fn database(role: Role, tables: Vec<TableStatus>) -> DatabaseStatus {
    let mut status = DatabaseStatus::unknown("main", &"a", &"b", role);
    status.tables = tables;
    status.measured_at = Some(tokio::time::Instant::now());
    status
}

fn rendered(act: impl FnOnce()) -> String {
    let (recorder, handle) = recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        act();
    });
    handle.render()
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|l| l == line)
}

#[test]
fn counters_exist_from_the_start() {
    let text = rendered(|| publish(&[database(Role::Active, vec![table(TableState::Waiting)])]));
    assert!(has(&text, r#"highwater_rows_copied_total{database="main",table="app.orders"} 0"#), "{text}");
    assert!(has(&text, r#"highwater_rows_applied_total{database="main",table="app.orders",op="delete"} 0"#));
    assert!(has(&text, r#"highwater_batch_apply_seconds_count{database="main",table="app.orders"} 0"#));
    assert!(has(&text, r#"highwater_errors_total{kind="unavailable"} 0"#));
    assert!(has(&text, r#"highwater_up{database="main"} 1"#));
    assert!(has(&text, r#"highwater_lease_held{database="main"} 1"#));
    assert!(text.contains("highwater_build_info{version="));
    assert!(text.contains("process_resident_memory_bytes"));
}

#[test]
fn what_is_not_known_is_absent() {
    let mut known = table(TableState::Replaying);
    known.lag_rows = Some(0);
    known.lag_seconds = Some(0.0);
    known.watermark_time = Some(1_700_000_000.5);
    let text = rendered(|| publish(&[database(Role::Active, vec![known])]));
    assert!(has(&text, r#"highwater_table_lag_seconds{database="main",table="app.orders"} 0"#), "{text}");
    assert!(has(
        &text,
        r#"highwater_table_watermark_timestamp_seconds{database="main",table="app.orders"} 1700000000.5"#
    ));
    let text = rendered(|| publish(&[database(Role::Active, vec![table(TableState::Copying)])]));
    assert!(!text.contains("highwater_table_lag_seconds{"), "{text}");
    assert!(!text.contains("highwater_source_oldest_transaction_seconds{"));
    assert!(has(&text, r#"highwater_parked_rows{database="main",table="app.orders"} 2"#));
    assert!(has(&text, r#"highwater_exempt_rows{database="main",table="app.orders",upgrade="made"} 3"#));
    assert!(has(&text, r#"highwater_exempt_rows{database="main",table="app.orders",upgrade="deleted"} 4"#));
    assert!(has(&text, r#"highwater_dropped_changes{database="main",table="app.orders"} 5"#));
}

#[test]
fn a_lag_measured_long_ago_is_not_known() {
    let mut old = table(TableState::Replaying);
    old.lag_rows = Some(0);
    old.lag_seconds = Some(0.0);
    let mut status = database(Role::Active, vec![old]);
    status.oldest_transaction_seconds = Some(0.0);
    status.measured_at = tokio::time::Instant::now().checked_sub(2 * MOST_STALE);
    let text = rendered(|| publish(&[status]));
    assert!(!text.contains("highwater_table_lag_"), "{text}");
    assert!(!text.contains("highwater_source_oldest_transaction_seconds{"), "{text}");
}

#[test]
fn one_state_is_1_and_the_others_0() {
    let text = rendered(|| publish(&[database(Role::Active, vec![table(TableState::Copying)])]));
    let state = |name: &str, value: u8| {
        has(
            &text,
            &format!(r#"highwater_table_state{{database="main",table="app.orders",state="{name}"}} {value}"#),
        )
    };
    assert!(state("copying", 1) && state("waiting", 0) && state("stopped", 0), "{text}");
}

#[test]
fn nothing_old_is_shown_of_a_database_out_of_reach() {
    let text = rendered(|| publish(&[database(Role::Connecting, vec![table(TableState::Replaying)])]));
    assert!(!text.contains("highwater_table_state{"), "{text}");
    assert!(has(&text, r#"highwater_up{database="main"} 0"#));
    assert!(has(&text, r#"highwater_rows_copied_total{database="main",table="app.orders"} 0"#));
}

#[test]
fn a_gauge_that_is_not_published_any_more_vanishes() {
    let recorder = PrometheusBuilder::new()
        .idle_timeout(MetricKindMask::GAUGE, Some(Duration::from_millis(50)))
        .build_recorder();
    let handle = Handle(recorder.handle());
    metrics::with_local_recorder(&recorder, || publish(&[database(Role::Active, Vec::new())]));
    assert!(handle.render().contains("highwater_up{"));
    std::thread::sleep(Duration::from_millis(80));
    handle.keep_up();
    let text = handle.render();
    assert!(!text.contains("highwater_up{"), "{text}");
    assert!(text.contains("highwater_errors_total{"), "counters stay");
}

#[test]
fn what_was_applied_is_counted_by_operation() {
    let applied = Applied { inserted: 3, updated: 2, deleted: 1, parked: 9 };
    let text = rendered(|| {
        batch_applied("main", "t", &applied, Duration::from_millis(7));
        rows_copied("main", "t", 5);
        error(Kind::Data);
    });
    assert!(has(&text, r#"highwater_rows_applied_total{database="main",table="t",op="insert"} 3"#), "{text}");
    assert!(has(&text, r#"highwater_batch_apply_seconds_bucket{database="main",table="t",le="0.005"} 0"#));
    assert!(has(&text, r#"highwater_batch_apply_seconds_bucket{database="main",table="t",le="0.01"} 1"#));
    assert!(has(&text, r#"highwater_rows_copied_total{database="main",table="t"} 5"#));
    assert!(has(&text, r#"highwater_errors_total{kind="data"} 1"#));
}

#[test]
fn every_metric_has_a_help_text() {
    let mut full = table(TableState::Replaying);
    full.lag_rows = Some(1);
    full.lag_seconds = Some(1.0);
    full.watermark_time = Some(1.0);
    let mut status = database(Role::Active, vec![full]);
    status.oldest_transaction_seconds = Some(1.0);
    let text = rendered(|| publish(&[status]));
    for line in text.lines().filter_map(|l| l.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help text");
    }
}
