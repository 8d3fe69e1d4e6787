//! The negative controls: without one rule the oracle must find something.

use cityevents_sim::{BrokenRule, Failure, run};

/// Runs seeds without a rule, and returns how many of them fail.
fn failing(without: BrokenRule, seeds: u64) -> u64 {
    let failures = (0..seeds).filter_map(|seed| {
        let failure = run(seed, Some(without), None).verdict.err()?;
        let told_apart = matches!(
            failure,
            Failure::Answer { .. } | Failure::Lost { .. } | Failure::Decision { .. }
        );
        assert!(told_apart, "seed {seed} fails for another reason: {failure}");
        Some(seed)
    });
    failures.count() as u64
}

#[test]
fn without_the_gap_check_nearly_every_history_is_wrong() {
    let wrong = failing(BrokenRule::GapCheck, 40);
    assert!(wrong >= 30, "{wrong} of 40");
}

#[test]
fn with_an_unchecked_first_acknowledgement_most_histories_are_wrong() {
    let wrong = failing(BrokenRule::FirstAcknowledgement, 40);
    assert!(wrong >= 25, "{wrong} of 40");
}

#[test]
fn without_closing_links_some_refusals_are_contradicted() {
    let wrong = failing(BrokenRule::ClosingLinks, 60);
    assert!(wrong >= 2, "{wrong} of 60");
}

#[test]
fn without_the_digest_two_histories_are_woven_into_one() {
    let wrong = failing(BrokenRule::Digest, 150);
    assert!(wrong >= 3, "{wrong} of 150");
}
