//! Databases on the servers are dropped when the test that made them is over.
//!
//! One of PostgreSQL takes 7 MB, and autovacuum visits them all: a thousand would fill the memory where the
//! servers have their files, and keep a core busy.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, PgConnection};

thread_local! {
    static MADE: RefCell<Made> = const { RefCell::new(Made(Vec::new())) };
}

/// A database, and the URL by which its server lets it be dropped.
pub enum Leftover {
    Postgres { server: String, name: String },
    Mysql { server: String, name: String },
}

/// Has the database dropped when this thread ends: the test's, or a worker's of the test's runtime.
pub fn after_the_test(leftover: Leftover) {
    MADE.with(|made| made.borrow_mut().0.push(leftover));
}

/// The databases of one thread.
struct Made(Vec<Leftover>);

impl Drop for Made {
    fn drop(&mut self) {
        for leftover in self.0.drain(..) {
            // The sweeper is gone only when the whole process is.
            let _ = sweeper().send(leftover);
        }
    }
}

/// Where the one thread that drops databases takes them from.
fn sweeper() -> &'static Sender<Leftover> {
    static SWEEPER: OnceLock<Sender<Leftover>> = OnceLock::new();
    SWEEPER.get_or_init(|| {
        let (sender, leftovers) = channel();
        std::thread::spawn(|| sweep(leftovers));
        sender
    })
}

fn sweep(leftovers: Receiver<Leftover>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for leftover in leftovers {
        // What can't be dropped stays until the servers go: a server that has gone with its test, a
        // database with a prepared transaction.
        let _ = runtime.block_on(leftover.drop_database());
    }
}

impl Leftover {
    async fn drop_database(self) -> sqlx::Result<()> {
        match self {
            Leftover::Postgres { server, name } => {
                let mut connection = PgConnection::connect(&server).await?;
                let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
                connection.close().await
            }
            Leftover::Mysql { server, name } => {
                let mut connection = MySqlConnection::connect(&server).await?;
                // Sessions of a program that was killed may hold the tables a little longer.
                let sql = format!("SET lock_wait_timeout = 5; DROP DATABASE IF EXISTS {name}");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
                // Its change logs are in the database that all captured ones share, where each inspection opens
                // every table.
                let tag = hex::encode(&Sha256::digest(&name)[..8]);
                let logs = format!(
                    "SELECT CONCAT('DROP TABLE IF EXISTS `', TABLE_SCHEMA, '`.`', TABLE_NAME, '`') \
                     FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE 'highwater%capture%' \
                     AND (TABLE_NAME LIKE '{name}.%' OR TABLE_NAME LIKE '%\\_{tag}')"
                );
                let drops: Vec<String> =
                    sqlx::query_scalar(AssertSqlSafe(logs)).fetch_all(&mut connection).await?;
                for drop in drops {
                    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await?;
                }
                connection.close().await
            }
        }
    }
}
