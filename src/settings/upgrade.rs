//! The keys of the upgrade and of the checkpoints that follow it.

use std::path::PathBuf;

use super::expressions::expression;
use super::reader::Section;
use super::units::{answer, choice, columns, scripts, text};
use super::{
    CheckpointSettings, DatabaseSettings, Expectation, UpgradeOrder, UpgradeRunner, UpgradeSettings,
    UpgradeTransaction,
};

/// What one section says of the upgrade.
#[derive(Debug, Default)]
pub(super) struct Upgrade {
    scripts: Option<Vec<PathBuf>>,
    order: Option<UpgradeOrder>,
    runner: Option<UpgradeRunner>,
    transaction: Option<UpgradeTransaction>,
}

impl Upgrade {
    pub(super) fn read(section: &mut Section) -> Upgrade {
        let orders = [("after-copy", UpgradeOrder::AfterCopy), ("before-copy", UpgradeOrder::BeforeCopy)];
        let transactions =
            [("statement", UpgradeTransaction::Statement), ("whole", UpgradeTransaction::Whole)];
        let runners = [("highwater", UpgradeRunner::Highwater), ("client", UpgradeRunner::Client)];
        Upgrade {
            scripts: section.optional("scripts", scripts),
            order: section.optional("order", choice(&orders)),
            runner: section.optional("runner", choice(&runners)),
            transaction: section.optional("transaction", choice(&transactions)),
        }
    }

    /// The settings of one database.
    pub(super) fn settings(self) -> UpgradeSettings {
        UpgradeSettings {
            scripts: self.scripts.unwrap_or_default(),
            order: self.order,
            runner: self.runner.unwrap_or_default(),
            transaction: self.transaction.unwrap_or_default(),
        }
    }
}

/// Reads what is said of the upgrade in general; what a database says itself goes before it.
pub(super) fn read_general(section: &mut Section, databases: &mut [(DatabaseSettings, Upgrade)]) {
    let general = section.section("upgrade", Upgrade::read);
    if general.scripts.as_ref().is_some_and(|scripts| !scripts.is_empty()) && databases.len() > 1 {
        let what = "names scripts for more than one database; name those of each in [database.NAME.upgrade]";
        section.fault("upgrade", what);
    }
    for (database, own) in databases {
        let own = std::mem::take(own);
        database.upgrade = Upgrade {
            scripts: own.scripts.or_else(|| general.scripts.clone()),
            order: own.order.or(general.order),
            runner: own.runner.or(general.runner),
            transaction: own.transaction.or(general.transaction),
        }
        .settings();
    }
}

/// Reads the list of checkpoints.
pub(super) fn read_checkpoints(section: &mut Section) -> Vec<CheckpointSettings> {
    let checkpoints: Vec<CheckpointSettings> =
        section.list("checkpoint", CheckpointSettings::read).into_iter().flatten().collect();
    for (at, checkpoint) in checkpoints.iter().enumerate() {
        if checkpoints[..at].iter().any(|earlier| earlier.name == checkpoint.name) {
            section.fault("checkpoint", format!("has two called {:?}", checkpoint.name));
        }
    }
    checkpoints
}

impl CheckpointSettings {
    fn read(section: &mut Section) -> Option<CheckpointSettings> {
        let name = section.optional("name", text);
        let tables = section.optional("tables", columns);
        let sql = section.optional("sql", expression);
        let expect = section.optional("expect", answer);
        if !section.has("name") {
            section.fault("name", "is missing; write what the checkpoint is to be called");
        }
        let fault = match (section.has("tables"), section.has("sql"), section.has("expect")) {
            (true, false, false) if tables.as_ref().is_some_and(Vec::is_empty) => {
                Some(("tables", "is empty, so that nothing is checked"))
            }
            (true, false, false) | (false, true, true) => None,
            (true, true, _) => Some(("sql", "stands beside `tables`; make two checkpoints of it")),
            (true, false, true) => Some(("expect", "stands beside `tables`, which are expected to be there")),
            (false, true, false) => Some(("expect", "is missing; write what `sql` has to give")),
            (false, false, true) => Some(("sql", "is missing; write the query that has to give `expect`")),
            (false, false, false) => {
                Some(("tables", "is missing; write the tables that must be there, or `sql` and `expect`"))
            }
        };
        if let Some((key, what)) = fault {
            section.fault(key, what);
            return None;
        }
        let expects = match tables {
            Some(tables) => Expectation::Tables(tables),
            None => Expectation::Answer { sql: sql?, expect: expect? },
        };
        Some(CheckpointSettings { name: name?, expects })
    }
}
