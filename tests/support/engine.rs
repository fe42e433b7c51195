//! One face for all engines, so that a case is written once.

use sqlx::{MySqlConnection, PgConnection, SqliteConnection};

use super::database::{self, Database, Rows};
use super::mysql::{self, MysqlDatabase};
use super::mysql_server::{Kind, MysqlServer};
use super::server::Server;
use super::sqlite::{self, SqliteFile};

/// The kinds of database that highwater serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Postgres,
    Sqlite,
    Mariadb,
    Mysql,
}

impl Engine {
    /// Two empty databases of this engine.
    pub async fn pair(self) -> Pair {
        match self {
            Engine::Postgres => Pair::postgres().await,
            Engine::Sqlite => Pair::sqlite().await,
            Engine::Mariadb => Pair::mariadb().await,
            Engine::Mysql => Pair::mysql().await,
        }
    }

    /// Whether it is MySQL or MariaDB.
    pub fn is_mysql(self) -> bool {
        matches!(self, Engine::Mariadb | Engine::Mysql)
    }

    /// `postgres` on PostgreSQL, `sqlite` on SQLite, `mysql` on MySQL and MariaDB: for the few words in
    /// which dialects differ.
    pub fn pick<T>(self, postgres: T, sqlite: T, mysql: T) -> T {
        match self {
            Engine::Postgres => postgres,
            Engine::Sqlite => sqlite,
            Engine::Mariadb | Engine::Mysql => mysql,
        }
    }
}

/// A source and a target.
#[derive(Clone)]
pub struct Pair {
    pub source: Db,
    pub target: Db,
}

impl Pair {
    /// Two empty databases on the shared server.
    pub async fn postgres() -> Pair {
        Pair::postgres_on(Server::shared(), Server::shared()).await
    }

    /// Empty databases on the servers given.
    pub async fn postgres_on(source: &Server, target: &Server) -> Pair {
        let source = Db::Postgres(source.database_named("source").await);
        Pair { source, target: Db::Postgres(target.database_named("target").await) }
    }

    /// Two empty databases on the shared MariaDB server.
    pub async fn mariadb() -> Pair {
        let server = MysqlServer::shared(Kind::Mariadb);
        Pair::mysql_on(server, server).await
    }

    /// Two empty databases on the shared MySQL server.
    pub async fn mysql() -> Pair {
        let server = MysqlServer::shared(Kind::Mysql);
        Pair::mysql_on(server, server).await
    }

    /// Empty databases on the servers given, of either kind.
    pub async fn mysql_on(source: &MysqlServer, target: &MysqlServer) -> Pair {
        let source = Db::Mysql(source.database_named("source").await);
        Pair { source, target: Db::Mysql(target.database_named("target").await) }
    }

    /// Two empty files.
    pub async fn sqlite() -> Pair {
        let source = Db::Sqlite(SqliteFile::new("source").await);
        Pair { source, target: Db::Sqlite(SqliteFile::new("target").await) }
    }

    /// Runs the same statements on both sides.
    pub async fn execute_on_both(&self, sql: &str) {
        self.source.execute(sql).await;
        self.target.execute(sql).await;
    }
}

/// A database of any engine.
#[derive(Clone)]
pub enum Db {
    Postgres(Database),
    Sqlite(SqliteFile),
    Mysql(MysqlDatabase),
}

impl Db {
    /// Its engine.
    pub fn engine(&self) -> Engine {
        match self {
            Db::Postgres(_) => Engine::Postgres,
            Db::Sqlite(_) => Engine::Sqlite,
            Db::Mysql(database) => match database.kind() {
                Kind::Mariadb => Engine::Mariadb,
                Kind::Mysql => Engine::Mysql,
            },
        }
    }

    /// Its URL, with all rights.
    pub fn url(&self) -> String {
        match self {
            Db::Postgres(database) => database.url(),
            Db::Sqlite(file) => file.url(),
            Db::Mysql(database) => database.url(),
        }
    }

    /// Runs one or more statements; panics with what failed.
    pub async fn execute(&self, sql: &str) {
        match self {
            Db::Postgres(database) => database.execute(sql).await,
            Db::Sqlite(file) => file.execute(sql).await,
            Db::Mysql(database) => database.execute(sql).await,
        }
    }

    /// The rows of a query, as text.
    pub async fn rows_as_text(&self, sql: &str) -> Rows {
        match self {
            Db::Postgres(database) => database.rows_as_text(sql).await,
            Db::Sqlite(file) => file.rows_as_text(sql).await,
            Db::Mysql(database) => database.rows_as_text(sql).await,
        }
    }

    /// The first value of a query, as text ("NULL" for NULL, empty without a row).
    pub async fn value(&self, sql: &str) -> String {
        let first = self.rows_as_text(sql).await.into_iter().flatten().next();
        first.map_or_else(String::new, |value| value.unwrap_or_else(|| "NULL".to_owned()))
    }

    /// One connection of its own, for transactions held open.
    pub async fn connect(&self) -> Connection {
        match self {
            Db::Postgres(database) => Connection::Postgres(Box::new(database.connect().await)),
            Db::Sqlite(file) => Connection::Sqlite(Box::new(file.connect().await)),
            Db::Mysql(database) => Connection::Mysql(Box::new(database.connect().await)),
        }
    }

    /// What the server answers to statements that it may refuse.
    pub async fn try_execute(&self, sql: &str) -> sqlx::Result<()> {
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        match self {
            Db::Postgres(database) => sql.execute(database.pool()).await.map(|_| ()),
            Db::Sqlite(file) => sql.execute(file.pool()).await.map(|_| ()),
            Db::Mysql(database) => sql.execute(database.pool()).await.map(|_| ()),
        }
    }

    /// The PostgreSQL database that this is.
    pub fn postgres(&self) -> &Database {
        match self {
            Db::Postgres(database) => database,
            _ => panic!("{:?} is not PostgreSQL", self.engine()),
        }
    }

    /// The SQLite file that this is.
    pub fn sqlite(&self) -> &SqliteFile {
        match self {
            Db::Sqlite(file) => file,
            _ => panic!("{:?} is not SQLite", self.engine()),
        }
    }

    /// The MySQL or MariaDB database that this is.
    pub fn mysql(&self) -> &MysqlDatabase {
        match self {
            Db::Mysql(database) => database,
            _ => panic!("{:?} is neither MySQL nor MariaDB", self.engine()),
        }
    }
}

/// One connection to a database of any engine.
pub enum Connection {
    Postgres(Box<PgConnection>),
    Sqlite(Box<SqliteConnection>),
    Mysql(Box<MySqlConnection>),
}

impl Connection {
    /// Runs one or more statements; panics with what failed.
    pub async fn execute(&mut self, sql: &str) {
        match self {
            Connection::Postgres(connection) => database::execute(connection, sql).await,
            Connection::Sqlite(connection) => sqlite::execute(connection, sql).await,
            Connection::Mysql(connection) => mysql::execute(connection, sql).await,
        }
    }

    /// What the server answers to statements that it may refuse.
    pub async fn try_execute(&mut self, sql: &str) -> sqlx::Result<()> {
        let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        match self {
            Connection::Postgres(connection) => sql.execute(&mut **connection).await.map(|_| ()),
            Connection::Sqlite(connection) => sql.execute(&mut **connection).await.map(|_| ()),
            Connection::Mysql(connection) => sql.execute(&mut **connection).await.map(|_| ()),
        }
    }

    /// The rows of a query, as text.
    pub async fn rows_as_text(&mut self, sql: &str) -> Rows {
        match self {
            Connection::Postgres(connection) => database::rows_as_text(connection, sql).await,
            Connection::Sqlite(connection) => sqlite::rows_as_text(connection, sql).await,
            Connection::Mysql(connection) => mysql::rows_as_text(connection, sql).await,
        }
    }
}

/// Makes one test per engine of each case named: an `async fn case(engine: Engine)` beside it.
///
/// ```ignore
/// contract!(copies_every_row);
///
/// async fn copies_every_row(engine: Engine) { .. }
/// ```
///
/// gives `postgres::copies_every_row`, `sqlite::copies_every_row`, and the same for `mariadb` and
/// `mysql`. Once per module.
macro_rules! contract {
    ($($case:ident),+ $(,)?) => {
        contract!(@engine postgres Postgres $($case),+);
        contract!(@engine sqlite Sqlite $($case),+);
        contract!(@engine mariadb Mariadb $($case),+);
        contract!(@engine mysql Mysql $($case),+);
    };
    (@engine $module:ident $engine:ident $($case:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    Box::pin(super::$case($crate::support::Engine::$engine)).await;
                }
            )+
        }
    };
}

/// As `contract!`, for what needs a server: every engine but SQLite.
macro_rules! on_servers {
    ($($case:ident),+ $(,)?) => {
        mod on_servers {
            contract!(@engine postgres Postgres $($case),+);
            contract!(@engine mariadb Mariadb $($case),+);
            contract!(@engine mysql Mysql $($case),+);
            $(use super::$case;)+
        }
    };
}

/// Makes one test per kind of server of each case named.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        on_both!(@kind mariadb Mariadb $($case),+);
        on_both!(@kind mysql9 Mysql $($case),+);
    };
    (@kind $module:ident $kind:ident $($case:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$case($crate::support::Kind::$kind).await;
                }
            )+
        }
    };
}
