//! Positions, extents and watermarks: what of a change log is known to be in the target.
//!
//! An extent is what one reader could see of a change log at one moment. On PostgreSQL position order
//! is not commit order, so an extent is a snapshot. InnoDB shows no snapshots: there an extent is the
//! highest number seen and the gaps below it, where numbers were not seen. On SQLite there is one writer
//! at a time and an extent is the highest id, with the random tag of that row, so that a source which
//! lost commits and used their ids again is noticed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Seen;
use crate::error::{Error, Result};

/// A PostgreSQL snapshot, `xmin:xmax:xip,...`, as `pg_current_snapshot()` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Snapshot {
    /// Every transaction below has ended.
    pub xmin: u64,
    /// No transaction from here on had ended.
    pub xmax: u64,
    /// Those between that were open, ascending.
    pub open: Vec<u64>,
}

impl Snapshot {
    /// Whether what transaction `xid` wrote (if it committed) is visible.
    pub fn sees(&self, xid: u64) -> bool {
        xid < self.xmax && self.open.binary_search(&xid).is_err()
    }

    /// Whether everything that `other` sees is seen here.
    pub fn covers(&self, other: &Snapshot) -> bool {
        // A transaction unseen here must be unseen there: those open here, and all from xmax on.
        self.open.iter().all(|xid| !other.sees(*xid)) && (self.xmax..other.xmax).all(|xid| !other.sees(xid))
    }
}

impl FromStr for Snapshot {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fault = || Error::failed(format!("`{text}` is not a PostgreSQL snapshot"));
        let mut parts = text.splitn(3, ':');
        let mut number = || parts.next().and_then(|p| p.parse::<u64>().ok()).ok_or_else(fault);
        let (xmin, xmax) = (number()?, number()?);
        let mut open = parts
            .next()
            .unwrap_or_default()
            .split(',')
            .filter(|p| !p.is_empty())
            .map(|p| p.parse().map_err(|_| fault()))
            .collect::<Result<Vec<u64>>>()?;
        open.sort_unstable();
        Ok(Snapshot { xmin, xmax, open })
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open: Vec<String> = self.open.iter().map(u64::to_string).collect();
        write!(f, "{}:{}:{}", self.xmin, self.xmax, open.join(","))
    }
}

impl TryFrom<String> for Snapshot {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Snapshot> for String {
    fn from(snapshot: Snapshot) -> String {
        snapshot.to_string()
    }
}

/// The end of a SQLite change log: the highest id and the random tag that row carries (0 and 0 when
/// nothing was ever logged).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The highest id.
    pub id: i64,
    /// The tag of that row.
    pub tag: i64,
}

/// What one reader could see of a change log at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// A PostgreSQL snapshot.
    Postgres(Snapshot),
    /// What was seen of a log of MySQL or MariaDB.
    Mysql(Seen),
    /// The end of a SQLite log.
    Sqlite(Mark),
}

/// A place in a change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Transaction and sequence number of a PostgreSQL log row; ordered so inside one delta.
    Postgres(u64, i64),
    /// The number of a log row of MySQL or MariaDB.
    Mysql(u64),
    /// The id of a SQLite log row.
    Sqlite(i64),
}

impl Extent {
    /// Whether `position` lies inside.
    pub fn holds(&self, position: &Position) -> bool {
        match (self, position) {
            (Extent::Postgres(snapshot), Position::Postgres(xid, _)) => snapshot.sees(*xid),
            (Extent::Mysql(seen), Position::Mysql(number)) => seen.holds(*number),
            (Extent::Sqlite(mark), Position::Sqlite(id)) => *id <= mark.id,
            _ => false,
        }
    }

    /// Whether everything inside `other` is inside this. Extents of different engines never cover
    /// each other: unknown is a no.
    pub fn covers_extent(&self, other: &Extent) -> bool {
        match (self, other) {
            (Extent::Postgres(mine), Extent::Postgres(theirs)) => mine.covers(theirs),
            (Extent::Mysql(mine), Extent::Mysql(theirs)) => mine.covers(theirs),
            (Extent::Sqlite(mine), Extent::Sqlite(theirs)) => mine.id >= theirs.id,
            _ => false,
        }
    }

    /// Whether states read at this extent are newer than everything applied under `watermark`: the
    /// condition of every write to the target.
    pub fn covers(&self, watermark: &Watermark) -> bool {
        self.covers_extent(&watermark.base)
            && watermark.inside.as_ref().is_none_or(|inside| self.covers_extent(&inside.extent))
    }
}

/// The extent applied to one table. It only grows.
///
/// Between `base` and a later extent lies a delta. While a delta is being drained in several batches
/// its extent stays fixed, and `inside` says how far they have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    base: Extent,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inside: Option<Inside>,
}

/// A delta that has been drained in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Inside {
    extent: Extent,
    last: Position,
}

impl Watermark {
    /// Everything inside `extent` is applied.
    pub fn at(extent: Extent) -> Self {
        Watermark { base: extent, inside: None }
    }

    /// Besides what this watermark's base covers, the delta up to `extent` is applied as far as
    /// `last`, inclusive.
    #[must_use]
    pub fn partly(&self, extent: Extent, last: Position) -> Self {
        Watermark { base: self.base.clone(), inside: Some(Inside { extent, last }) }
    }

    /// The extent below which nothing is left to do.
    pub fn base(&self) -> &Extent {
        &self.base
    }

    /// The delta being drained, if one is: its fixed extent, and the last position applied.
    pub fn inside(&self) -> Option<(&Extent, &Position)> {
        self.inside.as_ref().map(|inside| (&inside.extent, &inside.last))
    }

    /// Whether the log entry at `position` is applied.
    pub fn covers(&self, position: &Position) -> bool {
        self.base.holds(position)
            || self.inside.as_ref().is_some_and(|i| i.extent.holds(position) && *position <= i.last)
    }

    /// Whether everything inside `extent` is applied.
    pub fn reaches(&self, extent: &Extent) -> bool {
        self.base.covers_extent(extent)
    }

    /// As the ledger keeps it.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the ledger.
    ///
    /// # Errors
    /// When the text is not a watermark.
    pub fn from_text(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|e| Error::failed(format!("`{text}` in the ledger is not a watermark")).because(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        text.parse().unwrap()
    }

    #[test]
    fn a_late_committer_is_not_covered() {
        let old = snapshot("10:14:10,12");
        assert!(
            old.sees(9) && !old.sees(10) && old.sees(11) && !old.sees(12) && old.sees(13) && !old.sees(14)
        );
        let mark = Watermark::at(Extent::Postgres(old));
        assert!(!mark.covers(&Position::Postgres(12, 1)));
        assert!(mark.covers(&Position::Postgres(13, 2)));
    }

    #[test]
    fn covering_is_about_what_is_seen() {
        assert!(snapshot("10:14:12").covers(&snapshot("10:14:10,12")));
        assert!(!snapshot("10:14:10,12").covers(&snapshot("10:14:12")));
        assert!(snapshot("10:12:").covers(&snapshot("10:14:12,13")), "a wider xmax that sees no more");
        assert!(!snapshot("10:12:").covers(&snapshot("10:14:12")));
    }

    #[test]
    fn a_delta_is_applied_as_far_as_its_last_position() {
        let mark = Watermark::at(Extent::Postgres(snapshot("10:10:")));
        let mark = mark.partly(Extent::Postgres(snapshot("12:14:12")), Position::Postgres(11, 5));
        assert!(mark.covers(&Position::Postgres(10, 9)));
        assert!(mark.covers(&Position::Postgres(11, 5)));
        assert!(!mark.covers(&Position::Postgres(11, 6)));
        assert!(!mark.covers(&Position::Postgres(12, 1)));
        assert!(!Extent::Postgres(snapshot("11:11:")).covers(&mark), "read before the delta was fixed");
        assert_eq!(Watermark::from_text(&mark.to_text()).unwrap(), mark);
    }
}
