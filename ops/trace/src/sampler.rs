//! Which traces are kept: decided once, where a request comes in.

/// Decides whether a trace is kept. Everybody behind the edge follows the flag that it sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampler {
    /// Random numbers below it are kept.
    below: u128,
    follows_callers: bool,
}

impl Sampler {
    /// Keeps this part of all traces, from 0 to 1. One that `follows_callers` keeps what a caller
    /// keeps, and only that, when a caller says so at all.
    pub fn new(ratio: f64, follows_callers: bool) -> Self {
        // As a whole number it is exact at both ends.
        let below = (ratio.clamp(0.0, 1.0) * 2_f64.powi(64)) as u128;
        Self { below, follows_callers }
    }

    /// Keeps nothing but what a caller keeps, if callers are followed: without spans of our own.
    pub const fn only_callers(follows_callers: bool) -> Self {
        Self { below: 0, follows_callers }
    }

    /// Whether to keep a trace; `caller`: what the caller says of it, `random`: any number.
    pub fn keeps(&self, caller: Option<bool>, random: u64) -> bool {
        let followed = caller.filter(|_| self.follows_callers);
        followed.unwrap_or_else(|| u128::from(random) < self.below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_nothing_is_exact() {
        for random in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(Sampler::new(1.0, false).keeps(None, random));
            assert!(!Sampler::new(0.0, false).keeps(None, random));
        }
    }

    #[test]
    fn a_ratio_keeps_that_part_of_evenly_spread_numbers() {
        let step = u64::MAX / 10_000;
        let numbers = (0..10_000).map(|index| index * step + step / 2);
        let kept = numbers.filter(|number| Sampler::new(0.01, false).keeps(None, *number));
        assert_eq!(kept.count(), 100);
    }

    #[test]
    fn a_caller_counts_only_where_callers_are_followed() {
        let (followed, own) = (Sampler::new(0.0, true), Sampler::new(0.0, false));
        assert!(followed.keeps(Some(true), u64::MAX));
        assert!(!own.keeps(Some(true), u64::MAX));
        assert!(!Sampler::new(1.0, true).keeps(Some(false), 0));
        assert!(Sampler::new(1.0, false).keeps(Some(false), 0));
        assert!(Sampler::new(1.0, true).keeps(None, 0), "a caller that says nothing");
    }
}
