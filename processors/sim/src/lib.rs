//! Many workers, one memory log, one clock, seeded faults, an oracle.
//!
//! One seed is one history: a single thread steps workers, clients, groups and the log in an order
//! drawn from the seed, loses and delays and repeats what is under way, crashes and forgets
//! workers, lets two programs that disagree own the same partition, and damages snapshots. Then the
//! faults end, everything comes to rest, and the [`oracle`] reads the raw log as an outsider.
//!
//! With a [`BrokenRule`] one rule of the chain is left out: a negative control. If the oracle finds
//! nothing then, it is the oracle that is broken.

mod clients;
mod draw;
mod failure;
mod node;
pub mod oracle;
mod patience;
mod plan;
mod program;
mod snapshots;
mod topics;
mod trace;
mod world;

pub use cityevents_runtime::chain::BrokenRule;

pub use self::failure::Failure;
pub use self::world::Tally;

/// All rules that a negative control can leave out, with the names of the command line.
pub const RULES: [(&str, BrokenRule); 4] = [
    ("gap-check", BrokenRule::GapCheck),
    ("closing-links", BrokenRule::ClosingLinks),
    ("digest", BrokenRule::Digest),
    ("first-acknowledgement", BrokenRule::FirstAcknowledgement),
];

/// What became of one seed.
#[derive(Debug)]
pub struct Run {
    /// Stands for everything that happened: the same for the same seed.
    pub trace: [u8; 16],
    /// What happened, counted.
    pub tally: Tally,
    /// The first thing that is wrong, if anything is.
    pub verdict: Result<(), Failure>,
}

/// Runs one seed, `without` one rule or with all of them. `story` is told what happens, line by
/// line.
pub fn run(seed: u64, without: Option<BrokenRule>, story: Option<&mut dyn FnMut(&str)>) -> Run {
    let mut trace = trace::Trace::new(story);
    let mut tally = Tally::default();
    let verdict =
        world::World::new(seed, without).and_then(|mut world| world.run(&mut trace, &mut tally));
    if let Err(failure) = &verdict {
        trace.note(format_args!("failure: {failure}"));
    }
    Run { trace: trace.hash(), tally, verdict }
}
