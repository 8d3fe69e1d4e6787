//! The oracle: reads log, tables and flat topics as an outsider when a fault is over, and compares
//! them with everything that anybody was told.

mod history;
mod rows;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_domain::fact::Outcome;
use cityevents_domain::ids::EventId;
use cityevents_kit::event_body::WireTime;
use cityevents_views::{OutcomeVerdict, Views};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde::Serialize;
use tokio::runtime::Runtime;

use self::history::History;
use self::rows::Fold;
use super::ask::{Caller, Told, Verdict};
use super::load::{Answers, Load};
use super::targets::Targets;
use crate::admin::Context;

/// Time for every command to be decided once the load is over.
const DECIDED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Of so many answers the same request is made again, and the row of the outcome is read.
const SAMPLE: usize = 300;
/// So many of the things that are wrong are told in words.
const EXAMPLES_MAX: usize = 5;

/// What is wrong, counted.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Findings {
    /// Told, and not in the log; taken with 202 and never decided; or never answered.
    pub(super) lost: u64,
    /// In twice.
    pub(super) doubled: u64,
    /// More people than places.
    pub(super) oversold: u64,
    /// Past the line.
    pub(super) overtaken: u64,
    /// Two places that do not say the same: answers, log, tables, flat topics.
    pub(super) contradictions: u64,
    /// Records of the facts that do not count, of all faults so far: what zombies wrote.
    pub(super) unlinked: u64,
    /// Some of what is wrong, in words.
    pub(super) examples: Vec<String>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub(super) const fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.oversold + self.overtaken + self.contradictions == 0
    }

    fn example(&mut self, text: String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text);
        }
    }

    fn lose(&mut self, text: String) {
        self.lost += 1;
        self.example(text);
    }

    pub(super) fn contradict(&mut self, text: String) {
        self.contradictions += 1;
        self.example(text);
    }
}

/// What the oracle looks at.
pub(super) struct Oracle<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) context: &'a Context,
    pub(super) views: &'a Views,
    pub(super) targets: &'a Arc<Targets>,
}

impl Oracle<'_> {
    /// Looks at everything that one load left behind.
    pub(super) fn check(
        &self,
        load: &Load,
        answers: &Answers,
        random: &mut StdRng,
    ) -> anyhow::Result<Findings> {
        let events: HashSet<EventId> = load.goals.iter().map(|goal| goal.id).collect();
        let sample: Vec<&Told> = answers.standing().collect();
        let sample: Vec<&Told> = sample.sample(random, SAMPLE).copied().collect();
        let mut findings = Findings::default();
        self.ask_again(load, &sample, &mut findings);
        let history = self.settled(&events)?;
        findings.doubled = history.doubled;
        findings.oversold = history.oversold;
        findings.overtaken = history.overtaken;
        findings.unlinked = history.unlinked;
        if history.undecided > 0 {
            findings.lost += history.undecided;
            findings.example(format!("{} commands are never decided", history.undecided));
        }
        for told in &answers.told {
            compare(told, &history, &mut findings);
        }
        rows::wait_for_tables(self.runtime, self.views, &history.ends)?;
        rows::wait_for_publisher(self.context, &history.ends)?;
        let fold = Fold::new(self.context)?;
        let states = fold.events(&events);
        if states.len() != events.len() {
            findings.contradict(format!("of {} events {} are open", events.len(), states.len()));
        }
        let mut differences = rows::compare_tables(self.runtime, self.views, &states)?;
        differences.extend(rows::compare_flat(self.context, &states)?);
        differences.into_iter().for_each(|difference| findings.contradict(difference));
        self.compare_outcomes(&sample, &history, &mut findings)?;
        Ok(findings)
    }

    /// What the log says once every command is decided.
    fn settled(&self, events: &HashSet<EventId>) -> anyhow::Result<History> {
        let deadline = Instant::now() + DECIDED_WITHIN;
        loop {
            let history = History::read(self.context, events)?;
            if history.undecided == 0 || Instant::now() >= deadline {
                return Ok(history);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The same request under the same key is told the same, to the letter.
    fn ask_again(&self, load: &Load, sample: &[&Told], findings: &mut Findings) {
        let mut caller = Caller::new(Arc::clone(self.targets), 0);
        for first in sample {
            let (ask, person) = (first.ask, &load.people[first.ask.person]);
            let path = load.goals[ask.event].path(ask.kind);
            let again = self.runtime.block_on(caller.decide(ask, person, path, &load.key(&ask)));
            if again.verdict != first.verdict {
                findings.contradict(format!(
                    "{} was told {:?}, and later {:?}",
                    first.command, first.verdict, again.verdict
                ));
            }
        }
    }

    /// The rows of outcomes say what the log says.
    fn compare_outcomes(
        &self,
        sample: &[&Told],
        history: &History,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        for told in sample {
            let now = self.context.source.clock.now_ms();
            let now = cityevents_domain::time::Timestamp::from_millis(now);
            let row = self.runtime.block_on(self.views.outcomes.outcome(told.command, now))?;
            let row = row.map(|row| row.verdict);
            let expected = history.accepted.get(&told.command).map(|accepted| &accepted.outcome);
            let found = match &row {
                Some(OutcomeVerdict::Accepted(outcome) | OutcomeVerdict::Unchanged(outcome)) => {
                    Some(outcome)
                }
                _ => None,
            };
            if found != expected {
                findings.contradict(format!(
                    "the row of command {} says {row:?}, the log {expected:?}",
                    told.command
                ));
            }
        }
        Ok(())
    }
}

/// One answer against the log.
fn compare(told: &Told, history: &History, findings: &mut Findings) {
    let command = &told.command;
    let accepted = history.accepted.get(command);
    let refused = history.refused.get(command).map(Vec::as_slice).unwrap_or_default();
    if told.was_pending && accepted.is_none() && refused.is_empty() {
        findings.lose(format!("{command} was taken with 202 and has no verdict in the log"));
        return;
    }
    match &told.verdict {
        Verdict::Nothing => {
            findings.lose(format!("{command} was not answered in {:?}", told.waited));
        }
        Verdict::Strange { answer } => {
            findings.contradict(format!("{command} was answered {answer}"));
        }
        Verdict::Stands { status, position, updated_at } => {
            let Some(accepted) = accepted else {
                findings.lose(format!("{command} was told {status:?}, and has no fact"));
                return;
            };
            let says_the_same = match &accepted.outcome {
                Outcome::Registration { status: of, position: at, updated_at: since, .. } => {
                    of == status
                        && at.map(u64::from) == *position
                        && WireTime(*since).to_string() == *updated_at
                }
                Outcome::Event { .. } | Outcome::Done { .. } => false,
            };
            let sees_it = told.token.is_none_or(|token| {
                token.partition == accepted.place.partition && token.offset >= accepted.place.offset
            });
            if !says_the_same || !sees_it {
                findings.contradict(format!(
                    "{command} was told {:?} with {:?}, the log says {accepted:?}",
                    told.verdict, told.token
                ));
            }
        }
        Verdict::Refused { code } => {
            let same: Vec<_> = refused.iter().filter(|refused| refused.code == code).collect();
            if same.is_empty() && accepted.is_none() {
                findings.lose(format!("{command} was refused with {code}, and has no verdict"));
                return;
            }
            // Only an attempt that came into the log later can have been carried out.
            let is_later = |accepted: &history::Accepted| {
                same.iter().any(|refused| refused.place.offset < accepted.place.offset)
            };
            if same.is_empty() || accepted.is_some_and(|accepted| !is_later(accepted)) {
                findings.contradict(format!(
                    "{command} was refused with {code}, the log says {accepted:?} and {refused:?}"
                ));
            }
        }
    }
}
