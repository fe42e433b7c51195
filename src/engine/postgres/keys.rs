//! The statements that set all keys of the source against the target's rows, and those that ask what
//! stands there.

use super::connect::literal;
use super::shape::Shape;
use super::statements::{BY_PLANNER, Pick, Script, Which, notation};
use crate::model::Key;

impl Shape {
    /// The condition that a target row `t` is one of this table's own; none where all are.
    pub(super) fn own_rows(&self) -> Vec<String> {
        let constants = self.matched.iter().filter_map(|m| Some((m, m.constant.as_ref()?)));
        constants.map(|(m, c)| format!("t.{} {} ({c})::{}", m.name, m.equal, m.cast)).collect()
    }

    /// The source's keys as `s`, converted to what rows are found by.
    fn source_keys(&self) -> String {
        let raw = (0..self.key.len()).map(|n| format!("k{n}"));
        let matched = self.matched.iter().enumerate().map(|(n, m)| {
            let value = m.constant.as_ref().map_or(m.at.clone(), |c| format!("({c})"));
            format!("{value}::{} AS m{n}", m.cast)
        });
        format!(
            "(SELECT {} FROM {} OFFSET 0) AS s",
            raw.chain(matched).collect::<Vec<_>>().join(", "),
            self.keys()
        )
    }

    /// The condition that no key of the source finds the target row `t`, which is this table's own.
    fn is_unfound(&self) -> String {
        let mut all = self.own_rows();
        all.push(format!("NOT EXISTS (SELECT FROM {} WHERE {})", self.source_keys(), self.same_key()));
        all.join(" AND ")
    }

    /// The condition that a target row `t` is to go: no key of the source finds it, and it is not kept.
    fn is_doomed(&self, keep: &[Key]) -> String {
        let mut condition = self.is_unfound();
        if !keep.is_empty() {
            let arrays = (0..self.matched.len()).map(|n| {
                let values: Vec<String> =
                    keep.iter().map(|k| k.get(n).map_or("NULL".to_string(), |v| literal(v))).collect();
                format!("ARRAY[{}]::text[]", values.join(", "))
            });
            let names: Vec<String> = (0..self.matched.len()).map(|n| format!("m{n}")).collect();
            let casts = self.matched.iter().enumerate().map(|(n, m)| format!("m{n}::{} AS m{n}", m.cast));
            condition.push_str(&format!(
                " AND NOT EXISTS (SELECT FROM (SELECT {} FROM unnest({}) AS u({}) OFFSET 0) AS s WHERE {})",
                casts.collect::<Vec<_>>().join(", "),
                arrays.collect::<Vec<_>>().join(", "),
                names.join(", "),
                self.same_key()
            ));
        }
        condition
    }

    /// Deletes target rows whose key is not among the source's: one count.
    pub(super) fn prune(&self, keep: &[Key]) -> Script {
        let mut script = Script::default();
        script.then(format!("ANALYZE {}", self.keys()));
        script.counted(format!(
            "DELETE FROM {}{} AS t WHERE {}",
            self.only,
            self.table,
            self.is_doomed(keep)
        ));
        script
    }

    /// Stages target rows whose key is not among the source's as absent ones: one count.
    pub(super) fn doom(&self, keep: &[Key]) -> Script {
        let places: Vec<&str> = self.matched.iter().map(|m| m.at.as_str()).collect();
        let values: Vec<String> = self
            .matched
            .iter()
            .map(|m| {
                if m.staged == "text" { notation(&format!("t.{}", m.name)) } else { format!("t.{}", m.name) }
            })
            .collect();
        let mut script = Script::default();
        script.then(format!("ANALYZE {}", self.keys()));
        script.counted(format!(
            "INSERT INTO {} (hw_n, hw_present, {}) SELECT -row_number() OVER (), false, {} FROM {}{} AS t WHERE {}",
            self.stage(),
            places.join(", "),
            values.join(", "),
            self.only,
            self.table,
            self.is_doomed(keep)
        ));
        script
    }

    /// The source's keys without a row here, and the rows here without a key of the source.
    pub(super) fn compare_keys(&self) -> [String; 2] {
        let keys: Vec<String> = (0..self.key.len()).map(|n| notation(&format!("s.k{n}"))).collect();
        let theirs: Vec<String> = self.matched.iter().map(|m| notation(&format!("t.{}", m.name))).collect();
        [
            format!("SELECT {} FROM {} WHERE NOT {}", keys.join(", "), self.source_keys(), self.has_row()),
            format!(
                "SELECT {} FROM {}{} AS t WHERE {}",
                theirs.join(", "),
                self.only,
                self.table,
                self.is_unfound()
            ),
        ]
    }

    /// What stands in those quoted columns of the rows that are found by the staged keys.
    pub(super) fn standing(&self, columns: &[String]) -> String {
        let values: Vec<String> = columns
            .iter()
            .map(|c| {
                format!(
                    ", CASE WHEN pg_catalog.num_nulls(t.{c}) = 0 THEN {} END",
                    notation(&format!("t.{c}"))
                )
            })
            .collect();
        format!(
            "{}; SELECT s.hw_n::text{} FROM {} JOIN {}{} AS t ON {}; {}",
            self.join_how(),
            values.concat(),
            self.staged(Which::All, Pick::All, false),
            self.only,
            self.table,
            self.same_key(),
            BY_PLANNER.join("; ")
        )
    }
}
