//! Keys and rows, places in the change log, extents, watermarks.

/// The number of keys, and of rows that a table can have.
pub const KEYS: usize = 2;

/// A key: an index into [`Rows`].
pub type Key = usize;
pub const A: Key = 0;
pub const B: Key = 1;

/// The present state of a key: its unique value, or absent.
pub type State = Option<u8>;

/// A table.
pub type Rows = [State; KEYS];

/// A set of keys.
pub type Keys = [bool; KEYS];

/// A transaction number: given at its first write, hence before it is known when it commits.
pub type Xid = u8;

/// What a transaction of production does, in one statement: new states of the keys it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Change(pub [Option<State>; KEYS]);

impl Change {
    /// Inserts or updates one row.
    pub const fn set(key: Key, value: u8) -> Change {
        let mut change = [None; KEYS];
        change[key] = Some(Some(value));
        Change(change)
    }

    /// Deletes one row.
    pub const fn delete(key: Key) -> Change {
        let mut change = [None; KEYS];
        change[key] = Some(None);
        Change(change)
    }

    /// Sets both rows at once.
    pub const fn both(a: u8, b: u8) -> Change {
        Change([Some(Some(a)), Some(Some(b))])
    }
}

/// A place in the change log: positions are ordered by transaction number, which is not the order
/// of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    pub xid: Xid,
    pub key: Key,
}

/// What one reader could see: the set of transactions that had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Extent(u8);

impl Extent {
    /// With one more transaction in it.
    #[must_use]
    pub fn with(self, xid: Xid) -> Extent {
        Extent(self.0 | 1 << xid)
    }

    /// All that is in either.
    #[must_use]
    pub fn union(self, other: Extent) -> Extent {
        Extent(self.0 | other.0)
    }

    /// All transactions up to the highest in it: what a reader believes to have seen who takes a
    /// maximum for an extent.
    #[must_use]
    pub fn filled_up(self) -> Extent {
        Extent((1_u8 << (8 - self.0.leading_zeros())).wrapping_sub(1))
    }

    pub fn has(self, xid: Xid) -> bool {
        self.0 & 1 << xid != 0
    }

    /// Whether everything in `other` is in this one too.
    pub fn includes(self, other: Extent) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether this extent has seen all that `watermark` says is applied.
    pub fn covers(self, watermark: &Watermark) -> bool {
        self.includes(if watermark.last.is_some() { watermark.new } else { watermark.old })
    }
}

/// The extent applied to the table: all of `old`, and of what `new` has beyond it the entries up to
/// `last`. `new` stays until its entries are drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Watermark {
    pub old: Extent,
    pub new: Extent,
    pub last: Option<Position>,
}

impl Watermark {
    /// All of `extent`, nothing beyond.
    pub fn at(extent: Extent) -> Watermark {
        Watermark { old: extent, new: extent, last: None }
    }

    /// Whether the entry at `position` is applied.
    pub fn covers(&self, position: Position) -> bool {
        self.old.has(position.xid) || self.new.has(position.xid) && Some(position) <= self.last
    }
}
