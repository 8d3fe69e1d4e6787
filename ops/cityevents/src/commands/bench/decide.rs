//! Pure decisions: one hot event, and a million events that live at once.
//!
//! Commands are made in blocks outside the measured time. Only `decide` and `apply` are measured, in
//! processor time of one thread, and beside them a null loop: the same commands, each one entry in
//! a hash map of the standard library.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::ensure;
use cityevents_domain::command::Command;
use cityevents_domain::event::Capacity;
use cityevents_domain::fact::Verdict;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::state::Partition;
use cityevents_domain::time::Timestamp;

use super::Plan;
use super::measure::{Goal, Row, thread_cpu};
use super::workload::{Mix, START_MS, event};

/// Commands made at once; they are decided while the next block does not exist yet.
const BLOCK_COMMANDS: usize = 8_192;
/// Commands of one pass over the hot event, which is full by then.
const HOT_COMMANDS: u64 = 1_300_000;
/// Events that live at once.
const EVENTS: u64 = 1_000_000;
/// Commands after which the million events have more registrations than they would ever have.
const EVENTS_COMMANDS_MAX: u64 = 12_000_000;
/// Commands in one millisecond of log time.
const COMMANDS_PER_MS: u64 = 100;

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let hot = hot_event(plan)?;
    let million = million_events(plan)?;
    let conditions = |counted: &Counted| {
        let percent = |part: u64| part as f64 * 100.0 / counted.commands.max(1) as f64;
        format!(
            "processor time of one thread; {} commands: {:.0} % facts, {:.0} % unchanged, {:.0} % \
             refused",
            counted.commands,
            percent(counted.facts),
            percent(counted.unchanged),
            percent(counted.refused)
        )
    };
    let million_rate = million.rate(million.spent);
    Ok(vec![
        Row::new("P1 decide and apply, one hot event", hot.rate(hot.spent), "M/s")
            .goal(Goal::AtLeast(5.0))
            .under(conditions(&hot)),
        Row::new("    null loop on the same commands", hot.rate(hot.null_spent), "M/s"),
        Row::new("P1 decide and apply, a million live events", million_rate, "M/s")
            .goal(Goal::AtLeast(2.0))
            .under(conditions(&million)),
        Row::new("    null loop on the same commands", million.rate(million.null_spent), "M/s"),
    ])
}

fn hot_event(plan: &Plan) -> anyhow::Result<Counted> {
    let pass = |counted: &mut Counted| {
        let mut state = State::default();
        let event = state.publish(Capacity::Limited(1_000_000), Some(100_000))?;
        state.run(&mut Mix::new(vec![event]), HOT_COMMANDS, counted);
        drop(state);
        null_loop(Mix::new(vec![event]), HOT_COMMANDS, counted);
        anyhow::Ok(())
    };
    let mut warm_up = Counted::default();
    while warm_up.spent < plan.warm_up {
        pass(&mut warm_up)?;
    }
    let mut counted = Counted::default();
    while counted.spent < plan.seconds {
        pass(&mut counted)?;
    }
    Ok(counted)
}

fn million_events(plan: &Plan) -> anyhow::Result<Counted> {
    let mut state = State::default();
    let events: Result<Vec<_>, _> =
        (0..EVENTS).map(|_| state.publish(Capacity::Limited(100), None)).collect();
    let events = events?;
    let mut mix = Mix::new(events.clone());
    let mut counted = Counted::default();
    while counted.spent < plan.seconds && counted.commands < EVENTS_COMMANDS_MAX {
        state.run(&mut mix, 64 * BLOCK_COMMANDS as u64, &mut counted);
    }
    drop(state);
    null_loop(Mix::new(events), counted.commands, &mut counted);
    Ok(counted)
}

/// The same commands, each one entry in a map. It has a pass of its own, so that it takes nothing
/// of the processor's caches from what is measured.
fn null_loop(mut mix: Mix, count: u64, counted: &mut Counted) {
    let mut map: HashMap<(EventId, UserId), u64> = HashMap::new();
    let mut commands = Vec::with_capacity(BLOCK_COMMANDS);
    let mut done = 0;
    while done < count {
        commands.clear();
        mix.fill(&mut commands, BLOCK_COMMANDS);
        let started = thread_cpu();
        for command in &commands {
            if let Some(user) = command.actor.user() {
                *map.entry((command.event, user)).or_default() += command.digest & 1;
            }
        }
        counted.null_spent += thread_cpu() - started;
        done += commands.len() as u64;
    }
}

/// What came of commands, and the time that they took.
#[derive(Default)]
struct Counted {
    commands: u64,
    facts: u64,
    unchanged: u64,
    refused: u64,
    spent: Duration,
    null_spent: Duration,
}

impl Counted {
    /// Millions a second.
    fn rate(&self, spent: Duration) -> f64 {
        self.commands as f64 / 1e6 / spent.as_secs_f64().max(1e-9)
    }
}

/// A partition and how far it is.
#[derive(Default)]
struct State {
    partition: Partition,
    decided: u64,
    events: u64,
}

impl State {
    fn now_ms(&self) -> i64 {
        START_MS + (self.decided / COMMANDS_PER_MS) as i64
    }

    fn step(&mut self, command: &Command, counted: &mut Counted) {
        let at = Timestamp::from_millis(self.now_ms());
        self.decided += 1;
        match self.partition.decide(command, at) {
            Verdict::Fact(fact) => {
                self.partition.apply(&fact);
                counted.facts += 1;
            }
            Verdict::Unchanged(_) => counted.unchanged += 1,
            Verdict::Refused(_) => counted.refused += 1,
        }
    }

    fn publish(&mut self, capacity: Capacity, line: Option<u32>) -> anyhow::Result<EventId> {
        self.events += 1;
        let (id, commands) = event(self.events, capacity, line, self.now_ms());
        let mut counted = Counted::default();
        for command in &commands {
            self.step(command, &mut counted);
        }
        ensure!(counted.facts == 2, "an event of the measurement was not made");
        Ok(id)
    }

    fn run(&mut self, mix: &mut Mix, count: u64, counted: &mut Counted) {
        let mut commands = Vec::with_capacity(BLOCK_COMMANDS);
        let until = counted.commands + count;
        while counted.commands < until {
            commands.clear();
            mix.fill(&mut commands, BLOCK_COMMANDS);
            let started = thread_cpu();
            for command in &commands {
                self.step(command, counted);
            }
            counted.spent += thread_cpu() - started;
            counted.commands += commands.len() as u64;
        }
    }
}
