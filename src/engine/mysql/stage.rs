//! Where rows wait inside the target: temporary tables, and the statements between them and the table.
//!
//! The stage's columns are typed as the source's, so that it takes every row: what the target's types
//! refuse is found row by row, when it is written to the table. A row that even the stage can't take
//! waits there as a key with the reason.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::arrived::Comparisons;
use super::changed::Changed;
use super::connect::Flavour;
use super::fill::{Filler, Labels};
use super::matched::{KeyColumn, Match, declared_key, first_column, same_row};
use super::shape::{Column, Shape};
use super::types::{Kind, MEMBERS, besides, charset, collation, is_members, place};
use super::value::{join, quote};
use crate::model::{ColumnPair, On, SourceColumn, Staged, TablePlan};

/// A target table with its temporary tables.
#[derive(Debug, Clone)]
pub(super) struct Staging {
    /// The table, as SQL.
    table: String,
    /// The carried columns.
    carried: Vec<Given>,
    /// The types of what is staged besides.
    also: Vec<String>,
    /// The columns that are computed here.
    lookups: Vec<Given>,
    /// The carried columns: name as SQL, and where its value goes when it is loaded right into the table.
    loaded: Vec<(String, &'static str)>,
    /// The key's columns.
    key: Vec<KeyColumn>,
    /// By what rows are found.
    matches: Vec<Match>,
    /// What computed columns are computed from.
    expressions: Vec<String>,
    /// The stage as `changed`.
    changed: Changed,
    /// All columns that can be written: name as SQL and type in the temporary table.
    whole: Vec<(String, String)>,
    /// Columns of the target alone that an UPDATE would touch by itself.
    touched: Vec<String>,
    /// The staged rows.
    stage: String,
    /// Rows lifted out.
    lifted: String,
    /// The values of columns that are computed here.
    resolved: String,
    /// What is compared with what was staged, once it is written.
    comparisons: Comparisons,
}

/// A column that gets a value.
#[derive(Debug, Clone)]
struct Given {
    /// Its name, as SQL.
    name: String,
    /// Its type in the temporary table.
    kind: String,
    /// Whether it is written when its row is updated, too.
    always: bool,
    /// Whether it is a SET that is written by number.
    members: bool,
}

/// A name for a temporary table of this kind, which no other table of the target has.
pub(super) fn temporary(kind: &str, table: &str) -> String {
    quote(&format!("highwater_{kind}_{}", hex::encode(&Sha256::digest(table)[..6])))
}

impl Staging {
    /// For the rows of `table`, which the target has in that shape, in temporary tables called `name`.
    /// `unknown` are collations of the source that the server does not know.
    pub(super) fn new(
        name: &str,
        table: &TablePlan,
        shape: &Shape,
        flavour: Flavour,
        unknown: &HashSet<String>,
    ) -> Self {
        let matched: Vec<usize> = table
            .matched()
            .filter_map(|(_, staged)| if let Staged::Carried(c) = staged { Some(c) } else { None })
            .collect();
        let carried = table.columns.iter().enumerate().map(|(i, c)| Given {
            name: quote(&c.target),
            // What finds a row is of the column's own type: a value that is none is known while staging.
            kind: if matched.contains(&i) { c.target_type.clone() } else { staged_type(table, c, flavour) },
            always: c.on == On::Always,
            members: is_members(c),
        });
        let lookups = table.rule.lookups.iter().map(|l| Given {
            name: quote(&l.target),
            kind: shape.column(&l.target).map_or_else(|| l.target_type.clone(), Column::declared),
            always: l.on == On::Always,
            members: false,
        });
        let (carried, lookups): (Vec<Given>, Vec<Given>) = (carried.collect(), lookups.collect());
        let is_written =
            |name: &String| carried.iter().chain(&lookups).any(|given| given.always && given.name == *name);
        let touched = shape.columns.iter().filter(|c| c.touched).map(|c| c.name.clone());
        let key = KeyColumn::all(table, flavour);
        let stage = temporary(name, &table.target.name);
        Staging {
            table: shape.table.clone(),
            matches: Match::all(table, |c| format!("s.c{}", c + 1)),
            whole: shape.written().map(|c| (c.name.clone(), c.declared())).collect(),
            touched: touched.filter(|name| !is_written(name)).collect(),
            loaded: table.columns.iter().map(|c| (quote(&c.target), place(c))).collect(),
            also: table.rule.also.iter().map(|c| compared_type(table, c, flavour, unknown)).collect(),
            expressions: table.rule.lookups.iter().map(|l| l.expression.clone()).collect(),
            changed: Changed::of(table, &key, flavour, &stage),
            comparisons: Comparisons::of(table),
            lifted: temporary(&format!("{name}_lifted"), &table.target.name),
            resolved: temporary(&format!("{name}_resolved"), &table.target.name),
            stage,
            key,
            carried,
            lookups,
        }
    }

    /// Makes the temporary tables, empty. They are transactional themselves, but not their making.
    pub(super) fn make(&self) -> String {
        let carried = self.carried.iter().enumerate().map(|(i, c)| format!(", c{} {} NULL", i + 1, c.kind));
        let also = self.also.iter().enumerate().map(|(i, kind)| format!(", a{} {kind} NULL", i + 1));
        let whole = self.whole.iter().enumerate().map(|(i, (_, kind))| format!(", l{} {kind}", i + 1));
        format!(
            "{}; CREATE TEMPORARY TABLE {} (hw_n BIGINT NOT NULL PRIMARY KEY, hw_present BOOLEAN NOT NULL, \
             hw_refused LONGTEXT CHARACTER SET utf8mb4 NULL, {}{}) ENGINE=InnoDB; \
             CREATE TEMPORARY TABLE {} (hw_n BIGINT NOT NULL PRIMARY KEY{}) ENGINE=InnoDB",
            self.forget_all(),
            self.stage,
            declared_key(&self.key),
            carried.chain(also).collect::<String>(),
            self.lifted,
            whole.collect::<String>(),
        ) + &self.make_resolved()
    }

    fn make_resolved(&self) -> String {
        if self.lookups.is_empty() {
            return String::new();
        }
        let columns = self.lookups.iter().enumerate().map(|(i, l)| format!(", x{} {}", i + 1, l.kind));
        format!(
            "; CREATE TEMPORARY TABLE {} (hw_n BIGINT NOT NULL PRIMARY KEY{}) ENGINE=InnoDB",
            self.resolved,
            columns.collect::<String>()
        )
    }

    /// What an operator's SQL sees of the stage.
    pub(super) fn changed(&self) -> &Changed {
        &self.changed
    }

    /// Whether columns are computed here.
    pub(super) fn has_lookups(&self) -> bool {
        !self.lookups.is_empty()
    }

    /// Computes columns of the keys that are present.
    pub(super) fn resolve(&self, pick: Pick<'_>) -> String {
        format!(
            "DELETE FROM {0}; INSERT INTO {0} (hw_n, {1}) {2} SELECT changed.hw_n, {3} FROM changed",
            self.resolved,
            join((1..=self.lookups.len()).map(|n| format!("x{n}")), ", "),
            self.changed.with(pick, true),
            join(self.expressions.iter().map(|e| format!("({e}\n)")), ", "),
        )
    }

    /// Whether rows that are loaded right into the table are the same there.
    pub(super) fn loads_plainly(&self) -> bool {
        self.comparisons.is_empty()
    }

    /// The reason for which one of the picked rows is parked: a value is another one in the table.
    pub(super) fn changed_value(&self, pick: Pick<'_>) -> Option<String> {
        let from = format!("{} WHERE s.hw_present{}", self.beside_table(), pick.condition());
        self.comparisons.first_change(&from)
    }

    /// The same of the columns that are computed here.
    pub(super) fn changed_lookup(&self, pick: Pick<'_>) -> Option<String> {
        self.comparisons.first_change_of_lookups(&self.changed.with(pick, true), &self.resolved)
    }

    /// The computed columns as `r` beside the staged rows `s`, if there are any.
    fn beside_resolved(&self) -> String {
        if self.lookups.is_empty() {
            return String::new();
        }
        format!(" STRAIGHT_JOIN {} AS r ON r.hw_n = s.hw_n", self.resolved)
    }

    /// The columns that get a value, each with it.
    fn given(&self) -> impl Iterator<Item = (&Given, String)> {
        let carried = self.carried.iter().enumerate().map(|(i, c)| {
            let staged = format!("s.c{}", i + 1);
            (c, if c.members { format!("CAST({staged} AS UNSIGNED)") } else { staged })
        });
        carried.chain(self.lookups.iter().enumerate().map(|(i, l)| (l, format!("r.x{}", i + 1))))
    }

    /// Takes rows out of the stage.
    pub(super) fn unstage(&self, pick: Pick<'_>) -> String {
        format!("DELETE s FROM {} AS s WHERE TRUE{}", self.stage, pick.condition())
    }

    /// What stands in columns of the rows of all keys.
    pub(super) fn standing(&self, columns: &[String]) -> String {
        format!("SELECT s.hw_n, {} FROM {}", join(columns.iter().cloned(), ", "), self.beside_table())
    }

    /// Stages the rows that a query finds as keys that are absent: what their columns tell of the key.
    pub(super) fn stage_absent(&self, table: &TablePlan, from: &str) -> String {
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        for (pair, staged) in table.matched().filter(|(pair, _)| !pair.is_constant()) {
            columns.push(match staged {
                Staged::Key(k) => format!("k{}", k + 1),
                Staged::Carried(c) => format!("c{}", c + 1),
                Staged::Also(a) => format!("a{}", a + 1),
            });
            values.push(format!("t.{}", quote(&pair.target)));
        }
        format!(
            "INSERT INTO {} (hw_n, hw_present, {}) SELECT ROW_NUMBER() OVER (), 0, {} FROM {from}",
            self.stage,
            join(columns, ", "),
            join(values, ", ")
        )
    }

    /// Removes the temporary tables.
    pub(super) fn forget_all(&self) -> String {
        format!("DROP TEMPORARY TABLE IF EXISTS {}, {}, {}", self.stage, self.lifted, self.resolved)
    }

    /// What fills the stage.
    pub(super) fn filler(&self) -> Filler {
        let plain = |name: String| (name, "?");
        let place = |members| if members { MEMBERS } else { "?" };
        let key = (1..=self.key.len()).map(|n| plain(format!("k{n}")));
        let carried = self.carried.iter().enumerate();
        let carried = carried.map(|(i, c)| (format!("c{}", i + 1), place(c.members)));
        let also = self.also.iter().enumerate();
        let also = also.map(|(i, kind)| (format!("a{}", i + 1), place(kind.starts_with("set("))));
        let first = ["hw_n", "hw_present"].map(|name| plain(name.to_string())).into_iter();
        let columns = first.chain(key).chain(carried).chain(also).collect();
        let kinds = self.key.iter().map(|k| &k.staged);
        let kinds = kinds.chain(self.carried.iter().map(|c| &c.kind)).chain(&self.also);
        let enums = kinds.enumerate().filter_map(|(i, kind)| Labels::of(i + 2, kind));
        Filler::of(&self.stage, columns).with_enums(enums.collect()).with_refusals(2 + self.key.len())
    }

    /// What fills the table.
    pub(super) fn loader(&self) -> Filler {
        Filler::of(&self.table, self.loaded.clone())
    }

    /// All numbers in the stage.
    pub(super) fn numbers(&self) -> String {
        format!("SELECT hw_n FROM {} ORDER BY hw_n", self.stage)
    }

    /// The numbers of the rows that are present.
    pub(super) fn present(&self) -> String {
        format!("SELECT hw_n FROM {} WHERE hw_present ORDER BY hw_n", self.stage)
    }

    /// Numbers and keys of the stage.
    pub(super) fn keys(&self, numbers: &[i64]) -> String {
        let key = self.key.iter().enumerate().map(|(i, k)| k.kind.key_column(&format!("s.k{}", i + 1)));
        let (key, pick) = (join(key, ", "), Pick(Some(numbers)).condition());
        format!("SELECT s.hw_n, {key} FROM {} AS s WHERE TRUE{pick}", self.stage)
    }

    /// What kinds of values the key has.
    pub(super) fn key_kinds(&self) -> impl Iterator<Item = &Kind> {
        self.key.iter().map(|k| &k.kind)
    }

    /// The reason of one of the rows that the stage could not take, if there is one among them.
    pub(super) fn first_refused(&self, pick: Pick<'_>) -> String {
        format!(
            "SELECT hw_refused FROM {} AS s WHERE hw_refused IS NOT NULL{} LIMIT 1",
            self.stage,
            pick.condition()
        )
    }

    /// Deletes the rows of keys that are absent.
    pub(super) fn delete_absent(&self, pick: Pick<'_>) -> String {
        self.delete(&format!("NOT s.hw_present{}", pick.condition()))
    }

    /// Deletes the rows of keys.
    pub(super) fn delete_found(&self, pick: Pick<'_>) -> String {
        self.delete(&format!("TRUE{}", pick.condition()))
    }

    fn delete(&self, condition: &str) -> String {
        format!("DELETE t FROM {} WHERE {condition}", self.beside_table())
    }

    /// Stage and table side by side: the few staged rows are read first, whatever the server guesses of
    /// a table that it has no statistics of.
    fn beside_table(&self) -> String {
        self.beside_table_and("")
    }

    fn beside_table_and(&self, resolved: &str) -> String {
        format!(
            "{} AS s{resolved} STRAIGHT_JOIN {} AS t ON {}",
            self.stage,
            self.table,
            same_row(&self.matches)
        )
    }

    /// Updates the rows of keys that are present, in place.
    pub(super) fn update_present(&self, pick: Pick<'_>) -> String {
        let given =
            self.given().filter(|(c, _)| c.always).map(|(c, value)| format!("t.{} = {value}", c.name));
        let touched = self.touched.iter().map(|c| format!("t.{c} = t.{c}"));
        format!(
            "UPDATE {} SET {} WHERE s.hw_present{}",
            self.beside_table_and(&self.beside_resolved()),
            join(given.chain(touched), ", "),
            pick.condition()
        )
    }

    /// Inserts the rows of keys that are present and not in the table. (IS NULL would be true for a date
    /// of zeros, too.)
    pub(super) fn insert_present(&self, pick: Pick<'_>) -> String {
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS s{} LEFT JOIN {} AS t ON {} \
             WHERE s.hw_present AND {} <=> NULL{}",
            self.table,
            join(self.given().map(|(c, _)| c.name.clone()), ", "),
            join(self.given().map(|(_, value)| value), ", "),
            self.stage,
            self.beside_resolved(),
            self.table,
            same_row(&self.matches),
            first_column(&self.matches),
            pick.condition()
        )
    }

    /// Keeps the rows of keys, whole, as they are.
    pub(super) fn keep_found(&self, pick: Pick<'_>) -> String {
        format!(
            "INSERT INTO {} SELECT s.hw_n, {} FROM {} WHERE TRUE{}",
            self.lifted,
            join(self.whole.iter().map(|(c, _)| format!("t.{c}")), ", "),
            self.beside_table(),
            pick.condition()
        )
    }

    /// Puts kept rows of keys that are present back, with their carried columns as staged.
    pub(super) fn put_changed(&self, pick: Pick<'_>) -> String {
        let column = |(i, (whole, _)): (usize, &(String, String))| {
            let given = self.given().find(|(c, _)| c.always && c.name == *whole);
            given.map_or_else(|| format!("l.l{}", i + 1), |(_, value)| value)
        };
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS s{} JOIN {} AS l ON l.hw_n = s.hw_n WHERE s.hw_present{}",
            self.table,
            self.whole_names(),
            join(self.whole.iter().enumerate().map(column), ", "),
            self.stage,
            self.beside_resolved(),
            self.lifted,
            pick.condition()
        )
    }

    /// Puts kept rows back as they were.
    pub(super) fn put_unchanged(&self, pick: Pick<'_>) -> String {
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS s WHERE TRUE{}",
            self.table,
            self.whole_names(),
            join((1..=self.whole.len()).map(|n| format!("s.l{n}")), ", "),
            self.lifted,
            pick.condition()
        )
    }

    /// Puts kept rows of keys that are absent back as they were, and forgets them.
    pub(super) fn put_kept(&self, pick: Pick<'_>) -> String {
        let names = self.whole_names();
        let values = join((1..=self.whole.len()).map(|n| format!("l.l{n}")), ", ");
        let beside = format!("{} AS s JOIN {} AS l USING (hw_n)", self.stage, self.lifted);
        let condition = format!("NOT s.hw_present{}", pick.condition());
        format!(
            "INSERT INTO {} ({names}) SELECT {values} FROM {beside} WHERE {condition}; \
             DELETE l FROM {beside} WHERE {condition}",
            self.table
        )
    }

    fn whole_names(&self) -> String {
        join(self.whole.iter().map(|(c, _)| c.clone()), ", ")
    }

    /// How many kept rows have a key that is absent.
    pub(super) fn count_gone(&self, pick: Pick<'_>) -> String {
        format!(
            "SELECT COUNT(*) FROM {} AS s JOIN {} AS l USING (hw_n) WHERE NOT s.hw_present{}",
            self.stage,
            self.lifted,
            pick.condition()
        )
    }

    /// Forgets kept rows.
    pub(super) fn forget(&self, pick: Pick<'_>) -> String {
        format!("DELETE s FROM {} AS s WHERE TRUE{}", self.lifted, pick.condition())
    }
}

/// Which of the staged numbers a statement is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick<'a>(pub(super) Option<&'a [i64]>);

impl Pick<'_> {
    /// The condition on `s`, behind an AND.
    pub(super) fn condition(self) -> String {
        match self.0 {
            None => String::new(),
            Some([]) => " AND FALSE".to_string(),
            Some([first, .., last]) if is_run(self.0.unwrap_or_default()) => {
                format!(" AND s.hw_n BETWEEN {first} AND {last}")
            }
            Some(numbers) => {
                format!(" AND s.hw_n IN ({})", join(numbers.iter().map(i64::to_string), ","))
            }
        }
    }
}

/// Whether the numbers follow each other without a gap.
fn is_run(numbers: &[i64]) -> bool {
    numbers.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]))
}

/// The type of a carried column in the stage: it takes every value of the source's type as it travels
/// (see [`super::types::Carried`]), and gives it on exactly.
pub(super) fn carried_type(pair: &ColumnPair, flavour: Flavour) -> String {
    if pair.expression.is_some() {
        // As it travels: the column's type has its say when it is written there.
        return match Kind::of(&pair.target_type) {
            Kind::Bytes | Kind::Bit | Kind::Opaque => "longblob".to_string(),
            _ => "longtext CHARACTER SET utf8mb4".to_string(),
        };
    }
    let (from, to) = (Kind::of(&pair.source_type), Kind::of(&pair.target_type));
    let text = || "longtext CHARACTER SET utf8mb4".to_string();
    match (&from, &to) {
        (Kind::Enum(_), Kind::Enum(_)) => labels(&pair.source_type),
        (Kind::Set(_), Kind::Set(_)) if is_members(pair) => labels(&pair.source_type),
        (
            Kind::Chars(set) | Kind::Enum(set) | Kind::Set(set),
            Kind::Chars(other) | Kind::Enum(other) | Kind::Set(other),
        ) if set == other => format!("longtext CHARACTER SET {set}"),
        (Kind::Chars(_) | Kind::Enum(_) | Kind::Set(_) | Kind::Bytes, Kind::Bytes) => "longblob".to_string(),
        (Kind::Bytes, _) => "longblob".to_string(),
        (Kind::Json, Kind::Json) if flavour == Flavour::Mysql => "json".to_string(),
        (Kind::Opaque, _) if pair.source_type.starts_with("vector") => "longblob".to_string(),
        (Kind::Opaque, Kind::Opaque) => "geometry".to_string(),
        (Kind::Opaque, _) => "longblob".to_string(),
        // MariaDB makes 0 of the year 0000 there.
        (Kind::Year, Kind::Chars(_)) => text(),
        // Other servers have fewer digits.
        (Kind::Decimal | Kind::Json | Kind::Address | Kind::Chars(_) | Kind::Enum(_) | Kind::Set(_), _) => {
            text()
        }
        (Kind::Integer | Kind::Float | Kind::Double | Kind::Year | Kind::Moment | Kind::Bit, _) => {
            pair.source_type.clone()
        }
    }
}

/// The type of what is staged besides.
pub(super) fn also_type(column: &SourceColumn, flavour: Flavour) -> String {
    carried_type(&besides(column), flavour)
}

/// The same, but it compares as the source's column does, as far as the server knows how.
fn compared_type(
    table: &TablePlan,
    column: &SourceColumn,
    flavour: Flavour,
    unknown: &HashSet<String>,
) -> String {
    match collation(&column.type_name) {
        Some(collation) if unknown.contains(collation) => also_type(column, flavour),
        _ => staged_type(table, &besides(column), flavour),
    }
}

/// The same as [`carried_type`], but where the rows are shown as `changed` it compares as the column does.
fn staged_type(table: &TablePlan, pair: &ColumnPair, flavour: Flavour) -> String {
    let kind = carried_type(pair, flavour);
    match (kind.strip_prefix("longtext CHARACTER SET "), collation(&pair.target_type)) {
        (Some(set), Some(collation))
            if table.rule.is_computed_on_target() && charset(&pair.target_type) == Some(set) =>
        {
            format!("{kind} COLLATE {collation}")
        }
        _ => kind,
    }
}

/// The type of an ENUM or SET whose labels differ in more than their letters' cases or accents for sure: they
/// do already on the source, by a collation that this server may not know.
fn labels(source_type: &str) -> String {
    let kind = source_type.split(" CHARACTER SET ").next().unwrap_or(source_type);
    match charset(source_type) {
        Some("binary") | None => source_type.to_string(),
        Some(set) => format!("{kind} CHARACTER SET {set} COLLATE {set}_bin"),
    }
}

/// The type of a key's column in the stage: it must also compare with the table's column by that one's
/// collation, and find rows by its index.
pub(super) fn key_type(pair: &ColumnPair, flavour: Flavour) -> String {
    let (from, to) = (Kind::of(&pair.source_type), Kind::of(&pair.target_type));
    match (&from, &to) {
        (Kind::Chars(set), Kind::Chars(other)) if set == other => {
            let kind = pair.source_type.split(" CHARACTER SET ").next().unwrap_or_default();
            match collation(&pair.target_type) {
                Some(collation) => format!("{kind} CHARACTER SET {set} COLLATE {collation}"),
                None => pair.source_type.clone(),
            }
        }
        (Kind::Address, Kind::Address) if flavour == Flavour::Mariadb => pair.source_type.clone(),
        (Kind::Address, _) => "varchar(64) CHARACTER SET utf8mb4".to_string(),
        (Kind::Enum(_), Kind::Enum(_)) if pair.source_type != pair.target_type => labels(&pair.source_type),
        _ => pair.source_type.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_a_range() {
        assert_eq!(Pick(Some(&[3, 4, 5])).condition(), " AND s.hw_n BETWEEN 3 AND 5");
        assert_eq!(Pick(Some(&[3, 5])).condition(), " AND s.hw_n IN (3,5)");
        assert_eq!(Pick(Some(&[3])).condition(), " AND s.hw_n IN (3)");
        assert_eq!(Pick(Some(&[])).condition(), " AND FALSE");
        assert_eq!(Pick(None).condition(), "");
    }

    #[test]
    fn the_stage_takes_what_the_source_has() {
        let staged = |source: &str, target: &str| {
            let pair = ColumnPair::plain("a", source, "a", target);
            carried_type(&pair, Flavour::Mariadb)
        };
        let latin = "varchar(9) CHARACTER SET latin1 COLLATE latin1_bin";
        assert_eq!(staged(latin, latin), "longtext CHARACTER SET latin1");
        assert_eq!(staged(latin, "varbinary(3)"), "longblob");
        assert_eq!(
            staged(latin, "text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
            "longtext CHARACTER SET utf8mb4"
        );
        let mood = "enum('a','A') CHARACTER SET latin1 COLLATE latin1_bin";
        assert_eq!(staged(mood, "enum('x') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"), mood);
        assert_eq!(
            staged("json", "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
            "longtext CHARACTER SET utf8mb4"
        );
        assert_eq!(staged("point", "point"), "geometry");
        assert_eq!(staged("int unsigned", "tinyint"), "int unsigned");
    }
}
