//! Which offsets of a partition are done, when work on them ends in any order.
//!
//! Every record is charged when it is polled and completed when its effects last. What may be
//! committed is the frontier: everything below it is done. A record that failed is held, and nothing
//! completed later moves the frontier past it. One ledger lives as long as one assignment.

use std::collections::VecDeque;

/// Offsets in work of one partition.
#[derive(Debug, Clone)]
pub struct Offsets {
    /// The next offset that was not charged.
    ceiling: u64,
    /// Charged ones from the oldest that is not done, in order. Those that are done stay until
    /// everything before them is.
    charged: VecDeque<(u64, State)>,
    in_work: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    InWork,
    Done,
    Held,
}

/// The ledger was told something that cannot be: the caller is wrong, and its task has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OffsetError {
    /// Charged out of order.
    #[error("offset {offset} was charged behind {ceiling}")]
    OutOfOrder {
        /// Which.
        offset: u64,
        /// The lowest that could be.
        ceiling: u64,
    },
    /// Completed or held without being in work.
    #[error("offset {offset} is not in work")]
    NotInWork {
        /// Which.
        offset: u64,
    },
}

impl Offsets {
    /// Nothing is in work; the next offset to read is `next`.
    pub const fn new(next: u64) -> Self {
        Self { ceiling: next, charged: VecDeque::new(), in_work: 0 }
    }

    /// A record was polled. Offsets rise, with gaps.
    ///
    /// # Errors
    /// When it does not rise.
    pub fn charge(&mut self, offset: u64) -> Result<(), OffsetError> {
        if offset < self.ceiling {
            return Err(OffsetError::OutOfOrder { offset, ceiling: self.ceiling });
        }
        self.charged.push_back((offset, State::InWork));
        self.in_work += 1;
        self.ceiling = offset + 1;
        Ok(())
    }

    /// The effects of a record last.
    ///
    /// # Errors
    /// When it is not in work.
    pub fn complete(&mut self, offset: u64) -> Result<(), OffsetError> {
        self.end(offset, State::Done)?;
        while matches!(self.charged.front(), Some((_, State::Done))) {
            self.charged.pop_front();
        }
        Ok(())
    }

    /// A record failed: the frontier stays at it for good, and whoever comes next begins there.
    ///
    /// # Errors
    /// When it is not in work.
    pub fn hold(&mut self, offset: u64) -> Result<(), OffsetError> {
        self.end(offset, State::Held)
    }

    fn end(&mut self, offset: u64, state: State) -> Result<(), OffsetError> {
        let found = self.charged.binary_search_by_key(&offset, |(charged, _)| *charged);
        match found.ok().and_then(|at| self.charged.get_mut(at)) {
            Some((_, now @ State::InWork)) => *now = state,
            _ => return Err(OffsetError::NotInWork { offset }),
        }
        self.in_work -= 1;
        Ok(())
    }

    /// The next offset to read after a restart: everything below is done.
    pub fn frontier(&self) -> u64 {
        self.charged.front().map_or(self.ceiling, |(offset, _)| *offset)
    }

    /// How many are in work.
    pub const fn in_work(&self) -> usize {
        self.in_work
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        /// Charges the offset so far above the last.
        Charge(u8),
        Complete(u8),
        Hold(u8),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0..4_u8).prop_map(Op::Charge),
            5 => any::<u8>().prop_map(Op::Complete),
            1 => any::<u8>().prop_map(Op::Hold),
        ]
    }

    proptest! {
        /// Conservation: the frontier is the lowest offset that is not done, never falls, and never
        /// passes one that is held or in work.
        #[test]
        fn the_frontier_is_the_lowest_that_is_not_done(start in 0..9_u64, ops in vec(op(), 0..200)) {
            let mut offsets = Offsets::new(start);
            let mut model: BTreeMap<u64, State> = BTreeMap::new();
            let (mut next, mut before) = (start, start);
            for op in ops {
                let of = |pick: u8| {
                    let charged: Vec<_> = model.keys().copied().collect();
                    let at = usize::from(pick).checked_rem(charged.len());
                    at.map(|at| charged[at]).unwrap_or(next + 7)
                };
                match op {
                    Op::Charge(gap) => {
                        next += u64::from(gap);
                        prop_assert_eq!(offsets.charge(next), Ok(()));
                        model.insert(next, State::InWork);
                        next += 1;
                    }
                    Op::Complete(pick) | Op::Hold(pick) => {
                        let (offset, is_hold) = (of(pick), matches!(op, Op::Hold(_)));
                        let was = model.get(&offset).copied();
                        let done = match is_hold {
                            true => offsets.hold(offset),
                            false => offsets.complete(offset),
                        };
                        prop_assert_eq!(done.is_ok(), was == Some(State::InWork));
                        if done.is_ok() {
                            model.insert(offset, if is_hold { State::Held } else { State::Done });
                        }
                    }
                }
                let open = model.iter().find(|(_, state)| **state != State::Done);
                let frontier = open.map_or(next, |(offset, _)| *offset);
                prop_assert_eq!(offsets.frontier(), frontier);
                prop_assert!(frontier >= before);
                before = frontier;
                let in_work = model.values().filter(|state| **state == State::InWork).count();
                prop_assert_eq!(offsets.in_work(), in_work);
            }
        }
    }

    #[test]
    fn what_is_charged_twice_or_completed_twice_is_refused() {
        let mut offsets = Offsets::new(5);
        let late = OffsetError::OutOfOrder { offset: 4, ceiling: 5 };
        assert_eq!(offsets.charge(4), Err(late));
        offsets.charge(5).unwrap();
        assert_eq!(offsets.charge(5), Err(OffsetError::OutOfOrder { offset: 5, ceiling: 6 }));
        offsets.complete(5).unwrap();
        assert_eq!(offsets.complete(5), Err(OffsetError::NotInWork { offset: 5 }));
        assert_eq!(offsets.frontier(), 6);
    }
}
