//! When a gap of a log will not be filled any more.
//!
//! A number that was given out and not seen belongs to a transaction that was open when a higher number
//! was seen, or to one that was rolled back. So a gap is retired once everybody who was open at its
//! first sight has ended, and the log was looked at once more after that. Who is open is asked by the
//! best means that the privileges allow ([`Means`]); each has a trap, which stands beside it.
//!
//! Only a hint is kept here: after a restart of highwater each gap is seen for the first time again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::MySqlConnection;
use tokio::time::Instant;

use super::connect::{Flavour, Server};
use super::fault::{classify, is_denied, is_garbled};
use super::lock;
use super::session::{Session, flag, listed, number, records, text};
use super::source::Inner;
use super::value::literal;
use crate::engine::Record;
use crate::error::Result;

/// Between two looks at who is open.
const PAUSE: Duration = Duration::from_secs(1);

/// How often `innodb_trx` is asked again until it is new enough, and the pause between.
const ASKED: u32 = 4;
const CACHED: Duration = Duration::from_millis(110);

/// How it is found out who may still write a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// Who holds a metadata lock on the log (MySQL's performance_schema).
    MetadataLocks,
    /// Which transactions are open (PROCESS).
    Transactions,
    /// Whether the log can be locked at this moment: while somebody always writes it, it can't.
    TableLock,
}

impl Means {
    /// As plans show it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Means::MetadataLocks => "metadata locks",
            Means::Transactions => "open transactions",
            Means::TableLock => "a table lock",
        }
    }
}

/// Who was open at one moment, as texts that stay the same while the same transaction lasts.
type Holders = HashSet<String>;

/// Who may still fill the gaps of the logs.
#[derive(Default)]
pub(super) struct Retirement {
    means: Option<Means>,
    /// When the server was started: after a restart nobody is who they were.
    started: i64,
    logs: HashMap<String, Sights>,
    connection: Option<MySqlConnection>,
    /// The last transaction of that connection.
    own: u64,
}

/// The gaps of one log with those who were open when they were first seen.
#[derive(Default)]
struct Sights {
    looked: Option<Instant>,
    gaps: Vec<((u64, u64), Arc<Holders>)>,
}

/// Who is open now.
enum Open {
    /// These.
    Known(Arc<Holders>),
    /// Somebody, or it can't be told.
    Unknown,
}

impl Retirement {
    /// Whether the gaps of a log want another look.
    fn is_due(&self, log: &str) -> bool {
        self.logs.get(log).and_then(|sights| sights.looked).is_none_or(|at| at.elapsed() >= PAUSE)
    }

    /// Looks at who is open. Returns the ranges that nobody will fill any more: what a snapshot taken
    /// after this call does not see in them will never be there.
    ///
    /// # Errors
    /// When the server can't be asked.
    pub(super) async fn look(
        &mut self,
        source: &Inner,
        log: &str,
        gaps: &[(u64, u64)],
    ) -> Result<Vec<(u64, u64)>> {
        if gaps.is_empty() {
            self.logs.remove(log);
            return Ok(Vec::new());
        }
        if !self.is_due(log) {
            return Ok(Vec::new());
        }
        let open = self.open(source, log).await;
        if open.is_err() {
            self.connection = None;
        }
        let open = open?;
        let sights = self.logs.entry(log.to_string()).or_default();
        sights.looked = Some(Instant::now());
        Ok(sights.take(gaps, &open))
    }

    async fn open(&mut self, source: &Inner, log: &str) -> Result<Open> {
        let means = match self.means {
            Some(means) => means,
            None => *self.means.insert(means(&source.server).await?),
        };
        if self.connection.is_none() {
            self.connection = Some(source.server.apart().await?);
        }
        let Some(connection) = &mut self.connection else { return Ok(Open::Unknown) };
        let asked = async {
            let started = started(connection).await?;
            if (started - self.started).abs() > 2 {
                self.started = started;
                self.logs.clear();
            }
            match means {
                Means::MetadataLocks => metadata_locks(connection, source, log).await,
                Means::Transactions => transactions(connection, source, &mut self.own).await,
                Means::TableLock => Ok(Open::Unknown),
            }
        };
        let open = match asked.await {
            // Nobody can be told from this look; the next one may be luckier.
            Err(error) if is_garbled(&error) => Open::Unknown,
            open => open.map_err(|e| classify(e, &source.server.place))?,
        };
        match (open, means) {
            // One whose list is never new enough has this way left.
            (Open::Unknown, Means::TableLock | Means::Transactions) => self.table_lock(source, log).await,
            (open, _) => Ok(open),
        }
    }

    /// Whether the log can be locked: at that moment nobody was writing it.
    async fn table_lock(&self, source: &Inner, log: &str) -> Result<Open> {
        let can = lock::nobody_writes(&source.server, &[source.names.own(log)]).await?;
        Ok(if can { Open::Known(Arc::default()) } else { Open::Unknown })
    }
}

impl Sights {
    /// Which of the gaps are final, given who is open now; those seen for the first time are noted.
    fn take(&mut self, gaps: &[(u64, u64)], open: &Open) -> Vec<(u64, u64)> {
        let Open::Known(now) = open else { return Vec::new() };
        let within = |gap: &(u64, u64), sight: &(u64, u64)| sight.0 <= gap.0 && gap.1 <= sight.1;
        let known = std::mem::take(&mut self.gaps);
        let mut is_final = Vec::new();
        for gap in gaps {
            let at = known.partition_point(|(sight, _)| sight.1 < gap.0);
            let seen = known.get(at).filter(|(sight, _)| within(gap, sight));
            let holders = seen.map_or_else(|| now.clone(), |(_, holders)| holders.clone());
            if holders.is_disjoint(now) {
                is_final.push(*gap);
            }
            self.gaps.push((*gap, holders));
        }
        is_final
    }
}

/// The best means that the privileges allow.
///
/// # Errors
/// When the server can't be asked.
pub(super) async fn means(server: &Server) -> Result<Means> {
    let mut session = server.session().await?;
    let transactions = "SELECT 1 FROM information_schema.INNODB_TRX LIMIT 1";
    let transactions = may_see(&mut session, transactions).await?.is_some();
    let locks = "SELECT COUNT(*) = 1 AND @@performance_schema AND \
                 (SELECT COUNT(*) FROM performance_schema.metadata_locks WHERE OBJECT_SCHEMA = 'highwater') = 0 \
                 FROM performance_schema.setup_instruments \
                 WHERE NAME = 'wait/lock/metadata/sql/mdl' AND ENABLED = 'YES'";
    let metadata_locks = match server.flavour {
        Flavour::Mysql => may_see(&mut session, locks)
            .await?
            .is_some_and(|rows| rows.first().is_some_and(|row| flag(row, 0))),
        // MariaDB's table of that name has no owner's event, and is off by default.
        Flavour::Mariadb => false,
    };
    session.close();
    Ok(match (transactions, metadata_locks) {
        (true, true) => Means::MetadataLocks,
        (true, false) => Means::Transactions,
        (false, _) => Means::TableLock,
    })
}

/// The answer to a question; `None` where a privilege for it is missing, and nothing else: what is asked
/// here is asked once, and a list that can't be shown at this moment may be shown at the next.
async fn may_see(session: &mut Session, sql: &str) -> Result<Option<Vec<Record>>> {
    match records(session.connection()?, sql).await {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if is_denied(&error) => Ok(None),
        Err(error) if is_garbled(&error) => Ok(Some(Vec::new())),
        Err(error) => Err(classify(error, &session.place)),
    }
}

/// When the server was started, in seconds since 1970, give or take one.
async fn started(connection: &mut MySqlConnection) -> Result<i64, sqlx::Error> {
    let rows = records(connection, "SHOW GLOBAL STATUS LIKE 'Uptime'; SELECT UNIX_TIMESTAMP()").await?;
    let value =
        |row: usize, column| rows.get(row).and_then(|row| number::<f64>(row, column).ok()).unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    Ok((value(1, 0) - value(0, 1)) as i64)
}

/// Who holds a metadata lock on the log with which it could write it. Whoever has a number of the log
/// holds one until the transaction ends, XA transactions that were detached included. Those that a
/// restart has recovered hold none: while there is one of them, nobody is known to have ended.
async fn metadata_locks(
    connection: &mut MySqlConnection,
    source: &Inner,
    log: &str,
) -> Result<Open, sqlx::Error> {
    let sql = format!(
        "SELECT CONCAT(OWNER_THREAD_ID, '.', OWNER_EVENT_ID) FROM performance_schema.metadata_locks \
         WHERE OBJECT_TYPE = 'TABLE' AND OBJECT_SCHEMA = {} AND OBJECT_NAME = {} AND LOCK_TYPE NOT IN \
         ('SHARED', 'SHARED_READ', 'SHARED_HIGH_PRIO'); \
         SELECT (SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE TRX_MYSQL_THREAD_ID = 0), \
         (SELECT VARIABLE_VALUE FROM performance_schema.global_status \
          WHERE VARIABLE_NAME = 'Performance_schema_metadata_lock_lost')",
        literal(&source.names.capture),
        literal(log)
    );
    let Some(mut rows) = listed(connection, &sql).await? else { return Ok(Open::Unknown) };
    let sure = rows.pop().is_some_and(|row| (0..2).all(|i| text(&row, i).is_ok_and(|n| n == "0")));
    let holders = rows.iter().filter_map(|row| text(row, 0).ok().map(str::to_string)).collect();
    Ok(if sure { Open::Known(Arc::new(holders)) } else { Open::Unknown })
}

/// Which transactions are open. The list that the server shows may be 100 ms old, and older while others
/// ask for it all the time: so we begin a transaction, and believe only a list that shows it. One that
/// has only read so far has no number yet; session and start stay the same. A prepared XA transaction
/// without a session could be anybody: while there is one, nobody is known to have ended.
async fn transactions(
    connection: &mut MySqlConnection,
    source: &Inner,
    own: &mut u64,
) -> Result<Open, sqlx::Error> {
    let (heartbeat, database) = (source.names.own("heartbeat"), source.names.database_literal());
    let begin =
        format!("START TRANSACTION; UPDATE {heartbeat} SET beat = beat + 1 WHERE database_name = {database}");
    records(connection, begin).await?;
    let open = shown(connection, own).await;
    records(connection, "ROLLBACK").await?;
    open
}

/// The list, once it shows the session's own transaction, a later one than `own`.
async fn shown(connection: &mut MySqlConnection, own: &mut u64) -> Result<Open, sqlx::Error> {
    let list = "SELECT TRX_MYSQL_THREAD_ID, TRX_STARTED, TRX_MYSQL_THREAD_ID = CONNECTION_ID(), TRX_ID \
                FROM information_schema.INNODB_TRX";
    for _ in 0..ASKED {
        let Some(rows) = listed(connection, list).await? else { break };
        let (mine, others): (Vec<&Record>, Vec<&Record>) = rows.iter().partition(|row| flag(row, 2));
        let number = mine.first().and_then(|row| number::<u64>(row, 3).ok()).unwrap_or(0);
        if number > *own {
            *own = number;
            if others.iter().any(|row| text(row, 0).is_ok_and(|session| session == "0")) {
                break;
            }
            return Ok(Open::Known(Arc::new(others.iter().map(|row| identity(row)).collect())));
        }
        tokio::time::sleep(CACHED).await;
    }
    Ok(Open::Unknown)
}

fn identity(row: &Record) -> String {
    format!("{} since {}", text(row, 0).unwrap_or_default(), text(row, 1).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::model::Seen;

    fn open(who: &[&str]) -> Open {
        Open::Known(Arc::new(who.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn a_gap_is_final_when_everybody_of_its_first_sight_has_ended() {
        let mut sights = Sights::default();
        assert_eq!(sights.take(&[(3, 9)], &open(&["a", "b"])), []);
        assert_eq!(sights.take(&[(3, 9), (12, 12)], &open(&["b", "c"])), [], "b is still there");
        // Part of the first gap was filled. Those who came after its first sight don't matter to it.
        assert_eq!(sights.take(&[(3, 4), (7, 9), (12, 12)], &open(&["c"])), [(3, 4), (7, 9)]);
        assert_eq!(sights.take(&[(12, 12)], &Open::Unknown), []);
        assert_eq!(sights.take(&[(12, 12)], &open(&[])), [(12, 12)]);
    }

    #[test]
    fn nobody_open_at_the_first_sight_makes_a_gap_final_at_once() {
        assert_eq!(Sights::default().take(&[(1, 2)], &open(&[])), [(1, 2)]);
    }

    /// What a reader of random work leaves out.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Guard {
        None,
        /// A gap is final as soon as it is seen.
        FirstSight,
        /// Who is open is asked after the snapshot is taken.
        OnceMore,
    }

    /// Writers that take numbers, commit and roll back in any order, and a reader. Returns whether all
    /// that was committed was read.
    fn reads_everything(seed: u64, without: Guard) -> bool {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut next, mut writers): (u64, Vec<(u64, Vec<u64>)>) = (1, Vec::new());
        let (mut committed, mut read) = (BTreeSet::new(), BTreeSet::new());
        let (mut mark, mut sights) = (Seen::default(), Sights::default());
        let now = |writers: &[(u64, Vec<u64>)]| {
            Open::Known(Arc::new(writers.iter().map(|w| w.0.to_string()).collect()))
        };
        let mut work =
            |rng: &mut StdRng, writers: &mut Vec<(u64, Vec<u64>)>, committed: &mut BTreeSet<u64>| {
                let at = rng.random_range(0..=writers.len());
                match rng.random_range(0..4) {
                    0 if at < writers.len() => committed.extend(writers.swap_remove(at).1),
                    1 if at < writers.len() => drop(writers.swap_remove(at)),
                    _ => {
                        if at == writers.len() {
                            writers.push((next, Vec::new()));
                        }
                        let taken = rng.random_range(1..4);
                        writers[at].1.extend(next..next + taken);
                        next += taken;
                    }
                }
            };
        for step in 0..60 {
            let last = step >= 50;
            (0..if last { 0 } else { 3 }).for_each(|_| work(&mut rng, &mut writers, &mut committed));
            if last {
                writers.drain(..).for_each(|(_, numbers)| committed.extend(numbers));
            }
            let snapshot = committed.clone();
            let open = now(&writers);
            if !last && rng.random_bool(0.5) {
                work(&mut rng, &mut writers, &mut committed);
            }
            let (visible, retired) = match without {
                Guard::None => (committed.clone(), sights.take(&mark.gaps, &open)),
                Guard::FirstSight => (committed.clone(), mark.gaps.clone()),
                Guard::OnceMore => (snapshot, sights.take(&mark.gaps, &now(&writers))),
            };
            let numbers: Vec<u64> = visible.into_iter().filter(|number| !mark.holds(*number)).collect();
            read.extend(numbers.iter().copied());
            let within = |gap: &(u64, u64)| retired.iter().any(|r| r.0 <= gap.0 && gap.1 <= r.1);
            mark = mark.with(&numbers, "").retire(within);
        }
        assert!(without != Guard::None || mark.gaps.is_empty(), "rolled-back numbers are forgotten");
        read == committed
    }

    #[test]
    fn whatever_writers_do_nothing_is_passed_unread() {
        for seed in 0..2_000 {
            assert!(reads_everything(seed, Guard::None), "seed {seed}");
        }
    }

    #[test]
    fn without_its_guards_the_reader_loses_rows() {
        for without in [Guard::FirstSight, Guard::OnceMore] {
            assert!((0..2_000).any(|seed| !reads_everything(seed, without)), "{without:?}");
        }
    }
}
