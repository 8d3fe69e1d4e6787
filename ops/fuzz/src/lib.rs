//! Fuzzing as ordinary tests: valid inputs, damaged on purpose, handed to a decoder.
//!
//! A target is an encoder of random values and a check. [`run`] makes inputs with the encoder,
//! damages them ([`mutate`]), hands them to the check for as long as the [`Budget`] says, and keeps
//! some of the damaged ones that were accepted to damage them further. A panic, or a promise that
//! the check finds broken, ends the run with a [`Failure`] that says how to see it again.
//!
//! The same seed gives the same inputs in the same order, as long as the target's checks depend on
//! the inputs alone; how many there are depends on the time. A process that dies (out of memory, or
//! of stack) tells no input, which is why the seed is told at the start.

pub mod hex;
pub mod mutate;
pub mod values;

use std::any::Any;
use std::fmt;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// Names the seed; without it each run draws another one.
pub const SEED_VARIABLE: &str = "CITYEVENTS_FUZZ_SEED";
/// Says how long each target runs.
pub const SECONDS_VARIABLE: &str = "CITYEVENTS_FUZZ_SECONDS";
/// How long each target runs where nothing is said.
const SECONDS_DEFAULT: f64 = 1.0;
/// Inputs that are damaged in turn.
const CORPUS_LENGTH: usize = 48;
/// One in so many rounds replaces an input of the corpus with a new valid one.
const RENEWED_ONE_IN: u32 = 64;
/// One in so many accepted inputs is kept to be damaged further.
const KEPT_ONE_IN: u32 = 8;

/// What a target does with an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It was read.
    Accepted,
    /// It was refused.
    Refused,
}

impl Seen {
    /// Whether it was read.
    pub const fn of(accepted: bool) -> Self {
        if accepted { Self::Accepted } else { Self::Refused }
    }
}

/// How long and from which seed a target runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Where all chance comes from.
    pub seed: u64,
    /// How long.
    pub time: Duration,
}

/// A variable of the environment cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value:?}; set it to {wanted}, or not at all")]
pub struct InvalidVariable {
    name: &'static str,
    value: String,
    wanted: &'static str,
}

impl Budget {
    /// As the environment says.
    ///
    /// # Errors
    /// When a variable is set to what it cannot be.
    pub fn of_environment() -> Result<Self, InvalidVariable> {
        Self::of(std::env::var(SEED_VARIABLE).ok(), std::env::var(SECONDS_VARIABLE).ok())
    }

    fn of(seed: Option<String>, seconds: Option<String>) -> Result<Self, InvalidVariable> {
        let seed = match seed {
            None => rand::random(),
            Some(value) => value.trim().parse().map_err(|_| InvalidVariable {
                name: SEED_VARIABLE,
                value,
                wanted: "a number from 0 to 18446744073709551615",
            })?,
        };
        let time = match seconds {
            None => Duration::from_secs_f64(SECONDS_DEFAULT),
            Some(value) => {
                let parsed = value.trim().parse().ok();
                let time = parsed.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                time.ok_or(InvalidVariable {
                    name: SECONDS_VARIABLE,
                    value,
                    wanted: "a number of seconds",
                })?
            }
        };
        Ok(Self { seed, time })
    }
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Inputs looked at.
    pub inputs: u64,
    /// Damaged inputs that were accepted all the same.
    pub accepted: u64,
    /// How long it took.
    pub took: Duration,
}

/// An input that a target must not answer as it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which target.
    pub target: String,
    /// From which seed.
    pub seed: u64,
    /// The how-manieth input.
    pub number: u64,
    /// What happened.
    pub what: String,
    /// The input.
    pub input: Vec<u8>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, seed, number, what, input } = self;
        let text = hex::to_text(input);
        write!(
            formatter,
            "{target}, input {number}: {what}\n  see it again: {SEED_VARIABLE}={seed}\n  \
             keep it as a test: {text}"
        )
    }
}

impl std::error::Error for Failure {}

/// Runs one target. `make` encodes something valid; `check` reads an input, and says what it found
/// wrong with what it read.
///
/// # Errors
/// The first input that made the check panic, or find something wrong, or refuse what is valid.
pub fn run(
    target: &str,
    budget: Budget,
    mut make: impl FnMut(&mut SmallRng) -> Vec<u8>,
    mut check: impl FnMut(&[u8]) -> Result<Seen, String>,
) -> Result<Report, Failure> {
    let Budget { seed, time } = budget;
    tell(&format!("{target}: {SEED_VARIABLE}={seed}"));
    let mut rng = SmallRng::seed_from_u64(seed);
    let started = Instant::now();
    let mut report = Report { inputs: 0, accepted: 0, took: Duration::ZERO };
    let mut look = |report: &mut Report, input: &[u8], is_valid: bool| {
        report.inputs += 1;
        let answer = catch_unwind(AssertUnwindSafe(|| check(input)));
        let what = match answer {
            Ok(Ok(Seen::Refused)) if is_valid => "a valid input was refused".to_owned(),
            Ok(Ok(seen)) => return Ok(seen),
            Ok(Err(what)) => what,
            Err(panic) => format!("it panicked: {}", message_of(&*panic)),
        };
        let (target, number, input) = (target.to_owned(), report.inputs, input.to_vec());
        Err(Failure { target, seed, number, what, input })
    };
    let mut corpus = Vec::with_capacity(CORPUS_LENGTH);
    for _ in 0..CORPUS_LENGTH {
        let input = make(&mut rng);
        look(&mut report, &input, true)?;
        corpus.push(input);
    }
    while started.elapsed() < time {
        let chosen = rng.random_range(0..CORPUS_LENGTH);
        if rng.random_ratio(1, RENEWED_ONE_IN) {
            let input = make(&mut rng);
            look(&mut report, &input, true)?;
            corpus[chosen] = input;
            continue;
        }
        let other = rng.random_range(0..CORPUS_LENGTH);
        let input = mutate::damaged(&mut rng, &corpus[chosen], &corpus[other]);
        if look(&mut report, &input, false)? == Seen::Accepted {
            report.accepted += 1;
            if rng.random_ratio(1, KEPT_ONE_IN) {
                corpus[chosen] = input;
            }
        }
    }
    report.took = started.elapsed();
    let per_second = report.inputs as f64 / report.took.as_secs_f64().max(f64::MIN_POSITIVE);
    let Report { inputs, accepted, .. } = report;
    tell(&format!("{target}: {inputs} inputs, {accepted} accepted, {per_second:.0} a second"));
    Ok(report)
}

/// Runs one input through a check, as [`run`] does: for inputs that once failed.
///
/// # Errors
/// When it panics or finds something wrong.
pub fn run_one(
    target: &str,
    input: &[u8],
    mut check: impl FnMut(&[u8]) -> Result<Seen, String>,
) -> Result<Seen, Failure> {
    let answer = catch_unwind(AssertUnwindSafe(|| check(input)));
    let what = match answer {
        Ok(Ok(seen)) => return Ok(seen),
        Ok(Err(what)) => what,
        Err(panic) => format!("it panicked: {}", message_of(&*panic)),
    };
    Err(Failure { target: target.to_owned(), seed: 0, number: 1, what, input: input.to_vec() })
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// A line past the test harness, which shows what tests print only when they fail, and nothing when
/// the process dies.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "fuzz {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { seed: 7, time: Duration::from_secs(20) };

    fn make(rng: &mut SmallRng) -> Vec<u8> {
        vec![rng.random_range(1..9); 12]
    }

    #[test]
    fn a_panic_is_found_and_the_same_seed_finds_it_again() {
        let check = |input: &[u8]| {
            assert!(!input.contains(&0xff), "met 255");
            Ok(Seen::of(input.len() == 12))
        };
        let first = run("toy", BUDGET, make, check).unwrap_err();
        assert_eq!(first.what, "it panicked: met 255");
        assert!(first.input.contains(&0xff));
        assert_eq!(run("toy", BUDGET, make, check).unwrap_err(), first);
        assert_eq!(run_one("toy", &first.input, check).unwrap_err().what, first.what);
        let told = first.to_string();
        assert!(told.contains("CITYEVENTS_FUZZ_SEED=7"), "{told}");
        assert!(told.contains(&hex::to_text(&first.input)), "{told}");
    }

    #[test]
    fn a_broken_promise_is_a_failure_and_so_is_a_valid_input_that_is_refused() {
        let broken = |input: &[u8]| match input.len() {
            12 => Ok(Seen::Accepted),
            other => Err(format!("{other} bytes")),
        };
        assert!(run("toy", BUDGET, make, broken).unwrap_err().what.ends_with("bytes"));
        let refused = run("toy", BUDGET, make, |_| Ok(Seen::Refused)).unwrap_err();
        assert_eq!((refused.what.as_str(), refused.number), ("a valid input was refused", 1));
    }

    #[test]
    fn a_variable_that_is_no_number_is_named() {
        let wrong = Budget::of(Some("x".into()), None).unwrap_err().to_string();
        assert!(wrong.contains(SEED_VARIABLE) && wrong.contains("\"x\""), "{wrong}");
        let wrong = Budget::of(None, Some("-1".into())).unwrap_err().to_string();
        assert!(wrong.contains(SECONDS_VARIABLE), "{wrong}");
        let budget = Budget::of(Some("5".into()), Some("0.5".into())).unwrap();
        assert_eq!(budget, Budget { seed: 5, time: Duration::from_millis(500) });
    }
}
