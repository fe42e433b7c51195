//! What was seen of a change log whose numbers don't come in the order of commits (InnoDB).

use serde::{Deserialize, Serialize};

/// Everything up to `high`, except the gaps: numbers that were given out and not seen. Whoever got them
/// is still at work, or was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// The highest number seen; 0 when there was none.
    pub high: u64,
    /// What tells the row at `high` from another one that gets its number after commits were lost.
    pub tag: String,
    /// Ranges below `high`, both ends inclusive, ascending, apart from each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<(u64, u64)>,
}

impl Seen {
    /// Whether `number` was seen.
    pub fn holds(&self, number: u64) -> bool {
        number <= self.high && !within(&self.gaps, number)
    }

    /// Whether everything that `other` saw was seen here.
    pub fn covers(&self, other: &Seen) -> bool {
        // Each gap here, and what lies above, must be unseen there, too.
        let below = |&(from, to): &(u64, u64)| (from, to.min(other.high));
        let gaps = self.gaps.iter().map(below).filter(|(from, to)| from <= to);
        let above = (self.high < other.high).then_some((self.high + 1, other.high));
        gaps.chain(above).all(|(from, to)| other.gaps.iter().any(|gap| gap.0 <= from && to <= gap.1))
    }

    /// This, with some more numbers seen: ascending, none of them seen before. What lies between those
    /// above `high` becomes gaps. `tag` is that of the last one.
    #[must_use]
    pub fn with(&self, numbers: &[u64], tag: &str) -> Seen {
        let above = numbers.partition_point(|number| *number <= self.high);
        let mut gaps = without(&self.gaps, &numbers[..above]);
        let mut next = self.high + 1;
        for number in &numbers[above..] {
            if *number > next {
                gaps.push((next, number - 1));
            }
            next = number + 1;
        }
        let tag = if above < numbers.len() { tag } else { &self.tag };
        Seen { high: next - 1, tag: tag.to_string(), gaps }
    }

    /// Everything that was seen here or there. The tag is that of the higher end.
    #[must_use]
    pub fn union(&self, other: &Seen) -> Seen {
        let (low, top) = if self.high <= other.high { (self, other) } else { (other, self) };
        // What lies above the lower end was not seen there.
        let unseen =
            low.gaps.iter().copied().chain((low.high < top.high).then_some((low.high + 1, top.high)));
        let unseen: Vec<(u64, u64)> = unseen.collect();
        let both = |gap: &(u64, u64)| {
            let gap = *gap;
            let part = move |u: &(u64, u64)| (u.0.max(gap.0), u.1.min(gap.1));
            unseen.iter().map(part).filter(|(from, to)| from <= to).collect::<Vec<_>>()
        };
        Seen { gaps: top.gaps.iter().flat_map(both).collect(), ..top.clone() }
    }

    /// This, without those gaps that `is_final` says nobody will fill any more.
    #[must_use]
    pub fn retire(&self, mut is_final: impl FnMut(&(u64, u64)) -> bool) -> Seen {
        let gaps = self.gaps.iter().filter(|gap| !is_final(gap)).copied().collect();
        Seen { gaps, ..self.clone() }
    }
}

fn within(ranges: &[(u64, u64)], number: u64) -> bool {
    let at = ranges.partition_point(|range| range.1 < number);
    ranges.get(at).is_some_and(|range| range.0 <= number)
}

/// The ranges without some numbers, which are ascending.
fn without(ranges: &[(u64, u64)], numbers: &[u64]) -> Vec<(u64, u64)> {
    let mut left = Vec::with_capacity(ranges.len());
    let mut numbers = numbers.iter().copied().peekable();
    for &(from, to) in ranges {
        let mut from = from;
        while let Some(number) = numbers.next_if(|number| *number <= to) {
            if number > from {
                left.push((from, number - 1));
            }
            from = from.max(number + 1);
        }
        if from <= to {
            left.push((from, to));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(high: u64, gaps: &[(u64, u64)]) -> Seen {
        Seen { high, tag: String::new(), gaps: gaps.to_vec() }
    }

    #[test]
    fn a_late_commit_is_not_covered() {
        let mark = seen(0, &[]).with(&[1, 2, 5, 9], "t9");
        assert_eq!(mark, Seen { tag: "t9".into(), ..seen(9, &[(3, 4), (6, 8)]) });
        assert!(mark.holds(2) && !mark.holds(3) && !mark.holds(4) && mark.holds(5) && !mark.holds(10));
        let mark = mark.with(&[4, 7], "");
        assert_eq!(mark, Seen { tag: "t9".into(), ..seen(9, &[(3, 3), (6, 6), (8, 8)]) });
        assert_eq!(mark.with(&[3, 6, 8, 10], "t10").gaps, []);
        assert_eq!(mark.with(&[3, 12], "t12").gaps, [(6, 6), (8, 8), (10, 11)]);
        assert_eq!(mark.retire(|gap| gap.0 == 6).gaps, [(3, 3), (8, 8)]);
    }

    #[test]
    fn covering_is_about_what_is_seen() {
        let some = seen(9, &[(3, 4)]);
        assert!(some.covers(&some) && some.covers(&seen(0, &[])) && seen(9, &[]).covers(&some));
        assert!(!some.covers(&seen(9, &[])), "3 and 4 are seen there");
        assert!(some.covers(&seen(5, &[(2, 4)])) && !some.covers(&seen(10, &[(3, 4)])));
        assert!(some.covers(&seen(12, &[(3, 4), (10, 12)])), "nothing above 9 is seen there");
        assert!(seen(9, &[(3, 4)]).covers(&seen(3, &[(3, 3)])), "4 is above what is seen there");
    }

    #[test]
    fn a_union_leaves_what_neither_saw() {
        let (one, other) = (seen(9, &[(2, 5), (8, 8)]), seen(20, &[(1, 3), (5, 12), (15, 16)]));
        let union = seen(20, &[(2, 3), (5, 5), (8, 8), (10, 12), (15, 16)]);
        assert_eq!((one.union(&other), other.union(&one)), (union.clone(), union.clone()));
        assert!(union.covers(&one) && union.covers(&other));
        assert_eq!(one.union(&one), one);
    }

    #[test]
    fn what_was_seen_is_the_same_whatever_the_order() {
        // Every way to see the numbers 1 to 5 in two steps gives what one step gives, once none is left.
        for first in 0_u64..32 {
            let pick = |wanted: bool| {
                (1..=5).filter(|n| (first >> (n - 1) & 1 == 1) == wanted).collect::<Vec<u64>>()
            };
            let steps = seen(0, &[]).with(&pick(true), "").with(&pick(false), "");
            assert_eq!((steps.high, steps.gaps), (5, vec![]), "{first:05b}");
        }
    }
}
