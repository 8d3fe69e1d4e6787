//! What the recent past of a group in one partition says about it, by the rules that Burrow made
//! known: not how far it is behind counts, but whether it gets on.
//!
//! Pure: samples in, a verdict out. Who looks at regular intervals gives each sample to a
//! [`Window`]. The rules, the first that applies:
//!
//! | | Verdict |
//! |---|---|
//! | records were thrown away unread, or soon will be | [`Verdict::Error`] |
//! | progress went back | [`Verdict::Rewind`] |
//! | nothing waited, at any time in the window | [`Verdict::Ok`] |
//! | the window is not full yet | [`Verdict::Ok`] |
//! | no progress for longer than there was any, and nobody is in the group | [`Verdict::Stopped`] |
//! | no progress for longer than there was any | [`Verdict::Stalled`] |
//! | progress, and what waits never becomes less | [`Verdict::Warning`] |
//! | progress, and now and then less waits | [`Verdict::Ok`] |

use std::collections::VecDeque;

/// Samples in a window. Ten, as in Burrow: few enough to tell soon, enough to see through one pause.
pub const WINDOW_SAMPLES: usize = 10;

/// A group in one partition at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at_ms: i64,
    /// The next offset that the group reads; `None` if it never committed.
    pub committed: Option<u64>,
    /// The first offset still kept.
    pub low: u64,
    /// The offset that the next record gets.
    pub end: u64,
    /// Records that wait.
    pub records: u64,
    /// Whether the oldest one that waits has lived through most of the time that it is kept.
    pub expires: bool,
    /// Whether anybody is in the group; `None` where the log does not know.
    pub has_members: Option<bool>,
}

/// How a group gets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It keeps up, or catches up.
    Ok,
    /// It works, and falls further and further behind.
    Warning,
    /// Records are lost to it, or soon will be.
    Error,
    /// Nobody is there to work.
    Stopped,
    /// Somebody is there and gets nothing done.
    Stalled,
    /// It was set back, or forgot where it was: it does again what was done.
    Rewind,
}

impl Verdict {
    /// All, in the order of [`Verdict::number`].
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Warning, Self::Error, Self::Stopped, Self::Stalled, Self::Rewind];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Stopped => "stopped",
            Self::Stalled => "stalled",
            Self::Rewind => "rewind",
        }
    }

    /// Its number in figures.
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// Whether nobody needs to look.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Ok)
    }
}

/// The latest samples of a group in one partition.
#[derive(Debug, Clone, Default)]
pub struct Window(VecDeque<Sample>);

impl Window {
    /// Takes the next sample, and forgets the oldest one when there are enough.
    pub fn push(&mut self, sample: Sample) {
        if self.0.len() == WINDOW_SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// The latest sample.
    pub fn latest(&self) -> Option<&Sample> {
        self.0.back()
    }

    /// The oldest sample that is remembered.
    pub fn earliest(&self) -> Option<&Sample> {
        self.0.front()
    }

    /// What the samples say.
    pub fn verdict(&self) -> Verdict {
        let Some(latest) = self.latest() else { return Verdict::Ok };
        if latest.expires || latest.committed.is_some_and(|committed| committed < latest.low) {
            return Verdict::Error;
        }
        if self.pairs().any(|(before, after)| is_back(before, after)) {
            return Verdict::Rewind;
        }
        if self.0.iter().any(|sample| sample.records == 0) || self.0.len() < WINDOW_SAMPLES {
            return Verdict::Ok;
        }
        if self.is_still(latest) {
            let is_deserted = latest.has_members == Some(false);
            return if is_deserted { Verdict::Stopped } else { Verdict::Stalled };
        }
        let is_less = |(before, after): (&Sample, &Sample)| after.records < before.records;
        if self.pairs().any(is_less) { Verdict::Ok } else { Verdict::Warning }
    }

    /// Whether nothing moved for longer than it moved before, as far back as the window goes.
    fn is_still(&self, latest: &Sample) -> bool {
        let moved = self.pairs().filter(|(before, after)| before.committed != after.committed);
        let Some(last_at_ms) = moved.map(|(_, after)| after.at_ms).last() else { return true };
        let first_at_ms = self.0.front().map_or(last_at_ms, |first| first.at_ms);
        latest.at_ms - last_at_ms > last_at_ms - first_at_ms
    }

    fn pairs(&self) -> impl Iterator<Item = (&Sample, &Sample)> {
        self.0.iter().zip(self.0.iter().skip(1))
    }
}

/// Progress never goes back by itself, and is never forgotten.
fn is_back(before: &Sample, after: &Sample) -> bool {
    match (before.committed, after.committed) {
        (Some(before), Some(after)) => after < before,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time between two samples of the traces.
    const EVERY_MS: i64 = 10_000;

    /// A trace: what is committed and where the partition ends, sample after sample.
    fn window(has_members: bool, trace: &[(u64, u64)]) -> Window {
        let mut window = Window::default();
        for (at_ms, (committed, end)) in (0..).step_by(EVERY_MS as usize).zip(trace) {
            window.push(Sample {
                at_ms,
                committed: Some(*committed),
                low: 0,
                end: *end,
                records: end - committed,
                expires: false,
                has_members: Some(has_members),
            });
        }
        window
    }

    /// As a worker with 8,000 commands a second coming in would look every ten seconds. Written by
    /// hand: ends that rise by about 80,000, and a worker that is a fraction of a second behind.
    const BUSY: [(u64, u64); 10] = [
        (80_212, 80_311),
        (160_199, 160_344),
        (240_240, 240_310),
        (320_110, 320_377),
        (400_301, 400_309),
        (480_333, 480_402),
        (560_184, 560_290),
        (640_320, 640_320),
        (720_200, 720_300),
        (800_145, 800_311),
    ];

    #[test]
    fn who_has_nothing_before_it_at_any_time_is_ok() {
        assert_eq!(window(true, &BUSY).verdict(), Verdict::Ok);
        assert_eq!(window(false, &[(5, 5); 10]).verdict(), Verdict::Ok, "nobody is needed");
    }

    #[test]
    fn who_catches_up_now_and_then_is_ok() {
        let trace: Vec<_> = BUSY.iter().map(|(committed, end)| (*committed, end + 50)).collect();
        assert_eq!(window(true, &trace).verdict(), Verdict::Ok);
        let catching_up: Vec<_> = (0..10).map(|at| (at * 90_000, 1_000_000 + at * 100)).collect();
        assert_eq!(window(true, &catching_up).verdict(), Verdict::Ok);
    }

    #[test]
    fn who_works_and_falls_back_all_the_time_is_warned_of() {
        let trace: Vec<_> = (0..10).map(|at| (at * 50_000, 100 + at * 80_000)).collect();
        assert_eq!(window(true, &trace).verdict(), Verdict::Warning);
        let even: Vec<_> = (0..10).map(|at| (at * 80_000, 100 + at * 80_000)).collect();
        assert_eq!(window(true, &even).verdict(), Verdict::Warning, "it never catches up");
    }

    #[test]
    fn who_does_not_move_is_stalled_or_was_stopped() {
        let trace: Vec<_> = (0..10).map(|at| (700, 800 + at * 80_000)).collect();
        assert_eq!(window(true, &trace).verdict(), Verdict::Stalled);
        assert_eq!(window(false, &trace).verdict(), Verdict::Stopped);
        // Where nobody comes, nothing comes to wait either.
        assert_eq!(window(true, &[(700, 800); 10]).verdict(), Verdict::Stalled);
    }

    #[test]
    fn a_pause_counts_once_it_is_longer_than_the_work_before_it() {
        let trace = |moving: u64| -> Vec<_> {
            (0..10).map(|at| (at.min(moving) * 80_000, 100 + at * 80_000)).collect()
        };
        assert_eq!(window(true, &trace(5)).verdict(), Verdict::Warning);
        assert_eq!(window(true, &trace(4)).verdict(), Verdict::Stalled);
        assert_eq!(window(false, &trace(4)).verdict(), Verdict::Stopped);
    }

    #[test]
    fn progress_that_goes_back_or_is_forgotten_is_a_rewind() {
        let mut trace = BUSY;
        trace[6] = (0, 560_290);
        assert_eq!(window(true, &trace).verdict(), Verdict::Rewind);
        let mut window = window(true, &BUSY);
        let forgotten = Sample { committed: None, ..*window.latest().unwrap() };
        window.push(forgotten);
        assert_eq!(window.verdict(), Verdict::Rewind);
    }

    #[test]
    fn records_that_are_lost_or_soon_will_be_are_an_error() {
        let window = window(true, &BUSY);
        let latest = *window.latest().unwrap();
        for wrong in [Sample { low: 900_000, ..latest }, Sample { expires: true, ..latest }] {
            let mut window = window.clone();
            window.push(wrong);
            assert_eq!(window.verdict(), Verdict::Error);
        }
    }

    #[test]
    fn little_is_known_before_the_window_is_full() {
        assert_eq!(Window::default().verdict(), Verdict::Ok);
        assert_eq!(window(true, &[(700, 800); 9]).verdict(), Verdict::Ok);
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let mut window = window(true, &[(700, 800); 10]);
        let latest = *window.latest().unwrap();
        window.push(Sample { committed: Some(800), records: 0, ..latest });
        assert_eq!(window.verdict(), Verdict::Ok);
        assert_eq!(window.0.len(), WINDOW_SAMPLES);
    }

    #[test]
    fn numbers_and_names_are_told_apart() {
        for (number, verdict) in (0..).zip(Verdict::ALL) {
            assert_eq!(verdict.number(), number);
        }
        let names: std::collections::BTreeSet<_> = Verdict::ALL.map(Verdict::as_str).into();
        assert_eq!(names.len(), Verdict::ALL.len());
    }
}
