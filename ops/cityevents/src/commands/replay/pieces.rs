//! What takes long is asked for one piece after the other, so that one sees how far it is.

use anyhow::Context as _;
use cityevents_processors::replay::Come;
use serde::Deserialize;

use crate::admin::{Asker, Question};
use crate::output;

/// How long a piece takes.
pub(super) const PIECE_MS: u64 = 500;

/// An answer.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    is_done: bool,
    pub(super) partitions: Vec<Come>,
}

/// Something to do in pieces.
pub(super) struct Pieces<'a> {
    /// What begins it.
    pub(super) begin: Question,
    /// What does a piece.
    pub(super) go: Question,
    /// What it is, beside the bar.
    pub(super) doing: &'static str,
    /// Records that are done, and those to be done.
    pub(super) records: fn(&State) -> (u64, u64),
    /// The command that goes on after a failure.
    pub(super) resume: &'a str,
}

impl Pieces<'_> {
    /// Asks until all of it is done.
    pub(super) fn run(&self, asker: &Asker) -> anyhow::Result<State> {
        let ask = |question: &Question| -> anyhow::Result<State> {
            Ok(serde_json::from_value(asker.ask(question)?)?)
        };
        let mut state = ask(&self.begin)?;
        let bar = output::progress((self.records)(&state).1, self.doing);
        loop {
            state = ask(&self.go)
                .with_context(|| format!("what is written stays; `{}` goes on", self.resume))?;
            let (done, goal) = (self.records)(&state);
            bar.set_length(goal);
            bar.set_position(done);
            if state.is_done {
                break;
            }
        }
        bar.finish_and_clear();
        Ok(state)
    }
}
