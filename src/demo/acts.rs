//! What an identity server writes: each act is one transaction of production.

use rand::Rng;
use rand::rngs::StdRng;

use super::link::{Dialect, Link, Value};
use super::production::{BEGINNING, CONTENT, Scale, TOKEN, any_claim, any_content, now, person, token_text};
use super::writers::Kind;

/// Of a hundred transactions so many are rolled back at the end.
const ROLLED_BACK_PERCENT: u32 = 6;

/// What a transaction is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// The node says that it is alive.
    Beat,
    /// A new user, with a role, a claim and an audited event.
    SignUp,
    /// A session, a token, and what is known of the user.
    SignIn,
    /// A token's secret changes.
    Refresh,
    /// A token is revoked, which is audited twice in the same words.
    Revoke,
    /// A session and a token go.
    SignOut,
    /// A user goes, and what hangs on it.
    DropUser,
    /// Rows get another key.
    Rename,
    /// Two users swap addresses, two tokens swap secrets.
    Swap,
    /// REPLACE, of the row with the same key and of one with the same unique value.
    Replace,
    /// One statement, some hundred rows.
    Bulk,
    /// Half of it is undone.
    Savepoint,
}

const OFTEN: [(Act, u32); 11] = [
    (Act::SignUp, 10),
    (Act::SignIn, 26),
    (Act::Refresh, 20),
    (Act::Revoke, 6),
    (Act::SignOut, 14),
    (Act::DropUser, 4),
    (Act::Rename, 6),
    (Act::Swap, 5),
    (Act::Replace, 8),
    (Act::Bulk, 2),
    (Act::Savepoint, 6),
];

impl Act {
    /// One of them, some more often than others.
    pub(super) fn any(rng: &mut StdRng) -> Self {
        let total = OFTEN.iter().map(|(_, weight)| weight).sum();
        let mut left = rng.random_range(0..total);
        for (act, weight) in OFTEN {
            if left < weight {
                return act;
            }
            left -= weight;
        }
        Act::SignIn
    }
}

/// A node of the server, with its connection.
pub(super) struct Worker {
    link: Link,
    /// Its choices.
    pub(super) rng: StdRng,
    /// The statements of the transaction so far.
    pub(super) done: Vec<Kind>,
    scale: Scale,
    node: &'static str,
    in_transaction: bool,
}

impl Worker {
    pub(super) fn new(link: Link, rng: StdRng, scale: Scale, node: &'static str) -> Self {
        Worker { link, rng, done: Vec::new(), scale, node, in_transaction: false }
    }

    /// Carries out one transaction; now and then it is rolled back at the end, as if something else
    /// had failed.
    pub(super) async fn transaction(&mut self, act: Act) -> sqlx::Result<()> {
        if act == Act::Beat {
            return self.beat().await;
        }
        self.link.run(self.link.dialect().begin(), &[]).await?;
        self.in_transaction = true;
        Box::pin(self.act(act)).await?;
        if self.rng.random_range(0..100) < ROLLED_BACK_PERCENT {
            self.done.fill(Kind::RolledBack);
            return self.roll_back().await;
        }
        self.link.run("COMMIT", &[]).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Rolls back what was not committed, if there is something.
    pub(super) async fn roll_back(&mut self) -> sqlx::Result<()> {
        if self.in_transaction {
            self.link.run("ROLLBACK", &[]).await?;
            self.in_transaction = false;
        }
        Ok(())
    }

    async fn act(&mut self, act: Act) -> sqlx::Result<()> {
        match act {
            Act::Beat => self.beat().await,
            Act::SignUp => self.sign_up().await,
            Act::SignIn => self.sign_in().await,
            Act::Refresh => self.refresh().await,
            Act::Revoke => self.revoke().await,
            Act::SignOut => self.sign_out().await,
            Act::DropUser => self.drop_user().await,
            Act::Rename => self.rename().await,
            Act::Swap => self.swap().await,
            Act::Replace => self.replace().await,
            Act::Bulk => self.bulk().await,
            Act::Savepoint => self.savepoint().await,
        }
    }

    async fn run(&mut self, kind: Kind, sql: &str, values: &[Value]) -> sqlx::Result<()> {
        self.link.run(sql, values).await?;
        self.done.push(kind);
        Ok(())
    }

    /// A user that exists, somewhere behind a random place.
    async fn user(&mut self) -> sqlx::Result<i64> {
        let sql = "SELECT user_id FROM users WHERE user_id >= $1 ORDER BY user_id LIMIT 1";
        let from = self.rng.random_range(1..=self.scale.users.cast_signed());
        Ok(self.link.first::<i64>(sql, &[from.into()]).await?.unwrap_or(1))
    }

    /// The first value of a text column behind a random place; most keys are random hex digits.
    async fn text(&mut self, table: &str, column: &str) -> sqlx::Result<Value> {
        let sql = format!("SELECT {column} FROM {table} WHERE {column} >= $1 ORDER BY {column} LIMIT 1");
        let from = token_text(&mut self.rng);
        Ok(self.link.first::<String>(sql, &[from.into()]).await?.unwrap_or_default().into())
    }

    async fn token(&mut self) -> sqlx::Result<Value> {
        self.text("oauth_tokens", "token_id").await
    }

    async fn path(&mut self) -> sqlx::Result<Value> {
        let sql = "SELECT path FROM registry ORDER BY path LIMIT 1 OFFSET $1";
        let from = self.rng.random_range(0..self.scale.contents.max(2).cast_signed() / 2);
        Ok(self.link.first::<String>(sql, &[from.into()]).await?.unwrap_or_default().into())
    }

    async fn beat(&mut self) -> sqlx::Result<()> {
        let sql = "UPDATE nodes SET beat_at = $1 WHERE node = $2";
        self.run(Kind::Update, sql, &[now().into(), self.node.into()]).await
    }

    async fn audit(&mut self, action: &str) -> sqlx::Result<()> {
        // By the minute: the same event of the same node is soon there twice.
        let minute = (now() / 60.0).round() * 60.0 - BEGINNING as f64;
        let sql = "INSERT INTO audit (happened_at, actor, action) VALUES ($1, $2, $3)";
        let at = BEGINNING + minute as i64;
        self.run(Kind::Insert, sql, &[at.into(), self.node.into(), action.into()]).await
    }

    async fn sign_up(&mut self) -> sqlx::Result<()> {
        let name = format!("{}.{:08x}", person(&mut self.rng), self.rng.random::<u32>());
        let sql = "INSERT INTO users (user_name, email, password_hash, reputation, created_at) \
                   VALUES ($1, $2, $3, $4, $5)";
        let email = format!("{name}@example.org");
        let hash = self.rng.random::<[u8; 32]>().to_vec();
        let values = [name.into(), email.into(), hash.into(), 0.5.into(), (now() as i64).into()];
        let user = self.link.insert(sql, "user_id", &values).await?;
        self.done.push(Kind::Insert);
        let role = self.rng.random_range(1..=self.scale.roles.cast_signed());
        let sql = "INSERT INTO user_roles (user_id, role_id, granted_by) VALUES ($1, $2, $3)";
        self.run(Kind::Insert, sql, &[user.into(), role.into(), self.node.into()]).await?;
        let sql = "INSERT INTO user_claims (user_id, claim, value) VALUES ($1, $2, $3)";
        let value = any_claim(&mut self.rng);
        let value = self.link.dialect().any(value);
        self.run(Kind::Insert, sql, &[user.into(), "claim/0".into(), value]).await?;
        self.audit("sign-up").await
    }

    async fn sign_in(&mut self) -> sqlx::Result<()> {
        let user = self.user().await?;
        let sql =
            "INSERT INTO sessions (session_key, user_id, last_seen, attributes) VALUES ($1, $2, $3, $4)";
        let key = token_text(&mut self.rng);
        let attributes = self.rng.random::<[u8; 24]>().to_vec();
        self.run(Kind::Insert, sql, &[key.into(), user.into(), now().into(), attributes.into()]).await?;
        let token = self.new_token(user, None);
        let sql = "INSERT INTO oauth_tokens (token_id, user_id, access_token, state, expires_at) \
                   VALUES ($1, $2, $3, $4, $5)";
        self.run(Kind::Insert, sql, &token).await?;
        let sql = "UPDATE users SET reputation = reputation + 0.1 WHERE user_id = $1";
        self.run(Kind::Update, sql, &[user.into()]).await?;
        let sql = "UPDATE user_claims SET value = $2 WHERE user_id = $1";
        let value = any_claim(&mut self.rng);
        let value = self.link.dialect().any(value);
        self.run(Kind::Update, sql, &[user.into(), value]).await
    }

    fn new_token(&mut self, user: i64, access: Option<Value>) -> [Value; 5] {
        let (id, new) = (token_text(&mut self.rng), token_text(&mut self.rng));
        let expires = now() as i64 + 3_600;
        [id.into(), user.into(), access.unwrap_or_else(|| new.into()), "ACTIVE".into(), expires.into()]
    }

    async fn refresh(&mut self) -> sqlx::Result<()> {
        let token = self.token().await?;
        let access = token_text(&mut self.rng);
        let sql = "UPDATE oauth_tokens SET access_token = $2, state = 'ACTIVE', expires_at = $3 WHERE token_id = $1";
        let expires = now() as i64 + 3_600;
        self.run(Kind::Update, sql, &[token, access.into(), expires.into()]).await?;
        let session = self.text("sessions", "session_key").await?;
        let sql = "UPDATE sessions SET last_seen = $2 WHERE session_key = $1";
        self.run(Kind::Update, sql, &[session, now().into()]).await
    }

    async fn revoke(&mut self) -> sqlx::Result<()> {
        let token = self.token().await?;
        let sql = "UPDATE oauth_tokens SET state = 'REVOKED' WHERE token_id = $1";
        self.run(Kind::Update, sql, &[token]).await?;
        self.audit("revoke").await?;
        self.audit("revoke").await
    }

    async fn sign_out(&mut self) -> sqlx::Result<()> {
        let session = self.text("sessions", "session_key").await?;
        self.run(Kind::Delete, "DELETE FROM sessions WHERE session_key = $1", &[session]).await?;
        let token = self.token().await?;
        self.run(Kind::Delete, "DELETE FROM oauth_tokens WHERE token_id = $1", &[token]).await
    }

    async fn drop_user(&mut self) -> sqlx::Result<()> {
        let user = self.user().await?;
        self.run(Kind::Delete, "DELETE FROM users WHERE user_id = $1", &[user.into()]).await?;
        self.audit("user dropped").await
    }

    async fn rename(&mut self) -> sqlx::Result<()> {
        let path = self.path().await?;
        let renamed = format!("/_archive/{}", token_text(&mut self.rng));
        let sql = "UPDATE registry SET path = $2 WHERE path = $1";
        self.run(Kind::KeyChange, sql, &[path, renamed.into()]).await?;
        let session = self.text("sessions", "session_key").await?;
        let rotated = token_text(&mut self.rng);
        let sql = "UPDATE sessions SET session_key = $2 WHERE session_key = $1";
        self.run(Kind::KeyChange, sql, &[session, rotated.into()]).await
    }

    /// Through NULL, and through a value that nobody has: both engines check row by row.
    async fn swap(&mut self) -> sqlx::Result<()> {
        let (one, other) = (self.user().await?, self.user().await?);
        let (one, other) = (one.min(other), one.max(other));
        let address = "SELECT email FROM users WHERE user_id = $1";
        let of_one = self.link.first::<String>(address, &[one.into()]).await?;
        let of_other = self.link.first::<String>(address, &[other.into()]).await?;
        let set = "UPDATE users SET email = $2 WHERE user_id = $1";
        let value = |email: Option<String>| email.map_or(Value::Nothing, Value::from);
        if one != other {
            self.link.run(set, &[one.into(), Value::Nothing]).await?;
            self.link.run(set, &[other.into(), value(of_one)]).await?;
            self.run(Kind::Swap, set, &[one.into(), value(of_other)]).await?;
        }
        let (one, other) = (self.token().await?, self.token().await?);
        let secret = "SELECT access_token FROM oauth_tokens WHERE token_id = $1";
        let of_one = self.link.first::<String>(secret, std::slice::from_ref(&one)).await?;
        let of_other = self.link.first::<String>(secret, std::slice::from_ref(&other)).await?;
        let Some((of_one, of_other)) = of_one.zip(of_other).filter(|(a, b)| a != b) else { return Ok(()) };
        let set = "UPDATE oauth_tokens SET access_token = $2 WHERE token_id = $1";
        let nobodys = token_text(&mut self.rng);
        self.link.run(set, &[one.clone(), nobodys.into()]).await?;
        self.link.run(set, &[other, of_one.into()]).await?;
        self.run(Kind::Swap, set, &[one, of_other.into()]).await
    }

    async fn replace(&mut self) -> sqlx::Result<()> {
        let dialect = self.link.dialect();
        let Value::Text(path) = self.path().await? else { return Ok(()) };
        let version = self.rng.random_range(2..1_000);
        let values = any_content(&mut self.rng, path, version);
        self.run(Kind::Replace, &dialect.replace("registry", &CONTENT, "path"), &values).await?;
        // The new token takes the secret of an old one, whose row is gone then, whatever its key.
        let (user, old) = (self.user().await?, self.token().await?);
        let secret = "SELECT access_token FROM oauth_tokens WHERE token_id = $1";
        let secret = self.link.first::<String>(secret, std::slice::from_ref(&old)).await?;
        let values = self.new_token(user, secret.map(Value::from));
        if dialect == Dialect::Postgres {
            self.run(Kind::Delete, "DELETE FROM oauth_tokens WHERE token_id = $1", &[old]).await?;
        }
        self.run(Kind::Replace, &dialect.replace("oauth_tokens", &TOKEN, "token_id"), &values).await
    }

    async fn bulk(&mut self) -> sqlx::Result<()> {
        let from = self.rng.random_range(1..=self.scale.users.cast_signed());
        let sql = "UPDATE users SET reputation = reputation * 0.99 WHERE user_id BETWEEN $1 AND $2";
        self.run(Kind::Update, sql, &[from.into(), (from + 300).into()]).await?;
        // MySQL takes the limit, and the table itself, only a level deeper.
        let sql = "DELETE FROM sessions WHERE session_key IN (SELECT session_key FROM (SELECT session_key \
                   FROM sessions WHERE session_key >= $1 ORDER BY session_key LIMIT 30) AS found)";
        let from = token_text(&mut self.rng);
        self.run(Kind::Delete, sql, &[from.into()]).await
    }

    async fn savepoint(&mut self) -> sqlx::Result<()> {
        let user = self.user().await?;
        let sql = "UPDATE users SET reputation = 0 WHERE user_id = $1";
        self.run(Kind::Update, sql, &[user.into()]).await?;
        self.link.run("SAVEPOINT maybe", &[]).await?;
        let sql = "DELETE FROM oauth_tokens WHERE user_id = $1";
        self.run(Kind::RolledBack, sql, &[user.into()]).await?;
        let sql = "UPDATE users SET email = NULL WHERE user_id = $1";
        self.run(Kind::RolledBack, sql, &[user.into()]).await?;
        self.link.run("ROLLBACK TO SAVEPOINT maybe", &[]).await?;
        self.link.run("RELEASE SAVEPOINT maybe", &[]).await?;
        self.audit("savepoint").await
    }
}
