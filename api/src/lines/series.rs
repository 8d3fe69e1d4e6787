//! How many people came and went each minute, for the organiser's chart.

use std::collections::VecDeque;

use cityevents_domain::registration::RegistrationCause;
use cityevents_domain::time::Timestamp;

/// Minutes that are kept: a day. Older ones go, of events that people join all the time.
const MINUTES_MAX: usize = 1_440;
const MINUTE_MS: i64 = 60_000;

/// One minute in which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Minute {
    /// Its beginning.
    pub(crate) at: Timestamp,
    /// People who joined, with a place or waiting.
    pub(crate) joined: u32,
    /// People who left, or were removed.
    pub(crate) left: u32,
}

/// The minutes in which something happened, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Series {
    minutes: VecDeque<Minute>,
}

impl Series {
    /// Counts a change of a registration.
    pub(super) fn count(&mut self, cause: RegistrationCause, at: Timestamp) {
        let (joined, left) = match cause {
            RegistrationCause::Joined => (1, 0),
            RegistrationCause::Left | RegistrationCause::Kicked | RegistrationCause::Banned => {
                (0, 1)
            }
            RegistrationCause::Promoted
            | RegistrationCause::Lifted
            | RegistrationCause::EventCanceled
            | RegistrationCause::CheckedIn => return,
        };
        let begins = at.as_millis().div_euclid(MINUTE_MS) * MINUTE_MS;
        let begins = Timestamp::from_millis(begins);
        // Log time never goes back within a partition.
        if self.minutes.back().is_none_or(|last| last.at < begins) {
            if self.minutes.len() == MINUTES_MAX {
                self.minutes.pop_front();
            }
            self.minutes.push_back(Minute { at: begins, joined: 0, left: 0 });
        }
        if let Some(last) = self.minutes.back_mut() {
            last.joined += joined;
            last.left += left;
        }
    }

    /// All of them.
    pub(super) fn minutes(&self) -> Vec<Minute> {
        self.minutes.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted_by_minute_and_a_day_is_kept() {
        let mut series = Series::default();
        let at = |seconds: i64| Timestamp::from_millis(1_000 * seconds);
        for (cause, seconds) in [
            (RegistrationCause::Joined, 0),
            (RegistrationCause::Joined, 59),
            (RegistrationCause::Promoted, 59),
            (RegistrationCause::Left, 60),
        ] {
            series.count(cause, at(seconds));
        }
        let minute = |at, joined, left| Minute { at, joined, left };
        assert_eq!(series.minutes(), [minute(at(0), 2, 0), minute(at(60), 0, 1)]);
        for number in 0..2_000 {
            series.count(RegistrationCause::Joined, at(60 * (2 + number)));
        }
        assert_eq!(series.minutes().len(), MINUTES_MAX);
        assert_eq!(series.minutes().last(), Some(&minute(at(60 * 2_001), 1, 0)));
    }
}
