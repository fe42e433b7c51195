//! Which source column goes to which target column.

use crate::model::{Column, ColumnPair, Finding, Generation, Table};

/// Pairs the columns of two tables by name. A source column without a place, and a target column that
/// must be given a value and gets none, are blockers.
pub(super) fn pair(source: &Table, target: &Table, blockers: &mut Vec<Finding>) -> Vec<ColumnPair> {
    let mut pairs = Vec::new();
    for column in &source.columns {
        match place(column, target) {
            Place::Column(found) => pairs.push(ColumnPair {
                source: column.name.clone(),
                target: found.name.clone(),
                source_type: column.type_name.clone(),
                target_type: found.type_name.clone(),
            }),
            Place::Computed => {}
            Place::None(what) => blockers.push(Finding::of(
                &source.name,
                what,
                format!("add the column to {}, or drop it on the source", target.name),
            )),
        }
    }
    for column in &target.columns {
        let given = pairs.iter().any(|p| p.target == column.name);
        if !given && column.not_null && !column.has_default && column.generation == Generation::Plain {
            blockers.push(Finding::of(
                &source.name,
                format!("{}.{} is NOT NULL, has no default and gets no value", target.name, column.name),
                format!("give {} a default", column.name),
            ));
        }
    }
    pairs
}

enum Place<'a> {
    Column(&'a Column),
    /// The target computes it itself.
    Computed,
    None(String),
}

fn place<'a>(column: &Column, target: &'a Table) -> Place<'a> {
    let alike: Vec<&Column> =
        target.columns.iter().filter(|c| c.name.to_lowercase() == column.name.to_lowercase()).collect();
    let found = target.column(&column.name).or(match alike.as_slice() {
        [one] => Some(one),
        _ => None,
    });
    match (found, column.generation) {
        (Some(found), Generation::Computed) if found.generation == Generation::Computed => Place::Computed,
        (Some(found), _) if found.generation == Generation::Computed => Place::None(format!(
            "column {} would have to be written, but {}.{} is computed",
            column.name, target.name, found.name
        )),
        (Some(found), _) => Place::Column(found),
        (None, Generation::Computed) => Place::Computed,
        (None, _) if alike.len() > 1 => {
            Place::None(format!("column {} matches more than one column without case", column.name))
        }
        (None, _) => Place::None(format!("column {} has no place in {}", column.name, target.name)),
    }
}
