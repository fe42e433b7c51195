//! What ties the rows of a table to those that its rule looks up: read off the rule's SQL, where that is
//! plain enough. What is not plain ties all rows, which costs time and never leaves one stale.

use crate::model::sql::{self, Word};
use crate::model::{Into, Link, TablePlan};

/// What begins or ends a clause, beside the end of a query.
const CLAUSES: [&str; 20] = [
    "where",
    "on",
    "order",
    "group",
    "having",
    "limit",
    "offset",
    "fetch",
    "for",
    "window",
    "union",
    "except",
    "intersect",
    "join",
    "inner",
    "left",
    "right",
    "full",
    "cross",
    "natural",
];

/// With one of these a condition need not hold though it stands in the clause.
const LOOSE: [&str; 9] = ["or", "xor", "not", "case", "when", "then", "else", "between", "is"];

/// What ties a dependant's rows to those of a table that it looks up, where its SQL takes only rows of which
/// a column is equal to one of its own.
pub(super) fn link(text: &str, parent: &TablePlan, dependant: &TablePlan) -> Option<Link> {
    let compared = conditions(text, &parent.target.name).into_iter().next()?;
    let changed = dependant.changed();
    let (column, column_type, _) =
        changed.iter().find(|(name, ..)| name.eq_ignore_ascii_case(&compared.column))?;
    let pair = parent.columns.iter().find(|p| p.target.eq_ignore_ascii_case(&compared.looked_up))?;
    // Values are handed over as they are written: only the same type writes them the same way.
    (*column_type == pair.target_type)
        .then(|| Link { column: (*column).to_string(), looked_up: pair.target.clone() })
}

/// The same, for rows of a further target: those whose matched column is a column of the table itself.
pub(super) fn further_link(
    text: &str,
    into: &Into,
    parent: &TablePlan,
    dependant: &TablePlan,
) -> Option<Link> {
    let changed = dependant.changed();
    conditions(text, &into.target.name).into_iter().find_map(|compared| {
        let (_, expression) =
            into.matches.iter().find(|(column, _)| column.eq_ignore_ascii_case(&compared.looked_up))?;
        let words = words(expression);
        let [table, Word::Sign('.'), own] = words.as_slice() else { return None };
        let own = own.name().filter(|_| table.is("changed"))?;
        let pair =
            parent.columns.iter().find(|p| p.expression.is_none() && p.source.eq_ignore_ascii_case(own))?;
        let (column, column_type, _) =
            changed.iter().find(|(name, ..)| name.eq_ignore_ascii_case(&compared.column))?;
        (*column_type == pair.target_type)
            .then(|| Link { column: (*column).to_string(), looked_up: pair.target.clone() })
    })
}

/// Whether the SQL may read columns of `table` that it does not name.
pub(super) fn reads_whole_rows(text: &str, table: &str) -> bool {
    let words = words(text);
    let Some(named) = named(&words, table) else { return true };
    let is_all = |i: usize| {
        words[i] == Word::Sign('*') && !(i > 1 && words[i - 1] == Word::Sign('(') && words[i - 2].is("count"))
    };
    let is_row = |i: usize| {
        let is_name = |name: &str| words[i].name().is_some_and(|n| n.eq_ignore_ascii_case(name));
        let stands_alone =
            words.get(i + 1) != Some(&Word::Sign('.')) && (i == 0 || words[i - 1] != Word::Sign('.'));
        stands_alone && !named.place.contains(&i) && (is_name(&named.alias) || is_name(table))
    };
    (0..words.len()).any(|i| is_all(i) || is_row(i) || words[i].is("natural"))
}

/// What the SQL reads from beside `changed`, as it is written; what is called is left out.
pub(super) fn relations(text: &str) -> Vec<&str> {
    let places: Vec<(usize, Word<'_>)> = sql::words(text);
    let words: Vec<Word<'_>> = places.iter().map(|(_, word)| word.clone()).collect();
    let inside = inside(&words);
    let begins = |i: usize| {
        if words[i] != Word::Sign(',') {
            return words[i].is("from") || words[i].is("join");
        }
        let level = (0..i).rev().filter(|n| inside[*n] == inside[i]);
        let mut clauses =
            level.filter(|n| ["select", "from"].iter().chain(&CLAUSES).any(|c| words[*n].is(c)));
        clauses.next().is_some_and(|n| words[n].is("from") || words[n].is("join"))
    };
    let relation = |i: usize| {
        let first = i + 1 + usize::from(words.get(i + 1)?.is("only") || words.get(i + 1)?.is("lateral"));
        let mut end = first;
        words.get(end)?.name()?;
        while words.get(end + 1) == Some(&Word::Sign('.')) && words.get(end + 2)?.name().is_some() {
            end += 2;
        }
        let is_called = words.get(end + 1) == Some(&Word::Sign('('));
        let behind = places.get(end + 1).map_or(text.len(), |(at, _)| *at);
        let name = &text[places[first].0..behind];
        (!is_called && !words[first].is("changed") && !words[first].is("select"))
            .then(|| name.split(['\n', '\t']).next().unwrap_or(name).trim())
    };
    (0..words.len()).filter(|i| begins(*i)).filter_map(relation).collect()
}

/// A condition `looked_up.column = changed.column`.
struct Condition {
    looked_up: String,
    column: String,
}

/// The conditions that every row of `table` meets which the SQL takes.
fn conditions(text: &str, table: &str) -> Vec<Condition> {
    let words = words(text);
    let Some(named) = named(&words, table) else { return Vec::new() };
    let inside = inside(&words);
    let compared = |i: usize| {
        let condition = comparison(words.get(i..i + 7)?, &named.alias)?;
        (inside[i] == inside[named.place[0]] && holds(&words, &inside, i, &named)).then_some(condition)
    };
    (0..words.len()).filter_map(compared).collect()
}

fn comparison(words: &[Word<'_>], alias: &str) -> Option<Condition> {
    let [left, Word::Sign('.'), left_column, Word::Sign('='), right, Word::Sign('.'), right_column] = words
    else {
        return None;
    };
    let names = |word: &Word<'_>, name: &str| word.name().is_some_and(|n| n.eq_ignore_ascii_case(name));
    let (looked_up, column) = match () {
        () if names(left, alias) && names(right, "changed") => (left_column, right_column),
        () if names(left, "changed") && names(right, alias) => (right_column, left_column),
        () => return None,
    };
    Some(Condition { looked_up: looked_up.name()?.to_string(), column: column.name()?.to_string() })
}

/// Whether the comparison at `at` must hold for each row of the table that is taken: it is one of the
/// conditions of a WHERE, or of the ON of an inner join or of the table's own left join.
fn holds(words: &[Word<'_>], inside: &[Option<usize>], at: usize, named: &Named) -> bool {
    let level: Vec<usize> = (0..words.len()).filter(|i| inside[*i] == inside[at]).collect();
    let Some(first) = level.iter().position(|i| *i == at) else { return false };
    let is_clause = |i: &usize| CLAUSES.iter().any(|c| words[*i].is(c)) || words[*i] == Word::Sign(',');
    let Some(begin) = level[..first].iter().rposition(is_clause) else { return false };
    let end = level[first + 7..].iter().position(is_clause).map_or(level.len(), |n| first + 7 + n);
    let clause = &level[begin + 1..end];
    let is_loose =
        |i: &usize| LOOSE.iter().any(|c| words[*i].is(c)) || matches!(words[*i], Word::Sign('|' | '!'));
    let and = |n: Option<&usize>| n.is_none_or(|i| words[*i].is("and"));
    let before = (first > begin + 1).then(|| &level[first - 1]);
    let after = (first + 7 < end).then(|| &level[first + 7]);
    if clause.iter().any(is_loose) || !and(before) || !and(after) {
        return false;
    }
    let opener = level[begin];
    words[opener].is("where") || (words[opener].is("on") && joins(words, &level[..begin], named))
}

/// Whether the join that ends `level` takes only rows of the table that meet its condition.
fn joins(words: &[Word<'_>], level: &[usize], named: &Named) -> bool {
    let Some(join) = level.iter().rposition(|i| words[*i].is("join")) else { return false };
    let how = level[..join].iter().rev().map(|i| &words[*i]).find(|w| !w.is("outer"));
    let is = |kind: &str| how.is_some_and(|w| w.is(kind));
    if is("right") || is("full") || is("natural") {
        return false;
    }
    !is("left") || level[join..].contains(&named.place[0])
}

/// Where the SQL names a table that it reads.
struct Named {
    /// The places of its name and, if it has one, its alias.
    place: Vec<usize>,
    /// What its columns stand behind.
    alias: String,
}

/// `None` where the table is named more than once.
fn named(words: &[Word<'_>], table: &str) -> Option<Named> {
    // Behind a dot it is a table of that name in a schema, before one a column's.
    let is_table = |i: &usize| {
        words[*i].name().is_some_and(|n| n.eq_ignore_ascii_case(table))
            && words.get(i + 1) != Some(&Word::Sign('.'))
    };
    let places: Vec<usize> = (0..words.len()).filter(is_table).collect();
    let [place] = places.as_slice() else { return None };
    let next = if words.get(place + 1).is_some_and(|w| w.is("as")) { place + 2 } else { place + 1 };
    let is_keyword = |word: &Word<'_>| word.is("using") || CLAUSES.iter().any(|c| word.is(c));
    Some(match words.get(next).filter(|w| !is_keyword(w)).and_then(Word::name) {
        Some(alias) => Named { place: vec![*place, next], alias: alias.to_string() },
        None => Named { place: vec![*place], alias: table.to_string() },
    })
}

fn words(text: &str) -> Vec<Word<'_>> {
    sql::words(text).into_iter().map(|(_, word)| word).collect()
}

/// For each word the place of the parenthesis that it is in.
fn inside(words: &[Word<'_>]) -> Vec<Option<usize>> {
    let mut open = Vec::new();
    let mut inside = Vec::with_capacity(words.len());
    for (i, word) in words.iter().enumerate() {
        if *word == Word::Sign(')') {
            open.pop();
        }
        inside.push(open.last().copied());
        if *word == Word::Sign('(') {
            open.push(i);
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        conditions(text, "apps").into_iter().next().map(|c| format!("{} = {}", c.looked_up, c.column))
    }

    #[test]
    fn what_must_hold_ties_rows() {
        for plain in [
            "(SELECT a.id FROM apps a WHERE a.name = changed.app)",
            "(SELECT id FROM apps WHERE changed.app = apps.\"name\")",
            "COALESCE((SELECT a.id FROM identity.apps AS a WHERE a.kind = 1 AND a.name = changed.app LIMIT 1), 0)",
            "CASE changed.x WHEN 0 THEN 1 ELSE (SELECT a.id FROM apps a WHERE a.name = changed.app AND a.t > 1) END",
            "SELECT a.id, x FROM changed JOIN apps a ON a.name = changed.app JOIN others o ON o.id = a.id",
            "SELECT a.id FROM apps a INNER JOIN changed ON a.name = changed.app WHERE a.id > 1 OR a.id < 0",
            "SELECT a.id FROM changed LEFT JOIN apps a ON a.name = changed.app",
            "SELECT a.id FROM changed, apps a WHERE a.name = changed.app ORDER BY a.id",
        ] {
            assert_eq!(of(plain).as_deref(), Some("name = app"), "{plain}");
        }
    }

    #[test]
    fn what_need_not_hold_ties_none() {
        for other in [
            "(SELECT a.id FROM apps a WHERE a.name = changed.app OR a.alias = changed.app)",
            "(SELECT a.id FROM apps a WHERE (a.name = changed.app OR a.alias = changed.app) AND a.t = 1)",
            "(SELECT a.id FROM apps a WHERE a.name = changed.app || '-old')",
            "(SELECT a.id FROM apps a WHERE 'x' || a.name = changed.app)",
            "(SELECT a.id FROM apps a WHERE a.name = changed.app::text)",
            "(SELECT a.id FROM apps a WHERE a.name = changed.app COLLATE \"C\")",
            "(SELECT min(a.id) FROM apps a WHERE NOT a.name = changed.app)",
            "(SELECT min(a.id) FROM apps a WHERE a.name = changed.app IS NOT TRUE)",
            "(SELECT CASE WHEN a.name = changed.app THEN 1 ELSE 2 END FROM apps a WHERE a.id = 1)",
            "(SELECT bool_or(a.name = changed.app) FROM apps a)",
            "(SELECT count(*) FILTER (WHERE a.name = changed.app) FROM apps a)",
            "SELECT a.id FROM apps a LEFT JOIN changed ON a.name = changed.app",
            "SELECT a.id FROM changed RIGHT JOIN apps a ON a.name = changed.app",
            "SELECT a.id FROM changed FULL OUTER JOIN apps a ON a.name = changed.app",
            "(SELECT a.id FROM apps a WHERE a.id = (SELECT max(a.id) FROM other a WHERE a.name = changed.app))",
            "(SELECT a.id FROM apps a, apps b WHERE a.name = changed.app AND b.id > a.id)",
            "(SELECT a.id FROM apps a WHERE a.name <= changed.app)",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_read_from_is_found() {
        let of = |text| relations(text).join("|");
        assert_eq!(
            of("(SELECT id FROM apps a WHERE a.x = (SELECT y FROM \"My\".\"V v\" JOIN b.c\nON true))"),
            "apps|\"My\".\"V v\"|b.c"
        );
        assert_eq!(of("SELECT a, b FROM changed, v1 x, LATERAL unnest(changed.tags) t, v2"), "v1|v2");
        assert_eq!(of("(SELECT id FROM f(changed.x))"), "");
        assert_eq!(of("EXTRACT(YEAR FROM changed.at) + x"), "");
        assert_eq!(of("SELECT count(*) FROM (SELECT 1 FROM ONLY t) AS q"), "t");
    }

    #[test]
    fn rows_are_read_whole() {
        for whole in [
            "SELECT a.* FROM changed JOIN apps a ON a.name = changed.app",
            "(SELECT row_to_json(a)::text FROM apps a WHERE a.name = changed.app)",
            "(SELECT max(apps::text) FROM apps)",
            "SELECT id FROM changed NATURAL JOIN apps",
        ] {
            assert!(reads_whole_rows(whole, "apps"), "{whole}");
        }
        for named in [
            "(SELECT a.id FROM apps a WHERE a.name = changed.app)",
            "(SELECT count(*) FROM apps AS a WHERE a.name = changed.app)",
        ] {
            assert!(!reads_whole_rows(named, "apps"), "{named}");
        }
    }
}
