//! How accounts stand at this moment, for every token that comes in.
//!
//! Accounts live in rows; an access token is good for minutes without anybody looking at them. So
//! that a ban, another role and a revocation of all sessions do not wait for that, they are told in
//! the compacted topic `account-changes`, and every process that takes tokens follows it
//! ([`AccountStandings`]): it reads the whole topic before it is ready and answers from memory.
//!
//! - Whoever changes the row of an account appends the change afterwards ([`AccountChanges`]). A
//!   sweeper ([`sweep()`]) appends what a crash left out, so rows and topic agree in the end.
//! - Changes carry the version of the row, readers keep the highest: they may come twice, late and
//!   in any order.
//! - A session that ends alone is told under a key of its own, and taken out again once its last
//!   token has expired ([`forget_sessions`]), so that what is kept of sessions is bounded by the life
//!   of tokens.
//! - A record that cannot be read stops the follower and turns readiness red. What was read before
//!   goes on being the answer, since a process that forgets bans is worse than one that is told to
//!   leave.
//!
//! Invariant: nothing here is personal, and nothing here is the truth about an account; the row is.

mod follow;
mod forget;
mod publish;
mod sweep;
mod table;

use std::sync::Arc;

use cityevents_kit::keys::{Caller, Standing, Standings};
use cityevents_runtime::log::{Log, LogError};

use self::follow::Followers;
pub use self::follow::StandingsMetrics;
pub use self::forget::forget_sessions;
pub use self::publish::{AccountChanges, PublishError};
pub use self::sweep::{UnpublishedAccounts, sweep};
use self::table::Table;

/// How all accounts stand of which anything was said, and the threads that follow what is said.
pub struct AccountStandings {
    table: Arc<Table>,
    followers: Followers,
}

impl AccountStandings {
    /// Begins to read all partitions that the topic has, from the beginning, a thread for each.
    /// Blocks while it asks how many there are.
    ///
    /// # Errors
    /// When the topic is not there, the log cannot be reached, or no thread can be made.
    pub fn start(
        log: &Arc<dyn Log>,
        topic: Arc<str>,
        metrics: StandingsMetrics,
    ) -> Result<Self, LogError> {
        let table = Arc::new(Table::default());
        let followers = Followers::start(log, topic, metrics, &table)?;
        Ok(Self { table, followers })
    }

    /// Why the standings are not to be relied on, if so: the topic was not read to the end that it
    /// had at start, or a thread failed or has stopped.
    pub fn problem(&self) -> Option<String> {
        self.followers.problem()
    }

    /// How many accounts something was said about.
    pub fn accounts(&self) -> usize {
        self.table.len()
    }

    /// How many sessions are known to have ended.
    pub fn ended_sessions(&self) -> usize {
        self.table.ended_len()
    }

    /// The highest version of an account that was read, if any was.
    pub fn version(&self, account: &cityevents_domain::ids::UserId) -> Option<u64> {
        self.table.version(account)
    }
}

impl Standings for AccountStandings {
    fn standing(&self, caller: &Caller) -> Standing {
        self.table.standing(caller)
    }
}
