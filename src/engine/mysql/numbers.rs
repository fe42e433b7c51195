//! The names of tables as InnoDB's own catalogue has them: encoded for file names.
//!
//! ASCII letters, digits and the underscore stand for themselves. Letters of other alphabets are `@` and
//! two characters by a table of the server's own, everything else is `@` and four hexadecimal digits. That
//! table is not known here: all letters in it count as the same one. Two tables whose names differ
//! in nothing else share their numbers then, and each is copied anew for what befell the other.

use std::collections::HashMap;

/// What stands for each letter that has a code of the server's own.
const LETTER: char = '\u{fffd}';

/// What tells the tables of some databases from others that had or get the same names.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<(String, String), Vec<String>>);

impl Numbers {
    /// Adds a table by its name as InnoDB has it.
    pub(super) fn add(&mut self, encoded: &str, number: String) {
        let (database, rest) = encoded.split_once('/').unwrap_or_default();
        // A `#` in a name is encoded: behind one a partition is named.
        let table = rest.split('#').next().unwrap_or_default();
        self.put((decoded(database), decoded(table)), number);
    }

    /// Adds a table by its plain name.
    pub(super) fn add_plain(&mut self, database: &str, table: &str, number: String) {
        self.put((masked(database), masked(table)), number);
    }

    fn put(&mut self, name: (String, String), number: String) {
        self.0.entry(name).or_default().push(number);
    }

    /// The numbers of a table and its partitions; empty for one that is not there.
    pub(super) fn of(&self, database: &str, table: &str) -> String {
        let mut numbers = self.0.get(&(masked(database), masked(table))).cloned().unwrap_or_default();
        numbers.sort_unstable();
        numbers.join(",")
    }
}

/// A pattern of LIKE for the tables of a database, by their names as InnoDB has them.
pub(super) fn pattern(database: &str) -> String {
    let mut pattern = String::new();
    for c in database.chars() {
        match c {
            _ if masks(c) => pattern.push_str("@__"),
            // The underscore stands for any character here, which does no harm.
            _ if c.is_ascii_alphanumeric() || c == '_' => pattern.push(c),
            _ => pattern.push_str(&format!("@{:04x}", u32::from(c))),
        }
    }
    pattern + "/%"
}

/// Whether a letter may have a code of the server's own.
fn masks(c: char) -> bool {
    matches!(u32::from(c),
        0x00c0..=0x05ff | 0x1e00..=0x1fff | 0x2160..=0x217f | 0x24b0..=0x24ef | 0xff20..=0xff5f)
}

fn masked(name: &str) -> String {
    name.chars().map(|c| if masks(c) { LETTER } else { c }).collect()
}

fn decoded(encoded: &str) -> String {
    let mut plain = String::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some(at) = rest.find('@') {
        plain.push_str(&rest[..at]);
        let code = &rest[at + 1..];
        let digits = code.get(..4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let (c, length) = match digits.and_then(char::from_u32) {
            Some(c) => (if masks(c) { LETTER } else { c }, 4),
            None => (LETTER, 2),
        };
        plain.push(c);
        rest = code.get(length..).unwrap_or_default();
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_as_both_servers_encode_them() {
        // As MariaDB 10.11 and MySQL 9.7 wrote them.
        let mut numbers = Numbers::default();
        numbers.add("ex@002dp@0020@0p/@1on@0v_@65e5@672c@0023p@0023x@00241", "1:2".into());
        numbers.add("ex@002dp@0020@0p/Up@002eEr", "3:4".into());
        numbers.add("ex@002dp@0020@0p/a@002db@0020c#P#p1", "6:7".into());
        numbers.add("ex@002dp@0020@0p/a@002db@0020c#p#p0", "5:6".into());
        numbers.add("ex@002dp@0020@0p/#sql-ib22-1", "9:9".into());
        assert_eq!(numbers.of("ex-p é", "ünï_日本#p#x$1"), "1:2");
        assert_eq!(numbers.of("ex-p é", "Up.Er"), "3:4");
        assert_eq!(numbers.of("ex-p é", "a-b c"), "5:6,6:7");
        assert_eq!(numbers.of("ex-p é", "a"), "");
        assert_eq!(pattern("ex-p é"), "ex@002dp@0020@__/%");
    }
}
