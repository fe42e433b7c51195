//! What lies between two snapshots, as ranges of transaction numbers.
//!
//! "Visible in `extent`, not in `base`" asked row by row walks over everything that open transactions
//! have written so far. Asked as ranges, which leave those transactions out, each is one short index scan.

use crate::error::{Error, Result};
use crate::model::{Extent, Position, Snapshot, Watermark};

/// Log entries of the transactions `low..=high`; of `low` itself only those after `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) low: u64,
    pub(super) after: i64,
    pub(super) high: u64,
}

/// The snapshot of an extent of this engine.
pub(super) fn snapshot(extent: &Extent) -> Result<&Snapshot> {
    match extent {
        Extent::Postgres(snapshot) => Ok(snapshot),
        _ => Err(Error::failed("an extent of another engine was given to PostgreSQL")),
    }
}

/// Transaction and number of a position of this engine.
pub(super) fn place(position: &Position) -> Result<(u64, i64)> {
    match position {
        Position::Postgres(xid, id) => Ok((*xid, *id)),
        _ => Err(Error::failed("a position of another engine was given to PostgreSQL")),
    }
}

/// The delta that a batch from `watermark` reads when its transaction sees `now`: the one that is
/// being drained, else all up to now.
pub(super) fn delta(watermark: &Watermark, now: &Snapshot) -> Result<(Snapshot, Vec<Range>)> {
    let base = snapshot(watermark.base())?;
    match watermark.inside() {
        Some((extent, last)) => {
            let extent = snapshot(extent)?;
            Ok((extent.clone(), between(base, extent, Some(place(last)?))))
        }
        None => Ok((now.clone(), between(base, now, None))),
    }
}

/// Everything beyond `watermark` that `now` sees, whether or not a delta is being drained.
pub(super) fn beyond(watermark: &Watermark, now: &Snapshot) -> Result<Vec<Range>> {
    let (extent, mut ranges) = delta(watermark, now)?;
    if watermark.inside().is_some() {
        ranges.extend(between(&extent, now, None));
    }
    Ok(ranges)
}

/// The ranges of transactions that `extent` sees and `base` does not, ascending, without what lies at
/// or before `last`.
pub(super) fn between(base: &Snapshot, extent: &Snapshot, last: Option<(u64, i64)>) -> Vec<Range> {
    let whole = |low, high| Range { low, after: 0, high };
    let ended = base.open.iter().filter(|xid| extent.sees(**xid)).map(|xid| whole(*xid, *xid));
    let mut ranges: Vec<Range> = ended.collect();
    let mut low = base.xmax;
    for xid in extent.open.iter().copied().filter(|xid| *xid >= base.xmax).chain([extent.xmax]) {
        if low < xid {
            ranges.push(whole(low, xid - 1));
        }
        low = low.max(xid + 1);
    }
    match last {
        Some(last) => ranges.into_iter().filter_map(|range| range.beyond(last)).collect(),
        None => ranges,
    }
}

impl Range {
    fn beyond(self, (xid, id): (u64, i64)) -> Option<Range> {
        if self.high < xid {
            return None;
        }
        let begun = self.low <= xid;
        Some(if begun { Range { low: xid, after: id, high: self.high } } else { self })
    }
}

/// The ranges as rows `(low, after, high)` of a VALUES list; `None` when there is none.
pub(super) fn values(ranges: &[Range]) -> Option<String> {
    if ranges.is_empty() {
        return None;
    }
    let rows: Vec<String> = ranges
        .iter()
        .map(|r| format!("('{}'::xid8, {}::bigint, '{}'::xid8)", r.low, r.after, r.high))
        .collect();
    Some(rows.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        text.parse().unwrap()
    }

    fn holds(ranges: &[Range], xid: u64, id: i64) -> bool {
        ranges.iter().any(|r| (xid, id) > (r.low, r.after) && xid <= r.high)
    }

    #[test]
    fn ranges_hold_what_the_later_snapshot_sees_and_the_earlier_does_not() {
        let cases =
            [("10:14:10,12", "12:20:12,15,16"), ("5:5:", "5:9:5,6,7"), ("5:9:5", "9:9:"), ("3:3:", "3:3:")];
        for (base, extent) in cases.map(|(b, e)| (snapshot(b), snapshot(e))) {
            for last in [None, Some((11, 7)), Some((14, 3))] {
                let ranges = between(&base, &extent, last);
                for xid in 1..30 {
                    for id in [1, 7, 8] {
                        let due = extent.sees(xid) && !base.sees(xid) && last.is_none_or(|l| (xid, id) > l);
                        assert_eq!(holds(&ranges, xid, id), due, "{base} {extent} {last:?} {xid},{id}");
                    }
                }
            }
        }
    }

    #[test]
    fn open_transactions_are_left_out_of_the_ranges() {
        let ranges = between(&snapshot("10:10:"), &snapshot("12:20:12,15"), None);
        let bounds: Vec<_> = ranges.iter().map(|r| (r.low, r.high)).collect();
        assert_eq!(bounds, [(10, 11), (13, 14), (16, 19)]);
    }
}
