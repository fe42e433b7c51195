//! A backup of a target, to go back to.

use std::fs;
use std::path::PathBuf;

use super::engine::{Db, Engine, Pair};
use super::workspace::{Workspace, next_number};

/// How a target is backed up by its own means.
pub struct Backup {
    file: PathBuf,
}

impl Backup {
    /// `None` where its own means are not here.
    pub fn of(pair: &Pair) -> Option<Backup> {
        let number = next_number();
        let file = Workspace::get().root().join(format!("backup-{number}"));
        (pair.target.engine() != Engine::Mysql).then_some(Backup { file })
    }

    /// Takes it: the target as it is now.
    pub async fn make(&self, pair: &Pair) {
        match &pair.target {
            Db::Postgres(database) => {
                self.run("pg_dump", &["--file", &self.name(), &database.url()]).await;
            }
            Db::Sqlite(file) => file.execute(&format!("VACUUM INTO '{}'", self.name())).await,
            Db::Mysql(database) => {
                let mut arguments = mysql_arguments(&database.url());
                arguments.insert(0, format!("--result-file={}", self.name()));
                self.run("mariadb-dump", &arguments).await;
            }
        }
    }

    /// Puts it in the target's place. Returns the target as it is connected to from then on.
    pub async fn restore(&self, pair: &Pair) -> Db {
        match &pair.target {
            Db::Postgres(database) => {
                database
                    .execute("DROP SCHEMA public CASCADE; DROP SCHEMA highwater_ledger CASCADE; CREATE SCHEMA public")
                    .await;
                self.run("psql", &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", &self.name(), &database.url()])
                    .await;
            }
            Db::Sqlite(file) => {
                file.pool().close().await;
                let url = file.url();
                let path = url.strip_prefix("sqlite://").unwrap();
                let copy = format!("{path}.restored");
                fs::copy(&self.file, &copy).unwrap();
                fs::rename(&copy, path).unwrap();
                for beside in ["-wal", "-shm"] {
                    let _ = fs::remove_file(format!("{path}{beside}"));
                }
                return Db::Sqlite(file.opened_again());
            }
            Db::Mysql(database) => {
                let tables =
                    "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()";
                let names: Vec<String> = database
                    .rows_as_text(tables)
                    .await
                    .into_iter()
                    .map(|row| format!("`{}`", row[0].clone().unwrap()))
                    .collect();
                database
                    .execute(&format!(
                        "SET foreign_key_checks = 0; DROP TABLE {}; SET foreign_key_checks = 1",
                        names.join(", ")
                    ))
                    .await;
                let mut arguments = mysql_arguments(&database.url());
                arguments.insert(0, format!("--execute=source {}", self.name()));
                self.run("mariadb", &arguments).await;
            }
        }
        pair.target.clone()
    }

    fn name(&self) -> String {
        self.file.display().to_string()
    }

    async fn run<S: AsRef<std::ffi::OsStr>>(&self, program: &str, arguments: &[S]) {
        let output = tokio::process::Command::new(program).args(arguments).output().await.unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A URL as the arguments of MariaDB's programs.
fn mysql_arguments(url: &str) -> Vec<String> {
    let rest = url.strip_prefix("mysql://").unwrap();
    let (user, rest) = rest.split_once('@').unwrap();
    let (place, database) = rest.split_once('/').unwrap();
    let (host, port) = place.split_once(':').unwrap();
    let database = database.split('?').next().unwrap();
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    [
        "--protocol=tcp",
        &format!("--host={host}"),
        &format!("--port={port}"),
        &format!("--user={user}"),
        &format!("--password={password}"),
        database,
    ]
    .map(str::to_owned)
    .to_vec()
}
