//! Just enough of SQL's words to look into an operator's expression: names, texts, numbers, signs.
//!
//! Nothing here decides what an expression does; the servers do, when `plan` tries it.

/// A word of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<'a> {
    /// A bare name or keyword, as written.
    Name(&'a str),
    /// A quoted name, without its quotes.
    Quoted(String),
    /// A text literal, with its quotes.
    Text(&'a str),
    /// A number.
    Number(&'a str),
    /// A parameter of ours: `:as_of`.
    Parameter(&'a str),
    /// Any other sign.
    Sign(char),
}

impl Word<'_> {
    /// The name, if it is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Word::Name(name) => Some(name),
            Word::Quoted(name) => Some(name),
            Word::Text(_) | Word::Number(_) | Word::Parameter(_) | Word::Sign(_) => None,
        }
    }

    /// Whether it is that keyword or bare name, in any case.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Word::Name(name) if name.eq_ignore_ascii_case(keyword))
    }
}

/// The words of an expression, without comments, each with where it begins (bytes).
pub fn words(sql: &str) -> Vec<(usize, Word<'_>)> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(first) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let length = match first {
            c if c.is_whitespace() => c.len_utf8(),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '\'' => {
                let length = quoted(rest, '\'');
                words.push((at, Word::Text(&rest[..length])));
                length
            }
            '"' | '`' => {
                let length = quoted(rest, first);
                let inner = rest[1..length].strip_suffix(first).unwrap_or(&rest[1..length]);
                words.push((at, Word::Quoted(inner.replace(&format!("{first}{first}"), &first.to_string()))));
                length
            }
            c if c.is_alphabetic() || c == '_' => {
                let length = span(rest, |c| c.is_alphanumeric() || c == '_' || c == '$');
                words.push((at, Word::Name(&rest[..length])));
                length
            }
            c if c.is_ascii_digit() => {
                let length = span(rest, |c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
                words.push((at, Word::Number(&rest[..length])));
                length
            }
            ':' if rest[1..].starts_with(|c: char| c.is_alphabetic()) && !sql[..at].ends_with(':') => {
                let length = 1 + span(&rest[1..], |c| c.is_alphanumeric() || c == '_');
                words.push((at, Word::Parameter(&rest[1..length])));
                length
            }
            c => {
                words.push((at, Word::Sign(c)));
                c.len_utf8()
            }
        };
        at += length;
    }
    words
}

fn span(text: &str, inside: impl Fn(char) -> bool) -> usize {
    text.find(|c| !inside(c)).unwrap_or(text.len())
}

/// The length of what is quoted, quotes included; a doubled quote stands for one.
fn quoted(text: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(end) = text[at..].find(quote) {
        at += end + 1;
        if !text[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    text.len()
}

/// Whether the expression is a literal: a text, a number, TRUE or FALSE.
pub fn is_literal(sql: &str) -> bool {
    let words: Vec<Word<'_>> = words(sql).into_iter().map(|(_, word)| word).collect();
    match words.as_slice() {
        [Word::Text(_) | Word::Number(_)] | [Word::Sign('-'), Word::Number(_)] => true,
        [word] => word.is("true") || word.is("false"),
        _ => false,
    }
}

/// Those of `names` that the expression mentions: exactly, or bare without case.
pub fn mentioned<'n>(sql: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let words = words(sql);
    let is = |name: &str, word: &Word<'_>| match word {
        Word::Name(found) => found.eq_ignore_ascii_case(name),
        Word::Quoted(found) => found == name,
        Word::Text(_) | Word::Number(_) | Word::Parameter(_) | Word::Sign(_) => false,
    };
    names.into_iter().filter(|name| words.iter().any(|(_, word)| is(name, word))).collect()
}

/// The expression with every parameter `:name` replaced by `value`.
pub fn with_parameter(sql: &str, name: &str, value: &str) -> String {
    replaced(sql, 1 + name.len(), value, |word| *word == Word::Parameter(name))
}

/// The expression with every bare `name`, in any case, replaced by `value`.
pub fn with_name(sql: &str, name: &str, value: &str) -> String {
    replaced(sql, name.len(), value, |word| word.is(name))
}

/// The expression with `value` in place of the words, all of that length, that are `meant`.
fn replaced(sql: &str, length: usize, value: &str, meant: impl Fn(&Word<'_>) -> bool) -> String {
    let mut replaced = String::with_capacity(sql.len());
    let mut from = 0;
    for (at, word) in words(sql) {
        if meant(&word) {
            replaced.push_str(&sql[from..at]);
            replaced.push_str(value);
            from = at + length;
        }
    }
    replaced.push_str(&sql[from..]);
    replaced
}

/// The expression without the brackets that enclose all of it.
pub fn without_brackets(sql: &str) -> &str {
    let mut depth = 0_usize;
    let words = words(sql);
    let Some((last, _)) = words.last() else { return sql };
    for (at, word) in &words {
        match word {
            Word::Sign('(') => depth += 1,
            Word::Sign(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            // The first bracket closes here, or there is none.
            let encloses = *word == Word::Sign(')') && at == last;
            let inner = sql.get(words[0].0 + 1..*at).filter(|_| encloses);
            return inner.map_or(sql, without_brackets);
        }
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_comments_hold_no_names() {
        let sql = "CASE a WHEN 'b''c' THEN \"D\" ELSE -- e\n f /* g */ END";
        assert_eq!(mentioned(sql, ["a", "b", "c", "D", "d", "e", "f", "g"]), ["a", "D", "f"]);
        assert_eq!(mentioned("`x y` + Z", ["x y", "z"]), ["x y", "z"]);
    }

    #[test]
    fn literals() {
        for literal in ["'A'", " 1 ", "-1", "TRUE", "'it''s'"] {
            assert!(is_literal(literal), "{literal}");
        }
        for other in ["a", "'a' || b", "1 + 1", "now()", ""] {
            assert!(!is_literal(other), "{other}");
        }
    }

    #[test]
    fn parameters_are_no_casts() {
        let sql = "t < :as_of AND x::date < ':as_of' AND y = :as_of::date";
        assert_eq!(with_parameter(sql, "as_of", "'2'"), "t < '2' AND x::date < ':as_of' AND y = '2'::date");
    }

    #[test]
    fn names_are_replaced_and_brackets_taken_off() {
        let sql = "(VALUE > 0 AND \"VALUE\" <> 'VALUE' AND value_of(value))";
        assert_eq!(with_name(sql, "VALUE", "x"), "(x > 0 AND \"VALUE\" <> 'VALUE' AND value_of(x))");
        for (sql, inner) in [
            ("((a > 0))", "a > 0"),
            (" (a) -- )", "a"),
            ("(a) OR (b)", "(a) OR (b)"),
            ("(a = ')') OR b", "(a = ')') OR b"),
            ("a > 0", "a > 0"),
            ("(a", "(a"),
            ("", ""),
        ] {
            assert_eq!(without_brackets(sql), inner);
        }
    }
}
