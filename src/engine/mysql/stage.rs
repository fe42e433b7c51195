//! Where rows wait inside the target: temporary tables, and the statements between them and the table.
//!
//! The stage's columns are typed as the source's, so that it takes every row: what the target's types
//! refuse is found row by row, when it is written to the table. A row that even the stage can't take
//! waits there as a key with the reason.

use sha2::{Digest, Sha256};

use super::connect::Flavour;
use super::fill::{Filler, Labels};
use super::shape::Shape;
use super::types::{Kind, charset, collation, place};
use super::value::{join, quote};
use crate::model::{ColumnPair, TablePlan};

/// A target table with its temporary tables.
#[derive(Debug, Clone)]
pub(super) struct Staging {
    /// The table, as SQL.
    table: String,
    /// The carried columns: name as SQL and type in the stage.
    carried: Vec<(String, String)>,
    /// The carried columns: name as SQL, and where its value goes when it is loaded right into the table.
    loaded: Vec<(String, &'static str)>,
    /// The key's columns.
    key: Vec<KeyColumn>,
    /// All columns that can be written: name as SQL and type in the temporary table.
    whole: Vec<(String, String)>,
    /// Columns of the target alone that an UPDATE would touch by itself.
    touched: Vec<String>,
    /// The staged rows.
    stage: String,
    /// Rows lifted out.
    lifted: String,
}

/// A key's column.
#[derive(Debug, Clone)]
pub(super) struct KeyColumn {
    /// Its name on the target, as SQL.
    name: String,
    /// Its type in the stage.
    staged: String,
    /// What kind of values it has on the source.
    kind: Kind,
    /// Whether both sides have the same type.
    same: bool,
}

impl KeyColumn {
    fn of(pair: &ColumnPair, flavour: Flavour) -> Self {
        KeyColumn {
            name: quote(&pair.target),
            staged: key_type(pair, flavour),
            kind: Kind::of(&pair.source_type),
            same: pair.source_type == pair.target_type,
        }
    }

    /// Its type in the stage.
    pub(super) fn staged(&self) -> &str {
        &self.staged
    }

    /// The columns of a table's key.
    pub(super) fn all(table: &TablePlan, flavour: Flavour) -> Vec<Self> {
        table.key_columns().map(|pair| KeyColumn::of(pair, flavour)).collect()
    }
}

/// `k1 TYPE NULL, k2 TYPE NULL` for the columns of a key.
pub(super) fn declared_key(key: &[KeyColumn]) -> String {
    join(key.iter().enumerate().map(|(i, k)| format!("k{} {} NULL", i + 1, k.staged)), ", ")
}

/// That the key of table `t` is that of the temporary table `s`: by the collation of the columns. Labels
/// of an ENUM compare as texts, where number 0 would be the label '', if there is one.
pub(super) fn same_key(key: &[KeyColumn]) -> String {
    let same = |(i, k): (usize, &KeyColumn)| {
        let (name, n) = (&k.name, i + 1);
        let number = if k.same && matches!(k.kind, Kind::Enum(_)) {
            format!(" AND t.{name}+0 = s.k{n}+0")
        } else {
            String::new()
        };
        format!("t.{name} = s.k{n}{number}")
    };
    join(key.iter().enumerate().map(same), " AND ")
}

/// A name for a temporary table of this kind, which no other table of the target has.
pub(super) fn temporary(kind: &str, table: &str) -> String {
    quote(&format!("highwater_{kind}_{}", hex::encode(&Sha256::digest(table)[..6])))
}

impl Staging {
    /// For the rows of `table`, which the target has in that shape.
    pub(super) fn new(table: &TablePlan, shape: &Shape, flavour: Flavour) -> Self {
        let carried: Vec<(String, String)> =
            table.columns.iter().map(|c| (quote(&c.target), carried_type(c, flavour))).collect();
        let alone = |name: &String| !carried.iter().any(|(carried, _)| carried == name);
        let touched = shape.columns.iter().filter(|c| c.touched).map(|c| c.name.clone()).filter(alone);
        Staging {
            table: shape.table.clone(),
            key: KeyColumn::all(table, flavour),
            whole: shape.written().map(|c| (c.name.clone(), c.declared())).collect(),
            touched: touched.collect(),
            loaded: table.columns.iter().map(|c| (quote(&c.target), place(&c.target_type))).collect(),
            stage: temporary("stage", &table.target.name),
            lifted: temporary("lifted", &table.target.name),
            carried,
        }
    }

    /// Makes the temporary tables, empty. They are transactional themselves, but not their making.
    pub(super) fn make(&self) -> String {
        let carried =
            self.carried.iter().enumerate().map(|(i, (_, kind))| format!(", c{} {kind} NULL", i + 1));
        let whole = self.whole.iter().enumerate().map(|(i, (_, kind))| format!(", l{} {kind}", i + 1));
        format!(
            "{}; CREATE TEMPORARY TABLE {} (hw_n BIGINT NOT NULL PRIMARY KEY, hw_present BOOLEAN NOT NULL, \
             hw_refused LONGTEXT CHARACTER SET utf8mb4 NULL, {}{}) ENGINE=InnoDB; \
             CREATE TEMPORARY TABLE {} (hw_n BIGINT NOT NULL PRIMARY KEY{}) ENGINE=InnoDB",
            self.forget_all(),
            self.stage,
            declared_key(&self.key),
            carried.collect::<String>(),
            self.lifted,
            whole.collect::<String>(),
        )
    }

    /// Removes the temporary tables.
    pub(super) fn forget_all(&self) -> String {
        format!("DROP TEMPORARY TABLE IF EXISTS {}, {}", self.stage, self.lifted)
    }

    /// What fills the stage.
    pub(super) fn filler(&self) -> Filler {
        let key = (1..=self.key.len()).map(|n| format!("k{n}"));
        let carried = (1..=self.carried.len()).map(|n| format!("c{n}"));
        let columns: Vec<String> =
            ["hw_n", "hw_present"].map(String::from).into_iter().chain(key).chain(carried).collect();
        let kinds = self.key.iter().map(|k| &k.staged).chain(self.carried.iter().map(|(_, kind)| kind));
        let enums = kinds.enumerate().filter_map(|(i, kind)| Labels::of(i + 2, kind));
        Filler::new(&self.stage, columns).with_enums(enums.collect()).with_refusals(2 + self.key.len())
    }

    /// What fills the table.
    pub(super) fn loader(&self) -> Filler {
        Filler::of(&self.table, self.loaded.clone())
    }

    /// All numbers in the stage.
    pub(super) fn numbers(&self) -> String {
        format!("SELECT hw_n FROM {} ORDER BY hw_n", self.stage)
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
        format!("{} AS s STRAIGHT_JOIN {} AS t ON {}", self.stage, self.table, same_key(&self.key))
    }

    /// Updates the rows of keys that are present, in place.
    pub(super) fn update_present(&self, pick: Pick<'_>) -> String {
        let carried = self.carried.iter().enumerate().map(|(i, (c, _))| format!("t.{c} = s.c{}", i + 1));
        let touched = self.touched.iter().map(|c| format!("t.{c} = t.{c}"));
        format!(
            "UPDATE {} SET {} WHERE s.hw_present{}",
            self.beside_table(),
            join(carried.chain(touched), ", "),
            pick.condition()
        )
    }

    /// Inserts the rows of keys that are present and not in the table. (IS NULL would be true for a date
    /// of zeros, too.)
    pub(super) fn insert_present(&self, pick: Pick<'_>) -> String {
        let key = self.key.first().map_or("NULL", |k| k.name.as_str());
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS s LEFT JOIN {} AS t ON {} \
             WHERE s.hw_present AND t.{key} <=> NULL{}",
            self.table,
            join(self.carried.iter().map(|(c, _)| c.clone()), ", "),
            join((1..=self.carried.len()).map(|n| format!("s.c{n}")), ", "),
            self.stage,
            self.table,
            same_key(&self.key),
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
        let column = |(i, (whole, _)): (usize, &(String, String))| match self
            .carried
            .iter()
            .position(|(c, _)| c == whole)
        {
            Some(staged) => format!("s.c{}", staged + 1),
            None => format!("l.l{}", i + 1),
        };
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS s JOIN {} AS l USING (hw_n) WHERE s.hw_present{}",
            self.table,
            self.whole_names(),
            join(self.whole.iter().enumerate().map(column), ", "),
            self.stage,
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
    fn condition(self) -> String {
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
fn carried_type(pair: &ColumnPair, flavour: Flavour) -> String {
    let (from, to) = (Kind::of(&pair.source_type), Kind::of(&pair.target_type));
    let text = || "longtext CHARACTER SET utf8mb4".to_string();
    match (&from, &to) {
        (Kind::Enum(_), Kind::Enum(_)) => labels(&pair.source_type),
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
        // Other servers have fewer digits.
        (Kind::Decimal | Kind::Json | Kind::Address | Kind::Chars(_) | Kind::Enum(_) | Kind::Set(_), _) => {
            text()
        }
        (Kind::Integer | Kind::Float | Kind::Double | Kind::Year | Kind::Moment | Kind::Bit, _) => {
            pair.source_type.clone()
        }
    }
}

/// The type of an ENUM whose labels differ in more than their letters' cases or accents for sure: they
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
fn key_type(pair: &ColumnPair, flavour: Flavour) -> String {
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
            let pair = ColumnPair {
                source: "a".into(),
                target: "a".into(),
                source_type: source.into(),
                target_type: target.into(),
            };
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
