//! Many commands that are handed over and answered together.

use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::ids::CommandId;
use tokio::sync::OwnedSemaphorePermit;

use super::batch::{Batch, Until};
use super::waiters::Place;
use super::{APPEND_WAIT_MAX, CommandClient, SubmitError, Submitted};

/// Commands that were handed to the log together.
pub(crate) struct Chunk {
    pub(super) batch: Arc<Batch>,
    pub(super) commands: Vec<CommandId>,
    pub(super) _place: Option<Place>,
    pub(super) _permit: OwnedSemaphorePermit,
}

impl Chunk {
    /// Waits and says what became of each.
    pub(crate) async fn finish(self, wait: Duration) -> Vec<Result<Submitted, SubmitError>> {
        if !wait.is_zero() {
            let decided = self.batch.reached(Until::Decided);
            let _elapsed = tokio::time::timeout(wait, decided).await;
        }
        let durable = self.batch.reached(Until::Durable);
        let _elapsed = tokio::time::timeout(APPEND_WAIT_MAX, durable).await;
        let lines = self.batch.lines();
        let pairs = self.commands.iter().zip(&lines);
        pairs.map(|(command, line)| CommandClient::submitted(*command, line)).collect()
    }
}
