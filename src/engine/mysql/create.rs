//! The text of a CREATE statement as SHOW CREATE gives it, taken apart without being fooled by what
//! stands in quotes.

/// A CREATE TABLE, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Create {
    /// The text up to and with the opening bracket.
    head: String,
    /// What stands in the brackets.
    pub(super) items: Vec<Item>,
    /// The closing bracket, the options and the partitions.
    tail: String,
}

/// An item of a CREATE TABLE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// What it is.
    pub(super) kind: ItemKind,
    /// Its text.
    pub(super) text: String,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemKind {
    /// A column.
    Column,
    /// The primary key.
    Primary,
    /// A unique index.
    Unique,
    /// Another index.
    Index,
    /// A full-text, spatial or vector index.
    Special,
    /// A foreign key.
    Foreign,
    /// A check, a period.
    Other,
}

impl Create {
    /// Takes the text of SHOW CREATE TABLE apart; nothing when it has no brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut open = None;
        let mut starts = Vec::new();
        for mark in marks(text) {
            match (mark.depth, mark.c) {
                (1, '(') if open.is_none() => {
                    open = Some(mark.at);
                    starts.push(mark.at + 1);
                }
                (1, ',') => starts.push(mark.at + 1),
                (0, ')') => {
                    let mut ends: Vec<usize> = starts.iter().skip(1).map(|start| start - 1).collect();
                    ends.push(mark.at);
                    let items = starts.iter().zip(ends).map(|(from, to)| text.get(*from..to));
                    let items = items.map(|item| item.map(|item| Item::of(item.trim())));
                    return Some(Create {
                        head: text.get(..=open?)?.to_string(),
                        items: items.collect::<Option<_>>()?,
                        tail: without_counter(text.get(mark.at..)?),
                    });
                }
                _ => {}
            }
        }
        None
    }

    /// The statement with those of its items that `keep` wants.
    pub(super) fn sql(&self, keep: impl Fn(&Item) -> bool) -> String {
        let kept: Vec<&str> = self.items.iter().filter(|i| keep(i)).map(|i| i.text.as_str()).collect();
        format!("{}\n  {}\n{}", self.head, kept.join(",\n  "), self.tail)
    }

    /// The index without which the server refuses the AUTO_INCREMENT column: one that begins with it.
    pub(super) fn counter_index(&self) -> Option<&Item> {
        let counts = |i: &&Item| i.kind == ItemKind::Column && find(&i.text, " AUTO_INCREMENT").is_some();
        let column = names(&self.items.iter().find(counts)?.text).into_iter().next()?;
        let serves = |i: &&Item| {
            matches!(i.kind, ItemKind::Primary | ItemKind::Unique | ItemKind::Index)
                && i.columns().first() == Some(&column)
        };
        self.items.iter().find(serves)
    }

    /// Whether it has a primary key.
    pub(super) fn has_primary(&self) -> bool {
        self.items.iter().any(|i| i.kind == ItemKind::Primary)
    }
}

impl Item {
    fn of(text: &str) -> Self {
        let word = |word: &str| text.starts_with(word);
        let kind = if word("`") {
            ItemKind::Column
        } else if word("PRIMARY KEY") {
            ItemKind::Primary
        } else if word("UNIQUE ") {
            ItemKind::Unique
        } else if word("KEY ") || word("INDEX ") {
            ItemKind::Index
        } else if word("FULLTEXT ") || word("SPATIAL ") || word("VECTOR ") {
            ItemKind::Special
        } else if word("FOREIGN KEY") || (word("CONSTRAINT ") && find(text, " FOREIGN KEY ").is_some()) {
            ItemKind::Foreign
        } else {
            ItemKind::Other
        };
        Item { kind, text: text.to_string() }
    }

    /// The name and condition of its CHECK constraint, if it has one that is enforced; one of a column is
    /// called as the column.
    pub(super) fn check(&self) -> Option<(String, &str)> {
        const CHECK: &str = " CHECK (";
        let open = find(&self.text, CHECK)? + CHECK.len();
        let rest = self.text.get(open - 1..)?;
        let close = marks(rest).find(|mark| mark.depth == 0)?.at;
        let is_enforced = find(rest.get(close..)?, "NOT ENFORCED").is_none();
        let name = names(&self.text).into_iter().next()?;
        is_enforced.then_some((name, rest.get(1..close)?))
    }

    /// The columns that an index names, in order; an expression is none.
    pub(super) fn columns(&self) -> Vec<String> {
        let mut brackets = marks(&self.text).filter(|mark| matches!(mark.c, '(' | ')'));
        let open = brackets.find(|mark| mark.c == '(' && mark.depth == 1);
        let close = brackets.find(|mark| mark.c == ')' && mark.depth == 0);
        let listed = open.zip(close).and_then(|(open, close)| self.text.get(open.at + 1..close.at));
        listed.map(top_names).unwrap_or_default()
    }
}

/// The names outside of inner brackets.
fn top_names(list: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut depth = 0;
    let mut quoted = marks(list).peekable();
    for (at, c) in list.char_indices() {
        if let Some(mark) = quoted.next_if(|mark| mark.at == at) {
            depth = mark.depth;
        }
        if depth == 0 {
            plain.push(c);
        }
    }
    names(&plain)
}

/// The names in back-ticks that a text holds, in order.
pub(super) fn names(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, name, behind)) = next_name(rest) {
        found.push(name);
        rest = behind;
    }
    found
}

/// A text without the name of a database before other names: `db`.`t` becomes `t`.
pub(super) fn unqualified(text: &str, database: &str) -> String {
    let (mut made, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, name, behind)) = next_name(rest) {
        made.push_str(before);
        let prefix = name == database && !made.ends_with('.');
        match behind.strip_prefix('.') {
            Some(tail) if prefix && tail.starts_with('`') => rest = tail,
            _ => {
                made.push_str(&super::value::quote(&name));
                rest = behind;
            }
        }
    }
    made.push_str(rest);
    made
}

/// The text before the next name in back-ticks, the name, and the text behind it.
fn next_name(text: &str) -> Option<(&str, String, &str)> {
    let open = quotes(text).find(|(_, c)| *c == '`')?.0;
    let inner = text.get(open + 1..)?;
    let mut chars = inner.char_indices().peekable();
    let mut name = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '`' if chars.next_if(|(_, next)| *next == '`').is_some() => name.push('`'),
            '`' => return Some((text.get(..open)?, name, inner.get(at + 1..)?)),
            c => name.push(c),
        }
    }
    None
}

/// The options without the counter's value: the rows bring it.
fn without_counter(tail: &str) -> String {
    const OPTION: &str = " AUTO_INCREMENT=";
    let Some(at) = find(tail, OPTION) else { return tail.to_string() };
    let (before, behind) = tail.split_at(at);
    let value = behind.get(OPTION.len()..).unwrap_or_default();
    format!("{before}{}", value.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Where `wanted` stands outside of quotes.
pub(super) fn find(text: &str, wanted: &str) -> Option<usize> {
    outside(text).map(|(at, _)| at).find(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(wanted)))
}

/// A bracket or comma outside of quotes.
struct Mark {
    at: usize,
    c: char,
    /// How many brackets are open behind it.
    depth: usize,
}

fn marks(text: &str) -> impl Iterator<Item = Mark> {
    let mut depth = 0_usize;
    outside(text).filter(|(_, c)| matches!(c, '(' | ')' | ',')).map(move |(at, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        Mark { at, c, depth }
    })
}

/// The characters outside of quotes.
pub(super) fn outside(text: &str) -> impl Iterator<Item = (usize, char)> {
    scan(text).filter(|(_, _, place)| *place == Place::Outside).map(|(at, c, _)| (at, c))
}

/// The characters that open quotes.
fn quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    scan(text).filter(|(_, _, place)| *place == Place::Opening).map(|(at, c, _)| (at, c))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Opening,
    Inside,
}

/// A doubled quote closes and opens again, which comes to the same.
fn scan(text: &str) -> impl Iterator<Item = (usize, char, Place)> {
    let mut open: Option<char> = None;
    let mut escaped = false;
    text.char_indices().map(move |(at, c)| {
        let place = match open {
            None if matches!(c, '\'' | '"' | '`') => {
                open = Some(c);
                Place::Opening
            }
            None => Place::Outside,
            Some(_) if escaped => {
                escaped = false;
                Place::Inside
            }
            Some(quote) => {
                escaped = c == '\\' && quote != '`';
                if c == quote {
                    open = None;
                }
                Place::Inside
            }
        };
        (at, c, place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "CREATE TABLE `t (``x` (
  `id` int NOT NULL AUTO_INCREMENT,
  `we``ird, (` varchar(10) DEFAULT 'it''s\\n) \\' (' COMMENT 'line, KEY `x` (`y`) AUTO_INCREMENT=4',
  `g` int GENERATED ALWAYS AS ((`id` + (1))) STORED,
  PRIMARY KEY (`we``ird, (`),
  UNIQUE KEY `u, ``k` (`g`,`id`(10) DESC,(lower(`id`))),
  KEY `id` (`id`),
  FULLTEXT KEY `f` (`we``ird, (`),
  CONSTRAINT `FOREIGN KEY ` CHECK (`id` > 0 or `e` = ', KEY '),
  CONSTRAINT `fk` FOREIGN KEY (`g`) REFERENCES `p` (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=77 DEFAULT CHARSET=utf8mb4 COMMENT='AUTO_INCREMENT=7'
/*!50100 PARTITION BY RANGE (`id`)
(PARTITION p0 VALUES LESS THAN (10) ENGINE = InnoDB) */";

    #[test]
    fn a_table_comes_apart() {
        use ItemKind::{Column, Foreign, Index, Other, Primary, Special, Unique};
        let create = Create::parse(TABLE).unwrap();
        let kinds: Vec<ItemKind> = create.items.iter().map(|i| i.kind).collect();
        assert_eq!(kinds, [Column, Column, Column, Primary, Unique, Index, Special, Other, Foreign]);
        assert_eq!(create.items[4].columns(), ["g", "id"]);
        assert_eq!(create.items[3].columns(), ["we`ird, ("]);
        assert_eq!(create.counter_index().unwrap().text, "KEY `id` (`id`)");
        let bare = create.sql(|i| i.kind == Column);
        assert!(bare.starts_with("CREATE TABLE `t (``x` (\n  `id` int NOT NULL AUTO_INCREMENT,\n"), "{bare}");
        assert!(
            bare.contains("STORED\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='AUTO_INCREMENT=7'\n/*!")
        );
        assert_eq!(create.sql(|_| true), TABLE.replace(" AUTO_INCREMENT=77", ""));
    }

    #[test]
    fn a_database_is_taken_out_of_names_only() {
        let text = "select `db`.`t`.`a` AS `db`, 'it''s `db`.`x`', `o`.`db`.`y` from `db`.`t` `db`";
        let plain = "select `t`.`a` AS `db`, 'it''s `db`.`x`', `o`.`db`.`y` from `t` `db`";
        assert_eq!(unqualified(text, "db"), plain);
        assert_eq!(names(plain), ["t", "a", "db", "o", "db", "y", "t", "db"]);
    }
}
