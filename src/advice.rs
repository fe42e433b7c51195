//! What an operator does next, given how the databases stand.

use std::time::Duration;

use crate::state::{Phase, TableState};
use crate::status::{DatabaseStatus, Role, TableStatus};

/// An open transaction on the source that is older is worth a word: it holds a final sync up.
const OLD_TRANSACTION_SECONDS: f64 = 300.0;

/// What to do next, most urgent first, as commands where there are any; `lag` is what counts as in
/// sync. Never empty.
pub fn next_steps(databases: &[DatabaseStatus], lag: Duration) -> Vec<String> {
    let mut steps: Vec<String> = databases.iter().flat_map(|database| of_database(database, lag)).collect();
    if steps.is_empty() {
        steps.push("nothing is left to do".to_string());
    }
    steps
}

fn of_database(database: &DatabaseStatus, lag: Duration) -> Vec<String> {
    let name = &database.name;
    if let Some(error) = &database.error {
        return vec![format!("{name}: mend this; a daemon then goes on by itself: {error}")];
    }
    if database.phase.is_none() {
        return vec![match database.role {
            Role::Observer => {
                format!("{name}: nothing is copied yet: look at `highwater plan`, then start `highwater run`")
            }
            Role::Connecting | Role::Standby | Role::Active => format!("{name}: wait, it is being prepared"),
        }];
    }
    let mut steps: Vec<String> = database.tables.iter().filter_map(|table| of_table(name, table)).collect();
    steps.extend(old_transaction(database));
    if steps.is_empty() {
        steps.push(on_the_route(database, lag));
    }
    steps
}

fn of_table(database: &str, table: &TableStatus) -> Option<String> {
    let label = &table.table;
    if table.state == TableState::Stopped {
        let reason = table.reason.as_deref().unwrap_or("no reason is known");
        return Some(format!(
            "{database}: mend what stopped {label}; it is looked at again by itself: {reason}"
        ));
    }
    (table.parked > 0).then(|| {
        format!(
            "{database}: `highwater status --database {database}` says why {} rows of {label} are parked; \
             mend that on the target, they are tried again by themselves",
            table.parked
        )
    })
}

fn old_transaction(database: &DatabaseStatus) -> Option<String> {
    let seconds = database.oldest_transaction_seconds.filter(|age| *age > OLD_TRANSACTION_SECONDS)?;
    Some(format!(
        "{}: a transaction on the source is open for {} already; a final sync would wait for it",
        database.name,
        duration(seconds)
    ))
}

fn on_the_route(database: &DatabaseStatus, lag: Duration) -> String {
    let name = &database.name;
    let behind = |t: &TableStatus| t.lag_seconds.is_none_or(|seconds| seconds >= lag.as_secs_f64());
    match database.phase {
        Some(Phase::Final) => format!(
            "{name}: point the application at the target; to go back: `highwater final-sync --lower --database \
             {name}`"
        ),
        Some(Phase::Upgrading) => format!(
            "{name}: its schema is being upgraded; once that has ended: `highwater upgrade --done --database {name}`"
        ),
        _ if database.tables.iter().any(|t| t.state != TableState::Replaying) => {
            format!("{name}: wait for the copy: `highwater status --watch`")
        }
        _ if database.tables.iter().any(behind) => {
            format!("{name}: wait until replay has caught up: `highwater status --watch`")
        }
        _ if database.upgrade_follows && database.upgraded_at.is_none() => format!(
            "{name}: in step; back the target up, then `highwater upgrade --database {name}`, or `--begin`, the \
             upgrade by other means, `--done`"
        ),
        _ => format!(
            "{name}: in step; stop production's writers when you are ready, then `highwater final-sync --fence \
             --database {name}`"
        ),
    }
}

/// Seconds for people: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
pub fn duration(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds.max(0.0)).map_or(u64::MAX, |d| d.as_secs());
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_secs(5);

    fn table(state: TableState, lag_seconds: Option<f64>, parked: u64) -> TableStatus {
        TableStatus {
            table: "orders".to_string(),
            state,
            reason: (state == TableState::Stopped).then(|| "its key column was renamed".to_string()),
            rows: 0,
            bytes: 0,
            rows_copied: 0,
            bytes_copied: 0,
            chunks_done: 0,
            chunks: 0,
            lag_rows: None,
            lag_seconds,
            watermark_time: None,
            parked,
            waiting_lookups: 0,
            exempt: crate::ledger::Exempt::default(),
        }
    }

    fn database(phase: Option<Phase>, tables: Vec<TableStatus>) -> DatabaseStatus {
        let mut status = DatabaseStatus::unknown("shop", &"a", &"b", Role::Observer);
        status.phase = phase;
        status.tables = tables;
        status
    }

    fn steps(phase: Option<Phase>, tables: Vec<TableStatus>) -> String {
        next_steps(&[database(phase, tables)], LAG).join("\n")
    }

    #[test]
    fn each_stage_has_its_next_step() {
        let replaying = |lag| vec![table(TableState::Replaying, lag, 0)];
        assert!(steps(None, Vec::new()).contains("highwater plan"));
        assert!(
            steps(Some(Phase::Copying), vec![table(TableState::Copying, None, 0)])
                .contains("wait for the copy")
        );
        assert!(steps(Some(Phase::Replaying), replaying(Some(60.0))).contains("caught up"));
        assert!(steps(Some(Phase::Replaying), replaying(None)).contains("caught up"), "unknown is a no");
        assert!(steps(Some(Phase::Replaying), replaying(Some(0.0))).contains("final-sync --fence"));
        assert!(steps(Some(Phase::Final), replaying(Some(0.0))).contains("point the application"));
        let mut due = database(Some(Phase::Replaying), replaying(Some(0.0)));
        due.upgrade_follows = true;
        let next = next_steps(&[due], LAG).join("\n");
        assert!(next.contains("highwater upgrade") && !next.contains("--fence"), "{next}");
        assert!(!next_steps(&[], LAG).is_empty());
    }

    #[test]
    fn what_must_be_mended_comes_instead() {
        let text = steps(
            Some(Phase::Replaying),
            vec![table(TableState::Stopped, None, 0), table(TableState::Replaying, Some(0.0), 3)],
        );
        assert!(text.contains("its key column was renamed"), "{text}");
        assert!(text.contains("3 rows of orders are parked"), "{text}");
        assert!(!text.contains("--fence"), "{text}");
    }

    #[test]
    fn durations_are_short() {
        let shown: Vec<String> =
            [0.44, 12.3, 185.0, 7_800.0, 273_600.0, f64::INFINITY].into_iter().map(duration).collect();
        assert_eq!(shown[..5], ["0.4 s", "12 s", "3 min 5 s", "2 h 10 min", "3 d 4 h"]);
    }
}
