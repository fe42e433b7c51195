//! What can go wrong, and what is done about it: one place decides whether an error is retried,
//! stops one table, or ends the command, and with which exit code.

use std::fmt;

/// The result of nearly everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error means for the program. An error of unknown kind is [`Kind::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The settings or the command line are wrong: nothing was tried.
    Usage,
    /// A gate or a blocker refused: nothing was touched.
    Refused,
    /// Something is behind, parked or different.
    NotConverged,
    /// What is found belongs to another database, or to another version of highwater: trying again must not
    /// make it ours.
    Foreign,
    /// This side is no longer the source of the migration.
    Retired,
    /// A server can't be reached, went away, or is short of something that comes back: try again.
    Unavailable,
    /// Another process holds the lease, or moved what this one had read: start over from the ledger.
    Superseded,
    /// One table can't go on as it is; the others can.
    Table,
    /// What the target holds of one table can't be vouched for any more: it is copied anew.
    Doubtful,
    /// A row or statement was refused by the target for its content.
    Data,
    /// Anything else. What concerns a table stops that table with the server's own words; what concerns a
    /// connection or a database is tried again.
    Failed,
}

impl Kind {
    /// The label of `highwater_errors_total{kind}`.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Usage => "usage",
            Kind::Refused => "refused",
            Kind::NotConverged => "not_converged",
            Kind::Foreign => "foreign",
            Kind::Retired => "retired",
            Kind::Unavailable => "unavailable",
            Kind::Superseded => "superseded",
            Kind::Table => "table",
            Kind::Doubtful => "doubtful",
            Kind::Data => "data",
            Kind::Failed => "failed",
        }
    }
}

/// What a long-running task does after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Wait, connect anew, and go on from the ledger.
    Retry,
    /// Stop the table concerned, with the reason; look again from time to time.
    StopTable,
    /// Copy the table concerned anew.
    Reload,
    /// A person has to change something, here or on a server. A command ends. The daemon ends if it never
    /// worked; once it has worked this is an outage, and it tries again.
    Refuse,
    /// End: trying again is useless, or harmful.
    End,
}

/// An error: what happened, where, and what to do.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    what: String,
    remedy: Option<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that says `what` happened.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error { kind, what: what.into(), remedy: None, cause: None }
    }

    /// A [`Kind::Usage`] error.
    pub fn usage(what: impl Into<String>) -> Self {
        Error::new(Kind::Usage, what)
    }

    /// A [`Kind::Refused`] error.
    pub fn refused(what: impl Into<String>) -> Self {
        Error::new(Kind::Refused, what)
    }

    /// A [`Kind::Foreign`] error.
    pub fn foreign(what: impl Into<String>) -> Self {
        Error::new(Kind::Foreign, what)
    }

    /// A [`Kind::Superseded`] error.
    pub fn superseded(what: impl Into<String>) -> Self {
        Error::new(Kind::Superseded, what)
    }

    /// A [`Kind::Table`] error.
    pub fn table(what: impl Into<String>) -> Self {
        Error::new(Kind::Table, what)
    }

    /// A [`Kind::Failed`] error.
    pub fn failed(what: impl Into<String>) -> Self {
        Error::new(Kind::Failed, what)
    }

    /// Adds what the operator can do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Puts `place` ("source postgres://prod/identity", "table public.orders") before what happened.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// The same error, where a connection was being made: no table is to blame for it.
    #[must_use]
    pub fn of_connection(mut self) -> Self {
        self.kind = match self.kind {
            Kind::Table => Kind::Refused,
            Kind::Data | Kind::Failed => Kind::Unavailable,
            kind => kind,
        };
        self
    }

    /// What the error means.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do about it, if something is known.
    pub fn remedy_text(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// What happened with its causes, on one line, without the remedy.
    pub fn summary(&self) -> String {
        let mut text = self.what.clone();
        let mut cause = self.cause.as_deref().map(|c| c as &dyn std::error::Error);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// What a long-running task does after this error.
    pub fn policy(&self) -> Policy {
        match self.kind {
            Kind::Unavailable | Kind::Superseded => Policy::Retry,
            Kind::Table | Kind::Data | Kind::Failed => Policy::StopTable,
            Kind::Doubtful => Policy::Reload,
            Kind::Refused | Kind::NotConverged => Policy::Refuse,
            Kind::Usage | Kind::Foreign | Kind::Retired => Policy::End,
        }
    }

    /// Whether no work on the database can go on as it is: neither another table's nor after a pause.
    pub fn ends_work(&self) -> bool {
        matches!(self.policy(), Policy::Refuse | Policy::End)
    }

    /// Whether a command that does one thing and ends is over with this error.
    pub fn ends_command(&self) -> bool {
        self.ends_work() || self.kind == Kind::Failed
    }

    /// The exit code of a command that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Failed
            | Kind::Unavailable
            | Kind::Superseded
            | Kind::Table
            | Kind::Doubtful
            | Kind::Data => 1,
            Kind::Usage => 2,
            Kind::Refused | Kind::Foreign => 3,
            Kind::NotConverged => 4,
            Kind::Retired => 5,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  to do: {remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Adds a place to the error of a result.
pub trait At<T> {
    /// As [`Error::at`]; the place is only rendered when there is an error.
    fn at(self, place: impl fmt::Display) -> Result<T>;
}

impl<T> At<T> for Result<T> {
    fn at(self, place: impl fmt::Display) -> Result<T> {
        self.map_err(|e| e.at(place))
    }
}
