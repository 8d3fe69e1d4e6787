//! Commands that somebody was given the id of before they were decided.

use cityevents_domain::ids::{CommandId, UserId};
use quick_cache::sync::Cache;

/// Ids remembered; beyond, the ones not asked for lately go. An id that went answers *not found*
/// until it is decided, and the same write sent again tells in any case.
const IDS_MAX: usize = 100_000;

/// Who waits for what.
pub(super) struct Pending(Cache<CommandId, UserId>);

impl Pending {
    pub(super) fn new() -> Self {
        Self(Cache::new(IDS_MAX))
    }

    pub(super) fn remember(&self, command: CommandId, user: Option<UserId>) {
        if let Some(user) = user {
            self.0.insert(command, user);
        }
    }

    pub(super) fn contains(&self, command: &CommandId, user: &UserId) -> bool {
        self.0.get(command).as_ref() == Some(user)
    }
}
