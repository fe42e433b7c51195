//! What foreign keys' actions touch behind the triggers' back.
//!
//! An action (ON DELETE CASCADE, ON UPDATE SET NULL and so on) fires no trigger of the child. So the
//! triggers of the parent log the children's keys, and those of their children: before the action, when
//! the children still refer to the old row, and for changed keys again after it. Each way from the parent
//! through foreign keys is a join of its own, as deep as InnoDB goes; a deeper one is tried only where the
//! one above has found rows. The joins lock what they read, so that they see the children that others
//! have committed meanwhile. Logging too many keys costs a look at them, a missing one is a lost row.
//!
//! # What comes between the join and the action
//!
//! The triggers may lock for sharing only: the server refuses FOR UPDATE in them on the tables that the
//! action will change. At REPEATABLE READ the join also locks the gaps where further children would
//! stand, so nobody else's comes. At READ COMMITTED it does not, and whether one can come depends on what
//! its own foreign key locks:
//!
//! - A child of the parent's row, through its primary key: the statement has locked that very index entry
//!   exclusively before the trigger fires, so the child waits. Whether the action is CASCADE or SET NULL
//!   makes no difference.
//! - A child of the parent's row, through another key: the child's foreign key locks the entry of that
//!   key's index, and the statement locks it as late as it changes it. The child can come.
//! - A row further down: it locks its own parent, which our join has locked for sharing, and so may it.
//!   It can come, until the action gets there. The action is DELETE, or an UPDATE whose old key is gone
//!   or whose columns change: each would be logged nowhere.
//!
//! What can come has been logged by its own trigger as an insert or an update. So BEFORE leaves a *note*
//! in each log concerned, an entry without a key, ahead of the join: whatever comes after the join has a
//! greater number, as numbers are given out in ascending order. AFTER of the same row writes a second
//! note and logs what stands between them once more. All this has been committed, for the action has
//! waited for it, so entries that others still lock are passed over: nobody waits here, and nobody can
//! be waited for in a circle. The read locks, because one without would see in MySQL what the statement's
//! first one saw, and at REPEATABLE READ would open the transaction's view before its time; it is bounded
//! by our own second note, because at REPEATABLE READ it locks gaps, and the end of the log is where all
//! others write. (The level can't be asked for: one set for the next transaction only is shown nowhere.)
//! As long as the first note is not committed it is a gap to the reader, below which alone is purged:
//! what stands between the notes stays until then.
//!
//! Its number is kept in a variable of the session, as the triggers share nothing else. There is one for
//! each parent and log; the row's BEFORE sets it and its AFTER uses it before the next row's comes, and
//! nothing that other triggers do in between can change the same parent: the server refuses that.

use std::collections::{BTreeMap, BTreeSet};

use super::cascade_body::{after, before};
use super::comparison::Comparison;
use super::connect::Flavour;
use crate::error::{Error, Result};

/// As deep as InnoDB lets actions go.
const DEEPEST: usize = 15;

/// More ways than that from one table make triggers that nobody would want to run.
const MOST: usize = 300;

/// A table of the server: its database and its name.
pub(super) type Place = (String, String);

/// What a foreign key does to the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The parent's change is refused.
    Refuse,
    /// The child's row goes or changes along.
    Cascade,
    /// The child's columns are emptied.
    Empty,
}

impl Action {
    /// The action by its name in the catalogue.
    pub(super) fn of(rule: &str) -> Self {
        match rule {
            "CASCADE" => Action::Cascade,
            "SET NULL" | "SET DEFAULT" => Action::Empty,
            _ => Action::Refuse,
        }
    }
}

/// A foreign key with an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edge {
    /// The referenced table.
    pub(super) parent: Place,
    /// The referencing table.
    pub(super) child: Place,
    /// Whether the child is system-versioned, which a join has to say: a writer's `system_versioning_asof` would
    /// hide present rows. A join over all versions logs keys of the past too, which costs a look at them.
    pub(super) versioned: bool,
    /// The columns, in order.
    pub(super) columns: Vec<Link>,
    /// Whether the parent's columns are its primary key.
    pub(super) by_primary: bool,
    /// When the parent's row goes.
    pub(super) on_delete: Action,
    /// When the parent's columns change.
    pub(super) on_update: Action,
}

/// A column of a foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// The child's column.
    pub(super) child: String,
    /// The parent's column.
    pub(super) parent: String,
    /// How their values compare.
    pub(super) how: Comparison,
}

/// What happens to rows of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// They go.
    Delete,
    /// These columns change.
    Update(BTreeSet<String>),
}

/// How keys of a captured table are logged.
#[derive(Debug, Clone)]
pub(super) struct Logged {
    /// The change log, as SQL.
    pub(super) log: String,
    /// The key's columns; none for a keyless table.
    pub(super) key: Vec<String>,
    /// Their types in the table.
    pub(super) types: Vec<String>,
    /// The statement that notes a write whose log is gone.
    pub(super) missed: String,
}

/// All foreign keys with an action.
#[derive(Debug)]
pub(super) struct Graph {
    edges: Vec<Edge>,
    flavour: Flavour,
}

/// What one table's triggers must log of others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Bodies {
    /// In BEFORE DELETE; empty where nothing is to do, like the others.
    pub(super) before_delete: String,
    /// In AFTER DELETE.
    pub(super) after_delete: String,
    /// In BEFORE UPDATE.
    pub(super) before_update: String,
    /// In AFTER UPDATE.
    pub(super) after_update: String,
}

/// A foreign key on a way, and the ways on from its child.
pub(super) struct Step<'a> {
    /// The foreign key.
    pub(super) edge: &'a Edge,
    /// What happens to the child's rows.
    pub(super) event: Event,
    /// How the child is logged, if it is captured.
    pub(super) logged: Option<&'a Logged>,
    /// The ways on.
    pub(super) steps: Vec<Step<'a>>,
}

impl Graph {
    /// The graph of these foreign keys on a server of this kind.
    pub(super) fn new(edges: Vec<Edge>, flavour: Flavour) -> Self {
        Graph { edges, flavour }
    }

    /// A table in another database whose rows' end or change touches rows of `table` directly: that can't
    /// be captured, as triggers would have to stand there.
    pub(super) fn foreign_parent(&self, table: &Place) -> Option<&Place> {
        let mut parents = self.edges.iter().filter(|e| &e.child == table).map(|e| &e.parent);
        parents.find(|parent| parent.0 != table.0)
    }

    /// All tables that the actions of foreign keys lead to from `table`, itself where they lead back.
    pub(super) fn descendants(&self, table: &Place) -> BTreeSet<Place> {
        let mut found = BTreeSet::new();
        let mut next = vec![table];
        while let Some(parent) = next.pop() {
            for edge in self.edges.iter().filter(|e| &e.parent == parent) {
                if found.insert(edge.child.clone()) {
                    next.push(&edge.child);
                }
            }
        }
        found
    }

    /// What the triggers of `table` must log of the tables in `captured`.
    ///
    /// # Errors
    /// [`crate::error::Kind::Table`] when there are too many ways.
    pub(super) fn bodies(&self, table: &Place, captured: &BTreeMap<Place, Logged>) -> Result<Bodies> {
        let changes = Event::Update(
            self.edges
                .iter()
                .filter(|e| &e.parent == table)
                .flat_map(|e| e.columns.iter().map(|link| link.parent.clone()))
                .collect(),
        );
        let walk = |event: &Event, keys_only: bool| {
            let mut walk = Walk { graph: self, captured, keys_only, ways: 0 };
            walk.steps(table, event, 1)
        };
        let deleted = walk(&Event::Delete, false)?;
        let (old, new) = (walk(&changes, false)?, walk(&changes, true)?);
        Ok(Bodies {
            before_delete: before(table, &deleted, &Event::Delete),
            after_delete: after(table, &deleted, &[], self.flavour),
            before_update: before(table, &old, &changes),
            after_update: after(table, &old, &new, self.flavour),
        })
    }
}

struct Walk<'a> {
    graph: &'a Graph,
    captured: &'a BTreeMap<Place, Logged>,
    /// Only what may change keys is followed: the keys as they are afterwards are wanted.
    keys_only: bool,
    ways: usize,
}

impl<'a> Walk<'a> {
    fn steps(&mut self, parent: &Place, event: &Event, depth: usize) -> Result<Vec<Step<'a>>> {
        let mut steps = Vec::new();
        if depth > DEEPEST {
            return Ok(steps);
        }
        let graph = self.graph;
        for edge in graph.edges.iter().filter(|e| &e.parent == parent) {
            let Some(event) = self.follow(edge, event) else { continue };
            let logged = self.captured.get(&edge.child);
            self.ways += 1;
            if self.ways > MOST {
                return Err(too_many());
            }
            let further = self.steps(&edge.child, &event, depth + 1)?;
            if logged.is_some() || !further.is_empty() {
                steps.push(Step { edge, event, logged, steps: further });
            }
        }
        Ok(steps)
    }

    /// What happens to the child's rows, if anything does.
    fn follow(&self, edge: &Edge, event: &Event) -> Option<Event> {
        let touched = || Event::Update(edge.columns.iter().map(|link| link.child.clone()).collect());
        let action = match event {
            Event::Delete => edge.on_delete,
            Event::Update(columns) if edge.columns.iter().any(|link| columns.contains(&link.parent)) => {
                edge.on_update
            }
            Event::Update(_) => Action::Refuse,
        };
        match (action, event) {
            (Action::Refuse, _) => None,
            (Action::Cascade, Event::Delete) => Some(Event::Delete),
            (Action::Cascade, Event::Update(_)) => Some(touched()),
            // A column that may be NULL is in nobody's key.
            (Action::Empty, _) if self.keys_only => None,
            (Action::Empty, _) => Some(touched()),
        }
    }
}

fn too_many() -> Error {
    Error::table(format!("the actions of foreign keys lead from it on more than {MOST} ways"))
        .remedy("exclude the tables that they lead to, or drop foreign keys for the time of the migration")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(table: &str) -> Place {
        ("d".into(), table.into())
    }

    fn link((child, parent): &(&str, &str)) -> Link {
        Link { child: (*child).into(), parent: (*parent).into(), how: Comparison::Plain }
    }

    fn edge(parent: &str, child: &str, columns: &[(&str, &str)], delete: &str, update: &str) -> Edge {
        Edge {
            parent: place(parent),
            child: place(child),
            versioned: false,
            columns: columns.iter().map(link).collect(),
            by_primary: columns.iter().all(|(_, p)| *p == "id"),
            on_delete: Action::of(delete),
            on_update: Action::of(update),
        }
    }

    fn captured(tables: &[&str]) -> BTreeMap<Place, Logged> {
        let logged = |t: &&str| {
            (
                place(t),
                Logged {
                    log: format!("`{t}_log`"),
                    key: vec!["id".into()],
                    types: vec!["int".into()],
                    missed: "DO 0;".into(),
                },
            )
        };
        tables.iter().map(logged).collect()
    }

    fn of(edges: Vec<Edge>) -> Graph {
        Graph::new(edges, Flavour::Mysql)
    }

    fn count(text: &str, what: &str) -> usize {
        text.matches(what).count()
    }

    #[test]
    fn a_chain_is_followed_through_tables_that_are_not_captured() {
        let graph = of(vec![
            edge("p", "c", &[("p_id", "id")], "CASCADE", "NO ACTION"),
            edge("c", "g", &[("c_id", "id")], "CASCADE", "NO ACTION"),
            edge("c", "x", &[("c_id", "id")], "RESTRICT", "NO ACTION"),
        ]);
        let bodies = graph.bodies(&place("p"), &captured(&["g", "x"])).unwrap();
        let note = "@highwater_note_3129540d86da";
        let (before, after) = (&bodies.before_delete, &bodies.after_delete);
        assert!(before.starts_with(&format!("    SET {note} = NULL;\n")), "{before}");
        let (noted, joined) = before.split_once("STRAIGHT_JOIN").unwrap();
        assert!(noted.contains(
            "IF EXISTS (SELECT 1 FROM `d`.`c` AS t1 WHERE t1.`p_id` = OLD.`id` LIMIT 18446744073709551615 LOCK IN SHARE MODE) THEN"
        ));
        assert!(noted.contains(&format!("SET {note} = LAST_INSERT_ID();")), "the note comes first: {before}");
        assert!(joined.starts_with(
            " `d`.`g` AS t2 ON t2.`c_id` = t1.`id` WHERE t1.`p_id` = OLD.`id` LIMIT 18446744073709551615 LOCK IN SHARE MODE;"
        ));
        assert!(joined.contains(
            "INSERT INTO `g_log` (kind, captured_at, k1) VALUES ('D', UTC_TIMESTAMP(6), highwater_k1);"
        ));
        assert!(after.contains(&format!("IF {note} IS NOT NULL THEN")), "{after}");
        assert!(after.contains("l.kind IN ('I', 'U')\n"));
        assert!(after.contains("LIMIT 18446744073709551615 FOR SHARE SKIP LOCKED;"));
        assert!(!format!("{before}{after}").contains("SELECT 'D'"), "rows are inserted one by one");
        assert!(bodies.before_update.is_empty() && bodies.after_update.is_empty());
        assert_eq!(graph.bodies(&place("p"), &captured(&["x"])).unwrap(), Bodies::default());
        assert_eq!(graph.descendants(&place("p")), ["c", "g", "x"].map(place).into());
    }

    #[test]
    fn a_tree_in_one_table_is_unrolled_as_deep_as_innodb_goes() {
        let graph = of(vec![edge("t", "t", &[("parent", "id")], "CASCADE", "NO ACTION")]);
        let body = graph.bodies(&place("t"), &captured(&["t"])).unwrap().before_delete;
        assert_eq!(count(&body, "VALUES ('D'"), DEEPEST);
        assert_eq!(count(&body, "IF highwater_found THEN"), DEEPEST - 1);
        assert!(body.contains("t15.`parent` = t14.`id`"));
        assert_eq!(graph.descendants(&place("t")), [place("t")].into());
    }

    #[test]
    fn cycles_end_and_too_many_ways_are_refused() {
        let ring = |from: &str, to: &str| edge(from, to, &[("other", "id")], "CASCADE", "NO ACTION");
        let graph = of(vec![ring("a", "b"), ring("b", "a")]);
        let body = graph.bodies(&place("a"), &captured(&["a", "b"])).unwrap().before_delete;
        const LOGS_A: &str = "INSERT INTO `a_log` (kind, captured_at, k1)";
        const LOGS_B: &str = "INSERT INTO `b_log` (kind, captured_at, k1)";
        assert_eq!((count(&body, LOGS_A), count(&body, LOGS_B)), (7, 8));
        let twice = vec![ring("a", "a"), edge("a", "a", &[("second", "id")], "CASCADE", "NO ACTION")];
        assert!(of(twice).bodies(&place("a"), &captured(&["a"])).is_err());
    }

    #[test]
    fn an_emptied_column_that_is_referenced_goes_on_as_an_update() {
        let graph = of(vec![
            edge("p", "c", &[("p_id", "id")], "SET NULL", "NO ACTION"),
            edge("c", "g", &[("c_p", "p_id")], "NO ACTION", "CASCADE"),
            edge("c", "h", &[("c_id", "id")], "CASCADE", "CASCADE"),
        ]);
        let body = graph.bodies(&place("p"), &captured(&["c", "g", "h"])).unwrap().before_delete;
        assert_eq!(count(&body, "'U'"), 2, "c and g change: {body}");
        assert!(!body.contains("h_log"), "h refers to a column that does not change: {body}");
    }

    #[test]
    fn keys_that_change_are_logged_before_and_after() {
        let graph = of(vec![
            edge("p", "c", &[("p_id", "id")], "NO ACTION", "CASCADE"),
            edge("c", "g", &[("c_p", "p_id")], "NO ACTION", "SET NULL"),
        ]);
        let bodies = graph.bodies(&place("p"), &captured(&["c", "g"])).unwrap();
        assert!(bodies.before_delete.is_empty());
        let logs = "VALUES ('U'";
        // Afterwards c by its new key, and g again if something came between.
        assert_eq!((count(&bodies.before_update, logs), count(&bodies.after_update, logs)), (2, 2));
        let changed = "IF NOT (OLD.`id` <=> NEW.`id`) OR NOT (CAST(OLD.`id` AS BINARY) <=> CAST(NEW.`id` AS BINARY)) THEN";
        assert!(bodies.before_update.contains(changed));
        assert!(bodies.after_update.contains("WHERE t1.`p_id` = NEW.`id`"));
    }

    #[test]
    fn a_keyless_child_is_logged_as_a_whole_and_a_foreign_parent_is_seen() {
        let mut from_elsewhere = edge("p", "c", &[("p_id", "id")], "CASCADE", "NO ACTION");
        let graph = of(vec![from_elsewhere.clone()]);
        let keyless = Logged { log: "`l`".into(), key: vec![], types: vec![], missed: "DO 0;".into() };
        let keyless = [(place("c"), keyless)].into();
        let body = graph.bodies(&place("p"), &keyless).unwrap().before_delete;
        assert!(body.contains("IF EXISTS (SELECT 1 FROM `d`.`c` AS t1"), "{body}");
        assert!(body.contains("VALUES ('W', UTC_TIMESTAMP(6));"), "{body}");
        assert_eq!(graph.foreign_parent(&place("c")), None);
        from_elsewhere.parent.0 = "other".into();
        let graph = of(vec![from_elsewhere.clone()]);
        assert_eq!(graph.foreign_parent(&place("c")), Some(&from_elsewhere.parent));
    }
}
