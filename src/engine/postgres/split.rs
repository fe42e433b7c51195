//! Takes the text of `pg_dump` apart: statements, each under the heading that pg_dump gave it.

/// An object in the dump.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name; for what belongs to a table, the table's name, a space, and its own.
    pub(super) name: String,
    /// What it is ("TABLE", "FK CONSTRAINT").
    pub(super) kind: String,
    /// Its schema; "-" when it has none.
    pub(super) schema: String,
    /// The statements that make it.
    pub(super) statements: Vec<String>,
}

/// The entries of a dump in plain text, in its order. What stands before the first heading (settings of
/// the session) is left out, and so are settings in between.
pub(super) fn entries(dump: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut rest = dump;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return entries;
        }
        if rest.starts_with("--") || rest.starts_with('\\') {
            let (line, behind) = rest.split_once('\n').unwrap_or((rest, ""));
            entries.extend(heading(line));
            rest = behind;
            continue;
        }
        let (statement, behind) = rest.split_at(statement_length(rest));
        if let Some(entry) = entries.last_mut().filter(|_| !is_setting(statement)) {
            entry.statements.push(statement.trim_end_matches(';').to_string());
        }
        rest = behind;
    }
}

fn heading(line: &str) -> Option<Entry> {
    let line = line.strip_prefix("-- Name: ")?;
    let (line, _owner) = line.rsplit_once("; Owner:")?;
    let (line, schema) = line.rsplit_once("; Schema: ")?;
    let (name, kind) = line.rsplit_once("; Type: ")?;
    Some(Entry { name: name.into(), kind: kind.into(), schema: schema.into(), statements: Vec::new() })
}

fn is_setting(statement: &str) -> bool {
    statement.starts_with("SET ") || statement.starts_with("SELECT pg_catalog.set_config(")
}

/// How long the statement at the beginning of `text` is, its semicolon included.
pub(super) fn statement_length(text: &str) -> usize {
    let mut scan = Scan::default();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        at += match rest.as_bytes()[0] {
            b';' if scan.is_outside() => return at + 1,
            b'\'' => quoted(rest, '\'', scan.escapes),
            b'"' => quoted(rest, '"', false),
            b'$' => dollar_quoted(rest),
            b'-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => comment(rest),
            b'(' => {
                scan.parentheses += 1;
                1
            }
            b')' => {
                scan.parentheses = scan.parentheses.saturating_sub(1);
                1
            }
            _ => word(rest, &mut scan),
        };
    }
    text.len()
}

/// Where in a statement we are.
#[derive(Default)]
struct Scan {
    parentheses: u32,
    /// The first words.
    head: Vec<String>,
    begins: u32,
    /// The word before was E: a string then takes backslashes.
    escapes: bool,
}

impl Scan {
    fn is_outside(&self) -> bool {
        self.parentheses == 0 && self.begins == 0
    }

    /// A function's body can hold statements: BEGIN ATOMIC .. END, with CASE .. END inside.
    fn has_body(&self) -> bool {
        let head: Vec<&str> = self.head.iter().map(String::as_str).collect();
        matches!(
            head.as_slice(),
            ["create", "function" | "procedure", ..] | ["create", "or", "replace", "function" | "procedure"]
        )
    }

    fn take(&mut self, word: &str) {
        let word = word.to_ascii_lowercase();
        if self.head.len() < 4 {
            self.head.push(word.clone());
        }
        // In parentheses they are names: of parameters, or of nothing that has an end of its own.
        if self.parentheses > 0 || !self.has_body() {
            return;
        }
        match word.as_str() {
            "begin" => self.begins += 1,
            "case" if self.begins > 0 => self.begins += 1,
            "end" => self.begins = self.begins.saturating_sub(1),
            _ => {}
        }
    }
}

/// Takes a word, or one character that is none.
fn word(rest: &str, scan: &mut Scan) -> usize {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    let length = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
    scan.escapes = rest[..length].eq_ignore_ascii_case("e");
    if length == 0 {
        return rest.chars().next().map_or(1, char::len_utf8);
    }
    scan.take(&rest[..length]);
    length
}

/// The length of a quoted text. A doubled quote inside is two texts side by side, which is the same.
fn quoted(rest: &str, quote: char, escapes: bool) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if escapes && c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// The length of a text in dollar quotes; 1 when none begins here.
fn dollar_quoted(rest: &str) -> usize {
    let is_tag = |c: char| c.is_alphanumeric() || c == '_' || !c.is_ascii();
    let Some(end) = rest[1..].find(|c: char| !is_tag(c)).map(|end| end + 1) else { return 1 };
    if !rest[end..].starts_with('$') || rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return 1;
    }
    let tag = &rest[..=end];
    rest[tag.len()..].find(tag).map_or(rest.len(), |close| close + 2 * tag.len())
}

/// The length of a comment; comments nest.
pub(super) fn comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The text with blanks in the place of quoted texts and comments.
pub(super) fn without_quotes(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut scan = Scan::default();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let length = match rest.as_bytes()[0] {
            b'\'' => quoted(rest, '\'', scan.escapes),
            b'"' => quoted(rest, '"', false),
            b'$' => dollar_quoted(rest),
            b'-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => comment(rest),
            _ => {
                let length = word(rest, &mut scan);
                bare.push_str(&rest[..length]);
                at += length;
                continue;
            }
        };
        bare.push(' ');
        at += length;
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_the_server_ends_them() {
        let dump = r#"
\restrict abc
SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Name: f(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.f(a text) RETURNS text LANGUAGE plpgsql AS $_$ BEGIN -- Name: x; Type: TABLE; Schema: y; Owner: -
  RETURN ';' || $1; END $_$;

--
-- Name: g(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.g() RETURNS integer LANGUAGE sql
    BEGIN ATOMIC
 SELECT CASE WHEN true THEN 1 ELSE 2 END;
 SELECT 3;
END;


--
-- Name: a; Type: SCHEMA b; Schema: -; Owner: -
--

-- *not* creating schema

SET default_tablespace = '';

--
-- Name: t; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public."t;" (a text DEFAULT E'\';' /* ; /* */ ; */, b text DEFAULT 'x'';', c int DEFAULT (1));
ALTER TABLE ONLY public.t REPLICA IDENTITY FULL;

--
-- Name: t r; Type: RULE; Schema: public; Owner: -
--

CREATE RULE r AS ON INSERT TO public.t DO ( SELECT 1; SELECT 2);
\unrestrict abc
"#;
        let found = entries(dump);
        let shape: Vec<_> =
            found.iter().map(|e| (e.name.as_str(), e.kind.as_str(), e.statements.len())).collect();
        let expected = [
            ("f(text)", "FUNCTION", 1),
            ("g()", "FUNCTION", 1),
            ("a", "SCHEMA b", 0),
            ("t", "TABLE", 2),
            ("t r", "RULE", 1),
        ];
        assert_eq!(shape, expected);
        assert!(found[1].statements[0].ends_with("END"));
        assert!(found[4].statements[0].ends_with("SELECT 2)"));
    }
}
