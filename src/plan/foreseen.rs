//! What would come up only later: asked of the target now, and undone.

use super::Circumstances;
use crate::engine::{Source, Target};
use crate::error::{Policy, Result};
use crate::model::{Finding, Plan};
use crate::settings::{CheckpointSettings, DatabaseSettings, Expectation};

/// Adds to a plan what copy, upgrade and final sync would meet: definitions that the target refuses, rights that
/// the scripts of the upgrade lack, checkpoints that the target's server does not understand.
///
/// # Errors
/// When a side can't be reached.
pub async fn foresee(
    plan: &mut Plan,
    database: &DatabaseSettings,
    circumstances: &Circumstances,
    (source, target): (&dyn Source, &dyn Target),
) -> Result<()> {
    if plan.tables.iter().any(|table| table.create) {
        let refused = definitions(plan, source, target).await?;
        plan.blockers.extend(refused);
    }
    if !database.upgrade.scripts.is_empty() && !circumstances.upgraded {
        plan.warnings.extend(target.script_rights(plan).await?);
    }
    for checkpoint in &database.checkpoints {
        let Some(fault) = checkpoint_fault(checkpoint, circumstances, target).await? else { continue };
        // Before the upgrade it may name what the upgrade is to make.
        if circumstances.upgraded {
            plan.blockers.push(fault);
        } else {
            plan.warnings.push(fault);
        }
    }
    Ok(())
}

/// The definitions of missing tables that the target would refuse, or why there are none to be had.
async fn definitions(plan: &Plan, source: &dyn Source, target: &dyn Target) -> Result<Vec<Finding>> {
    let whole = plan.tables.iter().all(|table| table.create);
    match source.definitions(plan, whole).await {
        Ok(definitions) => target.try_definitions(&definitions).await,
        Err(error) if error.policy() == Policy::Retry => Err(error),
        Err(error) => {
            let remedy = error.remedy_text().unwrap_or("make the tables on the target yourself").to_string();
            Ok(vec![Finding::general(error.summary(), remedy)])
        }
    }
}

async fn checkpoint_fault(
    checkpoint: &CheckpointSettings,
    circumstances: &Circumstances,
    target: &dyn Target,
) -> Result<Option<Finding>> {
    let Expectation::Answer { sql, .. } = &checkpoint.expects else { return Ok(None) };
    let error = match target.check_query(sql).await {
        Ok(()) => return Ok(None),
        Err(error) if error.policy() == Policy::Retry => return Err(error),
        Err(error) => error.summary(),
    };
    let remedy = if circumstances.upgraded {
        "correct its sql in the settings: a final sync would fail"
    } else {
        "nothing, if the upgrade makes what it names; else correct its sql in the settings"
    };
    Ok(Some(Finding::general(format!("checkpoint {:?} can't be asked: {error}", checkpoint.name), remedy)))
}
