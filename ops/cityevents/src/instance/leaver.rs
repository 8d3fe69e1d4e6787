//! Leaving events, and calling them off, for people who do not do so themselves: by commands, like
//! everybody.

use std::time::Duration;

use cityevents_api::identity::{LeaveError, LeaveEvents};
use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_ingest::{CommandClient, SubmitError, Submitted};
use cityevents_views::BoxFuture;

/// Longest wait for a decision.
const WAIT: Duration = Duration::from_secs(5);
/// When it is worth trying again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Gives the commands of one client.
pub(super) struct Leaver(pub(super) CommandClient);

impl Leaver {
    /// Gives a command of a person, as a call of that name would.
    async fn submit(
        &self,
        user: UserId,
        event: EventId,
        call: &str,
        kind: CommandKind,
    ) -> Result<(), LeaveError> {
        let failed = |reason: String| LeaveError { reason, retry_after: RETRY_AFTER };
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| failed(error.to_string()))?;
        // Leaving or calling off twice changes nothing, so every attempt is a command of its own.
        let key = format!("departure {:032x}", u128::from_be_bytes(random));
        let id = CommandId::derive(&user, "POST", &format!("/api/events/{event}/{call}"), &key);
        let actor = Actor::Person { user, role: Role::User };
        let command = Command { id, digest: 0, event, actor, kind };
        match self.0.submit(command, WAIT).await {
            Ok(Submitted::Decided(_)) => Ok(()),
            Ok(Submitted::Pending(_)) => Err(failed("it is not decided yet".to_owned())),
            Err(error) => {
                let retry_after = match &error {
                    SubmitError::Busy { retry_after }
                    | SubmitError::Unavailable { retry_after, .. } => *retry_after,
                    SubmitError::Stopping | SubmitError::TooLarge { .. } => RETRY_AFTER,
                };
                Err(LeaveError { reason: error.to_string(), retry_after })
            }
        }
    }
}

impl LeaveEvents for Leaver {
    fn leave(&self, user: UserId, event: EventId) -> BoxFuture<'_, Result<(), LeaveError>> {
        Box::pin(self.submit(user, event, "cancel", CommandKind::Leave))
    }

    fn call_off(&self, owner: UserId, event: EventId) -> BoxFuture<'_, Result<(), LeaveError>> {
        Box::pin(self.submit(owner, event, "cancel-event", CommandKind::Cancel { reason: None }))
    }
}
