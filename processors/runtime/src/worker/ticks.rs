//! Ticks: what time does is in the log.
//!
//! When a deadline has passed by the wall clock, the worker appends a command that says so; the
//! decision looks at log time alone. One tick a deadline is outstanding; one that came too early by
//! log time is given again later and later.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::log::Headers;
use crate::topology::Due;

/// Header of a tick: its deadline, so that the worker knows its own.
pub(super) const TICK_HEADER: &str = "tick";
/// First wait before a deadline that is still there gets another tick.
const BACKOFF_MIN_MS: i64 = 200;
/// Longest such wait.
const BACKOFF_MAX_MS: i64 = 10_000;
/// A tick that was not decided for so long is taken for lost.
const LOST_AFTER_MS: i64 = 5_000;
/// Ticks outstanding at most.
pub(super) const OUTSTANDING_MAX: usize = 500;

#[derive(Debug)]
struct Outstanding {
    not_before_ms: i64,
    backoff_ms: i64,
}

/// The deadlines that have a tick on its way.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    outstanding: BTreeMap<(Bytes, i64), Outstanding>,
    /// Keys that had a step lately, and until when they wait for the next one. Not by deadline: a step
    /// makes the next one due, which is another deadline.
    resting: BTreeMap<Bytes, i64>,
    /// Between two steps of one long effect.
    step_every_ms: i64,
}

impl Ticks {
    /// A key that has something due after a step waits so long for the next one.
    pub(super) fn paced(step_every: Duration) -> Self {
        let step_every_ms = i64::try_from(step_every.as_millis()).unwrap_or(i64::MAX);
        Self { step_every_ms, ..Self::default() }
    }

    /// Of the deadlines that are due, those that get a tick now.
    pub(super) fn choose(&mut self, due: Vec<Due>, now_ms: i64) -> Vec<Due> {
        let still_due: std::collections::BTreeSet<_> =
            due.iter().map(|due| (due.key.clone(), due.deadline_ms)).collect();
        self.outstanding.retain(|deadline, _| still_due.contains(deadline));
        self.resting.retain(|_, until_ms| *until_ms > now_ms);
        let mut chosen = Vec::new();
        for due in due {
            if self.resting.contains_key(&due.key) {
                continue;
            }
            let outstanding = self
                .outstanding
                .entry((due.key.clone(), due.deadline_ms))
                .or_insert(Outstanding { not_before_ms: now_ms, backoff_ms: BACKOFF_MIN_MS });
            if outstanding.not_before_ms <= now_ms {
                outstanding.not_before_ms = now_ms + LOST_AFTER_MS;
                chosen.push(due);
            }
        }
        chosen
    }

    /// A tick was decided. One that made a step lets its key rest; a deadline that it came too early
    /// for waits before it gets another one.
    pub(super) fn decided(
        &mut self,
        key: Option<&Bytes>,
        headers: &Headers,
        changed: bool,
        now_ms: i64,
    ) {
        let deadline = headers.get(TICK_HEADER).and_then(|value| value.try_into().ok());
        let (Some(key), Some(deadline)) = (key, deadline) else {
            return;
        };
        let deadline = (key.clone(), i64::from_be_bytes(deadline));
        if changed {
            self.outstanding.remove(&deadline);
            self.resting.insert(key.clone(), now_ms.saturating_add(self.step_every_ms));
        } else if let Some(outstanding) = self.outstanding.get_mut(&deadline) {
            outstanding.not_before_ms = now_ms + outstanding.backoff_ms;
            outstanding.backoff_ms = (outstanding.backoff_ms * 2).min(BACKOFF_MAX_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::headers::HeadersBuilder;

    fn due_at(deadline_ms: i64) -> Vec<Due> {
        vec![Due {
            key: Bytes::from_static(b"key"),
            deadline_ms,
            command: Bytes::new(),
            headers: Headers::empty(),
        }]
    }

    fn due() -> Vec<Due> {
        due_at(10)
    }

    fn header_of(deadline_ms: i64) -> Headers {
        let mut headers = HeadersBuilder::default();
        headers.push(TICK_HEADER, &deadline_ms.to_be_bytes());
        headers.build()
    }

    fn header() -> Headers {
        header_of(10)
    }

    #[test]
    fn a_deadline_has_one_tick_outstanding() {
        let mut ticks = Ticks::default();
        assert_eq!(ticks.choose(due(), 10).len(), 1);
        assert_eq!(ticks.choose(due(), 11).len(), 0);
        assert_eq!(ticks.choose(due(), 10 + LOST_AFTER_MS).len(), 1);
    }

    #[test]
    fn a_tick_that_came_too_early_is_given_again_later_and_later() {
        let mut ticks = Ticks::default();
        let key = Bytes::from_static(b"key");
        let mut now_ms = 10;
        for backoff_ms in [200, 400, 800] {
            assert_eq!(ticks.choose(due(), now_ms).len(), 1);
            ticks.decided(Some(&key), &header(), false, now_ms);
            assert_eq!(ticks.choose(due(), now_ms + backoff_ms - 1).len(), 0);
            now_ms += backoff_ms;
        }
        ticks.choose(due(), now_ms);
        ticks.decided(Some(&key), &header(), true, now_ms);
        assert_eq!(ticks.choose(due(), now_ms).len(), 1, "the next step is due at once");
    }

    #[test]
    fn a_long_effect_goes_on_at_its_pace_and_other_deadlines_do_not_wait_for_it() {
        let mut ticks = Ticks::paced(Duration::from_millis(250));
        let key = Bytes::from_static(b"key");
        let (mut now_ms, mut deadline_ms) = (10, 10);
        for _ in 0..3 {
            assert_eq!(ticks.choose(due_at(deadline_ms), now_ms).len(), 1);
            ticks.decided(Some(&key), &header_of(deadline_ms), true, now_ms);
            // The next step is due since this one.
            deadline_ms = now_ms;
            let next = due_at(deadline_ms);
            assert_eq!(ticks.choose(next.clone(), now_ms + 249).len(), 0);
            let other = Due { key: Bytes::from_static(b"other"), ..next[0].clone() };
            assert_eq!(ticks.choose([next, vec![other]].concat(), now_ms + 249).len(), 1);
            now_ms += 250;
        }
        // Over, and later there again.
        assert_eq!(ticks.choose(Vec::new(), now_ms).len(), 0);
        assert_eq!(ticks.choose(due(), now_ms).len(), 1);
    }
}
