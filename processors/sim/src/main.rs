//! Runs simulations: many seeds, or one with its story.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use cityevents_sim::{BrokenRule, RULES, Run, Tally, run};
use clap::Parser;

/// Failures that are printed one by one.
const FAILURES_SHOWN: usize = 10;
/// Seeds between two lines of progress.
const PROGRESS_EVERY: u64 = 1_000;

/// Many workers, one memory log, seeded faults, and an oracle that reads the log as an outsider.
///
/// Examples:
///   cityevents-sim --seeds 10000
///   cityevents-sim --seed 42
///   cityevents-sim --seeds 400 --without digest
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first one
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Run this one alone and tell its story
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// Leave a rule out: a negative control, in which seeds must fail
    #[arg(long, value_parser = rule, value_name = "RULE")]
    without: Option<BrokenRule>,
    /// How many seeds to run at once
    #[arg(long)]
    jobs: Option<usize>,
}

fn rule(name: &str) -> Result<BrokenRule, String> {
    RULES.into_iter().find(|(known, _)| *known == name).map(|(_, rule)| rule).ok_or_else(|| {
        let names: Vec<_> = RULES.iter().map(|(name, _)| *name).collect();
        format!("there is no such rule; there are {}", names.join(", "))
    })
}

#[derive(Default)]
struct Summary {
    tally: Tally,
    failures: BTreeMap<u64, (&'static str, String)>,
    done: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => tell(seed, arguments.without),
        None => run_many(&arguments),
    }
}

fn tell(seed: u64, without: Option<BrokenRule>) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let mut written = Ok(());
    let Run { trace, tally, verdict } = run(
        seed,
        without,
        Some(&mut |line: &str| {
            if written.is_ok() {
                written = writeln!(out, "{line}");
            }
        }),
    );
    written?;
    writeln!(out, "{tally:#?}\ntrace {:032x}", u128::from_be_bytes(trace))?;
    writeln!(out, "seed {seed}: {}", if verdict.is_ok() { "good" } else { "failed" })?;
    Ok(code(verdict.is_ok()))
}

fn run_many(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first.saturating_add(arguments.seeds);
    let summary = Mutex::new(Summary::default());
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or(available).max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let ran = run(seed, arguments.without, None);
                    keep(&summary, seed, ran);
                }
            });
        }
    });
    let summary = summary.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut out = std::io::stdout().lock();
    for (seed, (_, failure)) in summary.failures.iter().take(FAILURES_SHOWN) {
        let failure: String = failure.chars().take(600).collect();
        writeln!(out, "seed {seed}: {failure}")?;
    }
    let mut classes: BTreeMap<&str, u64> = BTreeMap::new();
    for (class, _) in summary.failures.values() {
        *classes.entry(class).or_default() += 1;
    }
    for (class, count) in classes {
        writeln!(out, "{count:>8}  {class}")?;
    }
    let seeds: Vec<_> = summary.failures.keys().take(40).collect();
    if !seeds.is_empty() {
        writeln!(out, "failed: {seeds:?}")?;
    }
    writeln!(out, "{:#?}", summary.tally)?;
    writeln!(
        out,
        "{} of {} seeds failed, {:.1} s",
        summary.failures.len(),
        arguments.seeds,
        began.elapsed().as_secs_f64()
    )?;
    Ok(code(summary.failures.is_empty()))
}

fn keep(summary: &Mutex<Summary>, seed: u64, ran: Run) {
    let mut summary = summary.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    summary.tally.add(&ran.tally);
    if let Err(failure) = ran.verdict {
        summary.failures.insert(seed, (failure.class(), failure.to_string()));
    }
    summary.done += 1;
    if summary.done.is_multiple_of(PROGRESS_EVERY) {
        // Progress is for people who wait; when it cannot be written nobody does.
        let _unheard = writeln!(
            std::io::stderr(),
            "{} seeds, {} failed",
            summary.done,
            summary.failures.len()
        );
    }
}

fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
