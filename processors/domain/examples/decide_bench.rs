//! Measures what a decision costs: commands a second through `decide` and `apply` on one core,
//! bytes a registration, and how fast a state is written and read back.
//!
//! ```text
//! cargo run --release -p cityevents-domain --example decide_bench [hot|drop|million|restore ...]
//! ```
//!
//! Commands are made in blocks outside the measured time, from a fixed seed, so every run decides
//! the same commands. Only `decide` and `apply` are measured, in processor time of one thread.

#![allow(clippy::print_stdout, reason = "the figures are the output")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that went wrong must not print a figure"
)]
use std::time::Duration;

use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::event::{Capacity, EventFields};
use cityevents_domain::fact::Verdict;
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::state::Partition;
use cityevents_domain::time::Timestamp;

/// Commands made at once; they are decided while the next block does not exist yet.
const BLOCK_COMMANDS: usize = 8_192;
/// Commands of one burst, as a worker polls them.
const BURST_COMMANDS: usize = 64;
/// Log time of the first command: 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;
/// Commands in one millisecond of log time.
const COMMANDS_PER_MS: u64 = 100;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    println!(
        "{:<46} {:>9} {:>7} {:>7} {:>7} {:>7}",
        "one core", "M/s", "ns each", "facts", "same", "refused"
    );
    if is_wanted("hot") {
        hot_event();
    }
    if is_wanted("drop") {
        drop_of_a_thousand();
    }
    if is_wanted("million") {
        million_events();
    }
    if is_wanted("restore") {
        restore();
    }
}

/// One event with room for all: facts dominate.
fn hot_event() {
    let mut bench = Bench::new(1);
    let event = bench.event(Capacity::Limited(1_000_000), Some(100_000));
    let mut mix = Mix::new(vec![event]);
    bench.run("hot event, 1.3 M commands, first to last", 1_300_000, |commands| {
        mix.fill(commands, BLOCK_COMMANDS);
    });
    bench.print_memory();
}

/// A hundred thousand want a thousand places and do not give up: refusals dominate.
fn drop_of_a_thousand() {
    let mut bench = Bench::new(2);
    let event = bench.event(Capacity::Limited(1_000), None);
    let mut chance = Chance(7);
    let mut number = 0;
    bench.run("100 k people want 1 k places, 2 M commands", 2_000_000, |commands| {
        for _ in 0..BLOCK_COMMANDS {
            number += 1;
            let user = user_of(chance.below(100_000));
            let leaves = chance.below(100) < 5;
            let kind = if leaves { CommandKind::Leave } else { CommandKind::Join };
            commands.push(command(number, event, user, kind));
        }
    });
}

/// A million events that live at once, commands anywhere.
fn million_events() {
    let mut bench = Bench::new(3);
    let events: Vec<EventId> =
        (0..1_000_000).map(|_| bench.event(Capacity::Limited(100), None)).collect();
    let mut mix = Mix::new(events);
    bench.run("one million live events, 4 M commands", 4_000_000, |commands| {
        mix.fill(commands, BLOCK_COMMANDS);
    });
    bench.print_memory();
}

/// One state of 2.5 million registrations, written and read.
fn restore() {
    let mut bench = Bench::new(4);
    let mut left = 2_500_000_u64;
    let mut number = 0;
    for _ in 0..1_000 {
        let event = bench.event(Capacity::Limited(2_000), Some(1_000));
        let mut commands = Vec::new();
        for _ in 0..2_500.min(left) {
            number += 1;
            let user = user_of(number);
            commands.push(command(number, event, user, CommandKind::Join));
            left -= 1;
        }
        bench.decide_all(&commands);
    }
    // A day and an hour later nothing is remembered: a state of registrations alone.
    bench.decided += 25 * 3_600_000 * COMMANDS_PER_MS;
    let _ = bench.event(Capacity::Unlimited, None);
    let mut bytes = Vec::new();
    let started = cpu_time();
    bench.partition.encode(&mut bytes);
    let wrote = cpu_time() - started;
    let started = cpu_time();
    let restored = Partition::decode(&bytes).expect("a state that was just written");
    let read = cpu_time() - started;
    assert_eq!(restored.hash(), bench.partition.hash());
    let rate = |time: Duration| 2.5 / time.as_secs_f64();
    println!(
        "2.5 M registrations of 1,000 events: {} MB, written at {:.1} M/s, read at {:.1} M/s",
        bytes.len() / 1_000_000,
        rate(wrote),
        rate(read)
    );
}

/// Processor time of this thread: on a machine shared with others, what the work itself takes.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A partition under measurement.
struct Bench {
    partition: Partition,
    decided: u64,
    events: u64,
    seed: u64,
    facts: u64,
    unchanged: u64,
    refused: u64,
}

impl Bench {
    fn new(seed: u64) -> Self {
        Self {
            partition: Partition::default(),
            decided: 0,
            events: 0,
            seed,
            facts: 0,
            unchanged: 0,
            refused: 0,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(START_MS + (self.decided / COMMANDS_PER_MS) as i64)
    }

    fn step(&mut self, command: &Command) {
        let at = self.now();
        self.decided += 1;
        match self.partition.decide(command, at) {
            Verdict::Fact(fact) => {
                self.partition.apply(&fact);
                self.facts += 1;
            }
            Verdict::Unchanged(_) => self.unchanged += 1,
            Verdict::Refused(_) => self.refused += 1,
        }
    }

    fn decide_all(&mut self, commands: &[Command]) {
        for burst in commands.chunks(BURST_COMMANDS) {
            self.partition.warm(burst);
            for command in burst {
                self.step(command);
            }
        }
    }

    /// A published event.
    fn event(&mut self, capacity: Capacity, waitlist_limit: Option<u32>) -> EventId {
        self.events += 1;
        let number = (self.seed << 56) | (self.events << 1);
        let id = CommandId::from_bytes(scatter(number, 3));
        let event = EventId::of_create(&id);
        let now = self.now().as_millis();
        let fields = EventFields {
            title: "Open air cinema".into(),
            description: "A film under the stars; bring a blanket.".into(),
            city: "Leipzig".into(),
            category: "film".into(),
            location: "Clara-Zetkin-Park".into(),
            start_time: Timestamp::from_millis(now + 30 * 86_400_000),
            end_time: Timestamp::from_millis(now + 30 * 86_400_000 + 7_200_000),
            capacity,
            waitlist_limit,
            opens_at: None,
            cover_image_ids: Vec::new(),
        };
        let owner = UserId::from_bytes(scatter(self.events % 1_000, 9));
        let create = CommandKind::Create(Box::new(fields));
        for (number, kind) in [(number, create), (number | 1, CommandKind::Publish)] {
            let command = Command {
                id: CommandId::from_bytes(scatter(number, 3)),
                ..command(number, event, owner, kind)
            };
            let facts = self.facts;
            self.step(&command);
            assert_eq!(self.facts, facts + 1, "an event that was not made");
        }
        event
    }

    fn run(&mut self, name: &str, count: usize, mut fill: impl FnMut(&mut Vec<Command>)) {
        (self.facts, self.unchanged, self.refused) = (0, 0, 0);
        let mut commands = Vec::with_capacity(BLOCK_COMMANDS);
        let mut spent = Duration::ZERO;
        let mut done = 0;
        while done < count {
            commands.clear();
            fill(&mut commands);
            let started = cpu_time();
            self.decide_all(&commands);
            spent += cpu_time() - started;
            done += commands.len();
        }
        let percent = |part: u64| part as f64 * 100.0 / done as f64;
        println!(
            "{name:<46} {:>9.2} {:>7.0} {:>6.1}% {:>6.1}% {:>6.1}%",
            done as f64 / 1e6 / spent.as_secs_f64(),
            spent.as_nanos() as f64 / done as f64,
            percent(self.facts),
            percent(self.unchanged),
            percent(self.refused)
        );
    }

    fn print_memory(&self) {
        let memory = self.partition.memory();
        let each = |bytes: usize, count: u64| bytes as f64 / count.max(1) as f64;
        println!(
            "    {} registrations at {:.1} bytes, {} waiting at {:.1} more, {} remembered commands \
             at {:.1}",
            memory.registrations,
            each(memory.registration_bytes, memory.registrations),
            memory.waiting,
            each(memory.line_bytes, memory.waiting),
            self.partition.dedup().len(),
            each(self.partition.dedup().heap_bytes(), self.partition.dedup().len())
        );
    }
}

/// Eighty-four joins in a hundred commands, ten leaves, five repeated, one second join.
struct Mix {
    events: Vec<EventId>,
    chance: Chance,
    number: u64,
    /// Some of the people who joined, and what they asked.
    recent: Vec<Command>,
}

impl Mix {
    fn new(events: Vec<EventId>) -> Self {
        let recent = Vec::with_capacity(65_536);
        Self { events, chance: Chance(11), number: 0, recent }
    }

    fn fill(&mut self, commands: &mut Vec<Command>, count: usize) {
        for _ in 0..count {
            self.number += 1;
            let number = self.number;
            let dice = self.chance.below(100);
            let known = (self.recent.len() == self.recent.capacity())
                .then(|| self.chance.below(self.recent.len() as u64) as usize);
            let next = match known {
                Some(known) if dice < 10 => {
                    let joined = self.recent[known].clone();
                    let user = joined.actor.user().expect("people join");
                    command(number, joined.event, user, CommandKind::Leave)
                }
                Some(known) if dice < 15 => self.recent[known].clone(),
                Some(known) if dice < 16 => {
                    let joined = self.recent[known].clone();
                    let user = joined.actor.user().expect("people join");
                    command(number, joined.event, user, CommandKind::Join)
                }
                _ => {
                    let event = self.events[self.chance.below(self.events.len() as u64) as usize];
                    let joins = command(number, event, user_of(number), CommandKind::Join);
                    match known {
                        Some(known) => self.recent[known] = joins.clone(),
                        None => self.recent.push(joins.clone()),
                    }
                    joins
                }
            };
            commands.push(next);
        }
    }
}

fn command(number: u64, event: EventId, user: UserId, kind: CommandKind) -> Command {
    Command {
        id: CommandId::from_bytes(scatter(number, 1)),
        digest: number,
        event,
        actor: Actor::Person { user, role: Role::User },
        kind,
    }
}

fn user_of(number: u64) -> UserId {
    UserId::from_bytes(scatter(number, 2))
}

/// 16 bytes that look like chance.
fn scatter(number: u64, kind: u64) -> [u8; 16] {
    let mut chance = Chance(number.wrapping_mul(4).wrapping_add(kind));
    let (low, high) = (chance.next(), chance.next());
    (u128::from(low) | (u128::from(high) << 64)).to_le_bytes()
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
