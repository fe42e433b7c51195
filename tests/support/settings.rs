//! The tables of settings beside the session files of `sql/`: what each setting is classed as, and the hostile values
//! that tests give it.

/// One row of `sql/mysql/settings.tsv`, `sql/postgres/settings.tsv` or `sql/sqlite/pragmas.tsv`.
#[derive(Debug, Clone)]
pub struct Setting {
    pub name: &'static str,
    pub class: &'static str,
    /// Of which servers (MySQL's table), or from which version on (PostgreSQL's).
    pub only: &'static str,
    /// The hostile value of the server, or of role and database.
    pub server: Option<&'static str>,
    /// The hostile value in a writer's session.
    pub writer: Option<&'static str>,
}

impl Setting {
    /// Whether it is set on each connection.
    pub fn is_set(&self) -> bool {
        self.class == "set"
    }

    /// Whether a pattern with `*`, or the name itself, is that of a setting.
    pub fn is_of(&self, name: &str) -> bool {
        match self.name.split_once('*') {
            Some((first, last)) => {
                name.len() >= first.len() + last.len() && name.starts_with(first) && name.ends_with(last)
            }
            None => self.name.eq_ignore_ascii_case(name),
        }
    }

    /// Whether it is the name of one setting.
    pub fn is_exact(&self) -> bool {
        !self.name.contains('*') && !self.name.starts_with('@')
    }
}

/// MySQL's and MariaDB's: `kind` is `mysql` or `mariadb`.
pub fn mysql(kind: &str) -> Vec<Setting> {
    let all = rows(include_str!("../../sql/mysql/settings.tsv"), 6).into_iter();
    let rows = all.map(|f| Setting {
        name: f[0],
        only: f[1],
        class: f[2],
        server: value(f[3]),
        writer: value(f[4]),
    });
    rows.filter(|row| row.only == "both" || row.only == kind).collect()
}

/// PostgreSQL's that a server of this major version has.
pub fn postgres(version: i64) -> Vec<Setting> {
    let all = rows(include_str!("../../sql/postgres/settings.tsv"), 6).into_iter();
    let rows = all.map(|f| Setting {
        name: f[0],
        class: f[1],
        server: value(f[2]),
        writer: value(f[3]),
        only: f[4],
    });
    let is_there = |row: &Setting| match row.only.parse::<i64>().expect("a version") {
        last @ ..0 => version <= -last,
        first => version >= first,
    };
    rows.filter(is_there).collect()
}

/// SQLite's.
pub fn sqlite() -> Vec<Setting> {
    let all = rows(include_str!("../../sql/sqlite/pragmas.tsv"), 4).into_iter();
    all.map(|f| Setting { name: f[0], class: f[1], only: "", server: None, writer: value(f[2]) }).collect()
}

fn rows(text: &'static str, columns: usize) -> Vec<Vec<&'static str>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split('\t').collect()).collect();
    for row in &rows {
        assert_eq!(row.len(), columns, "{row:?}");
        assert!(row.iter().all(|field| !field.is_empty()), "{row:?}");
        assert!(row.contains(&"set") || row.contains(&"harmless") || row.contains(&"blocked"), "{row:?}");
    }
    rows
}

fn value(field: &'static str) -> Option<&'static str> {
    (field != "-").then_some(field)
}

/// The names that a session file sets: what stands before each `=`, and the first text of each pair of a list in
/// brackets.
pub fn names_set_by(text: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let lines = text.lines().filter(|line| !line.starts_with("--"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let last_word =
        |before: &str| before.trim_end().rsplit(|c: char| !is_name(c)).next().unwrap_or("").to_owned();
    let mut names: Vec<String> = text.split(" = ").map(last_word).collect();
    names.pop();
    let pairs = text.split("('").skip(1).filter_map(|rest| rest.split_once("', '"));
    names.extend(pairs.map(|(name, _)| name.to_owned()).filter(|name| name.chars().all(is_name)));
    names
}
