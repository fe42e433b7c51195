//! What the user may do, as SHOW GRANTS says it.

use super::connect::Flavour;
use super::create::{find, outside};
use super::fault::{classify, code};
use super::session::{Session, maybe, records, text};
use crate::error::Result;

/// ER_OPTION_PREVENTS_STATEMENT: the server runs without privileges.
const NO_PRIVILEGES_HERE: u16 = 1290;

/// The privileges of the session's user and its active roles.
#[derive(Debug, Default)]
pub(super) struct Grants {
    grants: Vec<Grant>,
    /// Whether names of databases and tables have no case.
    caseless: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Grant {
    revoked: bool,
    privileges: Vec<String>,
    /// A pattern of LIKE; `None` for all databases.
    schema: Option<String>,
    /// `None` for all tables.
    table: Option<String>,
}

impl Grants {
    /// Asks the server on a session.
    pub(super) async fn of(session: &mut Session, flavour: Flavour) -> Result<Self> {
        let row = session.row("SELECT @@lower_case_table_names, CURRENT_ROLE()").await?;
        let caseless = text(&row, 0)? != "0";
        // MariaDB lists those of the active role and of everybody along with the user's own.
        let sql = match maybe(&row, 1).filter(|roles| flavour == Flavour::Mysql && *roles != "NONE") {
            Some(roles) => format!("SHOW GRANTS FOR CURRENT_USER() USING {roles}"),
            None => "SHOW GRANTS".to_string(),
        };
        let lines: Vec<String> = match records(session.connection()?, sql).await {
            Ok(rows) => rows.into_iter().filter_map(|mut row| row.pop().flatten()).collect(),
            Err(error) if code(&error) == Some(NO_PRIVILEGES_HERE) => {
                vec!["GRANT ALL PRIVILEGES ON *.* TO ``@``".to_string()]
            }
            Err(error) => return Err(classify(error, &session.place)),
        };
        Ok(Self::parse(lines.iter().map(String::as_str), caseless))
    }

    fn parse<'a>(lines: impl IntoIterator<Item = &'a str>, caseless: bool) -> Self {
        Grants { grants: lines.into_iter().filter_map(parse).collect(), caseless }
    }

    /// Whether a privilege is held on a database, or at least on one table of it.
    pub(super) fn holds(&self, privilege: &str, schema: &str, table: Option<&str>) -> bool {
        let taken =
            |grant: &Grant| grant.revoked && grant.names(privilege) && self.covers(grant, schema, table);
        self.grants.iter().any(|grant| {
            !grant.revoked
                && grant.names(privilege)
                && self.covers(grant, schema, table)
                && !(grant.schema.is_none() && self.grants.iter().any(taken))
        })
    }

    /// Whether a privilege is held on the whole server.
    pub(super) fn global(&self, privilege: &str) -> bool {
        self.grants.iter().any(|g| !g.revoked && g.schema.is_none() && g.names(privilege))
    }

    fn covers(&self, grant: &Grant, schema: &str, table: Option<&str>) -> bool {
        let folded = |name: &str| if self.caseless { name.to_lowercase() } else { name.to_string() };
        let (schema, table) = (folded(schema), table.map(folded));
        match (&grant.schema, &grant.table) {
            (None, _) => true,
            (Some(pattern), None) => matches(&folded(pattern), &schema),
            // A grant on a table names its database as it is.
            (Some(name), Some(one)) => folded(name) == schema && table == Some(folded(one)),
        }
    }
}

impl Grant {
    fn names(&self, privilege: &str) -> bool {
        self.privileges
            .iter()
            .any(|p| p.eq_ignore_ascii_case(privilege) || p == "ALL PRIVILEGES" || p == "ALL")
    }
}

/// One line of SHOW GRANTS; nothing for roles, routines and proxies.
fn parse(line: &str) -> Option<Grant> {
    let (revoked, rest, end) = match (line.strip_prefix("GRANT "), line.strip_prefix("REVOKE ")) {
        (Some(rest), _) => (false, rest, " TO "),
        (_, Some(rest)) => (true, rest, " FROM "),
        _ => return None,
    };
    let (privileges, rest) = split(rest, " ON ")?;
    let (object, _) = split(rest, end)?;
    let object = object.strip_prefix("TABLE ").unwrap_or(object);
    let (schema, table) = split(object, ".")?;
    Some(Grant { revoked, privileges: listed(privileges), schema: name(schema)?, table: name(table)? })
}

/// The text before and after the first `separator` outside of quotes.
fn split<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let at = find(text, separator)?;
    Some((text.get(..at)?, text.get(at + separator.len()..)?))
}

/// The privileges on whole tables: those on single columns are left out.
fn listed(text: &str) -> Vec<String> {
    let (mut found, mut current, mut depth, mut columns) = (Vec::new(), String::new(), 0, false);
    for (_, c) in outside(text).chain([(0, ',')]) {
        match c {
            '(' => (depth, columns) = (depth + 1, true),
            ')' => depth -= 1,
            ',' if depth <= 0 => {
                let privilege = std::mem::take(&mut current);
                if !std::mem::take(&mut columns) {
                    found.push(privilege.trim().to_uppercase());
                }
            }
            c if depth == 0 => current.push(c),
            _ => {}
        }
    }
    found
}

/// A name in quotes, `None` inside for `*`; nothing for a routine's kind before it.
fn name(text: &str) -> Option<Option<String>> {
    if text == "*" {
        return Some(None);
    }
    let quote = text.chars().next().filter(|c| matches!(c, '`' | '"' | '\''))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(Some(inner.replace(&format!("{quote}{quote}"), &quote.to_string())))
}

/// Whether a database's name fits a pattern: `%` any characters, `_` one, `\` takes the next as it is.
fn matches(pattern: &str, name: &str) -> bool {
    let mut chars = pattern.chars();
    match chars.next() {
        None => name.is_empty(),
        Some('%') => {
            let mut tails = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            tails.any(|at| name.get(at..).is_some_and(|tail| matches(chars.as_str(), tail)))
        }
        Some('_') => behind(name).is_some_and(|(_, tail)| matches(chars.as_str(), tail)),
        Some('\\') => {
            let wanted = chars.next().unwrap_or('\\');
            behind(name).is_some_and(|(c, tail)| c == wanted && matches(chars.as_str(), tail))
        }
        Some(wanted) => behind(name).is_some_and(|(c, tail)| c == wanted && matches(chars.as_str(), tail)),
    }
}

fn behind(name: &str) -> Option<(char, &str)> {
    let mut chars = name.chars();
    let first = chars.next()?;
    Some((first, chars.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(lines: &[&str]) -> Grants {
        Grants::parse(lines.iter().copied(), false)
    }

    #[test]
    fn levels_and_patterns() {
        let held = grants(&[
            "GRANT USAGE ON *.* TO `hw`@`%` IDENTIFIED BY PASSWORD '*AB'",
            "GRANT SELECT, LOCK TABLES ON `app\\_%`.* TO `hw`@`%`",
            "GRANT SELECT (`a`, `b,)`), TRIGGER ON `shop`.`or``ders` TO `hw`@`%` WITH GRANT OPTION",
            "GRANT ALL PRIVILEGES ON `highwater_capture`.* TO `hw`@`%`",
            "GRANT `reader`@`%` TO `hw`@`%`",
            "GRANT EXECUTE ON PROCEDURE `shop`.`p` TO `hw`@`%`",
            "GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION",
        ]);
        assert!(held.holds("select", "app_1", Some("t")) && held.holds("LOCK TABLES", "app_", None));
        assert!(!held.holds("SELECT", "appx1", None) && !held.holds("INSERT", "app_1", Some("t")));
        assert!(
            held.holds("TRIGGER", "shop", Some("or`ders")) && !held.holds("TRIGGER", "shop", Some("other"))
        );
        assert!(!held.holds("TRIGGER", "shop", None) && !held.holds("SELECT", "shop", Some("or`ders")));
        assert!(
            held.holds("DROP", "highwater_capture", None) && held.holds("DROP", "highwaterXcapture", None)
        );
        assert!(!held.global("SELECT") && !held.holds("EXECUTE", "shop", None));
    }

    #[test]
    fn the_whole_server_with_a_part_taken_away() {
        let held = grants(&[
            "GRANT SELECT, TRIGGER, PROCESS, SUPER ON *.* TO `hw`@`%`",
            "GRANT SYSTEM_VARIABLES_ADMIN,BACKUP_ADMIN ON *.* TO `hw`@`%`",
            "REVOKE TRIGGER ON `secret`.* FROM `hw`@`%`",
        ]);
        assert!(held.global("PROCESS") && held.global("SYSTEM_VARIABLES_ADMIN"));
        assert!(held.holds("TRIGGER", "any", Some("t")) && !held.holds("TRIGGER", "secret", Some("t")));
        assert!(held.holds("SELECT", "secret", Some("t")));
    }

    #[test]
    fn names_without_case() {
        let lines = ["GRANT SELECT ON `Shop`.`Orders` TO `hw`@`%`"];
        assert!(Grants::parse(lines, true).holds("SELECT", "sHOP", Some("oRDERS")));
        assert!(!Grants::parse(lines, false).holds("SELECT", "shop", Some("Orders")));
    }

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("%", "", true),
            ("a%", "abc", true),
            ("a%c", "abc", true),
            ("a%d", "abc", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
