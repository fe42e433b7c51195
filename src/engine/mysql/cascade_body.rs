//! The parts of triggers that log what foreign keys' actions touch; [`super::cascade`] says why they are
//! as they are.
//!
//! Rows are logged one by one from a cursor: INSERT .. SELECT would hold the log's AUTO-INC lock at
//! `innodb_autoinc_lock_mode = 1` until production's whole statement ends, and all other writers of the
//! child would wait for it.

use sha2::{Digest, Sha256};

use super::cascade::{Edge, Event, Logged, Place, Step};
use super::comparison::Comparison;
use super::connect::Flavour;
use super::value::{join, key_names, quote};
use crate::engine::template::fill;

/// How deep the text stands in a trigger.
const INDENT: usize = 1;

/// What a BEFORE trigger of `table` logs; empty when there is nothing to do.
pub(super) fn before(table: &Place, steps: &[Step<'_>], event: &Event) -> String {
    let notes = noted(steps);
    let mut text = String::new();
    if !notes.is_empty() {
        let none = notes.iter().map(|(logged, _)| format!("{} = NULL", note(table, logged)));
        text = indented(&format!("SET {};", join(none, ", ")), INDENT);
    }
    for step in steps {
        let mut body = String::new();
        if !step.edge.by_primary {
            body.push_str(&take_notes(table, &noted(std::slice::from_ref(step))));
        }
        body.push_str(&step.sql(&mut Vec::new(), "OLD", &take_notes(table, &noted_below(step))));
        text.push_str(&match event {
            Event::Delete => indented(&body, INDENT),
            Event::Update(_) => step.when_changed(&body),
        });
    }
    text
}

/// What an AFTER trigger of `table` logs: the children of the `new` key, and once more what was logged
/// since the notes that the BEFORE trigger of the `old` ways has left.
pub(super) fn after(table: &Place, old: &[Step<'_>], new: &[Step<'_>], flavour: Flavour) -> String {
    let children = new.iter().map(|step| step.when_changed(&step.sql(&mut Vec::new(), "NEW", "")));
    let again = noted(old)
        .into_iter()
        .map(|(logged, kind)| indented(&log_again(logged, kind, &note(table, logged), flavour), INDENT));
    children.chain(again).collect()
}

/// The session's variable that holds the number of a note.
fn note(table: &Place, logged: &Logged) -> String {
    let digest = Sha256::digest(format!("{}\0{}\0{}", table.0, table.1, logged.log));
    format!("@highwater_note_{}", hex::encode(&digest[..6]))
}

/// The logs that get a note, each once, with the kind of what is logged again.
fn noted<'a>(steps: &[Step<'a>]) -> Vec<(&'a Logged, char)> {
    let mut all = Vec::new();
    for step in steps {
        if !step.edge.by_primary {
            all.extend(step.logged.map(|logged| (logged, step.kind())));
        }
        all.extend(noted_below(step));
    }
    each_once(all)
}

/// The same of what is below a step.
fn noted_below<'a>(step: &Step<'a>) -> Vec<(&'a Logged, char)> {
    let mut all = Vec::new();
    let mut next: Vec<&Step<'a>> = step.steps.iter().collect();
    while let Some(step) = next.pop() {
        all.extend(step.logged.map(|logged| (logged, step.kind())));
        next.extend(&step.steps);
    }
    each_once(all)
}

/// Deletes come before updates of the same log.
fn each_once(mut all: Vec<(&Logged, char)>) -> Vec<(&Logged, char)> {
    all.sort_by(|a, b| (&a.0.log, a.1).cmp(&(&b.0.log, b.1)));
    all.dedup_by(|a, b| a.0.log == b.0.log);
    all
}

fn take_notes(table: &Place, notes: &[(&Logged, char)]) -> String {
    let take = |(logged, _): &(&Logged, char)| {
        let pairs = [("log", &*logged.log), ("note", &*note(table, logged))];
        guarded(logged, &fill(include_str!("../../../sql/mysql/capture_note.sql"), &pairs))
    };
    notes.iter().map(take).collect()
}

fn log_again(logged: &Logged, kind: char, note: &str, flavour: Flavour) -> String {
    // Each of the two has only its own words for it.
    let share = match flavour {
        Flavour::Mysql => "FOR SHARE",
        Flavour::Mariadb => "LOCK IN SHARE MODE",
    };
    let mut pairs = vec![
        ("log", logged.log.clone()),
        ("note", note.to_string()),
        ("share", share.to_string()),
        ("missed", logged.missed.clone()),
    ];
    if logged.key.is_empty() {
        return filled(include_str!("../../../sql/mysql/capture_log_whole_again.sql"), &pairs);
    }
    pairs.push(("key", key_names("l.", logged.key.len())));
    pairs.extend(each(logged, kind, 8));
    filled(include_str!("../../../sql/mysql/capture_log_again.sql"), &pairs)
}

/// What a loop over keys needs; `margin` is where its declarations stand.
fn each(logged: &Logged, kind: char, margin: usize) -> [(&'static str, String); 4] {
    let count = logged.key.len();
    let types = logged.types.iter().map(|of| Comparison::of(of).logged_type(of));
    let variables = (1..).zip(types).map(|(n, of)| format!("DECLARE highwater_k{n} {of};"));
    [
        ("variables", join(variables, &format!("\n{}", " ".repeat(margin)))),
        ("names", key_names("highwater_", count)),
        ("k", key_names("", count)),
        ("kind", kind.to_string()),
    ]
}

fn filled(text: &str, pairs: &[(&str, String)]) -> String {
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fill(text, &pairs)
}

fn indented(text: &str, depth: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", "    ".repeat(depth))).collect()
}

impl<'a> Step<'a> {
    fn kind(&self) -> char {
        if self.event == Event::Delete { 'D' } else { 'U' }
    }

    /// Where the referenced columns change, for the index or byte by byte: an action follows a change of case too.
    fn when_changed(&self, body: &str) -> String {
        let changed = self.edge.columns.iter().map(|link| {
            let column = quote(&link.parent);
            let differs = link.how.differs(&format!("OLD.{column}"), &format!("NEW.{column}"));
            format!("{differs} OR NOT (CAST(OLD.{column} AS BINARY) <=> CAST(NEW.{column} AS BINARY))")
        });
        let body = indented(body, 1);
        indented(&format!("IF {} THEN\n{body}END IF;", join(changed, " OR ")), INDENT)
    }

    /// Logs what is found on the `way` and this step, and further on where something is; `first` comes
    /// before that.
    fn sql(&self, way: &mut Vec<&'a Edge>, row: &str, first: &str) -> String {
        way.push(self.edge);
        let (rows, last) = (joined(way, row), way.len());
        let mut further = String::new();
        if !self.steps.is_empty() {
            further.push_str(first);
            self.steps.iter().for_each(|step| further.push_str(&step.sql(way, row, "")));
        }
        way.pop();
        match self.logged {
            Some(logged) if !logged.key.is_empty() => self.log_each(logged, &rows, last, &further),
            Some(logged) => {
                let log = &logged.log;
                let whole =
                    format!("INSERT INTO {log} (kind, captured_at) VALUES ('W', UTC_TIMESTAMP(6));\n");
                if_any(&rows, &(guarded(logged, &whole) + &further))
            }
            None => if_any(&rows, &further),
        }
    }

    fn log_each(&self, logged: &Logged, rows: &str, last: usize, further: &str) -> String {
        let key = logged.key.iter().zip(&logged.types);
        let key = key.map(|(k, of)| Comparison::of(of).logged(&format!("t{last}.{}", quote(k))));
        let key = join(key, ", ");
        let further = match further {
            "" => String::new(),
            _ => indented(&format!("IF highwater_found THEN\n{}END IF;", indented(further, 1)), 1),
        };
        let mut pairs = vec![
            ("log", logged.log.clone()),
            ("key", key),
            ("rows", rows.to_string()),
            ("further", further),
            ("missed", logged.missed.clone()),
        ];
        pairs.extend(each(logged, self.kind(), 4));
        filled(include_str!("../../../sql/mysql/capture_log_each.sql"), &pairs)
    }
}

fn if_any(rows: &str, then: &str) -> String {
    // The limit is our own, as a writer's `sql_select_limit` counts here too.
    let exists = format!("SELECT 1 FROM {rows} LIMIT 18446744073709551615 LOCK IN SHARE MODE");
    format!("IF EXISTS ({exists}) THEN\n{}END IF;\n", indented(then, 1))
}

/// Statements that write a log, which may be gone: then the write passes, and is noted.
fn guarded(logged: &Logged, statements: &str) -> String {
    let pairs = [("missed", logged.missed.clone()), ("statements", indented(statements, 1))];
    filled(include_str!("../../../sql/mysql/capture_guarded.sql"), &pairs)
}

/// The tables on a way from a row: t1 is the child of it, t2 that of t1.
fn joined(way: &[&Edge], row: &str) -> String {
    let mut text = String::new();
    let mut first = String::new();
    for (i, edge) in way.iter().enumerate() {
        let (n, parent) = (i + 1, if i == 0 { row.to_string() } else { format!("t{i}") });
        let same = edge.columns.iter().map(|link| {
            let (child, of) =
                (format!("t{n}.{}", quote(&link.child)), format!("{parent}.{}", quote(&link.parent)));
            if i == 0 { link.how.is_of_row(&child, &of) } else { format!("{child} = {of}") }
        });
        let versions = if edge.versioned { " FOR SYSTEM_TIME ALL" } else { "" };
        let table = format!("{}.{}{versions} AS t{n}", quote(&edge.child.0), quote(&edge.child.1));
        let same = join(same, " AND ");
        if i == 0 {
            text.push_str(&table);
            first = same;
        } else {
            // In the order of the way: each table by its foreign key's index.
            text.push_str(&format!(" STRAIGHT_JOIN {table} ON {same}"));
        }
    }
    format!("{text} WHERE {first}")
}
