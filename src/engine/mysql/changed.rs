//! What an operator's SQL on the target sees: the staged rows as `changed`, in the source's words.

use super::connect::Flavour;
use super::matched::KeyColumn;
use super::stage::{Pick, also_type, carried_type, temporary};
use super::types::Kind;
use super::value::{join, quote};
use crate::model::sql::{Word, words};
use crate::model::{Staged, TablePlan};

/// The staged rows as `changed`.
#[derive(Debug, Clone)]
pub(super) struct Changed {
    columns: String,
    stage: String,
}

impl Changed {
    /// Of a stage, given as SQL.
    pub(super) fn of(table: &TablePlan, key: &[KeyColumn], flavour: Flavour, stage: &str) -> Self {
        let column = |(name, type_name, staged): (&str, &str, Staged)| {
            let (column, kind) = match staged {
                Staged::Key(k) => (format!("s.k{}", k + 1), key.get(k).map(|k| k.staged.clone())),
                Staged::Carried(c) => {
                    (format!("s.c{}", c + 1), table.columns.get(c).map(|c| carried_type(c, flavour)))
                }
                Staged::Also(a) => {
                    (format!("s.a{}", a + 1), table.rule.also.get(a).map(|c| also_type(c, flavour)))
                }
            };
            format!(", {} AS {}", as_source(&column, &kind.unwrap_or_default(), type_name), quote(name))
        };
        Changed { columns: table.changed().into_iter().map(column).collect(), stage: stage.to_string() }
    }

    fn copy(&self, n: usize) -> String {
        temporary(&format!("copy{n}"), &self.stage)
    }

    /// Makes the tables from which further mentions in a statement read.
    pub(super) fn make_copies(&self, mentions: usize) -> String {
        let make = |n| format!("CREATE TEMPORARY TABLE {} LIKE {}", self.copy(n), self.stage);
        join((2..=mentions).map(make), "; ")
    }

    /// Removes them.
    pub(super) fn forget_copies(&self, mentions: usize) -> String {
        let forget = |n| format!("DROP TEMPORARY TABLE IF EXISTS {}", self.copy(n));
        join((2..=mentions).map(forget), "; ")
    }

    /// Fills them with the rows that are picked and present.
    pub(super) fn fill_copies(&self, pick: Pick<'_>, mentions: usize) -> String {
        let fill = |n| {
            format!(
                "DELETE FROM {0}; INSERT INTO {0} SELECT * FROM {1} AS s WHERE s.hw_present{2}",
                self.copy(n),
                self.stage,
                pick.condition()
            )
        };
        join((2..=mentions).map(fill), "; ")
    }

    /// The rows that are picked and present, once for each mention.
    pub(super) fn with_copies(&self, pick: Pick<'_>, mentions: usize) -> String {
        let copies = (2..=mentions).map(|n| {
            format!(", hw_changed_{n} AS (SELECT s.hw_n{} FROM {} AS s)", self.columns, self.copy(n))
        });
        self.with(pick, true) + &copies.collect::<String>()
    }

    /// The rows that are picked and present, or absent, for the statement behind it.
    pub(super) fn with(&self, pick: Pick<'_>, present: bool) -> String {
        let not = if present { "" } else { "NOT " };
        let Changed { columns, stage } = self;
        format!(
            "WITH changed AS (SELECT s.hw_n{columns} FROM {stage} AS s WHERE {not}s.hw_present{})",
            pick.condition()
        )
    }
}

/// An operator's select of which each mention of the table `changed` has a name of its own, and how many
/// they are: MySQL reads a temporary table only once in a statement.
pub(super) fn apart(select: &str) -> (String, usize) {
    let words = words(select);
    let at = |n: usize| words.get(n).map(|(_, word)| word);
    let (mut text, mut from, mut mentions) = (String::with_capacity(select.len()), 0, 0);
    for (n, (start, word)) in words.iter().enumerate() {
        let quotes = if matches!(word, Word::Quoted(_)) { 2 } else { 0 };
        let is_changed = word.name().is_some_and(|name| name.eq_ignore_ascii_case("changed"));
        let before = n.checked_sub(1).and_then(at);
        let is_table = before.is_some_and(|b| ["from", "join", "straight_join"].iter().any(|k| b.is(k)));
        if !is_changed || !is_table || at(n + 1) == Some(&Word::Sign('.')) {
            continue;
        }
        mentions += 1;
        if mentions > 1 {
            text.push_str(&select[from..*start]);
            text.push_str(&format!("hw_changed_{mentions}"));
            if !at(n + 1).is_some_and(is_alias) {
                text.push_str(" AS changed");
            }
            from = start + "changed".len() + quotes;
        }
    }
    text.push_str(&select[from..]);
    (text, mentions)
}

/// Whether a word behind a table's name is, or leads to, another name of it.
fn is_alias(word: &Word<'_>) -> bool {
    const OTHERS: [&str; 22] = [
        "on",
        "using",
        "join",
        "inner",
        "left",
        "right",
        "cross",
        "natural",
        "straight_join",
        "where",
        "group",
        "having",
        "window",
        "order",
        "limit",
        "union",
        "except",
        "intersect",
        "for",
        "lock",
        "into",
        "outer",
    ];
    word.name().is_some() && !OTHERS.iter().any(|other| word.is(other))
}

/// A staged value as the source's type has it.
fn as_source(column: &str, staged: &str, type_name: &str) -> String {
    match Kind::of(type_name) {
        Kind::Decimal => {
            let sizes = type_name.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
            format!("CAST({column} AS DECIMAL({}))", sizes.map_or("10,0", |(sizes, _)| sizes))
        }
        Kind::Chars(set) | Kind::Enum(set) | Kind::Set(set) if staged == "longblob" && set != "binary" => {
            format!("CONVERT({column} USING {set})")
        }
        _ => column.to_string(),
    }
}

/// The names of columns that an index of a temporary table can have, so that rows are found by them.
pub(super) fn index(columns: &[(String, String)]) -> String {
    let part = |(name, declared): &(String, String)| {
        let word = declared.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        match word {
            "longtext" | "longblob" | "mediumtext" | "mediumblob" | "text" | "blob" | "tinytext"
            | "tinyblob" => Some(format!("{name}(150)")),
            "json" | "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
            | "multipolygon" | "geometrycollection" | "geomcollection" | "vector" => None,
            _ => Some(name.clone()),
        }
    };
    let parts: Vec<String> = columns.iter().filter_map(part).take(4).collect();
    if parts.is_empty() { String::new() } else { format!(", KEY ({})", join(parts, ", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mention_has_a_name_of_its_own() {
        let split = "SELECT id, 'from changed' FROM changed UNION ALL SELECT changed.id, x FROM changed WHERE changed.x > 0 \
                     UNION SELECT c.id, 1 FROM Changed AS c JOIN `changed` d ON d.id = c.id";
        let (text, mentions) = apart(split);
        assert_eq!(mentions, 4);
        assert_eq!(
            text,
            "SELECT id, 'from changed' FROM changed UNION ALL SELECT changed.id, x FROM hw_changed_2 AS changed WHERE changed.x > 0 \
             UNION SELECT c.id, 1 FROM hw_changed_3 AS c JOIN hw_changed_4 d ON d.id = c.id"
        );
        assert_eq!(apart("SELECT changed FROM t"), ("SELECT changed FROM t".to_string(), 0));
    }
}
