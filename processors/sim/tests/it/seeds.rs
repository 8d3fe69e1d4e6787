//! Histories with all rules.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use cityevents_processors::registration::STEP_PEOPLE;
use cityevents_sim::{Run, Tally, run};

/// Seeds in a run of the tests; `cityevents-sim --seeds 10000` runs many more.
const SEEDS: u64 = 200;

/// Runs them once, for all tests that look at them.
fn runs() -> &'static [Run] {
    static RUNS: OnceLock<Vec<Run>> = OnceLock::new();
    RUNS.get_or_init(|| (0..SEEDS).map(|seed| run(seed, None, None)).collect())
}

#[test]
fn no_answer_is_contradicted_and_nothing_is_lost() {
    for (seed, run) in runs().iter().enumerate() {
        if let Err(failure) = &run.verdict {
            panic!("seed {seed}: {failure}");
        }
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let mut traces = BTreeSet::new();
    for (seed, first) in (0..20).zip(runs()) {
        let second = run(seed, None, None);
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.tally, second.tally, "seed {seed}");
        traces.insert(first.trace);
    }
    assert_eq!(traces.len(), 20, "every seed has a story of its own");
}

#[test]
fn a_story_is_told_line_by_line_and_changes_nothing() {
    let mut lines = Vec::new();
    let told = run(7, None, Some(&mut |line: &str| lines.push(line.to_owned())));
    assert_eq!(told.trace, run(7, None, None).trace);
    assert!(lines.len() > 20, "{lines:?}");
}

#[test]
fn every_kind_of_trouble_happens() {
    let mut tally = Tally::default();
    for run in runs() {
        tally.add(&run.tally);
    }
    let unlinked = tally.seen.records - tally.seen.links;
    let troubles = [
        ("retries", tally.retries),
        ("crashes", tally.crashes),
        ("stalls", tally.stalls),
        ("rogues", tally.rogues),
        ("takeovers by a standby", tally.warm_takeovers),
        ("restores", tally.restores),
        ("restarts", tally.restarts),
        ("snapshots", tally.snapshots),
        ("harmed snapshots", tally.harmed_snapshots),
        ("unlinked records", unlinked),
        ("links by the other version", tally.seen.strict_links),
    ];
    for (name, count) in troubles {
        assert!(count > 100, "only {count} {name} in {SEEDS} seeds");
    }
    assert!(tally.seen.undecodable > 0, "nothing that cannot be read came");
    assert!(tally.seen.largest_fact >= STEP_PEOPLE.into(), "no effect was longer than a step");
    assert!(tally.seen.facts > tally.seen.links / 4, "mostly refusals");
}
