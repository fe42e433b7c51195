//! Just enough of SQLite's grammar: the terms of an index, the constraints and collations of a table, and
//! whether it counts up.

/// A word, a sign or a quoted piece of a statement, with where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    start: usize,
}

impl Token<'_> {
    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }

    fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The tokens of a statement; space and comments are left out.
fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let length = match first {
            c if c.is_whitespace() => c.len_utf8(),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '\'' | '"' | '`' => quoted(rest, first),
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            c if is_word(c) => rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let skipped = first.is_whitespace() || rest.starts_with("--") || rest.starts_with("/*");
        if !skipped {
            found.push(Token { text: &rest[..length], start: at });
        }
        at += length;
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// The length of a quoted piece; a doubled quote stands for itself.
fn quoted(text: &str, quote: char) -> usize {
    let mut from = 1;
    while let Some(end) = text[from..].find(quote).map(|i| from + i) {
        if text[end + 1..].starts_with(quote) {
            from = end + 2;
        } else {
            return end + 1;
        }
    }
    text.len()
}

/// Whether the table's ids are never used again (AUTOINCREMENT).
pub(super) fn is_autoincrement(create_table: &str) -> bool {
    tokens(create_table).iter().any(|t| t.is("AUTOINCREMENT"))
}

/// The names that an expression may mention: its words and what is in quotes.
pub(super) fn mentioned(expression: &str) -> Vec<String> {
    tokens(expression).iter().map(|token| bare(token.text)).collect()
}

/// Whether an expression is a literal that means the same everywhere: a number, a text, a blob.
pub(super) fn is_literal(sql: &str) -> bool {
    let sql = sql.trim();
    let number = sql.strip_prefix(['-', '+']).unwrap_or(sql);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && number.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    let text = sql.strip_prefix(['x', 'X']).unwrap_or(sql);
    is_number || (text.starts_with('\'') && quoted(text, '\'') == text.len())
}

/// The name of what `CREATE TRIGGER "name" ..` makes.
pub(super) fn made_name(create: &str) -> Option<String> {
    let name = tokens(create).get(2)?.text.strip_prefix('"')?.strip_suffix('"')?;
    Some(name.replace("\"\"", "\""))
}

/// The name of what `CREATE TABLE name (..)` makes.
pub(super) fn made_table(create: &str) -> Option<String> {
    let tokens = tokens(create);
    let is_table = tokens.first()?.is("CREATE") && tokens.get(1)?.is("TABLE");
    tokens.get(2).filter(|_| is_table).map(|name| name.text.to_string())
}

/// A name as it is without its quotes.
fn bare(name: &str) -> String {
    match name.chars().next() {
        Some(quote @ ('"' | '`' | '\'')) => {
            let inner = name.strip_prefix(quote).and_then(|n| n.strip_suffix(quote)).unwrap_or(name);
            inner.replace(&format!("{quote}{quote}"), &quote.to_string())
        }
        Some('[') => name.trim_start_matches('[').trim_end_matches(']').to_string(),
        _ => name.to_string(),
    }
}

/// The CHECK constraints of a table: the name, which may be empty, and the condition of each.
pub(super) fn checks(create_table: &str) -> Vec<(String, String)> {
    let tokens = tokens(create_table);
    let mut found = Vec::new();
    // Unquoted it is nothing else: the word is reserved.
    for at in (0..tokens.len()).filter(|at| tokens[*at].is("CHECK")) {
        let Some(close) = closing(&tokens, at + 1) else { continue };
        let condition = create_table.get(tokens[at + 1].end()..tokens[close].start).unwrap_or_default();
        let name = match at.checked_sub(2).and_then(|before| tokens.get(before..at)) {
            Some([word, name]) if word.is("CONSTRAINT") => bare(name.text),
            _ => String::new(),
        };
        found.push((name, condition.trim().to_string()));
    }
    found
}

/// The place of the bracket that closes the one at `open`.
fn closing(tokens: &[Token<'_>], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return (token.text == ")").then_some(at);
        }
    }
    None
}

/// The columns of a table that have a collation of their own, with it.
pub(super) fn collations(create_table: &str) -> Vec<(String, String)> {
    let tokens = tokens(create_table);
    let mut found = Vec::new();
    let (mut depth, mut column) = (0_usize, None);
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 1 && matches!(token.text, "(" | ",") {
            column = tokens.get(at + 1);
        } else if depth == 1 && token.is("COLLATE") {
            let collation = tokens.get(at + 1);
            found.extend(column.zip(collation).map(|(name, c)| (bare(name.text), bare(c.text))));
        }
    }
    found
}

/// What stands between the brackets of CREATE INDEX, term by term without ASC and DESC, and its WHERE.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IndexText {
    /// The terms.
    pub(super) terms: Vec<String>,
    /// The condition of a partial index.
    pub(super) filter: Option<String>,
}

/// Reads a CREATE INDEX statement as `sqlite_schema` keeps it.
pub(super) fn index(create_index: &str) -> Option<IndexText> {
    let tokens = tokens(create_index);
    // The name may be `on`, but not unquoted: the first ON is the keyword.
    let on = tokens.iter().position(|t| t.is("ON"))?;
    let open = on + 2;
    tokens.get(open).filter(|t| t.text == "(")?;
    let mut depth = 0_usize;
    let mut first = open + 1;
    let mut terms = Vec::new();
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        let closes = depth == 0;
        if closes || (depth == 1 && token.text == ",") {
            let ordered = tokens[i - 1].is("ASC") || tokens[i - 1].is("DESC");
            let last = if ordered { i - 2 } else { i - 1 };
            terms.push(create_index.get(tokens.get(first)?.start..tokens[last].end())?.to_string());
            first = i + 1;
        }
        if closes {
            let filter = match (tokens.get(i + 1), tokens.get(i + 2), tokens.last()) {
                (None, _, _) => None,
                (Some(word), Some(from), Some(to)) if word.is("WHERE") => {
                    Some(create_index[from.start..to.end()].to_string())
                }
                _ => return None,
            };
            return Some(IndexText { terms, filter });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_of_an_index() {
        let sql = "CREATE UNIQUE INDEX \"on, (\" ON [a b](/* ( */ lower(x, ','), \"q)\" DESC -- x,)\n, y COLLATE NOCASE asc)\n \
                   WHERE y IS NOT NULL AND z IN ('a)', 2)";
        let found = index(sql).unwrap();
        assert_eq!(found.terms, ["lower(x, ',')", "\"q)\"", "y COLLATE NOCASE"]);
        assert_eq!(found.filter.as_deref(), Some("y IS NOT NULL AND z IN ('a)', 2)"));
        assert_eq!(index("CREATE UNIQUE INDEX i ON t(a)").unwrap().filter, None);
        assert_eq!(index("nonsense"), None);
    }

    #[test]
    fn checks_and_collations_of_a_table() {
        let sql = "CREATE TABLE t(a INT CONSTRAINT \"a \"\"b\" CHECK(a > 0 AND (a < 5)) COLLATE nocase, -- check (no)\n\
                   [b c] DEFAULT 'check (0)' check ( [b c] <> ')' /* x */ ), \"check\" TEXT COLLATE \"RTRIM\" NOT NULL, \
                   PRIMARY KEY (a COLLATE BINARY), CHECK (length(a) > -- one\n 1))";
        let named = |name: &str, condition: &str| (name.to_string(), condition.to_string());
        assert_eq!(
            checks(sql),
            [
                named("a \"b", "a > 0 AND (a < 5)"),
                named("", "[b c] <> ')' /* x */"),
                named("", "length(a) > -- one\n 1")
            ]
        );
        assert_eq!(collations(sql), [named("a", "nocase"), named("check", "RTRIM")]);
        assert_eq!(checks("CREATE TABLE t(a CHECK"), []);
    }

    #[test]
    fn literals_are_told_from_expressions() {
        for literal in ["1", "-1.5", "+.5e3", "0x1F", "'it''s'", "''", "x'00'", " 7 "] {
            assert!(is_literal(literal), "{literal}");
        }
        for expression in ["1+2", "'a' || 'b'", "random()", "abc", "\"abc\"", "CURRENT_TIME", "NULL", "-x"] {
            assert!(!is_literal(expression), "{expression}");
        }
    }

    #[test]
    fn autoincrement_is_a_word_of_its_own() {
        assert!(is_autoincrement("CREATE TABLE t(id INTEGER PRIMARY KEY autoincrement)"));
        assert!(!is_autoincrement(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, n DEFAULT 'AUTOINCREMENT' -- AUTOINCREMENT\n)"
        ));
    }
}
