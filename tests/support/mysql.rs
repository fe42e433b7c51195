//! A MariaDB or MySQL database of one test.

use std::str::FromStr;

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlRow, MySqlTypeInfo};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Executor as _, MySql, MySqlConnection, MySqlPool, Row, Type, TypeInfo,
    ValueRef,
};

use super::database::Rows;
use super::mysql_server::Kind;

/// Lets the SQL that all engines share run as it is written: "name" is a name, || joins texts. The
/// rest is what the server has by default, but for AUTO_INCREMENT, which MySQL shows as of a day ago.
const SESSION: &str = "SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES,PIPES_AS_CONCAT'), time_zone = '+00:00' \
                       /*!80000 , information_schema_stats_expiry = 0 */";

/// A fresh database, seen by root.
#[derive(Clone)]
pub struct MysqlDatabase {
    kind: Kind,
    name: String,
    pool: MySqlPool,
    port: u16,
}

impl MysqlDatabase {
    pub(super) fn new(kind: Kind, port: u16, name: &str) -> MysqlDatabase {
        let pool = MySqlPoolOptions::new()
            .max_connections(8)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(SESSION).await.map(|_| ()) })
            })
            .connect_lazy_with(options(&url(port, "root", name)));
        MysqlDatabase { kind, name: name.to_owned(), pool, port }
    }

    /// The kind of its server.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL for root.
    pub fn url(&self) -> String {
        self.url_as("root")
    }

    /// Its URL for another user; `user` may be `name:password`.
    pub fn url_as(&self, user: &str) -> String {
        url(self.port, user, &self.name)
    }

    /// Connections of root, made when first used.
    pub fn pool(&self) -> &MySqlPool {
        &self.pool
    }

    /// Runs one or more statements; panics with what failed.
    pub async fn execute(&self, sql: &str) {
        let mut connection = self.pool.acquire().await.expect("a connection");
        execute(&mut connection, sql).await;
    }

    /// The rows of a query as the server writes them, bytes as hex digits.
    pub async fn rows_as_text(&self, sql: &str) -> Rows {
        let mut connection = self.pool.acquire().await.expect("a connection");
        rows_as_text(&mut connection, sql).await
    }

    /// One connection of its own, for transactions held open.
    pub async fn connect(&self) -> MySqlConnection {
        self.connect_as("root").await
    }

    /// One connection of another user; `user` may be `name:password`.
    pub async fn connect_as(&self, user: &str) -> MySqlConnection {
        connect(&self.url_as(user)).await
    }
}

/// The URL of a database on a server of the tests.
pub fn url(port: u16, user: &str, database: &str) -> String {
    format!("mysql://{user}@127.0.0.1:{port}/{database}")
}

/// One connection, which takes the SQL that all engines share.
pub async fn connect(url: &str) -> MySqlConnection {
    let mut connection = options(url).connect().await.expect("a connection");
    connection.execute(SESSION).await.expect("session settings");
    connection
}

fn options(url: &str) -> MySqlConnectOptions {
    let options = MySqlConnectOptions::from_str(url).expect("a URL");
    options.pipes_as_concat(false).no_engine_substitution(false)
}

/// Runs one or more statements; panics with what failed.
pub async fn execute(connection: &mut MySqlConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{sql}\n{error}"));
}

/// The rows of a query, by the text protocol, as [`MysqlDatabase::rows_as_text`] gives them.
pub async fn rows_as_text(connection: &mut MySqlConnection, sql: &str) -> Rows {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    rows.iter().map(|row| (0..row.len()).map(|column| text(row, column)).collect()).collect()
}

fn text(row: &MySqlRow, column: usize) -> Option<String> {
    let value = row.try_get_raw(column).expect("a column");
    if value.is_null() {
        return None;
    }
    let bytes: Vec<u8> = row.try_get_unchecked(column).expect("bytes");
    Some(if is_bytes(&value.type_info()) {
        bytes.iter().map(|byte| format!("{byte:02X}")).collect()
    } else {
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The type's name alone does not tell: it is VARBINARY for a text whose collation is binary.
fn is_bytes(kind: &MySqlTypeInfo) -> bool {
    let may_be_bytes = matches!(
        kind.name(),
        "BINARY"
            | "VARBINARY"
            | "TINYBLOB"
            | "BLOB"
            | "MEDIUMBLOB"
            | "LONGBLOB"
            | "BIT"
            | "GEOMETRY"
            | "VECTOR"
    );
    may_be_bytes && !<String as Type<MySql>>::compatible(kind)
}
