//! Production: rows, transactions, the change log that its triggers write.

use super::positions::{Change, Extent, KEYS, Key, Keys, Position, Rows, State, Xid};

/// How many transactions production may run.
pub const WRITERS: usize = 3;

/// What one transaction of production is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Writer {
    Waiting(Change),
    /// It has written: it holds its rows, and a place in the order of positions.
    Open(Xid, Change),
    /// Committed, rolled back, or lost in a crash.
    Ended,
}

/// Committed data, as one snapshot sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Committed {
    pub rows: Rows,
    log: u16,
    pub ended: Extent,
    next: Xid,
    /// What the purges have removed from the log.
    pub purged_to: Extent,
    pub capture: bool,
}

impl Committed {
    /// The entries of the change log, by position.
    pub fn log(&self) -> impl Iterator<Item = Position> + use<> {
        let log = self.log;
        let all = (0..16).filter(move |bit| log & 1 << bit != 0);
        all.map(|bit| Position { xid: bit / 2, key: usize::from(bit % 2) })
    }

    fn append(&mut self, position: Position) {
        self.log |= 1 << (usize::from(position.xid) * KEYS + position.key);
    }

    fn remove(&mut self, position: Position) {
        self.log &= !(1 << (usize::from(position.xid) * KEYS + position.key));
    }

    /// Purges the log up to `extent`, and says so in the same transaction.
    pub fn purge(&mut self, extent: Extent) {
        for position in self.log().filter(|position| extent.has(position.xid)) {
            self.remove(position);
        }
        self.purged_to = self.purged_to.union(extent);
    }

    /// Whether [`Committed::purge`] would change anything.
    pub fn has_to_purge(&self, extent: Extent) -> bool {
        self.log().any(|position| extent.has(position.xid))
    }
}

/// The source server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// What every session sees.
    pub present: Committed,
    /// What a crash leaves of it: commits may be seen before they are on disk.
    pub durable: Committed,
    pub writers: [Writer; WRITERS],
}

impl Source {
    pub fn new(rows: Rows, writers: [Option<Change>; WRITERS], capture: bool) -> Source {
        let committed = Committed {
            rows,
            log: 0,
            ended: Extent::default(),
            next: 1,
            purged_to: Extent::default(),
            capture,
        };
        let writers = writers.map(|change| change.map_or(Writer::Ended, Writer::Waiting));
        Source { present: committed, durable: committed, writers }
    }

    /// Whether transaction `writer` can write now: no other holds its rows or wants its values.
    pub fn can_write(&self, change: Change) -> bool {
        let open = self.writers.iter().filter_map(|writer| match writer {
            Writer::Open(_, other) => Some(other),
            Writer::Waiting(_) | Writer::Ended => None,
        });
        let values = |change: &Change| change.0.map(Option::flatten);
        let free = open.clone().all(|other| {
            (0..KEYS).all(|key| other.0[key].is_none() || change.0[key].is_none())
                && !collide(values(other), values(&change), [true; KEYS])
        });
        let untouched = change.0.map(|state| state.is_none());
        free && !collide(self.present.rows, values(&change), untouched)
    }

    /// The transaction writes: it gets its number, and holds its rows.
    pub fn write(&mut self, writer: usize, change: Change) {
        self.writers[writer] = Writer::Open(self.present.next, change);
        self.present.next += 1;
    }

    /// Its rows and the entries that the triggers wrote become visible, together.
    pub fn commit(&mut self, writer: usize) {
        let Writer::Open(xid, change) = self.writers[writer] else { return };
        for key in 0..KEYS {
            if let Some(state) = change.0[key] {
                self.present.rows[key] = state;
                if self.present.capture {
                    self.present.append(Position { xid, key });
                }
            }
        }
        self.end(writer, xid);
    }

    /// Neither becomes visible; the number is used up.
    pub fn roll_back(&mut self, writer: usize) {
        if let Writer::Open(xid, _) = self.writers[writer] {
            self.end(writer, xid);
        }
    }

    fn end(&mut self, writer: usize, xid: Xid) {
        self.writers[writer] = Writer::Ended;
        self.present.ended = self.present.ended.with(xid);
    }

    /// Installing triggers locks the table: it waits for those who have written to it.
    pub fn can_install_capture(&self) -> bool {
        !self.present.capture && !self.has_open_writers()
    }

    pub fn install_capture(&mut self) {
        self.present.capture = true;
        self.flush();
    }

    /// Everything committed so far is on disk.
    pub fn flush(&mut self) {
        self.durable = self.present;
    }

    /// What is not on disk is gone, and its transaction numbers will be given again.
    pub fn crash(&mut self) {
        self.present = self.durable;
        for writer in &mut self.writers {
            if matches!(writer, Writer::Open(..)) {
                *writer = Writer::Ended;
            }
        }
    }

    pub fn has_open_writers(&self) -> bool {
        self.writers.iter().any(|writer| matches!(writer, Writer::Open(..)))
    }

    pub fn is_quiet(&self) -> bool {
        self.writers.iter().all(|&writer| writer == Writer::Ended)
    }
}

/// Whether a new value is already at another key, among the rows of `there`.
fn collide(rows: Rows, values: Rows, there: Keys) -> bool {
    let same = |at: Key, value: State| value.is_some() && there[at] && rows[at] == value;
    (0..KEYS).any(|key| (0..KEYS).any(|at| at != key && same(at, values[key])))
}
