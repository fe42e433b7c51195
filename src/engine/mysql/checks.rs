//! CHECK constraints, out of what SHOW CREATE TABLE says.

use super::connect::Server;
use super::create::Create;
use super::definitions::shown;
use super::schema::is_own_table;
use super::session::text;
use crate::error::Result;
use crate::model::{CheckConstraint, TableName, sql};

/// The enforced CHECK constraints of all user tables.
pub(super) async fn check_constraints(server: &Server) -> Result<Vec<CheckConstraint>> {
    let mut session = server.session().await?;
    // Names are read by their back-ticks.
    session.execute("SET SESSION sql_quote_show_create = 1").await?;
    let mut found = Vec::new();
    for row in session.query(include_str!("../../../sql/mysql/schema_checks.sql")).await? {
        let table = text(&row, 0)?;
        if !is_own_table(table) {
            found.extend(of_table(table, &shown(&mut session, "TABLE", table).await?));
        }
    }
    session.close();
    Ok(found)
}

fn of_table(table: &str, said: &str) -> Vec<CheckConstraint> {
    let items = Create::parse(said).map(|create| create.items).unwrap_or_default();
    let constraint = |(name, condition): (String, &str)| CheckConstraint {
        table: TableName::bare(table),
        name,
        condition: sql::without_brackets(&doubled_quotes(condition)).to_string(),
        validated: true,
    };
    items.iter().filter_map(|item| item.check()).map(constraint).collect()
}

/// The SQL with quotes inside of texts as doubled ones, where they have a back-slash.
pub(super) fn doubled_quotes(sql: &str) -> String {
    let (mut doubled, mut open) = (String::with_capacity(sql.len()), None);
    let mut chars = sql.chars();
    while let Some(c) = chars.next() {
        match (open, c) {
            (Some('\''), '\\') => match chars.next() {
                Some('\'') => doubled.push_str("''"),
                next => {
                    doubled.push(c);
                    doubled.extend(next);
                }
            },
            (None, '\'' | '`') => {
                open = Some(c);
                doubled.push(c);
            }
            _ => {
                // A doubled quote closes and opens again, which comes to the same.
                open = open.filter(|quote| *quote != c);
                doubled.push(c);
            }
        }
    }
    doubled
}

/// The text with one level of back-slashes taken off.
pub(super) fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_of_columns_and_tables() {
        let said = "CREATE TABLE `t` (
  `n``m` varchar(20) DEFAULT ' CHECK (0)' CHECK (`n``m` <> 'it\\'s \\\\ (😀') COMMENT 'CHECK (1)',
  `g` int GENERATED ALWAYS AS ((`id` + (1))) STORED,
  CONSTRAINT `c 1` CHECK (((`g` > 0) and (`x` in (_utf8mb4'a',_utf8mb4')')))),
  CONSTRAINT `off` CHECK ((`g` > 5)) /*!80016 NOT ENFORCED */,
  CONSTRAINT `fk` FOREIGN KEY (`g`) REFERENCES `p` (`id`)
) ENGINE=InnoDB";
        let found: Vec<(String, String)> =
            of_table("t", said).into_iter().map(|c| (c.name, c.condition)).collect();
        let named = |name: &str, condition: &str| (name.to_string(), condition.to_string());
        assert_eq!(
            found,
            [
                named("n`m", "`n``m` <> 'it''s \\\\ (😀'"),
                named("c 1", "(`g` > 0) and (`x` in (_utf8mb4'a',_utf8mb4')'))")
            ]
        );
    }

    #[test]
    fn escapes_come_off() {
        assert_eq!(doubled_quotes(&unescaped(r"concat(_utf8mb4\'a\\\'b\')")), "concat(_utf8mb4'a''b')");
        assert_eq!(doubled_quotes(r"`a\` = 'b\\' or 'c''\'' = \"), r"`a\` = 'b\\' or 'c''''' = \");
    }
}
