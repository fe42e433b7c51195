//! Staging: rows and ledger, which change together or not at all.

use super::positions::{KEYS, Key, Keys, Rows, State, Watermark};

/// Whether a key is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parked {
    No,
    /// The key alone: a retry reads its row anew.
    Key,
    /// The row too, as it was when it was refused: what must not be done.
    Row(State),
}

/// The target database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    pub rows: Rows,
    /// None before the copy has started.
    pub watermark: Option<Watermark>,
    /// The chunks that are done: each key is a chunk.
    pub copied: Keys,
    pub parked: [Parked; KEYS],
}

impl Target {
    /// Before the copy.
    pub fn empty() -> Target {
        Target { rows: [None; KEYS], watermark: None, copied: [false; KEYS], parked: [Parked::No; KEYS] }
    }

    pub fn is_copied(&self) -> bool {
        self.copied == [true; KEYS]
    }

    /// The parked keys.
    pub fn parked(&self) -> Keys {
        self.parked.map(|parked| parked != Parked::No)
    }

    /// The one act: makes `keys` equal to `states`. All of them are lifted out and put back together,
    /// so values may move between them; one that collides with a row outside is parked by `park`, and
    /// its old row stays.
    pub fn make_equal(&mut self, keys: Keys, states: Rows, park: impl Fn(State) -> Parked) {
        let mut applied = keys;
        while let Some(refused) = self.refused(applied, states) {
            applied[refused] = false;
            self.parked[refused] = park(states[refused]);
        }
        for key in (0..KEYS).filter(|&key| applied[key]) {
            self.rows[key] = states[key];
            self.parked[key] = Parked::No;
        }
    }

    /// The last of `keys` whose new value another row has, or will have.
    fn refused(&self, keys: Keys, states: Rows) -> Option<Key> {
        let after = |key: Key| if keys[key] { states[key] } else { self.rows[key] };
        let taken = |key: Key| (0..KEYS).any(|other| other != key && after(other) == after(key));
        (0..KEYS).rev().find(|&key| keys[key] && states[key].is_some() && taken(key))
    }
}
