//! How much an event is talked about, as one number. Pure.
//!
//! `4·joins24h + 2·joins7d + 0.5·views24h + 3 / (1 + days until start)`, in millionths, so that it is
//! the same on every machine. Time is counted in whole hours and days: a join counts in the hour of
//! joining, and how many days are left is how many whole ones.

use cityevents_domain::time::Timestamp;

/// What 1 is in scores.
pub const SCORE_ONE: u64 = 1_000_000;

/// Each join of the last day counts so much.
const JOIN_24H: u64 = 4 * SCORE_ONE;
/// And, as each of the last week, so much.
const JOIN_7D: u64 = 2 * SCORE_ONE;
/// Each person who looked within the last day.
const VIEW_24H: u64 = SCORE_ONE / 2;
/// What an event that starts today has for that.
const NEARNESS: u64 = 3 * SCORE_ONE;

/// Milliseconds of an hour.
pub(super) const HOUR_MS: i64 = 3_600_000;
/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// What a score is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Who joined within 24 hours and is still there.
    pub joins_24h: u32,
    /// Who joined within 7 days and is still there.
    pub joins_7d: u32,
    /// Who looked at it within 24 hours.
    pub views_24h: u32,
}

impl Figures {
    /// The score at `now` of an event that starts at `start`.
    pub fn score(&self, start: Timestamp, now: Timestamp) -> u64 {
        JOIN_24H * u64::from(self.joins_24h)
            + JOIN_7D * u64::from(self.joins_7d)
            + VIEW_24H * u64::from(self.views_24h)
            + NEARNESS / (1 + days_until(start, now))
    }
}

/// Whole days from `now` until `start`; 0 once it has begun.
pub fn days_until(start: Timestamp, now: Timestamp) -> u64 {
    let left_ms = start.as_millis().saturating_sub(now.as_millis());
    u64::try_from(left_ms / DAY_MS).unwrap_or(0)
}

/// When one day fewer is left until `start`; `None` when none is.
pub(super) fn next_day(start: Timestamp, now: Timestamp) -> Option<i64> {
    let days = i64::try_from(days_until(start, now)).unwrap_or(i64::MAX);
    // As long as `days` are left whole, up to this very millisecond.
    let last_ms = start.as_millis().saturating_sub(days.saturating_mul(DAY_MS));
    (days > 0).then(|| last_ms.saturating_add(1))
}

/// The hour of a time, counted from 1970; times before are in the first one.
pub(super) fn hour_of(at: Timestamp) -> u32 {
    u32::try_from(at.as_millis().div_euclid(HOUR_MS).max(0)).unwrap_or(u32::MAX)
}

/// When an hour begins.
pub(super) fn begin_of_hour(hour: u32) -> i64 {
    i64::from(hour) * HOUR_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn every_part_of_a_score_counts_as_much_as_it_should() {
        let figures = Figures { joins_24h: 2, joins_7d: 5, views_24h: 3 };
        assert_eq!(figures.score(at(0), at(0)), 8_000_000 + 10_000_000 + 1_500_000 + 3_000_000);
        assert_eq!(Figures::default().score(at(2 * DAY_MS), at(0)), 1_000_000);
        assert_eq!(Figures::default().score(at(0), at(DAY_MS)), 3_000_000);
    }

    #[test]
    fn days_are_whole_and_the_next_one_is_gone_a_millisecond_later() {
        let start = at(10 * DAY_MS);
        for now in [0, 1, DAY_MS, DAY_MS + 1, 9 * DAY_MS, 9 * DAY_MS + 1, 10 * DAY_MS] {
            let before = days_until(start, at(now));
            match next_day(start, at(now)) {
                None => assert_eq!(before, 0),
                Some(next) => {
                    assert_eq!(days_until(start, at(next - 1)), before, "{now}");
                    assert_eq!(days_until(start, at(next)), before - 1, "{now}");
                }
            }
        }
        assert_eq!(days_until(at(i64::MIN), at(i64::MAX)), 0);
        assert!(next_day(at(i64::MAX), at(i64::MIN)).is_some());
    }
}
